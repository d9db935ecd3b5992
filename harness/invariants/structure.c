/* Invariant: nothing here computes; every expectation is a shape, a name, a count or a copy. */
#include "harness/invariants/structure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/layout.h"
#include "reference/base/memory.h"
#include "reference/letters.h"

static const struct qc_step *step_of(const struct qc_judgement *judgement, int step)
{
    static const struct qc_step nothing;
    const struct qc_recording *recording = judgement->subject->recording;
    return step < recording->steps ? &recording->step[step] : &nothing;
}

/* A tensor without the data that the recording's level promises is as good as absent. */
static const struct qw_tensor *kept(const struct qc_judgement *judgement, const struct qw_tensor *tensor)
{
    bool promised = judgement->subject->recording->level >= QC_LEVEL_BLOCKS;
    return tensor && !tensor->data && promised ? NULL : tensor;
}

static struct qc_item *item_at(struct qc_judgement *judgement, enum qw_site site, int step, int layer)
{
    return qc_items_at(&judgement->items, site, step, layer);
}

/* Presence, rank, shape: the kind of the first that is wrong. */
static enum qc_kind shape_kind(const struct qw_tensor *tensor, const struct qw_shape *expected)
{
    if (tensor->shape.rank != expected->rank)
        return QC_RANK;
    return qw_shape_equal(&tensor->shape, expected) ? QC_KIND_NONE : QC_SHAPE;
}

static void observe(struct qc_item *item, const struct qw_tensor *tensor)
{
    item->recorded = tensor != NULL;
    if (!tensor)
        return;
    item->observed_shape = tensor->shape;
    item->dtype = qw_dtype_name(tensor->dtype);
}

/* Looks at a tensor that the view expects to be there with this shape. */
static void look(struct qc_item *item, struct qc_view *view, const struct qw_tensor *tensor, const struct qw_shape *expected)
{
    view->looked = true;
    view->expected_shape = *expected;
    observe(item, tensor);
    view->kind = tensor ? shape_kind(tensor, expected) : QC_MISSING;
}

/* Floating data that the model takes over must have the model's dtype, whatever the values. */
static void look_at_dtype(struct qc_view *view, const struct qw_tensor *tensor, const struct qc_judgement *judgement)
{
    if (view->looked && view->kind == QC_KIND_NONE && tensor && tensor->dtype != judgement->subject->dtype)
        view->kind = QC_DTYPE;
}

/* Compares copied data: any element that differs is a difference without a floor. */
static void look_at_copy(struct qc_view *view, const struct qw_tensor *tensor, const double *expected, enum qc_kind kind)
{
    if (view->kind != QC_KIND_NONE || !tensor || !expected)
        return;
    struct qc_difference found;
    if (qc_difference_of_tensor(&found, tensor, expected, NULL, 0, qw_dtype_roundoff(tensor->dtype)))
        qc_view_note(view, &found, kind);
}

/* The same for data whose axes may have been handed over in another order. */
static void look_at_axes(struct qc_view *view, const struct qw_tensor *tensor, const double *expected)
{
    look_at_copy(view, tensor, expected, QC_VALUE);
    if ((view->kind == QC_SHAPE || view->kind == QC_VALUE) &&
        qc_layout_find(view->permutation, tensor, expected, &view->expected_shape))
        view->kind = QC_LAYOUT;
}

/* ---- adapter.prompt ---- */

/* A table of the wrong extents is evidence, whether or not the run kept what was made of it. */
static void note_misfit(struct qc_item *item, const struct qw_tensor *table, const struct qw_shape *expected)
{
    item->free.looked = item->recorded = true;
    item->free.expected_shape = *expected;
    if (item->free.kind == QC_KIND_NONE) {
        item->free.kind = QC_SHAPE;
        observe(item, table);
    }
}

static void look_at_prompt(const struct qc_judgement *judgement, struct qc_item *item, const struct qw_tensor *recorded,
                           const struct qw_rules *rules)
{
    const struct qc_subject *subject = judgement->subject;
    struct qw_tensor *prompt = qw_protocol_prompt(&subject->adapter, &subject->model.config, rules, subject->call.batch);
    item->free.expected_shape = prompt->shape;
    if (recorded) {
        look(item, &item->free, recorded, &prompt->shape);
        look_at_axes(&item->free, recorded, prompt->data);
    }
    qw_tensor_free(prompt);
}

void qc_judge_prompt(struct qc_judgement *judgement)
{
    const struct qc_subject *subject = judgement->subject;
    const struct qw_tensor *recorded = subject->recording->adapter_prompt, *table = subject->adapter.table;
    bool misfit = table && !qw_adapter_fits(&subject->adapter, &subject->model.config, &judgement->rules);
    if (subject->adapter.kind == QW_ADAPTER_NONE || (!recorded && !misfit))
        return;
    struct qc_item *item = item_at(judgement, QW_SITE_ADAPTER_PROMPT, 0, -1);
    item->expected = true;
    look_at_prompt(judgement, item, recorded, &judgement->rules);
    if (recorded && item->free.kind != QC_KIND_NONE) {
        /* what get_prompt() gave may be right where it went wrong on its way to the cache */
        struct qc_item healthy = *item;
        look_at_prompt(judgement, &healthy, recorded, &subject->rules);
        if (healthy.free.kind == QC_KIND_NONE)
            *item = healthy;
    }
    if (misfit)
        note_misfit(item, table, &item->free.expected_shape);
}

/* ---- received ---- */

static void judge_tokens(struct qc_judgement *judgement, int step, const struct qw_handover *handover)
{
    enum qw_site site = handover->embeds ? QW_SITE_INPUTS_EMBEDS : QW_SITE_INPUT_IDS;
    const struct qw_tensor *tensor = kept(judgement,
                                          step_of(judgement, step)->input[handover->embeds ? QC_INPUTS_EMBEDS : QC_INPUT_IDS]);
    struct qc_item *item = item_at(judgement, site, step, -1);
    struct qw_shape expected = handover->embeds
                                   ? qw_shape_of(3, handover->batch, handover->queries, judgement->subject->model.config.hidden)
                                   : qw_shape_of(2, handover->batch, handover->queries);
    item->expected = true;
    look(item, &item->free, tensor, &expected);
    if (handover->embeds) {
        look_at_dtype(&item->free, tensor, judgement);
        look_at_axes(&item->free, tensor, handover->inputs_embeds);
        return;
    }
    double *ids = QW_NEW_ARRAY(double, handover->batch * handover->queries);
    for (int64_t i = 0; i < handover->batch * handover->queries; i++)
        ids[i] = (double)handover->input_ids[i];
    look_at_copy(&item->free, tensor, ids, QC_VALUE);
    free(ids);
}

static bool all_ones(const struct qw_tensor *mask)
{
    for (int64_t i = 0; mask->data && i < qw_shape_count(&mask->shape); i++)
        if (qw_tensor_at(mask, i) != 1)
            return false;
    return true;
}

/* Where nothing is hidden, some eras hand over no mask. */
static bool hides_nothing(const struct qw_handover *handover)
{
    for (int64_t i = 0; handover->mask && i < handover->batch * handover->mask_length; i++)
        if (handover->mask[i] == 0)
            return false;
    return true;
}

static void judge_mask(struct qc_judgement *judgement, int step, const struct qw_handover *handover)
{
    const struct qw_tensor *mask = kept(judgement, step_of(judgement, step)->input[QC_ATTENTION_MASK]);
    bool may_stay_away = !handover->mask || (judgement->rules.unpadded_mask == QW_MASK_OPTIONAL && hides_nothing(handover));
    if (!mask && may_stay_away)
        return;
    struct qc_item *item = item_at(judgement, QW_SITE_ATTENTION_MASK, step, -1);
    struct qw_shape expected = qw_shape_of(2, handover->batch, handover->mask_length);
    item->expected = true;
    look(item, &item->free, mask, &expected);
    if (item->free.kind == QC_SHAPE)
        item->free.kind = QC_MASK_LENGTH;
    if (handover->mask)
        look_at_copy(&item->free, mask, handover->mask, QC_VALUE);
    else if (item->free.kind == QC_KIND_NONE && !all_ones(mask))
        item->free.kind = QC_EXTRA;
}

/* [B,q] of the place in the sequence, or of the position that the model will use */
static double *numbers_of(const struct qw_handover *handover, bool slots)
{
    double *numbers = QW_NEW_ARRAY(double, handover->batch * handover->queries);
    for (int64_t i = 0; i < handover->batch * handover->queries; i++)
        numbers[i] = slots ? (double)(handover->first_slot + i % handover->queries) : (double)handover->position[i];
    return numbers;
}

static void judge_position_ids(struct qc_judgement *judgement, int step, const struct qw_handover *handover)
{
    const struct qw_tensor *tensor = step_of(judgement, step)->input[QC_POSITION_IDS];
    if (!tensor)
        return;
    struct qc_item *item = item_at(judgement, QW_SITE_POSITION_IDS, step, -1);
    int64_t B = tensor->shape.rank == 2 && tensor->shape.dim[0] == 1 ? 1 : handover->batch;
    struct qw_shape expected = qw_shape_of(2, B, handover->queries);
    double *positions = numbers_of(handover, false);
    item->expected = true;
    look(item, &item->free, tensor, &expected);
    look_at_copy(&item->free, tensor, positions, QC_POSITION);
    free(positions);
}

/* Places in the cache; where no position_ids are handed over the model takes them for positions, wrong ones too. */
static void judge_cache_position(struct qc_judgement *judgement, int step, const struct qw_handover *handover)
{
    const struct qc_step *recorded = step_of(judgement, step);
    const struct qw_tensor *tensor = recorded->input[QC_CACHE_POSITION];
    if (!tensor)
        return;
    struct qc_item *item = item_at(judgement, QW_SITE_CACHE_POSITION, step, -1);
    struct qw_shape expected = qw_shape_of(1, handover->queries);
    item->expected = true;
    for (int slots = recorded->input[QC_POSITION_IDS] != NULL; slots < 2; slots++) {
        double *numbers = numbers_of(handover, slots);
        look(item, &item->free, tensor, &expected);
        look_at_copy(&item->free, tensor, numbers, QC_POSITION);
        free(numbers);
        if (item->free.kind == QC_KIND_NONE)
            return;
    }
}

void qc_judge_received(struct qc_judgement *judgement, int step, const struct qw_handover *handover)
{
    judge_tokens(judgement, step, handover);
    judge_mask(judgement, step, handover);
    judge_position_ids(judgement, step, handover);
    judge_cache_position(judgement, step, handover);
}

/* ---- caches ---- */

int64_t qc_cache_rows(const struct qc_cache *cache)
{
    if (!cache->present || cache->length >= 0)
        return cache->present ? cache->length : 0;
    const struct qw_tensor *key = cache->layers ? cache->layer[0].key : NULL;
    return key && key->shape.rank == 4 ? key->shape.dim[2] : 0;
}

/* Keys or values of a layer as they were recorded; NULL where nothing is held. */
static const struct qw_tensor *half(const struct qc_judgement *judgement, const struct qc_cache *cache, int layer, bool value)
{
    if (layer >= cache->layers)
        return NULL;
    const struct qw_tensor *tensor = kept(judgement, value ? cache->layer[layer].value : cache->layer[layer].key);
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

/* One half (keys or values) of one layer; `shape` with 0 rows: nothing is held. */
static void look_at_half(struct qc_item *item, struct qc_view *view, const struct qw_tensor *tensor, const struct qw_shape *shape)
{
    if (shape->dim[2] > 0) {
        look(item, view, tensor, shape);
        return;
    }
    if (!tensor)
        return;
    view->looked = true;
    view->expected_shape = *shape;
    view->kind = QC_EXTRA;
    observe(item, tensor);
}

void qc_judge_before(struct qc_judgement *judgement, int step, const struct qw_cache *cache)
{
    const struct qc_cache *recorded = &step_of(judgement, step)->before;
    int64_t length = qw_cache_length(cache);
    struct qc_item *type = item_at(judgement, QW_SITE_BEFORE_TYPE, step, -1);
    struct qc_item *rows = item_at(judgement, QW_SITE_BEFORE_LENGTH, step, -1);
    type->expected = rows->expected = true;
    look_at_type(judgement, type, &type->free, recorded, length);
    look_at_length(rows, &rows->free, recorded, length);
    for (int layer = 0; layer < cache->layers; layer++)
        for (int value = 0; value < 2; value++) {
            const struct qw_cache_layer *held = &cache->layer[layer];
            struct qc_item *item = item_at(judgement, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer);
            struct qw_shape shape = qw_shape_of(4, cache->batch, held->heads, held->length, held->head_size);
            item->expected = held->length > 0;
            look_at_half(item, &item->free, half(judgement, recorded, layer, value), &shape);
            look_at_dtype(&item->free, half(judgement, recorded, layer, value), judgement);
            if (step == 0 || !judgement->subject->call.use_cache)
                look_at_axes(&item->free, half(judgement, recorded, layer, value), value ? held->value : held->key);
        }
}

/* Without elements, the digests tell whether two tensors of one file are the same. */
static void look_at_digest(struct qc_view *view, const struct qw_tensor *tensor, const struct qw_tensor *same)
{
    if (view->kind != QC_KIND_NONE || !tensor || !same || !tensor->stats || !same->stats || !tensor->stats->sha256[0])
        return;
    if (strcmp(tensor->stats->sha256, same->stats->sha256))
        view->kind = QC_VALUE;
}

static void judge_half_handed_back(struct qc_judgement *judgement, int step, int layer, bool value)
{
    const struct qw_tensor *after = half(judgement, &step_of(judgement, step - 1)->after, layer, value);
    const struct qw_tensor *before = half(judgement, &step_of(judgement, step)->before, layer, value);
    struct qc_item *item = item_at(judgement, value ? QW_SITE_BEFORE_VALUE : QW_SITE_BEFORE_KEY, step, layer);
    if (!after && !before)
        return;
    struct qw_shape nothing = qw_shape_of(4, (int64_t)0, (int64_t)0, (int64_t)0, (int64_t)0);
    look_at_half(item, &item->isolated, before, after ? &after->shape : &nothing);
    look_at_dtype(&item->isolated, before, judgement);
    if (!after || !after->data) {
        look_at_digest(&item->isolated, before, after);
        return;
    }
    double *expected = qw_tensor_doubles(after);
    look_at_axes(&item->isolated, before, expected);
    free(expected);
}

void qc_judge_handed_back(struct qc_judgement *judgement, int step)
{
    const struct qc_cache *after = &step_of(judgement, step - 1)->after, *before = &step_of(judgement, step)->before;
    if (!after->present)
        return;
    struct qc_item *type = item_at(judgement, QW_SITE_BEFORE_TYPE, step, -1);
    struct qc_item *rows = item_at(judgement, QW_SITE_BEFORE_LENGTH, step, -1);
    look_at_type(judgement, type, &type->isolated, before, qc_cache_rows(after));
    look_at_length(rows, &rows->isolated, before, qc_cache_rows(after));
    for (int layer = 0; layer < judgement->items.layers; layer++)
        for (int value = 0; value < 2; value++)
            judge_half_handed_back(judgement, step, layer, value);
}

void qc_judge_after(struct qc_judgement *judgement, int step, int64_t length, bool isolated)
{
    const struct qw_config *config = &judgement->subject->model.config;
    const struct qc_step *recorded = step_of(judgement, step);
    if (recorded->raised || length < 0)
        return;
    struct qc_item *type = item_at(judgement, QW_SITE_AFTER_TYPE, step, -1);
    struct qc_item *rows = item_at(judgement, QW_SITE_AFTER_LENGTH, step, -1);
    type->expected = rows->expected = true;
    look_at_type(judgement, type, isolated ? &type->isolated : &type->free, &recorded->after, length);
    look_at_length(rows, isolated ? &rows->isolated : &rows->free, &recorded->after, length);
    struct qw_shape shape = qw_shape_of(4, judgement->subject->call.batch, config->kv_heads, length, config->head_size);
    for (int layer = 0; layer < config->layers; layer++)
        for (int value = 0; value < 2; value++) {
            struct qc_item *item = item_at(judgement, value ? QW_SITE_AFTER_VALUE : QW_SITE_AFTER_KEY, step, layer);
            item->expected = true;
            look_at_half(item, isolated ? &item->isolated : &item->free, half(judgement, &recorded->after, layer, value), &shape);
            look_at_dtype(isolated ? &item->isolated : &item->free, half(judgement, &recorded->after, layer, value), judgement);
        }
}

/* ---- taps ---- */

static bool has_site(const struct qc_judgement *judgement, enum qw_site site, const struct qc_extents *extents)
{
    bool in_attention = judgement->rules.rotary_in_attention;
    if (judgement->subject->recording->level == QC_LEVEL_BLOCKS && !qw_site_rows[site].in_blocks)
        return false;
    if (site == QW_SITE_EMBED)
        return !extents->embeds;
    if (site == QW_SITE_ROTARY_COS || site == QW_SITE_ROTARY_SIN)
        return !in_attention;
    return (site != QW_SITE_TABLE_COS && site != QW_SITE_TABLE_SIN) || in_attention;
}

/* Where a site stands in the reference's execution order. */
static int rank_of(enum qw_site site, int layer, int layers)
{
    enum qw_place place = qw_site_rows[site].place;
    return (place == QW_HEAD ? 0 : place == QW_BLOCK ? layer + 1 : layers + 1) * QW_SITES + (int)site;
}

static const struct qc_tap *tap_of(const struct qc_step *step, enum qw_site site, int layer)
{
    char path[160];
    qw_site_path(path, sizeof path, site, layer);
    return qc_step_tap(step, path);
}

static bool is_module(enum qw_site site)
{
    enum qw_place place = qw_site_rows[site].place;
    return place == QW_HEAD || place == QW_BLOCK || place == QW_TAIL;
}

/* A step that raised has taps up to the raise: the last of those that are there. */
static int last_rank(const struct qc_step *step, int layers)
{
    int last = -1;
    for (enum qw_site site = 0; step->raised && site < QW_SITES; site++) {
        if (!is_module(site))
            continue;
        enum qw_place place = qw_site_rows[site].place;
        for (int layer = 0; layer < (place == QW_BLOCK ? layers : 1); layer++)
            if (tap_of(step, site, layer) && rank_of(site, layer, layers) > last)
                last = rank_of(site, layer, layers);
    }
    return step->raised ? last : rank_of(QW_SITE_LM_HEAD, 0, layers);
}

/* The last module that a play calls before it stops: the mask is made behind the embedding, keys are joined and scores
 * masked behind the projections and the rotary tables. */
static int rank_of_stop(const struct qc_judgement *judgement, const struct qc_stop *stop, int layers)
{
    enum qw_site site = stop->layer < 0                        ? QW_SITE_EMBED
                        : judgement->rules.rotary_in_attention ? QW_SITE_TABLE_SIN
                                                               : QW_SITE_V_PROJ;
    return rank_of(site, stop->layer, layers);
}

bool qc_taps_end_at(const struct qc_judgement *judgement, const struct qc_stop *stop)
{
    const struct qc_step *step = step_of(judgement, stop->step);
    struct qc_extents extents = {.embeds = step->input[QC_INPUTS_EMBEDS] != NULL};
    int layers = judgement->items.layers, until = rank_of_stop(judgement, stop, layers), expected = -1;
    for (enum qw_site site = 0; site < QW_SITES; site++)
        for (int layer = 0; is_module(site) && layer < (qw_site_rows[site].place == QW_BLOCK ? layers : 1); layer++) {
            int rank = rank_of(site, layer, layers);
            if (has_site(judgement, site, &extents) && rank <= until && rank > expected)
                expected = rank;
        }
    return last_rank(step, layers) == expected;
}

static enum qc_kind tap_kind(const struct qc_judgement *judgement, enum qw_site site, const struct qw_tensor *tap,
                             const struct qw_shape *expected)
{
    struct qw_shape once = *expected;
    once.dim[0] = 1;
    bool rotary = site == QW_SITE_ROTARY_COS || site == QW_SITE_ROTARY_SIN;
    if (rotary && shape_kind(tap, &once) == QC_KIND_NONE)
        return QC_KIND_NONE;
    enum qc_kind kind = shape_kind(tap, expected);
    return kind == QC_KIND_NONE && tap->dtype != judgement->subject->dtype ? QC_DTYPE : kind;
}

static void judge_tap(struct qc_judgement *judgement, int step, enum qw_site site, int layer, const struct qc_extents *extents,
                      bool isolated)
{
    const struct qc_tap *there = tap_of(step_of(judgement, step), site, layer);
    struct qw_tensor whole = there ? *there->tensor : (struct qw_tensor){0};
    if (there)
        whole.shape = *qc_tap_shape(there);
    const struct qw_tensor *tap = there ? kept(judgement, &whole) : NULL;
    bool wanted = has_site(judgement, site, extents);
    if (!wanted && (!tap || site != QW_SITE_EMBED))
        return;
    struct qc_item *item = item_at(judgement, site, step, layer);
    struct qc_view *view = isolated ? &item->isolated : &item->free;
    struct qw_letters letters = qw_letters_of(&judgement->subject->model.config);
    letters.value['B'] = judgement->subject->call.batch;
    letters.value['q'] = extents->queries;
    letters.value['S'] = extents->past + extents->queries;
    letters.value['r'] = extents->rows;
    struct qw_shape expected = qw_shape_from_letters(qw_site_rows[site].shape, &letters);
    look(item, view, tap, &expected);
    item->expected = item->expected || (wanted && !isolated);
    if (!wanted)
        view->kind = QC_EXTRA;
    else if (tap)
        view->kind = tap_kind(judgement, site, tap, &expected);
}

void qc_judge_taps(struct qc_judgement *judgement, int step, const struct qc_extents *extents, bool isolated)
{
    int layers = judgement->items.layers, last = last_rank(step_of(judgement, step), layers);
    for (enum qw_site site = 0; site < QW_SITES; site++) {
        if (!is_module(site))
            continue;
        enum qw_place place = qw_site_rows[site].place;
        for (int layer = 0; layer < (place == QW_BLOCK ? layers : 1); layer++)
            if (rank_of(site, layer, layers) <= last)
                judge_tap(judgement, step, site, place == QW_BLOCK ? layer : -1, extents, isolated);
    }
}
