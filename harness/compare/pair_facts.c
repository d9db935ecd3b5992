/* Invariant: a fact is reported whether or not the two agree; only extents of the model decide whether runs compare. */
#include "harness/compare/pair_facts.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"

static void add(struct qc_pair *pair, char *name, char *a, char *b)
{
    pair->fact = qw_realloc(pair->fact, (size_t)pair->facts + 1, sizeof *pair->fact);
    pair->fact[pair->facts++] = (struct qc_fact){name, a, b};
}

static void add_texts(struct qc_pair *pair, const char *name, const char *a, const char *b)
{
    add(pair, qw_strdup(name), qw_strdup(a ? a : ""), qw_strdup(b ? b : ""));
}

/* A value as JSON text without its line end; "" for null and for what is not there. */
static char *value_text(const struct qw_json *node)
{
    if (qw_json_is_null(node))
        return qw_strdup("");
    if (qw_json_is_text(node))
        return qw_strdup(qw_json_text(node, ""));
    char *text = qw_json_print(node, false);
    text[strcspn(text, "\n")] = 0;
    return text;
}

static void add_value(struct qc_pair *pair, const char *group, const char *key, const struct qw_json *a, const struct qw_json *b)
{
    char *left = value_text(a), *right = value_text(b);
    if (left[0] || right[0]) {
        add(pair, qw_format("%s%s", group, key), left, right);
        return;
    }
    free(left);
    free(right);
}

/* Every key of either object, A's order first. */
static void add_object(struct qc_pair *pair, const char *group, const struct qw_json *a, const struct qw_json *b, const char *but)
{
    for (const struct qw_json *field = qw_json_first(a); field; field = qw_json_next(field))
        if (strcmp(qw_json_key(field), but))
            add_value(pair, group, qw_json_key(field), field, qw_json_get(b, qw_json_key(field)));
    for (const struct qw_json *field = qw_json_first(b); field; field = qw_json_next(field))
        if (!qw_json_get(a, qw_json_key(field)) && strcmp(qw_json_key(field), but))
            add_value(pair, group, qw_json_key(field), NULL, field);
}

static const struct {
    const char *key;
    bool extent; /* shapes follow from it */
} model_keys[] = {{"num_hidden_layers", true},    {"hidden_size", true},        {"num_attention_heads", true},
                  {"num_key_value_heads", true},  {"head_dim", true},           {"intermediate_size", true},
                  {"vocab_size", true},           {"rope_theta", false},        {"rms_norm_eps", false},
                  {"tie_word_embeddings", false}, {"use_sliding_window", false}};

/* A key of the configuration, wherever the library's version keeps it. */
static const struct qw_json *config_value(const struct qw_json *config, const char *key)
{
    const struct qw_json *found = qw_json_get(config, key);
    return found ? found : qw_json_get(qw_json_get(config, "rope_parameters"), key);
}

static void add_model(struct qc_pair *pair)
{
    const struct qc_recording *a = pair->a, *b = pair->b;
    add_texts(pair, "model class", a->model_class, b->model_class);
    add_texts(pair, "model dtype", a->model_dtype, b->model_dtype);
    for (size_t i = 0; i < sizeof model_keys / sizeof *model_keys; i++)
        add_value(pair, "model ", model_keys[i].key, config_value(a->model_config, model_keys[i].key),
                  config_value(b->model_config, model_keys[i].key));
}

static void add_call(struct qc_pair *pair)
{
    const struct qc_recording *a = pair->a, *b = pair->b;
    const struct {
        const char *name;
        bool a, b;
    } flags[] = {{"call use_cache", a->use_cache, b->use_cache},
                 {"call training", a->training, b->training},
                 {"call gradient_checkpointing", a->gradient_checkpointing, b->gradient_checkpointing}};
    add_texts(pair, "call", a->call_kind, b->call_kind);
    add_object(pair, "call ", a->call_kwargs, b->call_kwargs, "");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        add_texts(pair, flags[i].name, flags[i].a ? "true" : "false", flags[i].b ? "true" : "false");
    add_texts(pair, "call padding_side", a->padding_side, b->padding_side);
}

void qc_pair_add_facts(struct qc_pair *pair)
{
    const struct qc_recording *a = pair->a, *b = pair->b;
    add_object(pair, "", a->environment, b->environment, "system_info");
    add_model(pair);
    add_texts(pair, "adapter", a->has_adapter ? a->peft_type : "none", b->has_adapter ? b->peft_type : "none");
    if (a->has_adapter && b->has_adapter)
        add_object(pair, "adapter ", a->adapter_config, b->adapter_config, "peft_type");
    add_call(pair);
    add_texts(pair, "recorder", a->producer, b->producer);
    add_texts(pair, "level", qc_level_name(a->level), qc_level_name(b->level));
}

bool qc_pair_one_model(const struct qc_pair *pair, struct qw_error *error)
{
    struct qw_text text = {0};
    for (size_t i = 0; i < sizeof model_keys / sizeof *model_keys; i++) {
        const struct qw_json *a = config_value(pair->a->model_config, model_keys[i].key);
        const struct qw_json *b = config_value(pair->b->model_config, model_keys[i].key);
        if (model_keys[i].extent && qw_json_is_number(a) && qw_json_is_number(b) && qw_json_int(a, 0) != qw_json_int(b, 0))
            qw_text_addf(&text, "%s%s %lld | %lld", text.length ? ", " : "", model_keys[i].key, (long long)qw_json_int(a, 0),
                         (long long)qw_json_int(b, 0));
    }
    if (strcmp(pair->a->model_class, pair->b->model_class))
        qw_text_addf(&text, "%sclass %.80s | %.80s", text.length ? ", " : "", pair->a->model_class, pair->b->model_class);
    bool one = text.length == 0;
    if (!one)
        qw_fail(error, QW_ERROR_UNSUPPORTED, "/model", "compare two runs of one model",
                "the two recordings are of different models (%.700s), so that no place of one has a counterpart in the other",
                text.bytes);
    qw_text_free(&text);
    return one;
}

void qc_pair_clear_facts(struct qc_pair *pair)
{
    for (int i = 0; i < pair->facts; i++) {
        free(pair->fact[i].name);
        free(pair->fact[i].a);
        free(pair->fact[i].b);
    }
    free(pair->fact);
}
