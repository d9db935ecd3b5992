/* Invariant: the isolated play sees the record of its own step only, and what it was fed. */
#include "harness/compare/isolated.h"

#include <stdlib.h>

#include "harness/compare/held.h"
#include "harness/invariants/look.h"
#include "harness/invariants/structure.h"
#include "reference/base/memory.h"

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

/* The mask, as one of two axes; false when it cannot be said so. */
static bool given_mask(struct qw_handover *handover, const struct qw_tensor *mask, int64_t past)
{
    int64_t B = handover->batch, q = handover->queries;
    bool flat = mask && mask->data && mask->shape.rank == 2 && mask->shape.dim[0] == B;
    if (flat)
        handover->mask = qw_tensor_doubles(mask);
    else if (mask)
        handover->mask = qc_block_mask_flat(mask, B, past, q);
    handover->mask_length = flat ? mask->shape.dim[1] : mask ? past + q : 0;
    return !mask || handover->mask;
}

/* What the record says was handed over; false when it cannot be played (absent, without data, a mask of four axes). */
static bool given_handover(struct qw_handover *handover, const struct qc_subject *subject, const struct qc_step *recorded)
{
    const struct qw_tensor *ids = recorded->input[QC_INPUT_IDS], *embeds = recorded->input[QC_INPUTS_EMBEDS];
    const struct qw_tensor *mask = recorded->input[QC_ATTENTION_MASK], *given = embeds ? embeds : ids;
    int64_t B = subject->call.batch;
    *handover = (struct qw_handover){.batch = B, .queries = qc_recorded_queries(recorded), .embeds = embeds != NULL};
    if (!given || !given->data || given->shape.dim[0] != B || given->shape.rank != (embeds ? 3 : 2) || handover->queries < 1 ||
        (embeds && embeds->shape.dim[2] != subject->model.config.hidden) || (!embeds && ids->dtype != QW_I64) ||
        !given_mask(handover, mask, qc_cache_rows(&recorded->before)))
        return false;
    if (embeds)
        handover->inputs_embeds = qw_tensor_doubles(embeds);
    else
        handover->input_ids = qw_memdup(ids->data, (size_t)qw_shape_count(&ids->shape), sizeof(int64_t));
    handover->position = given_positions(recorded, B, handover->queries, qc_cache_rows(&recorded->before));
    handover->positions = handover->queries;
    handover->states_positions = recorded->input[QC_POSITION_IDS] != NULL;
    handover->cacheless = subject->call.cacheless && qc_cache_rows(&recorded->before) == 0;
    handover->origin = QW_NEW_ARRAY(enum qw_origin, handover->queries);
    return true;
}

/* The lengths of the call that filled the empty cache, as step 0 was handed over; NULL when it found a filled one. */
static int64_t *first_lengths(const struct qc_subject *subject)
{
    const struct qc_step *first = &subject->recording->step[0];
    struct qw_handover handover;
    if (qc_cache_rows(&first->before) > 0 || !given_handover(&handover, subject, first))
        return NULL;
    int64_t *length = QW_NEW_ARRAY(int64_t, handover.batch);
    for (int64_t b = 0; b < handover.batch; b++)
        length[b] = qw_handover_visible(&handover, b);
    qw_handover_clear(&handover);
    return length;
}

void qc_judge_isolated(struct qc_judgement *judgement, int step)
{
    const struct qc_subject *subject = judgement->subject;
    const struct qc_step *recorded = qc_step_of(judgement, step);
    struct qc_play play = qc_play_make(judgement);
    struct qw_handover handover;
    int64_t past = qc_cache_rows(&recorded->before), queries = qc_recorded_queries(recorded);
    struct qc_extents extents = {queries, past, qc_logits_rows(recorded, queries, queries),
                                 recorded->input[QC_INPUTS_EMBEDS] != NULL};
    if (step > 0 && qw_protocol_turn(&subject->call, step).first > 0)
        qc_judge_handed_back(judgement, step);
    if (queries > 0) {
        qc_judge_taps(judgement, step, &extents, true);
        qc_judge_after(judgement, step, subject->call.use_cache ? past + qw_rows_appended(&judgement->rules, queries) : -1, true);
    }
    bool given = given_handover(&handover, subject, recorded);
    handover.first_length = first_lengths(subject);
    if (given && play.alive && qc_held_fill(&play, subject, &recorded->before)) {
        struct qc_replay replay = {judgement, step, true, &handover, &play, extents.rows};
        struct qc_stop stop;
        if (qc_replay_run(&replay, &stop) && subject->call.use_cache)
            qc_held_compare_after(judgement, step, &play, true);
    }
    qw_handover_clear(&handover);
    qc_play_clear(&play);
}
