/* Invariant: between two stages `hidden` is the residual stream and the cache holds what the blocks so far appended. */
#include "reference/model/forward.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"

static int64_t tokens_of(const struct qw_pass *pass) { return pass->handover->batch * pass->handover->queries; }

static void see(struct qw_pass *pass, enum qw_site site, int layer, double *value, struct qw_shape shape)
{
    if (pass->tap.see)
        pass->tap.see(pass->tap.user, site, layer, value, &shape);
}

/* A value [B,q,width]. */
static void see_tokens(struct qw_pass *pass, enum qw_site site, int layer, double *value, int64_t width)
{
    see(pass, site, layer, value, qw_shape_of(3, pass->handover->batch, pass->handover->queries, width));
}

static double *norm(struct qw_pass *pass, enum qw_site site, int layer, const struct qw_tensor *weight)
{
    int64_t d = pass->model->config.hidden;
    double *y = QW_NEW_ARRAY(double, tokens_of(pass) * d);
    qw_rms_norm(pass->arith, y, pass->hidden, weight, pass->model->config.norm_eps, tokens_of(pass), d);
    see_tokens(pass, site, layer, y, d);
    return y;
}

static double *linear(struct qw_pass *pass, enum qw_site site, int layer, const double *x, const struct qw_tensor *weight,
                      const struct qw_tensor *bias)
{
    int64_t out = weight->shape.dim[0], in = weight->shape.dim[1];
    double *y = QW_NEW_ARRAY(double, tokens_of(pass) * out);
    qw_linear(pass->arith, y, x, weight, bias, tokens_of(pass), in, out);
    see_tokens(pass, site, layer, y, out);
    return y;
}

/* cos, sin [B,q,D] once per call (newer eras). */
static void make_rotary(struct qw_pass *pass)
{
    int64_t D = pass->model->config.head_size;
    qw_rotary_table(pass->arith, pass->cos, pass->sin, pass->handover->position, pass->model->config.rope_theta, tokens_of(pass),
                    D);
    see_tokens(pass, QW_SITE_ROTARY_COS, -1, pass->cos, D);
    see_tokens(pass, QW_SITE_ROTARY_SIN, -1, pass->sin, D);
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
    qw_rotary_table(pass->arith, cos_table, sin_table, position, pass->model->config.rope_theta, S, D);
    see(pass, QW_SITE_TABLE_COS, layer, cos_table, qw_shape_of(2, S, D));
    see(pass, QW_SITE_TABLE_SIN, layer, sin_table, qw_shape_of(2, S, D));
    bool covered = true;
    for (int64_t t = 0; t < tokens_of(pass); t++) {
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

enum qw_short_mask qw_mask_treatment(const struct qw_rules *rules, const struct qw_handover *handover, int64_t past)
{
    bool all_ones = true;
    if (handover->withheld && rules->wide_mask_raises && past > 0 && handover->queries > 1)
        return QW_SHORT_RAISES_IN_ATTENTION;
    if (!handover->mask || handover->mask_length >= past + handover->queries)
        return QW_SHORT_IGNORED;
    for (int64_t i = 0; i < handover->batch * handover->mask_length; i++)
        all_ones = all_ones && handover->mask[i] != 0;
    return all_ones && (past == 0 || handover->queries == 1) ? rules->short_mask : rules->short_mask_past;
}

struct qw_pass qw_pass_begin(const struct qw_model *model, const struct qw_arith *arith, const struct qw_rules *rules,
                             const struct qw_handover *handover, struct qw_cache *cache, struct qw_tap tap)
{
    struct qw_pass pass = {model, arith, rules, handover, cache, tap, qw_cache_length(cache), 0, QW_SHORT_IGNORED,
                           NULL,  NULL,  NULL};
    pass.mask = qw_mask_treatment(rules, handover, pass.past);
    if (handover->withheld)
        qw_cache_reset(cache);
    pass.kept = qw_cache_length(cache);
    int64_t n = tokens_of(&pass), d = model->config.hidden, D = model->config.head_size;
    pass.hidden = QW_NEW_ARRAY(double, n *d);
    pass.cos = QW_NEW_ARRAY(double, n *D);
    pass.sin = QW_NEW_ARRAY(double, n *D);
    if (handover->embeds) {
        memcpy(pass.hidden, handover->inputs_embeds, sizeof *pass.hidden * (size_t)(n * d));
    } else {
        qw_embed(pass.hidden, model->embed, handover->input_ids, n, d);
        see_tokens(&pass, QW_SITE_EMBED, -1, pass.hidden, d);
    }
    if (!rules->rotary_in_attention && qw_pass_enters_blocks(&pass))
        make_rotary(&pass);
    for (int64_t i = 0; i < qw_rows_appended(rules, handover->queries); i++)
        qw_cache_mark(cache, handover->origin[i % handover->queries], 1);
    return pass;
}

bool qw_pass_enters_blocks(const struct qw_pass *pass) { return pass->mask != QW_SHORT_RAISES_IN_MODEL; }

/* visible[q,S] of batch row b: row i sees the keys up to past + i that the mask shows, of the S that there are.  A mask
 * is aligned at the left; what it covers beyond S is nowhere. */
static unsigned char *visible_keys(const struct qw_pass *pass, int64_t b)
{
    const struct qw_handover *handover = pass->handover;
    int64_t q = handover->queries, S = pass->kept + q;
    unsigned char *visible = QW_NEW_ARRAY(unsigned char, q *S);
    for (int64_t i = 0; i < q; i++)
        for (int64_t j = 0; j <= pass->past + i && j < S; j++)
            visible[i * S + j] = handover->mask && j < handover->mask_length ? handover->mask[b * handover->mask_length + j] != 0
                                                                             : pass->mask == QW_SHORT_IGNORED;
    return visible;
}

/* Queries of one head, [q,D], out of [B,q,H,D]. */
static void gather_head(double *out, const double *from, int64_t b, int64_t h, int64_t q, int64_t H, int64_t D)
{
    for (int64_t t = 0; t < q; t++)
        memcpy(out + t * D, from + ((b * q + t) * H + h) * D, sizeof *out * (size_t)D);
}

static void scatter_head(double *to, const double *head, int64_t b, int64_t h, int64_t q, int64_t H, int64_t D)
{
    for (int64_t t = 0; t < q; t++)
        memcpy(to + ((b * q + t) * H + h) * D, head + t * D, sizeof *to * (size_t)D);
}

/* [B,q,H,D]: query head h attends over key/value head h / (H/K). */
static double *attend(struct qw_pass *pass, int layer, const double *queries)
{
    const struct qw_config *config = &pass->model->config;
    const struct qw_cache_layer *held = &pass->cache->layer[layer];
    int64_t B = pass->handover->batch, q = pass->handover->queries, H = config->heads, D = config->head_size;
    double *out = QW_NEW_ARRAY(double, B *q *H *D), *Q = QW_NEW_ARRAY(double, q *D), *y = QW_NEW_ARRAY(double, q *D);
    for (int64_t b = 0; b < B; b++) {
        unsigned char *visible = visible_keys(pass, b);
        for (int64_t h = 0; h < H; h++) {
            int64_t slice = (b * config->kv_heads + h / (H / config->kv_heads)) * held->length * D;
            gather_head(Q, queries, b, h, q, H, D);
            qw_attend(pass->arith, y, Q, held->key + slice, held->value + slice, visible, pass->rules->blind_row, q, held->length,
                      D);
            scatter_head(out, y, b, h, q, H, D);
        }
        free(visible);
    }
    free(Q);
    free(y);
    return out;
}

/* self_attn: q, k, v; rotary; join the cache; attend; o.  NULL where the real model raises. */
static double *attention(struct qw_pass *pass, int layer, const double *x)
{
    const struct qw_config *config = &pass->model->config;
    const struct qw_layer_weights *w = &pass->model->layer[layer];
    double *q = linear(pass, QW_SITE_Q_PROJ, layer, x, w->q_weight, w->q_bias);
    double *k = linear(pass, QW_SITE_K_PROJ, layer, x, w->k_weight, w->k_bias);
    double *v = linear(pass, QW_SITE_V_PROJ, layer, x, w->v_weight, w->v_bias);
    bool rotates = !pass->rules->rotary_in_attention || look_up_rotary(pass, layer);
    double *o = NULL;
    const struct qw_cache_layer *held = &pass->cache->layer[layer];
    bool known = held->length == pass->kept && (!held->length || held->key);
    bool masked = pass->mask != QW_SHORT_RAISES_IN_ATTENTION;
    if (known && rotates && masked && qw_cache_joins(pass->cache, layer, config->kv_heads, config->head_size)) {
        qw_rotate(pass->arith, q, pass->cos, pass->sin, tokens_of(pass), config->heads, config->head_size);
        qw_rotate(pass->arith, k, pass->cos, pass->sin, tokens_of(pass), config->kv_heads, config->head_size);
        qw_cache_append(pass->cache, layer, k, v, pass->handover->queries, config->kv_heads, config->head_size);
        double *joined = attend(pass, layer, q);
        if (pass->rules->append_twice)
            qw_cache_append(pass->cache, layer, k, v, pass->handover->queries, config->kv_heads, config->head_size);
        o = linear(pass, QW_SITE_O_PROJ, layer, joined, w->o_weight, NULL);
        free(joined);
    }
    free(q);
    free(k);
    free(v);
    return o;
}

/* mlp: down(silu(gate(x)) * up(x)) */
static double *feed_forward(struct qw_pass *pass, int layer, const double *x)
{
    const struct qw_layer_weights *w = &pass->model->layer[layer];
    int64_t n = tokens_of(pass) * pass->model->config.ffn;
    double *gate = linear(pass, QW_SITE_GATE_PROJ, layer, x, w->gate_weight, NULL);
    qw_silu(pass->arith, gate, gate, n);
    see_tokens(pass, QW_SITE_ACT_FN, layer, gate, pass->model->config.ffn);
    double *up = linear(pass, QW_SITE_UP_PROJ, layer, x, w->up_weight, NULL);
    qw_multiply(pass->arith, gate, gate, up, n);
    double *down = linear(pass, QW_SITE_DOWN_PROJ, layer, gate, w->down_weight, NULL);
    free(gate);
    free(up);
    return down;
}

static void add_to_stream(struct qw_pass *pass, double *branch)
{
    qw_add(pass->arith, pass->hidden, pass->hidden, branch, tokens_of(pass) * pass->model->config.hidden);
    free(branch);
}

bool qw_pass_block(struct qw_pass *pass, int layer)
{
    const struct qw_layer_weights *w = &pass->model->layer[layer];
    double *x = norm(pass, QW_SITE_INPUT_NORM, layer, w->input_norm);
    double *o = attention(pass, layer, x);
    free(x);
    if (!o)
        return false;
    add_to_stream(pass, o);
    x = norm(pass, QW_SITE_POST_NORM, layer, w->post_norm);
    add_to_stream(pass, feed_forward(pass, layer, x));
    free(x);
    see_tokens(pass, QW_SITE_OUTPUT, layer, pass->hidden, pass->model->config.hidden);
    return true;
}

void qw_pass_end(struct qw_pass *pass, int64_t rows)
{
    const struct qw_config *config = &pass->model->config;
    int64_t B = pass->handover->batch, q = pass->handover->queries, d = config->hidden;
    double *x = norm(pass, QW_SITE_NORM, -1, pass->model->norm);
    double *last = QW_NEW_ARRAY(double, B *rows *d), *logits = QW_NEW_ARRAY(double, B *rows * config->vocab);
    for (int64_t b = 0; b < B; b++)
        memcpy(last + b * rows * d, x + (b * q + q - rows) * d, sizeof *x * (size_t)(rows * d));
    qw_linear(pass->arith, logits, last, pass->model->head, NULL, B * rows, d, config->vocab);
    see(pass, QW_SITE_LM_HEAD, -1, logits, qw_shape_of(3, B, rows, config->vocab));
    free(x);
    free(last);
    free(logits);
}

void qw_pass_clear(struct qw_pass *pass)
{
    free(pass->hidden);
    free(pass->cos);
    free(pass->sin);
    *pass = (struct qw_pass){0};
}
