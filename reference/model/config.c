/* Invariant: a configuration that was read has positive extents whose products fit in 48 bits. */
#include "reference/model/config.h"

#include <stdio.h>
#include <string.h>

static bool read_extent(int64_t *out, const struct qw_json *json, const char *key, int64_t fallback, const char *place,
                        struct qw_error *error)
{
    const struct qw_json *node = qw_json_get(json, key);
    *out = qw_json_is_null(node) ? fallback : qw_json_int(node, -1);
    if (*out >= 1 && *out <= 1 << 22)
        return true;
    return qw_fail(error, QW_ERROR_INPUT, place, "give the model's config.json as the library writes it",
                   "\"%s\" must be a whole number between 1 and %d", key, 1 << 22);
}

static bool unsupported(struct qw_error *error, const char *place, const char *what)
{
    return qw_fail(error, QW_ERROR_UNSUPPORTED, place, "", "%s is outside what this version covers", what);
}

/* transformers < 5 has rope_theta and rope_scaling, later ones keep both in rope_parameters. */
static bool read_rotary(struct qw_config *config, const struct qw_json *json, const char *place, struct qw_error *error)
{
    const struct qw_json *newer = qw_json_get(json, "rope_parameters"), *scaling = qw_json_get(json, "rope_scaling");
    config->rope_theta = qw_json_get_real(newer, "rope_theta", qw_json_get_real(json, "rope_theta", 10000.0));
    const char *older_type = qw_json_get_text(scaling, "rope_type", qw_json_get_text(scaling, "type", "default"));
    if (strcmp(qw_json_get_text(newer, "rope_type", "default"), "default") || strcmp(older_type, "default"))
        return unsupported(error, place, "rotary scaling");
    if (config->rope_theta > 0 && config->rope_theta < 1e300)
        return true;
    return qw_fail(error, QW_ERROR_INPUT, place, "", "\"rope_theta\" must be a positive number");
}

static bool check_covered(const struct qw_json *json, const char *place, struct qw_error *error)
{
    const char *type = qw_json_get_text(json, "model_type", "");
    if (strcmp(type, "qwen2"))
        return qw_fail(error, QW_ERROR_UNSUPPORTED, place, "",
                       "model_type \"%.40s\" is outside what this version covers (Qwen1.5, Qwen2: \"qwen2\")", type);
    if (!qw_json_is_null(qw_json_get(json, "quantization_config")))
        return unsupported(error, place, "a quantised base model");
    if (qw_json_get_bool(json, "use_sliding_window", false))
        return unsupported(error, place, "a sliding attention window");
    if (strcmp(qw_json_get_text(json, "hidden_act", "silu"), "silu"))
        return unsupported(error, place, "an activation other than silu");
    return true;
}

static bool check_heads(const struct qw_config *config, const char *place, struct qw_error *error)
{
    if (config->heads % config->kv_heads || config->head_size % 2)
        return qw_fail(error, QW_ERROR_INPUT, place, "",
                       "%lld query heads must be a multiple of %lld key/value heads, and the head size %lld even",
                       (long long)config->heads, (long long)config->kv_heads, (long long)config->head_size);
    return true;
}

/* The largest products that are formed of extents: the columns of a prefix, the elements of a weight. */
static bool check_products(const struct qw_config *config, const char *place, struct qw_error *error)
{
    double width = (double)config->heads * (double)config->head_size;
    if (2 * (double)config->layers * width <= 0x1p48 && width * (double)config->hidden <= 0x1p48)
        return true;
    return qw_fail(error, QW_ERROR_INPUT, place, "give the model's config.json as the library writes it",
                   "heads, head size, hidden size and layers multiply to more than any model has");
}

static bool read_epsilon(struct qw_config *config, const struct qw_json *json, const char *place, struct qw_error *error)
{
    config->norm_eps = qw_json_get_real(json, "rms_norm_eps", 1e-6);
    if (config->norm_eps >= 0 && config->norm_eps < 1)
        return true;
    return qw_fail(error, QW_ERROR_INPUT, place, "", "\"rms_norm_eps\" must be a number from 0 up to 1");
}

bool qw_config_read(struct qw_config *config, const struct qw_json *json, const char *place, struct qw_error *error)
{
    *config = (struct qw_config){0};
    bool ok = check_covered(json, place, error) && read_extent(&config->layers, json, "num_hidden_layers", -1, place, error) &&
              read_extent(&config->hidden, json, "hidden_size", -1, place, error) &&
              read_extent(&config->heads, json, "num_attention_heads", -1, place, error) &&
              read_extent(&config->kv_heads, json, "num_key_value_heads", config->heads, place, error) &&
              read_extent(&config->head_size, json, "head_dim", config->hidden / config->heads, place, error) &&
              read_extent(&config->ffn, json, "intermediate_size", -1, place, error) &&
              read_extent(&config->vocab, json, "vocab_size", -1, place, error) && check_heads(config, place, error) &&
              check_products(config, place, error) && read_rotary(config, json, place, error) &&
              read_epsilon(config, json, place, error);
    snprintf(config->model_type, sizeof config->model_type, "%s", qw_json_get_text(json, "model_type", ""));
    config->tied = qw_json_get_bool(json, "tie_word_embeddings", false);
    return ok;
}
