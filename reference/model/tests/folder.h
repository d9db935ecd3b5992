/* Folders of checkpoints, written by hand: safetensors files of chosen tensors, indices, configurations. */
#ifndef QW_MODEL_TESTS_FOLDER_H
#define QW_MODEL_TESTS_FOLDER_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reference/base/cast.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reference/model/tensors.h"

static inline char *folder_make(void)
{
    char *folder = qw_format("%s", "/tmp/qconform-folder-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    return folder;
}

static inline void folder_remove(char *folder)
{
    char *command = qw_format("rm -r %s", folder);
    cr_assert_eq(system(command), 0);
    free(command);
    free(folder);
}

static inline void folder_put_bytes(const char *folder, const char *name, const char *bytes, size_t size)
{
    struct qw_error error = {0};
    char *path = qw_format("%s/%s", folder, name);
    cr_assert(qw_file_write(path, bytes, size, &error), "%s", error.message);
    free(path);
}

static inline void folder_put(const char *folder, const char *name, const char *text)
{
    folder_put_bytes(folder, name, text, strlen(text));
}

static inline void folder_copy(const char *folder, const char *name, const char *from)
{
    char *bytes = NULL, *path = qw_format("%s/%s", from, name);
    size_t size = 0;
    struct qw_error error = {0};
    cr_assert(qw_file_read(&bytes, &size, path, (size_t)1 << 28, &error), "%s", error.message);
    folder_put_bytes(folder, name, bytes, size);
    free(bytes);
    free(path);
}

/* Whether a tensor goes into a file; NULL: all do. */
typedef bool folder_choice(const char *name, int number);

/* A safetensors file of the chosen tensors, stored as `dtype` of the format's name `type`. */
static inline void folder_put_tensors(const char *folder, const char *file, const struct qw_tensors *set, folder_choice *choice,
                                      enum qw_dtype dtype, const char *type)
{
    struct qw_text header = {0}, data = {0}, whole = {0};
    for (int i = 0; i < set->count; i++) {
        const struct qw_tensor *tensor = set->item[i].tensor;
        if (choice && !choice(set->item[i].name, i))
            continue;
        size_t bytes = (size_t)qw_shape_count(&tensor->shape) * qw_dtype_bytes(dtype);
        char *stored = qw_calloc(bytes, 1), shape[96];
        qw_cast(stored, dtype, tensor->data, tensor->dtype, qw_shape_count(&tensor->shape));
        qw_shape_text(shape, sizeof shape, &tensor->shape);
        qw_text_addf(&header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", header.length ? "," : "{",
                     set->item[i].name, type, shape, data.length, data.length + bytes);
        qw_text_add_bytes(&data, stored, bytes);
        free(stored);
    }
    qw_text_add(&header, header.length ? "}" : "{}");
    uint64_t length = header.length;
    qw_text_add_bytes(&whole, (const char *)&length, 8);
    qw_text_add_bytes(&whole, header.bytes, header.length);
    qw_text_add_bytes(&whole, data.length ? data.bytes : "", data.length);
    folder_put_bytes(folder, file, whole.bytes, whole.length);
    qw_text_free(&header);
    qw_text_free(&data);
    qw_text_free(&whole);
}

#endif
