/* A model: its configuration and its weights, from tensors or from a folder. */
#ifndef QW_MODEL_MODEL_H
#define QW_MODEL_MODEL_H

#include "reference/model/config.h"
#include "reference/model/tensors.h"

struct qw_layer_weights {
#define LAYER_WEIGHT(field, name, rows, columns) const struct qw_tensor *field;
#include "reference/model/weights.def"
};

struct qw_model {
    struct qw_config config;
    struct qw_tensors tensors; /* owned */
    bool has_weights;          /* false: only shapes can be told */
#define WEIGHT(field, name, rows, columns) const struct qw_tensor *field;
#include "reference/model/weights.def"
    struct qw_layer_weights *layer; /* L of them; they point into `tensors` */
};

/* Points the model's weights into its tensors.  QW_ERROR_INPUT naming the first tensor that the configuration
 * requires and that is absent or has another shape.  A tied head needs no lm_head.weight; a checkpoint that has one
 * although the configuration ties it is taken at its word. */
bool qw_model_bind(struct qw_model *model, struct qw_error *error);

/* Reads config.json and model.safetensors of a Hugging Face folder.  `config` may be NULL; else the folder must
 * agree with it in every extent, and it is what the model plays by (the recorded run's own).  `digest` (64 hex digits or "") is that of model.safetensors. */
bool qw_model_read_folder(struct qw_model *model, const char *folder, const struct qw_config *config, const char *digest,
                          struct qw_error *error);

void qw_model_clear(struct qw_model *model);

#endif
