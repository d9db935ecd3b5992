/* One hypothesis tried on a judgement: first whether it may be so at all, then how much it explains.
 *
 *   structure   what the deviation would hand over is held against the record, which takes no play
 *   light       one play in the record's arithmetic, given up where it contradicts (harness/compare/light.h)
 *   complete    in float64 and in the record's arithmetic, with floors of its own: what a name rests on */
#ifndef QC_DIAGNOSE_TRIAL_H
#define QC_DIAGNOSE_TRIAL_H

#include "harness/diagnose/diagnose.h"

/* What hypotheses are tried on: the healthy judgement, or that under the first of two causes. */
struct qc_trial {
    const struct qc_judgement *base;
    const struct qc_item *first; /* its first divergence; NULL: it has none, and nothing can be tried on it */
    double energy;               /* E(record, base) */
    double light_energy;         /* the same of a light play, so that one that changes nothing explains exactly nothing */
    double structure_energy;     /* … and of its structure alone, as a deviation of the model leaves it */
    bool first_is_handed;        /* no deviation of the model mends it: the model is handed it */
    bool forgives;               /* screening does not give up where values contradict */
    bool apart;                  /* something shows in the isolated view alone: plays are to be looked at in both */
};

struct qc_trial qc_trial_of(const struct qc_judgement *base);

/* Structure and light play.  One that leaves the first divergence as it is is given up once it cannot explain `enough` of
 * everything. */
void qc_trial_screen(struct qc_hypothesis *hypothesis, const struct qc_trial *trial, double enough);
/* The complete play, on top of the base's rules. */
void qc_trial_play(struct qc_hypothesis *hypothesis, const struct qc_trial *trial);

/* Whether anything that the model is handed differs from the base in its own right; also when the run raised, which tells less. */
bool qc_trial_handover_differs(const struct qc_trial *trial);

#endif
