/* A recording in memory: everything that a run left behind, checked for being
 * readable and for not contradicting itself, not for being right. */
#ifndef QC_RECORDING_RECORDING_H
#define QC_RECORDING_RECORDING_H

#include "harness/recording/limits.h"
#include "reference/base/json.h"
#include "reference/base/sha256.h"
#include "reference/model/tensors.h"

enum qc_level { QC_LEVEL_SHAPES, QC_LEVEL_STATS, QC_LEVEL_BLOCKS, QC_LEVEL_MODULES, QC_LEVELS };

/* What a base model's forward may be handed, in the order in which it is judged. */
enum qc_input { QC_INPUT_IDS, QC_INPUTS_EMBEDS, QC_ATTENTION_MASK, QC_POSITION_IDS, QC_CACHE_POSITION, QC_INPUTS };

struct qc_cache_layer {
    struct qw_tensor *key, *value; /* NULL when absent; whole, whatever part of them this step kept */
    int64_t key_from, value_from;  /* positions below were not kept here: they are those of the step before */
};

/* A cache as it was handed in or out. */
struct qc_cache {
    bool present;   /* the group is there */
    char *type;     /* class name: "NoneType", "tuple", "DynamicCache", … */
    int64_t length; /* rows along the sequence axis, -1 where it could not be told */
    int64_t slots;  /* layer slots of the object */
    char *layout;   /* "BKSD", "BSKD" or "" */
    int layers;     /* groups 000, 001, … */
    struct qc_cache_layer *layer;
};

struct qc_tap {
    char *path;               /* module path, with "@1" or "#order" where it stands in the file */
    struct qw_tensor *tensor; /* what was kept */
    int64_t order;            /* place in execution order within the step; -1 unknown */
    struct qw_shape whole;    /* extents of the whole tensor, where only some rows were kept */
    int64_t *row;             /* [rows] kept positions along axis 1, ascending; NULL: the tensor is whole */
    int64_t rows;             /* 0 when `row` is NULL */
};

struct qc_step {
    bool raised;
    struct qw_tensor *input[QC_INPUTS]; /* NULL: not handed over */
    struct qc_cache before, after;
    int taps;
    struct qc_tap *tap; /* alphabetical */
};

/* Weights of the model or of the adapter, as far as the recording has them. */
struct qc_weights {
    struct qw_tensors embedded;
    char *folder; /* relative to the recording's folder, or ""  */
    char *digest; /* 64 hex digits, or "" */
};

struct qc_recording {
    char *path;
    char sha256[QW_SHA256_HEX];
    int64_t bytes; /* of the file */
    enum qc_level level;
    char *producer, *created;
    struct qw_json *environment; /* object of texts */

    struct qw_json *model_config;
    char *model_class, *model_dtype;
    struct qc_weights model_weights;

    bool has_adapter;
    char *peft_type;
    struct qw_json *adapter_config;
    struct qc_weights adapter_weights;
    struct qw_tensor *adapter_prompt; /* what get_prompt() handed over; NULL when not kept */

    char *call_kind; /* "generate", "forward", "loop" */
    bool use_cache, training, gradient_checkpointing, raised;
    char *padding_side;
    struct qw_json *call_kwargs;
    char *exception_type, *exception_message, *traceback, *raised_at; /* "" when nothing raised */
    struct qw_tensor *input_ids, *attention_mask, *output_ids;        /* NULL when absent */

    int steps;
    struct qc_step *step;
};

/* Reads a recording; `budget` bounds the bytes of tensor data.  On refusal (file, object, reason, what to do) the
 * recording is empty.  Release with qc_recording_clear. */
bool qc_recording_read(struct qc_recording *recording, const char *path, int64_t budget, struct qw_error *error);
/* The same within other limits than the table's. */
bool qc_recording_read_within(struct qc_recording *recording, const char *path, const struct qc_limits *limits,
                              struct qw_error *error);
void qc_recording_clear(struct qc_recording *recording);

const char *qc_level_name(enum qc_level level);
const char *qc_input_name(enum qc_input input); /* "input_ids" */

/* The tap of that very path in a step: of "model.norm" the first call's first output, of "model.norm@1" its second, of
 * "model.norm#7" what a later call gave; NULL when it is not there. */
const struct qc_tap *qc_step_tap(const struct qc_step *step, const char *path);
/* Extents of the whole tensor of a tap, kept or not. */
const struct qw_shape *qc_tap_shape(const struct qc_tap *tap);

#endif
