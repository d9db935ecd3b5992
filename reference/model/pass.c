/* Invariant: a join that is refused leaves the cache as it was. */
#include "reference/model/pass.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"

int64_t qw_pass_tokens(const struct qw_pass *pass) { return pass->handover->batch * pass->handover->queries; }

double qw_pass_rope_base(const struct qw_pass *pass)
{
    return pass->rules->rope_base > 0 ? pass->rules->rope_base : pass->model->config.rope_theta;
}

double qw_pass_norm_eps(const struct qw_pass *pass)
{
    double eps = pass->rules->norm_eps;
    return eps == QW_NO_EPSILON ? 0 : eps > 0 ? eps : pass->model->config.norm_eps;
}

struct qw_layer_weights qw_pass_weights(const struct qw_pass *pass, int layer)
{
    const struct qw_rules *rules = pass->rules;
    const struct qw_layer_weights *own = &pass->model->layer[layer];
    struct qw_layer_weights w = *own;
    bool exchanged = rules->gating == QW_GATED_WEIGHTS_SWAPPED;
    w.q_bias = rules->lost_biases & QW_QUERIES ? NULL : own->q_bias;
    w.k_bias = rules->lost_biases & QW_KEYS ? NULL : own->k_bias;
    w.v_bias = rules->lost_biases & QW_VALUES ? NULL : own->v_bias;
    w.qkv_bias = rules->lost_biases == (QW_QUERIES | QW_KEYS | QW_VALUES) ? NULL : own->qkv_bias;
    w.q_norm = rules->lost_norms & QW_QUERIES ? NULL : own->q_norm;
    w.k_norm = rules->lost_norms & QW_KEYS ? NULL : own->k_norm;
    w.gate_weight = exchanged ? own->up_weight : own->gate_weight;
    w.gate_bias = exchanged ? own->up_bias : own->gate_bias;
    w.up_weight = exchanged ? own->gate_weight : own->up_weight;
    w.up_bias = exchanged ? own->gate_bias : own->up_bias;
    return w;
}

void qw_pass_see(struct qw_pass *pass, enum qw_site site, int layer, double *value, struct qw_shape shape)
{
    if (pass->tap.see)
        pass->tap.see(pass->tap.user, site, layer, value, &shape);
}

void qw_pass_see_tokens(struct qw_pass *pass, enum qw_site site, int layer, double *value, int64_t width)
{
    qw_pass_see(pass, site, layer, value, qw_shape_of(3, pass->handover->batch, pass->handover->queries, width));
}

double *qw_pass_norm(struct qw_pass *pass, enum qw_site site, int layer, const struct qw_tensor *weight)
{
    int64_t d = pass->model->config.hidden;
    double *y = QW_NEW_ARRAY(double, qw_pass_tokens(pass) * d);
    qw_rms_norm(pass->arith, y, pass->hidden, weight, qw_pass_norm_eps(pass), qw_pass_tokens(pass), d);
    qw_pass_see_tokens(pass, site, layer, y, d);
    return y;
}

double *qw_pass_linear(struct qw_pass *pass, enum qw_site site, int layer, const double *x, const struct qw_tensor *weight,
                       const struct qw_tensor *bias)
{
    int64_t out = weight->shape.dim[0], in = weight->shape.dim[1];
    double *y = QW_NEW_ARRAY(double, qw_pass_tokens(pass) * out);
    const struct qw_arith arith = qw_arith_summing(pass->arith, pass->rules->sums);
    qw_linear(&arith, y, x, weight, bias, qw_pass_tokens(pass), in, out);
    qw_pass_see_tokens(pass, site, layer, y, out);
    return y;
}

bool qw_pass_join(struct qw_pass *pass, int layer, const double *k, const double *v)
{
    const struct qw_config *config = &pass->model->config;
    const struct qw_cache_layer *held = &pass->cache->layer[layer];
    bool known = held->length == pass->kept && (!held->length || held->key);
    if (!known || (pass->rules->joins_along_heads && pass->past > 0) || pass->mask == QW_SHORT_RAISES_IN_ATTENTION ||
        !qw_cache_joins(pass->cache, layer, config->kv_heads, config->head_size))
        return false;
    qw_cache_append(pass->cache, layer, k, v, pass->handover->queries, config->kv_heads, config->head_size);
    return true;
}

static bool has_window(const struct qw_config *config, enum qw_window_habit habit, int64_t layer)
{
    bool named = config->names_layers ? layer < 512 && config->windowed[layer / 64] >> layer % 64 & 1
                                      : config->uses_window && layer >= config->full_layers;
    return habit == QW_WINDOW_EVERYWHERE || (habit == QW_WINDOW_IF_USED && config->uses_window) ||
           (habit == QW_WINDOW_BY_LAYER && named);
}

int64_t qw_window_of(const struct qw_config *config, const struct qw_rules *rules, int64_t layer)
{
    bool everywhere = rules->window_fault == QW_WINDOW_IN_ALL_LAYERS, nowhere = rules->window_fault == QW_WINDOW_IGNORED;
    int64_t off = (rules->window_fault == QW_WINDOW_WIDER) - (rules->window_fault == QW_WINDOW_NARROWER);
    bool windowed = config->window && !nowhere && (everywhere || has_window(config, rules->window, layer));
    return windowed && config->window + off > 0 ? config->window + rules->window_extra + off : 0;
}

static bool is_shown(const struct qw_pass *pass, int64_t b, int64_t key)
{
    const struct qw_handover *handover = pass->handover;
    return handover->mask && key < handover->mask_length ? handover->mask[b * handover->mask_length + key] != 0
                                                         : pass->mask == QW_SHORT_IGNORED;
}

/* Which of the sequences that are packed in batch row b each token belongs to, [q], counted from 0: another begins where a
 * position does not follow on the one before.  NULL: nothing can be packed.  Free with free(). */
static int64_t *sequences_of(const struct qw_pass *pass, int64_t b)
{
    const struct qw_handover *handover = pass->handover;
    int64_t q = handover->queries, *position = handover->position + b * q;
    if (!pass->rules->packs || !handover->cacheless || handover->mask || !handover->states_positions ||
        handover->positions != q || pass->past > 0)
        return NULL;
    int64_t *sequence = QW_NEW_ARRAY(int64_t, q);
    for (int64_t i = 1; i < q; i++)
        sequence[i] = sequence[i - 1] + (position[i] != position[i - 1] + 1);
    return sequence;
}

/* visible[q,n] of batch row b, the keys from `first` on: row i sees those up to past + i that the mask shows; the last ones
 * alone where the layer has a window.  A mask is aligned at the left; what it covers beyond the keys is nowhere. */
static unsigned char *visible_keys(const struct qw_pass *pass, int layer, int64_t b, int64_t first, int64_t n)
{
    int64_t window = qw_window_of(&pass->model->config, pass->rules, layer), q = pass->handover->queries;
    int64_t own = pass->past + pass->handover->slots_ahead; /* a row of the mask is made for the place that is told */
    bool ahead = pass->rules->sees_ahead && pass->past > 0;
    int64_t *sequence = sequences_of(pass, b);
    unsigned char *visible = QW_NEW_ARRAY(unsigned char, q *n);
    for (int64_t i = 0; i < q; i++)
        for (int64_t j = first; j < first + n && (ahead || j <= own + i); j++)
            visible[i * n + j - first] = is_shown(pass, b, j) && (!window || j > own + i - window) &&
                                         (!sequence || sequence[j] == sequence[i]);
    free(sequence);
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

static bool sees_nothing(const unsigned char *visible, int64_t S) { return memchr(visible, 1, (size_t)S) == NULL; }

/* A row that sees nothing weighs the empty rows of a static cache as much as the filled ones: y [q,D].  A layer with a
 * window has no more of them than that. */
static void spread_blind_rows(const struct qw_pass *pass, int layer, double *y, const unsigned char *visible, int64_t q,
                              int64_t n)
{
    int64_t D = pass->model->config.head_size, window = qw_window_of(&pass->model->config, pass->rules, layer);
    int64_t room = window && window < pass->cache->room ? window : pass->cache->room;
    for (int64_t i = 0; i < q && room > n && pass->rules->blind_row == QW_BLIND_UNIFORM; i++)
        for (int64_t k = 0; k < D && sees_nothing(visible + i * n, n); k++)
            y[i * D + k] *= (double)n / (double)room;
}

/* What scores are divided by, squared. */
static double spread_of(const struct qw_config *config, enum qw_scaling scaling)
{
    double D = (double)config->head_size;
    switch (scaling) {
    case QW_SCALED_NEVER: return 1;
    case QW_SCALED_TWICE: return D * D;
    case QW_SCALED_BY_PLAIN_SIZE: return (double)config->hidden / (double)config->heads;
    case QW_SCALED_BY_WIDTH: return (double)config->hidden;
    default: return D;
    }
}

/* The key/value head of query head h: its group's. */
static int64_t kv_head_of(const struct qw_config *config, const struct qw_rules *rules, int64_t h)
{
    return rules->tiled_heads ? h % config->kv_heads : h / (config->heads / config->kv_heads);
}

double *qw_pass_attend(struct qw_pass *pass, int layer, const double *queries)
{
    const struct qw_config *config = &pass->model->config;
    const struct qw_cache_layer *held = &pass->cache->layer[layer];
    int64_t B = pass->handover->batch, q = pass->handover->queries, H = config->heads, D = config->head_size;
    int64_t first = held->gone, n = held->length - first;
    double *out = QW_NEW_ARRAY(double, B *q *H *D), *Q = QW_NEW_ARRAY(double, q *D), *y = QW_NEW_ARRAY(double, q *D);
    const struct qw_attention how = {pass->rules->fused, pass->rules->blind_row, spread_of(config, pass->rules->scaling)};
    for (int64_t b = 0; b < B; b++) {
        unsigned char *visible = visible_keys(pass, layer, b, first, n);
        for (int64_t h = 0; h < H; h++) {
            int64_t slice = ((b * config->kv_heads + kv_head_of(config, pass->rules, h)) * held->length + first) * D;
            gather_head(Q, queries, b, h, q, H, D);
            qw_attend(pass->arith, y, Q, held->key + slice, held->value + slice, visible, &how, q, n, D);
            spread_blind_rows(pass, layer, y, visible, q, n);
            scatter_head(out, y, b, h, q, H, D);
        }
        free(visible);
    }
    free(Q);
    free(y);
    return out;
}
