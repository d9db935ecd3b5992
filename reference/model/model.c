/* Invariant: once bound, every weight that the forward pass reads is there and has its shape; a folder's elements are read
 * only after that. */
#include "reference/model/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reference/letters.h"
#include "reference/model/checkpoint.h"

/* Which of a row's two names a model's checkpoint goes by; NULL: it has none. */
static const char *name_of(const struct qw_config *config, bool there, const char *later, const char *first)
{
    const char *const names[QW_NAMINGS] = {[QW_NAMES_LATER] = later, [QW_NAMES_FIRST] = first};
    return there ? names[qw_family_rows[config->family].names] : NULL;
}

static bool bind_one(const struct qw_tensor **out, const struct qw_model *model, const char *name, const char *rows,
                     const char *columns, struct qw_error *error)
{
    struct qw_letters letters = qw_letters_of(&model->config);
    char spec[16];
    snprintf(spec, sizeof spec, "%s %s", rows, columns);
    struct qw_shape wanted = qw_shape_from_letters(spec, &letters);
    *out = qw_tensors_find(&model->tensors, name);
    if (!*out)
        return qw_fail(error, QW_ERROR_INPUT, name, "give the whole checkpoint: a recording keeps all of its tensors, or none",
                       "the configuration requires this tensor%s and it is not there",
                       strcmp(name, "lm_head.weight") ? "" : " (tie_word_embeddings is not true)");
    if (qw_shape_equal(&(*out)->shape, &wanted) && (*out)->dtype != QW_I64)
        return true;
    char want[96], have[96];
    qw_shape_text(want, sizeof want, &wanted);
    qw_shape_text(have, sizeof have, &(*out)->shape);
    return qw_fail(error, QW_ERROR_INPUT, name, "the weights belong to another model than the configuration",
                   "the configuration requires %s, the tensor has %s (%s)", want, have, qw_dtype_name((*out)->dtype));
}

static bool bind_layer(struct qw_model *model, int64_t index, struct qw_error *error)
{
    const struct qw_config *config = &model->config;
    struct qw_layer_weights *layer = &model->layer[index];
    const char *blocks = qw_family_rows[config->family].blocks, *suffix;
    char name[128];
    bool ok = true;
#define LAYER_WEIGHT(field, there, later, first, rows, columns)                                                                  \
    if (ok && (suffix = name_of(config, there, later, first))) {                                                                 \
        snprintf(name, sizeof name, "%s%lld.%s", blocks, (long long)index, suffix);                                              \
        ok = bind_one(&layer->field, model, name, rows, columns, error);                                                         \
    }
#include "reference/model/weights.def"
    return ok;
}

bool qw_model_bind(struct qw_model *model, struct qw_error *error)
{
    const struct qw_config *config = &model->config;
    const char *name;
    model->layer = QW_NEW_ARRAY(struct qw_layer_weights, config->layers);
    bool ok = true, tied_head = config->tied && !qw_tensors_find(&model->tensors, "lm_head.weight");
#define WEIGHT(field, there, later, first, rows, columns)                                                                        \
    if (ok && (name = name_of(config, there, later, first)) && !(tied_head && !strcmp(name, "lm_head.weight")))                  \
        ok = bind_one(&model->field, model, name, rows, columns, error);
#include "reference/model/weights.def"
    if (tied_head)
        model->head = model->embed;
    for (int64_t i = 0; ok && i < config->layers; i++)
        ok = bind_layer(model, i, error);
    model->has_weights = ok;
    return ok;
}

static bool same_extents(const struct qw_config *a, const struct qw_config *b, struct qw_error *error)
{
    if (a->family != b->family)
        return qw_fail(error, QW_ERROR_INPUT, "config.json", "name the folder of the model that was recorded",
                       "model_type is \"%s\" here and \"%s\" in the recording", a->model_type, b->model_type);
    const struct {
        const char *name;
        int64_t folder, recorded;
    } extents[] = {{"num_hidden_layers", a->layers, b->layers}, {"hidden_size", a->hidden, b->hidden},
                   {"num_attention_heads", a->heads, b->heads}, {"num_key_value_heads", a->kv_heads, b->kv_heads},
                   {"head_dim", a->head_size, b->head_size},    {"intermediate_size", a->ffn, b->ffn},
                   {"vocab_size", a->vocab, b->vocab}};
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++)
        if (extents[i].folder != extents[i].recorded)
            return qw_fail(error, QW_ERROR_INPUT, "config.json", "name the folder of the model that was recorded",
                           "%s is %lld here and %lld in the recording", extents[i].name, (long long)extents[i].folder,
                           (long long)extents[i].recorded);
    return true;
}

static bool read_folder_config(struct qw_config *config, const char *path, struct qw_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    if (!qw_file_read(&bytes, &size, path, 1 << 24, error))
        return false;
    struct qw_json *json = qw_json_parse(bytes, size, "", error);
    bool ok = json && qw_config_read(config, json, "", error);
    qw_json_free(json);
    free(bytes);
    qw_error_in_file(error, path);
    return ok;
}

static bool is_same(const char *name, const char *known) { return known && !strcmp(name, known); }

static bool is_needed_in_layer(const struct qw_config *config, const char *suffix)
{
#define LAYER_WEIGHT(field, there, later, first, rows, columns)                                                                  \
    if (is_same(suffix, name_of(config, there, later, first)))                                                                   \
        return true;
#include "reference/model/weights.def"
    return false;
}

/* Whether the configuration asks for a tensor of this name. */
static bool is_needed(const void *context, const char *name)
{
    const struct qw_config *config = context;
    const char *blocks = qw_family_rows[config->family].blocks;
#define WEIGHT(field, there, later, first, rows, columns)                                                                        \
    if (is_same(name, name_of(config, there, later, first)))                                                                     \
        return true;
#include "reference/model/weights.def"
    if (strncmp(name, blocks, strlen(blocks)) || !isdigit((unsigned char)name[strlen(blocks)]))
        return false;
    char *end;
    long long layer = strtoll(name + strlen(blocks), &end, 10);
    return *end == '.' && layer < config->layers && is_needed_in_layer(config, end + 1);
}

/* A head of its own although the configuration ties it: what the run had depends on its library. */
static void settle_head(struct qw_model *model, enum qw_tied_head habit)
{
    size_t bytes = (size_t)qw_shape_count(&model->embed->shape) * qw_dtype_bytes(model->embed->dtype);
    if (!model->config.tied || model->head == model->embed || !memcmp(model->head->data, model->embed->data, bytes))
        return;
    if (habit == QW_TIED_EMBEDDING) {
        model->stored_head = model->head;
        model->head = model->embed;
    }
    if (habit == QW_TIED_HEAD)
        model->embed = model->head;
}

static bool read_weights(struct qw_model *model, const char *folder, const struct qw_folder_terms *terms, struct qw_error *error)
{
    struct qw_checkpoint checkpoint;
    bool open = qw_checkpoint_open(&checkpoint, folder, "model", error);
    bool ok = open && qw_checkpoint_describe(&model->tensors, &checkpoint, is_needed, &model->config, terms->dtype, error) &&
              qw_model_bind(model, error) && qw_checkpoint_check(&checkpoint, terms->digest, error) &&
              qw_checkpoint_read(&model->tensors, &checkpoint, error);
    if (ok)
        settle_head(model, terms->tied_head);
    else if (open)
        qw_error_in_file(error, qw_checkpoint_file(&checkpoint, error->place));
    model->has_weights = ok;
    qw_checkpoint_close(&checkpoint);
    return ok;
}

bool qw_model_read_folder(struct qw_model *model, const char *folder, const struct qw_folder_terms *terms, struct qw_error *error)
{
    char *path = qw_format("%s/config.json", folder);
    bool ok = read_folder_config(&model->config, path, error) &&
              (!terms->config || same_extents(&model->config, terms->config, error));
    qw_error_in_file(error, path);
    free(path);
    if (ok && terms->config)
        model->config = *terms->config;
    return ok && read_weights(model, folder, terms, error);
}

void qw_model_clear(struct qw_model *model)
{
    qw_tensors_clear(&model->tensors);
    free(model->layer);
    *model = (struct qw_model){0};
}
