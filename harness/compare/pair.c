/* Invariant: a place is added once, in the order in which data passes it; what one level does not keep is no difference. */
#include "harness/compare/pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/pair_facts.h"
#include "harness/compare/pair_values.h"
#include "reference/base/memory.h"

struct work {
    struct qc_pair *pair;
    const struct qc_selection *selection;
    const struct qc_judgement *floors;
};

/* ---- places ---- */

/* A new place; NULL when it lies outside the selection. */
static struct qc_pair_place *add_place(const struct work *work, int step, int layer, const char *site, enum qw_place where)
{
    struct qc_pair *pair = work->pair;
    if (!qc_selection_has(work->selection, step, layer, site))
        return NULL;
    if ((pair->places & (pair->places - 1)) == 0)
        pair->place = qw_realloc(pair->place, (size_t)(pair->places ? 2 * pair->places : 1), sizeof *pair->place);
    struct qc_pair_place *place = &pair->place[pair->places++];
    *place = (struct qc_pair_place){.step = step, .layer = layer, .site = qw_strdup(site), .where = where};
    return place;
}

static struct qc_pair_side side_of(const struct qw_tensor *tensor)
{
    return tensor ? (struct qc_pair_side){true, true, tensor->shape, qw_dtype_name(tensor->dtype), NULL}
                  : (struct qc_pair_side){0};
}

/* A tensor without the data that its recording's level promises is as good as absent. */
static const struct qw_tensor *kept(const struct qc_recording *recording, const struct qw_tensor *tensor)
{
    return tensor && !tensor->data && recording->level >= QC_LEVEL_BLOCKS ? NULL : tensor;
}

/* The noise floor of a place in A; 0 where bits must be equal. */
static double floor_of(const struct work *work, const struct qc_pair_place *place)
{
    enum qw_site site;
    if (!work->floors || place->step < 0 || place->layer >= work->floors->items.layers || !qw_site_find(&site, place->site))
        return 0;
    const struct qc_item *item = qc_items_at((struct qc_items *)(uintptr_t)&work->floors->items, site, place->step, place->layer);
    return item->free.valued ? item->free.difference.floor : 0;
}

static enum qc_kind structural_kind(const struct qc_pair_place *place)
{
    const struct qw_shape *a = &place->a.shape, *b = &place->b.shape;
    if (a->rank != b->rank)
        return QC_RANK;
    if (!qw_shape_equal(a, b))
        return !strcmp(place->site, "received.attention_mask") && a->dim[0] == b->dim[0] ? QC_MASK_LENGTH : QC_SHAPE;
    return strcmp(place->a.dtype, place->b.dtype) ? QC_DTYPE : QC_KIND_NONE;
}

static bool counts_positions(const char *site)
{
    return !strcmp(site, "received.position_ids") || !strcmp(site, "received.cache_position");
}

/* Compares a tensor of A with its counterpart; both NULL: there is no such place. */
static struct qc_pair_place *compare_tensors(const struct work *work, int step, int layer, const char *site, enum qw_place where,
                                             const struct qw_tensor *a, const struct qw_tensor *b)
{
    a = kept(work->pair->a, a);
    b = kept(work->pair->b, b);
    struct qc_pair_place *place = a || b ? add_place(work, step, layer, site, where) : NULL;
    if (!place)
        return NULL;
    place->a = side_of(a);
    place->b = side_of(b);
    place->kind = !b ? QC_MISSING : !a ? QC_EXTRA : structural_kind(place);
    if (place->kind != QC_KIND_NONE)
        return place;
    enum qc_pair_outcome outcome = qc_pair_values(&place->difference, a, b, floor_of(work, place));
    place->valued = outcome != QC_PAIR_UNKNOWN;
    work->pair->unvalued += outcome == QC_PAIR_UNKNOWN;
    if (outcome == QC_PAIR_DIFFERENT)
        place->kind = place->difference.nonfinite ? QC_NONFINITE : counts_positions(site) ? QC_POSITION : QC_VALUE;
    return place;
}

/* A difference of texts; equal texts are a place that conforms. */
static void compare_texts(const struct work *work, int step, const char *site, enum qw_place where, enum qc_kind kind,
                          const char *a, const char *b)
{
    struct qc_pair_place *place = add_place(work, step, -1, site, where);
    if (!place)
        return;
    place->a = (struct qc_pair_side){.there = a != NULL, .text = a};
    place->b = (struct qc_pair_side){.there = b != NULL, .text = b};
    if (!a || !b)
        place->kind = a ? QC_MISSING : QC_EXTRA;
    else if (strcmp(a, b))
        place->kind = kind;
}

static void compare_counts(const struct work *work, int step, const char *site, enum qw_place where, enum qc_kind kind, int64_t a,
                           int64_t b)
{
    struct qc_pair_place *place = add_place(work, step, -1, site, where);
    if (!place)
        return;
    place->a.there = place->b.there = place->valued = true;
    place->difference = (struct qc_difference){.expected = (double)a,
                                               .observed = (double)b,
                                               .max_abs = fabs((double)(a - b)),
                                               .ratio = a == b ? 0 : (double)INFINITY};
    place->kind = a == b ? QC_KIND_NONE : kind;
}

/* ---- what went in ---- */

/* Weights by their digests, or tensor by tensor where both are embedded. */
static void compare_weights(const struct work *work, const char *site, const struct qc_weights *a, const struct qc_weights *b)
{
    struct qc_pair_place *place = add_place(work, -1, -1, site, QW_CALL);
    if (!place)
        return;
    place->a.there = a->embedded.count || a->folder[0] || a->digest[0];
    place->b.there = b->embedded.count || b->folder[0] || b->digest[0];
    if (a->digest[0] && b->digest[0]) {
        place->a.text = a->digest;
        place->b.text = b->digest;
        place->kind = strcmp(a->digest, b->digest) ? QC_VALUE : QC_KIND_NONE;
    } else if (a->embedded.count && b->embedded.count) {
        place->kind = qc_pair_same_tensors(&a->embedded, &b->embedded) ? QC_KIND_NONE : QC_VALUE;
    } else {
        place->reason = "the weights are not kept in a way that both recordings share";
    }
}

static void compare_inputs_of_call(const struct work *work)
{
    const struct qc_recording *a = work->pair->a, *b = work->pair->b;
    compare_weights(work, "model.weights", &a->model_weights, &b->model_weights);
    if (a->has_adapter && b->has_adapter)
        compare_weights(work, "adapter.weights", &a->adapter_weights, &b->adapter_weights);
    compare_tensors(work, -1, -1, "call.input_ids", QW_CALL, a->input_ids, b->input_ids);
    compare_tensors(work, -1, -1, "call.attention_mask", QW_CALL, a->attention_mask, b->attention_mask);
    struct qc_pair_place *prompt = compare_tensors(work, 0, -1, "adapter.prompt", QW_ADAPTER, a->adapter_prompt,
                                                   b->adapter_prompt);
    if (prompt && a->has_adapter == b->has_adapter && (prompt->kind == QC_MISSING || prompt->kind == QC_EXTRA))
        prompt->reason = "a recording need not keep what get_prompt() handed over";
}

static void compare_ends(const struct work *work)
{
    const struct qc_recording *a = work->pair->a, *b = work->pair->b;
    int fewer = a->steps < b->steps ? a->steps : b->steps;
    if (a->steps != b->steps) {
        struct qc_pair_place *place = add_place(work, fewer, -1, "steps", QW_CALL);
        if (place) {
            place->a.there = a->steps > fewer;
            place->b.there = b->steps > fewer;
            place->kind = place->a.there ? QC_MISSING : QC_EXTRA;
            place->valued = true;
            place->difference = (struct qc_difference){.expected = a->steps,
                                                       .observed = b->steps,
                                                       .ratio = (double)INFINITY,
                                                       .max_abs = abs(a->steps - b->steps)};
        }
    }
    compare_texts(work, -1, "call.outcome", QW_CALL, QC_RAISED, a->raised ? a->exception_type : "ok",
                  b->raised ? b->exception_type : "ok");
    compare_tensors(work, -1, -1, "call.output_ids", QW_CALL, a->output_ids, b->output_ids);
}

/* ---- steps ---- */

static bool all_ones(const struct qw_tensor *mask)
{
    for (int64_t i = 0; mask->data && i < qw_shape_count(&mask->shape); i++)
        if (qw_tensor_at(mask, i) != 1)
            return false;
    return mask->data != NULL;
}

static void compare_received(const struct work *work, int step)
{
    static const char *const sites[QC_INPUTS] = {"received.input_ids", "received.inputs_embeds", "received.attention_mask",
                                                 "received.position_ids", "received.cache_position"};
    for (enum qc_input i = 0; i < QC_INPUTS; i++) {
        const struct qw_tensor *a = work->pair->a->step[step].input[i], *b = work->pair->b->step[step].input[i];
        struct qc_pair_place *place = compare_tensors(work, step, -1, sites[i], QW_RECEIVED, a, b);
        if (!place || (a && b))
            continue;
        if (i == QC_ATTENTION_MASK && all_ones(a ? a : b))
            place->reason = "a mask that hides nothing may stay away";
        if (i == QC_POSITION_IDS || i == QC_CACHE_POSITION)
            place->reason = "versions differ in whether they state positions";
    }
}

/* Keys or values of a layer; NULL where nothing is held. */
static const struct qw_tensor *half_of(const struct qc_cache *cache, int layer, bool value)
{
    const struct qc_cache_layer *held = layer < cache->layers ? &cache->layer[layer] : NULL;
    const struct qw_tensor *tensor = held ? (value ? held->value : held->key) : NULL;
    return tensor && qw_shape_count(&tensor->shape) ? tensor : NULL;
}

static void compare_caches(const struct work *work, int step, bool after)
{
    static const char *const sites[2][4] = {{"cache_before.type", "cache_before.length", "cache_before.key",
                                             "cache_before.value"},
                                            {"cache_after.type", "cache_after.length", "cache_after.key", "cache_after.value"}};
    const struct qc_step *steps[] = {&work->pair->a->step[step], &work->pair->b->step[step]};
    const struct qc_cache *a = after ? &steps[0]->after : &steps[0]->before, *b = after ? &steps[1]->after : &steps[1]->before;
    enum qw_place where = after ? QW_AFTER : QW_BEFORE;
    if (a->present || b->present)
        compare_texts(work, step, sites[after][0], where, QC_CACHE_TYPE, a->present ? a->type : NULL,
                      b->present ? b->type : NULL);
    if (a->present && b->present)
        compare_counts(work, step, sites[after][1], where, QC_CACHE_LENGTH, a->length, b->length);
    for (int layer = 0; layer < (a->layers > b->layers ? a->layers : b->layers); layer++)
        for (int value = 0; value < 2; value++)
            compare_tensors(work, step, layer, sites[after][2 + value], where, half_of(a, layer, value),
                            half_of(b, layer, value));
}

/* ---- taps ---- */

static bool kept_in_blocks(const char *site)
{
    enum qw_site row;
    return qw_site_find(&row, site) && qw_site_rows[row].in_blocks;
}

static enum qw_place place_of(const char *site, int layer)
{
    enum qw_site row;
    return layer >= 0 ? QW_BLOCK : qw_site_find(&row, site) ? qw_site_rows[row].place : QW_HEAD;
}

/* Why a tap that only one of the two has is no difference; NULL when it is one. */
static const char *healthy_absence(const struct qc_recording *without, const char *site)
{
    if (without->level == QC_LEVEL_BLOCKS && !kept_in_blocks(site))
        return "the other recording's level keeps no such place";
    if (strstr(site, "rotary_emb"))
        return "versions differ in where they make their rotary tables";
    return NULL;
}

static void compare_tap(const struct work *work, int step, const struct qc_tap *a, const struct qc_tap *b)
{
    int layer;
    const char *site = qw_site_of_path(&layer, (a ? a : b)->path);
    struct qw_tensor *rows[2] = {NULL, NULL};
    if (a && b)
        qc_pair_common_rows(rows, a, b);
    const struct qw_tensor *ours = rows[0] ? rows[0] : a ? a->tensor : NULL, *theirs = rows[1] ? rows[1] : b ? b->tensor : NULL;
    struct qc_pair_place *place = compare_tensors(work, step, layer, site, place_of(site, layer), ours, theirs);
    if (place && !(a && b))
        place->reason = healthy_absence(a ? work->pair->b : work->pair->a, site);
    qw_tensor_free(rows[0]);
    qw_tensor_free(rows[1]);
}

static int by_order(const void *x, const void *y)
{
    const struct qc_tap *a = *(const struct qc_tap *const *)x, *b = *(const struct qc_tap *const *)y;
    return a->order != b->order ? (a->order < b->order ? -1 : 1) : strcmp(a->path, b->path);
}

/* The taps of a step in execution order; free with free(). */
static const struct qc_tap **in_order(const struct qc_step *step)
{
    const struct qc_tap **taps = QW_NEW_ARRAY(const struct qc_tap *, step->taps);
    for (int i = 0; i < step->taps; i++)
        taps[i] = &step->tap[i];
    qsort(taps, (size_t)step->taps, sizeof *taps, by_order);
    return taps;
}

static void compare_taps(const struct work *work, int step)
{
    const struct qc_step *a = &work->pair->a->step[step], *b = &work->pair->b->step[step];
    const struct qc_tap **ours = in_order(a), **theirs = in_order(b);
    for (int i = 0; i < a->taps; i++)
        compare_tap(work, step, ours[i], qc_step_tap(b, ours[i]->path));
    for (int i = 0; i < b->taps; i++)
        if (!qc_step_tap(a, theirs[i]->path))
            compare_tap(work, step, NULL, theirs[i]);
    free(ours);
    free(theirs);
}

/* ---- the whole ---- */

/* Calls with other extents have no step in common: one difference, and the steps are left alone. */
static bool calls_fit(const struct qc_pair *pair)
{
    const struct qw_tensor *a = pair->a->input_ids, *b = pair->b->input_ids;
    return !a || !b || qw_shape_equal(&a->shape, &b->shape);
}

static void compare_steps(const struct work *work)
{
    const struct qc_recording *a = work->pair->a, *b = work->pair->b;
    for (int step = 0; step < a->steps && step < b->steps; step++) {
        int first = work->pair->places;
        compare_received(work, step);
        compare_caches(work, step, false);
        compare_taps(work, step);
        compare_caches(work, step, true);
        for (int i = first; !calls_fit(work->pair) && i < work->pair->places; i++)
            work->pair->place[i].reason = "the two calls have other batches or prompt lengths";
    }
}

bool qc_pair_make(struct qc_pair *pair, const struct qc_recording *a, const struct qc_recording *b,
                  const struct qc_selection *selection, const struct qc_judgement *floors, struct qw_error *error)
{
    *pair = (struct qc_pair){.a = a, .b = b};
    struct work work = {pair, selection, floors};
    qc_pair_add_facts(pair);
    if (!qc_pair_one_model(pair, error))
        return false;
    compare_inputs_of_call(&work);
    compare_steps(&work);
    compare_ends(&work);
    qc_pair_condense(pair);
    struct qc_pair_counts counts = qc_pair_count(pair);
    if (counts.compared + counts.missing == 0)
        return qw_fail(error, QW_ERROR_UNSUPPORTED, "", "widen --steps, --layers or --site",
                       "no place that could be compared lies in the selection");
    return true;
}

void qc_pair_clear(struct qc_pair *pair)
{
    for (int i = 0; i < pair->places; i++)
        free(pair->place[i].site);
    free(pair->place);
    free(pair->group);
    qc_pair_clear_facts(pair);
    *pair = (struct qc_pair){0};
}

static bool one_sided(const struct qc_pair_place *place) { return place->kind == QC_MISSING || place->kind == QC_EXTRA; }

struct qc_pair_counts qc_pair_count(const struct qc_pair *pair)
{
    struct qc_pair_counts counts = {0};
    for (int i = 0; i < pair->places; i++) {
        const struct qc_pair_place *place = &pair->place[i];
        counts.waived += place->reason != NULL;
        counts.missing += !place->reason && one_sided(place);
        counts.compared += !place->reason && !one_sided(place);
        counts.differ += !place->reason && place->kind != QC_KIND_NONE;
    }
    return counts;
}

const struct qc_pair_place *qc_pair_first(const struct qc_pair *pair)
{
    for (int i = 0; i < pair->places; i++)
        if (!pair->place[i].reason && pair->place[i].kind != QC_KIND_NONE)
            return &pair->place[i];
    return NULL;
}
