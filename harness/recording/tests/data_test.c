/* Datasets: element types, shapes, budgets; what is refused, and that what is read comes back as it was written. */
#include <criterion/criterion.h>
#include <math.h>

#include "harness/recording/tests/made.h"
#include "reference/base/memory.h"

TestSuite(data, .init = made_begin, .fini = made_end);

static const int64_t ids_shape[] = {1, 2}, tap_shape[] = {1, 2, 3};
static const float six[6];

/* ---- attributes that every dataset has ---- */

static void drop_shape(hid_t file) { made_drop(file, MADE_TAP, "shape"); }
static void drop_dtype(hid_t file) { made_drop(file, MADE_TAP, "dtype"); }
static void drop_dtype_of_ids(hid_t file) { made_drop(file, MADE_IDS, "dtype"); }
static void contradict_dtype(hid_t file) { made_text(file, MADE_TAP, "dtype", "bfloat16"); }
static void contradict_extent(hid_t file) { made_ints(file, MADE_TAP, "shape", 3, (int64_t[]){1, 3, 2}); }
static void contradict_rank(hid_t file) { made_ints(file, MADE_TAP, "shape", 2, (int64_t[]){2, 3}); }
static void shape_as_text(hid_t file) { made_text(file, MADE_TAP, "shape", "[1, 2, 3]"); }
static void negative_extent(hid_t file) { made_ints(file, MADE_TAP, "shape", 3, (int64_t[]){1, -2, -3}); }
static void dtype_as_number(hid_t file) { made_int(file, MADE_TAP, "dtype", 32); }

Test(data, without_shape) { made_spoiled(drop_shape, MADE_TAP "@shape", "required"); }
Test(data, without_dtype) { made_spoiled(drop_dtype, MADE_TAP "@dtype", "required"); }
Test(data, ids_without_dtype) { made_spoiled(drop_dtype_of_ids, MADE_IDS "@dtype", "required"); }
Test(data, dtype_contradicts_the_data) { made_spoiled(contradict_dtype, MADE_TAP, "\"dtype\" contradicts"); }
Test(data, shape_contradicts_the_extents) { made_spoiled(contradict_extent, MADE_TAP, "\"shape\" contradicts"); }
Test(data, shape_contradicts_the_rank) { made_spoiled(contradict_rank, MADE_TAP, "\"shape\" contradicts"); }
Test(data, shape_as_text) { made_spoiled(shape_as_text, MADE_TAP "@shape", "not a list of at most 8"); }
Test(data, negative_extents) { made_spoiled(negative_extent, MADE_TAP, "\"shape\" has extents beyond"); }
Test(data, dtype_as_number) { made_spoiled(dtype_as_number, MADE_TAP "@dtype", "not a readable text"); }

/* ---- element types that are not part of the format ---- */

static const int64_t two_ids[] = {4, 5};

static void ids_as(hid_t file, hid_t type, const char *dtype)
{
    made_stored(file, MADE_IDS, type, H5P_DEFAULT, dtype, 2, ids_shape, H5T_NATIVE_INT64, two_ids);
}

static void narrow_ids(hid_t file) { ids_as(file, H5T_STD_I32LE, "int64"); }
static void narrow_ids_that_say_so(hid_t file) { ids_as(file, H5T_STD_I32LE, "int32"); }
static void unsigned_ids(hid_t file) { ids_as(file, H5T_STD_U64LE, "int64"); }
static void big_endian_ids(hid_t file) { ids_as(file, H5T_STD_I64BE, "int64"); }

static void tap_as(hid_t file, hid_t type, const char *dtype)
{
    made_stored(file, MADE_TAP, type, H5P_DEFAULT, dtype, 3, tap_shape, H5T_NATIVE_FLOAT, six);
}

static void big_endian_tap(hid_t file) { tap_as(file, H5T_IEEE_F32BE, "float32"); }

/* Sixteen bits, but split 8 + 7 as nobody does. */
static void odd_half(hid_t file)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 8, 7, 0, 8);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 63);
    tap_as(file, type, "float16");
    H5Tclose(type);
}

static void text_data(hid_t file)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 4);
    made_stored(file, MADE_TAP, type, H5P_DEFAULT, "float32", 3, tap_shape, 0, NULL);
    H5Tclose(type);
}

static void compound_data(hid_t file)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, 4);
    H5Tinsert(type, "x", 0, H5T_IEEE_F32LE);
    made_stored(file, MADE_TAP, type, H5P_DEFAULT, "float32", 3, tap_shape, 0, NULL);
    H5Tclose(type);
}

static void list_data(hid_t file)
{
    hid_t type = H5Tvlen_create(H5T_IEEE_F32LE);
    made_stored(file, MADE_TAP, type, H5P_DEFAULT, "float32", 3, tap_shape, 0, NULL);
    H5Tclose(type);
}

#define OTHER_TYPE "an element type that is not part of the format"
Test(data, int32) { made_spoiled(narrow_ids, MADE_IDS, OTHER_TYPE); }
Test(data, int32_that_says_so) { made_spoiled(narrow_ids_that_say_so, MADE_IDS, OTHER_TYPE); }
Test(data, unsigned_integers) { made_spoiled(unsigned_ids, MADE_IDS, OTHER_TYPE); }
Test(data, big_endian_integers) { made_spoiled(big_endian_ids, MADE_IDS, OTHER_TYPE); }
Test(data, big_endian_floats) { made_spoiled(big_endian_tap, MADE_TAP, OTHER_TYPE); }
Test(data, another_split_of_sixteen_bits) { made_spoiled(odd_half, MADE_TAP, OTHER_TYPE); }
Test(data, texts_as_data) { made_spoiled(text_data, MADE_TAP, OTHER_TYPE); }
Test(data, compounds) { made_spoiled(compound_data, MADE_TAP, OTHER_TYPE); }
Test(data, lists_of_variable_length) { made_spoiled(list_data, MADE_TAP, OTHER_TYPE); }

/* ---- rank and extents ---- */

static const int64_t ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};

static void nine_axes(hid_t file) { made_floats(file, MADE_TAP, 9, ones, six); }

static void nine_axes_declared_as_eight(hid_t file)
{
    made_floats(file, MADE_TAP, 9, ones, six);
    made_ints(file, MADE_TAP, "shape", 8, ones);
}

/* A contiguous dataset that is declared and never written takes no room in the file. */
static void claim(hid_t file, int rank, const int64_t *dims)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, rank, (hsize_t[]){1, 1, 1, 1, 1, 1, 1, 1});
    made_stored(file, MADE_TAP, H5T_IEEE_F32LE, list, "float32", rank, dims, 0, NULL);
    H5Pclose(list);
}

static void just_beyond_the_budget(hid_t file) { claim(file, 1, (int64_t[]){MADE_BUDGET / 4 + 1}); }
static void thousand_gigabytes(hid_t file) { claim(file, 2, (int64_t[]){1 << 20, 1 << 20}); }
static void product_overflows(hid_t file) { claim(file, 3, (int64_t[]){1 << 30, 1 << 30, 1 << 30}); }
static void product_wraps_to_zero(hid_t file) { claim(file, 2, (int64_t[]){(int64_t)1 << 32, (int64_t)1 << 32}); }
static void extent_beyond_reason(hid_t file) { claim(file, 1, (int64_t[]){(int64_t)1 << 41}); }

Test(data, nine_axes) { made_spoiled(nine_axes, MADE_TAP "@shape", "at most 8"); }
Test(data, nine_axes_declared_as_eight) { made_spoiled(nine_axes_declared_as_eight, MADE_TAP, "eight axes"); }
Test(data, just_beyond_the_budget) { made_spoiled(just_beyond_the_budget, MADE_TAP, "budget"); }
Test(data, thousand_gigabytes) { made_spoiled(thousand_gigabytes, MADE_TAP, "budget"); }
Test(data, product_overflows) { made_spoiled(product_overflows, MADE_TAP, "extents"); }
Test(data, product_wraps_to_zero) { made_spoiled(product_wraps_to_zero, MADE_TAP, "extents"); }
Test(data, extent_beyond_reason) { made_spoiled(extent_beyond_reason, MADE_TAP, "extents"); }

/* Structure alone takes no memory, but later products of these extents must not overflow either. */
static void structure_overflows(hid_t file)
{
    made_null(file, MADE_KEY, "float32", 4, (int64_t[]){1, 1, (int64_t)1 << 33, (int64_t)1 << 33});
}

Test(data, structure_whose_product_overflows) { made_spoiled(structure_overflows, MADE_KEY, "extents"); }

/* The budget is that of the file, not of one dataset: the sound file holds 184 bytes of numbers. */
Test(data, the_budget_is_shared)
{
    char path[256];
    struct qc_recording recording;
    struct qw_error error = {0};
    int64_t whole = 3 * 4 + 2 * 6 * 4 + (2 + 2 + 3) * 8 + 2 * 8 + 2 * 4 * 4 + 6 * 4;
    H5Fclose(made_recording(made_path(path, "a.h5")));
    cr_assert(qc_recording_read(&recording, path, whole, &error), "%s: %s", error.place, error.message);
    qc_recording_clear(&recording);
    made_refused(path, whole - 1, MADE_TAP, "budget");
}

/* ---- what is read ---- */

static hid_t half_list(void)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
    return list;
}

/* Written as bit patterns, so that no conversion stands between the test and the numbers it expects. */
static void store_bits(hid_t file, int mantissa, int exponent, const char *dtype, const uint16_t bits[6])
{
    hid_t type = made_half_type(mantissa, exponent), list = half_list();
    made_stored(file, MADE_TAP, type, list, dtype, 3, tap_shape, type, bits);
    H5Pclose(list);
    H5Tclose(type);
}

static void as_bfloat16(hid_t file)
{
    store_bits(file, 7, 8, "bfloat16", (uint16_t[]){0x3f80, 0xc040, 0x3dcd, 0x7f7f, 0x7f80, 0x8000});
}
static void as_float16(hid_t file)
{
    store_bits(file, 10, 5, "float16", (uint16_t[]){0x3c00, 0xc200, 0x2e66, 0x7bff, 0x0001, 0xfc00});
}
static void bfloat16_as_float16(hid_t file) { store_bits(file, 7, 8, "float16", (uint16_t[]){0, 0, 0, 0, 0, 0}); }

static double tap_at(const struct qc_recording *recording, int64_t index)
{
    return qw_tensor_at(qc_step_tap(&recording->step[0], "model.norm")->tensor, index);
}

Test(data, bfloat16_comes_back)
{
    struct qc_recording recording = made_accepted(as_bfloat16);
    cr_expect_eq(qc_step_tap(&recording.step[0], "model.norm")->tensor->dtype, QW_BF16);
    cr_expect_eq(tap_at(&recording, 0), 1);
    cr_expect_eq(tap_at(&recording, 1), -3);
    cr_expect_eq(tap_at(&recording, 2), 0.10009765625);
    cr_expect_eq(tap_at(&recording, 3), 255 * ldexp(1, 120));
    cr_expect(isinf(tap_at(&recording, 4)) && tap_at(&recording, 4) > 0);
    cr_expect(tap_at(&recording, 5) == 0 && signbit(tap_at(&recording, 5)));
    qc_recording_clear(&recording);
}

Test(data, float16_comes_back)
{
    struct qc_recording recording = made_accepted(as_float16);
    cr_expect_eq(qc_step_tap(&recording.step[0], "model.norm")->tensor->dtype, QW_F16);
    cr_expect_eq(tap_at(&recording, 0), 1);
    cr_expect_eq(tap_at(&recording, 1), -3);
    cr_expect_eq(tap_at(&recording, 2), 0.0999755859375);
    cr_expect_eq(tap_at(&recording, 3), 65504);
    cr_expect_eq(tap_at(&recording, 4), ldexp(1, -24));
    cr_expect(isinf(tap_at(&recording, 5)) && tap_at(&recording, 5) < 0);
    qc_recording_clear(&recording);
}

Test(data, the_two_halves_are_told_apart) { made_spoiled(bfloat16_as_float16, MADE_TAP, "\"dtype\" contradicts"); }

static void as_float64(hid_t file)
{
    const double values[6] = {0.1, -1e300, 3, 4, 5, NAN};
    made_stored(file, MADE_TAP, H5T_IEEE_F64LE, H5P_DEFAULT, "float64", 3, tap_shape, H5T_NATIVE_DOUBLE, values);
}

Test(data, float64_comes_back)
{
    struct qc_recording recording = made_accepted(as_float64);
    cr_expect_eq(tap_at(&recording, 0), 0.1);
    cr_expect_eq(tap_at(&recording, 1), -1e300);
    cr_expect(isnan(tap_at(&recording, 5)));
    qc_recording_clear(&recording);
}

static void as_scalar(hid_t file) { made_floats(file, MADE_TAP, 0, NULL, (float[]){2.5F}); }

Test(data, a_scalar_has_rank_zero)
{
    struct qc_recording recording = made_accepted(as_scalar);
    cr_expect_eq(qc_step_tap(&recording.step[0], "model.norm")->tensor->shape.rank, 0);
    cr_expect_eq(tap_at(&recording, 0), 2.5);
    qc_recording_clear(&recording);
}

static void without_rows(hid_t file) { made_floats(file, MADE_KEY, 4, (int64_t[]){1, 1, 0, 2}, NULL); }

Test(data, an_extent_of_zero_is_read)
{
    struct qc_recording recording = made_accepted(without_rows);
    cr_expect_eq(recording.step[0].after.layer[0].key->shape.dim[2], 0);
    qc_recording_clear(&recording);
}

/* Level "shapes": structure without data. */
static void as_structure(hid_t file)
{
    made_text(file, "/", "level", "shapes");
    made_null(file, MADE_TAP, "bfloat16", 3, tap_shape);
    made_null(file, MADE_KEY, "float32", 4, (int64_t[]){1, 1, 2, 2});
}

Test(data, structure_without_data)
{
    struct qc_recording recording = made_accepted(as_structure);
    const struct qw_tensor *tap = qc_step_tap(&recording.step[0], "model.norm")->tensor;
    cr_expect_eq(recording.level, QC_LEVEL_SHAPES);
    cr_expect_null(tap->data);
    cr_expect_eq(tap->dtype, QW_BF16);
    cr_expect_eq(tap->shape.rank, 3);
    cr_expect_eq(tap->shape.dim[1], 2);
    cr_expect_eq(tap->shape.dim[2], 3);
    cr_expect_null(recording.step[0].after.layer[0].key->data);
    cr_expect_not_null(recording.step[0].after.layer[0].value->data);
    qc_recording_clear(&recording);
}

static void structure_of_no_type(hid_t file) { made_null(file, MADE_TAP, "float8", 3, tap_shape); }
static void structure_without_shape(hid_t file)
{
    made_null(file, MADE_TAP, "float32", 3, tap_shape);
    made_drop(file, MADE_TAP, "shape");
}
static void structure_for_ids(hid_t file) { made_null(file, MADE_IDS, "int64", 2, ids_shape); }
static void structure_for_a_weight(hid_t file)
{
    made_null(file, "/model/weights/model.norm.weight", "float32", 1, (int64_t[]){3});
}

Test(data, structure_of_no_type) { made_spoiled(structure_of_no_type, MADE_TAP, "names no element type"); }
Test(data, structure_without_shape) { made_spoiled(structure_without_shape, MADE_TAP "@shape", "required"); }
Test(data, ids_keep_their_data_at_every_level) { made_spoiled(structure_for_ids, MADE_IDS, "with data"); }
Test(data, weights_keep_their_data) { made_spoiled(structure_for_a_weight, "/model/weights/model.norm.weight", "without data"); }
