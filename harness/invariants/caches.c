/* Invariant: a cache is judged by its own facts: type, length, extents, and rows that must come back as they were. */
#include <stdlib.h>
#include <string.h>

#include "harness/compare/frame.h"
#include "harness/compare/call.h"
#include "harness/invariants/look.h"
#include "harness/invariants/structure.h"

int64_t qc_cache_rows(const struct qc_cache *cache)
{
    if (!cache->present || cache->length >= 0)
        return cache->present ? cache->length : 0;
    const struct qw_tensor *key = cache->layers ? cache->layer[0].key : NULL;
    return key && key->shape.rank == 4 ? key->shape.dim[!strcmp(cache->layout ? cache->layout : "", "BSKD") ? 1 : 2] : 0;
}

/* Keys or values of a layer as they were recorded; NULL where nothing is held. */
static const struct qw_tensor *half(const struct qc_judgement *judgement, const struct qc_cache *cache, int layer, bool value)
{
    if (layer >= cache->layers)
        return NULL;
    const struct qw_tensor *tensor = qc_kept(judgement, value ? cache->layer[layer].value : cache->layer[layer].key);
    return tensor && qw_shape_count(&tensor->shape) == 0 ? NULL : tensor;
}

static void look_at_type(struct qc_judgement *judgement, struct qc_item *item, struct qc_view *view, const struct qc_cache *cache,
                         int64_t length)
{
    unsigned allowed = length > 0 ? judgement->rules.filled_caches : judgement->rules.empty_caches;
    enum qw_cache_kind kind;
    view->looked = true;
    item->recorded = cache->present;
    item->observed_text = cache->type;
    item->expected_text = allowed & 1u << QW_CACHE_DYNAMIC ? "DynamicCache" : "tuple";
    if (!cache->present)
        view->kind = QC_MISSING;
    else if (!qw_cache_kind_from_name(&kind, cache->type) || !(allowed & 1u << kind))
        view->kind = QC_CACHE_TYPE;
}

static void look_at_length(struct qc_item *item, struct qc_view *view, const struct qc_cache *cache, int64_t length)
{
    view->looked = true;
    item->recorded = cache->present;
    view->difference.expected = (double)length;
    view->difference.observed = (double)qc_cache_rows(cache);
    view->kind = !cache->present ? QC_MISSING : qc_cache_rows(cache) == length ? QC_KIND_NONE : QC_CACHE_LENGTH;
}

/* One half (keys or values) of one layer; `shape` without elements: nothing is held. */
static void look_at_half(struct qc_item *item, struct qc_view *view, const struct qw_tensor *tensor, const struct qw_shape *shape)
{
    if (qw_shape_count(shape) > 0) {
        qc_look(item, view, tensor, shape);
        return;
    }
    if (!tensor)
        return;
    view->looked = true;
    view->expected_shape = *shape;
    view->kind = QC_EXTRA;
    qc_observe(item, tensor);
}

/* Copies of which the record holds the first rows of a tensor that has room for more. */
static void look_at_rows(struct qc_view *view, const struct qw_tensor *tensor, const double *rows, const struct qc_frame *frame)
{
    if (!tensor || !tensor->data || !frame->rows || view->kind != QC_KIND_NONE)
        return;
    struct qw_tensor *kept = qc_frame_cut(frame, tensor, 0, frame->rows);
    qc_look_at_copy(view, kept, rows, QC_VALUE);
    if (view->kind != QC_KIND_NONE)
        view->difference.index = qc_frame_index(frame, view->difference.index, 0, frame->rows);
    qw_tensor_free(kept);
}

/* Without elements, the digests tell whether two tensors of one file are the same. */
static void look_at_digest(struct qc_view *view, const struct qw_tensor *tensor, const struct qw_tensor *same)
{
    if (view->kind != QC_KIND_NONE || !tensor || !same || !tensor->stats || !same->stats || !tensor->stats->sha256[0])
        return;
    if (strcmp(tensor->stats->sha256, same->stats->sha256))
        view->kind = QC_VALUE;
}

/* How many rows of what the last step left this one takes up: of candidates, what was not accepted was taken back; how
 * much, the free view judges. */
static int64_t rows_taken_up(const struct qc_judgement *judgement, int step)
{
    int64_t left = qc_cache_rows(&qc_step_of(judgement, step - 1)->after);
    int64_t handed = qc_cache_rows(&qc_step_of(judgement, step)->before);
    return qc_way_of(judgement->subject->recording) == QC_WAY_CANDIDATES && handed < left ? handed : left;
}

/* Keys or values that the step before left, `left`, as far as the step takes them up, to `length`: a layer that slides lets
 * go of the first.  Free with qw_tensor_free. */
static struct qw_tensor *taken_up(const struct qc_judgement *judgement, int step, const struct qw_tensor *left, int64_t length,
                                  int layer)
{
    const struct qc_subject *subject = judgement->subject;
    const struct qc_cache *after = &qc_step_of(judgement, step - 1)->after;
    struct qw_cache_layer was = qc_frame_layer(subject, after, layer), is = was;
    is.length = length < was.length ? length : was.length;
    struct qc_frame from = qc_frame_of(subject, after, layer, &was);
    struct qc_frame to = qc_frame_of(subject, &qc_step_of(judgement, step)->before, layer, &is);
    int64_t first = to.first > from.first ? to.first - from.first : 0;
    int64_t count = to.room > to.rows ? INT64_MAX - first : is.length - from.first - first; /* a static one keeps its room */
    return qc_call_taken_up(subject, step, left, first, count);
}

/* Copies of what the step before left. */
static void look_at_last(struct qc_judgement *judgement, struct qc_view *view, int step, int layer, bool value)
{
    const struct qw_tensor *left = half(judgement, &qc_step_of(judgement, step - 1)->after, layer, value);
    const struct qw_tensor *before = half(judgement, &qc_step_of(judgement, step)->before, layer, value);
    if (!left || !before)
        return;
    struct qw_tensor *after = taken_up(judgement, step, left, rows_taken_up(judgement, step), layer);
    if (after && after->data && qw_shape_equal(&after->shape, &view->expected_shape)) {
        double *expected = qw_tensor_doubles(after);
        qc_look_at_axes(view, before, expected, judgement);
        free(expected);
    } else if (!judgement->subject->call.turn) {
        look_at_digest(view, before, left);
    }
    qw_tensor_free(after);
}

/* What a prefix must be, [B,heads,P,D], where the adapter's table is not at hand: what get_prompt() is recorded to have
 * handed over, else in every batch row what the first has.  NULL when neither can be said.  Free with free(). */
static double *prefix_without_table(const struct qc_judgement *judgement, const struct qc_frame *frame,
                                    const struct qw_tensor *recorded, int layer, bool value)
{
    const struct qw_tensor *prompt = judgement->subject->recording->adapter_prompt;
    int64_t part = frame->heads * frame->length * frame->head_size, B = frame->batch;
    struct qw_shape shape = qc_frame_shape(frame), handed = qw_shape_of(6, judgement->subject->model.config.layers, (int64_t)2, B,
                                                                        frame->heads, frame->length, frame->head_size);
    if (!recorded || !recorded->data || !part || frame->rows != frame->room || !qw_shape_equal(&recorded->shape, &shape))
        return NULL;
    double *values = qc_frame_values(frame, recorded);
    if (prompt && prompt->data && frame->layout == QW_LAYOUT_BKSD && qw_shape_equal(&prompt->shape, &handed))
        qw_tensor_read(values, prompt, (2 * layer + value) * B * part, B * part);
    for (int64_t b = 1; b < B; b++)
        memcpy(values + b * part, values, sizeof *values * (size_t)part);
    return values;
}

static void judge_half_before(struct qc_judgement *judgement, int step, const struct qw_cache_layer *held, int layer, bool value)
{
    const struct qc_cache *recorded = &qc_step_of(judgement, step)->before;
    const struct qw_tensor *tensor = half(judgement, recorded, layer, value);
    struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer);
    struct qc_frame frame = qc_frame_of(judgement->subject, recorded, layer, held);
    struct qw_shape shape = qc_frame_shape(&frame);
    item->expected = held->length > 0;
    look_at_half(item, &item->free, tensor, &shape);
    qc_look_at_dtype(&item->free, tensor, judgement);
    if (qw_protocol_turn(&judgement->subject->call, step).first > 0) {
        if (!held->key && !judgement->rules.take_rewritten && !judgement->rules.drop_cache)
            look_at_last(judgement, &item->free, step, layer, value);
        return;
    }
    double *known = held->key ? NULL : prefix_without_table(judgement, &frame, tensor, layer, value);
    double *rows = qc_frame_rows(&frame, known ? known : value ? held->value : held->key);
    free(known);
    if (frame.rows == frame.room)
        qc_look_at_axes(&item->free, tensor, rows, judgement);
    else
        look_at_rows(&item->free, tensor, rows, &frame);
    free(rows);
}

/* What is copied may be the expected copy rearranged, or that of another half or layer. */
static void look_for_transform(struct qc_judgement *judgement, int step, const struct qw_cache *cache, int layer, bool value)
{
    const struct qc_cache *recorded = &qc_step_of(judgement, step)->before;
    const struct qw_tensor *tensor = half(judgement, recorded, layer, value);
    struct qc_view *view = &qc_items_at(&judgement->items, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer)->free;
    if (judgement->light || view->kind != QC_VALUE || !tensor)
        return;
    struct qc_frame frame = qc_frame_of(judgement->subject, recorded, layer, &cache->layer[layer]);
    double *rows = qc_frame_rows(&frame, value ? cache->layer[layer].value : cache->layer[layer].key);
    qc_look_for_transform(view, tensor, rows, frame.layout == QW_LAYOUT_BKSD ? "B K S D" : "B S K D", 0);
    if (!view->transform.id)
        qc_transform_find_other(&view->transform, tensor, cache, layer, value, 0);
    free(rows);
}

void qc_judge_before(struct qc_judgement *judgement, int step, const struct qw_cache *cache)
{
    const struct qc_cache *recorded = &qc_step_of(judgement, step)->before;
    int64_t length = qw_cache_length(cache);
    struct qc_item *type = qc_items_at(&judgement->items, QW_SITE_BEFORE_TYPE, step, -1);
    struct qc_item *rows = qc_items_at(&judgement->items, QW_SITE_BEFORE_LENGTH, step, -1);
    type->expected = rows->expected = true;
    look_at_type(judgement, type, &type->free, recorded, length);
    look_at_length(rows, &rows->free, recorded, length);
    for (int layer = 0; layer < cache->layers; layer++)
        for (int value = 0; value < 2; value++) {
            judge_half_before(judgement, step, &cache->layer[layer], layer, value);
            look_for_transform(judgement, step, cache, layer, value);
        }
}

static void judge_half_handed_back(struct qc_judgement *judgement, int step, int64_t length, int layer, bool value)
{
    const struct qw_tensor *left = half(judgement, &qc_step_of(judgement, step - 1)->after, layer, value);
    const struct qw_tensor *before = half(judgement, &qc_step_of(judgement, step)->before, layer, value);
    struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer);
    if (!left && !before)
        return;
    struct qw_tensor *after = left ? taken_up(judgement, step, left, length, layer) : NULL;
    struct qw_shape nothing = qw_shape_of(4, (int64_t)0, (int64_t)0, (int64_t)0, (int64_t)0);
    look_at_half(item, &item->isolated, before, after ? &after->shape : &nothing);
    qc_look_at_dtype(&item->isolated, before, judgement);
    look_at_last(judgement, &item->isolated, step, layer, value);
    qw_tensor_free(after);
}

void qc_judge_handed_back(struct qc_judgement *judgement, int step)
{
    const struct qc_cache *after = &qc_step_of(judgement, step - 1)->after, *before = &qc_step_of(judgement, step)->before;
    if (!after->present)
        return;
    struct qc_item *type = qc_items_at(&judgement->items, QW_SITE_BEFORE_TYPE, step, -1);
    struct qc_item *rows = qc_items_at(&judgement->items, QW_SITE_BEFORE_LENGTH, step, -1);
    int64_t length = rows_taken_up(judgement, step);
    look_at_type(judgement, type, &type->isolated, before, length);
    look_at_length(rows, &rows->isolated, before, length);
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++)
            judge_half_handed_back(judgement, step, length, layer, value);
}

/* Rows that were handed in come out as they were. */
static void look_at_history(struct qc_judgement *judgement, struct qc_view *view, int step, int layer, bool value)
{
    const struct qc_step *recorded = qc_step_of(judgement, step);
    const struct qw_tensor *old = half(judgement, &recorded->before, layer, value);
    const struct qw_tensor *now = half(judgement, &recorded->after, layer, value);
    struct qw_cache_layer was = qc_frame_layer(judgement->subject, &recorded->before, layer);
    struct qw_cache_layer is = qc_frame_layer(judgement->subject, &recorded->after, layer);
    if (view->kind != QC_KIND_NONE || !old || !now || !old->data || !now->data || was.length > is.length || !was.length ||
        was.heads != is.heads || was.head_size != is.head_size || old->shape.rank != 4)
        return;
    struct qc_frame from = qc_frame_of(judgement->subject, &recorded->before, layer, &was);
    struct qc_frame in = qc_frame_of(judgement->subject, &recorded->after, layer, &is);
    double *values = qc_frame_values(&from, old);
    from.rows -= in.first - from.first; /* a layer that slides let go of its first */
    from.first = in.first;
    double *rows = from.rows > 0 ? qc_frame_rows(&from, values) : NULL;
    in.rows = from.rows > 0 ? from.rows : 0;
    look_at_rows(view, now, rows, &in);
    view->valued = view->kind != QC_KIND_NONE; /* the rows behind them are still to be judged */
    free(values);
    free(rows);
}

static void judge_half_after(struct qc_judgement *judgement, int step, int64_t length, int layer, bool value, bool isolated)
{
    const struct qw_config *config = &judgement->subject->model.config;
    const struct qc_cache *recorded = &qc_step_of(judgement, step)->after;
    const struct qw_tensor *tensor = half(judgement, recorded, layer, value);
    struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_AFTER_VALUE : QW_SITE_AFTER_KEY, step, layer);
    struct qc_view *view = isolated ? &item->isolated : &item->free;
    struct qw_cache_layer held = {config->kv_heads, length, config->head_size, NULL, NULL, 0};
    struct qc_frame frame = qc_frame_of(judgement->subject, recorded, layer, &held);
    struct qw_shape shape = qc_frame_shape(&frame);
    item->expected = true;
    look_at_half(item, view, tensor, &shape);
    qc_look_at_dtype(view, tensor, judgement);
    if (isolated)
        look_at_history(judgement, view, step, layer, value);
}

void qc_judge_after(struct qc_judgement *judgement, int step, int64_t length, bool isolated)
{
    const struct qw_config *config = &judgement->subject->model.config;
    const struct qc_step *recorded = qc_step_of(judgement, step);
    if (recorded->raised || length < 0)
        return;
    struct qc_item *type = qc_items_at(&judgement->items, QW_SITE_AFTER_TYPE, step, -1);
    struct qc_item *rows = qc_items_at(&judgement->items, QW_SITE_AFTER_LENGTH, step, -1);
    type->expected = rows->expected = true;
    look_at_type(judgement, type, isolated ? &type->isolated : &type->free, &recorded->after, length);
    look_at_length(rows, isolated ? &rows->isolated : &rows->free, &recorded->after, length);
    for (int layer = 0; layer < config->layers; layer++)
        for (int value = 0; value < 2; value++)
            judge_half_after(judgement, step, length, layer, value, isolated);
}
