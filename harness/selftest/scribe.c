/* Invariant: what is written comes from the play; the form says only what a run keeps, never what it computes. */
#include "harness/selftest/scribe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/isolated.h"
#include "harness/compare/frame.h"
#include "harness/recording/steps.h"
#include "harness/selftest/backwards.h"
#include "harness/selftest/keep.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reference/model/forward.h"

/* A recording on its way. */
struct writing {
    struct qc_recording *written;
    const struct qc_subject *form;
    const struct qw_rules *rules;
    struct qw_cache cache;
    struct qw_arith arith;
    struct qc_step *step; /* that is written */
    int number;
    int refused; /* axis along which its join cannot be made; -1: it can */
};

/* The step of the form that this one is written like: its own, or the last one; an empty one where there is none. */
static const struct qc_step *like(const struct writing *writing)
{
    static const struct qc_step nothing;
    const struct qc_recording *recording = writing->form->recording;
    int last = recording->steps - 1;
    return last < 0 ? &nothing : &recording->step[writing->number < last ? writing->number : last];
}

static bool data_kept(const struct writing *writing) { return writing->form->recording->level >= QC_LEVEL_BLOCKS; }

static struct qw_tensor *kept(const struct writing *writing, const double *values, const struct qw_shape *shape,
                              enum qw_dtype dtype)
{
    struct qw_tensor *tensor = qc_keep_values(values, shape, dtype);
    if (!data_kept(writing))
        qc_keep_level(tensor, writing->form->recording->level);
    return tensor;
}

/* ---- received ---- */

static void write_mask(struct writing *writing, const struct qw_handover *handover)
{
    struct qw_shape shape = qw_shape_of(2, handover->batch, handover->mask_length);
    if (handover->mask)
        writing->step->input[QC_ATTENTION_MASK] = qc_keep_values(handover->mask, &shape, QW_I64);
}

/* Whether a model that is told no positions takes those of the hand-over. */
static bool finds_positions(const struct writing *writing, const struct qw_handover *handover, bool told_slots)
{
    int64_t first = told_slots ? handover->first_slot : qw_cache_length(&writing->cache);
    for (int64_t i = 0; i < handover->batch * handover->positions; i++)
        if (handover->position[i] != first + i % handover->positions)
            return false;
    return true;
}

static void write_positions(struct writing *writing, const struct qw_handover *handover)
{
    struct qw_shape shape = qw_shape_of(2, handover->batch, handover->positions), slots = qw_shape_of(1, handover->positions);
    bool told_slots = like(writing)->input[QC_CACHE_POSITION];
    bool told = like(writing)->input[QC_POSITION_IDS] ||
                (!writing->rules->ignores_positions && !finds_positions(writing, handover, told_slots));
    if (told)
        writing->step->input[QC_POSITION_IDS] = qc_keep_integers(handover->position, &shape);
    if (!told_slots)
        return;
    int64_t *slot = QW_NEW_ARRAY(int64_t, handover->positions);
    for (int64_t i = 0; i < handover->positions; i++)
        slot[i] = handover->first_slot + i;
    writing->step->input[QC_CACHE_POSITION] = qc_keep_integers(slot, &slots);
    free(slot);
}

static void write_received(struct writing *writing, const struct qw_handover *handover)
{
    int64_t hidden = writing->form->model.config.hidden;
    struct qw_shape tokens = qw_shape_of(2, handover->batch, handover->queries),
                    embeds = qw_shape_of(3, handover->batch, handover->queries, hidden);
    if (handover->embeds)
        writing->step->input[QC_INPUTS_EMBEDS] = kept(writing, handover->inputs_embeds, &embeds, writing->form->dtype);
    else
        writing->step->input[QC_INPUT_IDS] = qc_keep_integers(handover->input_ids, &tokens);
    write_mask(writing, handover);
    write_positions(writing, handover);
}

/* Newer libraries leave a mask that hides nothing away, if the form does. */
static void leave_mask_away(const struct writing *writing, struct qw_handover *handover)
{
    for (int64_t i = 0; handover->mask && i < handover->batch * handover->mask_length; i++)
        if (handover->mask[i] == 0)
            return;
    if (writing->rules->unpadded_mask != QW_MASK_OPTIONAL || like(writing)->input[QC_ATTENTION_MASK])
        return;
    free(handover->mask);
    handover->mask = NULL;
    handover->mask_length = 0;
}

/* ---- caches ---- */

/* The class that the form has, where the rules allow it for a cache of so many rows. */
static enum qw_cache_kind kind_of(const struct writing *writing, const struct qc_cache *form, int64_t length)
{
    unsigned allowed = length > 0 ? writing->rules->filled_caches : writing->rules->empty_caches;
    enum qw_cache_kind kind;
    if (form->present && qw_cache_kind_from_name(&kind, form->type) && allowed & 1u << kind)
        return kind;
    if (allowed & 1u << QW_CACHE_DYNAMIC)
        return QW_CACHE_DYNAMIC;
    kind = QW_CACHE_NONE;
    while (kind + 1 < QW_CACHE_KINDS && !(allowed & 1u << kind))
        kind++;
    return kind;
}

static void write_cache(struct writing *writing, struct qc_cache *to, const struct qc_cache *form)
{
    const struct qw_cache *cache = &writing->cache;
    int64_t length = qw_cache_length(cache);
    enum qw_cache_kind kind = kind_of(writing, form, length);
    *to = (struct qc_cache){.present = true, .length = length, .slots = kind == QW_CACHE_NONE ? 0 : cache->layers};
    to->type = qw_strdup(qw_cache_kind_name(kind));
    to->layout = qw_strdup(writing->form->model.config.layout == QW_LAYOUT_BSKD ? "BSKD" : "BKSD");
    to->layers = length > 0 ? (int)cache->layers : 0;
    to->layer = QW_NEW_ARRAY(struct qc_cache_layer, to->layers);
    for (int layer = 0; layer < to->layers; layer++) {
        struct qc_frame frame = qc_frame_of(writing->form, form, layer, &cache->layer[layer]);
        to->layer[layer].key = qc_keep_frame(&frame, cache->layer[layer].key, writing->form->dtype);
        to->layer[layer].value = qc_keep_frame(&frame, cache->layer[layer].value, writing->form->dtype);
        if (!data_kept(writing)) {
            qc_keep_level(to->layer[layer].key, writing->form->recording->level);
            qc_keep_level(to->layer[layer].value, writing->form->recording->level);
        }
    }
}

/* A layer that slides lets go of its first rows. */
static void let_go(struct writing *writing)
{
    for (int layer = 0; layer < writing->cache.layers; layer++) {
        struct qw_cache_layer *held = &writing->cache.layer[layer];
        held->gone = qc_frame_of(writing->form, &like(writing)->before, layer, held).first;
    }
}

/* What no play of its own gives: the first row of the first layer's keys changes sign before step 1, if that goes on. */
static void rewrite(struct writing *writing)
{
    const struct qw_cache_layer *held = writing->cache.layer;
    bool on = writing->number == 1 && qw_protocol_turn(&writing->form->call, 1).first > 0;
    if (!writing->rules->take_rewritten || !on || !held->length || !held->key)
        return;
    for (int64_t i = 0; i < writing->cache.batch * held->heads; i++)
        for (int64_t d = 0; d < held->head_size; d++)
            held->key[i * held->length * held->head_size + d] *= -1;
}

/* ---- taps ---- */

static bool is_kept(const struct writing *writing, enum qw_site site)
{
    return writing->form->recording->level != QC_LEVEL_BLOCKS || qw_site_rows[site].in_blocks;
}

static void see(void *user, enum qw_site site, int layer, double *value, const struct qw_shape *shape)
{
    struct writing *writing = user;
    struct qc_step *step = writing->step;
    char path[160];
    if (!is_kept(writing, site))
        return;
    bool first_table = site == QW_SITE_FIRST_COS || site == QW_SITE_FIRST_SIN; /* float32, whatever the model's dtype */
    qw_site_path(path, sizeof path, writing->form->model.config.family, site, layer);
    struct qc_tap *tap = step->tap = qw_realloc(step->tap, (size_t)step->taps + 1, sizeof *tap);
    tap[step->taps] = (struct qc_tap){.path = qw_strdup(path), .order = step->taps, .whole = *shape};
    tap[step->taps++].tensor = kept(writing, value, shape, first_table ? QW_F32 : writing->form->dtype);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct qc_tap *)a)->path, ((const struct qc_tap *)b)->path);
}

/* ---- steps ---- */

/* Where the run raised: the module, and what the framework says there. */
static void raise_at(struct writing *writing, int layer)
{
    const struct qw_family_row *family = &qw_family_rows[writing->form->model.config.family];
    struct qc_recording *written = writing->written;
    char *message = writing->refused < 0 ? qw_format("The size of tensor a must match the size of tensor b")
                                         : qw_format("Sizes of tensors must match except in dimension %d.", writing->refused);
    writing->step->raised = written->raised = true;
    free(written->raised_at);
    written->raised_at = layer < 0 ? qw_strdup(family->root) : qw_format("%s%d.%s", family->blocks, layer, family->attention);
    qc_scribe_raise(written, "RuntimeError", message, "");
    free(message);
}

/* The axis of the record's caches along which this step's rows cannot be joined; -1: they can, or that is not what raises. */
static int refused_axis(const struct writing *writing, int64_t queries)
{
    const struct qw_config *config = &writing->form->model.config;
    int sequence = config->layout == QW_LAYOUT_BSKD ? 1 : 2;
    if (writing->rules->joins_along_heads)
        return qw_cache_length(&writing->cache) > 0 && writing->cache.layer[0].length != queries ? 3 - sequence : -1;
    for (int layer = 0; layer < writing->cache.layers; layer++)
        if (!qw_cache_joins(&writing->cache, layer, config->kv_heads, config->head_size))
            return sequence;
    return -1;
}

/* Plays the model's part of the step. */
static void play(struct writing *writing, const struct qw_handover *handover)
{
    const struct qw_model *model = &writing->form->model;
    int64_t rows = qc_logits_rows(like(writing), qc_recorded_queries(like(writing)), handover->queries);
    struct qw_tap tap = {see, writing};
    struct qw_pass pass = qw_pass_begin(model, &writing->arith, writing->rules, handover, &writing->cache, tap);
    int layer = qw_pass_enters_blocks(&pass) ? 0 : -1;
    while (layer >= 0 && layer < model->config.layers && qw_pass_block(&pass, layer))
        layer++;
    if (layer == model->config.layers)
        qw_pass_end(&pass, rows);
    else
        raise_at(writing, layer);
    qw_pass_clear(&pass);
    qsort(writing->step->tap, (size_t)writing->step->taps, sizeof *writing->step->tap, by_path);
}

/* False, with nothing written, when it is not known what the step feeds. */
static bool write_step(struct writing *writing)
{
    const struct qc_subject *form = writing->form;
    struct qw_handover handover = qw_protocol_hand_over(&writing->cache, &form->call, &form->adapter, &form->model,
                                                        writing->rules, writing->number);
    leave_mask_away(writing, &handover);
    rewrite(writing);
    let_go(writing);
    writing->refused = refused_axis(writing, handover.queries);
    bool known = handover.input_ids || handover.inputs_embeds;
    if (known) {
        write_received(writing, &handover);
        write_cache(writing, &writing->step->before, &like(writing)->before);
        play(writing, &handover);
    }
    if (known && !writing->step->raised && form->call.use_cache)
        write_cache(writing, &writing->step->after, &like(writing)->after);
    qw_handover_clear(&handover);
    return known;
}

/* ---- the whole ---- */

/* What get_prompt() gives, if the form kept it and it was asked for. */
static struct qw_tensor *prompt_of(const struct qc_subject *form, const struct qw_rules *rules)
{
    const struct qw_tensor *recorded = form->recording->adapter_prompt;
    if (!recorded || rules->bypass_adapter || !rules->inject_first)
        return NULL;
    struct qw_tensor *prompt = qw_protocol_prompt(&form->adapter, &form->model, rules, form->call.batch);
    struct qw_tensor *handed = prompt->data ? qc_keep_values(prompt->data, &prompt->shape, recorded->dtype) : NULL;
    qw_tensor_free(prompt);
    if (handed && !recorded->data)
        qc_keep_level(handed, form->recording->level);
    return handed;
}

bool qc_scribe_write(struct qc_recording *written, const struct qc_subject *form, const struct qw_rules *rules)
{
    int64_t steps = qw_protocol_steps(&form->call);
    *written = *form->recording;
    written->raised = false;
    written->raised_at = qw_strdup("");
    written->exception_type = written->exception_message = written->traceback = NULL;
    qc_scribe_raise(written, "", "", "");
    written->adapter_prompt = prompt_of(form, rules);
    written->step = QW_NEW_ARRAY(struct qc_step, steps);
    struct writing writing = {.written = written, .form = form, .rules = rules};
    writing.cache = qw_cache_make(form->model.config.layers, form->call.batch);
    writing.cache.room = qc_frame_room(form);
    writing.arith = qc_arith_backwards(qc_subject_arith(form));
    bool known = true;
    for (written->steps = 0; known && written->steps < steps && !written->raised; written->steps += known) {
        writing.number = written->steps;
        writing.step = &written->step[written->steps];
        known = write_step(&writing);
    }
    if (written->raised)
        written->output_ids = NULL;
    qw_cache_clear(&writing.cache);
    return known;
}

void qc_scribe_raise(struct qc_recording *written, const char *type, const char *message, const char *traceback)
{
    char **const texts[] = {&written->exception_type, &written->exception_message, &written->traceback};
    const char *const words[] = {type, message, traceback};
    for (int i = 0; i < 3; i++) {
        free(*texts[i]);
        *texts[i] = qw_strdup(words[i]);
    }
}

void qc_scribe_clear(struct qc_recording *written)
{
    qc_steps_clear(written);
    qw_tensor_free(written->adapter_prompt);
    free(written->raised_at);
    free(written->exception_type);
    free(written->exception_message);
    free(written->traceback);
    *written = (struct qc_recording){0};
}
