/* safetensors: every malformed file is refused, every well-formed one is read as it stands. */
#include "reference/model/safetensors.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"

struct bytes {
    char *data;
    size_t size;
};

/* Length, header, and `count` data bytes 0, 1, 2, …; free with free(). */
static struct bytes file_of(const char *header, size_t count)
{
    uint64_t length = strlen(header);
    struct bytes file = {qw_calloc(8 + length + count, 1), 8 + length + count};
    memcpy(file.data, &length, 8);
    memcpy(file.data + 8, header, length);
    for (size_t i = 0; i < count; i++)
        file.data[8 + length + i] = (char)i;
    return file;
}

static bool parse(struct qw_tensors *set, const char *header, size_t count, struct qw_error *error)
{
    struct bytes file = file_of(header, count);
    bool ok = qw_safetensors_parse(set, file.data, file.size, error);
    free(file.data);
    return ok;
}

static void refuse_bytes(const char *what, const char *data, size_t size)
{
    struct qw_tensors set = {0};
    struct qw_error error = {0};
    char *copy = qw_memdup(data, size, 1); /* exactly as long, so that reading beyond is seen by a checker */
    cr_expect_not(qw_safetensors_parse(&set, copy, size, &error), "accepted: %s", what);
    cr_expect_eq(error.kind, QW_ERROR_INPUT, "%s", what);
    cr_expect(error.message[0] && error.place[0], "%s", what);
    qw_tensors_clear(&set);
    free(copy);
}

static struct qw_tensors accept_header(const char *header, size_t count)
{
    struct qw_tensors set = {0};
    struct qw_error error = {0};
    cr_assert(parse(&set, header, count, &error), "%s: %s: %s", header, error.place, error.message);
    return set;
}

/* ---- well-formed ---- */

Test(safetensors, tensors_have_their_type_shape_and_bytes)
{
    struct qw_tensors set = accept_header("{\"__metadata__\":{\"format\":\"pt\"},"
                                          "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[6,14]},"
                                          "\"a\":{\"dtype\":\"BF16\",\"shape\":[1,3],\"data_offsets\":[0,6]}}",
                                          14);
    const struct qw_tensor *a = qw_tensors_find(&set, "a"), *b = qw_tensors_find(&set, "b");
    cr_assert(set.count == 2 && a && b && !qw_tensors_find(&set, "__metadata__"));
    cr_assert(a->dtype == QW_BF16 && a->shape.rank == 2 && a->shape.dim[0] == 1 && a->shape.dim[1] == 3);
    cr_assert(b->dtype == QW_F32 && b->shape.rank == 1 && b->shape.dim[0] == 2);
    cr_assert_arr_eq(a->data, "\0\1\2\3\4\5", 6);
    cr_assert_arr_eq(b->data, "\6\7\10\11\12\13\14\15", 8);
    qw_tensors_clear(&set);
    cr_assert(set.count == 0 && set.item == NULL);
}

Test(safetensors, every_covered_element_type)
{
    static const struct {
        const char *name;
        enum qw_dtype dtype;
        int bytes;
    } rows[] = {{"F64", QW_F64, 8}, {"F32", QW_F32, 4}, {"F16", QW_F16, 2}, {"BF16", QW_BF16, 2}, {"I64", QW_I64, 8}};
    for (int i = 0; i < 5; i++) {
        char header[96];
        snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}", rows[i].name,
                 3 * rows[i].bytes);
        struct qw_tensors set = accept_header(header, (size_t)(3 * rows[i].bytes));
        cr_expect_eq(qw_tensors_find(&set, "x")->dtype, rows[i].dtype);
        qw_tensors_clear(&set);
    }
}

Test(safetensors, scalars_empty_tensors_and_empty_files)
{
    struct qw_tensors scalar = accept_header("{\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4);
    struct qw_tensors hollow = accept_header("{\"x\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]}}", 0);
    struct qw_tensors none = accept_header("{}", 0);
    cr_assert_eq(qw_tensors_find(&scalar, "x")->shape.rank, 0);
    cr_assert_eq(qw_tensors_find(&hollow, "x")->shape.dim[1], 7);
    cr_assert_eq(none.count, 0);
    qw_tensors_clear(&scalar);
    qw_tensors_clear(&hollow);
}

Test(safetensors, header_may_be_padded_with_spaces)
{
    struct qw_tensors set = accept_header("{\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}       ", 2);
    cr_assert_eq(set.count, 1);
    qw_tensors_clear(&set);
}

/* ---- malformed ---- */

static const struct {
    const char *what, *header;
    size_t data;
} malformed[] = {
    {"header is no JSON", "{\"x\":", 0},
    {"header is an array", "[1]", 0},
    {"header is a text", "\"header\"", 0},
    {"bytes after the header's document", "{} {}", 0},
    {"one name twice",
     "{\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},"
     "\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[2,4]}}",
     4},
    {"entry is a number", "{\"x\":5}", 0},
    {"entry is null", "{\"x\":null}", 0},
    {"no element type", "{\"x\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
    {"unknown element type", "{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4},
    {"element type in other letters", "{\"x\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
    {"element type is a number", "{\"x\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
    {"no shape", "{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4},
    {"shape is a number", "{\"x\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4},
    {"shape is an object", "{\"x\":{\"dtype\":\"F32\",\"shape\":{\"a\":1},\"data_offsets\":[0,4]}}", 4},
    {"negative extents whose product fits", "{\"x\":{\"dtype\":\"F32\",\"shape\":[-1,-1],\"data_offsets\":[0,4]}}", 4},
    {"fractional extent", "{\"x\":{\"dtype\":\"F32\",\"shape\":[0.5,2],\"data_offsets\":[0,4]}}", 4},
    {"extent is a text", "{\"x\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4},
    {"nine axes", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4},
    {"extents that overflow to zero", "{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0},
    {"extents beyond any memory", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1125899906842624],\"data_offsets\":[0,4]}}", 4},
    {"no offsets", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4},
    {"one offset", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4},
    {"three offsets", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4},
    {"negative offset", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4},
    {"fractional offset", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.5]}}", 4},
    {"offsets the wrong way round", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4},
    {"offsets beyond the file", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4},
    {"offsets wholly beyond the file", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1000000,1000004]}}", 4},
    {"range longer than the tensor", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8},
    {"range shorter than the tensor", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4},
    {"range of another element type", "{\"x\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
    {"bytes behind the last tensor", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5},
    {"bytes before the first tensor", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}", 5},
    {"a hole between tensors",
     "{\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},"
     "\"y\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[4,6]}}",
     6},
    {"tensors that share bytes",
     "{\"x\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
     "\"y\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[2,6]}}",
     6},
    {"data where nothing is named", "{}", 1},
    {"element type that the format does not have", "{\"x\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
    {"half a byte of elements", "{\"x\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1},
    {"metadata that are no object", "{\"__metadata__\":\"pt\"}", 0},
    {"metadata that are no texts", "{\"__metadata__\":{\"step\":7}}", 0},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0},
    {"one name twice, once escaped",
     "{\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},"
     "\"\\u0078\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[2,4]}}",
     4},
    {"a name cut by an escaped NUL", "{\"x\\u0000y\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2},
    {"a name that is no UTF-8", "{\"\xff\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2},
    {"space before the header", " {}", 0},
    {"a line break as padding", "{}\n", 0},
    {"a tabulator as padding", "{} \t ", 0},
    {"a byte order mark", "\xef\xbb\xbf{}", 0},
    {"an extent with a leading zero", "{\"x\":{\"dtype\":\"F16\",\"shape\":[01],\"data_offsets\":[0,2]}}", 2},
    {"an extent that no double holds", "{\"x\":{\"dtype\":\"F16\",\"shape\":[9007199254740993],\"data_offsets\":[0,2]}}", 2},
    {"an extent beyond any number", "{\"x\":{\"dtype\":\"F16\",\"shape\":[1e999],\"data_offsets\":[0,2]}}", 2},
    {"an offset of minus zero", "{\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[-0,2]}}", 2},
    {"an extent with a point", "{\"x\":{\"dtype\":\"F16\",\"shape\":[1.0],\"data_offsets\":[0,2]}}", 2},
    {"an extent with an exponent", "{\"x\":{\"dtype\":\"F16\",\"shape\":[1e0],\"data_offsets\":[0,2]}}", 2},
    {"ten levels", "{\"x\":[[[[[[[[[[]]]]]]]]]]}", 0},
};

Test(safetensors, malformed_files_are_refused)
{
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        struct bytes file = file_of(malformed[i].header, malformed[i].data);
        refuse_bytes(malformed[i].what, file.data, file.size);
        free(file.data);
    }
}

/* Shared bytes and a hole of the same size: the sum of the ranges is that of the file. */
Test(safetensors, overlap_that_makes_up_for_a_hole_is_refused)
{
    struct bytes file = file_of("{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                                "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                                8);
    refuse_bytes("same range twice, four bytes without a name", file.data, file.size);
    free(file.data);
}

Test(safetensors, offsets_must_be_a_list)
{
    struct bytes file = file_of("{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{\"begin\":0,\"end\":4}}}", 4);
    refuse_bytes("offsets are an object", file.data, file.size);
    free(file.data);
}

Test(safetensors, header_lengths_that_lie_are_refused)
{
    static const uint64_t lengths[] = {0, 1, 3, 1000, 1u << 31, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct bytes file = file_of("{}", 0);
        memcpy(file.data, &lengths[i], 8);
        refuse_bytes("header length", file.data, file.size);
        free(file.data);
    }
}

/* … and for its own reason, found before anything beyond the end is touched. */
Test(safetensors, every_truncation_is_refused)
{
    const char *header = "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                         "\"y\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[8,10]}}";
    struct bytes file = file_of(header, 10);
    for (size_t size = 0; size < file.size; size++) {
        struct qw_tensors set = {0};
        struct qw_error error = {0};
        const char *reason = size < 8 + strlen(header) ? "the header does not fit" : "lie outside the file";
        refuse_bytes("truncated", file.data, size);
        cr_expect_not(qw_safetensors_parse(&set, file.data, size, &error));
        cr_expect(strstr(error.message, reason), "%zu bytes: %s", size, error.message);
        qw_tensors_clear(&set);
    }
    free(file.data);
}

/* Whatever one damaged byte does, what is accepted lies within the file. */
Test(safetensors, damaged_bytes_never_reach_beyond_the_file)
{
    struct bytes file = file_of("{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    for (size_t at = 0; at < file.size; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct qw_tensors set = {0};
            struct qw_error error = {0};
            char *damaged = qw_memdup(file.data, file.size, 1);
            damaged[at] = (char)(damaged[at] ^ (1 << bit));
            bool ok = qw_safetensors_parse(&set, damaged, file.size, &error);
            cr_assert_eq(ok, error.kind == QW_ERROR_NONE);
            for (int i = 0; ok && i < set.count; i++)
                cr_assert_eq((size_t)qw_shape_count(&set.item[i].tensor->shape) * qw_dtype_bytes(set.item[i].tensor->dtype), 8);
            qw_tensors_clear(&set);
            free(damaged);
        }
    free(file.data);
}

Test(safetensors, shared_bytes_and_holes_name_their_tensor)
{
    static const struct {
        const char *header, *place, *words;
    } rows[] = {
        {"{\"x\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},\"y\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[2,6]}}",
         "y", "shares bytes"},
        {"{\"y\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[2,6]}}", "y", "belong to no tensor"},
        {"{\"x\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", "header", "at the end of the file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct qw_tensors set = {0};
        struct qw_error error = {0};
        cr_expect_not(parse(&set, rows[i].header, 6, &error));
        cr_expect(!strcmp(error.place, rows[i].place) && strstr(error.message, rows[i].words), "%s: %s", error.place,
                  error.message);
        qw_tensors_clear(&set);
    }
}

/* Described, so that a checkpoint may hold them; read they cannot be. */
Test(safetensors, other_types_of_the_format_are_described)
{
    static const struct {
        const char *type;
        int bits;
    } rows[] = {{"BOOL", 8}, {"U8", 8},      {"I8", 8},   {"F8_E4M3", 8}, {"F8_E5M2", 8},
                {"F4", 4},   {"F6_E2M3", 6}, {"I16", 16}, {"I32", 32},    {"U64", 64}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *header = qw_format("{\"mask\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%d]}}", rows[i].type,
                                 rows[i].bits / 2);
        struct bytes file = file_of(header, (size_t)rows[i].bits / 2);
        struct qw_input input = qw_input_of_bytes(file.data, file.size);
        struct qw_safetensors described;
        struct qw_error error = {0};
        cr_assert(qw_safetensors_open(&described, &input, &error), "%s: %s", rows[i].type, error.message);
        cr_expect(described.count == 1 && !described.item[0].covered && !strcmp(described.item[0].type, rows[i].type));
        cr_expect_not(qw_safetensors_need(&described.item[0], &error));
        cr_expect(!strcmp(error.place, "mask") && strstr(error.message, rows[i].type), "%s", error.message);
        qw_safetensors_clear(&described);
        free(file.data);
        free(header);
    }
}

/* A file of this size whose first bytes are these; the rest are zeros that take no room on the disk. */
static void sparse_file(char *path, const char *first, size_t count, off_t size)
{
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, first, count) == (ssize_t)count && ftruncate(fd, size) == 0);
    close(fd);
}

static void refuse_sparse(uint64_t header, const char *begin, off_t size, const char *words)
{
    char path[] = "/tmp/qconform-sparse-XXXXXX", first[16] = "";
    struct qw_input input;
    struct qw_safetensors described;
    struct qw_error error = {0};
    memcpy(first, &header, 8);
    memcpy(first + 8, begin, strlen(begin));
    sparse_file(path, first, 8 + strlen(begin), size);
    cr_assert(qw_input_open(&input, path, &error));
    cr_expect_not(qw_safetensors_open(&described, &input, &error));
    cr_expect(strstr(error.message, words) && !strcmp(error.file, path), "%s", error.message);
    qw_safetensors_clear(&described);
    qw_input_close(&input);
    remove(path);
}

Test(safetensors, headers_as_long_as_the_format_allows_and_longer, .timeout = 10)
{
    refuse_sparse(100000000, "", 100000008, "does not begin with {");
    refuse_sparse(100000000, "{", 100000008, "a key in double quotes");
    refuse_sparse(100000000, "{}", 100000008, "after the document");
    refuse_sparse(100000001, "{", 100000009, "longer than the 100,000,000");
    refuse_sparse(99999999, "{", 100000006, "does not fit");
}

Test(safetensors, a_hundred_thousand_tensors, .timeout = 20)
{
    struct qw_text header = {0};
    struct qw_tensors set = {0};
    struct qw_error error = {0};
    for (int i = 0; i < 100000; i++)
        qw_text_addf(&header, "%c\"tensor%d\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[%d,%d]}", i ? ',' : '{',
                     99999 - i, 4 * (99999 - i), 4 * (100000 - i));
    qw_text_add(&header, "}");
    cr_assert(parse(&set, header.bytes, 400000, &error), "%s: %s", error.place, error.message);
    cr_assert_eq(set.count, 100000);
    for (int i = 0; i < 100000; i++) {
        char name[24];
        snprintf(name, sizeof name, "tensor%d", i);
        cr_assert_eq(*(const char *)qw_tensors_find(&set, name)->data, (char)(4 * i));
    }
    qw_tensors_clear(&set);
    qw_text_free(&header);
}
