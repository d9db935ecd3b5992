/* What becomes of the logits when one recorded tensor is put into the healthy play, and everything else stays healthy.
 *
 * A graft of one place is played from there to the logits of its step, in float32, once.  Grafted are
 *
 *   - the first QC_GRAFTS places that differ in their own right and that a play can be given: hand-over, cache handed in,
 *     taps;
 *   - of the step in which the record parts from the healthy play, the outputs of the blocks that are not what they are in
 *     it, at most QC_GRAFTED_BLOCKS of them, evenly spaced: how far down the fault has entered.
 *
 * What a play cannot take (another shape, nothing where something is due, what the step leaves in the cache) has none. */
#ifndef QC_COMPARE_GRAFT_H
#define QC_COMPARE_GRAFT_H

#include "harness/compare/judge.h"

#define QC_GRAFTS         12
#define QC_GRAFTED_BLOCKS 12

struct qc_graft {
    enum qw_site site;
    int step, layer;
    bool played;      /* the play could go on to the logits */
    double kl;        /* KL(healthy || grafted) in nats, the largest of the batch rows; 0 when the change conforms */
    double change;    /* largest change of a logit by the logits' noise floor; NaN where that is not known */
    bool top1_agrees; /* no row has another largest logit, or the change conforms */
};

struct qc_grafts {
    int count;
    struct qc_graft graft[QC_GRAFTS + QC_GRAFTED_BLOCKS];
};

/* Of a judgement in which something differs; none where values could not be played. */
void qc_grafts_make(struct qc_grafts *grafts, const struct qc_judgement *healthy);
/* The graft of a place; NULL where there is none. */
const struct qc_graft *qc_grafts_at(const struct qc_grafts *grafts, enum qw_site site, int step, int layer);

#endif
