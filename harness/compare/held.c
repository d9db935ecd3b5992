/* Invariant: the play keeps [B,heads,S,D]; what the record holds is brought into that form here and nowhere else. */
#include "harness/compare/held.h"

#include <stdlib.h>
#include <string.h>

#include "harness/invariants/look.h"
#include "harness/invariants/structure.h"
#include "reference/base/memory.h"

static bool fits(const struct qw_tensor *tensor, const struct qw_cache_layer *held, int64_t batch)
{
    struct qw_shape shape = qw_shape_of(4, batch, held->heads, held->length, held->head_size);
    return tensor && qw_shape_equal(&tensor->shape, &shape);
}

/* Rows that were there before must come back as they were: [B,heads,S,D] with the first `old` of S rows. */
static double *old_rows(const double *values, const struct qw_cache_layer *held, int64_t batch, int64_t old)
{
    int64_t D = held->head_size, S = held->length;
    double *rows = QW_NEW_ARRAY(double, batch * held->heads * old * D);
    for (int64_t i = 0; i < batch * held->heads; i++)
        memcpy(rows + i * old * D, values + i * S * D, sizeof *rows * (size_t)(old * D));
    return rows;
}

static struct qc_difference compare_old_rows(const struct qw_tensor *tensor, const double *truth,
                                             const struct qw_cache_layer *held, int64_t batch, int64_t old, double roundoff)
{
    if (!tensor->data || !old)
        return (struct qc_difference){0};
    double *recorded = qw_tensor_doubles(tensor);
    double *was = old_rows(truth, held, batch, old), *is = old_rows(recorded, held, batch, old);
    free(recorded);
    int64_t D = held->head_size, S = held->length;
    struct qc_difference found = qc_difference_of(is, was, NULL, batch * held->heads * old * D, 0, roundoff);
    int64_t row = found.index / D;
    found.index = ((row / old) * S + row % old) * D + found.index % D;
    free(was);
    free(is);
    return found;
}

/* Holds one half of one layer of a recorded cache against the play's.  `old`: rows that are copies in this view, so that
 * they must be equal to the bit. */
static void compare_half(struct qc_judgement *judgement, struct qc_view *view, const struct qc_cache *cache, int layer,
                         bool value, const struct qc_play *play, int64_t old)
{
    const struct qw_cache_layer *t = &play->truth.layer[layer];
    const struct qw_tensor *tensor = layer < cache->layers ? (value ? cache->layer[layer].value : cache->layer[layer].key) : NULL;
    if (!qc_view_open(view) || !fits(tensor, t, play->truth.batch))
        return;
    double roundoff = qc_subject_roundoff(judgement->subject), *envelope = qc_play_envelope(play, layer, value);
    const double *truth = value ? t->value : t->key;
    qc_envelope_store(envelope, truth, play->truth.batch * t->heads * t->length * t->head_size,
                      qc_storage_roundoff(judgement->subject, tensor));
    struct qc_difference found;
    if (qc_difference_of_tensor(&found, tensor, truth, envelope, 1, roundoff)) {
        struct qc_difference kept = compare_old_rows(tensor, truth, t, play->truth.batch, old, roundoff);
        qc_view_note(view, qc_conforms(kept.ratio) ? &found : &kept, QC_VALUE);
    }
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

/* Fills a cache with what the record says was handed in; false when that cannot be played. */
static bool fill_from_record(struct qw_cache *cache, const struct qc_cache *recorded)
{
    if (qc_cache_rows(recorded) == 0)
        return true;
    if (recorded->layers != cache->layers)
        return false;
    for (int layer = 0; layer < recorded->layers; layer++) {
        const struct qw_tensor *key = recorded->layer[layer].key, *value = recorded->layer[layer].value;
        if (!key || !value || !key->data || !value->data || key->shape.rank != 4 || !qw_shape_equal(&key->shape, &value->shape) ||
            key->shape.dim[0] != cache->batch)
            return false;
        double *keys = qw_tensor_doubles(key), *values = qw_tensor_doubles(value);
        qw_cache_fill(cache, layer, keys, values, key->shape.dim[1], key->shape.dim[2], key->shape.dim[3]);
        free(keys);
        free(values);
    }
    return true;
}

bool qc_held_fill(struct qc_play *play, const struct qc_cache *recorded)
{
    bool filled = fill_from_record(&play->truth, recorded);
    for (int i = 0; filled && i < QC_NOISE_PLAYS; i++)
        filled = fill_from_record(&play->played[i], recorded);
    return filled;
}
