/* Shared by the tests of the model: numbers by a fixed recipe, tensors of them, small models, and plays that are kept. */
#ifndef QW_MODEL_TESTS_SMALL_H
#define QW_MODEL_TESTS_SMALL_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/letters.h"
#include "reference/model/forward.h"

#define TINY "fixtures/models/qwen2-tiny"

/* ---- numbers ---- */

/* The next number of a fixed sequence, uniform in [-1,1), exact in float32. */
static inline double draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = (*state ^ *state >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ldexp((double)(z >> 40), -23) - 1;
}

static inline double *draw_many(uint64_t *state, int64_t count)
{
    double *out = QW_NEW_ARRAY(double, count);
    for (int64_t i = 0; i < count; i++)
        out[i] = draw(state);
    return out;
}

static inline double largest_of(const double *x, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(x[i]));
    return largest;
}

static inline double rms_of(const double *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sqrt(sum / (double)count);
}

/* max |a - b| / rms(b); NaN counts as infinitely far. */
static inline double distance(const double *a, const double *b, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(a[i] - b[i]);
        largest = error <= largest ? largest : isnan(error) ? (double)INFINITY : error;
    }
    return largest == 0 ? 0 : largest / rms_of(b, count);
}

/* y = x w^T + b, summed in long double */
static inline void product(double *y, const double *x, const struct qw_tensor *w, const struct qw_tensor *b, int64_t n)
{
    int64_t out = w->shape.dim[0], in = w->shape.dim[1];
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < out; c++) {
            long double sum = b ? (long double)qw_tensor_at(b, c) : 0;
            for (int64_t i = 0; i < in; i++)
                sum += (long double)x[r * in + i] * (long double)qw_tensor_at(w, c * in + i);
            y[r * out + c] = (double)sum;
        }
}

/* Float64 plays of the same arithmetic in another order may differ by this much, relative to the tensor's rms. */
#define SAME 1e-12

static inline void expect_same(const double *got, const double *wanted, int64_t count, const char *what)
{
    double far = distance(got, wanted, count);
    cr_expect_leq(far, SAME, "%s: apart by %g of the rms", what, far);
}

/* ---- tensors ---- */

static inline struct qw_tensor *float_tensor(const double *values, struct qw_shape shape)
{
    struct qw_tensor *tensor = qw_tensor_make(QW_F32, &shape);
    for (int64_t i = 0; i < qw_shape_count(&shape); i++)
        ((float *)tensor->data)[i] = (float)values[i];
    return tensor;
}

static inline struct qw_tensor *drawn_tensor(uint64_t *state, double scale, double shift, struct qw_shape shape)
{
    struct qw_tensor *tensor = qw_tensor_make(QW_F32, &shape);
    for (int64_t i = 0; i < qw_shape_count(&shape); i++)
        ((float *)tensor->data)[i] = (float)(shift + scale * draw(state));
    return tensor;
}

/* ---- models ---- */

/* A model with grouped heads whose every extent is another number: L 2, d 12, H 6, K 2, D 4, F 10, V 17. */
static const struct qw_config small_config = {.model_type = "qwen2",
                                              .layers = 2,
                                              .hidden = 12,
                                              .heads = 6,
                                              .kv_heads = 2,
                                              .head_size = 4,
                                              .ffn = 10,
                                              .vocab = 17,
                                              .rope_theta = 100,
                                              .norm_eps = 1e-6};

/* The same sizes with norms of heads and without biases, as Qwen3 has them. */
static const struct qw_config third_config = {.family = QW_FAMILY_QWEN3,
                                              .model_type = "qwen3",
                                              .layers = 2,
                                              .hidden = 12,
                                              .heads = 6,
                                              .kv_heads = 2,
                                              .head_size = 4,
                                              .ffn = 10,
                                              .vocab = 17,
                                              .rope_theta = 100,
                                              .norm_eps = 1e-6,
                                              .bare_projections = true,
                                              .head_norms = true};

/* The first Qwen, trained on 8 tokens: L 2, d 12, H = K 3, D 4, F 10, V 17. */
static const struct qw_config first_config = {.family = QW_FAMILY_QWEN,
                                              .model_type = "qwen",
                                              .layout = QW_LAYOUT_BSKD,
                                              .layers = 2,
                                              .hidden = 12,
                                              .heads = 3,
                                              .kv_heads = 3,
                                              .head_size = 4,
                                              .ffn = 10,
                                              .vocab = 17,
                                              .rope_theta = 100,
                                              .norm_eps = 1e-6,
                                              .trained_length = 8,
                                              .dynamic_ntk = true,
                                              .log_n = true};

struct small_tensor {
    const char *name, *shape;
};

/* Every tensor of a checkpoint, by the names of its library; those of a block follow `blocks`. */
static const struct small_checkpoint {
    const char *blocks;
    struct small_tensor outside[4], inside[16];
} small_checkpoints[QW_FAMILIES] = {
    [QW_FAMILY_QWEN2] = {"model.layers.",
                         {{"model.embed_tokens.weight", "V d"}, {"model.norm.weight", "d"}, {"lm_head.weight", "V d"}},
                         {{"input_layernorm.weight", "d"},
                          {"self_attn.q_proj.weight", "HD d"},
                          {"self_attn.q_proj.bias", "HD"},
                          {"self_attn.k_proj.weight", "KD d"},
                          {"self_attn.k_proj.bias", "KD"},
                          {"self_attn.v_proj.weight", "KD d"},
                          {"self_attn.v_proj.bias", "KD"},
                          {"self_attn.o_proj.weight", "d HD"},
                          {"post_attention_layernorm.weight", "d"},
                          {"mlp.gate_proj.weight", "F d"},
                          {"mlp.up_proj.weight", "F d"},
                          {"mlp.down_proj.weight", "d F"}}},
    [QW_FAMILY_QWEN3] = {"model.layers.",
                         {{"model.embed_tokens.weight", "V d"}, {"model.norm.weight", "d"}, {"lm_head.weight", "V d"}},
                         {{"input_layernorm.weight", "d"},
                          {"self_attn.q_proj.weight", "HD d"},
                          {"self_attn.q_norm.weight", "D"},
                          {"self_attn.k_proj.weight", "KD d"},
                          {"self_attn.k_norm.weight", "D"},
                          {"self_attn.v_proj.weight", "KD d"},
                          {"self_attn.o_proj.weight", "d HD"},
                          {"post_attention_layernorm.weight", "d"},
                          {"mlp.gate_proj.weight", "F d"},
                          {"mlp.up_proj.weight", "F d"},
                          {"mlp.down_proj.weight", "d F"}}},
    [QW_FAMILY_QWEN] = {"transformer.h.",
                        {{"transformer.wte.weight", "V d"}, {"transformer.ln_f.weight", "d"}, {"lm_head.weight", "V d"}},
                        {{"ln_1.weight", "d"},
                         {"attn.c_attn.weight", "3HD d"},
                         {"attn.c_attn.bias", "3HD"},
                         {"attn.c_proj.weight", "d HD"},
                         {"ln_2.weight", "d"},
                         {"mlp.w1.weight", "F d"},
                         {"mlp.w2.weight", "F d"},
                         {"mlp.c_proj.weight", "d F"}}}};

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static inline void add_drawn(struct qw_model *model, uint64_t *state, const char *name, const char *spec)
{
    struct qw_letters letters = qw_letters_of(&model->config);
    bool is_norm = strstr(name, "norm.weight") || strstr(name, "ln_");
    struct qw_tensor *tensor = drawn_tensor(state, is_norm ? 0.3 : 0.6, is_norm ? 1 : 0, qw_shape_from_letters(spec, &letters));
    qw_tensors_add(&model->tensors, name, tensor);
}

/* Tensors of `config`, not bound yet.  A tied model has no lm_head.weight. */
static inline struct qw_model small_tensors_of(const struct qw_config *config, uint64_t seed)
{
    struct qw_model model = {.config = *config};
    const struct small_checkpoint *checkpoint = &small_checkpoints[config->family];
    char name[96];
    for (const struct small_tensor *row = checkpoint->outside; row->name; row++)
        if (!config->tied || strcmp(row->name, "lm_head.weight"))
            add_drawn(&model, &seed, row->name, row->shape);
    for (int64_t layer = 0; layer < config->layers; layer++)
        for (const struct small_tensor *row = checkpoint->inside; row->name; row++) {
            snprintf(name, sizeof name, "%s%lld.%s", checkpoint->blocks, (long long)layer, row->name);
            add_drawn(&model, &seed, name, row->shape);
        }
    return model;
}

static inline void bind_model(struct qw_model *model)
{
    struct qw_error error = {0};
    cr_assert(qw_model_bind(model, &error), "%s: %s", error.place, error.message);
}

static inline struct qw_model model_of(const struct qw_config *config, uint64_t seed)
{
    struct qw_model model = small_tensors_of(config, seed);
    bind_model(&model);
    return model;
}

static inline struct qw_model small_model(uint64_t seed) { return model_of(&small_config, seed); }

static inline struct qw_model read_model(const char *folder)
{
    struct qw_model model = {0};
    struct qw_error error = {0};
    cr_assert(qw_model_read_folder(&model, folder, &(struct qw_folder_terms){.digest = ""}, &error), "%s: %s", error.file,
              error.message);
    return model;
}

/* Rules of transformers 5: cos and sin once per call. */
static inline struct qw_rules newest_rules(void) { return qw_rules_healthy(qw_setting_newest()); }

/* ---- plays that are kept ---- */

struct sight {
    enum qw_site site;
    int layer;
    struct qw_shape shape;
    double *value;
};

struct play {
    const struct qw_model *model;
    const struct qw_arith *arith;
    struct qw_rules rules;
    struct qw_cache cache;
    int count;
    struct sight *sight;
    int stopped; /* layer whose keys could not be joined; -1: none */
    /* What the tap puts in place of a value: at this site and layer, these values. */
    enum qw_site replaced_site;
    int replaced_layer;
    const double *replacement;
};

static inline struct play play_make(const struct qw_model *model, const struct qw_arith *arith, int64_t batch)
{
    return (struct play){.model = model,
                         .arith = arith,
                         .rules = newest_rules(),
                         .cache = qw_cache_make(model->config.layers, batch),
                         .stopped = -1};
}

static inline void play_forget(struct play *play)
{
    for (int i = 0; i < play->count; i++)
        free(play->sight[i].value);
    play->count = 0;
}

static inline void play_clear(struct play *play)
{
    play_forget(play);
    free(play->sight);
    qw_cache_clear(&play->cache);
}

static inline void keep_sight(void *user, enum qw_site site, int layer, double *value, const struct qw_shape *shape)
{
    struct play *play = user;
    size_t count = (size_t)qw_shape_count(shape);
    if (play->replacement && site == play->replaced_site && layer == play->replaced_layer)
        memcpy(value, play->replacement, count * sizeof *value);
    play->sight = qw_realloc(play->sight, (size_t)play->count + 1, sizeof *play->sight);
    play->sight[play->count++] = (struct sight){site, layer, *shape, qw_memdup(value, count, sizeof *value)};
}

/* Plays one call of the model; forgets what the call before showed. */
static inline void play_call(struct play *play, const struct qw_handover *handover, int64_t rows)
{
    play_forget(play);
    struct qw_pass pass = qw_pass_begin(play->model, play->arith, &play->rules, handover, &play->cache,
                                        (struct qw_tap){keep_sight, play});
    for (int layer = 0; layer < play->model->config.layers && play->stopped < 0; layer++)
        if (!qw_pass_block(&pass, layer))
            play->stopped = layer;
    if (play->stopped < 0)
        qw_pass_end(&pass, rows);
    qw_pass_clear(&pass);
}

static inline const struct sight *find_sight(const struct play *play, enum qw_site site, int layer)
{
    for (int i = 0; i < play->count; i++)
        if (play->sight[i].site == site && play->sight[i].layer == layer)
            return &play->sight[i];
    return NULL;
}

static inline const double *seen(const struct play *play, enum qw_site site, int layer)
{
    const struct sight *sight = find_sight(play, site, layer);
    cr_assert(sight, "%s of layer %d was not seen", qw_site_rows[site].name, layer);
    return sight->value;
}

static inline const double *logits_of(const struct play *play) { return seen(play, QW_SITE_LM_HEAD, -1); }

/* A handover of ids [B,q] that continues behind `past` rows; every row visible. */
static inline struct qw_handover hand_over_ids(const int64_t *ids, int64_t batch, int64_t q, int64_t past)
{
    struct qw_handover handover = {.batch = batch, .queries = q, .positions = q};
    handover.input_ids = qw_memdup(ids, (size_t)(batch * q), sizeof *ids);
    handover.position = QW_NEW_ARRAY(int64_t, batch * q);
    handover.origin = QW_NEW_ARRAY(enum qw_origin, q);
    for (int64_t i = 0; i < batch * q; i++)
        handover.position[i] = past + i % q;
    for (int64_t i = 0; i < q; i++)
        handover.origin[i] = QW_FROM_PROMPT;
    return handover;
}

/* Plays ids [B,q] behind what the cache holds, keeping all logits. */
static inline void play_ids(struct play *play, const int64_t *ids, int64_t batch, int64_t q)
{
    struct qw_handover handover = hand_over_ids(ids, batch, q, qw_cache_length(&play->cache));
    play_call(play, &handover, q);
    qw_handover_clear(&handover);
}

#endif
