/* Invariant: a handover is a function of call, adapter, rules, step and the cache's length. */
#include "reference/protocol/protocol.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"

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

/* [L,2,B,K,P,D] -> [L,2,B,P,K,D] */
static struct qw_tensor *transposed(const struct qw_tensor *prompt)
{
    struct qw_shape shape = prompt->shape;
    int64_t slices = shape.dim[0] * shape.dim[1] * shape.dim[2], K = shape.dim[3], P = shape.dim[4], D = shape.dim[5];
    shape.dim[3] = P;
    shape.dim[4] = K;
    if (!prompt->data)
        return qw_tensor_structure(QW_F64, &shape);
    struct qw_tensor *out = qw_tensor_make(QW_F64, &shape);
    for (int64_t s = 0; s < slices; s++)
        for (int64_t k = 0; k < K; k++)
            for (int64_t p = 0; p < P; p++)
                memcpy((double *)out->data + ((s * P + p) * K + k) * D, (const double *)prompt->data + ((s * K + k) * P + p) * D,
                       sizeof(double) * (size_t)D);
    return out;
}

/* [L,2,…] -> [L,2,…] with the two halves of every layer exchanged */
static struct qw_tensor *swapped(const struct qw_tensor *prompt)
{
    if (!prompt->data)
        return qw_tensor_structure(QW_F64, &prompt->shape);
    struct qw_tensor *out = qw_tensor_make(QW_F64, &prompt->shape);
    int64_t halves = 2 * prompt->shape.dim[0], half = qw_shape_count(&prompt->shape) / halves;
    for (int64_t i = 0; i < halves; i++)
        memcpy((double *)out->data + (i ^ 1) * half, (const double *)prompt->data + i * half, sizeof(double) * (size_t)half);
    return out;
}

struct qw_tensor *qw_protocol_prompt(const struct qw_adapter *adapter, const struct qw_config *config,
                                     const struct qw_rules *rules, int64_t batch)
{
    struct qw_tensor *prompt = qw_adapter_prompt(adapter, config, rules, batch);
    if (adapter->kind != QW_ADAPTER_KEYS_VALUES || !(rules->transpose_prefix || rules->swap_prefix))
        return prompt;
    struct qw_tensor *turned = rules->transpose_prefix ? transposed(prompt) : swapped(prompt);
    qw_tensor_free(prompt);
    return turned;
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

/* Position of place `at` of the sequence, its first `virtual_rows` places being virtual tokens. */
static int64_t position_of(int64_t at, int64_t virtual_rows, const struct qw_rules *rules)
{
    return at < virtual_rows ? at : at - virtual_rows + rules->virtual_offset * virtual_rows;
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

struct qw_handover qw_protocol_hand_over(struct qw_cache *cache, const struct qw_call *call, const struct qw_adapter *adapter,
                                         const struct qw_model *model, const struct qw_rules *rules, int64_t step)
{
    struct qw_handover handover = {.batch = call->batch, .withheld = call->recomputes && rules->withhold_cache};
    if (step == 0 || !call->use_cache || rules->drop_cache)
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
    handover.origin = origins_of(&handover, call, handover.queries - fed, step);
    handover.position = QW_NEW_ARRAY(int64_t, call->batch * handover.queries);
    for (int64_t i = 0; i < call->batch * handover.queries; i++)
        handover.position[i] = position_of(handover.first_slot + i % handover.queries, virtual_rows, rules);
    return handover;
}

void qw_handover_clear(struct qw_handover *handover)
{
    free(handover->input_ids);
    free(handover->inputs_embeds);
    free(handover->position);
    free(handover->mask);
    free(handover->origin);
    *handover = (struct qw_handover){0};
}
