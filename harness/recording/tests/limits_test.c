/* Each limit of limits.def at its bound: what is just allowed is read, one more is refused by name. */
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "harness/recording/tests/made.h"

TestSuite(limits, .init = made_begin, .fini = made_end);

#define DEEPEST "/steps/000000/cache_after/000/value"
#define TENSORS (3 * 4 + 2 * 6 * 4 + 7 * 8 + 2 * 8 + 2 * 4 * 4 + 6 * 4)

/* In the sound recording. */
static const struct {
    const char *name;
    size_t field;
    int64_t enough;
    const char *place, *words;
} bounds[] = {
    {"depth", offsetof(struct qc_limits, depth), 5, "/steps/000000/cache_after/000/key", "deeper groups"},
    {"path", offsetof(struct qc_limits, path), sizeof DEEPEST - 2, DEEPEST, "longer path"},
    {"text", offsetof(struct qc_limits, text), 25, "/adapter@config", "longer text"},
    {"attributes", offsetof(struct qc_limits, attributes), 2, "/environment", "more attributes"},
    {"steps", offsetof(struct qc_limits, steps), 1, "/steps", "more steps"},
    {"taps", offsetof(struct qc_limits, taps), 1, "/steps/000000/taps", "more taps"},
    {"data", offsetof(struct qc_limits, data), TENSORS, MADE_TAP, "budget"},
};

Test(limits, each_at_its_bound)
{
    char path[256];
    H5Fclose(made_recording(made_path(path, "a.h5")));
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct qc_limits limits = qc_limits_of(MADE_BUDGET);
        int64_t *limit = (int64_t *)((char *)&limits + bounds[i].field);
        *limit = bounds[i].enough;
        struct qc_recording recording = made_read_within(path, &limits);
        qc_recording_clear(&recording);
        *limit = bounds[i].enough - 1;
        made_refused_within(path, &limits, bounds[i].place, bounds[i].words);
    }
}

static herr_t count_link(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group, (void)name, (void)info;
    ++*(int64_t *)user;
    return 0;
}

Test(limits, links)
{
    char path[256];
    int64_t links = 0;
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    hid_t file = made_recording(made_path(path, "a.h5"));
    H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, count_link, &links);
    H5Fclose(file);
    limits.links = links;
    struct qc_recording recording = made_read_within(path, &limits);
    qc_recording_clear(&recording);
    limits.links = links - 1;
    made_refused_within(path, &limits, MADE_TAP, "more objects");
}

/* Every read of a text counts: many attributes may lead to one stored text. */
Test(limits, texts_in_all)
{
    char path[256];
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    struct qc_recording recording;
    struct qw_error error = {0};
    H5Fclose(made_recording(made_path(path, "a.h5")));
    for (limits.texts = 200; limits.texts < 2000; limits.texts++) {
        error = (struct qw_error){0};
        if (qc_recording_read_within(&recording, path, &limits, &error))
            break;
        cr_assert(strstr(error.message, "more text in all") != NULL, "%s", error.message);
    }
    cr_assert_lt(limits.texts, 2000);
    qc_recording_clear(&recording);
    limits.texts--;
    made_refused_within(path, &limits, MADE_TAP "@dtype", "more text in all");
}

Test(limits, kept_rows)
{
    char path[256];
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    hid_t file = made_recording(made_path(path, "a.h5"));
    made_ints(file, MADE_TAP, "rows", 2, (int64_t[]){0, 1});
    H5Fclose(file);
    limits.rows = 2;
    struct qc_recording recording = made_read_within(path, &limits);
    qc_recording_clear(&recording);
    limits.rows = 1;
    made_refused_within(path, &limits, MADE_TAP "@rows", "at most 1");
}

/* What comes out of the file is bounded by the size of the file. */
Test(limits, unpacked_bytes)
{
    char path[256];
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    H5Fclose(made_recording(made_path(path, "a.h5")));
    limits.unpacked_times = 0;
    limits.unpacked_least = TENSORS;
    struct qc_recording recording = made_read_within(path, &limits);
    qc_recording_clear(&recording);
    limits.unpacked_least = TENSORS - 1;
    made_refused_within(path, &limits, MADE_TAP, "unpacks to more");
    limits.unpacked_times = 1;
    limits.unpacked_least = 0;
    recording = made_read_within(path, &limits);
    qc_recording_clear(&recording);
}

/* ---- bombs ---- */

/* `elements` floats in chunks of 1 MiB, packed by deflate; `written` of the chunks are there, of zeros. */
static void pack(hid_t file, int64_t elements, int written, int deflates)
{
    static const float zeros[1 << 18];
    hsize_t extent = (hsize_t)elements, chunk = 1 << 18;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &extent, NULL);
    H5Pset_chunk(list, 1, &chunk);
    for (int i = 0; i < deflates; i++)
        H5Pset_deflate(list, 9);
    made_delete(file, MADE_TAP);
    hid_t made = H5Dcreate2(file, MADE_TAP, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    for (int i = 0; i < written; i++) {
        hsize_t start = (hsize_t)i << 18;
        hid_t memory = H5Screate_simple(1, &chunk, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &chunk, NULL);
        cr_assert_geq(H5Dwrite(made, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, zeros), 0);
        H5Sclose(memory);
    }
    H5Dclose(made);
    H5Sclose(space);
    H5Pclose(list);
    made_ints(file, MADE_TAP, "shape", 1, &elements);
    made_text(file, MADE_TAP, "dtype", "float32");
}

static void defused(int64_t elements, int written, int deflates, int64_t budget, const char *words)
{
    char path[256];
    struct rusage before, after;
    hid_t file = made_recording(made_path(path, "bomb.h5"));
    pack(file, elements, written, deflates);
    H5Fclose(file);
    getrusage(RUSAGE_SELF, &before);
    made_refused(path, budget, MADE_TAP, words);
    getrusage(RUSAGE_SELF, &after);
    long more = after.ru_maxrss - before.ru_maxrss;
    cr_expect_lt(more, 100 << 10, "%ld KiB more were in memory", more);
}

Test(limits, a_claim_of_256_gigabytes) { defused((int64_t)1 << 36, 0, 1, (int64_t)16 << 30, "budget"); }
Test(limits, zeros_packed_a_thousand_times) { defused((int64_t)280 << 18, 280, 1, (int64_t)16 << 30, "unpacks to more"); }
Test(limits, packed_twice) { defused((int64_t)4 << 18, 4, 2, (int64_t)16 << 30, "the same filter twice"); }
Test(limits, chunks_that_nobody_wrote) { defused((int64_t)4 << 18, 3, 1, (int64_t)16 << 30, "never wholly written"); }

static void declare(hid_t file)
{
    made_stored(file, MADE_TAP, H5T_IEEE_F32LE, H5P_DEFAULT, "float32", 1, (int64_t[]){3}, 0, NULL);
}

Test(limits, elements_that_nobody_wrote) { made_spoiled(declare, MADE_TAP, "never wholly written"); }

/* ---- many and deep ---- */

static void many_links(hid_t file)
{
    char name[32];
    hid_t group = H5Gcreate2(file, "/future", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    for (int i = 0; i < 50000; i++) {
        snprintf(name, sizeof name, "%d", i);
        H5Lcreate_hard(file, MADE_TAP, group, name, H5P_DEFAULT, H5P_DEFAULT);
    }
    H5Gclose(group);
}

Test(limits, many_unknown_links_are_walked, .timeout = 60)
{
    struct qc_recording recording = made_accepted(many_links);
    qc_recording_clear(&recording);
}

static void deep_groups(hid_t file)
{
    hid_t group = H5Gcreate2(file, "/future", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    for (int i = 0; i < 3000; i++) {
        hid_t inner = H5Gcreate2(group, "a", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Gclose(group);
        group = inner;
    }
    H5Gclose(group);
}

Test(limits, deep_groups)
{
    made_spoiled(deep_groups, "/future/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", "deeper groups");
}
