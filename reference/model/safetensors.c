/* Invariant: nothing is allocated for a tensor before its extents were checked against the bytes that are there. */
#include "reference/model/safetensors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/file.h"
#include "reference/base/json.h"
#include "reference/base/memory.h"

#define HEADER_BUDGET ((size_t)100000000) /* as the format's own library */
#define FILE_BUDGET ((size_t)16 << 30)
#define HINT "save the folder again with save_pretrained(…, safe_serialization=True)"

static bool refuse(struct qw_error *error, const char *name, const char *why)
{
    return qw_fail(error, QW_ERROR_INPUT, name, HINT, "%s", why);
}

static bool read_shape(struct qw_shape *shape, const struct qw_json *json)
{
    *shape = (struct qw_shape){.rank = qw_json_size(json)};
    if (!qw_json_is_array(json) || shape->rank > QW_MAX_RANK)
        return false;
    int axis = 0;
    int64_t count = 1;
    for (const struct qw_json *extent = qw_json_first(json); extent; extent = qw_json_next(extent)) {
        shape->dim[axis] = qw_json_int(extent, -1);
        if (shape->dim[axis] < 0 || __builtin_mul_overflow(count, shape->dim[axis++], &count) || count > (int64_t)1 << 48)
            return false;
    }
    return true;
}

struct range {
    int64_t begin, end;
};

static bool read_range(int64_t *begin, int64_t *end, const struct qw_json *json)
{
    const struct qw_json *first = qw_json_first(json);
    *begin = qw_json_int(first, -1);
    *end = qw_json_int(qw_json_next(first), -1);
    return qw_json_is_array(json) && qw_json_size(json) == 2 && *begin >= 0 && *end >= *begin;
}

/* One entry of the header; `*range` is the part of the data that it names. */
static bool read_entry(struct qw_tensors *set, const struct qw_json *entry, const char *data, size_t data_size,
                       struct range *range, struct qw_error *error)
{
    const char *name = qw_json_key(entry);
    enum qw_dtype dtype;
    struct qw_shape shape;
    int64_t begin, end;
    if (!qw_dtype_from_safetensors(&dtype, qw_json_get_text(entry, "dtype", "")))
        return refuse(error, name, "element type is none of F64 F32 F16 BF16 I64");
    if (!read_shape(&shape, qw_json_get(entry, "shape")))
        return refuse(error, name, "\"shape\" is not a list of at most eight extents");
    if (!read_range(&begin, &end, qw_json_get(entry, "data_offsets")) || (size_t)end > data_size)
        return refuse(error, name, "\"data_offsets\" lie outside the file (is it truncated?)");
    if ((size_t)(end - begin) != (size_t)qw_shape_count(&shape) * qw_dtype_bytes(dtype))
        return refuse(error, name, "\"data_offsets\" do not match shape and element type");
    struct qw_tensor *tensor = qw_tensor_make(dtype, &shape);
    memcpy(tensor->data, data + begin, (size_t)(end - begin));
    qw_tensors_add(set, name, tensor);
    *range = (struct range){begin, end};
    return true;
}

static int by_begin(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin) : (x->end > y->end) - (x->end < y->end);
}

/* Whether the ranges, put in order, follow one another from the first byte to the last. */
static bool cover_exactly(struct range *range, int count, size_t data_size)
{
    int64_t next = 0;
    qsort(range, (size_t)count, sizeof *range, by_begin);
    for (int i = 0; i < count; next = range[i++].end)
        if (range[i].begin != next)
            return false;
    return (size_t)next == data_size;
}

bool qw_safetensors_parse(struct qw_tensors *set, const char *bytes, size_t size, struct qw_error *error)
{
    uint64_t header = 0;
    if (size >= 8)
        memcpy(&header, bytes, 8);
    if (size < 8 || header > size - 8 || header > HEADER_BUDGET || header < 2)
        return refuse(error, "header", "not a safetensors file, or truncated: the header does not fit");
    struct qw_json *json = qw_json_parse(bytes + 8, (size_t)header, "header", error);
    if (!json)
        return false;
    struct range *range = QW_NEW_ARRAY(struct range, qw_json_size(json));
    int count = 0;
    size_t data_size = size - 8 - (size_t)header;
    bool ok = qw_json_is_object(json) || refuse(error, "header", "not an object");
    for (const struct qw_json *entry = qw_json_first(json); ok && entry; entry = qw_json_next(entry))
        if (strcmp(qw_json_key(entry), "__metadata__"))
            ok = read_entry(set, entry, bytes + 8 + header, data_size, &range[count++], error);
    if (ok && !cover_exactly(range, count, data_size))
        ok = refuse(error, "header", "the tensors do not cover the file exactly");
    free(range);
    qw_json_free(json);
    return ok;
}

bool qw_safetensors_read(struct qw_tensors *set, const char *path, struct qw_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    bool ok = qw_file_read(&bytes, &size, path, FILE_BUDGET, error) && qw_safetensors_parse(set, bytes, size, error);
    free(bytes);
    qw_error_in_file(error, path);
    return ok;
}
