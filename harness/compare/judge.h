/* Plays the recorded call under given rules and holds every site of the record
 * against the play.
 *
 * Two views of a site.  Free-running: the play from the call on, with its own
 * cache.  Isolated: each module fed with what the record says that it was
 * given in that step.  A site that fails only in the free view inherited its
 * error; the first site that fails in its own right is where things part. */
#ifndef QC_COMPARE_JUDGE_H
#define QC_COMPARE_JUDGE_H

#include "harness/compare/consequence.h"
#include "harness/compare/items.h"
#include "harness/compare/subject.h"

/* Where a play cannot go on, because the real model would raise there. */
struct qc_stop {
    bool stopped;
    int step, layer; /* in the attention of this layer; -1: before the blocks */
};

struct qc_light;

struct qc_judgement {
    const struct qc_subject *subject;
    struct qc_light *light; /* of a light play (harness/compare/light.h); NULL: a complete one */
    struct qw_rules rules;
    struct qc_items items;
    struct qc_stop stop;  /* of the free play */
    int refused_axis;     /* of the record's caches: the stop is a join along it that cannot be made; -1: it is another */
    bool values;          /* values could be played freely from the call on */
    bool raise_predicted; /* the run raised where the play stops … */
    bool raise_denied;    /* … but with an exception that speaks of another join: then the play is not that of the run */
    struct qc_consequence consequence;
    int64_t *expected_lengths; /* [steps] cache length after each step in the play */
    int64_t *ends;             /* [steps] length of the sequence after each step in the play, whether it is kept or not */
    int steps;                 /* steps that were judged: recorded or expected, whichever is more */
};

/* `isolated`: look at both views (the verdict); false: only at the free one (trying a deviation). */
void qc_judge(struct qc_judgement *judgement, const struct qc_subject *subject, const struct qw_rules *rules, bool isolated);
/* The same by a light play, in the view or views that `light` asks for; where it was given up nothing is judged from there on. */
void qc_judge_lightly(struct qc_judgement *judgement, struct qc_light *light, const struct qc_subject *subject,
                      const struct qw_rules *rules, bool isolated);
void qc_judgement_clear(struct qc_judgement *judgement);

/* E(record, play): sum of the items' energies, and 1 for a raise that the play does not predict. */
double qc_judgement_energy(const struct qc_judgement *judgement);
/* First item that fails, in its own right if there is one, else inherited; NULL when everything conforms. */
const struct qc_item *qc_judgement_first(const struct qc_judgement *judgement);

#endif
