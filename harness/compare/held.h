/* The caches of a play against those of the record. */
#ifndef QC_COMPARE_HELD_H
#define QC_COMPARE_HELD_H

#include "harness/compare/replay.h"

/* The cache that the step left, layer by layer. */
void qc_held_compare_after(struct qc_judgement *judgement, int step, const struct qc_play *play, bool isolated);
/* The cache that the free play hands over, against the one that was handed over. */
void qc_held_compare_before(struct qc_judgement *judgement, int step, const struct qc_play *play);
/* Fills the caches of all plays with what the record says was handed in; false when that cannot be played. */
bool qc_held_fill(struct qc_play *play, const struct qc_subject *subject, const struct qc_cache *recorded);
/* Rows that the recorded cache has let go of are not given to the attention of the plays either. */
void qc_held_let_go(struct qc_play *play, const struct qc_subject *subject, const struct qc_cache *recorded);

/* Puts the record's rows in the place of the play's where the record itself has them otherwise than it had them before:
 * in what the last step handed out against what it was handed, and in what this step is handed against that. */
void qc_held_take_rewritten(struct qc_play *play, const struct qc_judgement *judgement, int step);

#endif
