/* Invariant: an expectation and an observation are written alike, null where there is nothing. */
#include "harness/worker/fields.h"

/* ---- the first divergence ---- */

static void put_shape(struct qw_json *object, const struct qw_shape *shape, bool known)
{
    if (!known) {
        qw_json_put_null(object, "shape");
        return;
    }
    struct qw_json *array = qw_json_put(object, "shape", qw_json_array());
    for (int i = 0; i < shape->rank; i++)
        qw_json_add_int(array, shape->dim[i]);
}

static bool counts(const struct qc_view *view) { return view->kind == QC_CACHE_LENGTH; }

static void put_side(struct qw_json *json, const char *key, const struct qc_case_view *view, const struct qc_item *item,
                     bool observed)
{
    const struct qc_view *how = qc_item_view(item);
    const char *text = observed ? item->observed_text : item->expected_text;
    bool there = observed ? item->recorded : how->kind != QC_EXTRA;
    bool tensor = !text && !counts(how) && how->kind != QC_RAISED &&
                  qw_site_rows[item->site].shape[0] + (item->site == QW_SITE_ADAPTER_PROMPT);
    struct qw_json *side = qw_json_put(json, key, qw_json_object());
    put_shape(side, observed ? &item->observed_shape : &how->expected_shape, there && tensor);
    const char *model_dtype = item->dtype && how->kind != QC_DTYPE ? item->dtype : view->recording->model_dtype;
    qw_json_put_text(side, "dtype", there && tensor ? (observed ? item->dtype : model_dtype) : NULL);
    if (text)
        qw_json_put_text(side, "value", there ? text : NULL);
    else if (there && (counts(how) || how->valued))
        qw_json_put_real(side, "value", observed ? how->difference.observed : how->difference.expected);
    else
        qw_json_put_null(side, "value");
}

static void put_element(struct qw_json *json, const struct qc_case_view *view, const struct qc_item *item)
{
    const struct qc_view *how = qc_item_view(item);
    int64_t index[QW_MAX_RANK];
    if (how->valued && how->kind != QC_KIND_NONE && how->difference.index >= 0) {
        qw_shape_unravel(index, &how->expected_shape, how->difference.index);
        struct qw_json *array = qw_json_put(json, "index", qw_json_array());
        for (int i = 0; i < how->expected_shape.rank; i++)
            qw_json_add_int(array, index[i]);
        qc_put_owned(json, "position", qc_position_text(item, view->judgement));
        qw_json_put_real(json, "ratio", how->difference.ratio);
        return;
    }
    qw_json_put_null(json, "index");
    qw_json_put_null(json, "position");
    if (how->valued && how->kind != QC_KIND_NONE)
        qw_json_put_real(json, "ratio", how->difference.ratio);
    else
        qw_json_put_null(json, "ratio");
}

void qc_put_permutation(struct qw_json *json, const struct qc_view *how)
{
    if (how->kind != QC_LAYOUT) {
        qw_json_put_null(json, "permutation");
        return;
    }
    struct qw_json *array = qw_json_put(json, "permutation", qw_json_array());
    for (int i = 0; i < how->expected_shape.rank; i++)
        qw_json_add_int(array, how->permutation[i]);
}

/* What each axis holds by right, for the reader of a permutation. */
static void put_axes(struct qw_json *json, const struct qc_item *item)
{
    if (qc_item_view(item)->kind != QC_LAYOUT)
        return;
    struct qw_json *array = qw_json_put(json, "axes", qw_json_array());
    for (int i = 0; i < qc_item_view(item)->expected_shape.rank; i++)
        qw_json_add_text(array, qc_axis_name(item, i));
}

void qc_put_first(struct qw_json *json, const struct qc_case_view *view, const struct qc_item *item)
{
    if (!item) {
        qw_json_put_null(json, "first_divergence");
        return;
    }
    struct qw_json *first = qw_json_put(json, "first_divergence", qw_json_object());
    qc_put_index(first, "step", item->step);
    qc_put_index(first, "layer", qc_site_layer(item, view->recording));
    qc_put_owned(first, "site", qc_site_name(item, view->recording));
    qw_json_put_text(first, "party", qw_party_name(qw_site_rows[item->site].party));
    qw_json_put_text(first, "kind", qc_kind_name(qc_item_view(item)->kind));
    qc_put_permutation(first, qc_item_view(item));
    put_axes(first, item);
    put_side(first, "expected", view, item, false);
    put_side(first, "observed", view, item, true);
    put_element(first, view, item);
}

void qc_put_last_good(struct qw_json *json, const struct qc_case_view *view, const struct qc_item *first)
{
    const struct qc_item *good = NULL;
    for (int i = 0; first && i < view->judgement->items.count && view->judgement->items.ordered[i] != first; i++)
        if (qc_item_status(view->judgement->items.ordered[i]) == QC_CONFORMS)
            good = view->judgement->items.ordered[i];
    if (first && qc_item_view(first)->kind == QC_RAISED)
        for (int i = 0; i < view->judgement->items.count; i++)
            if (qc_item_status(view->judgement->items.ordered[i]) == QC_CONFORMS)
                good = view->judgement->items.ordered[i];
    if (!good) {
        qw_json_put_null(json, "last_good");
        return;
    }
    struct qw_json *last = qw_json_put(json, "last_good", qw_json_object());
    qc_put_index(last, "step", good->step);
    qc_put_index(last, "layer", good->layer);
    qw_json_put_text(last, "site", qw_site_rows[good->site].name);
}
