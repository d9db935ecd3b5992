/* A model: its configuration and its weights, from tensors or from a folder. */
#ifndef QW_MODEL_MODEL_H
#define QW_MODEL_MODEL_H

#include "reference/model/config.h"
#include "reference/model/tensors.h"
#include "reference/rules.h"

/* Fields are NULL where the model has no such weight. */
struct qw_layer_weights {
#define LAYER_WEIGHT(field, there, later, first, rows, columns) const struct qw_tensor *field;
#include "reference/model/weights.def"
};

struct qw_model {
    struct qw_config config;
    struct qw_tensors tensors; /* owned */
    bool has_weights;          /* false: only shapes can be told */
    enum qw_dtype dtype;       /* in which the run held it, and what joins it; QW_F64: nothing is rounded */
#define WEIGHT(field, there, later, first, rows, columns) const struct qw_tensor *field;
#include "reference/model/weights.def"
    const struct qw_tensor *stored_head; /* one that a tied checkpoint has besides and the library does not use; NULL: none */
    struct qw_layer_weights *layer;      /* L of them; they point into `tensors` */
};

/* Points the model's weights into its tensors.  QW_ERROR_INPUT naming the first tensor that the configuration
 * requires and that is absent or has another shape.  A tied head needs no lm_head.weight; tensors that have one although
 * the configuration ties it are taken at their word: they are what the run's modules held. */
bool qw_model_bind(struct qw_model *model, struct qw_error *error);

/* How a recorded run read its folder, and what the folder must agree with. */
struct qw_folder_terms {
    const struct qw_config *config; /* the run's own: the folder must have its extents, and it is what the model plays by;
                                       NULL: the folder's config.json alone */
    const char *digest;             /* of the weights, see qw_checkpoint_check; "" asks for nothing */
    const enum qw_dtype *dtype;     /* the library casts to this on loading (round to nearest even); NULL: as stored */
    enum qw_tied_head tied_head;    /* what it makes of a head of its own in a tied checkpoint */
};

/* Reads config.json and the safetensors (one file or shards, reference/model/checkpoint.h) of a Hugging Face folder. */
bool qw_model_read_folder(struct qw_model *model, const char *folder, const struct qw_folder_terms *terms,
                          struct qw_error *error);

void qw_model_clear(struct qw_model *model);

#endif
