/* A model's configuration, as far as the arithmetic depends on it. */
#ifndef QW_MODEL_CONFIG_H
#define QW_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "reference/base/error.h"
#include "reference/base/json.h"
#include "reference/sites.h"

struct qw_config {
    enum qw_family family;
    char model_type[32]; /* of the family: "qwen2" (Qwen1.5, Qwen2, Qwen2.5), "qwen3", "qwen" */
    enum qw_cache_layout layout;
    int64_t layers;    /* L  num_hidden_layers */
    int64_t hidden;    /* d  hidden_size */
    int64_t heads;     /* H  num_attention_heads */
    int64_t kv_heads;  /* K  num_key_value_heads (= H without grouping: the first Qwen, Qwen1.5) */
    int64_t head_size; /* D  head_dim, or d / H */
    int64_t ffn;       /* F  intermediate_size; half of it in the first Qwen */
    int64_t vocab;     /* V  vocab_size */
    double rope_theta; /* base of the rotary position embedding */
    double norm_eps;   /* rms_norm_eps */
    bool tied;         /* lm_head is the embedding table */
    /* Where a family's weights depart from those of Qwen2. */
    bool bare_projections; /* q, k and v have no bias */
    bool output_bias;      /* o has one */
    bool ffn_bias;         /* so have the products of the feed-forward */
    bool head_norms;       /* queries and keys are normalised head by head */
    /* Sliding windows; what is made of them is a rule of the era (qw_window_of). */
    int64_t window;       /* sliding_window: keys that a token sees, itself included; 0: all */
    bool uses_window;     /* use_sliding_window */
    int64_t full_layers;  /* max_window_layers: the first that see all keys, unless layer_types says otherwise */
    bool names_layers;    /* layer_types is there: */
    uint64_t windowed[8]; /* a bit for each layer that it calls sliding */
    /* The first Qwen alone. */
    int64_t trained_length; /* seq_length: the longest input that it was trained on */
    bool dynamic_ntk;       /* longer inputs are rotated by a larger base */
    bool log_n;             /* … and their queries scaled by the logarithm of their place */
};

/* From config.json or from a recording's /model@config.  QW_ERROR_INPUT at `place` for what is missing, of another type
 * than it must be, or out of range (by name, with what it is; a default stands only for what is absent, or null where the
 * library writes null for a default; unknown keys are ignored), QW_ERROR_UNSUPPORTED for a model, rotary scaling, window or quantisation that is not covered. */
bool qw_config_read(struct qw_config *config, const struct qw_json *json, const char *place, struct qw_error *error);

#endif
