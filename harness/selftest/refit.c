/* Invariant: a table that fits is left alone. */
#include "harness/selftest/refit.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

/* Columns of a prefix's table under the rules. */
static int64_t columns_of(const struct qw_config *config, const struct qw_rules *rules)
{
    int64_t heads = rules->prefix_heads == QW_PREFIX_QUERY_HEADS ? config->heads : config->kv_heads;
    int64_t head_size = rules->plain_head_size ? config->hidden / config->heads : config->head_size;
    return 2 * config->layers * heads * head_size;
}

/* Every row cut off at, or repeated up to, so many columns. */
static struct qw_tensor *widened(const struct qw_tensor *table, int64_t columns)
{
    int64_t P = table->shape.dim[0], had = table->shape.dim[1];
    struct qw_shape shape = qw_shape_of(2, P, columns);
    struct qw_tensor *wide = qw_tensor_make(table->dtype, &shape);
    size_t bytes = qw_dtype_bytes(table->dtype);
    for (int64_t p = 0; p < P; p++)
        for (int64_t c = 0; c < columns; c++)
            memcpy((char *)wide->data + (size_t)(p * columns + c) * bytes,
                   (const char *)table->data + (size_t)(p * had + c % had) * bytes, bytes);
    return wide;
}

void qc_refit_make(struct qc_refit *refit, const struct qc_subject *subject, const struct qc_places *places,
                   const struct qw_rules *rules)
{
    const struct qw_adapter *adapter = &subject->adapter;
    struct qw_error error = {0};
    *refit = (struct qc_refit){.subject = subject, .places = *places};
    if (adapter->kind != QW_ADAPTER_KEYS_VALUES || !adapter->table || qw_adapter_fits(adapter, &subject->model.config, rules))
        return;
    refit->made = true;
    refit->recording = *subject->recording;
    refit->recording.adapter_weights = (struct qc_weights){.folder = "", .digest = ""};
    refit->places.adapter = NULL;
    qw_tensors_add(&refit->recording.adapter_weights.embedded, "prompt_embeddings",
                   widened(adapter->table, columns_of(&subject->model.config, rules)));
    if (qc_subject_make_beside(&refit->own, subject, &refit->recording, &refit->places, &error))
        refit->subject = &refit->own;
}

void qc_refit_clear(struct qc_refit *refit)
{
    if (!refit->made)
        return;
    qc_subject_clear(&refit->own);
    qw_tensors_clear(&refit->recording.adapter_weights.embedded);
    *refit = (struct qc_refit){0};
}
