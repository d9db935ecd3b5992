/* Invariant: a table is found or made when the adapter is bound; a prompt is a copy of its elements. */
#include "reference/protocol/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/file.h"
#include "reference/base/json_fields.h"
#include "reference/base/text.h"
#include "reference/model/checkpoint.h"

#define TABLE "prompt_embeddings"
#define KEEP  "keep the adapter as PEFT's save_pretrained wrote it"

static const struct {
    const char *peft_type;
    enum qw_adapter_kind kind;
} adapters[] = {
#define ADAPTER(peft_type, kind) {peft_type, QW_ADAPTER_##kind},
#include "reference/protocol/adapters.def"
#undef ADAPTER
};

static bool is_table(const char *name)
{
    size_t length = strlen(name), tail = strlen(TABLE);
    return length >= tail && !strcmp(name + length - tail, TABLE) && (length == tail || name[length - tail - 1] == '.');
}

bool qw_adapter_read_config(struct qw_adapter *adapter, const char *peft_type, const struct qw_json *json, const char *place,
                            struct qw_error *error)
{
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++)
        if (!strcmp(adapters[i].peft_type, peft_type))
            adapter->kind = adapters[i].kind;
    if (adapter->kind == QW_ADAPTER_NONE)
        return qw_fail(error, QW_ERROR_UNSUPPORTED, place, "", "an adapter of type \"%.60s\" is outside what this version covers",
                       peft_type);
    snprintf(adapter->peft_type, sizeof adapter->peft_type, "%s", peft_type);
    struct qw_fields from = {json, place, "give adapter_config.json as PEFT saved it", error};
    bool own = !qw_json_get(json, "num_virtual_tokens") && qw_json_get(json, "pre_seq_len");
    return qw_field_whole(&adapter->virtual_tokens, &from, own ? "pre_seq_len" : "num_virtual_tokens", QW_REQUIRED, 1, 1 << 20);
}

/* The saved table, wherever a person or another engine put it: "prompt_embeddings" behind any prefix. */
static const struct qw_tensor *saved_table(const struct qw_tensors *tensors)
{
    const struct qw_tensor *table = qw_tensors_find(tensors, TABLE);
    for (int i = 0; i < tensors->count && !table; i++)
        table = is_table(tensors->item[i].name) ? tensors->item[i].tensor : NULL;
    return table;
}

/* What the encoder makes of `rows`, kept by the adapter; NULL when there is nothing to apply. */
static const struct qw_tensor *encoded(struct qw_adapter *adapter, int which, const struct qw_tensor *rows)
{
    if (!rows || !qw_encoder_computes(&adapter->encoder))
        return NULL;
    return adapter->made[which] = qw_encoder_apply(&adapter->encoder, rows, &qw_f64);
}

bool qw_adapter_bind(struct qw_adapter *adapter, struct qw_error *error)
{
    const struct qw_tensor *saved = saved_table(&adapter->tensors);
    if (saved && (saved->shape.rank != 2 || saved->dtype == QW_I64))
        return qw_fail(error, QW_ERROR_INPUT, TABLE, KEEP, "must be a table of two axes with floating elements");
    if (!qw_encoder_find(&adapter->encoder, &adapter->tensors, error))
        return false;
    if (!saved && !adapter->encoder.embedding)
        return qw_fail(error, QW_ERROR_INPUT, TABLE, KEEP, "this tensor of the adapter is required and is not there");
    adapter->unprojected = qw_encoder_computes(&adapter->encoder) ? adapter->encoder.embedding : NULL;
    adapter->computed = !saved && adapter->unprojected;
    adapter->table = saved               ? saved
                     : adapter->computed ? encoded(adapter, 0, adapter->encoder.embedding)
                                         : adapter->encoder.embedding;
    adapter->twice = encoded(adapter, 1, adapter->table);
    return true;
}

static bool is_needed(const void *context, const char *name)
{
    (void)context;
    return is_table(name) || qw_encoder_has(name);
}

bool qw_adapter_read_folder(struct qw_adapter *adapter, const char *folder, const char *digest, struct qw_error *error)
{
    struct qw_checkpoint checkpoint;
    bool open = qw_checkpoint_open(&checkpoint, folder, "adapter_model", error);
    bool ok = open && qw_checkpoint_describe(&adapter->tensors, &checkpoint, is_needed, NULL, NULL, error) &&
              qw_checkpoint_check(&checkpoint, digest, error) && qw_checkpoint_read(&adapter->tensors, &checkpoint, error) &&
              qw_adapter_bind(adapter, error);
    if (!ok && open)
        qw_error_in_file(error, qw_checkpoint_file(&checkpoint, TABLE));
    qw_checkpoint_close(&checkpoint);
    return ok;
}

void qw_adapter_clear(struct qw_adapter *adapter)
{
    qw_tensors_clear(&adapter->tensors);
    for (int i = 0; i < 2; i++)
        qw_tensor_free(adapter->made[i]);
    *adapter = (struct qw_adapter){0};
}

static int64_t prefix_heads(const struct qw_config *config, const struct qw_rules *rules)
{
    return rules->prefix_heads == QW_PREFIX_QUERY_HEADS ? config->heads : config->kv_heads;
}

static int64_t prefix_head_size(const struct qw_config *config, const struct qw_rules *rules)
{
    return rules->plain_head_size ? config->hidden / config->heads : config->head_size;
}

/* The table that the rules take; NULL where it cannot be made. */
static const struct qw_tensor *table_of(const struct qw_adapter *adapter, const struct qw_rules *rules)
{
    bool once = rules->projections == QW_PROJECTED_ONCE || !qw_encoder_computes(&adapter->encoder);
    return once ? adapter->table : rules->projections == QW_PROJECTED_TWICE ? adapter->twice : adapter->unprojected;
}

bool qw_adapter_fits(const struct qw_adapter *adapter, const struct qw_config *config, const struct qw_rules *rules)
{
    const struct qw_tensor *table = table_of(adapter, rules);
    int64_t head = prefix_heads(config, rules) * prefix_head_size(config, rules);
    int64_t columns = adapter->kind == QW_ADAPTER_EMBEDS ? config->hidden : 2 * config->layers * head;
    int64_t rows = adapter->virtual_tokens * (table == adapter->table && adapter->tables ? adapter->tables : 1);
    return table && table->shape.dim[0] == rows && table->shape.dim[1] == columns;
}

/* ---- whose adapter is it ---- */

/* What the folder's adapter_config.json says of it, as the rest of a hint, or ""; free with free(). */
static char *description_of(const char *folder)
{
    char *path = qw_format("%s/adapter_config.json", folder), *bytes = NULL;
    size_t size = 0;
    struct qw_error nothing = {0};
    struct qw_json *json = qw_file_read(&bytes, &size, path, 1 << 24, &nothing) ? qw_json_parse(bytes, size, "", &nothing) : NULL;
    const struct qw_json *config = qw_json_is_object(json) ? json : NULL;
    char *text = config ? qw_format("; this one says that it is a %.40s adapter for \"%.120s\"",
                                    qw_json_get_text(config, "peft_type", "PEFT"),
                                    qw_json_get_text(config, "base_model_name_or_path", "?"))
                        : qw_format("%s", "");
    qw_json_free(json);
    free(bytes);
    free(path);
    return text;
}

/* What the columns of the table are, and how many this model asks for; free with free(). */
static char *columns_needed(const struct qw_adapter *adapter, const struct qw_config *config)
{
    int64_t layer = 2 * config->kv_heads * config->head_size, needed = layer * config->layers;
    int64_t columns = adapter->table->shape.dim[1];
    if (adapter->kind == QW_ADAPTER_EMBEDS)
        return qw_format("embeddings of width %lld, this model's hidden_size is %lld", (long long)columns,
                         (long long)config->hidden);
    char *fits = columns % layer
                     ? qw_format("%s", "")
                     : qw_format("; %lld columns are %lld such layers", (long long)columns, (long long)(columns / layer));
    char *text =
        qw_format("keys and values of %lld columns, this model needs 2 x %lld layers x %lld key/value heads x head size %lld "
                  "= %lld%s",
                  (long long)columns, (long long)config->layers, (long long)config->kv_heads, (long long)config->head_size,
                  (long long)needed, fits);
    free(fits);
    return text;
}

bool qw_adapter_check(const struct qw_adapter *adapter, const struct qw_config *config, const char *folder,
                      struct qw_error *error)
{
    for (int way = 0; way < 4; way++) {
        struct qw_rules rules = {.prefix_heads = way & 1 ? QW_PREFIX_QUERY_HEADS : QW_PREFIX_KEY_VALUE_HEADS,
                                 .plain_head_size = way & 2};
        if (qw_adapter_fits(adapter, config, &rules))
            return true;
    }
    char *needed = columns_needed(adapter, config), *says = description_of(folder), shape[64];
    char *hint = qw_format("name the adapter of this model%s", says);
    qw_shape_text(shape, sizeof shape, &adapter->table->shape);
    qw_fail(error, QW_ERROR_INPUT, TABLE, hint,
            "the table is %s: %lld virtual tokens, the recorded run has num_virtual_tokens %lld; %s", shape,
            (long long)adapter->table->shape.dim[0], (long long)adapter->virtual_tokens, needed);
    char *path = qw_format("%s/adapter_model.safetensors", folder);
    qw_error_in_file(error, path);
    free(path);
    free(hint);
    free(says);
    free(needed);
    return false;
}

/* ---- what it hands over ---- */

/* Where batch row b begins in a table of P rows (there may be none), or of as many for each batch row. */
static int64_t first_row(const struct qw_tensor *table, int64_t P, int64_t b) { return P ? b * P % table->shape.dim[0] : 0; }

/* [P,d] -> [B,P,d] */
static void repeat_rows(double *prompt, const struct qw_tensor *table, const struct qw_shape *shape)
{
    int64_t B = shape->dim[0], P = shape->dim[1], d = shape->dim[2];
    for (int64_t b = 0; b < B; b++)
        qw_tensor_read(prompt + b * P * d, table, first_row(table, P, b) * d, P * d);
}

/* [P,2LhD] -> [L,2,B,h,P,D]; `part` runs over the 2L (layer, key or value) pairs */
static void cut_columns(double *prompt, const struct qw_tensor *table, const struct qw_shape *shape)
{
    int64_t parts = 2 * shape->dim[0], B = shape->dim[2], heads = shape->dim[3], P = shape->dim[4], D = shape->dim[5];
    for (int64_t part = 0; part < parts; part++)
        for (int64_t b = 0; b < B; b++)
            for (int64_t h = 0; h < heads; h++)
                for (int64_t p = 0; p < P; p++)
                    qw_tensor_read(prompt + (((part * B + b) * heads + h) * P + p) * D, table,
                                   (first_row(table, P, b) + p) * table->shape.dim[1] + (part * heads + h) * D, D);
}

struct qw_tensor *qw_adapter_prompt(const struct qw_adapter *adapter, const struct qw_config *config,
                                    const struct qw_rules *rules, int64_t batch)
{
    bool embeds = adapter->kind == QW_ADAPTER_EMBEDS;
    struct qw_shape shape = embeds ? qw_shape_of(3, batch, adapter->virtual_tokens, config->hidden)
                                   : qw_shape_of(6, config->layers, (int64_t)2, batch, prefix_heads(config, rules),
                                                 adapter->virtual_tokens, prefix_head_size(config, rules));
    if (!qw_adapter_fits(adapter, config, rules))
        return qw_tensor_structure(QW_F64, &shape);
    struct qw_tensor *prompt = qw_tensor_make(QW_F64, &shape);
    if (embeds)
        repeat_rows(prompt->data, table_of(adapter, rules), &shape);
    else
        cut_columns(prompt->data, table_of(adapter, rules), &shape);
    return prompt;
}
