/* The safetensors of a folder: one file, or an index and the shards that it names.
 *
 *   <stem>.safetensors              is read when it is there, an index beside it is not looked at: as transformers chooses
 *   <stem>.safetensors.index.json   {"metadata": …, "weight_map": {tensor name: shard's file name}}
 *
 * A folder is described first, then what is needed of it is read: tensors that
 * nothing needs cost nothing but their line in a header. */
#ifndef QW_MODEL_CHECKPOINT_H
#define QW_MODEL_CHECKPOINT_H

#include "reference/model/safetensors.h"

struct qw_stored; /* where a tensor lies */

struct qw_checkpoint {
    char *folder;
    int shards;
    struct qw_input *input;      /* [shards] in the order of their names */
    struct qw_safetensors *file; /* [shards] */
    struct qw_input index;       /* path is NULL where there is none */
    int count;
    struct qw_stored *place; /* [count] all tensors by name */
};

/* Opens and describes the weights of `folder`.  QW_ERROR_INPUT with file, tensor and what to do: no weights there (with
 * the way to convert those of pytorch_model.bin), an index that is no index, shards that are not there or not in the
 * folder (see reference/base/input.h), a tensor that the index names and the shard lacks, one that lies in two shards, one
 * that no index names; and whatever qw_safetensors_open refuses.  Release with qw_checkpoint_close, after a refusal too. */
bool qw_checkpoint_open(struct qw_checkpoint *checkpoint, const char *folder, const char *stem, struct qw_error *error);

/* Adds to `set` the structure of every tensor that `needed` says yes to: in the type `*cast`, or as stored when `cast` is
 * NULL.  Integers are not cast.  QW_ERROR_INPUT for a needed tensor of a type that the reference cannot read. */
bool qw_checkpoint_describe(struct qw_tensors *set, const struct qw_checkpoint *checkpoint,
                            bool (*needed)(const void *context, const char *name), const void *context, const enum qw_dtype *cast,
                            struct qw_error *error);

/* Whether sha256 of the bytes is `digest` (64 hex digits; "" asks for nothing).  The bytes are those of the one file, or
 * of the index and then its shards in the order of their names (by code point), as the recorder's digests.py has it. */
bool qw_checkpoint_check(const struct qw_checkpoint *checkpoint, const char *digest, struct qw_error *error);

/* Reads the elements of every tensor of `set`, which qw_checkpoint_describe filled.  QW_ERROR_INPUT when they are more
 * than the machine's memory, or the files changed meanwhile. */
bool qw_checkpoint_read(struct qw_tensors *set, const struct qw_checkpoint *checkpoint, struct qw_error *error);

/* The file that holds the tensor `name`, or else the one that ought to name it. */
const char *qw_checkpoint_file(const struct qw_checkpoint *checkpoint, const char *name);

void qw_checkpoint_close(struct qw_checkpoint *checkpoint);

#endif
