/* A light play: a single one in the record's arithmetic, held against the floors of a judgement that is there already.
 *
 * It tells whether a deviation is worth a complete play.  One that gives other values than the record where the base
 * judgement has the record right contradicts it, and is given up there; so is one whose difference comes to more than that of
 * the base.  One that leaves the first divergence as it is goes on only while what differs stays below a limit. */
#ifndef QC_COMPARE_LIGHT_H
#define QC_COMPARE_LIGHT_H

#include "harness/compare/judge.h"

enum qc_given_up {
    QC_PLAYED,      /* to the end */
    QC_CONTRADICTS, /* the record is there as the base has it, and not as this play has it */
    QC_LEAVES,      /* `first` is left wrong, and much besides */
    QC_EXCEEDS,     /* more differs than under the base */
};

struct qc_light {
    const struct qc_judgement *base;
    const struct qc_item *first; /* of the base: must come right */
    double most;                 /* energy of the base */
    double most_leaving;         /* … and how much of it may differ where `first` does not come right */
    double spent;                /* energy so far, beginning with that of the structure */
    bool leaves_first;
    bool must_mend; /* one that leaves at least half of `first` is given up there */
    bool forgives;  /* a contradiction in values only counts as much as it comes to */
    enum qc_given_up given_up;
    enum qw_site against; /* where it was given up */
    int against_step, against_layer;
};

/* Measures what a light play found at `item` by the floor of the base there, and gives the play up where that is called for.
 * Where the base has no floor (another shape was expected) the whole squared error counts. */
void qc_light_weigh(struct qc_light *light, struct qc_difference *found, const struct qc_item *item, bool isolated);

/* Whether the model is handed what stands at such a place. */
bool qc_is_handed(enum qw_place place);

/* Looks at what is handed over in a step, of which the adapter's prompt counts as the first: whether the first divergence is
 * among it, and is left as it is. */
void qc_light_look_at_handed(struct qc_light *light, const struct qc_items *items, int step);

#endif
