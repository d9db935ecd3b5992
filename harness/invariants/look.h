/* How a recorded tensor is looked at: presence, rank, shape, dtype, copies. */
#ifndef QC_INVARIANTS_LOOK_H
#define QC_INVARIANTS_LOOK_H

#include "harness/compare/judge.h"

/* The recorded step, or an empty one where the record has fewer. */
const struct qc_step *qc_step_of(const struct qc_judgement *judgement, int step);
/* The tensor, or NULL where it lacks the data that the recording's level promises: it is as good as absent. */
const struct qw_tensor *qc_kept(const struct qc_judgement *judgement, const struct qw_tensor *tensor);
/* Rank and shape: the kind of the first that is wrong. */
enum qc_kind qc_shape_kind(const struct qw_tensor *tensor, const struct qw_shape *expected);
/* Notes what was recorded; NULL: nothing. */
void qc_observe(struct qc_item *item, const struct qw_tensor *tensor);
/* Looks at a tensor that the view expects to be there with this shape. */
void qc_look(struct qc_item *item, struct qc_view *view, const struct qw_tensor *tensor, const struct qw_shape *expected);
/* Floating data that the model takes over must have the model's dtype, whatever the values. */
void qc_look_at_dtype(struct qc_view *view, const struct qw_tensor *tensor, const struct qc_judgement *judgement);
/* Compares copied data: any element that differs is a difference without a floor, of this kind. */
void qc_look_at_copy(struct qc_view *view, const struct qw_tensor *tensor, const double *expected, enum qc_kind kind);
/* The same for data whose axes may have been handed over in another order, which a light play does not ask. */
void qc_look_at_axes(struct qc_view *view, const struct qw_tensor *tensor, const double *expected,
                     const struct qc_judgement *judgement);
/* Where the values differ, looks whether they are the expected ones rearranged along an axis; arguments as of
 * qc_transform_find. */
void qc_look_for_transform(struct qc_view *view, const struct qw_tensor *tensor, const double *expected, const char *axes,
                           double bound);
/* The same for a prompt that an encoder computed: within its noise. */
void qc_look_at_encoded(struct qc_view *view, const struct qw_tensor *tensor, const double *expected,
                        const struct qc_encoded *encoded);

#endif
