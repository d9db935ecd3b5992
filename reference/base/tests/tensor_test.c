/* Tensors: element types widened exactly, rounding to nearest with ties to even, shapes. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/tensor.h"

/* ---- element types ---- */

Test(tensor, dtypes_have_their_names_sizes_and_roundoff)
{
    static const struct {
        enum qw_dtype dtype;
        const char *name;
        size_t bytes;
        double roundoff;
    } rows[] = {{QW_F64, "float64", 8, 0x1p-53},
                {QW_F32, "float32", 4, 0x1p-24},
                {QW_F16, "float16", 2, 0x1p-11},
                {QW_BF16, "bfloat16", 2, 0x1p-8},
                {QW_I64, "int64", 8, 0}};
    cr_assert_eq(sizeof rows / sizeof *rows, QW_DTYPES);
    for (int i = 0; i < QW_DTYPES; i++) {
        enum qw_dtype by_name = QW_DTYPES;
        cr_expect_str_eq(qw_dtype_name(rows[i].dtype), rows[i].name);
        cr_expect_eq(qw_dtype_bytes(rows[i].dtype), rows[i].bytes);
        cr_expect_eq(qw_dtype_roundoff(rows[i].dtype), rows[i].roundoff);
        cr_expect(qw_dtype_from_name(&by_name, rows[i].name) && by_name == rows[i].dtype);
    }
    enum qw_dtype none;
    cr_assert_not(qw_dtype_from_name(&none, "F32"));
    cr_assert_not(qw_dtype_from_name(&none, "int32"));
}

static double widened(enum qw_dtype dtype, uint16_t bits)
{
    struct qw_tensor tensor = {dtype, qw_shape_of(1, (int64_t)1), &bits, NULL};
    return qw_tensor_at(&tensor, 0);
}

Test(tensor, bfloat16_widens)
{
    static const struct {
        uint16_t bits;
        double value;
    } rows[] = {{0x3f80, 1},
                {0xc000, -2},
                {0x3f81, 1.0078125},
                {0x0001, 0x1p-133},
                {0x007f, 0x1.fcp-127},
                {0x0080, 0x1p-126},
                {0x7f7f, 0x1.fep127},
                {0xff7f, -0x1.fep127},
                {0x0000, 0},
                {0x7f80, (double)INFINITY},
                {0xff80, -(double)INFINITY}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(widened(QW_BF16, rows[i].bits), rows[i].value, "%04x", rows[i].bits);
    cr_assert(isnan(widened(QW_BF16, 0x7fc0)) && isnan(widened(QW_BF16, 0xff81)));
    cr_assert(signbit(widened(QW_BF16, 0x8000)));
}

/* The bits of a half, moved to those of a float, are 2^112 too small: true of normal and subnormal numbers. */
static double half_by_moving_bits(uint16_t bits)
{
    uint32_t moved = (uint32_t)(bits & 0x7fff) << 13;
    float value;
    memcpy(&value, &moved, sizeof value);
    return (bits >> 15 ? -1.0 : 1.0) * (double)value * 0x1p112;
}

Test(tensor, float16_widens_every_pattern)
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        double value = widened(QW_F16, (uint16_t)bits);
        if ((bits & 0x7c00) != 0x7c00)
            cr_assert_eq(value, half_by_moving_bits((uint16_t)bits), "%04x", bits);
        else if (bits & 0x3ff)
            cr_assert(isnan(value), "%04x", bits);
        else
            cr_assert_eq(value, bits >> 15 ? -(double)INFINITY : (double)INFINITY);
        if (!isnan(value))
            cr_assert_eq(!!signbit(value), bits >> 15, "%04x", bits);
    }
    cr_assert_eq(widened(QW_F16, 0x0001), 0x1p-24);
    cr_assert_eq(widened(QW_F16, 0x7bff), 65504);
}

Test(tensor, reads_a_range_of_any_type)
{
    const float f32[] = {1.5f, -0.0f, 0x1p-149f, 3};
    const double f64[] = {0.1, -2, 1e-310, 3};
    const int64_t i64[] = {-1, 0, 1LL << 53, 7};
    const struct qw_tensor tensors[] = {{QW_F32, qw_shape_of(2, (int64_t)2, (int64_t)2), (void *)(uintptr_t)f32, NULL},
                                        {QW_F64, qw_shape_of(1, (int64_t)4), (void *)(uintptr_t)f64, NULL},
                                        {QW_I64, qw_shape_of(1, (int64_t)4), (void *)(uintptr_t)i64, NULL}};
    const double wanted[3][4] = {{1.5, -0.0, 0x1p-149, 3}, {0.1, -2, 1e-310, 3}, {-1, 0, 0x1p53, 7}};
    for (int t = 0; t < 3; t++) {
        double part[2], *all = qw_tensor_doubles(&tensors[t]);
        qw_tensor_read(part, &tensors[t], 1, 2);
        for (int i = 0; i < 4; i++) {
            cr_expect_eq(all[i], wanted[t][i]);
            cr_expect_eq(qw_tensor_at(&tensors[t], i), wanted[t][i]);
        }
        cr_expect(part[0] == wanted[t][1] && part[1] == wanted[t][2]);
        free(all);
    }
}

/* ---- rounding ---- */

/* Between two neighbours of a 16-bit type, the nearer wins, and half-way the one with the even bits. */
static void expect_nearest_between(enum qw_dtype dtype, uint16_t low_bits)
{
    double low = widened(dtype, low_bits), high = widened(dtype, (uint16_t)(low_bits + 1));
    double middle = low + (high - low) / 2;
    double even = low_bits % 2 ? high : low;
    cr_assert_eq(qw_round_to(dtype, low), low);
    cr_assert_eq(qw_round_to(dtype, middle), even, "%04x", low_bits);
    cr_assert_eq(qw_round_to(dtype, -middle), -even, "%04x", low_bits);
    cr_assert_eq(qw_round_to(dtype, nextafter(middle, low)), low, "%04x", low_bits);
    cr_assert_eq(qw_round_to(dtype, nextafter(middle, high)), high, "%04x", low_bits);
}

Test(tensor, rounds_to_every_float16)
{
    for (uint16_t bits = 0; bits < 0x7bff; bits++)
        expect_nearest_between(QW_F16, bits);
}

Test(tensor, rounds_to_every_bfloat16)
{
    for (uint16_t bits = 0; bits < 0x7f7f; bits++)
        expect_nearest_between(QW_BF16, bits);
}

Test(tensor, rounding_overflows_from_the_middle_on)
{
    static const struct {
        enum qw_dtype dtype;
        double largest, first_infinite;
    } rows[] = {{QW_F16, 65504, 65520}, {QW_BF16, 0x1.fep127, 0x1.ffp127}, {QW_F32, (double)FLT_MAX, 0x1.ffffffp127}};
    for (int i = 0; i < 3; i++) {
        double below = nextafter(rows[i].first_infinite, 0);
        cr_expect_eq(qw_round_to(rows[i].dtype, below), rows[i].largest);
        cr_expect_eq(qw_round_to(rows[i].dtype, rows[i].first_infinite), (double)INFINITY);
        cr_expect_eq(qw_round_to(rows[i].dtype, -rows[i].first_infinite), -(double)INFINITY);
        cr_expect_eq(qw_round_to(rows[i].dtype, -below), -rows[i].largest);
    }
}

Test(tensor, rounds_to_float32_with_ties_to_even)
{
    cr_assert_eq(qw_round_to(QW_F32, 1 + 0x1p-24), 1);
    cr_assert_eq(qw_round_to(QW_F32, 1 + 0x1p-24 + 0x1p-50), 1 + 0x1p-23);
    cr_assert_eq(qw_round_to(QW_F32, 1 + 0x3p-24), 1 + 0x1p-22);
    cr_assert_eq(qw_round_to(QW_F32, 0x1p-150), 0);
    cr_assert_eq(qw_round_to(QW_F32, 0x1.8p-150), 0x1p-149);
}

Test(tensor, rounding_keeps_what_is_no_ordinary_number)
{
    static const enum qw_dtype floats[] = {QW_F32, QW_F16, QW_BF16, QW_F64};
    for (int i = 0; i < 4; i++) {
        cr_expect(isnan(qw_round_to(floats[i], (double)NAN)));
        cr_expect_eq(qw_round_to(floats[i], (double)INFINITY), (double)INFINITY);
        cr_expect_eq(qw_round_to(floats[i], -(double)INFINITY), -(double)INFINITY);
        double zero = qw_round_to(floats[i], -0.0);
        cr_expect(zero == 0 && signbit(zero));
    }
    cr_assert_eq(qw_round_to(QW_F64, 0.1), 0.1);
    cr_assert_eq(qw_round_to(QW_F64, 0x1p-1074), 0x1p-1074);
}

/* ---- shapes ---- */

static void expect_text(struct qw_shape shape, const char *wanted)
{
    char text[64];
    qw_shape_text(text, sizeof text, &shape);
    cr_expect_str_eq(text, wanted);
}

Test(tensor, shapes_as_text)
{
    expect_text(qw_shape_of(0), "[]");
    expect_text(qw_shape_of(1, (int64_t)7), "[7]");
    expect_text(qw_shape_of(3, (int64_t)1, (int64_t)2, (int64_t)151936), "[1, 2, 151936]");
}

Test(tensor, shape_text_stays_within_its_buffer)
{
    struct qw_shape shape = qw_shape_of(3, (int64_t)111, (int64_t)222, (int64_t)333);
    char text[32];
    for (size_t size = 1; size < 20; size++) {
        memset(text, '#', sizeof text);
        qw_shape_text(text, size, &shape);
        cr_assert_lt(strlen(text), size);
        cr_assert_eq(strncmp("[111, 222, 333]", text, strlen(text)), 0);
        cr_assert_eq(text[size], '#');
    }
}

Test(tensor, counts_and_compares_shapes)
{
    struct qw_shape scalar = qw_shape_of(0), a = qw_shape_of(2, (int64_t)3, (int64_t)4),
                    b = qw_shape_of(2, (int64_t)4, (int64_t)3);
    struct qw_shape c = qw_shape_of(3, (int64_t)3, (int64_t)4, (int64_t)1), empty = qw_shape_of(2, (int64_t)0, (int64_t)4);
    cr_assert_eq(qw_shape_count(&scalar), 1);
    cr_assert_eq(qw_shape_count(&a), 12);
    cr_assert_eq(qw_shape_count(&empty), 0);
    cr_assert(qw_shape_equal(&a, &a) && !qw_shape_equal(&a, &b) && !qw_shape_equal(&a, &c));
}

Test(tensor, unravels_in_row_major_order)
{
    struct qw_shape shape = qw_shape_of(3, (int64_t)2, (int64_t)3, (int64_t)4);
    int64_t index = 0, at[QW_MAX_RANK];
    for (int64_t i = 0; i < 2; i++)
        for (int64_t j = 0; j < 3; j++)
            for (int64_t k = 0; k < 4; k++) {
                qw_shape_unravel(at, &shape, index++);
                cr_assert(at[0] == i && at[1] == j && at[2] == k);
            }
}

Test(tensor, made_zeroed_and_structures_have_no_data)
{
    struct qw_shape shape = qw_shape_of(2, (int64_t)5, (int64_t)7);
    struct qw_tensor *made = qw_tensor_make(QW_BF16, &shape), *structure = qw_tensor_structure(QW_F32, &shape);
    for (int64_t i = 0; i < 35; i++)
        cr_assert_eq(qw_tensor_at(made, i), 0);
    cr_assert_null(structure->data);
    cr_assert(structure->dtype == QW_F32 && qw_shape_equal(&structure->shape, &shape));
    qw_tensor_free(made);
    qw_tensor_free(structure);
    qw_tensor_free(NULL);
}
