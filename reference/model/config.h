/* A model's configuration, as far as the arithmetic depends on it. */
#ifndef QW_MODEL_CONFIG_H
#define QW_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "reference/base/error.h"
#include "reference/base/json.h"

/* In which order a model keeps the axes of its cache: B batch, K heads, S sequence, D head size. */
enum qw_cache_layout { QW_LAYOUT_BKSD, QW_LAYOUT_BSKD };

struct qw_config {
    char model_type[32]; /* "qwen2" (Qwen1.5, Qwen2, Qwen2.5) */
    enum qw_cache_layout layout;
    int64_t layers;    /* L  num_hidden_layers */
    int64_t hidden;    /* d  hidden_size */
    int64_t heads;     /* H  num_attention_heads */
    int64_t kv_heads;  /* K  num_key_value_heads (= H without grouping: Qwen1.5) */
    int64_t head_size; /* D  head_dim, or d / H */
    int64_t ffn;       /* F  intermediate_size */
    int64_t vocab;     /* V  vocab_size */
    double rope_theta; /* base of the rotary position embedding */
    double norm_eps;   /* rms_norm_eps */
    bool tied;         /* lm_head is the embedding table */
};

/* From config.json or from a recording's /model@config.  QW_ERROR_INPUT at `place` for what is missing, of another type
 * than it must be, or out of range (by name, with what it is; a default stands only for what is absent, or null where the
 * library writes null for a default; unknown keys are ignored), QW_ERROR_UNSUPPORTED for a model, rotary scaling, window or quantisation that is not covered. */
bool qw_config_read(struct qw_config *config, const struct qw_json *json, const char *place, struct qw_error *error);

#endif
