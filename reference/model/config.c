/* Invariant: a configuration that was read has positive extents whose products fit in 48 bits. */
#include "reference/model/config.h"

#include <stdio.h>
#include <string.h>

#include "reference/base/json_fields.h"
#include "reference/base/text.h"

#define HINT "give the model's config.json as the library writes it"

static bool read_extent(int64_t *out, const struct qw_fields *from, const char *key, enum qw_presence presence)
{
    return qw_field_whole(out, from, key, presence, 1, 1 << 22);
}

static bool unsupported(const struct qw_fields *from, const char *what)
{
    return qw_fail(from->error, QW_ERROR_UNSUPPORTED, from->place, "", "%s is outside what this version covers", what);
}

/* The kind of scaling that an object names; transformers < 4.43 calls it "type". */
static bool read_scaling(const char **out, const struct qw_json *object, const struct qw_fields *from)
{
    struct qw_fields inside = *from;
    inside.object = object;
    return !object || (qw_field_text(out, &inside, "type", QW_NULLABLE) && qw_field_text(out, &inside, "rope_type", QW_NULLABLE));
}

/* transformers < 5 has rope_theta and rope_scaling, later ones keep both in rope_parameters. */
static bool read_rotary(struct qw_config *config, const struct qw_fields *from)
{
    const struct qw_json *newer = NULL, *older = NULL;
    const char *kind = "default", *older_kind = "default";
    if (!qw_field_object(&newer, from, "rope_parameters", QW_NULLABLE) ||
        !qw_field_object(&older, from, "rope_scaling", QW_NULLABLE) || !read_scaling(&kind, newer, from) ||
        !read_scaling(&older_kind, older, from))
        return false;
    if (strcmp(kind, "default") || strcmp(older_kind, "default"))
        return unsupported(from, "rotary scaling");
    struct qw_fields inside = *from;
    inside.object = newer;
    config->rope_theta = 10000;
    return qw_field_real(&config->rope_theta, from, "rope_theta", QW_OPTIONAL, 1e-300, 1e300) &&
           (!newer || qw_field_real(&config->rope_theta, &inside, "rope_theta", QW_OPTIONAL, 1e-300, 1e300));
}

static bool check_family(enum qw_family *family, const struct qw_fields *from)
{
    const char *type = "";
    if (!qw_json_is_object(from->object))
        return qw_fail(from->error, QW_ERROR_INPUT, from->place, HINT, "a configuration must be a JSON object");
    if (!qw_field_text(&type, from, "model_type", QW_OPTIONAL))
        return false;
    if (qw_family_of_type(family, type))
        return true;
    struct qw_text covered = {0};
    for (enum qw_family f = 0; f < QW_FAMILIES; f++)
        qw_text_addf(&covered, "%s\"%s\" (%s)", f ? ", " : "", qw_family_rows[f].model_type, qw_family_rows[f].covers);
    qw_fail(from->error, QW_ERROR_UNSUPPORTED, from->place, "", "model_type \"%.40s\" is outside what this version covers: %s",
            type, covered.bytes);
    qw_text_free(&covered);
    return false;
}

static bool check_covered(const struct qw_fields *from)
{
    const char *activation = "silu";
    if (!qw_json_is_null(qw_json_get(from->object, "quantization_config")))
        return unsupported(from, "a quantised base model");
    if (!qw_field_text(&activation, from, "hidden_act", QW_OPTIONAL))
        return false;
    return !strcmp(activation, "silu") || unsupported(from, "an activation other than silu");
}

static bool check_heads(const struct qw_config *config, const struct qw_fields *from)
{
    if (config->heads % config->kv_heads || config->head_size % 2)
        return qw_fail(from->error, QW_ERROR_INPUT, from->place, HINT,
                       "%lld query heads must be a multiple of %lld key/value heads, and the head size %lld even",
                       (long long)config->heads, (long long)config->kv_heads, (long long)config->head_size);
    return true;
}

/* The largest products that are formed of extents: the columns of a prefix, the elements of a weight. */
static bool check_products(const struct qw_config *config, const struct qw_fields *from)
{
    double width = (double)config->heads * (double)config->head_size;
    if (2 * (double)config->layers * width <= 0x1p48 && width * (double)config->hidden <= 0x1p48)
        return true;
    return qw_fail(from->error, QW_ERROR_INPUT, from->place, HINT,
                   "heads, head size, hidden size and layers multiply to more than any model has");
}

/* `head_size`: where head_dim says nothing; 0: d / H */
static bool read_extents(struct qw_config *config, const struct qw_fields *from, int64_t head_size)
{
    if (!read_extent(&config->layers, from, "num_hidden_layers", QW_REQUIRED) ||
        !read_extent(&config->hidden, from, "hidden_size", QW_REQUIRED) ||
        !read_extent(&config->heads, from, "num_attention_heads", QW_REQUIRED) ||
        !read_extent(&config->ffn, from, "intermediate_size", QW_REQUIRED) ||
        !read_extent(&config->vocab, from, "vocab_size", QW_REQUIRED))
        return false;
    config->kv_heads = config->heads;
    config->head_size = head_size ? head_size : config->hidden / config->heads;
    if (!read_extent(&config->kv_heads, from, "num_key_value_heads", QW_NULLABLE) ||
        !read_extent(&config->head_size, from, "head_dim", QW_NULLABLE))
        return false;
    if (config->head_size < 1)
        return qw_fail(from->error, QW_ERROR_INPUT, from->place, HINT, "a hidden size of %lld leaves nothing for %lld heads",
                       (long long)config->hidden, (long long)config->heads);
    return check_heads(config, from) && check_products(config, from);
}

/* ---- the families ---- */

static bool read_norm(struct qw_config *config, const struct qw_fields *from, const char *key)
{
    return qw_field_real(&config->norm_eps, from, key, QW_OPTIONAL, 0, 1);
}

/* layer_types: "full_attention" or "sliding_attention" for each layer. */
static bool read_layer_types(struct qw_config *config, const struct qw_fields *from)
{
    const struct qw_json *list = qw_json_get(from->object, "layer_types");
    int64_t layer = 0;
    if (qw_json_is_null(list))
        return true;
    config->names_layers = true;
    for (const struct qw_json *type = qw_json_first(list); type; type = qw_json_next(type), layer++) {
        bool sliding = !strcmp(qw_json_text(type, ""), "sliding_attention");
        if (!sliding && strcmp(qw_json_text(type, ""), "full_attention"))
            return unsupported(from, "a kind of layer other than full_attention and sliding_attention (layer_types)");
        if (sliding && layer >= 512)
            return unsupported(from, "a sliding window behind layer 511");
        if (sliding)
            config->windowed[layer / 64] |= (uint64_t)1 << layer % 64;
    }
    return layer == config->layers ||
           qw_fail(from->error, QW_ERROR_INPUT, from->place, HINT, "layer_types has %lld entries for %lld layers",
                   (long long)layer, (long long)config->layers);
}

static bool read_window(struct qw_config *config, const struct qw_fields *from)
{
    bool given = qw_json_get(from->object, "sliding_window") != NULL;
    config->window = given ? 0 : 4096;
    config->full_layers = 28;
    return qw_field_whole(&config->window, from, "sliding_window", QW_NULLABLE, 1, INT64_C(1) << 40) &&
           qw_field_bool(&config->uses_window, from, "use_sliding_window", QW_NULLABLE) &&
           qw_field_whole(&config->full_layers, from, "max_window_layers", QW_NULLABLE, 0, 1 << 22) &&
           read_layer_types(config, from);
}

static bool read_qwen2(struct qw_config *config, const struct qw_fields *from)
{
    return read_extents(config, from, 0) && read_rotary(config, from) && read_norm(config, from, "rms_norm_eps") &&
           read_window(config, from);
}

/* attention_bias is for all four projections.  Heads have 128 dimensions unless head_dim says otherwise, whatever d / H. */
static bool read_qwen3(struct qw_config *config, const struct qw_fields *from)
{
    bool biased = false;
    if (!qw_field_bool(&biased, from, "attention_bias", QW_NULLABLE))
        return false;
    config->bare_projections = !biased;
    config->output_bias = biased;
    config->head_norms = true;
    return read_extents(config, from, 128) && read_rotary(config, from) && read_norm(config, from, "rms_norm_eps") &&
           read_window(config, from);
}

/* What the first Qwen can be configured to and its published models are not. */
static bool check_first(const struct qw_config *config, const struct qw_fields *from)
{
    double turned = 1;
    bool quantised = false;
    int64_t channels = 128;
    if (!qw_field_real(&turned, from, "rotary_pct", QW_OPTIONAL, 0, 2) ||
        !read_extent(&channels, from, "kv_channels", QW_OPTIONAL) ||
        !qw_field_bool(&quantised, from, "use_cache_quantization", QW_NULLABLE))
        return false;
    if (quantised)
        return unsupported(from, "a quantised cache (use_cache_quantization)");
    if (turned != 1)
        return unsupported(from, "a rotation of a part of each head (rotary_pct)");
    return channels == config->head_size || unsupported(from, "a kv_channels other than hidden_size / num_attention_heads");
}

static bool read_first(struct qw_config *config, const struct qw_fields *from)
{
    bool bare = true;
    config->dynamic_ntk = config->log_n = true;
    config->rope_theta = 10000;
    if (!read_extents(config, from, 0) || !check_first(config, from) || !read_norm(config, from, "layer_norm_epsilon") ||
        !read_extent(&config->trained_length, from, "seq_length", QW_REQUIRED) ||
        !qw_field_real(&config->rope_theta, from, "rotary_emb_base", QW_OPTIONAL, 1e-300, 1e300) ||
        !qw_field_bool(&config->dynamic_ntk, from, "use_dynamic_ntk", QW_OPTIONAL) ||
        !qw_field_bool(&config->log_n, from, "use_logn_attn", QW_OPTIONAL) || !qw_field_bool(&bare, from, "no_bias", QW_OPTIONAL))
        return false;
    config->output_bias = config->ffn_bias = !bare;
    config->ffn /= 2;
    return config->ffn > 0 || qw_fail(from->error, QW_ERROR_INPUT, from->place, HINT,
                                      "an intermediate_size of 1 leaves nothing for the two halves of the feed-forward");
}

bool qw_config_read(struct qw_config *config, const struct qw_json *json, const char *place, struct qw_error *error)
{
    static bool (*const read_family[QW_FAMILIES])(struct qw_config *, const struct qw_fields *) = {
        [QW_FAMILY_QWEN2] = read_qwen2, [QW_FAMILY_QWEN3] = read_qwen3, [QW_FAMILY_QWEN] = read_first};
    struct qw_fields from = {json, place, HINT, error};
    *config = (struct qw_config){.norm_eps = 1e-6};
    if (!check_family(&config->family, &from) || !check_covered(&from))
        return false;
    snprintf(config->model_type, sizeof config->model_type, "%s", qw_family_rows[config->family].model_type);
    config->layout = qw_family_rows[config->family].layout;
    return read_family[config->family](config, &from) && qw_field_bool(&config->tied, &from, "tie_word_embeddings", QW_NULLABLE);
}
