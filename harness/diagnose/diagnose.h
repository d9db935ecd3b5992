/* Which cause makes the reference reproduce the record?
 *
 *   explained = 1 - E(record, deviated play) / E(record, healthy play)
 *
 * E sums, over the compared tensors of the free-running view, squared error by
 * squared rms, with conforming tensors counted 0 and structural differences 1.
 * A cause that no play reproduces is named by its exception (the RAISE rows of
 * causes.def): explained is then the share of the differing structural facts.
 *
 * A deviation is ruled out, and explains nothing, when it contradicts a structural fact of the hand-over (what kind of
 * input, mask, positions, cache type and length) that the record has as the healthy play has it. */
#ifndef QC_DIAGNOSE_DIAGNOSE_H
#define QC_DIAGNOSE_DIAGNOSE_H

#include "harness/compare/judge.h"
#include "harness/diagnose/causes.h"

enum qc_confidence { QC_LOW, QC_MEDIUM, QC_HIGH };

struct qc_hypothesis {
    const struct qc_cause_row *cause;
    double explained;             /* 0 … 1 */
    const struct qw_value *value; /* of a deviation with a parameter: the one that explains most; else NULL */
    bool by_signature;            /* no play of it: the exception speaks */
    bool corroborated;            /* the run raised the exception that this cause is known for */
    bool ruled_out;               /* it would have handed over something else where the record is as a healthy run */
    enum qw_site against;         /* … first at this site and step */
    int against_step;
    int sites, reproduced; /* differing sites of the healthy play, and how many of them the deviation reproduces */
};

struct qc_diagnosis {
    int count; /* hypotheses, best first; of equal ones the corroborated first, then in the order of the catalogue */
    struct qc_hypothesis *ranked;
    bool named; /* the best explains at least half */
    enum qc_confidence confidence;
    int equivalent; /* hypotheses after the best that the evidence cannot tell from it */
};

/* Tries on a judgement that failed every cause that can be tried: that has a deviation, or, when the run raised, an
 * exception that proves it.  Release with qc_diagnosis_clear. */
struct qc_diagnosis qc_diagnose(const struct qc_judgement *healthy);
/* Applies the deviation of a hypothesis, with its value; false when it has none. */
bool qc_hypothesis_apply(struct qw_rules *rules, const struct qc_hypothesis *hypothesis);
void qc_diagnosis_clear(struct qc_diagnosis *diagnosis);

#endif
