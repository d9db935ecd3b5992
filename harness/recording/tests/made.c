/* Invariant: every call of libhdf5 that makes a file is checked, so that a test never judges a file it did not mean. */
#include "harness/recording/tests/made.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reference/base/file.h"

static char folder[64];

/* ---- the folder ---- */

void made_begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/qconform-made-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* The files lie flat in it. */
void made_end(void)
{
    char path[512];
    DIR *open_folder = opendir(folder);
    for (struct dirent *entry; open_folder && (entry = readdir(open_folder));) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            remove(path);
    }
    if (open_folder)
        closedir(open_folder);
    rmdir(folder);
}

const char *made_path(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", folder, name);
    return out;
}

const char *made_copy(char out[256], const char *shipped)
{
    char from[256], *bytes = NULL;
    size_t size = 0;
    struct qw_error error = {0};
    snprintf(from, sizeof from, "fixtures/recordings/%s", shipped);
    cr_assert(qw_file_read(&bytes, &size, from, (size_t)1 << 30, &error), "%s: %s", from, error.message);
    cr_assert(qw_file_write(made_path(out, shipped), bytes, size, &error), "%s", error.message);
    free(bytes);
    return out;
}

/* ---- attributes ---- */

static void sound(int64_t identifier_or_status, const char *what)
{
    cr_assert_geq(identifier_or_status, 0, "libhdf5 failed: %s", what);
}

void made_drop(hid_t file, const char *object, const char *name)
{
    if (H5Aexists_by_name(file, object, name, H5P_DEFAULT) > 0)
        sound(H5Adelete_by_name(file, object, name, H5P_DEFAULT), name);
}

static void attribute(hid_t file, const char *object, const char *name, hid_t type, hid_t space, hid_t memory, const void *data)
{
    made_drop(file, object, name);
    hid_t made = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    sound(made, name);
    if (data)
        sound(H5Awrite(made, memory, data), name);
    H5Aclose(made);
    H5Sclose(space);
}

void made_text(hid_t file, const char *object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    attribute(file, object, name, type, H5Screate(H5S_SCALAR), type, &text);
    H5Tclose(type);
}

void made_int(hid_t file, const char *object, const char *name, int64_t number)
{
    attribute(file, object, name, H5T_STD_I64LE, H5Screate(H5S_SCALAR), H5T_NATIVE_INT64, &number);
}

void made_real(hid_t file, const char *object, const char *name, double number)
{
    attribute(file, object, name, H5T_IEEE_F64LE, H5Screate(H5S_SCALAR), H5T_NATIVE_DOUBLE, &number);
}

void made_ints(hid_t file, const char *object, const char *name, int count, const int64_t *numbers)
{
    hsize_t extent = (hsize_t)count;
    attribute(file, object, name, H5T_STD_I64LE, H5Screate_simple(1, &extent, NULL), H5T_NATIVE_INT64, count ? numbers : NULL);
}

/* ---- datasets ---- */

void made_delete(hid_t file, const char *path) { sound(H5Ldelete(file, path, H5P_DEFAULT), path); }

static hid_t linked(void)
{
    hid_t list = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(list, 1);
    return list;
}

void made_group(hid_t file, const char *path)
{
    hid_t list = linked(), group = H5Gcreate2(file, path, list, H5P_DEFAULT, H5P_DEFAULT);
    sound(group, path);
    H5Gclose(group);
    H5Pclose(list);
}

static bool exists(hid_t file, const char *path)
{
    H5O_info_t info;
    return H5Oget_info_by_name(file, path, &info, H5P_DEFAULT) >= 0;
}

static void dataset(hid_t file, const char *path, hid_t type, hid_t space, hid_t properties, hid_t memory, const void *data)
{
    if (exists(file, path))
        made_delete(file, path);
    hid_t list = linked(), made = H5Dcreate2(file, path, type, space, list, properties, H5P_DEFAULT);
    sound(made, path);
    if (data)
        sound(H5Dwrite(made, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), path);
    sound(H5Dclose(made), path);
    H5Pclose(list);
    H5Sclose(space);
}

void made_stored(hid_t file, const char *path, hid_t type, hid_t list, const char *dtype, int rank, const int64_t *dims,
                 hid_t memory, const void *data)
{
    hsize_t extents[H5S_MAX_RANK];
    for (int i = 0; i < rank; i++)
        extents[i] = (hsize_t)dims[i];
    hid_t space = rank ? H5Screate_simple(rank, extents, NULL) : H5Screate(H5S_SCALAR);
    sound(space, path);
    dataset(file, path, type, space, list, memory, data);
    made_ints(file, path, "shape", rank, dims);
    made_text(file, path, "dtype", dtype);
}

void made_floats(hid_t file, const char *path, int rank, const int64_t *dims, const float *data)
{
    made_stored(file, path, H5T_IEEE_F32LE, H5P_DEFAULT, "float32", rank, dims, H5T_NATIVE_FLOAT, data);
}

void made_whole(hid_t file, const char *path, int rank, const int64_t *dims, const int64_t *data)
{
    made_stored(file, path, H5T_STD_I64LE, H5P_DEFAULT, "int64", rank, dims, H5T_NATIVE_INT64, data);
}

void made_null(hid_t file, const char *path, const char *dtype, int rank, const int64_t *dims)
{
    dataset(file, path, H5T_IEEE_F32LE, H5Screate(H5S_NULL), H5P_DEFAULT, 0, NULL);
    made_ints(file, path, "shape", rank, dims);
    made_text(file, path, "dtype", dtype);
}

hid_t made_half_type(int mantissa, int exponent)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    sound(H5Tset_fields(type, 15, (size_t)mantissa, (size_t)exponent, 0, (size_t)mantissa), "fields");
    sound(H5Tset_size(type, 2), "size");
    sound(H5Tset_ebias(type, exponent == 8 ? 127 : 15), "bias");
    return type;
}

/* ---- the sound recording ---- */

static void make_head(hid_t file)
{
    made_text(file, "/", "format", "qconform-recording");
    made_int(file, "/", "version", 1);
    made_text(file, "/", "producer", "made by a test");
    made_text(file, "/", "created", "2026-01-01T00:00:00Z");
    made_text(file, "/", "level", "modules");
    made_group(file, "/environment");
    made_text(file, "/environment", "transformers", "4.44.2");
    made_text(file, "/environment", "peft", "0.13.2");
    made_group(file, "/model");
    made_text(file, "/model", "config", "{\"model_type\": \"qwen2\"}");
    made_text(file, "/model", "class", "Qwen2ForCausalLM");
    made_text(file, "/model", "dtype", "float32");
    made_floats(file, "/model/weights/model.norm.weight", 1, (int64_t[]){3}, (float[]){1, -2, 0.5F});
    made_group(file, "/adapter");
    made_text(file, "/adapter", "peft_type", "PROMPT_TUNING");
    made_text(file, "/adapter", "config", "{\"num_virtual_tokens\": 2}");
    made_floats(file, "/adapter/weights/prompt_embeddings", 2, (int64_t[]){2, 3}, (float[]){1, 2, 3, 4, 5, 6});
    made_floats(file, "/adapter/prompt", 3, (int64_t[]){1, 2, 3}, (float[]){1, 2, 3, 4, 5, 6});
}

static void make_call(hid_t file)
{
    made_group(file, "/call");
    made_text(file, "/call", "kind", "generate");
    made_text(file, "/call", "outcome", "ok");
    made_text(file, "/call", "kwargs", "{\"max_new_tokens\": 1}");
    made_int(file, "/call", "use_cache", 1);
    made_whole(file, MADE_IDS, 2, (int64_t[]){1, 2}, (int64_t[]){4, 5});
    made_whole(file, "/call/attention_mask", 2, (int64_t[]){1, 2}, (int64_t[]){1, 1});
    made_whole(file, "/call/output_ids", 2, (int64_t[]){1, 3}, (int64_t[]){4, 5, 6});
}

static void make_step(hid_t file)
{
    made_group(file, "/steps/000000");
    made_int(file, "/steps/000000", "raised", 0);
    made_whole(file, "/steps/000000/received/input_ids", 2, (int64_t[]){1, 2}, (int64_t[]){4, 5});
    made_group(file, "/steps/000000/cache_before");
    made_text(file, "/steps/000000/cache_before", "type", "NoneType");
    made_int(file, "/steps/000000/cache_before", "length", 0);
    made_group(file, "/steps/000000/cache_after");
    made_text(file, "/steps/000000/cache_after", "type", "DynamicCache");
    made_int(file, "/steps/000000/cache_after", "length", 2);
    made_int(file, "/steps/000000/cache_after", "layers", 1);
    made_text(file, "/steps/000000/cache_after", "layout", "BKSD");
    made_floats(file, MADE_KEY, 4, (int64_t[]){1, 1, 2, 2}, (float[]){1, 2, 3, 4});
    made_floats(file, "/steps/000000/cache_after/000/value", 4, (int64_t[]){1, 1, 2, 2}, (float[]){5, 6, 7, 8});
    made_floats(file, MADE_TAP, 3, (int64_t[]){1, 2, 3}, (float[]){0.5F, -1, 2, 3, -4, 0.25F});
    made_int(file, MADE_TAP, "order", 7);
}

hid_t made_recording(const char *path) { return made_recording_as(path, H5P_DEFAULT, H5P_DEFAULT); }

hid_t made_recording_as(const char *path, hid_t creation, hid_t access)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    sound(file, path);
    make_head(file);
    make_call(file);
    make_step(file);
    return file;
}

hid_t made_open(const char *path)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    sound(file, path);
    return file;
}

/* ---- reading it ---- */

struct open_identifiers {
    hsize_t lists, types, spaces;
};

static struct open_identifiers open_identifiers(void)
{
    struct open_identifiers open;
    H5Inmembers(H5I_GENPROP_LST, &open.lists);
    H5Inmembers(H5I_DATATYPE, &open.types);
    H5Inmembers(H5I_DATASPACE, &open.spaces);
    return open;
}

/* What belongs to a file is asserted where the file is closed; here is what belongs to none. */
static bool read_without_leak(struct qc_recording *recording, const char *path, const struct qc_limits *limits,
                              struct qw_error *error)
{
    struct open_identifiers before = open_identifiers();
    bool ok = qc_recording_read_within(recording, path, limits, error);
    struct open_identifiers after = open_identifiers();
    cr_expect(before.lists == after.lists && before.types == after.types && before.spaces == after.spaces,
              "identifiers are left open: %lld property lists, %lld types, %lld dataspaces",
              (long long)(after.lists - before.lists), (long long)(after.types - before.types),
              (long long)(after.spaces - before.spaces));
    return ok;
}

void made_refused_within(const char *path, const struct qc_limits *limits, const char *place, const char *words)
{
    struct qc_recording recording;
    struct qw_error error = {0};
    cr_assert_not(read_without_leak(&recording, path, limits, &error), "must be refused: %s", words);
    cr_expect_eq(error.kind, QW_ERROR_INPUT, "kind is %d", (int)error.kind);
    cr_expect_str_eq(error.file, path);
    cr_expect_str_eq(error.place, place, "the place is \"%s\", it should be \"%s\"", error.place, place);
    cr_expect(strstr(error.message, words) != NULL, "the reason is \"%s\", it should say \"%s\"", error.message, words);
    cr_expect(error.hint[0], "nothing says what to do: %s", error.message);
    cr_expect_eq(recording.steps, 0, "a refused recording must be empty");
    cr_expect_null(recording.model_class);
}

void made_refused(const char *path, int64_t budget, const char *place, const char *words)
{
    struct qc_limits limits = qc_limits_of(budget);
    made_refused_within(path, &limits, place, words);
}

void made_spoiled(void (*spoil)(hid_t file), const char *place, const char *words)
{
    char path[256];
    hid_t file = made_recording(made_path(path, "spoiled.h5"));
    spoil(file);
    sound(H5Fclose(file), path);
    made_refused(path, MADE_BUDGET, place, words);
}

struct qc_recording made_read_within(const char *path, const struct qc_limits *limits)
{
    struct qc_recording recording;
    struct qw_error error = {0};
    cr_assert(read_without_leak(&recording, path, limits, &error), "refused: %s: %s", error.place, error.message);
    return recording;
}

struct qc_recording made_accepted(void (*change)(hid_t file))
{
    char path[256];
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    hid_t file = made_recording(made_path(path, "changed.h5"));
    change(file);
    sound(H5Fclose(file), path);
    return made_read_within(path, &limits);
}
