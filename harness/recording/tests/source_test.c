/* The file itself: what is no file, what is cut off, too new, being written, locked, replaced, written to. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "harness/recording/hdf5.h"
#include "harness/recording/tests/made.h"
#include "reference/base/file.h"

TestSuite(source, .init = made_begin, .fini = made_end);

static char *bytes_of(size_t *size, const char *path)
{
    char *bytes = NULL;
    struct qw_error error = {0};
    cr_assert(qw_file_read(&bytes, size, path, (size_t)1 << 24, &error), "%s", error.message);
    return bytes;
}

static void write_bytes(const char *path, const char *bytes, size_t size)
{
    struct qw_error error = {0};
    cr_assert(qw_file_write(path, bytes, size, &error), "%s", error.message);
}

/* ---- what does not open ---- */

Test(source, what_is_no_regular_file, .timeout = 10)
{
    made_refused("/dev/zero", MADE_BUDGET, "", "not a regular file");
    made_refused("/tmp", MADE_BUDGET, "", "not a regular file");
    made_refused("/nowhere/a.h5", MADE_BUDGET, "", "No such file");
}

Test(source, an_empty_file_is_called_empty)
{
    char path[256];
    write_bytes(made_path(path, "a.h5"), "", 0);
    made_refused(path, MADE_BUDGET, "", "an empty file");
}

static void cut(hid_t creation, hid_t access)
{
    char path[256], words[64];
    size_t size;
    H5Fclose(made_recording_as(made_path(path, "a.h5"), creation, access));
    char *bytes = bytes_of(&size, path);
    write_bytes(path, bytes, size - 1);
    snprintf(words, sizeof words, "truncated: %zu bytes of %zu", size - 1, size);
    made_refused(path, MADE_BUDGET, "", words);
    write_bytes(path, bytes, size);
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    struct qc_recording recording = made_read_within(path, &limits);
    qc_recording_clear(&recording);
    free(bytes);
}

Test(source, a_truncated_file_says_how_much_is_there) { cut(H5P_DEFAULT, H5P_DEFAULT); }

Test(source, so_does_one_with_a_newer_superblock)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    cut(H5P_DEFAULT, access);
}

/* The superblock may begin behind a block that is the user's. */
Test(source, so_does_one_behind_a_user_block)
{
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(creation, 2048);
    cut(creation, H5P_DEFAULT);
}

static void with_byte(size_t at, char value, const char *words)
{
    char path[256];
    size_t size;
    H5Fclose(made_recording(made_path(path, "a.h5")));
    char *bytes = bytes_of(&size, path);
    bytes[at] = value;
    write_bytes(path, bytes, size);
    free(bytes);
    made_refused(path, MADE_BUDGET, "", words);
}

Test(source, a_superblock_of_tomorrow) { with_byte(8, 4, "newer than 1.10"); }
Test(source, a_damaged_superblock) { with_byte(13, 3, "damaged"); }

/* What a writer that goes on, or was killed, leaves behind. */
Test(source, a_file_that_is_being_written)
{
    char path[256], copy[256];
    size_t size;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Fclose(made_recording_as(made_path(path, "a.h5"), H5P_DEFAULT, access));
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, access);
    cr_assert_geq(file, 0);
    char *bytes = bytes_of(&size, path);
    write_bytes(made_path(copy, "copy.h5"), bytes, size);
    free(bytes);
    made_refused(copy, MADE_BUDGET, "", "still marked as being written");
    H5Fclose(file);
}

/* ---- what changes ---- */

Test(source, a_lock_of_another_process_stops_no_reader)
{
    char path[256];
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    unsetenv("HDF5_USE_FILE_LOCKING");
    H5Fclose(made_recording(made_path(path, "a.h5")));
    int held = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(flock(held, LOCK_EX | LOCK_NB), 0);
    struct qc_recording recording = made_read_within(path, &limits);
    qc_recording_clear(&recording);
    close(held);
}

struct opened {
    char path[256];
    struct qw_input source;
    struct qc_hdf5 file;
    struct qw_error error;
};

static bool open_source(struct opened *opened)
{
    *opened = (struct opened){0};
    H5Fclose(made_recording(made_path(opened->path, "a.h5")));
    usleep(20000); /* a coarse clock must not give the next write the same time */
    return qw_input_open(&opened->source, opened->path, &opened->error);
}

static bool open_library(struct opened *opened)
{
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    return qc_hdf5_open(&opened->file, &opened->source, &limits, &opened->error);
}

static void expect_change(struct opened *opened)
{
    cr_expect_not(qw_input_unchanged(&opened->source, &opened->error));
    cr_expect_str_eq(opened->error.message, "was changed while it was read");
    qc_hdf5_close(&opened->file);
    qw_input_close(&opened->source);
}

Test(source, a_file_that_stays_is_unchanged)
{
    struct opened opened;
    cr_assert(open_source(&opened) && open_library(&opened));
    cr_expect(qw_input_unchanged(&opened.source, &opened.error));
    qc_hdf5_close(&opened.file);
    qw_input_close(&opened.source);
}

Test(source, a_byte_that_was_overwritten)
{
    struct opened opened;
    cr_assert(open_source(&opened) && open_library(&opened));
    int other = open(opened.path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(other, "x", 1, 1000), 1);
    close(other);
    expect_change(&opened);
}

Test(source, a_file_that_was_cut_off)
{
    struct opened opened;
    cr_assert(open_source(&opened) && open_library(&opened));
    cr_assert_eq(truncate(opened.path, 1000), 0);
    expect_change(&opened);
}

/* The digest must not be of one file and the numbers of another. */
Test(source, a_file_that_was_replaced)
{
    char other[256];
    struct opened opened;
    cr_assert(open_source(&opened));
    H5Fclose(made_recording(made_path(other, "b.h5")));
    cr_assert_eq(rename(other, opened.path), 0);
    cr_expect_not(open_library(&opened));
    cr_expect_str_eq(opened.error.message, "was changed while it was read");
    qw_input_close(&opened.source);
}

Test(source, the_digest_is_that_of_the_bytes)
{
    char path[256], digest[QW_SHA256_HEX];
    size_t size;
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    H5Fclose(made_recording(made_path(path, "a.h5")));
    char *bytes = bytes_of(&size, path);
    qw_sha256(digest, bytes, size);
    free(bytes);
    struct qc_recording recording = made_read_within(path, &limits);
    cr_expect_str_eq(recording.sha256, digest);
    cr_expect_eq(recording.bytes, (int64_t)size);
    qc_recording_clear(&recording);
}
