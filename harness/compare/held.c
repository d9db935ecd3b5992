/* Invariant: a half of a layer is compared in the record's own order of axes. */
#include "harness/compare/held.h"

#include <stdlib.h>
#include <string.h>

#include "harness/compare/frame.h"
#include "harness/compare/light.h"
#include "harness/invariants/look.h"
#include "harness/invariants/structure.h"

/* How the rows of a recorded half differ from the truth's. */
static bool difference_of(struct qc_difference *found, const struct qc_frame *frame, const struct qw_tensor *tensor,
                          const double *truth, const double *envelope, double roundoff)
{
    if (frame->rows == frame->room)
        return qc_difference_of_tensor(found, tensor, truth, envelope, 1, roundoff);
    if (!tensor->data)
        return false; /* its statistics are those of the room behind the rows too */
    struct qw_tensor *kept = qc_frame_cut(frame, tensor, 0, frame->rows);
    bool known = qc_difference_of_tensor(found, kept, truth, envelope, 1, roundoff);
    found->index = known && found->index >= 0 ? qc_frame_index(frame, found->index, 0, frame->rows) : -1;
    qw_tensor_free(kept);
    return known;
}

/* Holds one half of one layer of a recorded cache against the play's. */
static void compare_half(struct qc_judgement *judgement, struct qc_item *item, const struct qc_cache *cache, bool isolated,
                         const struct qc_play *play)
{
    int layer = item->layer;
    bool value = item->site == QW_SITE_AFTER_VALUE || item->site == QW_SITE_BEFORE_VALUE;
    struct qc_view *view = isolated ? &item->isolated : &item->free;
    const struct qw_cache_layer *t = &play->truth.layer[layer];
    const struct qw_tensor *tensor = layer < cache->layers ? (value ? cache->layer[layer].value : cache->layer[layer].key) : NULL;
    struct qc_frame frame = qc_frame_of(judgement->subject, cache, layer, t);
    struct qw_shape shape = qc_frame_shape(&frame);
    if (!qc_view_open(view) || !tensor || !qw_shape_equal(&tensor->shape, &shape) || !frame.rows)
        return;
    double roundoff = qc_subject_roundoff(judgement->subject), *spread = qc_play_envelope(play, layer, value);
    double *truth = qc_frame_rows(&frame, value ? t->value : t->key), *envelope = qc_frame_rows(&frame, spread);
    qc_envelope_store(envelope, truth, qw_shape_count(&shape) / frame.room * frame.rows,
                      qc_storage_roundoff(judgement->subject, tensor));
    struct qc_difference found;
    if (difference_of(&found, &frame, tensor, truth, envelope, roundoff)) {
        if (judgement->light)
            qc_light_weigh(judgement->light, &found, item, isolated);
        qc_view_note(view, &found, QC_VALUE);
        if (view->kind == QC_VALUE && frame.rows == frame.room && !judgement->light)
            qc_transform_find(&view->transform, tensor, truth, &shape, frame.layout == QW_LAYOUT_BKSD ? "B K S D" : "B S K D",
                              NULL, found.floor * QC_NOISE_MULTIPLE);
    }
    free(spread);
    free(truth);
    free(envelope);
}

void qc_held_compare_after(struct qc_judgement *judgement, int step, const struct qc_play *play, bool isolated)
{
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++) {
            struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_AFTER_VALUE : QW_SITE_AFTER_KEY, step, layer);
            compare_half(judgement, item, &qc_step_of(judgement, step)->after, isolated, play);
        }
}

void qc_held_compare_before(struct qc_judgement *judgement, int step, const struct qc_play *play)
{
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++) {
            struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer);
            compare_half(judgement, item, &qc_step_of(judgement, step)->before, false, play);
        }
}

/* What a recorded half holds, as the play keeps it; NULL when it cannot be played.  Free with free(). */
static double *values_of(const struct qc_frame *frame, const struct qw_tensor *tensor)
{
    struct qw_shape shape = qc_frame_shape(frame);
    return tensor && tensor->data && qw_shape_equal(&tensor->shape, &shape) ? qc_frame_values(frame, tensor) : NULL;
}

static bool fill_layer(struct qw_cache *cache, const struct qc_subject *subject, const struct qc_cache *recorded, int layer)
{
    const struct qc_cache_layer *given = &recorded->layer[layer];
    if (!given->key || given->key->shape.rank != 4 || given->key->shape.dim[0] != cache->batch)
        return false;
    struct qw_cache_layer held = qc_frame_layer(subject, recorded, layer);
    struct qc_frame frame = qc_frame_of(subject, recorded, layer, &held);
    double *keys = values_of(&frame, given->key), *values = values_of(&frame, given->value);
    bool known = keys && values;
    if (known)
        qw_cache_fill(cache, layer, keys, values, held.heads, held.length, held.head_size);
    free(keys);
    free(values);
    return known;
}

/* Fills a cache with what the record says was handed in; false when that cannot be played. */
static bool fill_from_record(struct qw_cache *cache, const struct qc_subject *subject, const struct qc_cache *recorded)
{
    if (qc_cache_rows(recorded) == 0)
        return true;
    bool known = recorded->layers == cache->layers;
    for (int layer = 0; layer < cache->layers && known; layer++)
        known = fill_layer(cache, subject, recorded, layer);
    return known;
}

bool qc_held_fill(struct qc_play *play, const struct qc_subject *subject, const struct qc_cache *recorded)
{
    bool filled = fill_from_record(&play->truth, subject, recorded);
    for (int i = 0; filled && i < play->plays; i++)
        filled = fill_from_record(&play->played[i], subject, recorded);
    qc_held_let_go(play, subject, recorded);
    return filled;
}

static void let_go(struct qw_cache *cache, const struct qc_subject *subject, const struct qc_cache *recorded)
{
    for (int layer = 0; layer < cache->layers; layer++)
        cache->layer[layer].gone = qc_frame_of(subject, recorded, layer, &cache->layer[layer]).first;
}

void qc_held_let_go(struct qc_play *play, const struct qc_subject *subject, const struct qc_cache *recorded)
{
    let_go(&play->truth, subject, recorded);
    for (int i = 0; i < play->plays; i++)
        let_go(&play->played[i], subject, recorded);
}

/* ---- rows that change after they were written ---- */

/* One half of one layer as recorded, where it can be compared row by row; NULL otherwise. */
static const struct qw_tensor *recorded_half(const struct qc_subject *subject, const struct qc_cache *cache, int layer,
                                             bool value)
{
    const struct qw_tensor *tensor = layer >= cache->layers ? NULL : value ? cache->layer[layer].value : cache->layer[layer].key;
    struct qw_cache_layer held = qc_frame_layer(subject, cache, layer);
    struct qc_frame frame = qc_frame_of(subject, cache, layer, &held);
    struct qw_shape shape = qc_frame_shape(&frame);
    return tensor && tensor->data && qw_shape_equal(&tensor->shape, &shape) ? tensor : NULL;
}

/* Where `now` differs from `was`, [B,heads,rows,D] of each, its rows go into `to`, [B,heads,S,D]. */
static void take_half(double *to, const struct qw_cache_layer *into, const double *was, int64_t was_rows, const double *now,
                      int64_t now_rows, int64_t batch)
{
    int64_t D = into->head_size, rows = was_rows < now_rows ? was_rows : now_rows;
    for (int64_t i = 0; i < batch * into->heads; i++)
        for (int64_t s = 0; s < rows && s < into->length; s++) {
            const double *row = now + (i * now_rows + s) * D;
            if (memcmp(row, was + (i * was_rows + s) * D, sizeof *row * (size_t)D))
                memcpy(to + (i * into->length + s) * D, row, sizeof *row * (size_t)D);
        }
}

/* Takes over what changed from one recorded cache to the next, in one cache of the play. */
static void take_changes(struct qw_cache *into, const struct qc_subject *subject, const struct qc_cache *from,
                         const struct qc_cache *to)
{
    for (int layer = 0; layer < into->layers; layer++)
        for (int value = 0; value < 2; value++) {
            struct qw_cache_layer *held = &into->layer[layer], was = qc_frame_layer(subject, from, layer),
                                  now = qc_frame_layer(subject, to, layer);
            struct qc_frame was_in = qc_frame_of(subject, from, layer, &was), now_in = qc_frame_of(subject, to, layer, &now);
            const struct qw_tensor *old = recorded_half(subject, from, layer, value),
                                   *new = recorded_half(subject, to, layer, value);
            if (!old || !new || !held->key || was.heads != held->heads || now.heads != held->heads ||
                was.head_size != held->head_size || now.head_size != held->head_size)
                continue;
            double *before = qc_frame_values(&was_in, old), *after = qc_frame_values(&now_in, new);
            take_half(value ? held->value : held->key, held, before, was.length, after, now.length, into->batch);
            free(before);
            free(after);
        }
}

void qc_held_take_rewritten(struct qc_play *play, const struct qc_judgement *judgement, int step)
{
    if (step == 0 || step >= judgement->subject->recording->steps)
        return;
    const struct qc_step *last = qc_step_of(judgement, step - 1), *next = qc_step_of(judgement, step);
    const struct qc_cache *stage[] = {&last->before, &last->after, &next->before};
    for (int i = 0; i < 2; i++) {
        take_changes(&play->truth, judgement->subject, stage[i], stage[i + 1]);
        for (int k = 0; k < play->plays; k++)
            take_changes(&play->played[k], judgement->subject, stage[i], stage[i + 1]);
    }
}
