/* Recordings that keep a part of a tensor: the end of a cache ("from"), some rows of a tap ("rows"), statistics alone. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "harness/recording/tests/made.h"
#include "reference/base/memory.h"

TestSuite(parts, .init = made_begin, .fini = made_end);

#define AFTER_1   "/steps/000001/cache_after/000/key"
#define BEFORE_1  "/steps/000001/cache_before/000/key"
#define DIGEST    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NO_DIGEST "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- the end of a cache ---- */

/* A second step whose key appends `rows` positions to the two of the first, of two heads and two columns. */
static void append(hid_t file, const char *path, int64_t from, int64_t rows, const float *data)
{
    made_floats(file, path, 4, (int64_t[]){1, 2, rows, 2}, data);
    made_ints(file, path, "shape", 4, (int64_t[]){1, 2, from + rows, 2});
    made_int(file, path, "from", from);
}

static void two_heads(hid_t file)
{
    made_floats(file, MADE_KEY, 4, (int64_t[]){1, 2, 2, 2}, (float[]){1, 2, 3, 4, 5, 6, 7, 8});
    H5Ocopy(file, "/steps/000000", file, "/steps/000001", H5P_DEFAULT, H5P_DEFAULT);
}

static void expect_key(const struct qw_tensor *key, int64_t rows, const float *values)
{
    cr_assert_not_null(key);
    cr_assert_eq(key->shape.rank, 4);
    cr_expect_eq(key->shape.dim[2], rows, "%lld rows", (long long)key->shape.dim[2]);
    for (int64_t i = 0; i < qw_shape_count(&key->shape); i++)
        cr_expect_eq(qw_tensor_at(key, i), (double)values[i], "element %lld is %g", (long long)i, qw_tensor_at(key, i));
}

static const float joined[] = {1, 2, 3, 4, 9, 10, 5, 6, 7, 8, 11, 12};

/* cache_before of the second step is a None: what was not kept is what the first step handed out. */
static void append_to_the_step_before(hid_t file)
{
    two_heads(file);
    append(file, AFTER_1, 2, 1, (float[]){9, 10, 11, 12});
}

Test(parts, a_kept_end_is_joined_to_the_step_before)
{
    struct qc_recording recording = made_accepted(append_to_the_step_before);
    expect_key(recording.step[1].after.layer[0].key, 3, joined);
    cr_expect_eq(recording.step[1].after.layer[0].key_from, 2);
    cr_expect_eq(recording.step[1].after.layer[0].value_from, 0);
    cr_expect_eq(recording.step[0].after.layer[0].key_from, 0);
    qc_recording_clear(&recording);
}

/* Nothing was appended before the step: the extent of what was kept is 0.  The end is then joined to cache_before. */
static void append_to_a_chain(hid_t file)
{
    two_heads(file);
    made_text(file, "/steps/000001/cache_before", "layout", "BKSD");
    append(file, BEFORE_1, 2, 0, NULL);
    append(file, AFTER_1, 2, 1, (float[]){9, 10, 11, 12});
}

Test(parts, an_end_of_no_positions_is_the_whole_step_before)
{
    struct qc_recording recording = made_accepted(append_to_a_chain);
    expect_key(recording.step[1].before.layer[0].key, 2, (float[]){1, 2, 3, 4, 5, 6, 7, 8});
    expect_key(recording.step[1].after.layer[0].key, 3, joined);
    cr_expect_eq(recording.step[1].before.layer[0].key_from, 2);
    qc_recording_clear(&recording);
}

/* The cache that a step was handed is nearer than the one that the step before handed out. */
static void append_to_another_cache(hid_t file)
{
    two_heads(file);
    made_floats(file, BEFORE_1, 4, (int64_t[]){1, 2, 2, 2}, (float[]){-1, -2, -3, -4, -5, -6, -7, -8});
    append(file, AFTER_1, 1, 1, (float[]){9, 10, 11, 12});
}

Test(parts, the_cache_handed_in_comes_first_and_may_be_cut)
{
    struct qc_recording recording = made_accepted(append_to_another_cache);
    expect_key(recording.step[1].after.layer[0].key, 2, (float[]){-1, -2, 9, 10, -5, -6, 11, 12});
    qc_recording_clear(&recording);
}

static void three_steps(hid_t file)
{
    append_to_a_chain(file);
    H5Ocopy(file, "/steps/000001", file, "/steps/000002", H5P_DEFAULT, H5P_DEFAULT);
    append(file, "/steps/000002/cache_before/000/key", 3, 0, NULL);
    append(file, "/steps/000002/cache_after/000/key", 3, 1, (float[]){13, 14, 15, 16});
}

Test(parts, ends_are_joined_over_several_steps)
{
    struct qc_recording recording = made_accepted(three_steps);
    expect_key(recording.step[2].after.layer[0].key, 4, (float[]){1, 2, 3, 4, 9, 10, 13, 14, 5, 6, 7, 8, 11, 12, 15, 16});
    qc_recording_clear(&recording);
}

/* Qwen v1 keeps the sequence on axis 1. */
static void sequence_on_axis_one(hid_t file)
{
    made_text(file, "/steps/000000/cache_after", "layout", "BSKD");
    made_floats(file, MADE_KEY, 4, (int64_t[]){1, 2, 1, 2}, (float[]){1, 2, 3, 4});
    H5Ocopy(file, "/steps/000000", file, "/steps/000001", H5P_DEFAULT, H5P_DEFAULT);
    made_floats(file, AFTER_1, 4, (int64_t[]){1, 1, 1, 2}, (float[]){9, 10});
    made_ints(file, AFTER_1, "shape", 4, (int64_t[]){1, 3, 1, 2});
    made_int(file, AFTER_1, "from", 2);
}

Test(parts, the_layout_says_which_axis_is_the_sequence)
{
    struct qc_recording recording = made_accepted(sequence_on_axis_one);
    const struct qw_tensor *key = recording.step[1].after.layer[0].key;
    const double values[] = {1, 2, 3, 4, 9, 10};
    cr_assert_eq(key->shape.dim[1], 3);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(qw_tensor_at(key, i), values[i]);
    qc_recording_clear(&recording);
}

static void everything_from_zero(hid_t file) { made_int(file, MADE_KEY, "from", 0); }

Test(parts, an_end_that_begins_at_zero_is_everything)
{
    struct qc_recording recording = made_accepted(everything_from_zero);
    cr_expect_eq(qw_tensor_at(recording.step[0].after.layer[0].key, 3), 4);
    cr_expect_eq(recording.step[0].after.layer[0].key_from, 0);
    qc_recording_clear(&recording);
}

/* Structure alone: nothing is joined, and nothing before is needed. */
static void structure_from(hid_t file)
{
    made_null(file, MADE_KEY, "float32", 4, (int64_t[]){1, 1, 5, 2});
    made_int(file, MADE_KEY, "from", 3);
}

Test(parts, structure_has_no_kept_end)
{
    struct qc_recording recording = made_accepted(structure_from);
    cr_expect_eq(recording.step[0].after.layer[0].key->shape.dim[2], 5);
    cr_expect_null(recording.step[0].after.layer[0].key->data);
    cr_expect_eq(recording.step[0].after.layer[0].key_from, 0);
    qc_recording_clear(&recording);
}

static void first_step_from(hid_t file)
{
    made_ints(file, MADE_KEY, "shape", 4, (int64_t[]){1, 1, 5, 2});
    made_int(file, MADE_KEY, "from", 3);
}

static void from_beyond_what_was_held(hid_t file)
{
    two_heads(file);
    append(file, AFTER_1, 3, 1, (float[]){9, 10, 11, 12});
}

static void from_of_another_type(hid_t file)
{
    two_heads(file);
    made_stored(file, AFTER_1, H5T_IEEE_F64LE, H5P_DEFAULT, "float64", 4, (int64_t[]){1, 2, 1, 2}, H5T_NATIVE_DOUBLE,
                (double[]){9, 10, 11, 12});
    made_ints(file, AFTER_1, "shape", 4, (int64_t[]){1, 2, 3, 2});
    made_int(file, AFTER_1, "from", 2);
}

static void from_of_other_extents(hid_t file)
{
    two_heads(file);
    made_floats(file, AFTER_1, 4, (int64_t[]){1, 1, 1, 2}, (float[]){9, 10});
    made_ints(file, AFTER_1, "shape", 4, (int64_t[]){1, 1, 3, 2});
    made_int(file, AFTER_1, "from", 2);
}

static void from_of_another_rank(hid_t file)
{
    two_heads(file);
    made_floats(file, AFTER_1, 3, (int64_t[]){1, 2, 1}, (float[]){9, 10});
    made_ints(file, AFTER_1, "shape", 3, (int64_t[]){1, 2, 3});
    made_int(file, AFTER_1, "from", 2);
}

static void from_before_structure(hid_t file)
{
    append_to_the_step_before(file);
    made_null(file, MADE_KEY, "float32", 4, (int64_t[]){1, 2, 2, 2});
}

static void from_contradicts_shape(hid_t file)
{
    append_to_the_step_before(file);
    made_ints(file, AFTER_1, "shape", 4, (int64_t[]){1, 2, 4, 2});
}

static void from_beyond_shape(hid_t file)
{
    append_to_the_step_before(file);
    made_int(file, AFTER_1, "from", 4);
}

static void from_below_zero(hid_t file) { made_int(file, MADE_KEY, "from", -1); }
static void from_as_text(hid_t file) { made_text(file, MADE_KEY, "from", "0"); }
static void from_as_list(hid_t file) { made_ints(file, MADE_KEY, "from", 2, (int64_t[]){0, 0}); }
static void from_at_a_tap(hid_t file) { made_int(file, MADE_TAP, "from", 0); }
static void from_at_an_input(hid_t file) { made_int(file, "/steps/000000/received/input_ids", "from", 0); }
static void from_at_a_weight(hid_t file) { made_int(file, "/model/weights/model.norm.weight", "from", 0); }

static void from_without_an_axis(hid_t file)
{
    made_floats(file, MADE_KEY, 2, (int64_t[]){1, 2}, (float[]){1, 2});
    made_int(file, MADE_KEY, "from", 0);
}

Test(parts, from_in_the_first_step) { made_spoiled(first_step_from, MADE_KEY, "no step before holds"); }
Test(parts, from_beyond_what_was_held) { made_spoiled(from_beyond_what_was_held, AFTER_1, "holds fewer positions"); }
Test(parts, from_of_another_type) { made_spoiled(from_of_another_type, AFTER_1, "another element type"); }
Test(parts, from_of_other_extents) { made_spoiled(from_of_other_extents, AFTER_1, "other extents"); }
Test(parts, from_of_another_rank) { made_spoiled(from_of_another_rank, AFTER_1, "another rank"); }
Test(parts, from_after_structure) { made_spoiled(from_before_structure, AFTER_1, "no step before holds"); }
Test(parts, from_contradicts_shape) { made_spoiled(from_contradicts_shape, AFTER_1, "extents of the data and \"from\""); }
Test(parts, from_beyond_shape) { made_spoiled(from_beyond_shape, AFTER_1, "outside of the tensor's shape"); }
Test(parts, from_below_zero) { made_spoiled(from_below_zero, MADE_KEY, "outside of the tensor's shape"); }
Test(parts, from_as_text) { made_spoiled(from_as_text, MADE_KEY "@from", "not one whole number"); }
Test(parts, from_as_list) { made_spoiled(from_as_list, MADE_KEY "@from", "not one whole number"); }
Test(parts, from_at_a_tap) { made_spoiled(from_at_a_tap, MADE_TAP, "only keys and values"); }
Test(parts, from_at_an_input) { made_spoiled(from_at_an_input, "/steps/000000/received/input_ids", "only keys and values"); }
Test(parts, from_at_a_weight) { made_spoiled(from_at_a_weight, "/model/weights/model.norm.weight", "only keys and values"); }
Test(parts, from_without_an_axis) { made_spoiled(from_without_an_axis, MADE_KEY, "needs a sequence axis"); }

/* The joined tensors count against the budget: a chain of kept ends grows with the square of the steps. */
Test(parts, joined_ends_take_of_the_budget)
{
    char path[256];
    struct qc_recording recording;
    struct qw_error error = {0};
    int64_t head = 3 * 4 + 2 * 6 * 4 + 7 * 8, first = 2 * 8 + 8 * 4 + 4 * 4 + 6 * 4;
    int64_t second = 2 * 8 + 4 * 4 + 12 * 4 + 4 * 4 + 6 * 4;
    hid_t file = made_recording(made_path(path, "a.h5"));
    append_to_the_step_before(file);
    H5Fclose(file);
    cr_assert(qc_recording_read(&recording, path, head + first + second, &error), "%s: %s", error.place, error.message);
    qc_recording_clear(&recording);
    made_refused(path, head + first + 2 * 8 + 4 * 4 + 12 * 4 - 1, AFTER_1, "budget");
}

/* ---- rows of a tap ---- */

static void rows(hid_t file, int count, const int64_t *row)
{
    made_ints(file, MADE_TAP, "shape", 3, (int64_t[]){1, 9, 3});
    made_ints(file, MADE_TAP, "rows", count, row);
}

static void keep_rows(hid_t file) { rows(file, 2, (int64_t[]){4, 8}); }

Test(parts, kept_rows_stand_beside_the_whole_shape)
{
    struct qc_recording recording = made_accepted(keep_rows);
    const struct qc_tap *tap = qc_step_tap(&recording.step[0], "model.norm");
    cr_assert_eq(tap->rows, 2);
    cr_expect(tap->row[0] == 4 && tap->row[1] == 8);
    cr_expect_eq(tap->whole.dim[1], 9);
    cr_expect_eq(tap->tensor->shape.dim[1], 2);
    cr_expect_eq(qw_tensor_at(tap->tensor, 3), 3);
    qc_recording_clear(&recording);
}

static void keep_no_row(hid_t file)
{
    made_floats(file, MADE_TAP, 3, (int64_t[]){1, 0, 3}, NULL);
    made_ints(file, MADE_TAP, "shape", 3, (int64_t[]){1, 9, 3});
    made_ints(file, MADE_TAP, "rows", 0, NULL);
}

Test(parts, no_row_may_be_kept)
{
    struct qc_recording recording = made_accepted(keep_no_row);
    const struct qc_tap *tap = qc_step_tap(&recording.step[0], "model.norm");
    cr_expect_not_null(tap->row, "no row is another thing than every row");
    cr_expect_eq(tap->rows, 0);
    cr_expect_eq(tap->tensor->shape.dim[1], 0);
    qc_recording_clear(&recording);
}

static void structure_of_rows(hid_t file)
{
    made_null(file, MADE_TAP, "float32", 3, (int64_t[]){1, 9, 3});
    made_ints(file, MADE_TAP, "rows", 1, (int64_t[]){8});
}

Test(parts, structure_has_no_kept_rows)
{
    struct qc_recording recording = made_accepted(structure_of_rows);
    const struct qc_tap *tap = qc_step_tap(&recording.step[0], "model.norm");
    cr_expect_null(tap->row);
    cr_expect_eq(tap->rows, 0);
    cr_expect_eq(tap->tensor->shape.dim[1], 9);
    qc_recording_clear(&recording);
}

static void rows_descend(hid_t file) { rows(file, 2, (int64_t[]){8, 7}); }
static void rows_repeat(hid_t file) { rows(file, 2, (int64_t[]){8, 8}); }
static void rows_below_zero(hid_t file) { rows(file, 2, (int64_t[]){-1, 8}); }
static void rows_beyond_shape(hid_t file) { rows(file, 2, (int64_t[]){8, 9}); }
static void too_many_rows(hid_t file) { rows(file, 10, (int64_t[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9}); }
static void one_row_too_few(hid_t file) { rows(file, 1, (int64_t[]){8}); }
static void rows_as_text(hid_t file) { made_text(file, MADE_TAP, "rows", "7, 8"); }
static void rows_as_reals(hid_t file) { made_real(file, MADE_TAP, "rows", 7); }
static void rows_of_a_vector(hid_t file)
{
    made_floats(file, MADE_TAP, 1, (int64_t[]){2}, (float[]){1, 2});
    made_ints(file, MADE_TAP, "rows", 2, (int64_t[]){0, 1});
}
static void rows_of_a_cache(hid_t file) { made_ints(file, MADE_KEY, "rows", 1, (int64_t[]){0}); }
static void rows_of_an_input(hid_t file) { made_ints(file, "/steps/000000/received/input_ids", "rows", 2, (int64_t[]){0, 1}); }
static void rows_of_the_prompt(hid_t file) { made_ints(file, "/adapter/prompt", "rows", 2, (int64_t[]){0, 1}); }

Test(parts, rows_descend) { made_spoiled(rows_descend, MADE_TAP, "does not ascend"); }
Test(parts, rows_repeat) { made_spoiled(rows_repeat, MADE_TAP, "does not ascend"); }
Test(parts, rows_below_zero) { made_spoiled(rows_below_zero, MADE_TAP, "does not ascend"); }
Test(parts, rows_beyond_shape) { made_spoiled(rows_beyond_shape, MADE_TAP, "does not ascend"); }
Test(parts, more_rows_than_the_tensor_has) { made_spoiled(too_many_rows, MADE_TAP "@rows", "not a list of at most 9"); }
Test(parts, rows_contradict_the_data) { made_spoiled(one_row_too_few, MADE_TAP, "extents of the data and \"rows\""); }
Test(parts, rows_as_text) { made_spoiled(rows_as_text, MADE_TAP "@rows", "whole numbers"); }
Test(parts, rows_as_reals) { made_spoiled(rows_as_reals, MADE_TAP "@rows", "whole numbers"); }
Test(parts, rows_of_a_vector) { made_spoiled(rows_of_a_vector, MADE_TAP, "needs a tensor with an axis 1"); }
Test(parts, rows_of_a_cache) { made_spoiled(rows_of_a_cache, MADE_KEY, "only taps"); }
Test(parts, rows_of_an_input) { made_spoiled(rows_of_an_input, "/steps/000000/received/input_ids", "only taps"); }
Test(parts, rows_of_the_prompt) { made_spoiled(rows_of_the_prompt, "/adapter/prompt", "only taps"); }

/* ---- calls and outputs of one module ---- */

static void call_again(hid_t file)
{
    made_floats(file, MADE_TAP "#12", 1, (int64_t[]){1}, (float[]){12});
    made_int(file, MADE_TAP "#12", "order", 12);
    made_floats(file, MADE_TAP "@1", 1, (int64_t[]){1}, (float[]){41});
}

Test(parts, later_calls_and_outputs_stand_beside_the_first)
{
    struct qc_recording recording = made_accepted(call_again);
    const struct qc_step *step = &recording.step[0];
    cr_assert_eq(step->taps, 3);
    cr_expect_eq(qc_step_tap(step, "model.norm")->order, 7);
    cr_expect_eq(qc_step_tap(step, "model.norm#12")->order, 12);
    cr_expect_eq(qw_tensor_at(qc_step_tap(step, "model.norm#12")->tensor, 0), 12);
    cr_expect_eq(qw_tensor_at(qc_step_tap(step, "model.norm@1")->tensor, 0), 41);
    qc_recording_clear(&recording);
}

static void only_a_later_call(hid_t file)
{
    call_again(file);
    made_delete(file, MADE_TAP);
}

Test(parts, a_later_call_does_not_stand_for_the_first)
{
    struct qc_recording recording = made_accepted(only_a_later_call);
    cr_expect_null(qc_step_tap(&recording.step[0], "model.norm"));
    qc_recording_clear(&recording);
}

/* ---- statistics ---- */

static void state(hid_t file, const char *path)
{
    made_real(file, path, "min", -2.5);
    made_real(file, path, "max", 4);
    made_real(file, path, "mean", 0.125);
    made_real(file, path, "rms", 1.5);
    made_int(file, path, "nan", 1);
    made_int(file, path, "inf", 2);
    made_int(file, path, "zero", 3);
    made_text(file, path, "sha256", DIGEST);
}

static void statistics(hid_t file)
{
    made_text(file, "/", "level", "stats");
    made_null(file, MADE_TAP, "bfloat16", 3, (int64_t[]){1, 2, 3});
    state(file, MADE_TAP);
    made_null(file, MADE_KEY, "float32", 4, (int64_t[]){1, 1, 2, 2});
}

Test(parts, statistics_are_read)
{
    struct qc_recording recording = made_accepted(statistics);
    const struct qw_tensor *tap = qc_step_tap(&recording.step[0], "model.norm")->tensor;
    cr_expect_eq(recording.level, QC_LEVEL_STATS);
    cr_expect_null(tap->data);
    cr_assert_not_null(tap->stats);
    cr_expect(tap->stats->min == -2.5 && tap->stats->max == 4 && tap->stats->mean == 0.125 && tap->stats->rms == 1.5);
    cr_expect(tap->stats->nan == 1 && tap->stats->inf == 2 && tap->stats->zero == 3);
    cr_expect_str_eq(tap->stats->sha256, DIGEST);
    qc_recording_clear(&recording);
}

Test(parts, a_tensor_without_statistics_is_structure)
{
    struct qc_recording recording = made_accepted(statistics);
    cr_expect_null(recording.step[0].after.layer[0].key->stats);
    cr_expect_null(recording.step[0].after.layer[0].key->data);
    cr_expect_not_null(recording.step[0].after.layer[0].value->data, "what the level does not promise is read all the same");
    qc_recording_clear(&recording);
}

/* Without a finite element there is no extreme. */
static void nothing_finite(hid_t file)
{
    statistics(file);
    made_real(file, MADE_TAP, "min", NAN);
    made_real(file, MADE_TAP, "max", NAN);
    made_real(file, MADE_TAP, "mean", NAN);
    made_real(file, MADE_TAP, "rms", NAN);
    made_int(file, MADE_TAP, "nan", 4);
    made_int(file, MADE_TAP, "zero", 0);
    made_drop(file, MADE_TAP, "sha256");
}

Test(parts, statistics_of_nothing_finite_are_read)
{
    struct qc_recording recording = made_accepted(nothing_finite);
    const struct qw_stats *stats = qc_step_tap(&recording.step[0], "model.norm")->tensor->stats;
    cr_assert_not_null(stats);
    cr_expect(isnan(stats->min) && isnan(stats->rms) && stats->nan == 4);
    cr_expect_str_eq(stats->sha256, "");
    qc_recording_clear(&recording);
}

#define SPOILED_STATISTIC(what, change, name, words)                                                                             \
    static void statistic_##what(hid_t file)                                                                                     \
    {                                                                                                                            \
        statistics(file);                                                                                                        \
        change;                                                                                                                  \
    }                                                                                                                            \
    Test(parts, statistic_##what) { made_spoiled(statistic_##what, MADE_TAP "@" name, words); }

SPOILED_STATISTIC(min_is_missing, made_drop(file, MADE_TAP, "min"), "min", "required")
SPOILED_STATISTIC(rms_is_missing, made_drop(file, MADE_TAP, "rms"), "rms", "required")
SPOILED_STATISTIC(zero_is_missing, made_drop(file, MADE_TAP, "zero"), "zero", "required")
SPOILED_STATISTIC(mean_is_text, made_text(file, MADE_TAP, "mean", "0.125"), "mean", "not one real number")
SPOILED_STATISTIC(max_is_whole, made_int(file, MADE_TAP, "max", 4), "max", "not one real number")
SPOILED_STATISTIC(nan_is_real, made_real(file, MADE_TAP, "nan", 1), "nan", "not one whole number")
SPOILED_STATISTIC(inf_is_infinite, made_real(file, MADE_TAP, "inf", INFINITY), "inf", "not one whole number")
SPOILED_STATISTIC(zero_is_a_list, made_ints(file, MADE_TAP, "zero", 2, (int64_t[]){1, 2}), "zero", "not one whole number")
SPOILED_STATISTIC(count_is_negative, made_int(file, MADE_TAP, "inf", -1), "inf", "not negative")
SPOILED_STATISTIC(count_is_too_large, made_int(file, MADE_TAP, "nan", 7), "nan", "more elements are counted")
SPOILED_STATISTIC(counts_are_too_many, made_int(file, MADE_TAP, "zero", 4), "zero", "more elements are counted")
SPOILED_STATISTIC(min_is_above_max, made_real(file, MADE_TAP, "min", 4.5), "min", "minimum")
SPOILED_STATISTIC(min_is_nan, made_real(file, MADE_TAP, "min", NAN), "min", "minimum")
SPOILED_STATISTIC(rms_is_negative, made_real(file, MADE_TAP, "rms", -1), "rms", "root mean square")
SPOILED_STATISTIC(mean_is_nan, made_real(file, MADE_TAP, "mean", NAN), "mean", "finite elements have a mean")
SPOILED_STATISTIC(digest_is_short, made_text(file, MADE_TAP, "sha256", "0123"), "sha256", "64 hex digits")
SPOILED_STATISTIC(digest_is_no_hex, made_text(file, MADE_TAP, "sha256", NO_DIGEST), "sha256", "64 hex digits")

/* Where data and digest are both there, they must agree. */
static void state_digest(hid_t file, char first)
{
    float six[] = {0.5F, -1, 2, 3, -4, 0.25F};
    char digest[QW_SHA256_HEX];
    qw_sha256(digest, six, sizeof six);
    digest[0] = first ? first : digest[0];
    made_text(file, MADE_TAP, "sha256", digest);
}

static void right_digest(hid_t file) { state_digest(file, 0); }
static void wrong_digest(hid_t file) { state_digest(file, 'x'); }
static void other_digest(hid_t file) { made_text(file, MADE_TAP, "sha256", DIGEST); }

Test(parts, data_agree_with_their_digest)
{
    struct qc_recording recording = made_accepted(right_digest);
    qc_recording_clear(&recording);
}

Test(parts, data_contradict_their_digest) { made_spoiled(other_digest, MADE_TAP, "not those of its sha256"); }
Test(parts, a_digest_that_is_none) { made_spoiled(wrong_digest, MADE_TAP "@sha256", "64 hex digits"); }
