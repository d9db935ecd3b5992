/* Arithmetics: OpenBLAS against the loops that define it, over many sizes and element types. */
#include "reference/model/arith.h"

#include <math.h>

#include "reference/model/tests/small.h"

static struct qw_tensor wrapped(const double *values, int64_t rows, int64_t cols)
{
    return (struct qw_tensor){QW_F64, qw_shape_of(2, rows, cols), (void *)(uintptr_t)values, NULL};
}

Test(arith, products_by_hand)
{
    const double x[] = {1, 2, 3, -1, 0, 4}, w[] = {1, 0, 2, 0, 1, -1};
    const struct qw_tensor linear = wrapped(w, 2, 3), values = wrapped(w, 3, 2);
    const double nt[] = {7, -1, 7, -4}, nn[] = {8, -3, 3, -4};
    const struct qw_arith *ariths[] = {&qw_f64, &qw_f32, &qw_tf32[0], &qw_tf32[1], &qw_bf16_parts, &qw_f16_parts};
    for (int a = 0; a < 6; a++) {
        double y[4];
        ariths[a]->matmul_nt(y, x, &linear, 2, 3, 2);
        for (int i = 0; i < 4; i++)
            cr_expect_eq(y[i], nt[i], "%s, nt %d", ariths[a]->name, i);
        ariths[a]->matmul_nn(y, x, &values, 2, 3, 2);
        for (int i = 0; i < 4; i++)
            cr_expect_eq(y[i], nn[i], "%s, nn %d", ariths[a]->name, i);
    }
}

/* Rounding a sum of n products of independent sign costs about 0.4 u sqrt(n) times the root of the sum of their squares,
 * whatever the order; ten times that is more than the largest of a million sums needs. */
static double rounding_bound(const double *x, const struct qw_tensor *w, int64_t first, int64_t stride, int64_t n)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++)
        squares += pow(x[i] * qw_tensor_at(w, first + i * stride), 2);
    return 4 * 0x1p-24 * sqrt((double)n) * sqrt(squares);
}

static void hold_against_definition(int64_t rows, int64_t inner, int64_t cols, bool transposed)
{
    uint64_t state = (uint64_t)(rows * 1000003 + inner * 1009 + cols);
    double *x = draw_many(&state, rows * inner), *truth = QW_NEW_ARRAY(double, rows *cols),
           *fast = QW_NEW_ARRAY(double, rows *cols);
    struct qw_tensor *w = drawn_tensor(&state, 1, 0, transposed ? qw_shape_of(2, cols, inner) : qw_shape_of(2, inner, cols));
    (transposed ? qw_f64.matmul_nt : qw_f64.matmul_nn)(truth, x, w, rows, inner, cols);
    (transposed ? qw_f32.matmul_nt : qw_f32.matmul_nn)(fast, x, w, rows, inner, cols);
    for (int64_t i = 0; i < rows * cols; i++) {
        int64_t r = i / cols, c = i % cols;
        double bound = rounding_bound(x + r * inner, w, transposed ? c * inner : c, transposed ? 1 : cols, inner);
        if (!(fabs(fast[i] - truth[i]) <= bound) || fast[i] != (double)(float)fast[i])
            cr_assert_fail("%lld x %lld x %lld %s, element %lld: %a for %a", (long long)rows, (long long)inner, (long long)cols,
                           transposed ? "nt" : "nn", (long long)i, fast[i], truth[i]);
    }
    free(x);
    free(truth);
    free(fast);
    qw_tensor_free(w);
}

static const int64_t extents[] = {1, 2, 3, 5, 8, 13, 16, 17, 31, 48, 64, 65, 101};

Test(arith, blas_follows_the_definition_for_linear_layers)
{
    for (size_t r = 0; r < COUNT(extents); r++)
        for (size_t i = 0; i < COUNT(extents); i++)
            for (size_t c = 0; c < COUNT(extents); c++)
                hold_against_definition(extents[r], extents[i], extents[c], true);
}

Test(arith, blas_follows_the_definition_for_values)
{
    for (size_t r = 0; r < COUNT(extents); r++)
        for (size_t i = 0; i < COUNT(extents); i++)
            for (size_t c = 0; c < COUNT(extents); c++)
                hold_against_definition(extents[r], extents[i], extents[c], false);
}

Test(arith, blas_follows_the_definition_for_long_sums)
{
    static const int64_t inner[] = {896, 1536, 4096, 4864, 18944};
    for (size_t i = 0; i < COUNT(inner); i++) {
        hold_against_definition(3, inner[i], 29, true);
        hold_against_definition(3, inner[i], 29, false);
    }
}

/* x w through matmul_nn is x (w^T)^T through matmul_nt. */
Test(arith, both_products_agree_over_a_transposition)
{
    enum { ROWS = 7, INNER = 11, COLS = 5 };
    uint64_t state = 5;
    double *x = draw_many(&state, ROWS * INNER), *w = draw_many(&state, INNER * COLS), turned[INNER * COLS];
    for (int i = 0; i < INNER; i++)
        for (int c = 0; c < COLS; c++)
            turned[c * INNER + i] = w[i * COLS + c];
    struct qw_tensor as_values = wrapped(w, INNER, COLS), as_weights = wrapped(turned, COLS, INNER);
    double nn[ROWS * COLS], nt[ROWS * COLS];
    qw_f64.matmul_nn(nn, x, &as_values, ROWS, INNER, COLS);
    qw_f64.matmul_nt(nt, x, &as_weights, ROWS, INNER, COLS);
    cr_assert_leq(distance(nn, nt, ROWS * COLS), INNER * 0x1p-53);
    free(x);
    free(w);
}

Test(arith, definition_keeps_what_float32_loses)
{
    const double x[] = {0x1p30, 1, -0x1p30}, ones[] = {1, 1, 1};
    struct qw_tensor w = wrapped(ones, 1, 3);
    double exact;
    qw_f64.matmul_nt(&exact, x, &w, 1, 3, 1);
    cr_assert_eq(exact, 1);
    const double fine[] = {1 + 0x1p-40};
    struct qw_tensor one = wrapped(ones, 1, 1);
    double coarse;
    qw_f32.matmul_nt(&coarse, fine, &one, 1, 1, 1);
    cr_assert_eq(coarse, 1, "a float32 play rounds its operands");
}

Test(arith, halves_are_widened_by_both)
{
    uint16_t brain[] = {0x3f80, 0xc000, 0x3fc0, 0x0000}, half[] = {0x3c00, 0xc000, 0x3e00, 0x0001};
    const struct qw_tensor w[] = {{QW_BF16, qw_shape_of(2, (int64_t)2, (int64_t)2), brain, NULL},
                                  {QW_F16, qw_shape_of(2, (int64_t)2, (int64_t)2), half, NULL}};
    const double x[] = {1, 1}, wanted[2][2] = {{-1, 1.5}, {-1, 1.5 + 0x1p-24}};
    for (int t = 0; t < 2; t++) {
        double truth[2], fast[2];
        qw_f64.matmul_nt(truth, x, &w[t], 1, 2, 2);
        qw_f32.matmul_nt(fast, x, &w[t], 1, 2, 2);
        for (int i = 0; i < 2; i++) {
            cr_expect_eq(truth[i], wanted[t][i]);
            cr_expect_eq(fast[i], (double)(float)wanted[t][i]);
        }
    }
}

/* ---- dithering: other samples of what rounding may do ---- */

Test(arith, rounding_without_dither_is_that_of_the_dtype)
{
    cr_assert(qw_f64.dither == NULL && qw_f32.dither == NULL);
    cr_assert_eq(qw_arith_round(&qw_f64, 0.1), 0.1);
    cr_assert_eq(qw_arith_round(&qw_f32, 0.1), (double)0.1f);
}

Test(arith, dither_moves_a_value_by_at_most_one_roundoff_before_it_is_rounded)
{
    enum { DRAWS = 20000 };
    uint64_t state = 9;
    struct qw_arith shaken = qw_arith_dithered(&qw_f32, qw_f32.dtype, &state);
    double sum = 0;
    int moved = 0;
    for (int i = 0; i < DRAWS; i++) {
        double value = 1 + 0.5 * (double)i / DRAWS, got = qw_arith_round(&shaken, value);
        cr_assert_eq(got, (double)(float)got);
        cr_assert_leq(fabs(got - value), value * 0x1p-24 + 0x1p-24, "half a unit in the last place more than the shake");
        moved += got != (double)(float)value;
        sum += (got - value) * 0x1p24;
    }
    cr_assert_gt(moved, DRAWS / 10);
    cr_assert_leq(fabs(sum / DRAWS), 5 / sqrt(DRAWS), "to both sides alike");
    cr_assert(qw_arith_round(&shaken, 0) == 0 && isnan(qw_arith_round(&shaken, (double)NAN)));
}

Test(arith, equal_seeds_give_equal_dither)
{
    uint64_t states[] = {5, 5, 6};
    struct qw_arith first = qw_arith_dithered(&qw_f32, qw_f32.dtype, &states[0]),
                    same = qw_arith_dithered(&qw_f32, qw_f32.dtype, &states[1]),
                    other = qw_arith_dithered(&qw_f32, qw_f32.dtype, &states[2]);
    int differences = 0;
    for (int i = 1; i < 1000; i++) {
        double value = 1 / (double)i, a = qw_arith_round(&first, value);
        cr_assert_eq(a, qw_arith_round(&same, value));
        differences += a != qw_arith_round(&other, value);
    }
    cr_assert_gt(differences, 100);
    cr_assert(states[0] == states[1] && states[0] != 5 && first.dtype == QW_F32);
}

Test(arith, is_ieee_and_says_what_it_rounds_to)
{
    cr_assert(qw_arith_is_ieee());
    cr_assert(qw_f64.dtype == QW_F64 && qw_f32.dtype == QW_F32);
}

Test(arith, blas_is_named)
{
    cr_assert_eq(strncmp(qw_blas_version(), "OpenBLAS ", 9), 0, "%s", qw_blas_version());
    cr_assert(qw_blas_version()[9] >= '0' && qw_blas_version()[9] <= '9', "%s", qw_blas_version());
    cr_assert(qw_blas_core()[0]);
    if (strcmp(qw_blas_core(), "Prescott"))
        cr_assert_null(qw_blas_core_wanted());
}

Test(arith, halves_round_to_their_dtype_what_float32_made)
{
    const struct qw_arith *const halves[] = {&qw_bf16, &qw_f16};
    const enum qw_dtype dtypes[] = {QW_BF16, QW_F16};
    for (int h = 0; h < 2; h++) {
        uint64_t state = 4;
        struct qw_arith fine = qw_arith_dithered(halves[h], QW_F32, &state), sums = qw_arith_as(&fine, fine.sums);
        cr_expect_eq(qw_arith_of(dtypes[h]), halves[h]);
        cr_expect(halves[h]->dtype == dtypes[h] && halves[h]->inner == QW_F32 && halves[h]->sums == QW_F32);
        cr_expect(fine.roundoff == 0x1p-24 && sums.roundoff == 0x1p-24 && sums.dtype == QW_F32);
        cr_expect_eq(qw_arith_settle(halves[h], 0.1), qw_round_to(dtypes[h], 0.1));
        for (int i = 0; i < 100; i++)
            cr_expect_eq(qw_arith_round(&fine, 0.1), qw_round_to(dtypes[h], 0.1), "only a tie could fall to the other side");
    }
    cr_expect_eq(qw_arith_settle(&qw_f32, 0.1), 0.1, "has been rounded before");
    cr_expect_eq(qw_arith_of(QW_F32), &qw_f32);
}

/* 1 + 3 / 2048 lies between two numbers of 10 bits: 1 + 2 / 2048, and 1 + 4 / 2048, which is even. */
Test(arith, tf32_rounds_its_operands_or_cuts_them_off)
{
    const double x[] = {1 + 0x3p-11, 1 + 0x1p-11, -1 - 0x1.8p-11, (double)INFINITY}, one[] = {1};
    const double expected[2][4] = {{1 + 0x4p-11, 1, -1 - 0x2p-11, (double)INFINITY}, {1 + 0x2p-11, 1, -1, (double)INFINITY}};
    const struct qw_tensor w = wrapped(one, 1, 1), wide = wrapped(x, 4, 1);
    for (int a = 0; a < 2; a++) {
        double left[4], right[4];
        qw_tf32[a].matmul_nt(left, x, &w, 4, 1, 1);
        qw_tf32[a].matmul_nt(right, one, &wide, 1, 1, 4);
        for (int i = 0; i < 4; i++)
            cr_expect(left[i] == expected[a][i] && right[i] == expected[a][i], "%s, %d: %.17g", qw_tf32[a].name, i, left[i]);
    }
}

Test(arith, tf32_sums_and_rounds_everything_else_in_float32)
{
    const double x[] = {1, 0x1p-20}, ones[] = {1, 1};
    const struct qw_tensor w = wrapped(ones, 1, 2);
    double y;
    qw_tf32[0].matmul_nt(&y, x, &w, 1, 2, 1);
    cr_expect_eq(y, 1 + 0x1p-20);
    cr_expect(qw_tf32[0].dtype == QW_F32 && qw_tf32[1].sums == QW_F32);
}

/* bfloat16 has 8 bits: 257 is no number of it, of the two next to it 256 is even. */
Test(arith, a_sum_in_parts_rounds_each_of_them)
{
    const double x[] = {256, 1, 1, 2}, ones[] = {1, 1, 1, 1};
    const struct qw_tensor w = wrapped(ones, 1, 4), v = wrapped(ones, 4, 1);
    double nt, nn, whole;
    qw_bf16_parts.matmul_nt(&nt, x, &w, 1, 4, 1);
    qw_bf16_parts.matmul_nn(&nn, x, &v, 1, 4, 1);
    qw_bf16.matmul_nt(&whole, x, &w, 1, 4, 1);
    cr_expect(nt == 260 && nn == 260 && whole == 260, "%g %g %g", nt, nn, whole);
    const double odd[] = {256, 1, 1, 1};
    qw_bf16_parts.matmul_nt(&nt, odd, &w, 1, 4, 1);
    qw_bf16.matmul_nt(&whole, odd, &w, 1, 4, 1);
    cr_expect(nt == 258 && whole == 259, "%g %g", nt, whole);
}

Test(arith, float64_models_compute_norms_and_tables_in_float32)
{
    uint64_t state = 3;
    struct qw_arith shaken = qw_arith_dithered(&qw_f64_mixed, qw_f64_mixed.dtype, &state),
                    inner = qw_arith_as(&shaken, shaken.inner), same = qw_arith_as(&qw_f32, qw_f32.inner);
    cr_assert(inner.dtype == QW_F32 && inner.roundoff == 0x1p-24 && inner.dither == &state);
    cr_assert(shaken.dtype == QW_F64 && shaken.roundoff == 0x1p-53);
    cr_assert(same.dtype == QW_F32 && same.roundoff == 0);
}
