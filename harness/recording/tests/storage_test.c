/* Files that are refused for how they store things: what is no recording at all, links, storage, filters. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/recording/tests/made.h"
#include "reference/base/file.h"

TestSuite(storage, .init = made_begin, .fini = made_end);

static const int64_t three[] = {3};

static void write_bytes(const char *path, const char *bytes, size_t size)
{
    struct qw_error error = {0};
    cr_assert(qw_file_write(path, bytes, size, &error), "%s", error.message);
}

/* ---- what is no HDF5 file ---- */

Test(storage, a_text_is_not_hdf5)
{
    char path[256];
    write_bytes(made_path(path, "a.h5"), "just a line of text, no recording\n", 34);
    made_refused(path, MADE_BUDGET, "", "not an HDF5 file");
}

Test(storage, an_empty_file_is_not_hdf5)
{
    char path[256];
    write_bytes(made_path(path, "a.h5"), "", 0);
    made_refused(path, MADE_BUDGET, "", "not an HDF5 file");
}

Test(storage, an_absent_file_is_refused)
{
    char path[256];
    made_refused(made_path(path, "nowhere.h5"), MADE_BUDGET, "", "");
}

Test(storage, a_folder_is_refused)
{
    char path[256];
    cr_assert_eq(mkdir(made_path(path, "folder.h5"), 0700), 0);
    made_refused(path, MADE_BUDGET, "", "");
}

Test(storage, a_fifo_does_not_block, .timeout = 10)
{
    char path[256];
    cr_assert_eq(mkfifo(made_path(path, "pipe.h5"), 0600), 0);
    made_refused(path, MADE_BUDGET, "", "");
}

Test(storage, an_hdf5_file_that_is_no_recording)
{
    char path[256];
    H5Fclose(H5Fcreate(made_path(path, "a.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    made_refused(path, MADE_BUDGET, "/@format", "not a recording");
}

/* Sixteenths of a shipped recording, and the lengths around its first and last bytes. */
Test(storage, truncated_at_any_length)
{
    char *bytes = NULL, path[256];
    size_t size = 0;
    struct qw_error error = {0};
    cr_assert(qw_file_read(&bytes, &size, "fixtures/recordings/qwen2-prompt-tf4.44.2-peft0.13.2.h5", (size_t)1 << 30, &error));
    size_t cut[40], cuts = 0;
    for (size_t part = 1; part < 16; part++)
        cut[cuts++] = size * part / 16;
    cut[cuts++] = 8;
    cut[cuts++] = 9;
    cut[cuts++] = 48;
    cut[cuts++] = 96;
    cut[cuts++] = 2048;
    cut[cuts++] = size - 1;
    cut[cuts++] = size - 8;
    made_path(path, "cut.h5");
    for (size_t i = 0; i < cuts; i++) {
        write_bytes(path, bytes, cut[i]);
        made_refused(path, (int64_t)1 << 30, "", "truncated");
    }
    write_bytes(path, bytes, 7);
    made_refused(path, MADE_BUDGET, "", "not an HDF5 file");
    free(bytes);
}

/* ---- links ---- */

static void add_soft_link(hid_t file) { H5Lcreate_soft(MADE_TAP, file, "/steps/000000/taps/lm_head", H5P_DEFAULT, H5P_DEFAULT); }
static void add_dangling_link(hid_t file) { H5Lcreate_soft("/nowhere", file, "/adapter/extra", H5P_DEFAULT, H5P_DEFAULT); }

static void add_external_link(hid_t file)
{
    H5Lcreate_external("/etc/passwd", "/", file, "/steps/000000/taps/lm_head", H5P_DEFAULT, H5P_DEFAULT);
}

static void add_unknown_external_link(hid_t file)
{
    H5Lcreate_external("other.h5", "/x", file, "/future", H5P_DEFAULT, H5P_DEFAULT);
}

Test(storage, soft_link) { made_spoiled(add_soft_link, "/steps/000000/taps/lm_head", "link"); }
Test(storage, dangling_soft_link) { made_spoiled(add_dangling_link, "/adapter/extra", "link"); }
Test(storage, external_link) { made_spoiled(add_external_link, "/steps/000000/taps/lm_head", "link"); }
Test(storage, external_link_where_nobody_looks) { made_spoiled(add_unknown_external_link, "/future", "link"); }

/* Not an endless walk: a group that holds itself is a group of an unknown name. */
static void add_cycle(hid_t file) { H5Lcreate_hard(file, "/adapter", file, "/adapter/again", H5P_DEFAULT, H5P_DEFAULT); }

Test(storage, a_cycle_of_hard_links_ends, .timeout = 20)
{
    struct qc_recording recording = made_accepted(add_cycle);
    cr_expect_str_eq(recording.peft_type, "PROMPT_TUNING");
    qc_recording_clear(&recording);
}

/* One dataset under two names is two tensors. */
static void add_hard_link(hid_t file)
{
    H5Lcreate_hard(file, MADE_TAP, file, "/steps/000000/taps/other", H5P_DEFAULT, H5P_DEFAULT);
}

Test(storage, a_hard_link_is_read)
{
    struct qc_recording recording = made_accepted(add_hard_link);
    cr_expect_eq(recording.step[0].taps, 2);
    cr_expect_not_null(qc_step_tap(&recording.step[0], "other"));
    qc_recording_clear(&recording);
}

/* ---- storage ---- */

static void store_externally(hid_t file)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(list, "/etc/passwd", 0, 12);
    made_stored(file, "/model/weights/model.norm.weight", H5T_IEEE_F32LE, list, "float32", 1, three, 0, NULL);
    H5Pclose(list);
}

static void store_virtually(hid_t file)
{
    hsize_t extent = 3;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &extent, NULL);
    H5Pset_virtual(list, space, "/etc/hostname", "/x", space);
    made_stored(file, "/model/weights/model.norm.weight", H5T_IEEE_F32LE, list, "float32", 1, three, 0, NULL);
    H5Sclose(space);
    H5Pclose(list);
}

Test(storage, external_storage) { made_spoiled(store_externally, "/model/weights/model.norm.weight", "external storage"); }
Test(storage, virtual_dataset) { made_spoiled(store_virtually, "/model/weights/model.norm.weight", "virtual storage"); }

static hid_t chunked(int64_t extent)
{
    hsize_t chunk = (hsize_t)extent;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &chunk);
    return list;
}

static void store(hid_t file, hid_t list)
{
    made_stored(file, "/model/weights/model.norm.weight", H5T_IEEE_F32LE, list, "float32", 1, three, H5T_NATIVE_FLOAT,
                (float[]){1, -2, 0.5F});
    H5Pclose(list);
}

static void filter_scale_offset(hid_t file)
{
    hid_t list = chunked(3);
    H5Pset_scaleoffset(list, H5Z_SO_FLOAT_DSCALE, 2);
    store(file, list);
}

static void filter_nbit(hid_t file)
{
    hid_t list = chunked(3);
    H5Pset_nbit(list);
    store(file, list);
}

/* An optional filter of a number that nobody has: libhdf5 writes without it, the pipeline still names it. */
static void filter_unheard_of(hid_t file)
{
    hid_t list = chunked(3);
    H5Pset_filter(list, 32999, H5Z_FLAG_OPTIONAL, 0, NULL);
    store(file, list);
}

static void filter_behind_a_good_one(hid_t file)
{
    hid_t list = chunked(3);
    H5Pset_deflate(list, 1);
    H5Pset_scaleoffset(list, H5Z_SO_FLOAT_DSCALE, 2);
    store(file, list);
}

#define WITH_FILTER "stored with a filter that is not read"
Test(storage, filter_scale_offset) { made_spoiled(filter_scale_offset, "/model/weights/model.norm.weight", WITH_FILTER); }
Test(storage, filter_nbit) { made_spoiled(filter_nbit, "/model/weights/model.norm.weight", WITH_FILTER); }
Test(storage, filter_unheard_of) { made_spoiled(filter_unheard_of, "/model/weights/model.norm.weight", WITH_FILTER); }
Test(storage, filter_behind_a_good_one)
{
    made_spoiled(filter_behind_a_good_one, "/model/weights/model.norm.weight", WITH_FILTER);
}

static void filter_allowed(hid_t file)
{
    hid_t list = chunked(2);
    H5Pset_shuffle(list);
    H5Pset_deflate(list, 6);
    H5Pset_fletcher32(list);
    store(file, list);
}

static void store_compactly(hid_t file)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(list, H5D_COMPACT);
    store(file, list);
}

static void expect_norm(struct qc_recording *recording)
{
    const struct qw_tensor *norm = qw_tensors_find(&recording->model_weights.embedded, "model.norm.weight");
    cr_assert_not_null(norm);
    cr_expect_eq(qw_tensor_at(norm, 0), 1);
    cr_expect_eq(qw_tensor_at(norm, 1), -2);
    cr_expect_eq(qw_tensor_at(norm, 2), 0.5);
    qc_recording_clear(recording);
}

Test(storage, the_three_filters_are_read)
{
    struct qc_recording recording = made_accepted(filter_allowed);
    expect_norm(&recording);
}

Test(storage, compact_data_are_read)
{
    struct qc_recording recording = made_accepted(store_compactly);
    expect_norm(&recording);
}

/* Byte order of the checksum: a flipped bit inside a chunk must not come back as a number. */
Test(storage, a_broken_checksum_is_refused)
{
    char path[256], *bytes = NULL;
    size_t size = 0;
    struct qw_error error = {0};
    float marks[3] = {1.75F, 1.75F, 1.75F};
    hid_t file = made_recording(made_path(path, "flipped.h5")), list = chunked(3);
    H5Pset_fletcher32(list);
    made_stored(file, "/model/weights/model.norm.weight", H5T_IEEE_F32LE, list, "float32", 1, three, H5T_NATIVE_FLOAT, marks);
    H5Pclose(list);
    H5Fclose(file);
    cr_assert(qw_file_read(&bytes, &size, path, (size_t)1 << 24, &error));
    char *found = memmem(bytes, size, marks, sizeof marks);
    cr_assert_not_null(found);
    found[4] ^= 1;
    write_bytes(path, bytes, size);
    free(bytes);
    made_refused(path, MADE_BUDGET, "/model/weights/model.norm.weight", "its data cannot be read");
}

/* Three elements in a chunk of 256 MiB: reading them would take the whole chunk into memory. */
static void chunk_beyond_the_budget(hid_t file)
{
    hsize_t extent = 3, most = H5S_UNLIMITED;
    hid_t list = chunked((int64_t)1 << 26), space = H5Screate_simple(1, &extent, &most);
    made_delete(file, "/model/weights/model.norm.weight");
    H5Pset_deflate(list, 1);
    hid_t made = H5Dcreate2(file, "/model/weights/model.norm.weight", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    cr_assert_geq(made, 0);
    H5Dclose(made);
    H5Sclose(space);
    H5Pclose(list);
    made_ints(file, "/model/weights/model.norm.weight", "shape", 1, three);
    made_text(file, "/model/weights/model.norm.weight", "dtype", "float32");
}

Test(storage, chunk_beyond_the_budget) { made_spoiled(chunk_beyond_the_budget, "/model/weights/model.norm.weight", "budget"); }
