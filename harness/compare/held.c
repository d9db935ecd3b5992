/* Invariant: a half of a layer is compared in the record's own order of axes. */
#include "harness/compare/held.h"

#include <stdlib.h>

#include "harness/compare/frame.h"
#include "harness/invariants/look.h"
#include "harness/invariants/structure.h"

/* How the first `count` rows of a recorded half differ from the truth's; copies where no envelope is given. */
static bool difference_of(struct qc_difference *found, const struct qc_frame *frame, const struct qw_tensor *tensor,
                          const double *truth, const double *envelope, int64_t count, double roundoff)
{
    if (count == frame->room)
        return qc_difference_of_tensor(found, tensor, truth, envelope, envelope ? 1 : 0, roundoff);
    if (!tensor->data)
        return false; /* its statistics are those of the room behind the rows too */
    struct qw_tensor *kept = qc_frame_cut(frame, tensor, 0, count);
    bool known = qc_difference_of_tensor(found, kept, truth, envelope, envelope ? 1 : 0, roundoff);
    found->index = known && found->index >= 0 ? qc_frame_index(frame, found->index, 0, count) : -1;
    qw_tensor_free(kept);
    return known;
}

/* Rows that were there before must come back as they were. */
static bool old_difference_of(struct qc_difference *found, const struct qc_frame *frame, const struct qw_tensor *tensor,
                              const double *values, int64_t old, double roundoff)
{
    struct qc_frame was = *frame;
    was.rows = old - frame->first;
    if (!tensor->data || was.rows <= 0)
        return false;
    double *rows = qc_frame_rows(&was, values);
    bool known = difference_of(found, frame, tensor, rows, NULL, was.rows, roundoff);
    free(rows);
    return known;
}

/* Holds one half of one layer of a recorded cache against the play's.  `old`: rows that are copies in this view, so that
 * they must be equal to the bit. */
static void compare_half(struct qc_judgement *judgement, struct qc_view *view, const struct qc_cache *cache, int layer,
                         bool value, const struct qc_play *play, int64_t old)
{
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
    struct qc_difference found, kept;
    if (difference_of(&found, &frame, tensor, truth, envelope, frame.rows, roundoff)) {
        bool changed = old_difference_of(&kept, &frame, tensor, value ? t->value : t->key, old, roundoff) &&
                       !qc_conforms(kept.ratio);
        qc_view_note(view, changed ? &kept : &found, QC_VALUE);
        if (view->kind == QC_VALUE && !changed && frame.rows == frame.room)
            qc_transform_find(&view->transform, tensor, truth, &shape, frame.layout == QW_LAYOUT_BKSD ? "B K S D" : "B S K D",
                              NULL, found.floor * QC_NOISE_MULTIPLE);
    }
    free(spread);
    free(truth);
    free(envelope);
}

void qc_held_compare_after(struct qc_judgement *judgement, int step, const struct qc_play *play, int64_t old, bool isolated)
{
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++) {
            struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_AFTER_VALUE : QW_SITE_AFTER_KEY, step, layer);
            compare_half(judgement, isolated ? &item->isolated : &item->free, &qc_step_of(judgement, step)->after, layer, value,
                         play, old);
        }
}

void qc_held_compare_before(struct qc_judgement *judgement, int step, const struct qc_play *play)
{
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++) {
            struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer);
            compare_half(judgement, &item->free, &qc_step_of(judgement, step)->before, layer, value, play, 0);
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
    for (int i = 0; filled && i < QC_NOISE_PLAYS; i++)
        filled = fill_from_record(&play->played[i], subject, recorded);
    return filled;
}
