/* Invariant: a prompt is a copy of table elements, never computed with. */
#include "reference/protocol/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/json_fields.h"
#include "reference/base/sha256.h"
#include "reference/base/text.h"
#include "reference/model/safetensors.h"

static const struct {
    const char *peft_type;
    enum qw_adapter_kind kind;
} adapters[] = {
#define ADAPTER(peft_type, kind) {peft_type, QW_ADAPTER_##kind},
#include "reference/protocol/adapters.def"
#undef ADAPTER
};

bool qw_adapter_read_config(struct qw_adapter *adapter, const char *peft_type, const struct qw_json *json,
                            const char *place, struct qw_error *error)
{
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++)
        if (!strcmp(adapters[i].peft_type, peft_type))
            adapter->kind = adapters[i].kind;
    if (adapter->kind == QW_ADAPTER_NONE)
        return qw_fail(error, QW_ERROR_UNSUPPORTED, place, "", "an adapter of type \"%.60s\" is outside what this version covers",
                       peft_type);
    snprintf(adapter->peft_type, sizeof adapter->peft_type, "%s", peft_type);
    struct qw_fields from = {json, place, "give adapter_config.json as PEFT saved it", error};
    return qw_field_whole(&adapter->virtual_tokens, &from, "num_virtual_tokens", QW_REQUIRED, 1, 1 << 20);
}

bool qw_adapter_bind(struct qw_adapter *adapter, struct qw_error *error)
{
    adapter->table = qw_tensors_find(&adapter->tensors, "prompt_embeddings");
    if (adapter->table && adapter->table->shape.rank == 2 && adapter->table->dtype != QW_I64)
        return true;
    return qw_fail(error, QW_ERROR_INPUT, "prompt_embeddings", "keep the adapter as PEFT's save_pretrained wrote it",
                   adapter->table ? "must be a table of two axes with floating elements"
                                  : "this tensor of the adapter is required and is not there");
}

bool qw_adapter_read_folder(struct qw_adapter *adapter, const char *folder, const char *digest, struct qw_error *error)
{
    char *path = qw_format("%s/adapter_model.safetensors", folder);
    char actual[QW_SHA256_HEX];
    bool ok = qw_safetensors_read(&adapter->tensors, path, error) && qw_adapter_bind(adapter, error);
    ok = ok && (!digest[0] || qw_sha256_file(actual, path, error));
    if (ok && digest[0] && strcmp(actual, digest))
        ok = qw_fail(error, QW_ERROR_INPUT, "", "name the folder of the adapter that was recorded",
                     "sha256 is %.12s…, the recording says %.12s…", actual, digest);
    qw_error_in_file(error, path);
    free(path);
    return ok;
}

void qw_adapter_clear(struct qw_adapter *adapter)
{
    qw_tensors_clear(&adapter->tensors);
    *adapter = (struct qw_adapter){0};
}

static int64_t prefix_heads(const struct qw_config *config, const struct qw_rules *rules)
{
    return rules->prefix_heads == QW_PREFIX_QUERY_HEADS ? config->heads : config->kv_heads;
}

bool qw_adapter_fits(const struct qw_adapter *adapter, const struct qw_config *config, const struct qw_rules *rules)
{
    int64_t columns = adapter->kind == QW_ADAPTER_EMBEDS
                          ? config->hidden
                          : 2 * config->layers * prefix_heads(config, rules) * config->head_size;
    return adapter->table && adapter->table->shape.dim[0] == adapter->virtual_tokens &&
           adapter->table->shape.dim[1] == columns;
}

/* [P,d] -> [B,P,d] */
static void repeat_rows(double *prompt, const struct qw_tensor *table, int64_t batch)
{
    int64_t count = qw_shape_count(&table->shape);
    for (int64_t b = 0; b < batch; b++)
        qw_tensor_read(prompt + b * count, table, 0, count);
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
                                   p * table->shape.dim[1] + (part * heads + h) * D, D);
}

struct qw_tensor *qw_adapter_prompt(const struct qw_adapter *adapter, const struct qw_config *config,
                                    const struct qw_rules *rules, int64_t batch)
{
    bool embeds = adapter->kind == QW_ADAPTER_EMBEDS;
    struct qw_shape shape = embeds ? qw_shape_of(3, batch, adapter->virtual_tokens, config->hidden)
                                   : qw_shape_of(6, config->layers, (int64_t)2, batch, prefix_heads(config, rules),
                                                 adapter->virtual_tokens, config->head_size);
    if (!qw_adapter_fits(adapter, config, rules))
        return qw_tensor_structure(QW_F64, &shape);
    struct qw_tensor *prompt = qw_tensor_make(QW_F64, &shape);
    if (embeds)
        repeat_rows(prompt->data, adapter->table, batch);
    else
        cut_columns(prompt->data, adapter->table, &shape);
    return prompt;
}
