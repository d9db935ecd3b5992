/* Which cause makes the reference reproduce the record?
 *
 *   explained = 1 - E(record, deviated play) / E(record, healthy play)
 *
 * E sums, over the compared tensors of the free-running view, squared error by
 * squared rms, with conforming tensors counted 0 and structural differences 1.
 * A cause that no play reproduces is named by its exception (the RAISE rows of
 * causes.def): explained is then the share of the differing structural facts.
 *
 * A deviation is ruled out, and explains nothing, when it contradicts the record where that is as the healthy play has it: a
 * structural fact of the hand-over (what kind of input, mask, positions, cache type and length), or values.  So is one that
 * leaves the first divergence as it is, unless nothing that mends it explains everything.
 *
 * Two at once: where the best leaves something, what remains is judged as if new, with the best applied.  A second is kept
 * when it explains at least half of that, and without either one much more would be left. */
#ifndef QC_DIAGNOSE_DIAGNOSE_H
#define QC_DIAGNOSE_DIAGNOSE_H

#include "harness/compare/light.h"
#include "harness/diagnose/causes.h"

#define QC_NAMED_FROM 0.5 /* explained; below: unclassified */

enum qc_confidence { QC_LOW, QC_MEDIUM, QC_HIGH };

struct qc_hypothesis {
    const struct qc_cause_row *cause;
    double explained;             /* 0 … 1 */
    const struct qw_value *value; /* of a deviation with a parameter: the one that explains most; else NULL */
    bool by_signature;            /* no play of it: the exception speaks */
    bool corroborated;            /* the run raised the exception that this cause is known for */
    enum qc_given_up given_up;    /* … and why it was not played to its end */
    bool ruled_out;               /* QC_CONTRADICTS: it gives something else where the record is as a healthy run */
    enum qw_site against;         /* … at this site, step and layer */
    int against_step, against_layer;
    bool complete;         /* `explained` is that of the complete play, not of a light one */
    double left;           /* E(record, deviated play) */
    bool leaves_first;     /* it leaves the first divergence as it is */
    bool suffices;         /* nothing differs from its play */
    int sites, reproduced; /* differing sites of the healthy play, and how many of them the deviation reproduces */
};

struct qc_diagnosis {
    int count; /* hypotheses, best first; of equal ones the corroborated first, then in the order of the catalogue */
    struct qc_hypothesis *ranked; /* each by itself; of two that are needed together the first of them comes first */
    struct qc_hypothesis second;  /* what is needed besides, by itself; its cause is NULL when one suffices */
    double together;              /* what is explained by all that are needed */
    int reproduced_together;      /* of two: differing sites that they reproduce */
    bool named;                   /* … and that is at least half */
    enum qc_confidence confidence;
    int equivalent; /* hypotheses after the best that the evidence cannot tell from it */
};

/* Tries on a judgement that failed every cause that can be tried: that has a deviation, or, when the run raised, an
 * exception that proves it.  Release with qc_diagnosis_clear. */
struct qc_diagnosis qc_diagnose(const struct qc_judgement *healthy);
/* Applies the deviation of a hypothesis, with its value; false when it has none. */
bool qc_hypothesis_apply(struct qw_rules *rules, const struct qc_hypothesis *hypothesis);
/* Applies all that are needed together. */
void qc_diagnosis_apply(struct qw_rules *rules, const struct qc_diagnosis *diagnosis);
/* The next best: neither needed nor equivalent to what is; NULL when there is none. */
const struct qc_hypothesis *qc_diagnosis_runner_up(const struct qc_diagnosis *diagnosis);
void qc_diagnosis_clear(struct qc_diagnosis *diagnosis);

#endif
