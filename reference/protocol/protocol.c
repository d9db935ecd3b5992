/* Invariant: a handover is a function of call, adapter, rules, step and the cache's length. */
#include "reference/protocol/protocol.h"

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

int64_t qw_protocol_steps(const struct qw_call *call) { return call->generate && call->generated > 0 ? call->generated : 1; }

/* The ids that step `step` feeds: the prompt, then one generated token, or everything so far without a cache. */
static int64_t *ids_of(int64_t *count, const struct qw_call *call, int64_t step)
{
    int64_t first = step == 0 || !call->use_cache ? 0 : call->tokens + step - 1;
    *count = call->tokens + step - first;
    int64_t *ids = QW_NEW_ARRAY(int64_t, call->batch * *count);
    for (int64_t b = 0; b < call->batch; b++)
        for (int64_t t = 0; t < *count; t++)
            ids[b * *count + t] = first + t < call->tokens ? call->input_ids[b * call->tokens + first + t]
                                                           : call->output_ids[b * (call->tokens + call->generated) + first + t];
    return ids;
}

/* [B, virtual + T + step]: `seen` (1) for virtual tokens, the caller's mask, ones for generated tokens */
static double *mask_of(int64_t *length, const struct qw_call *call, int64_t virtual_tokens, double seen, int64_t step)
{
    *length = virtual_tokens + call->tokens + step;
    if (!call->mask && !call->generate)
        return NULL;
    double *mask = QW_NEW_ARRAY(double, call->batch **length);
    for (int64_t b = 0; b < call->batch; b++)
        for (int64_t i = 0; i < *length; i++) {
            int64_t token = i - virtual_tokens;
            bool given = call->mask && token >= 0 && token < call->tokens;
            mask[b * *length + i] = token < 0 ? seen : given ? (double)call->mask[b * call->tokens + token] : 1;
        }
    return mask;
}

static enum qw_origin *origins_of(const struct qw_handover *handover, const struct qw_call *call, int64_t virtual_rows,
                                  int64_t step)
{
    enum qw_origin *origin = QW_NEW_ARRAY(enum qw_origin, handover->queries);
    int64_t fed = handover->queries - virtual_rows, first = call->tokens + step - fed;
    for (int64_t i = 0; i < handover->queries; i++)
        origin[i] = i < virtual_rows                          ? QW_FROM_VIRTUAL
                    : first + i - virtual_rows < call->tokens ? QW_FROM_PROMPT
                                                              : QW_FROM_GENERATED;
    return origin;
}

/* cat(prompt [B,P,d], embedding(ids) [B,q,d]) along the tokens; NULL when either is not known */
static double *embeds_of(const int64_t *ids, int64_t q, const struct qw_tensor *prompt, const struct qw_model *model, int64_t B,
                         int64_t P)
{
    int64_t d = model->config.hidden;
    if (!prompt->data || !model->has_weights)
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

static bool injects(const struct qw_adapter *adapter, const struct qw_call *call, const struct qw_rules *rules, int64_t step)
{
    if (adapter->kind == QW_ADAPTER_NONE)
        return false;
    return step == 0 ? rules->inject_first : !call->use_cache && rules->inject_again;
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

static int64_t *positions_of(const struct qw_handover *handover, const struct qw_call *call, const struct qw_rules *rules,
                             int64_t virtual_rows)
{
    int64_t *position = QW_NEW_ARRAY(int64_t, handover->batch * handover->queries);
    for (int64_t i = 0; i < handover->batch * handover->queries; i++) {
        int64_t place = handover->first_slot + i % handover->queries, token = place - virtual_rows;
        int64_t number = handover->states_positions ? number_of(call, rules, i / handover->queries, token) : token;
        position[i] = token < 0 ? place : rules->virtual_offset * virtual_rows + number;
    }
    return position;
}

static void inject(struct qw_handover *handover, struct qw_cache *cache, const struct qw_adapter *adapter,
                   const struct qw_model *model, const struct qw_rules *rules)
{
    struct qw_tensor *prompt = qw_protocol_prompt(adapter, &model->config, rules, handover->batch);
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

struct qw_handover qw_protocol_hand_over(struct qw_cache *cache, const struct qw_call *call, const struct qw_adapter *adapter,
                                         const struct qw_model *model, const struct qw_rules *rules, int64_t step)
{
    struct qw_handover handover = {.batch = call->batch};
    if (step == 0 || !call->use_cache)
        qw_cache_reset(cache);
    handover.input_ids = ids_of(&handover.queries, call, step);
    int64_t fed = handover.queries;
    if (injects(adapter, call, rules, step))
        inject(&handover, cache, adapter, model, rules);
    int64_t virtual_rows = injects(adapter, call, rules, call->use_cache ? 0 : step) ? adapter->virtual_tokens : 0;
    int64_t masked = rules->extend_mask ? adapter->virtual_tokens : 0;
    bool counted = step == 0 && virtual_rows && adapter->kind == QW_ADAPTER_KEYS_VALUES && call->generate &&
                   rules->prefix_counted;
    handover.first_slot = counted ? virtual_rows : qw_cache_length(cache);
    handover.mask = mask_of(&handover.mask_length, call, masked, rules->hide_virtual ? 0 : 1, step);
    handover.first_length = first_lengths_of(call, virtual_rows, virtual_rows && adapter->kind == QW_ADAPTER_KEYS_VALUES);
    handover.origin = origins_of(&handover, call, handover.queries - fed, step);
    handover.states_positions = states_positions(adapter, call, rules);
    handover.position = positions_of(&handover, call, rules, virtual_rows);
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
