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
    if (view->valued && view->difference.index >= 0)
        view->difference.index = qc_frame_index(frame, view->difference.index, 0, frame->rows);
    qw_tensor_free(kept);
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
    if (qw_protocol_turn(&judgement->subject->call, step).first > 0)
        return;
    double *rows = qc_frame_rows(&frame, value ? held->value : held->key);
    if (frame.rows == frame.room)
        qc_look_at_axes(&item->free, tensor, rows);
    else
        look_at_rows(&item->free, tensor, rows, &frame);
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
        for (int value = 0; value < 2; value++)
            judge_half_before(judgement, step, &cache->layer[layer], layer, value);
}

/* Without elements, the digests tell whether two tensors of one file are the same. */
static void look_at_digest(struct qc_view *view, const struct qw_tensor *tensor, const struct qw_tensor *same)
{
    if (view->kind != QC_KIND_NONE || !tensor || !same || !tensor->stats || !same->stats || !tensor->stats->sha256[0])
        return;
    if (strcmp(tensor->stats->sha256, same->stats->sha256))
        view->kind = QC_VALUE;
}

static void judge_half_handed_back(struct qc_judgement *judgement, int step, int64_t length, int layer, bool value)
{
    const struct qw_tensor *left = half(judgement, &qc_step_of(judgement, step - 1)->after, layer, value);
    const struct qw_tensor *before = half(judgement, &qc_step_of(judgement, step)->before, layer, value);
    struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer);
    if (!left && !before)
        return;
    struct qw_tensor *after = left ? qc_call_taken_up(judgement->subject, step, left, length) : NULL;
    struct qw_shape nothing = qw_shape_of(4, (int64_t)0, (int64_t)0, (int64_t)0, (int64_t)0);
    look_at_half(item, &item->isolated, before, after ? &after->shape : &nothing);
    qc_look_at_dtype(&item->isolated, before, judgement);
    if (after && after->data) {
        double *expected = qw_tensor_doubles(after);
        qc_look_at_axes(&item->isolated, before, expected);
        free(expected);
    } else if (!judgement->subject->call.turn) {
        look_at_digest(&item->isolated, before, left);
    }
    qw_tensor_free(after);
}

void qc_judge_handed_back(struct qc_judgement *judgement, int step)
{
    const struct qc_cache *after = &qc_step_of(judgement, step - 1)->after, *before = &qc_step_of(judgement, step)->before;
    if (!after->present)
        return;
    struct qc_item *type = qc_items_at(&judgement->items, QW_SITE_BEFORE_TYPE, step, -1);
    struct qc_item *rows = qc_items_at(&judgement->items, QW_SITE_BEFORE_LENGTH, step, -1);
    int64_t length = qc_cache_rows(after), handed = qc_cache_rows(before);
    if (qc_way_of(judgement->subject->recording) == QC_WAY_CANDIDATES && handed < length)
        length = handed; /* what was not accepted was taken back; how much, the free view judges */
    look_at_type(judgement, type, &type->isolated, before, length);
    look_at_length(rows, &rows->isolated, before, length);
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++)
            judge_half_handed_back(judgement, step, length, layer, value);
}

static void judge_half_after(struct qc_judgement *judgement, int step, int64_t length, int layer, bool value, bool isolated)
{
    const struct qw_config *config = &judgement->subject->model.config;
    const struct qc_cache *recorded = &qc_step_of(judgement, step)->after;
    const struct qw_tensor *tensor = half(judgement, recorded, layer, value);
    struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_AFTER_VALUE : QW_SITE_AFTER_KEY, step, layer);
    struct qc_view *view = isolated ? &item->isolated : &item->free;
    struct qw_cache_layer held = {config->kv_heads, length, config->head_size, NULL, NULL};
    struct qc_frame frame = qc_frame_of(judgement->subject, recorded, layer, &held);
    struct qw_shape shape = qc_frame_shape(&frame);
    item->expected = true;
    look_at_half(item, view, tensor, &shape);
    qc_look_at_dtype(view, tensor, judgement);
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
