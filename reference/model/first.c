/* Invariant: a token's angle follows from its row in the cache, whatever positions were handed over. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"
#include "reference/model/pass.h"

/* By how much the base of the rotation grows for an input of this length: 1, 3, 7, 15 … (get_ntk_alpha). */
static double growth_of(const struct qw_config *config, int64_t length)
{
    double doublings = ceil(log2((double)length / (double)config->trained_length) + 1);
    return fmax(pow(2, doublings) - 1, 1);
}

/* The length that dynamic NTK goes by in batch row b: that of the call that began with an empty cache; 0: none did. */
static int64_t first_length(const struct qw_pass *pass, int64_t b)
{
    const struct qw_handover *handover = pass->handover;
    if (pass->past > 0)
        return handover->first_length ? handover->first_length[b] : 0;
    return qw_handover_visible(handover, b);
}

/* base * growth^(D/(D-2)), in the float32 that the power is taken in */
static double base_of(const struct qw_pass *pass, int64_t b)
{
    const struct qw_config *config = &pass->model->config;
    double D = (double)config->head_size, growth = 1, base = qw_pass_rope_base(pass);
    if (config->dynamic_ntk && first_length(pass, b) > 0)
        growth = growth_of(config, first_length(pass, b));
    return growth == 1 ? base : qw_round_to(pass->arith->inner, base * pow(growth, D / (D - 2)));
}

/* The rotation is made in float32 and its result cast back to the model's type. */
static struct qw_rotary rotary_of(const struct qw_pass *pass, int64_t b)
{
    return (struct qw_rotary){base_of(pass, b), QW_F64, true, pass->rules->pairing};
}

/* cos, sin [B,q,D]: of a table of S rows the last q, for each batch row by its own base.  Only the first table is seen. */
static void prepare(struct qw_pass *pass)
{
    int64_t q = pass->handover->queries, D = pass->model->config.head_size, S = pass->past + q;
    int64_t *position = QW_NEW_ARRAY(int64_t, S);
    double *cos_table = QW_NEW_ARRAY(double, S *D), *sin_table = QW_NEW_ARRAY(double, S *D);
    for (int64_t i = 0; i < S; i++)
        position[i] = i;
    for (int64_t b = 0; b < pass->handover->batch; b++) {
        const struct qw_rotary rotary = rotary_of(pass, b);
        if (b == 0 || rotary.theta != base_of(pass, b - 1))
            qw_rotary_table(pass->arith, cos_table, sin_table, position, &rotary, S, D);
        if (b == 0) {
            qw_pass_see(pass, QW_SITE_FIRST_COS, -1, cos_table, qw_shape_of(4, (int64_t)1, S, (int64_t)1, D));
            qw_pass_see(pass, QW_SITE_FIRST_SIN, -1, sin_table, qw_shape_of(4, (int64_t)1, S, (int64_t)1, D));
        }
        memcpy(pass->cos + b * q * D, cos_table + pass->past * D, sizeof *cos_table * (size_t)(q * D));
        memcpy(pass->sin + b * q * D, sin_table + pass->past * D, sizeof *sin_table * (size_t)(q * D));
    }
    free(position);
    free(cos_table);
    free(sin_table);
    qw_pass_see_tokens(pass, QW_SITE_DROP, -1, pass->hidden, pass->model->config.hidden);
}

/* Part `third` (0 queries, 1 keys, 2 values) of [B,q,3HD]; to be freed. */
static double *third_of(const struct qw_pass *pass, const double *mixed, int third)
{
    int64_t n = qw_pass_tokens(pass), width = pass->model->config.heads * pass->model->config.head_size;
    double *out = QW_NEW_ARRAY(double, n *width);
    for (int64_t t = 0; t < n; t++)
        memcpy(out + t * width, mixed + (3 * t + third) * width, sizeof *out * (size_t)width);
    return out;
}

static void rotate(const struct qw_pass *pass, double *x)
{
    const struct qw_config *config = &pass->model->config;
    const struct qw_rotary rotary = rotary_of(pass, 0);
    qw_rotate(pass->arith, x, pass->cos, pass->sin, &rotary, qw_pass_tokens(pass), config->heads, config->head_size);
}

/* Queries beyond the trained length are scaled by log(place) / log(trained length), places counted from 1. */
static void scale_by_place(const struct qw_pass *pass, double *x)
{
    const struct qw_config *config = &pass->model->config;
    int64_t width = config->heads * config->head_size, q = pass->handover->queries;
    for (int64_t t = 0; config->log_n && t < qw_pass_tokens(pass); t++) {
        int64_t place = pass->past + t % q + 1;
        double scale = qw_round_to(pass->arith->inner, log((double)place) / log((double)config->trained_length));
        for (int64_t i = 0; place > config->trained_length && i < width; i++)
            x[t * width + i] = qw_arith_round(pass->arith, x[t * width + i] * scale);
    }
}

/* attn: q, k, v in one product; rotary; join the cache; log-n; attend; c_proj.  NULL where the real model raises. */
static double *attention(struct qw_pass *pass, int layer, const double *x)
{
    const struct qw_layer_weights w = qw_pass_weights(pass, layer);
    double *mixed = qw_pass_linear(pass, QW_SITE_C_ATTN, layer, x, w.qkv_weight, w.qkv_bias), *o = NULL;
    double *q = third_of(pass, mixed, 0), *k = third_of(pass, mixed, 1), *v = third_of(pass, mixed, 2);
    rotate(pass, q);
    rotate(pass, k);
    if (qw_pass_join(pass, layer, k, v)) {
        scale_by_place(pass, q);
        double *joined = qw_pass_attend(pass, layer, q);
        o = qw_pass_linear(pass, QW_SITE_ATTN_C_PROJ, layer, joined, w.o_weight, w.o_bias);
        free(joined);
    }
    free(mixed);
    free(q);
    free(k);
    free(v);
    return o;
}

/* mlp: c_proj(w1(x) * silu(w2(x))) */
static double *feed_forward(struct qw_pass *pass, int layer, const double *x)
{
    const struct qw_layer_weights w = qw_pass_weights(pass, layer);
    int64_t n = qw_pass_tokens(pass) * pass->model->config.ffn;
    double *up = qw_pass_linear(pass, QW_SITE_W1, layer, x, w.up_weight, w.up_bias);
    double *gate = qw_pass_linear(pass, QW_SITE_W2, layer, x, w.gate_weight, w.gate_bias);
    double *activated = pass->rules->gating == QW_GATED_BY_UP ? up : gate;
    qw_silu(pass->arith, activated, activated, n);
    qw_multiply(pass->arith, gate, up, gate, n);
    double *down = qw_pass_linear(pass, QW_SITE_MLP_C_PROJ, layer, gate, w.down_weight, w.down_bias);
    free(gate);
    free(up);
    return down;
}

const struct qw_path qw_path_first = {QW_SITE_LN_1, QW_SITE_LN_2, QW_SITE_LN_F, prepare, attention, feed_forward};
