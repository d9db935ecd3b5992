/* Invariant: nothing is allocated for a tensor before its extents were checked against the bytes that are there. */
#include "reference/model/safetensors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/cast.h"
#include "reference/base/json.h"
#include "reference/base/memory.h"

#define HEADER_BUDGET 100000000 /* as the format's own library */
#define MOST_ELEMENTS ((int64_t)1 << 48)
#define CHUNK         ((int64_t)1 << 18) /* elements that are cast at a time */
#define HINT          "save the folder again with save_pretrained(…, safe_serialization=True), or download it again"

/* An object, its entries, their lists.  A tensor takes nine values or less: room for two hundred thousand of them. */
static const struct qw_json_limits limits = {8, 1 << 21, true};

/* The types of the format with their widths: those that the reference reads, and the others. */
static const struct {
    const char *name;
    int bits;
    bool covered;
    enum qw_dtype dtype;
} types[] = {
#define DTYPE(id, name, safetensors, bytes, bits) {safetensors, 8 * bytes, true, QW_##id},
#include "reference/base/dtypes.def"
#undef DTYPE
    {"BOOL", 8, false, 0},    {"U8", 8, false, 0},   {"I8", 8, false, 0},   {"F8_E5M2", 8, false, 0}, {"F8_E4M3", 8, false, 0},
    {"F8_E8M0", 8, false, 0}, {"F4", 4, false, 0},   {"I16", 16, false, 0}, {"F6_E2M3", 6, false, 0}, {"F6_E3M2", 6, false, 0},
    {"U16", 16, false, 0},    {"I32", 32, false, 0}, {"U32", 32, false, 0}, {"U64", 64, false, 0},    {"C64", 64, false, 0},
};

static bool refuse(struct qw_error *error, const char *name, const char *why)
{
    return qw_fail(error, QW_ERROR_INPUT, name, HINT, "%s", why);
}

/* Bits of one element, or 0 when the format has no such type. */
static int read_type(struct qw_safetensors_item *item, const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) {
            item->type = types[i].name;
            item->covered = types[i].covered;
            item->dtype = types[i].dtype;
            return types[i].bits;
        }
    return 0;
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
        if (shape->dim[axis] < 0 || __builtin_mul_overflow(count, shape->dim[axis++], &count) || count > MOST_ELEMENTS)
            return false;
    }
    return true;
}

static bool read_range(struct qw_safetensors_item *item, const struct qw_json *json)
{
    const struct qw_json *first = qw_json_first(json);
    item->begin = qw_json_int(first, -1);
    item->end = qw_json_int(qw_json_next(first), -1);
    return qw_json_is_array(json) && qw_json_size(json) == 2 && item->begin >= 0 && item->end >= item->begin;
}

/* One entry of the header; ranges count from the first byte behind the header. */
static bool read_item(struct qw_safetensors_item *item, const struct qw_json *entry, int64_t data_size, struct qw_error *error)
{
    const char *name = qw_json_key(entry), *type = qw_json_get_text(entry, "dtype", "");
    int bits = read_type(item, type);
    item->name = qw_strdup(name);
    if (!bits)
        return qw_fail(error, QW_ERROR_INPUT, name, HINT, "\"%.40s\" is no element type of the format", type);
    if (!read_shape(&item->shape, qw_json_get(entry, "shape")))
        return refuse(error, name, "\"shape\" is not a list of at most eight extents");
    if (!read_range(item, qw_json_get(entry, "data_offsets")) || item->end > data_size)
        return refuse(error, name, "\"data_offsets\" lie outside the file (is it truncated?)");
    int64_t size_in_bits = qw_shape_count(&item->shape) * bits; /* below 2^54 */
    if (size_in_bits % 8 || item->end - item->begin != size_in_bits / 8)
        return refuse(error, name, "\"data_offsets\" do not match shape and element type");
    return true;
}

static bool check_metadata(const struct qw_json *metadata, struct qw_error *error)
{
    bool ok = qw_json_is_object(metadata);
    for (const struct qw_json *text = qw_json_first(metadata); ok && text; text = qw_json_next(text))
        ok = qw_json_is_text(text);
    return ok || refuse(error, "__metadata__", "must be an object of texts");
}

static int by_begin(const void *a, const void *b)
{
    const struct qw_safetensors_item *x = *(const struct qw_safetensors_item *const *)a;
    const struct qw_safetensors_item *y = *(const struct qw_safetensors_item *const *)b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin) : (x->end > y->end) - (x->end < y->end);
}

/* Whether the ranges, put in order, follow one another from the first byte to the last. */
static bool check_cover(const struct qw_safetensors *file, int64_t data_size, struct qw_error *error)
{
    const struct qw_safetensors_item **order = QW_NEW_ARRAY(const struct qw_safetensors_item *, file->count);
    for (int i = 0; i < file->count; i++)
        order[i] = &file->item[i];
    qsort(order, (size_t)file->count, sizeof *order, by_begin);
    int64_t next = 0;
    bool ok = true;
    for (int i = 0; i < file->count && ok; next = order[i++]->end)
        if (order[i]->begin != next)
            ok = refuse(error, order[i]->name,
                        order[i]->begin < next ? "shares bytes with another tensor" : "bytes before it belong to no tensor");
    free(order);
    return ok && (next == data_size || refuse(error, "header", "bytes at the end of the file belong to no tensor"));
}

static bool read_items(struct qw_safetensors *file, const struct qw_json *header, int64_t data_size, struct qw_error *error)
{
    file->item = QW_NEW_ARRAY(struct qw_safetensors_item, qw_json_size(header));
    for (const struct qw_json *entry = qw_json_first(header); entry; entry = qw_json_next(entry)) {
        if (!strcmp(qw_json_key(entry), "__metadata__")) {
            if (!check_metadata(entry, error))
                return false;
        } else if (!read_item(&file->item[file->count++], entry, data_size, error)) {
            return false;
        }
    }
    return check_cover(file, data_size, error);
}

/* The header as text of `*size` bytes, its padding taken off; free with free(). */
static char *read_header(size_t *size, const struct qw_input *input, struct qw_error *error)
{
    uint64_t length = 0;
    char first = 0;
    if (input->size < 8 || !qw_input_read(&length, input, 0, 8, error) || length > (uint64_t)(input->size - 8) || length < 2) {
        refuse(error, "header", "not a safetensors file, or truncated: the header does not fit");
        return NULL;
    }
    if (length > HEADER_BUDGET) {
        refuse(error, "header", "is longer than the 100,000,000 bytes that the format allows");
        return NULL;
    }
    if (!qw_input_read(&first, input, 8, 1, error) || first != '{') {
        refuse(error, "header", "not a safetensors file: the header does not begin with {");
        return NULL;
    }
    char *text = qw_calloc((size_t)length + 1, 1);
    *size = (size_t)length;
    if (!qw_input_read(text, input, 8, *size, error)) {
        free(text);
        return NULL;
    }
    while (*size && text[*size - 1] == ' ')
        --*size;
    return text;
}

bool qw_safetensors_open(struct qw_safetensors *file, const struct qw_input *input, struct qw_error *error)
{
    size_t size = 0;
    int64_t padded = 0;
    *file = (struct qw_safetensors){0};
    char *text = read_header(&size, input, error);
    struct qw_json *header = text ? qw_json_parse_within(text, size, &limits, "header", error) : NULL;
    bool ok = header && qw_input_read(&padded, input, 0, 8, error);
    int64_t data = 8 + padded;
    /* the document ends where its closing brace stands: other white space behind it is no padding of the format */
    if (ok && text[size - 1] != '}')
        ok = refuse(error, "header", "must be an object, padded with spaces alone");
    ok = ok && read_items(file, header, input->size - data, error);
    for (int i = 0; ok && i < file->count; i++) {
        file->item[i].begin += data;
        file->item[i].end += data;
    }
    qw_json_free(header);
    free(text);
    if (input->path)
        qw_error_in_file(error, input->path);
    return ok;
}

void qw_safetensors_clear(struct qw_safetensors *file)
{
    for (int i = 0; i < file->count; i++)
        free(file->item[i].name);
    free(file->item);
    *file = (struct qw_safetensors){0};
}

bool qw_safetensors_need(const struct qw_safetensors_item *item, struct qw_error *error)
{
    return item->covered ||
           qw_fail(error, QW_ERROR_INPUT, item->name, "save the model in F64, F32, F16 or BF16",
                   "has element type %s, which is none that the reference reads (F64 F32 F16 BF16 I64)", item->type);
}

/* Through a buffer, so that the elements are never held twice. */
static bool read_and_cast(struct qw_tensor *tensor, const struct qw_safetensors_item *item, const struct qw_input *input,
                          struct qw_error *error)
{
    int64_t count = qw_shape_count(&item->shape), width = (int64_t)qw_dtype_bytes(item->dtype);
    char *buffer = qw_calloc((size_t)(count < CHUNK ? count : CHUNK), (size_t)width);
    bool ok = true;
    for (int64_t at = 0; ok && at < count; at += CHUNK) {
        int64_t some = count - at < CHUNK ? count - at : CHUNK;
        ok = qw_input_read(buffer, input, item->begin + at * width, (size_t)(some * width), error);
        if (ok)
            qw_cast((char *)tensor->data + (size_t)at * qw_dtype_bytes(tensor->dtype), tensor->dtype, buffer, item->dtype, some);
    }
    free(buffer);
    return ok;
}

bool qw_safetensors_read(struct qw_tensor *tensor, const struct qw_safetensors_item *item, const struct qw_input *input,
                         struct qw_error *error)
{
    tensor->data = qw_calloc((size_t)qw_shape_count(&tensor->shape), qw_dtype_bytes(tensor->dtype));
    if (tensor->dtype != item->dtype)
        return read_and_cast(tensor, item, input, error);
    return qw_input_read(tensor->data, input, item->begin, (size_t)(item->end - item->begin), error);
}

bool qw_safetensors_parse(struct qw_tensors *set, const char *bytes, size_t size, struct qw_error *error)
{
    struct qw_input input = qw_input_of_bytes(bytes, size);
    struct qw_safetensors file;
    bool ok = qw_safetensors_open(&file, &input, error);
    for (int i = 0; ok && i < file.count; i++) {
        ok = qw_safetensors_need(&file.item[i], error);
        if (!ok)
            break;
        struct qw_tensor *tensor = qw_tensor_structure(file.item[i].dtype, &file.item[i].shape);
        qw_tensors_add(set, file.item[i].name, tensor);
        ok = qw_safetensors_read(tensor, &file.item[i], &input, error);
    }
    qw_safetensors_clear(&file);
    return ok;
}
