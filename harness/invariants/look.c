/* Invariant: nothing here computes; every expectation is a shape, a name, a count or a copy. */
#include "harness/invariants/look.h"

#include "harness/compare/layout.h"

const struct qc_step *qc_step_of(const struct qc_judgement *judgement, int step)
{
    static const struct qc_step nothing;
    const struct qc_recording *recording = judgement->subject->recording;
    return step < recording->steps ? &recording->step[step] : &nothing;
}

const struct qw_tensor *qc_kept(const struct qc_judgement *judgement, const struct qw_tensor *tensor)
{
    enum qc_level level = judgement->subject->recording->level;
    bool known = tensor && (tensor->data || (level == QC_LEVEL_STATS && (tensor->stats || !qw_shape_count(&tensor->shape))));
    return level == QC_LEVEL_SHAPES || known ? tensor : NULL;
}

enum qc_kind qc_shape_kind(const struct qw_tensor *tensor, const struct qw_shape *expected)
{
    if (tensor->shape.rank != expected->rank)
        return QC_RANK;
    return qw_shape_equal(&tensor->shape, expected) ? QC_KIND_NONE : QC_SHAPE;
}

void qc_observe(struct qc_item *item, const struct qw_tensor *tensor)
{
    item->recorded = tensor != NULL;
    if (!tensor)
        return;
    item->observed_shape = tensor->shape;
    item->dtype = qw_dtype_name(tensor->dtype);
}

void qc_look(struct qc_item *item, struct qc_view *view, const struct qw_tensor *tensor, const struct qw_shape *expected)
{
    view->looked = true;
    view->expected_shape = *expected;
    qc_observe(item, tensor);
    view->kind = tensor ? qc_shape_kind(tensor, expected) : QC_MISSING;
}

void qc_look_at_dtype(struct qc_view *view, const struct qw_tensor *tensor, const struct qc_judgement *judgement)
{
    if (view->looked && view->kind == QC_KIND_NONE && tensor && tensor->dtype != judgement->subject->dtype)
        view->kind = QC_DTYPE;
}

void qc_look_at_copy(struct qc_view *view, const struct qw_tensor *tensor, const double *expected, enum qc_kind kind)
{
    if (view->kind != QC_KIND_NONE || !tensor || !expected)
        return;
    struct qc_difference found;
    if (qc_difference_of_tensor(&found, tensor, expected, NULL, 0, qw_dtype_roundoff(tensor->dtype)))
        qc_view_note(view, &found, kind);
}

/* What a deviation computes on the way of a prompt is no copy: each element has been rounded, after sums of a head's size. */
static void look_at_computed(struct qc_view *view, const struct qw_tensor *tensor, const double *expected,
                             const struct qc_judgement *judgement)
{
    struct qc_difference found;
    if (view->kind == QC_KIND_NONE && tensor && expected &&
        qc_difference_of_tensor(&found, tensor, expected, expected, judgement->subject->model.config.head_size,
                                qc_subject_roundoff(judgement->subject)))
        qc_view_note(view, &found, QC_VALUE);
}

void qc_look_at_axes(struct qc_view *view, const struct qw_tensor *tensor, const double *expected,
                     const struct qc_judgement *judgement)
{
    if (qw_protocol_prompt_is_moved(&judgement->rules))
        qc_look_at_copy(view, tensor, expected, QC_VALUE);
    else
        look_at_computed(view, tensor, expected, judgement);
    if (!judgement->light && (view->kind == QC_SHAPE || view->kind == QC_VALUE) &&
        qc_layout_find(view->permutation, tensor, expected, &view->expected_shape))
        view->kind = QC_LAYOUT;
}

void qc_look_at_encoded(struct qc_view *view, const struct qw_tensor *tensor, const double *expected,
                        const struct qc_encoded *encoded)
{
    struct qc_difference found;
    if (view->kind == QC_KIND_NONE && expected && qc_encoded_compare(&found, encoded, tensor, expected))
        qc_view_note(view, &found, QC_VALUE);
}

void qc_look_for_transform(struct qc_view *view, const struct qw_tensor *tensor, const double *expected, const char *axes,
                           double bound)
{
    if (view->kind == QC_VALUE && tensor)
        qc_transform_find(&view->transform, tensor, expected, &view->expected_shape, axes, NULL, bound);
}
