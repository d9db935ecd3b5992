/* Invariant: numbers are changed first, each by itself; then parts are moved, as rows of D numbers. */
#include "reference/protocol/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"

/* One row of the prompt; embeddings are a prompt of one layer, one half and one head. */
struct place {
    int64_t layer, half, b, head, token;
};

/* Extents of the right prompt in that order, and the length of a row. */
struct extents {
    int64_t L, halves, B, heads, P, D;
};

static struct extents extents_of(const struct qw_shape *shape)
{
    const int64_t *dim = shape->dim;
    return shape->rank == 3 ? (struct extents){1, 1, dim[0], 1, dim[1], dim[2]}
                            : (struct extents){dim[0], dim[1], dim[2], dim[3], dim[4], dim[5]};
}

/* ---- moving parts ---- */

static void swap_halves(struct place *from, const struct extents *of, const struct qw_rules *rules)
{
    if (rules->swap_prefix)
        from->half = of->halves - 1 - from->half;
}

/* Key or value of a layer are parts 2 layer and 2 layer + 1 of 2 L. */
static void wire_layers(struct place *from, const struct extents *of, const struct qw_rules *rules)
{
    int64_t L = of->L, part = 2 * from->layer + from->half;
    switch (rules->wiring) {
    case QW_WIRED: return;
    case QW_WIRED_HALVES: part = from->half * L + from->layer; break;
    case QW_WIRED_INTERLEAVED: part = 2 * (part % L) + part / L; break;
    case QW_WIRED_REVERSED: part = 2 * (L - 1 - from->layer) + from->half; break;
    case QW_WIRED_NEXT: part = (part + 2) % (2 * L); break;
    case QW_WIRED_PREVIOUS: part = (part + 2 * L - 2) % (2 * L); break;
    case QW_WIRED_VALUE_NEXT: part = (part + 2 * from->half) % (2 * L); break;
    }
    if (of->halves == 2)
        *from = (struct place){part / 2, part % 2, from->b, from->head, from->token};
}

static void order_tokens(struct place *from, const struct extents *of, const struct qw_rules *rules)
{
    int64_t P = of->P;
    from->token = rules->token_order == QW_TOKENS_REVERSED ? P - 1 - from->token : (from->token - rules->token_order % P + P) % P;
}

/* From where in the right prompt a row of the spoilt one comes; one row each. */
static void (*const moves[])(struct place *from, const struct extents *of,
                             const struct qw_rules *rules) = {swap_halves, wire_layers, order_tokens};

static int64_t row_of(const struct place *at, const struct extents *of)
{
    return (((at->layer * of->halves + at->half) * of->B + at->b) * of->heads + at->head) * of->P + at->token;
}

static bool moves_parts(const struct qw_rules *rules)
{
    return rules->transpose_prefix || rules->swap_prefix || rules->wiring != QW_WIRED || rules->token_order;
}

/* The same prompt with its rows moved; heads and tokens exchanged where it is handed over as [L,2,B,P,heads,D]. */
static struct qw_tensor *moved(const struct qw_tensor *prompt, const struct qw_rules *rules)
{
    struct extents of = extents_of(&prompt->shape);
    struct qw_shape shape = prompt->shape;
    bool across = rules->transpose_prefix && shape.rank == 6;
    shape.dim[3] = across ? of.P : shape.dim[3];
    shape.dim[4] = across ? of.heads : shape.dim[4];
    if (!prompt->data)
        return qw_tensor_structure(QW_F64, &shape);
    struct qw_tensor *out = qw_tensor_make(QW_F64, &shape);
    int64_t second = across ? of.P : of.heads, third = across ? of.heads : of.P, rows = qw_shape_count(&shape) / of.D;
    for (int64_t row = 0; row < rows; row++) {
        int64_t slice = row / (second * third), i = row / third % second, j = row % third;
        struct place from = {slice / of.B / of.halves, slice / of.B % of.halves, slice % of.B, across ? j : i, across ? i : j};
        for (size_t k = 0; k < sizeof moves / sizeof *moves; k++)
            moves[k](&from, &of, rules);
        memcpy((double *)out->data + row * of.D, (const double *)prompt->data + row_of(&from, &of) * of.D,
               sizeof(double) * (size_t)of.D);
    }
    return out;
}

/* ---- changing numbers ---- */

/* Rotates the keys of a prefix [L,2,B,heads,P,D] as if token p stood at position p. */
static void rotate_keys(struct qw_tensor *prompt, const struct qw_config *config)
{
    struct extents of = extents_of(&prompt->shape);
    double *cos_table = QW_NEW_ARRAY(double, of.P *of.D), *sin_table = QW_NEW_ARRAY(double, of.P *of.D);
    int64_t *position = QW_NEW_ARRAY(int64_t, of.P), part = of.B * of.heads * of.P * of.D;
    for (int64_t p = 0; p < of.P; p++)
        position[p] = p;
    const struct qw_rotary rotary = {.theta = config->rope_theta, .kept = QW_F64};
    qw_rotary_table(&qw_f64, cos_table, sin_table, position, &rotary, of.P, of.D);
    for (int64_t layer = 0; layer < of.L; layer++)
        for (int64_t i = 0; i < of.B * of.heads; i++)
            qw_rotate(&qw_f64, (double *)prompt->data + 2 * layer * part + i * of.P * of.D, cos_table, sin_table, &rotary, of.P,
                      1, of.D);
    free(position);
    free(cos_table);
    free(sin_table);
}

/* Normalises the keys of a prefix [L,2,B,heads,P,D] head by head, as the model does with its own before it rotates them. */
static void normalize_keys(struct qw_tensor *prompt, const struct qw_model *model)
{
    struct extents of = extents_of(&prompt->shape);
    int64_t part = of.B * of.heads * of.P;
    for (int64_t layer = 0; layer < of.L && of.D == model->config.head_size; layer++) {
        double *key = (double *)prompt->data + 2 * layer * part * of.D;
        if (model->layer[layer].k_norm)
            qw_rms_norm(&qw_f64, key, key, model->layer[layer].k_norm, model->config.norm_eps, part, of.D);
    }
}

static void round_numbers(struct qw_tensor *prompt, enum qw_dtype dtype)
{
    double *number = prompt->data;
    for (int64_t i = 0; i < qw_shape_count(&prompt->shape); i++)
        number[i] = qw_round_to(dtype, number[i]);
}

/* ---- the whole ---- */

bool qw_protocol_prompt_is_moved(const struct qw_rules *rules)
{
    return !rules->rotate_prefix && !rules->normalize_prefix && rules->prompt_dtype == QW_F64 &&
           rules->projections == QW_PROJECTED_ONCE;
}

struct qw_tensor *qw_protocol_prompt(const struct qw_adapter *adapter, const struct qw_model *model, const struct qw_rules *rules,
                                     int64_t batch)
{
    struct qw_tensor *prompt = qw_adapter_prompt(adapter, &model->config, rules, batch);
    if (rules->rotate_prefix && prompt->data && prompt->shape.rank == 6)
        rotate_keys(prompt, &model->config);
    if (rules->normalize_prefix && prompt->data && prompt->shape.rank == 6 && model->layer)
        normalize_keys(prompt, model);
    if (prompt->data && rules->prompt_dtype != QW_F64)
        round_numbers(prompt, rules->prompt_dtype);
    if (!moves_parts(rules))
        return prompt;
    struct qw_tensor *spoilt = moved(prompt, rules);
    qw_tensor_free(prompt);
    return spoilt;
}
