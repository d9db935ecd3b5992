/* Reading a safetensors file: eight bytes of header length (little-endian), a
 * JSON header {name: {dtype, shape, data_offsets}}, the tensors back to back. */
#ifndef QW_MODEL_SAFETENSORS_H
#define QW_MODEL_SAFETENSORS_H

#include <stddef.h>

#include "reference/base/error.h"
#include "reference/model/tensors.h"

/* Adds every tensor of the `size` bytes of a file to `set` (copies).  Refuses (QW_ERROR_INPUT): a header that does
 * not fit, element types that are not floats or int64, offsets outside the file or that do not match shape and type,
 * and bytes that no tensor covers or that two cover. */
bool qw_safetensors_parse(struct qw_tensors *set, const char *bytes, size_t size, struct qw_error *error);

/* The same for a file by its path. */
bool qw_safetensors_read(struct qw_tensors *set, const char *path, struct qw_error *error);

#endif
