/* Checkpoints: one file or shards, whatever a stranger's index says. */
#include "reference/model/checkpoint.h"

#include <stdio.h>
#include <sys/stat.h>

#include "reference/base/sha256.h"
#include "reference/model/tests/folder.h"

#define A     "model-00001-of-00002.safetensors"
#define B     "model-00002-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

static struct qw_tensors six_tensors(void)
{
    struct qw_tensors set = {0};
    struct qw_shape shape = qw_shape_of(2, (int64_t)2, (int64_t)3);
    for (int i = 0; i < 6; i++) {
        char name[16];
        struct qw_tensor *tensor = qw_tensor_make(QW_F32, &shape);
        snprintf(name, sizeof name, "t%d", i);
        for (int k = 0; k < 6; k++)
            ((float *)tensor->data)[k] = (float)(10 * i + k) + 0x1p-12f;
        qw_tensors_add(&set, name, tensor);
    }
    return set;
}

static bool is_even(const char *name, int number) { return (void)name, number % 2 == 0; }
static bool is_odd(const char *name, int number) { return (void)name, number % 2 == 1; }
static bool is_none(const char *name, int number) { return (void)name, (void)number, false; }
static bool is_odd_or_2(const char *name, int number) { return (void)name, number % 2 == 1 || number == 2; }

static const char *const good_index = "{\"metadata\":{\"total_size\":144},\"weight_map\":{\"t0\":\"" A "\",\"t1\":\"" B
                                      "\",\"t2\":\"" A "\",\"t3\":\"" B "\",\"t4\":\"" A "\",\"t5\":\"" B "\"}}";

/* A folder of two shards of the six tensors. */
static char *sharded(const char *index)
{
    char *folder = folder_make();
    struct qw_tensors set = six_tensors();
    folder_put_tensors(folder, A, &set, is_even, QW_F32, "F32");
    folder_put_tensors(folder, B, &set, is_odd, QW_F32, "F32");
    folder_put(folder, INDEX, index);
    qw_tensors_clear(&set);
    return folder;
}

static bool all(const void *context, const char *name) { return (void)context, (void)name, true; }
static bool only(const void *context, const char *name) { return !strcmp(context, name); }

static struct qw_error refused(const char *folder)
{
    struct qw_checkpoint checkpoint;
    struct qw_error error = {0};
    cr_expect_not(qw_checkpoint_open(&checkpoint, folder, "model", &error));
    cr_expect(error.kind == QW_ERROR_INPUT && error.file[0] && error.hint[0], "%s", error.message);
    qw_checkpoint_close(&checkpoint);
    return error;
}

static struct qw_tensors read_all(const char *folder, const enum qw_dtype *cast)
{
    struct qw_checkpoint checkpoint;
    struct qw_error error = {0};
    struct qw_tensors set = {0};
    cr_assert(qw_checkpoint_open(&checkpoint, folder, "model", &error) &&
                  qw_checkpoint_describe(&set, &checkpoint, all, NULL, cast, &error) &&
                  qw_checkpoint_read(&set, &checkpoint, &error),
              "%s: %s: %s", error.file, error.place, error.message);
    qw_checkpoint_close(&checkpoint);
    return set;
}

static void expect_the_six(const struct qw_tensors *set)
{
    struct qw_tensors six = six_tensors();
    cr_assert_eq(set->count, 6);
    for (int i = 0; i < 6; i++) {
        const struct qw_tensor *tensor = qw_tensors_find(set, six.item[i].name);
        cr_assert(tensor && tensor->dtype == QW_F32 && qw_shape_equal(&tensor->shape, &six.item[i].tensor->shape));
        cr_assert_arr_eq(tensor->data, six.item[i].tensor->data, 24);
    }
    qw_tensors_clear(&six);
}

/* ---- what is read ---- */

Test(checkpoint, shards_are_read_as_one)
{
    char *folder = sharded(good_index);
    struct qw_tensors set = read_all(folder, NULL);
    expect_the_six(&set);
    qw_tensors_clear(&set);
    folder_remove(folder);
}

Test(checkpoint, one_file_wins_over_an_index)
{
    char *folder = sharded("no index at all");
    struct qw_tensors six = six_tensors();
    folder_put_tensors(folder, "model.safetensors", &six, NULL, QW_F32, "F32");
    struct qw_tensors set = read_all(folder, NULL);
    expect_the_six(&set);
    qw_tensors_clear(&set);
    qw_tensors_clear(&six);
    folder_remove(folder);
}

Test(checkpoint, elements_are_cast_to_the_type_of_the_run)
{
    static const struct {
        enum qw_dtype stored, run;
        const char *type;
    } rows[] = {{QW_BF16, QW_F32, "BF16"}, {QW_F16, QW_F32, "F16"}, {QW_F64, QW_F32, "F64"},
                {QW_F32, QW_BF16, "F32"},  {QW_F32, QW_F16, "F32"}, {QW_BF16, QW_F16, "BF16"}};
    struct qw_tensors six = six_tensors();
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char *folder = folder_make();
        folder_put_tensors(folder, "model.safetensors", &six, NULL, rows[r].stored, rows[r].type);
        struct qw_tensors set = read_all(folder, &rows[r].run);
        for (int i = 0; i < 6; i++) {
            const struct qw_tensor *tensor = qw_tensors_find(&set, six.item[i].name);
            cr_assert_eq(tensor->dtype, rows[r].run);
            for (int k = 0; k < 6; k++)
                cr_assert_eq(qw_tensor_at(tensor, k),
                             qw_round_to(rows[r].run, qw_round_to(rows[r].stored, qw_tensor_at(six.item[i].tensor, k))));
        }
        qw_tensors_clear(&set);
        folder_remove(folder);
    }
    qw_tensors_clear(&six);
}

/* What nothing needs may have any type of the format; what is needed is refused by name and type. */
Test(checkpoint, types_that_are_not_read_matter_only_where_they_are_needed)
{
    char *folder = folder_make();
    struct qw_tensors six = six_tensors(), set = {0};
    struct qw_checkpoint checkpoint;
    struct qw_error error = {0};
    folder_put_tensors(folder, "model.safetensors", &six, NULL, QW_F32, "I32");
    cr_assert(qw_checkpoint_open(&checkpoint, folder, "model", &error), "%s", error.message);
    cr_expect(qw_checkpoint_describe(&set, &checkpoint, only, "t9", NULL, &error) && set.count == 0);
    cr_expect_not(qw_checkpoint_describe(&set, &checkpoint, only, "t3", NULL, &error));
    cr_expect(!strcmp(error.place, "t3") && strstr(error.message, "I32") && strstr(error.file, "model.safetensors"), "%s",
              error.message);
    qw_checkpoint_close(&checkpoint);
    qw_tensors_clear(&six);
    folder_remove(folder);
}

/* ---- the digest ---- */

static bool has_digest(const char *folder, const char *digest)
{
    struct qw_checkpoint checkpoint;
    struct qw_error error = {0};
    cr_assert(qw_checkpoint_open(&checkpoint, folder, "model", &error), "%s", error.message);
    bool same = qw_checkpoint_check(&checkpoint, digest, &error);
    cr_expect(same || (strstr(error.message, "sha256") && strstr(error.file, INDEX)));
    qw_checkpoint_close(&checkpoint);
    return same;
}

Test(checkpoint, digest_is_that_of_the_index_and_the_shards_in_order_of_name)
{
    char *folder = sharded(good_index), digest[QW_SHA256_HEX];
    static const char *const orders[][3] = {{INDEX, A, B}, {INDEX, B, A}, {A, B, INDEX}, {A, B, ""}};
    for (size_t o = 0; o < 4; o++) {
        struct qw_input inputs[3];
        struct qw_error error = {0};
        int count = 0;
        for (; count < 3 && orders[o][count][0]; count++) {
            char *path = qw_format("%s/%s", folder, orders[o][count]);
            cr_assert(qw_input_open(&inputs[count], path, &error));
            free(path);
        }
        cr_assert(qw_sha256_inputs(digest, inputs, count, &error));
        cr_expect_eq(has_digest(folder, digest), o == 0);
        while (count)
            qw_input_close(&inputs[--count]);
    }
    cr_expect(has_digest(folder, ""));
    folder_remove(folder);
}

/* ---- what a stranger's index may say ---- */

static void expect_index_refused(const char *index, const char *place, const char *words)
{
    char *folder = sharded(index);
    struct qw_error error = refused(folder);
    cr_expect(!place || !strcmp(error.place, place), "%s: %s", error.place, error.message);
    cr_expect(strstr(error.message, words), "%s: %s", index, error.message);
    folder_remove(folder);
}

#define SIX_BUT(last)                                                                                                            \
    "{\"weight_map\":{\"t0\":\"" A "\",\"t1\":\"" B "\",\"t2\":\"" A "\",\"t3\":\"" B "\",\"t4\":\"" A "\"" last "}}"

Test(checkpoint, indices_that_are_none_are_refused)
{
    expect_index_refused("{", "", "not valid JSON");
    expect_index_refused("[]", "weight_map", "must be an object");
    expect_index_refused("{}", "weight_map", "must be an object");
    expect_index_refused("{\"weight_map\":{}}", "weight_map", "must be an object");
    expect_index_refused("{\"weight_map\":[\"" A "\"]}", "weight_map", "must be an object");
    expect_index_refused(SIX_BUT(",\"t5\":7"), "t5", "name of a file");
    expect_index_refused(SIX_BUT(",\"t4\":\"" B "\""), "", "stands twice");
}

Test(checkpoint, disagreement_of_index_and_shards_is_named)
{
    expect_index_refused(SIX_BUT(",\"t5\":\"" A "\""), "t5", "which does not have it");
    expect_index_refused(SIX_BUT(",\"t5\":\"" B "\",\"t6\":\"" B "\""), "t6", "which does not have it");
    expect_index_refused(SIX_BUT(""), "t5", "the index does not name it");
    expect_index_refused(SIX_BUT(",\"t5\":\"model-00003-of-00002.safetensors\""), NULL, "No such file");
}

Test(checkpoint, shards_outside_of_the_folder_are_refused)
{
    static const char *const names[] = {"/etc/hostname", "../" A, "./" A, "..", "", "sub/" A};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *index = qw_format(SIX_BUT(",\"t5\":\"%s\""), names[i]);
        expect_index_refused(index, names[i], "no plain file name");
        free(index);
    }
}

Test(checkpoint, a_tensor_in_two_shards_is_named_with_both)
{
    char *folder = sharded(good_index);
    struct qw_tensors six = six_tensors();
    folder_put_tensors(folder, B, &six, is_odd_or_2, QW_F32, "F32");
    struct qw_error error = refused(folder);
    cr_expect(!strcmp(error.place, "t2") && strstr(error.message, A) && strstr(error.message, B), "%s: %s", error.place,
              error.message);
    qw_tensors_clear(&six);
    folder_remove(folder);
}

Test(checkpoint, a_pipe_in_place_of_a_file_does_not_hang, .timeout = 20)
{
    char *folder = sharded(good_index), *shard = qw_format("%s/" B, folder), *one = qw_format("%s/model.safetensors", folder);
    remove(shard);
    cr_assert_eq(mkfifo(shard, 0600), 0);
    cr_expect(strstr(refused(folder).message, "not a regular file"));
    cr_assert_eq(mkfifo(one, 0600), 0);
    cr_expect(strstr(refused(folder).message, "not a regular file"));
    free(shard);
    free(one);
    folder_remove(folder);
}

Test(checkpoint, every_truncated_shard_is_refused)
{
    char *folder = sharded(good_index), *path = qw_format("%s/" B, folder);
    struct stat info;
    cr_assert_eq(stat(path, &info), 0);
    for (off_t size = info.st_size - 1; size >= 0; size--) {
        cr_assert_eq(truncate(path, size), 0);
        cr_expect(strstr(refused(folder).file, B));
    }
    free(path);
    folder_remove(folder);
}

/* ---- what stands in place of safetensors ---- */

Test(checkpoint, pickles_are_refused_with_the_way_to_convert_them)
{
    static const struct {
        const char *file, *refused, *advice;
    } rows[] = {{"pytorch_model.bin", "pytorch_model.bin", "safe_serialization=True"},
                {"pytorch_model.bin.index.json", "pytorch_model.bin", "safe_serialization=True"},
                {"adapter_model.bin", "adapter_model.bin", "weights_only=True"}};
    for (int i = 0; i < 3; i++) {
        char *folder = folder_make();
        folder_put(folder, rows[i].file, "x");
        struct qw_error error = refused(folder);
        cr_expect(strstr(error.file, rows[i].refused) && strstr(error.message, "pickle") && strstr(error.hint, rows[i].advice),
                  "%s: %s", error.file, error.hint);
        cr_expect(error.hint[strlen(error.hint) - 1] == '"', "the command is complete");
        folder_remove(folder);
    }
}

Test(checkpoint, an_empty_folder_says_what_is_missing)
{
    char *folder = folder_make();
    struct qw_error error = refused(folder);
    cr_expect(strstr(error.file, "model.safetensors") && strstr(error.message, INDEX), "%s", error.message);
    struct qw_tensors six = six_tensors();
    folder_put_tensors(folder, "model.safetensors", &six, is_none, QW_F32, "F32");
    struct qw_tensors set = read_all(folder, NULL);
    cr_expect_eq(set.count, 0);
    qw_tensors_clear(&six);
    folder_remove(folder);
}
