/* Invariant: the free play sees nothing of the record but the call and the generated tokens. */
#include "harness/compare/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/replay.h"
#include "harness/invariants/structure.h"
#include "reference/base/memory.h"

static const struct qc_step *recorded_step(const struct qc_judgement *judgement, int step)
{
    const struct qc_recording *recording = judgement->subject->recording;
    return step < recording->steps ? &recording->step[step] : NULL;
}

/* ---- the cache after a step ---- */

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

static void compare_after(struct qc_judgement *judgement, int step, const struct qc_play *play, int64_t old, bool isolated)
{
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++) {
            struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_AFTER_VALUE : QW_SITE_AFTER_KEY, step, layer);
            compare_half(judgement, isolated ? &item->isolated : &item->free, &recorded_step(judgement, step)->after, layer,
                         value, play, old);
        }
}

/* The cache that the free play hands over, against the one that was handed over. */
static void compare_before(struct qc_judgement *judgement, int step, const struct qc_play *play)
{
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++) {
            struct qc_item *item = qc_items_at(&judgement->items, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer);
            compare_half(judgement, &item->free, &recorded_step(judgement, step)->before, layer, value, play, 0);
        }
}

/* ---- the free view ---- */

static bool cache_is_known(const struct qw_cache *cache)
{
    for (int64_t i = 0; i < cache->layers; i++)
        if (cache->layer[i].length && !cache->layer[i].key)
            return false;
    return true;
}

/* Logits rows that the library computed: as many as it says, or all where it has all of its own positions. */
static int64_t logits_rows(const struct qc_step *recorded, int64_t own, int64_t queries)
{
    const struct qc_tap *tap = recorded ? qc_step_tap(recorded, "lm_head") : NULL;
    int64_t rows = tap && qc_tap_shape(tap)->rank == 3 ? qc_tap_shape(tap)->dim[1] : 1;
    return rows == own || rows > queries || rows < 1 ? queries : rows;
}

/* Positions that the recorded step was given; -1 when it does not say. */
static int64_t recorded_queries(const struct qc_step *recorded)
{
    const struct qw_tensor *ids = recorded ? recorded->input[QC_INPUT_IDS] : NULL;
    const struct qw_tensor *embeds = recorded ? recorded->input[QC_INPUTS_EMBEDS] : NULL;
    const struct qw_tensor *given = embeds ? embeds : ids;
    return given && given->shape.rank >= 2 ? given->shape.dim[1] : -1;
}

/* Without values only the lengths go on. */
static void advance_structure(struct qw_cache *cache, const struct qw_config *config, int64_t queries)
{
    for (int64_t i = 0; i < cache->layers; i++) {
        free(cache->layer[i].key);
        free(cache->layer[i].value);
        cache->layer[i] = (struct qw_cache_layer){config->kv_heads, cache->layer[i].length + queries, config->head_size, NULL,
                                                  NULL};
    }
}

static int first_misfit(const struct qw_cache *cache, const struct qw_config *config)
{
    for (int layer = 0; layer < cache->layers; layer++)
        if (!qw_cache_joins(cache, layer, config->kv_heads, config->head_size))
            return layer;
    return -1;
}

/* Plays one step by value, or lets only the lengths go on where values are not known. */
static void play_step(struct qc_judgement *judgement, int step, struct qc_play *play, const struct qw_handover *handover,
                      int64_t rows)
{
    const struct qw_config *config = &judgement->subject->model.config;
    int misfit = first_misfit(&play->truth, config);
    if (misfit >= 0)
        judgement->stop = (struct qc_stop){true, step, misfit};
    play->alive = play->alive && cache_is_known(&play->truth) && (handover->input_ids || handover->inputs_embeds);
    if (play->alive && recorded_step(judgement, step)) {
        struct qc_replay replay = {judgement, step, false, handover, play, rows};
        qc_replay_run(&replay, &judgement->stop);
    } else {
        enum qw_short_mask mask = qw_mask_treatment(&judgement->rules, handover, qw_cache_length(&play->truth));
        if (mask == QW_SHORT_RAISES_IN_MODEL || (mask == QW_SHORT_RAISES_IN_ATTENTION && misfit < 0))
            judgement->stop = (struct qc_stop){true, step, mask == QW_SHORT_RAISES_IN_MODEL ? -1 : 0};
        play->alive = false;
        advance_structure(&play->truth, config, handover->queries);
    }
}

/* Brings the caches of the other plays into the state in which this step hands them over. */
static void hand_over_to_plays(const struct qc_judgement *judgement, int step, struct qc_play *play)
{
    const struct qc_subject *subject = judgement->subject;
    for (int i = 0; i < QC_NOISE_PLAYS; i++) {
        struct qw_handover twin = qw_protocol_hand_over(&play->played[i], &subject->call, &subject->adapter, &subject->model,
                                                        &judgement->rules, step);
        qw_handover_clear(&twin);
    }
}

static void judge_freely(struct qc_judgement *judgement, int step, struct qc_play *play)
{
    const struct qc_subject *subject = judgement->subject;
    const struct qc_step *recorded = recorded_step(judgement, step);
    struct qw_handover handover = qw_protocol_hand_over(&play->truth, &subject->call, &subject->adapter, &subject->model,
                                                        &judgement->rules, step);
    hand_over_to_plays(judgement, step, play);
    int64_t past = qw_cache_length(&play->truth), own = recorded_queries(recorded);
    int64_t rows = logits_rows(recorded, own, handover.queries);
    struct qc_extents extents = {handover.queries, past, rows, handover.embeds};
    qc_judge_received(judgement, step, &handover);
    qc_judge_before(judgement, step, &play->truth);
    qc_judge_taps(judgement, step, &extents, false);
    qc_judge_after(judgement, step, subject->call.use_cache ? past + handover.queries : -1, false);
    judgement->expected_lengths[step] = subject->call.use_cache ? past + handover.queries : 0;
    if (play->alive && recorded && step > 0 && subject->call.use_cache)
        compare_before(judgement, step, play);
    play_step(judgement, step, play, &handover, rows);
    if (play->alive && recorded && !judgement->stop.stopped && subject->call.use_cache)
        compare_after(judgement, step, play, 0, false);
    qw_handover_clear(&handover);
}

/* ---- the isolated view ---- */

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

static bool fill_play_from_record(struct qc_play *play, const struct qc_cache *recorded)
{
    bool filled = fill_from_record(&play->truth, recorded);
    for (int i = 0; filled && i < QC_NOISE_PLAYS; i++)
        filled = fill_from_record(&play->played[i], recorded);
    return filled;
}

/* Position of row b, index i: as position_ids state it, else as cache_position does, else past + index. */
static int64_t given_position(const struct qc_step *recorded, int64_t B, int64_t q, int64_t past, int64_t b, int64_t i)
{
    const struct qw_tensor *ids = recorded->input[QC_POSITION_IDS], *slots = recorded->input[QC_CACHE_POSITION];
    bool stated = ids && ids->data && ids->shape.rank == 2 && ids->shape.dim[1] == q &&
                  (ids->shape.dim[0] == B || ids->shape.dim[0] == 1);
    if (stated)
        return (int64_t)qw_tensor_at(ids, ids->shape.dim[0] == 1 ? i : b * q + i);
    return slots && slots->data && slots->shape.rank == 1 && slots->shape.dim[0] == q ? (int64_t)qw_tensor_at(slots, i)
                                                                                      : past + i;
}

static int64_t *given_positions(const struct qc_step *recorded, int64_t B, int64_t q, int64_t past)
{
    int64_t *position = QW_NEW_ARRAY(int64_t, B * q);
    for (int64_t i = 0; i < B * q; i++)
        position[i] = given_position(recorded, B, q, past, i / q, i % q);
    return position;
}

/* What the record says was handed over; false when it cannot be played (absent, without data, a mask of four axes). */
static bool given_handover(struct qw_handover *handover, const struct qc_subject *subject, const struct qc_step *recorded)
{
    const struct qw_tensor *ids = recorded->input[QC_INPUT_IDS], *embeds = recorded->input[QC_INPUTS_EMBEDS];
    const struct qw_tensor *mask = recorded->input[QC_ATTENTION_MASK], *given = embeds ? embeds : ids;
    int64_t B = subject->call.batch;
    *handover = (struct qw_handover){.batch = B, .queries = recorded_queries(recorded), .embeds = embeds != NULL};
    if (!given || !given->data || given->shape.dim[0] != B || given->shape.rank != (embeds ? 3 : 2) || handover->queries < 1 ||
        (embeds && embeds->shape.dim[2] != subject->model.config.hidden) || (!embeds && ids->dtype != QW_I64) ||
        (mask && (!mask->data || mask->shape.rank != 2 || mask->shape.dim[0] != B)))
        return false;
    if (embeds)
        handover->inputs_embeds = qw_tensor_doubles(embeds);
    else
        handover->input_ids = qw_memdup(ids->data, (size_t)qw_shape_count(&ids->shape), sizeof(int64_t));
    handover->mask = mask ? qw_tensor_doubles(mask) : NULL;
    handover->mask_length = mask ? mask->shape.dim[1] : 0;
    handover->position = given_positions(recorded, B, handover->queries, qc_cache_rows(&recorded->before));
    handover->origin = QW_NEW_ARRAY(enum qw_origin, handover->queries);
    return true;
}

static void judge_isolated(struct qc_judgement *judgement, int step)
{
    const struct qc_subject *subject = judgement->subject;
    const struct qc_step *recorded = recorded_step(judgement, step);
    struct qc_play play = qc_play_make(judgement->subject);
    struct qw_handover handover;
    int64_t past = qc_cache_rows(&recorded->before), queries = recorded_queries(recorded);
    struct qc_extents extents = {queries, past, logits_rows(recorded, queries, queries),
                                 recorded->input[QC_INPUTS_EMBEDS] != NULL};
    if (step > 0 && subject->call.use_cache)
        qc_judge_handed_back(judgement, step);
    if (queries > 0) {
        qc_judge_taps(judgement, step, &extents, true);
        qc_judge_after(judgement, step, subject->call.use_cache ? past + queries : -1, true);
    }
    if (given_handover(&handover, subject, recorded) && play.alive && fill_play_from_record(&play, &recorded->before)) {
        struct qc_replay replay = {judgement, step, true, &handover, &play, extents.rows};
        struct qc_stop stop;
        if (qc_replay_run(&replay, &stop) && subject->call.use_cache)
            compare_after(judgement, step, &play, past, true);
    }
    qw_handover_clear(&handover);
    qc_play_clear(&play);
}

/* ---- the whole ---- */

/* Whether the run raised in the module at which the play cannot go on. */
static bool predicts_raise(const struct qc_judgement *judgement)
{
    const struct qc_recording *recording = judgement->subject->recording;
    const struct qc_stop *stop = &judgement->stop;
    char path[64];
    snprintf(path, sizeof path, "model.layers.%d.self_attn", stop->layer);
    bool there = stop->layer < 0 ? !strcmp(recording->raised_at, "model") : !strncmp(recording->raised_at, path, strlen(path));
    return recording->raised && stop->stopped && stop->step == recording->steps - 1 && recording->step[stop->step].raised &&
           there && qc_taps_end_at(judgement, stop);
}

static void note_steps_beyond(struct qc_judgement *judgement, int first)
{
    for (int step = first; step < judgement->subject->recording->steps; step++) {
        struct qc_item *item = qc_items_at(&judgement->items, QW_SITE_INPUT_IDS, step, -1);
        item->recorded = item->free.looked = true;
        item->free.kind = QC_EXTRA;
    }
}

/* A raise is a difference of its own only when nothing before it differs. */
static void note_raise(struct qc_judgement *judgement)
{
    const struct qc_recording *recording = judgement->subject->recording;
    bool inside = recording->steps > 0 && recording->step[recording->steps - 1].raised;
    int step = recording->steps == 0 ? -1 : inside ? recording->steps - 1 : recording->steps;
    struct qc_item *item = qc_items_at(&judgement->items, QW_SITE_CALL, step, -1);
    item->recorded = item->free.looked = true;
    item->free.kind = QC_RAISED;
    item->expected = recording->steps == 0;
}

void qc_judge(struct qc_judgement *judgement, const struct qc_subject *subject, const struct qw_rules *rules, bool isolated)
{
    int recorded = subject->recording->steps, expected = (int)qw_protocol_steps(&subject->call);
    int played = subject->recording->raised && recorded < expected ? recorded : expected;
    int steps = recorded > played ? recorded : played;
    *judgement = (struct qc_judgement){.subject = subject, .rules = *rules, .steps = steps, .consequence.first_flip = -1};
    judgement->items = qc_items_make(steps + 1, (int)subject->model.config.layers);
    judgement->expected_lengths = QW_NEW_ARRAY(int64_t, steps);
    struct qc_play play = qc_play_make(judgement->subject);
    qc_judge_prompt(judgement);
    for (int step = 0; step < played; step++) {
        if (!judgement->stop.stopped)
            judge_freely(judgement, step, &play);
        if (isolated && step < recorded)
            judge_isolated(judgement, step);
    }
    judgement->values = play.alive || judgement->consequence.compared > 0;
    note_steps_beyond(judgement, played);
    judgement->raise_predicted = predicts_raise(judgement);
    if (subject->recording->raised && !judgement->raise_predicted)
        note_raise(judgement);
    qc_items_order(&judgement->items);
    qc_items_select(&judgement->items, &subject->selection);
    qc_play_clear(&play);
}

void qc_judgement_clear(struct qc_judgement *judgement)
{
    qc_items_clear(&judgement->items);
    free(judgement->expected_lengths);
    *judgement = (struct qc_judgement){0};
}

double qc_judgement_energy(const struct qc_judgement *judgement)
{
    double energy = 0;
    for (int i = 0; i < judgement->items.count; i++)
        energy += qc_item_energy(judgement->items.ordered[i]);
    return energy;
}

const struct qc_item *qc_judgement_first(const struct qc_judgement *judgement)
{
    const struct qc_item *inherited = NULL, *raised = NULL;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        if (item->free.kind == QC_RAISED)
            raised = item;
        else if (qc_item_fails(item))
            return item;
        else if (!inherited && qc_item_status(item) == QC_INHERITED)
            inherited = item;
    }
    return inherited ? inherited : raised;
}
