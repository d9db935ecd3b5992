/* Invariant: an expectation is what the healthy hand-over of the step has; nothing is computed. */
#include <stdlib.h>

#include "harness/invariants/look.h"
#include "harness/invariants/structure.h"
#include "reference/base/memory.h"

/* ---- adapter.prompt ---- */

/* A table of the wrong extents is evidence, whether or not the run kept what was made of it. */
static void note_misfit(struct qc_item *item, const struct qw_tensor *table, const struct qw_shape *expected)
{
    item->free.looked = item->recorded = true;
    item->free.expected_shape = *expected;
    if (item->free.kind == QC_KIND_NONE) {
        item->free.kind = QC_SHAPE;
        qc_observe(item, table);
    }
}

static void look_at_prompt(const struct qc_judgement *judgement, struct qc_item *item, const struct qw_tensor *recorded,
                           const struct qw_rules *rules)
{
    const struct qc_subject *subject = judgement->subject;
    struct qw_adapter adapter = qc_encoded_truth(subject);
    struct qw_tensor *prompt = qw_protocol_prompt(&adapter, &subject->model, rules, subject->call.batch);
    item->free.expected_shape = prompt->shape;
    if (recorded) {
        qw_tensor_round(prompt, recorded->dtype); /* judged as it is held, whatever the table is kept in */
        qc_look(item, &item->free, recorded, &prompt->shape);
        if (subject->encoded.truth)
            qc_look_at_encoded(&item->free, recorded, prompt->data, &subject->encoded);
        else
            qc_look_at_axes(&item->free, recorded, prompt->data, judgement);
        if (!judgement->light)
            qc_look_for_transform(&item->free, recorded, prompt->data, prompt->shape.rank == 6 ? "L 2 B K P D" : "B P d",
                                  subject->encoded.truth ? item->free.difference.floor * QC_NOISE_MULTIPLE : 0);
    }
    if (subject->encoded.random)
        item->reason = "the adapter's encoder drew at random (dropout)";
    qw_tensor_free(prompt);
}

/* Lets pass what conforms under these rules. */
static void accept_prompt(const struct qc_judgement *judgement, struct qc_item *item, const struct qw_tensor *recorded,
                          const struct qw_rules *rules)
{
    if (!recorded || item->free.kind == QC_KIND_NONE)
        return;
    struct qc_item other = *item;
    look_at_prompt(judgement, &other, recorded, rules);
    if (other.free.kind == QC_KIND_NONE)
        *item = other;
}

void qc_judge_prompt(struct qc_judgement *judgement)
{
    const struct qc_subject *subject = judgement->subject;
    const struct qw_tensor *recorded = subject->recording->adapter_prompt, *table = subject->adapter.table;
    bool misfit = table && !qw_adapter_fits(&subject->adapter, &subject->model.config, &judgement->rules);
    if (subject->adapter.kind == QW_ADAPTER_NONE || (!recorded && !misfit))
        return;
    struct qc_item *item = qc_items_at(&judgement->items, QW_SITE_ADAPTER_PROMPT, 0, -1);
    item->expected = true;
    look_at_prompt(judgement, item, recorded, &judgement->rules);
    /* what get_prompt() gave may be right where it went wrong on its way to the cache */
    accept_prompt(judgement, item, recorded, &subject->rules);
    /* where the model keeps sequence before heads, the adapter may turn the prefix or leave that to a layer behind it */
    struct qw_rules turned = subject->rules;
    turned.transpose_prefix = !turned.transpose_prefix;
    if (subject->model.config.layout == QW_LAYOUT_BSKD)
        accept_prompt(judgement, item, recorded, &turned);
    if (misfit)
        note_misfit(item, table, &item->free.expected_shape);
}

/* ---- received ---- */

static void judge_tokens(struct qc_judgement *judgement, int step, const struct qw_handover *handover)
{
    enum qw_site site = handover->embeds ? QW_SITE_INPUTS_EMBEDS : QW_SITE_INPUT_IDS;
    const struct qw_tensor *tensor =
        qc_kept(judgement, qc_step_of(judgement, step)->input[handover->embeds ? QC_INPUTS_EMBEDS : QC_INPUT_IDS]);
    struct qc_item *item = qc_items_at(&judgement->items, site, step, -1);
    struct qw_shape expected = handover->embeds
                                   ? qw_shape_of(3, handover->batch, handover->queries, judgement->subject->model.config.hidden)
                                   : qw_shape_of(2, handover->batch, handover->queries);
    item->expected = true;
    qc_look(item, &item->free, tensor, &expected);
    if (handover->embeds) {
        qc_look_at_dtype(&item->free, tensor, judgement);
        qc_look_at_axes(&item->free, tensor, handover->inputs_embeds, judgement);
        return;
    }
    double *ids = QW_NEW_ARRAY(double, handover->batch * handover->queries);
    for (int64_t i = 0; handover->input_ids && i < handover->batch * handover->queries; i++)
        ids[i] = (double)handover->input_ids[i];
    qc_look_at_copy(&item->free, tensor, handover->input_ids ? ids : NULL, QC_VALUE);
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
    const struct qw_tensor *mask = qc_kept(judgement, qc_step_of(judgement, step)->input[QC_ATTENTION_MASK]);
    bool may_stay_away = !handover->mask || (judgement->rules.unpadded_mask == QW_MASK_OPTIONAL && hides_nothing(handover));
    if (!mask && may_stay_away)
        return;
    struct qc_item *item = qc_items_at(&judgement->items, QW_SITE_ATTENTION_MASK, step, -1);
    struct qw_shape expected = qw_shape_of(2, handover->batch, handover->mask_length);
    item->expected = true;
    if (mask && mask->shape.rank == 4) {
        qc_judge_block_mask(judgement, item, mask, handover);
        return;
    }
    qc_look(item, &item->free, mask, &expected);
    if (item->free.kind == QC_SHAPE)
        item->free.kind = QC_MASK_LENGTH;
    if (handover->mask)
        qc_look_at_copy(&item->free, mask, handover->mask, QC_VALUE);
    else if (item->free.kind == QC_KIND_NONE && !all_ones(mask))
        item->free.kind = QC_EXTRA;
}

/* [B,q] of the place in the sequence, or of the position that the model will use */
static double *numbers_of(const struct qw_handover *handover, bool slots)
{
    double *numbers = QW_NEW_ARRAY(double, handover->batch * handover->positions);
    for (int64_t i = 0; i < handover->batch * handover->positions; i++)
        numbers[i] = slots ? (double)(handover->first_slot + i % handover->positions) : (double)handover->position[i];
    return numbers;
}

/* Whether a model that is told no positions takes those of the play: from cache_position, else past length + index. */
static bool finds_positions(const struct qc_step *recorded, const struct qw_handover *handover)
{
    const struct qw_tensor *slots = recorded->input[QC_CACHE_POSITION];
    bool told = slots && slots->data && slots->shape.rank == 1 && slots->shape.dim[0] == handover->queries;
    int64_t past = qc_cache_rows(&recorded->before);
    for (int64_t i = 0; i < handover->batch * handover->positions; i++) {
        int64_t at = i % handover->positions;
        if (handover->position[i] != (told ? (int64_t)qw_tensor_at(slots, at) : past + at))
            return false;
    }
    return true;
}

static void judge_position_ids(struct qc_judgement *judgement, int step, const struct qw_handover *handover)
{
    const struct qc_step *recorded = qc_step_of(judgement, step);
    const struct qw_tensor *tensor = recorded->input[QC_POSITION_IDS];
    bool needed = handover->states_positions && !judgement->rules.ignores_positions;
    if (!tensor && (!needed || finds_positions(recorded, handover)))
        return;
    struct qc_item *item = qc_items_at(&judgement->items, QW_SITE_POSITION_IDS, step, -1);
    int64_t B = tensor && tensor->shape.rank == 2 && tensor->shape.dim[0] == 1 ? 1 : handover->batch;
    struct qw_shape expected = qw_shape_of(2, B, handover->positions);
    double *positions = numbers_of(handover, false);
    item->expected = true;
    qc_look(item, &item->free, tensor, &expected);
    qc_look_at_copy(&item->free, tensor, positions, QC_POSITION);
    free(positions);
}

/* Places in the cache; where no position_ids are handed over the model takes them for positions, wrong ones too. */
static void judge_cache_position(struct qc_judgement *judgement, int step, const struct qw_handover *handover)
{
    const struct qc_step *recorded = qc_step_of(judgement, step);
    const struct qw_tensor *tensor = recorded->input[QC_CACHE_POSITION];
    if (!tensor)
        return;
    struct qc_item *item = qc_items_at(&judgement->items, QW_SITE_CACHE_POSITION, step, -1);
    struct qw_shape expected = qw_shape_of(1, handover->positions);
    item->expected = true;
    for (int slots = recorded->input[QC_POSITION_IDS] != NULL; slots < 2; slots++) {
        double *numbers = numbers_of(handover, slots);
        qc_look(item, &item->free, tensor, &expected);
        qc_look_at_copy(&item->free, tensor, numbers, QC_POSITION);
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
