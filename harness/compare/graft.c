/* Invariant: but for the one tensor, a grafted play is the healthy play. */
#include "harness/compare/graft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/frame.h"
#include "harness/compare/held.h"
#include "harness/compare/recorded.h"
#include "reference/base/memory.h"

/* The healthy play of one step, as far as grafts go on from it. */
struct stem {
    const struct qc_judgement *healthy;
    int step;
    const struct qw_handover *handover;
    const struct qw_cache *before; /* as handed over */
    double **entering;             /* [L + 1]: the residual stream before each block, [B,q,d], and behind the last */
    double *logits;                /* [B,V] of the last position */
};

static const struct qc_subject *subject_of(const struct stem *stem) { return stem->healthy->subject; }
static const struct qw_config *config_of(const struct stem *stem) { return &subject_of(stem)->model.config; }

/* ---- what is grafted ---- */

static void add(struct qc_grafts *grafts, const struct qc_item *item)
{
    if (!qc_grafts_at(grafts, item->site, item->step, item->layer))
        grafts->graft[grafts->count++] = (struct qc_graft){item->site, item->step, item->layer, false, 0, (double)NAN, true};
}

const struct qc_graft *qc_grafts_at(const struct qc_grafts *grafts, enum qw_site site, int step, int layer)
{
    for (int i = 0; i < grafts->count; i++)
        if (grafts->graft[i].site == site && grafts->graft[i].step == step && grafts->graft[i].layer == layer)
            return &grafts->graft[i];
    return NULL;
}

static bool can_be_given(enum qw_site site)
{
    enum qw_place place = qw_site_rows[site].place;
    return place != QW_CALL && place != QW_AFTER && site != QW_SITE_BEFORE_TYPE && site != QW_SITE_BEFORE_LENGTH &&
           site != QW_SITE_CACHE_POSITION;
}

static void choose(struct qc_grafts *grafts, const struct qc_judgement *healthy)
{
    const struct qc_items *items = &healthy->items;
    int parts = qc_judgement_first(healthy)->step, stride = (items->layers + QC_GRAFTED_BLOCKS - 1) / QC_GRAFTED_BLOCKS;
    for (int i = 0; i < items->count && grafts->count < QC_GRAFTS; i++)
        if (qc_item_fails(items->ordered[i]) && items->ordered[i]->recorded && can_be_given(items->ordered[i]->site))
            add(grafts, items->ordered[i]);
    for (int i = 0; i < items->count; i++) {
        const struct qc_item *item = items->ordered[i];
        enum qc_status status = qc_item_status(item);
        if (item->site == QW_SITE_OUTPUT && item->step == parts && (status == QC_DIFFERS || status == QC_INHERITED) &&
            (items->layers - 1 - item->layer) % stride == 0)
            add(grafts, item);
    }
}

/* ---- a play ---- */

/* Where a recorded tap goes in, and what is taken out. */
struct hook {
    const struct qc_tap *tap;
    enum qw_site site;
    int layer;
    bool put;
    double *logits; /* NULL: not wanted */
};

static void see(void *user, enum qw_site site, int layer, double *value, const struct qw_shape *shape)
{
    struct hook *hook = user;
    if (hook->tap && site == hook->site && layer == hook->layer)
        hook->put = qc_recorded_put(value, hook->tap, shape);
    if (site == QW_SITE_LM_HEAD && hook->logits)
        memcpy(hook->logits, value, sizeof *value * (size_t)qw_shape_count(shape));
}

static struct qw_cache copy_of(const struct qw_cache *cache, int first)
{
    struct qw_cache copy = qw_cache_make(cache->layers, cache->batch);
    copy.room = cache->room;
    for (int layer = 0; layer < cache->layers; layer++) {
        const struct qw_cache_layer *held = &cache->layer[layer];
        if (held->length && (layer >= first || layer == 0))
            qw_cache_fill(&copy, layer, held->key, held->value, held->heads, held->length, held->head_size);
        copy.layer[layer].gone = held->gone;
    }
    for (int64_t i = 0; i < cache->origins; i++)
        qw_cache_mark(&copy, cache->origin[i], 1);
    return copy;
}

static int64_t stream_size(const struct stem *stem)
{
    return stem->handover->batch * stem->handover->queries * config_of(stem)->hidden;
}

/* Plays the step from block `first` on, from the stream that enters it; false where the play cannot go on.  `keep`: the
 * streams are kept in `stem`. */
static bool play(struct stem *stem, struct hook *hook, const struct qw_handover *handover, struct qw_cache *cache, int first,
                 bool keep)
{
    int layers = (int)config_of(stem)->layers;
    size_t stream = sizeof(double) * (size_t)stream_size(stem);
    struct qw_pass pass = qw_pass_begin(&subject_of(stem)->model, &qw_f32, &stem->healthy->rules, handover, cache,
                                        (struct qw_tap){see, hook});
    bool goes = qw_pass_enters_blocks(&pass);
    if (first > 0)
        memcpy(pass.hidden, stem->entering[first], stream);
    for (int layer = first; goes && layer <= layers; layer++) {
        if (keep)
            stem->entering[layer] = qw_memdup(pass.hidden, stream / sizeof(double), sizeof(double));
        goes = layer == layers || qw_pass_block(&pass, layer);
    }
    if (goes)
        qw_pass_end(&pass, 1);
    qw_pass_clear(&pass);
    return goes;
}

/* ---- grafts before the blocks ---- */

/* What was handed over in place of the healthy one; the tensor must have data. */
static bool give(struct qw_handover *handover, const struct stem *stem, const struct qc_graft *graft,
                 const struct qw_tensor *tensor)
{
    int64_t B = handover->batch, q = handover->queries, count = qw_shape_count(&tensor->shape), P = tensor->shape.dim[1];
    struct qw_shape tokens = qw_shape_of(2, B, q), once = qw_shape_of(2, (int64_t)1, q),
                    embeds = qw_shape_of(3, B, q, config_of(stem)->hidden);
    switch (graft->site) {
    case QW_SITE_INPUTS_EMBEDS:
        if (!handover->inputs_embeds || !qw_shape_equal(&tensor->shape, &embeds))
            return false;
        qw_tensor_read(handover->inputs_embeds, tensor, 0, count);
        return true;
    case QW_SITE_ADAPTER_PROMPT:
        if (!handover->inputs_embeds || tensor->shape.rank != 3 || tensor->shape.dim[0] != B || P > q ||
            tensor->shape.dim[2] != config_of(stem)->hidden)
            return false;
        for (int64_t b = 0; b < B; b++)
            qw_tensor_read(handover->inputs_embeds + b * q * embeds.dim[2], tensor, b * P * embeds.dim[2], P * embeds.dim[2]);
        return true;
    case QW_SITE_ATTENTION_MASK:
        if (tensor->shape.rank != 2 || tensor->shape.dim[0] != B)
            return false;
        free(handover->mask);
        handover->mask = qw_tensor_doubles(tensor);
        handover->mask_length = tensor->shape.dim[1];
        return true;
    case QW_SITE_POSITION_IDS:
        if (!handover->position || handover->positions != q ||
            !(qw_shape_equal(&tensor->shape, &tokens) || qw_shape_equal(&tensor->shape, &once)))
            return false;
        for (int64_t i = 0; i < B * q; i++)
            handover->position[i] = (int64_t)qw_tensor_at(tensor, i % count);
        return true;
    case QW_SITE_INPUT_IDS:
        if (!handover->input_ids || !qw_shape_equal(&tensor->shape, &tokens))
            return false;
        for (int64_t i = 0; i < count; i++) {
            handover->input_ids[i] = (int64_t)qw_tensor_at(tensor, i);
            if (handover->input_ids[i] < 0 || handover->input_ids[i] >= config_of(stem)->vocab)
                return false;
        }
        return true;
    default: return false;
    }
}

/* A recorded half of a cache in place of the healthy one. */
static bool give_half(struct qw_cache *cache, const struct stem *stem, const struct qc_graft *graft,
                      const struct qw_tensor *tensor)
{
    struct qw_cache_layer *held = &cache->layer[graft->layer];
    const struct qc_cache *recorded = &subject_of(stem)->recording->step[graft->step].before;
    struct qc_frame frame = qc_frame_of(subject_of(stem), recorded, graft->layer, held);
    struct qw_shape shape = qc_frame_shape(&frame);
    double **half = graft->site == QW_SITE_BEFORE_VALUE ? &held->value : &held->key;
    if (!held->length || !*half || !qw_shape_equal(&tensor->shape, &shape))
        return false;
    free(*half);
    *half = qc_frame_values(&frame, tensor);
    return true;
}

/* The hand-over once more: the arrays that a graft may change are its own. */
static struct qw_handover own_handover(const struct qw_handover *of, int64_t hidden)
{
    struct qw_handover own = *of;
    size_t n = (size_t)(of->batch * of->queries);
    own.input_ids = of->input_ids ? qw_memdup(of->input_ids, n, sizeof *of->input_ids) : NULL;
    own.inputs_embeds = of->inputs_embeds ? qw_memdup(of->inputs_embeds, n * (size_t)hidden, sizeof *of->inputs_embeds) : NULL;
    own.position = of->position ? qw_memdup(of->position, (size_t)(of->batch * of->positions), sizeof *of->position) : NULL;
    own.mask = of->mask ? qw_memdup(of->mask, (size_t)(of->batch * of->mask_length), sizeof *of->mask) : NULL;
    return own;
}

/* ---- one graft ---- */

/* The record's own last logits, [B,V]; false where they were not kept. */
static bool take_logits(double *logits, const struct stem *stem, const struct qc_tap *tap)
{
    const struct qw_shape *shape = &tap->tensor->shape;
    int64_t B = stem->handover->batch, V = config_of(stem)->vocab;
    bool last = !tap->row || (tap->rows && tap->row[tap->rows - 1] == tap->whole.dim[1] - 1);
    if (!last || !tap->tensor->data || shape->rank != 3 || shape->dim[0] != B || shape->dim[2] != V || !shape->dim[1])
        return false;
    for (int64_t b = 0; b < B; b++)
        qw_tensor_read(logits + b * V, tap->tensor, ((b + 1) * shape->dim[1] - 1) * V, V);
    return true;
}

static bool play_tap(struct stem *stem, double *logits, const struct qc_graft *graft)
{
    const struct qc_tap *tap = qc_recorded_tap(subject_of(stem), graft->site, graft->step, graft->layer);
    enum qw_place place = qw_site_rows[graft->site].place;
    int layers = (int)config_of(stem)->layers, first = place == QW_HEAD ? 0 : place == QW_TAIL ? layers : graft->layer;
    if (!tap || graft->site == QW_SITE_LM_HEAD)
        return tap && take_logits(logits, stem, tap);
    struct hook hook = {.tap = tap, .site = graft->site, .layer = graft->layer, .logits = logits};
    struct qw_cache cache = copy_of(stem->before, first);
    bool goes = play(stem, &hook, stem->handover, &cache, first, false);
    qw_cache_clear(&cache);
    return goes && hook.put;
}

static bool play_given(struct stem *stem, double *logits, const struct qc_graft *graft)
{
    const struct qw_tensor *tensor = qc_recorded_tensor(subject_of(stem), graft->site, graft->step, graft->layer);
    bool half = qw_site_rows[graft->site].place == QW_BEFORE;
    if (!tensor || !tensor->data || tensor->shape.rank < 2)
        return false;
    struct hook hook = {.logits = logits};
    struct qw_handover handover = own_handover(stem->handover, config_of(stem)->hidden);
    struct qw_cache cache = copy_of(stem->before, half ? graft->layer : 0);
    bool goes = (half ? give_half(&cache, stem, graft, tensor) : give(&handover, stem, graft, tensor)) &&
                play(stem, &hook, &handover, &cache, half ? graft->layer : 0, false);
    free(handover.input_ids);
    free(handover.inputs_embeds);
    free(handover.position);
    free(handover.mask);
    qw_cache_clear(&cache);
    return goes;
}

/* The noise floor of the step's logits, 0: not known. */
static double floor_of(const struct stem *stem)
{
    const struct qc_items *items = &stem->healthy->items;
    const struct qc_item *logits = qc_items_at((struct qc_items *)(uintptr_t)items, QW_SITE_LM_HEAD, stem->step, -1);
    return logits->free.valued ? logits->free.difference.floor : 0;
}

static void weigh(struct qc_graft *graft, const struct stem *stem, const double *logits)
{
    int64_t B = stem->handover->batch, V = config_of(stem)->vocab;
    double floor_value = floor_of(stem), error = 0;
    for (int64_t b = 0; b < B; b++) {
        struct qc_weighed row = {0};
        qc_consequence_weigh(&row, stem->logits + b * V, logits + b * V, V);
        graft->kl = fmax(graft->kl, row.kl);
        graft->top1_agrees = graft->top1_agrees && qc_weighed_agrees(&row);
        error = fmax(error, row.error);
    }
    graft->change = floor_value > 0 ? error / floor_value : error == 0 ? 0 : (double)NAN;
    if (!qc_conforms(graft->change))
        return;
    graft->kl = 0;
    graft->top1_agrees = true;
}

static void graft_one(struct qc_graft *graft, struct stem *stem)
{
    enum qw_place place = qw_site_rows[graft->site].place;
    bool tap = place == QW_HEAD || place == QW_BLOCK || place == QW_TAIL;
    double *logits = QW_NEW_ARRAY(double, stem->handover->batch *config_of(stem)->vocab);
    graft->played = tap ? play_tap(stem, logits, graft) : play_given(stem, logits, graft);
    if (graft->played)
        weigh(graft, stem, logits);
    free(logits);
}

/* ---- the healthy play ---- */

/* Plays the step that was handed over, with its grafts; false where the play cannot go on. */
static bool play_step(struct qc_grafts *grafts, const struct qc_judgement *healthy, int step, const struct qw_handover *handover,
                      struct qw_cache *cache)
{
    const struct qw_config *config = &healthy->subject->model.config;
    struct qw_cache before = copy_of(cache, 0);
    struct stem stem = {healthy,
                        step,
                        handover,
                        &before,
                        QW_NEW_ARRAY(double *, config->layers + 1),
                        QW_NEW_ARRAY(double, handover->batch * config->vocab)};
    struct hook hook = {.logits = stem.logits};
    bool goes = play(&stem, &hook, handover, cache, 0, true);
    for (int i = 0; goes && i < grafts->count; i++)
        if (grafts->graft[i].step == step)
            graft_one(&grafts->graft[i], &stem);
    for (int layer = 0; layer <= config->layers; layer++)
        free(stem.entering[layer]);
    free(stem.entering);
    free(stem.logits);
    qw_cache_clear(&before);
    return goes;
}

void qc_grafts_make(struct qc_grafts *grafts, const struct qc_judgement *healthy)
{
    const struct qc_subject *subject = healthy->subject;
    int last = -1, steps = (int)qw_protocol_steps(&subject->call);
    *grafts = (struct qc_grafts){0};
    if (!healthy->values)
        return;
    choose(grafts, healthy);
    for (int i = 0; i < grafts->count; i++)
        last = grafts->graft[i].step > last ? grafts->graft[i].step : last;
    struct qc_play play = qc_play_make(healthy);
    bool goes = true;
    for (int step = 0; goes && step <= last && step < steps && step < subject->recording->steps; step++) {
        struct qw_handover handover = qw_protocol_hand_over(&play.truth, &subject->call, &subject->adapter, &subject->model,
                                                            &healthy->rules, step);
        qc_held_let_go(&play, subject, &subject->recording->step[step].before);
        goes = (handover.input_ids || handover.inputs_embeds) && play_step(grafts, healthy, step, &handover, &play.truth);
        qw_handover_clear(&handover);
    }
    qc_play_clear(&play);
}
