/* Casting: what a type holds is kept to the bit, everything else goes to the nearest, ties to even. */
#include "reference/base/cast.h"

#include <criterion/criterion.h>
#include <math.h>

/* Every value of a half survives the way through float32 and float64. */
static void expect_round_trip(enum qw_dtype half, enum qw_dtype wide, uint16_t exponent_mask)
{
    for (uint32_t bits = 0; bits < 1 << 16; bits++) {
        uint16_t in = (uint16_t)bits, out = 0;
        double between[1];
        qw_cast(between, wide, &in, half, 1);
        qw_cast(&out, half, between, wide, 1);
        bool nan = (in & exponent_mask) == exponent_mask && (in & (0x7fff & ~exponent_mask));
        cr_assert(nan ? (out & 0x7fff) > exponent_mask : out == in, "%04x became %04x", in, out);
    }
}

Test(cast, every_half_survives_being_widened)
{
    expect_round_trip(QW_F16, QW_F32, 0x7c00);
    expect_round_trip(QW_F16, QW_F64, 0x7c00);
    expect_round_trip(QW_BF16, QW_F32, 0x7f80);
    expect_round_trip(QW_BF16, QW_F64, 0x7f80);
}

Test(cast, rounds_to_nearest_and_ties_to_even)
{
    static const struct {
        enum qw_dtype to;
        float in;
        uint16_t out;
    } rows[] = {
        {QW_BF16, 0x1.01p0f, 0x3f80},
        {QW_BF16, 0x1.03p0f, 0x3f82},
        {QW_BF16, 0x1.010002p0f, 0x3f81},
        {QW_BF16, -0x1.03p0f, 0xbf82},
        {QW_BF16, 0x1.fffffep127f, 0x7f80},
        {QW_BF16, 0x1.fep127f, 0x7f7f},
        {QW_F16, 0x1.002p0f, 0x3c00},
        {QW_F16, 0x1.006p0f, 0x3c02},
        {QW_F16, 65519.0f, 0x7bff},
        {QW_F16, 65520.0f, 0x7c00},
        {QW_F16, -65520.0f, 0xfc00},
        {QW_F16, 0x1p-24f, 0x0001},
        {QW_F16, 0x1p-25f, 0x0000},
        {QW_F16, 0x1.8p-25f, 0x0001},
        {QW_F16, 0x1p-14f, 0x0400},
        {QW_F16, 0x1.ffcp-15f, 0x0400},
        {QW_F16, -0.0f, 0x8000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint16_t out = 0;
        qw_cast(&out, rows[i].to, &rows[i].in, QW_F32, 1);
        cr_expect_eq(out, rows[i].out, "%a became %04x", (double)rows[i].in, out);
    }
}

Test(cast, doubles_reach_a_half_through_float32)
{
    double in = 1 + 0x1p-8 + 0x1p-40; /* above the tie, but not in float32 */
    float single = 0;
    uint16_t out = 0;
    qw_cast(&out, QW_BF16, &in, QW_F64, 1);
    cr_expect_eq(out, 0x3f80);
    qw_cast(&single, QW_F32, &in, QW_F64, 1);
    cr_expect_eq(single, 1 + 0x1p-8f);
}

Test(cast, same_type_is_a_copy_of_the_bits)
{
    uint16_t in[3] = {0x7e01, 0x8000, 0x1234}, out[3] = {0};
    qw_cast(out, QW_F16, in, QW_F16, 3);
    cr_expect_arr_eq(in, out, sizeof in);
}
