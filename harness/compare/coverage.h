/* What a pass is worth: how much of what a healthy run has was held against the record, and what could not have shown.
 *
 * A pass is not earned, and the case is undecided, when one of these holds of a recording in which nothing differs:
 *
 *   - nothing was compared, in all, in one of the recorded steps, or of one of the parties of which something is expected;
 *   - the record promises numbers and the weights to play them are there, but none that Qwen's part computes was compared;
 *   - the healthy play's own logits are one number throughout wherever they were compared, as with weights that are all
 *     zero: everything agrees with such a model.
 *
 * None of them is a threshold.  A place where something is expected and not recorded is a difference in its own right
 * (missing), not a want of coverage. */
#ifndef QC_COMPARE_COVERAGE_H
#define QC_COMPARE_COVERAGE_H

#include "harness/compare/judge.h"

/* expected = compared + missing + waived */
struct qc_counts {
    int expected, compared, missing, waived;
    int valued; /* of the compared: numbers, not structure alone */
};

#define QC_ANY (-2) /* -1: before the first step */

/* Of one party, or QC_ANY; of one step, or QC_ANY. */
struct qc_counts qc_coverage_count(const struct qc_judgement *judgement, int party, int step);

/* Looks at what no play could be held against: a tensor that is one number throughout cannot be what a model computed, or an
 * adapter learned, and becomes a difference.  And waives where the healthy play itself has one number throughout. */
void qc_coverage_settle(struct qc_judgement *judgement);

/* Why a judgement without a difference is no pass; NULL: it is one.  `*hint`: what to do. */
const char *qc_coverage_shortfall(const struct qc_judgement *judgement, const char **hint);

enum qc_blind {
#define BLIND(symbol, id, sentence) QC_BLIND_##symbol,
#include "reports/blind.def"
#undef BLIND
    QC_BLINDS
};

const char *qc_blind_id(enum qc_blind blind);
bool qc_blind_applies(enum qc_blind blind, const struct qc_judgement *judgement);

#endif
