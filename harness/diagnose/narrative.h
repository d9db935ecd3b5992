/* The words of a verdict: what, where first, why, what to do.  All texts are to be freed with free(). */
#ifndef QC_DIAGNOSE_NARRATIVE_H
#define QC_DIAGNOSE_NARRATIVE_H

#include "harness/diagnose/diagnose.h"

/* "step 0, layer 1, self_attn.q_proj" */
char *qc_place_text(const struct qc_item *item);
/* The site as the result names it: for a raise inside the model the module that raised, without the block's prefix. */
char *qc_site_name(const struct qc_item *item, const struct qc_recording *recording);
/* Layer of the result: that of the item, or of the module that raised; -1 for none. */
int qc_site_layer(const struct qc_item *item, const struct qc_recording *recording);
/* "cache_before.length is 0 where 5 is expected" */
char *qc_difference_text(const struct qc_item *item, const struct qc_recording *recording);
/* What an axis of the site's tensors is made of, in the model's own order: "batch", "heads", "sequence", "head size". */
const char *qc_axis_name(const struct qc_item *item, int axis);
/* "virtual token 0 of 8" for an element of a tensor with a sequence axis; NULL when there is nothing to say. */
char *qc_position_text(const struct qc_item *item, const struct qc_judgement *judgement);

/* "steps 1-4": those that were handed what a healthy run hands them; NULL when all were, or none. */
char *qc_right_steps_text(const struct qc_judgement *judgement);

/* The verdict sentence of a passing or failing judgement; `diagnosis` is NULL for a passing one. */
char *qc_verdict_text(const struct qc_judgement *judgement, const struct qc_diagnosis *diagnosis);

#endif
