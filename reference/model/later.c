/* Invariant: nothing is made of a family's name; what a block has follows from its weights and from the rules. */
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"
#include "reference/model/pass.h"

/* Frequencies are made in float32: only a half takes something from them. */
static enum qw_dtype frequencies_kept(const struct qw_pass *pass)
{
    bool half = pass->model->dtype == QW_F16 || pass->model->dtype == QW_BF16;
    return pass->rules->rope_in_model_dtype && half ? pass->model->dtype : QW_F64;
}

static struct qw_rotary rotary_of(const struct qw_pass *pass)
{
    return (struct qw_rotary){qw_pass_rope_base(pass), frequencies_kept(pass), false, pass->rules->pairing};
}

static void rotary_table(const struct qw_pass *pass, double *cos_table, double *sin_table, const int64_t *position, int64_t n)
{
    const struct qw_rotary rotary = rotary_of(pass);
    qw_rotary_table(pass->arith, cos_table, sin_table, position, &rotary, n, pass->model->config.head_size);
}

/* Heads of queries or keys, in place. */
static void rotate(const struct qw_pass *pass, double *x, int64_t heads)
{
    const struct qw_rotary rotary = rotary_of(pass);
    qw_rotate(pass->arith, x, pass->cos, pass->sin, &rotary, qw_pass_tokens(pass), heads, pass->model->config.head_size);
}

/* A hand-over that is out of order may number fewer tokens than it feeds. */
static bool has_positions(const struct qw_pass *pass) { return pass->handover->positions == pass->handover->queries; }

/* cos, sin [B,q,D] once per call (newer eras). */
static void make_rotary(struct qw_pass *pass)
{
    if (pass->rules->rotary_in_attention || !has_positions(pass))
        return;
    int64_t D = pass->model->config.head_size;
    rotary_table(pass, pass->cos, pass->sin, pass->handover->position, qw_pass_tokens(pass));
    qw_pass_see_tokens(pass, QW_SITE_ROTARY_COS, -1, pass->cos, D);
    qw_pass_see_tokens(pass, QW_SITE_ROTARY_SIN, -1, pass->sin, D);
}

/* cos, sin [B,q,D] looked up by position in tables [S,D] that this attention makes (older eras); false when a position
 * lies beyond them. */
static bool look_up_rotary(struct qw_pass *pass, int layer)
{
    int64_t D = pass->model->config.head_size, S = pass->past + pass->handover->queries;
    int64_t *position = QW_NEW_ARRAY(int64_t, S);
    double *cos_table = QW_NEW_ARRAY(double, S *D), *sin_table = QW_NEW_ARRAY(double, S *D);
    for (int64_t i = 0; i < S; i++)
        position[i] = i;
    rotary_table(pass, cos_table, sin_table, position, S);
    qw_pass_see(pass, QW_SITE_TABLE_COS, layer, cos_table, qw_shape_of(2, S, D));
    qw_pass_see(pass, QW_SITE_TABLE_SIN, layer, sin_table, qw_shape_of(2, S, D));
    bool covered = true;
    for (int64_t t = 0; t < qw_pass_tokens(pass); t++) {
        int64_t row = pass->handover->position[t];
        if (row < 0 || row >= S) {
            covered = false;
            continue;
        }
        memcpy(pass->cos + t * D, cos_table + row * D, sizeof *cos_table * (size_t)D);
        memcpy(pass->sin + t * D, sin_table + row * D, sizeof *sin_table * (size_t)D);
    }
    free(position);
    free(cos_table);
    free(sin_table);
    return covered;
}

/* A projection [B,q,heads D], each head normalised where the model does so. */
static double *project(struct qw_pass *pass, enum qw_site site, enum qw_site normed, int layer, const double *x,
                       const struct qw_tensor *weight, const struct qw_tensor *bias, const struct qw_tensor *head_norm)
{
    int64_t D = pass->model->config.head_size, heads = weight->shape.dim[0] / D, n = qw_pass_tokens(pass) * heads;
    double *projected = qw_pass_linear(pass, site, layer, x, weight, bias);
    if (!pass->model->config.head_norms)
        return projected;
    if (head_norm)
        qw_rms_norm(pass->arith, projected, projected, head_norm, qw_pass_norm_eps(pass), n, D);
    qw_pass_see(pass, normed, layer, projected, qw_shape_of(4, pass->handover->batch, pass->handover->queries, heads, D));
    return projected;
}

/* self_attn: q, k, v; norms of heads; rotary; join the cache; attend; o.  NULL where the real model raises. */
static double *attention(struct qw_pass *pass, int layer, const double *x)
{
    const struct qw_config *config = &pass->model->config;
    const struct qw_layer_weights w = qw_pass_weights(pass, layer);
    double *q = project(pass, QW_SITE_Q_PROJ, QW_SITE_Q_NORM, layer, x, w.q_weight, w.q_bias, w.q_norm);
    double *k = project(pass, QW_SITE_K_PROJ, QW_SITE_K_NORM, layer, x, w.k_weight, w.k_bias, w.k_norm);
    double *v = qw_pass_linear(pass, QW_SITE_V_PROJ, layer, x, w.v_weight, w.v_bias), *o = NULL;
    if (has_positions(pass) && (!pass->rules->rotary_in_attention || look_up_rotary(pass, layer))) {
        rotate(pass, q, config->heads);
        rotate(pass, k, config->kv_heads);
        if (qw_pass_join(pass, layer, k, v)) {
            double *joined = qw_pass_attend(pass, layer, q);
            o = qw_pass_linear(pass, QW_SITE_O_PROJ, layer, joined, w.o_weight, w.o_bias);
            free(joined);
        }
    }
    free(q);
    free(k);
    free(v);
    return o;
}

static void activate(struct qw_pass *pass, int layer, double *branch)
{
    int64_t F = pass->model->config.ffn;
    qw_silu(pass->arith, branch, branch, qw_pass_tokens(pass) * F);
    qw_pass_see_tokens(pass, QW_SITE_ACT_FN, layer, branch, F);
}

/* mlp: down(silu(gate(x)) * up(x)) */
static double *feed_forward(struct qw_pass *pass, int layer, const double *x)
{
    const struct qw_layer_weights w = qw_pass_weights(pass, layer);
    bool by_up = pass->rules->gating == QW_GATED_BY_UP;
    double *gate = qw_pass_linear(pass, QW_SITE_GATE_PROJ, layer, x, w.gate_weight, NULL);
    if (!by_up)
        activate(pass, layer, gate);
    double *up = qw_pass_linear(pass, QW_SITE_UP_PROJ, layer, x, w.up_weight, NULL);
    if (by_up)
        activate(pass, layer, up);
    qw_multiply(pass->arith, gate, gate, up, qw_pass_tokens(pass) * pass->model->config.ffn);
    double *down = qw_pass_linear(pass, QW_SITE_DOWN_PROJ, layer, gate, w.down_weight, NULL);
    free(gate);
    free(up);
    return down;
}

const struct qw_path qw_path_later = {QW_SITE_INPUT_NORM, QW_SITE_POST_NORM, QW_SITE_NORM, make_rotary, attention, feed_forward};
