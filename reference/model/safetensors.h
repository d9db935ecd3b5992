/* The safetensors format: eight bytes of header length (little-endian), a JSON
 * header {name: {dtype, shape, data_offsets}}, the tensors back to back.
 *
 * A file is described first, from its header alone; the elements are read
 * afterwards, those that somebody needs.  What a header says is checked by the
 * rules of the format's own library, and as strictly. */
#ifndef QW_MODEL_SAFETENSORS_H
#define QW_MODEL_SAFETENSORS_H

#include <stddef.h>

#include "reference/base/input.h"
#include "reference/model/tensors.h"

struct qw_safetensors_item {
    char *name;
    const char *type; /* "F32", as the format calls it */
    bool covered;     /* `dtype` is that type; else it is one that only tensors may have that nothing needs */
    enum qw_dtype dtype;
    struct qw_shape shape;
    int64_t begin, end; /* bytes in the file */
};

struct qw_safetensors {
    int count;
    struct qw_safetensors_item *item; /* in the order of the header */
};

/* Describes a file.  Refuses (QW_ERROR_INPUT, at "header" or at the tensor's name): a header that does not fit into the
 * file or is longer than 100,000,000 bytes, is no strict JSON or does not begin with "{", names that stand twice,
 * metadata that are no texts, element types that the format does not have, extents whose product overflows, offsets that
 * do not match shape and type, and bytes that no tensor covers or that two cover.  Tensors of any type of the format are
 * described: what nobody needs (a rotary table, a mask of bytes) is no reason to refuse a checkpoint.
 * Release with qw_safetensors_clear, after a refusal too. */
bool qw_safetensors_open(struct qw_safetensors *file, const struct qw_input *input, struct qw_error *error);
void qw_safetensors_clear(struct qw_safetensors *file);

/* An element type that the reference can read: QW_ERROR_INPUT naming tensor and type for another one. */
bool qw_safetensors_need(const struct qw_safetensors_item *item, struct qw_error *error);

/* Fills the data of `tensor` (same shape, any floating type, no data yet) with an item's elements, cast to its type. */
bool qw_safetensors_read(struct qw_tensor *tensor, const struct qw_safetensors_item *item, const struct qw_input *input,
                         struct qw_error *error);

/* Adds every tensor of a file in memory to `set`, in the types that they are stored in. */
bool qw_safetensors_parse(struct qw_tensors *set, const char *bytes, size_t size, struct qw_error *error);

#endif
