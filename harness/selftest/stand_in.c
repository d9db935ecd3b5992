/* Invariant: every tensor that the configuration requires is there, with its extents. */
#include "harness/selftest/stand_in.h"

#include <stdio.h>

#include "reference/letters.h"

#define MOST_ELEMENTS ((int64_t)1 << 26)

/* Adds a tensor of zeros under the name that the family's checkpoints have for it; counts it in any case. */
struct making {
    struct qw_tensors *to;
    const struct qw_config *config;
    enum qw_dtype dtype;
    int64_t elements;
};

static void add(struct making *making, const char *before, const char *const names[QW_NAMINGS], const char *rows,
                const char *columns)
{
    struct qw_letters letters = qw_letters_of(making->config);
    const char *name = names[qw_family_rows[making->config->family].names];
    char spec[16], path[128];
    if (!name)
        return;
    snprintf(spec, sizeof spec, "%s %s", rows, columns);
    snprintf(path, sizeof path, "%s%s", before, name);
    struct qw_shape shape = qw_shape_from_letters(spec, &letters);
    making->elements += qw_shape_count(&shape);
    if (making->elements <= MOST_ELEMENTS)
        qw_tensors_add(making->to, path, qw_tensor_make(making->dtype, &shape));
}

#define NAMES(later, first) ((const char *const[QW_NAMINGS]){[QW_NAMES_LATER] = later, [QW_NAMES_FIRST] = first})

static void add_layer(struct making *making, int64_t index)
{
    const struct qw_config *config = making->config;
    char before[96];
    snprintf(before, sizeof before, "%s%lld.", qw_family_rows[config->family].blocks, (long long)index);
#define LAYER_WEIGHT(field, there, later, first, rows, columns)                                                                  \
    if (there)                                                                                                                   \
        add(making, before, NAMES(later, first), rows, columns);
#include "reference/model/weights.def"
}

static void add_model(struct making *making)
{
    const struct qw_config *config = making->config;
#define WEIGHT(field, there, later, first, rows, columns)                                                                        \
    if (there)                                                                                                                   \
        add(making, "", NAMES(later, first), rows, columns);
#include "reference/model/weights.def"
    for (int64_t i = 0; i < config->layers && making->elements <= MOST_ELEMENTS; i++)
        add_layer(making, i);
}

/* The table of a trained adapter, as it is saved. */
static void add_adapter(struct qw_tensors *to, const struct qc_subject *subject)
{
    const struct qw_config *config = &subject->model.config;
    bool prefix = subject->adapter.kind == QW_ADAPTER_KEYS_VALUES;
    int64_t columns = prefix ? 2 * config->layers * config->kv_heads * config->head_size : config->hidden;
    struct qw_shape shape = qw_shape_of(2, subject->adapter.virtual_tokens, columns);
    if (subject->adapter.kind != QW_ADAPTER_NONE)
        qw_tensors_add(to, "prompt_embeddings", qw_tensor_make(subject->dtype, &shape));
}

bool qc_stand_in_make(struct qc_stand_in *stand_in, const struct qc_subject *subject, struct qw_error *error)
{
    static const struct qc_places as_it_says;
    *stand_in = (struct qc_stand_in){.recording = *subject->recording};
    struct qc_recording *recording = &stand_in->recording;
    recording->model_weights = recording->adapter_weights = (struct qc_weights){.folder = "", .digest = ""};
    recording->level = QC_LEVEL_SHAPES;
    const struct qw_tensor *prompt = recording->adapter_prompt;
    if (prompt)
        recording->adapter_prompt = qw_tensor_structure(prompt->dtype, &prompt->shape);
    struct making making = {&recording->model_weights.embedded, &subject->model.config, subject->dtype, 0};
    add_model(&making);
    add_adapter(&recording->adapter_weights.embedded, subject);
    return (making.elements <= MOST_ELEMENTS ||
            qw_fail(error, QW_ERROR_UNSUPPORTED, "/model/weights", "give them: --model DIR --adapter DIR",
                    "the weights were not kept, and the model is too large to stand in for them")) &&
           qc_subject_make(&stand_in->subject, recording, &as_it_says, error);
}

void qc_stand_in_clear(struct qc_stand_in *stand_in)
{
    qc_subject_clear(&stand_in->subject);
    qw_tensor_free(stand_in->recording.adapter_prompt);
    qw_tensors_clear(&stand_in->recording.model_weights.embedded);
    qw_tensors_clear(&stand_in->recording.adapter_weights.embedded);
}
