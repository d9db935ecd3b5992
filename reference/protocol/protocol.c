/* Invariant: a handover is a function of call, adapter, rules, step and the cache's length. */
#include "reference/protocol/protocol.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"

bool qw_call_pads(const struct qw_call *call)
{
    for (int64_t i = 0; call->mask && i < call->batch * call->tokens; i++)
        if (call->mask[i] == 0)
            return true;
    return false;
}

int64_t qw_protocol_steps(const struct qw_call *call)
{
    return call->turn ? call->turns : call->generate && call->generated > 0 ? call->generated : 1;
}

struct qw_turn qw_protocol_turn(const struct qw_call *call, int64_t step)
{
    if (call->turn)
        return call->turn[step];
    int64_t first = step == 0 || !call->use_cache ? 0 : call->tokens + step - 1;
    return (struct qw_turn){.first = first, .count = call->tokens + step - first};
}

/* What the rules make of a turn behind `past` rows of cache. */
static struct qw_turn turn_under(const struct qw_turn *turn, const struct qw_adapter *adapter, const struct qw_rules *rules,
                                 int64_t past)
{
    struct qw_turn fed = *turn;
    int64_t end = turn->first + turn->count;
    bool later = turn->first > 0 && adapter->kind != QW_ADAPTER_NONE;
    if (later && rules->refeed)
        fed.first = 0;
    if (later && rules->trim_later && past >= turn->count)
        fed.first = end - 1;
    fed.count = end - fed.first;
    return fed;
}

static int64_t token_of(const struct qw_call *call, const struct qw_turn *turn, int64_t b, int64_t at)
{
    if (turn->ids && at >= turn->first)
        return turn->ids[b * turn->count + at - turn->first];
    assert(at < call->tokens || call->output_ids);
    return at < call->tokens ? call->input_ids[b * call->tokens + at]
                             : call->output_ids[b * (call->tokens + call->generated) + at];
}

static int64_t *ids_of(const struct qw_call *call, const struct qw_turn *turn, const struct qw_turn *fed)
{
    int64_t known = call->tokens + (call->output_ids ? call->generated : 0);
    if (turn->unknown || (fed->first < turn->first && turn->first > known))
        return NULL;
    int64_t *ids = QW_NEW_ARRAY(int64_t, call->batch * fed->count);
    for (int64_t b = 0; b < call->batch; b++)
        for (int64_t t = 0; t < fed->count; t++)
            ids[b * fed->count + t] = token_of(call, turn, b, fed->first + t);
    return ids;
}

/* Whether the mask shows token `t` of batch row `b`: as the caller says, generated tokens always. */
static bool shown(const struct qw_call *call, const struct qw_turn *turn, int64_t b, int64_t t)
{
    if (turn->mask)
        return turn->mask[b * (turn->first + turn->count) + t] != 0;
    return !call->mask || t >= call->tokens || call->mask[b * call->tokens + t] != 0;
}

/* Where entry `i` of a mask of that length is put. */
static int64_t place_under(const struct qw_rules *rules, int64_t i, int64_t length)
{
    int64_t shifted = (i + rules->mask_shift) % length;
    return shifted < 0 ? shifted + length : shifted;
}

/* [B, ahead + tokens so far]: 1, or 0 if the rules hide them, for what stands ahead of the tokens, then as shown */
static double *mask_of(int64_t *length, const struct qw_call *call, const struct qw_turn *turn, int64_t ahead,
                       const struct qw_rules *rules)
{
    *length = ahead + turn->first + turn->count;
    if (!call->mask && !call->generate && !turn->mask)
        return NULL;
    double *mask = QW_NEW_ARRAY(double, call->batch **length);
    for (int64_t b = 0; b < call->batch; b++)
        for (int64_t i = 0; i < *length; i++)
            mask[b * *length + place_under(rules, i, *length)] = i < ahead ? !rules->hide_virtual
                                                                           : shown(call, turn, b, i - ahead);
    return mask;
}

static enum qw_origin *origins_of(const struct qw_call *call, const struct qw_turn *fed, int64_t virtual_rows)
{
    enum qw_origin *origin = QW_NEW_ARRAY(enum qw_origin, virtual_rows + fed->count);
    for (int64_t i = 0; i < virtual_rows + fed->count; i++)
        origin[i] = i < virtual_rows                               ? QW_FROM_VIRTUAL
                    : fed->first + i - virtual_rows < call->tokens ? QW_FROM_PROMPT
                                                                   : QW_FROM_GENERATED;
    return origin;
}

/* cat(prompt [B,P,d], embedding(ids) [B,q,d]) along the tokens; NULL when either is not known */
static double *embeds_of(const int64_t *ids, int64_t q, const struct qw_tensor *prompt, const struct qw_model *model, int64_t B,
                         int64_t P)
{
    int64_t d = model->config.hidden;
    if (!prompt->data || !model->has_weights || !ids)
        return NULL;
    double *embeds = QW_NEW_ARRAY(double, B *(P + q) * d);
    for (int64_t b = 0; b < B; b++) {
        memcpy(embeds + b * (P + q) * d, (const double *)prompt->data + b * P * d, sizeof *embeds * (size_t)(P * d));
        qw_embed(embeds + (b * (P + q) + P) * d, model->embed, ids + b * q, q, d);
    }
    return embeds;
}

static void fill_with_prefix(struct qw_cache *cache, const struct qw_tensor *prompt)
{
    const int64_t *dim = prompt->shape.dim; /* [L,2,B,heads,P,D] */
    int64_t part = dim[2] * dim[3] * dim[4] * dim[5];
    for (int64_t layer = 0; layer < dim[0]; layer++) {
        const double *key = prompt->data ? (const double *)prompt->data + 2 * layer * part : NULL;
        qw_cache_fill(cache, layer, key, key ? key + part : NULL, dim[3], dim[4], dim[5]);
    }
    qw_cache_mark(cache, QW_FROM_VIRTUAL, dim[4]);
}

/* Whether virtual tokens are put before a turn that starts a sequence, or one that goes on. */
static bool injects(const struct qw_adapter *adapter, const struct qw_rules *rules, int64_t step, bool starts)
{
    if (adapter->kind == QW_ADAPTER_NONE)
        return false;
    return step == 0 ? rules->inject_first : starts ? rules->inject_again : rules->reinject;
}

/* Whether the library numbers the tokens itself and says so in position_ids; else the model does, by their places. */
static bool states_positions(const struct qw_adapter *adapter, const struct qw_call *call, const struct qw_rules *rules)
{
    return call->generate && (adapter->kind == QW_ADAPTER_NONE          ? rules->numbers_base
                              : adapter->kind == QW_ADAPTER_KEYS_VALUES ? rules->numbers_prefix
                                                                        : false);
}

/* Number of token `t` of batch row `b` by the mask: how many tokens that are no padding stand before it. */
static int64_t number_of(const struct qw_call *call, const struct qw_rules *rules, int64_t b, int64_t t)
{
    const int64_t *mask = call->mask ? call->mask + b * call->tokens : NULL;
    int64_t last = t < call->tokens ? t : call->tokens - 1, before = 0;
    if (mask && t >= call->tokens && !rules->decode_counts)
        return number_of(call, rules, b, last) + t - last;
    if (mask && t < call->tokens && !mask[t])
        return rules->padding_position;
    for (int64_t i = 0; i < t; i++)
        before += !mask || i >= call->tokens || mask[i];
    return before;
}

static int64_t *positions_of(const struct qw_handover *handover, const struct qw_call *call, const struct qw_turn *turn,
                             const struct qw_rules *rules, int64_t virtual_rows, int64_t counted)
{
    if (turn->position)
        return qw_memdup(turn->position, (size_t)(handover->batch * turn->count), sizeof *turn->position);
    int64_t first = handover->states_positions ? counted : handover->first_slot;
    bool by_place = rules->counts_padding || (rules->chunks_by_place && turn->first + turn->count < call->tokens);
    int64_t count = handover->positions, *position = QW_NEW_ARRAY(int64_t, handover->batch * count);
    for (int64_t i = 0; i < handover->batch * count; i++) {
        int64_t place = first + i % count, token = place - virtual_rows;
        int64_t number = handover->states_positions && !by_place ? number_of(call, rules, i / count, token) : token;
        position[i] = token < 0 ? place : rules->virtual_offset * virtual_rows + number;
        if (rules->restart_positions > (turn->first > 0 ? QW_RESTART_NEVER : QW_RESTART_LATER))
            position[i] = i % count;
    }
    return position;
}

static void inject(struct qw_handover *handover, struct qw_cache *cache, const struct qw_adapter *adapter,
                   const struct qw_model *model, const struct qw_rules *rules)
{
    struct qw_tensor *prompt = qw_protocol_prompt(adapter, model, rules, handover->batch);
    qw_tensor_round(prompt, model->dtype); /* PEFT casts what it hands over to the base model's dtype */
    if (adapter->kind == QW_ADAPTER_KEYS_VALUES) {
        fill_with_prefix(cache, prompt);
    } else {
        handover->inputs_embeds = embeds_of(handover->input_ids, handover->queries, prompt, model, handover->batch,
                                            adapter->virtual_tokens);
        handover->embeds = true;
        handover->queries += adapter->virtual_tokens;
        free(handover->input_ids);
        handover->input_ids = NULL;
    }
    qw_tensor_free(prompt);
}

/* Tokens of step 0, virtual ones included, without padding; zeros when it found a prefix. */
static int64_t *first_lengths_of(const struct qw_call *call, int64_t virtual_rows, bool prefixed)
{
    int64_t *length = QW_NEW_ARRAY(int64_t, call->batch);
    for (int64_t b = 0; b < call->batch && !prefixed; b++) {
        length[b] = virtual_rows + call->tokens;
        for (int64_t t = 0; call->mask && t < call->tokens; t++)
            length[b] -= call->mask[b * call->tokens + t] == 0;
    }
    return length;
}

/* Brings the cache into the state from which the turn goes on: rows in its order, of more than `length` none. */
static void take_up(struct qw_cache *cache, const struct qw_turn *turn, const struct qw_rules *rules, int64_t length,
                    int64_t step)
{
    if (turn->first == 0 || rules->drop_cache == QW_EVERY_STEP || (rules->drop_cache && rules->drop_cache == step))
        qw_cache_reset(cache);
    if (turn->row)
        qw_cache_reorder(cache, turn->row);
    qw_cache_crop(cache, length);
}

/* The place from which generate() counts the rows of a step: on from the step before, whatever became of the cache. */
static int64_t counted_of(const struct qw_turn *turn, const struct qw_turn *fed, int64_t virtual_rows, int64_t held,
                          const struct qw_rules *rules)
{
    return fed->first < turn->first || rules->reinject ? held : virtual_rows + turn->first;
}

struct qw_handover qw_protocol_hand_over(struct qw_cache *cache, const struct qw_call *call, const struct qw_adapter *adapter,
                                         const struct qw_model *model, const struct qw_rules *rules, int64_t step)
{
    static const struct qw_adapter nobody = {.kind = QW_ADAPTER_NONE};
    struct qw_handover handover = {.batch = call->batch, .withheld = call->recomputes && rules->withhold_cache};
    adapter = rules->bypass_adapter ? &nobody : adapter;
    const struct qw_turn turn = qw_protocol_turn(call, step);
    bool starts = turn.first == 0, injected = injects(adapter, rules, step, starts);
    bool holds = injects(adapter, rules, starts ? step : 0, true), prefix = adapter->kind == QW_ADAPTER_KEYS_VALUES;
    int64_t virtual_rows = holds ? adapter->virtual_tokens : 0;
    bool extends = adapter->kind != QW_ADAPTER_NONE && (rules->refeed || rules->reinject);
    bool grows = !call->turn || extends; /* by more than the tokens of its turns */
    take_up(cache, &turn, rules, grows ? INT64_MAX : virtual_rows + turn.first, step);
    const struct qw_turn fed = turn_under(&turn, adapter, rules, qw_cache_length(cache));
    int64_t masked = !rules->extend_mask                                   ? 0
                     : fed.first < turn.first && rules->mask_follows_cache ? qw_cache_length(cache)
                                                                           : adapter->virtual_tokens;
    handover.input_ids = ids_of(call, &turn, &fed);
    handover.queries = fed.count;
    handover.cacheless = call->cacheless && !(injected && prefix);
    if (injected && prefix)
        qw_cache_reset(cache);
    if (injected)
        inject(&handover, cache, adapter, model, rules);
    int64_t counted = counted_of(&turn, &fed, virtual_rows, qw_cache_length(cache), rules);
    bool counts = call->generate && (call->counts_slots || (step == 0 && virtual_rows && prefix && rules->prefix_counted));
    handover.first_slot = counts ? counted : qw_cache_length(cache);
    handover.slots_ahead = handover.first_slot - qw_cache_length(cache);
    handover.mask = mask_of(&handover.mask_length, call, &turn, masked, rules);
    handover.first_length = first_lengths_of(call, virtual_rows, virtual_rows && prefix);
    handover.origin = origins_of(call, &fed, handover.queries - fed.count);
    handover.states_positions = turn.position || states_positions(adapter, call, rules);
    handover.positions = handover.states_positions && fed.first > turn.first ? turn.count : handover.queries;
    handover.position = positions_of(&handover, call, &turn, rules, virtual_rows, counted);
    return handover;
}

int64_t qw_handover_visible(const struct qw_handover *handover, int64_t b)
{
    int64_t seen = 0;
    for (int64_t i = 0; handover->mask && i < handover->mask_length; i++)
        seen += handover->mask[b * handover->mask_length + i] != 0;
    return handover->mask ? seen : handover->queries;
}

void qw_handover_clear(struct qw_handover *handover)
{
    free(handover->input_ids);
    free(handover->inputs_embeds);
    free(handover->position);
    free(handover->mask);
    free(handover->origin);
    free(handover->first_length);
    *handover = (struct qw_handover){0};
}
