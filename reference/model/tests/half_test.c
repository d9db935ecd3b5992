/* Invariant: where a half is rounded is told by values that come out differently when it is rounded elsewhere. */
#include <criterion/criterion.h>
#include <math.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"

/* Numbers near 1: of bfloat16 the next one is 1 + 2 u, and 1 + u is a tie that falls to 1. */
#define U 0x1p-8

static struct qw_tensor row_of(double *values, int64_t n) { return (struct qw_tensor){QW_F64, qw_shape_of(1, n), values, NULL}; }

static struct qw_tensor matrix_of(double *values, int64_t rows, int64_t columns)
{
    return (struct qw_tensor){QW_F64, qw_shape_of(2, rows, columns), values, NULL};
}

Test(half, the_bias_joins_before_the_one_rounding)
{
    const double x[] = {1, U};
    double weights[] = {1, 1}, bias[] = {U / 2}, y;
    struct qw_tensor w = matrix_of(weights, 1, 2), b = row_of(bias, 1);
    qw_linear(&qw_bf16, &y, x, &w, &b, 1, 2, 1);
    cr_expect_eq(y, 1 + 2 * U, "rounded before the bias the sum would be 1, and 1 after it");
    qw_linear(&qw_bf16, &y, x, &w, NULL, 1, 2, 1);
    cr_expect_eq(y, 1, "a tie falls to even");
}

Test(half, sums_of_products_keep_what_the_half_would_lose)
{
    enum { N = 512 };
    double *x = QW_NEW_ARRAY(double, N), *weights = QW_NEW_ARRAY(double, N), y;
    struct qw_tensor w = matrix_of(weights, 1, N);
    for (int i = 0; i < N; i++)
        x[i] = weights[i] = 1;
    qw_linear(&qw_bf16, &y, x, &w, NULL, 1, N, 1);
    cr_expect_eq(y, N, "a sum in bfloat16 would stay at 256");
    free(x);
    free(weights);
}

Test(half, a_norm_is_cast_before_its_weight)
{
    enum { N = 16 };
    double x[N], weights[N], y[N], squares = 0;
    int elsewhere = 0;
    for (int i = 0; i < N; i++) {
        x[i] = qw_round_to(QW_BF16, sin(i + 1));
        weights[i] = qw_round_to(QW_BF16, 1 + 0.3 * cos(i));
        squares += x[i] * x[i];
    }
    struct qw_tensor w = row_of(weights, N);
    qw_rms_norm(&qw_bf16, y, x, &w, 0, 1, N);
    for (int i = 0; i < N; i++) {
        double scaled = x[i] / sqrt(squares / N);
        cr_expect_eq(y[i], qw_round_to(QW_BF16, weights[i] * qw_round_to(QW_BF16, scaled)), "%d", i);
        elsewhere += y[i] != qw_round_to(QW_BF16, weights[i] * scaled);
    }
    cr_expect_gt(elsewhere, 0, "one rounding would give other numbers");
}

Test(half, rotation_rounds_each_product_or_once)
{
    const double c[] = {1 + 2 * U, 1 + 2 * U}, s[] = {U, U};
    double narrow[] = {1 + 2 * U, -1}, wide[] = {1 + 2 * U, -1};
    qw_rotate(&qw_bf16, narrow, c, s, &(struct qw_rotary){0}, 1, 1, 2);
    qw_rotate(&qw_bf16, wide, c, s, &(struct qw_rotary){.wide = true}, 1, 1, 2);
    double product = (1 + 2 * U) * (1 + 2 * U);
    cr_expect_eq(narrow[0], qw_round_to(QW_BF16, qw_round_to(QW_BF16, product) + U));
    cr_expect_eq(wide[0], qw_round_to(QW_BF16, product + U));
    cr_expect_neq(narrow[0], wide[0]);
}

Test(half, rotary_tables_are_cast_unless_rotation_is_wide)
{
    const int64_t position[] = {7};
    double c[4], s[4], wide_c[4], wide_s[4];
    qw_rotary_table(&qw_bf16, c, s, position, &(struct qw_rotary){.theta = 100}, 1, 4);
    qw_rotary_table(&qw_bf16, wide_c, wide_s, position, &(struct qw_rotary){.theta = 100, .wide = true}, 1, 4);
    cr_expect_float_eq(wide_c[1], cos(0.7), 0x1p-22);
    cr_expect_neq(wide_c[1], qw_round_to(QW_BF16, wide_c[1]));
    cr_expect(c[1] == qw_round_to(QW_BF16, wide_c[1]) && s[1] == qw_round_to(QW_BF16, wide_s[1]));
}

/* At position 1000 a frequency that is off by a relative u turns by a thousand times that. */
Test(half, rounded_frequencies_turn_far_tokens_elsewhere)
{
    const int64_t position[] = {1000};
    const struct qw_rotary rounded = {.theta = 1e6, .kept = QW_BF16}, healthy = {.theta = 1e6};
    double c[4], s[4], h[4];
    qw_rotary_table(&qw_f64, c, s, position, &rounded, 1, 4);
    cr_expect_float_eq(c[1], cos(1000 * qw_round_to(QW_BF16, 1e-3)), 1e-12);
    qw_rotary_table(&qw_f64, h, s, position, &healthy, 1, 4);
    cr_expect(c[0] == h[0] && fabs(c[1] - h[1]) > 1e-4, "the first frequency is 1, which every dtype holds");
}

/* Scores 1 + u and 1: eager attention rounds them alike, a fused kernel keeps the difference until the weights are rounded. */
Test(half, eager_attention_rounds_its_scores_and_a_fused_kernel_does_not)
{
    const double q[] = {1, 1}, k[] = {2, 8 * U, 2, 0}, v[] = {64, 0, -64, 0};
    const unsigned char visible[] = {1, 1};
    double eager[2], fused[2], truth[2];
    qw_attend(&qw_bf16, eager, q, k, v, visible, &(struct qw_attention){.fused = false, .blind_row = QW_BLIND_UNIFORM}, 1, 2, 2);
    qw_attend(&qw_bf16, fused, q, k, v, visible, &(struct qw_attention){.fused = true, .blind_row = QW_BLIND_UNIFORM}, 1, 2, 2);
    qw_attend(&qw_f64, truth, q, k, v, visible, &(struct qw_attention){.fused = true, .blind_row = QW_BLIND_UNIFORM}, 1, 2, 2);
    double scale = 1 / sqrt(2), high = qw_round_to(QW_BF16, qw_round_to(QW_BF16, 2 + 8 * U) * scale),
           low = qw_round_to(QW_BF16, 2 * scale), weight = exp(high - low), kept = exp(-8 * U * scale);
    double first = qw_round_to(QW_BF16, weight / (1 + weight)), second = qw_round_to(QW_BF16, 1 / (1 + weight));
    cr_expect_eq(eager[0], qw_round_to(QW_BF16, 64 * (first - second)));
    cr_expect_eq(fused[0], qw_round_to(QW_BF16, 64 * (1 - qw_round_to(QW_BF16, kept)) / (1 + kept)));
    cr_expect_float_eq(truth[0], 64 * (1 - kept) / (1 + kept), 1e-12);
    cr_expect_neq(eager[0], fused[0]);
}

Test(half, fused_and_eager_attention_are_one_definition)
{
    const double q[] = {1, 2, -1, 0.5}, k[] = {1, 0, 3, 0, -1, 5}, v[] = {1, 0, 0, 1, 4, 2};
    const unsigned char visible[] = {1, 1, 0, 0, 0, 0};
    for (enum qw_blind_row blind = QW_BLIND_UNIFORM; blind <= QW_BLIND_UNMASKED; blind++) {
        double eager[4], fused[4];
        qw_attend(&qw_f64, eager, q, k, v, visible, &(struct qw_attention){.fused = false, .blind_row = blind}, 2, 3, 2);
        qw_attend(&qw_f64, fused, q, k, v, visible, &(struct qw_attention){.fused = true, .blind_row = blind}, 2, 3, 2);
        for (int i = 0; i < 4; i++)
            cr_expect_float_eq(eager[i], fused[i], 1e-14, "%d %d", (int)blind, i);
    }
}

Test(half, silu_rounds_once)
{
    for (double x = -8; x < 8; x += 0.125) {
        double y;
        qw_silu(&qw_bf16, &y, &x, 1);
        cr_expect_eq(y, qw_round_to(QW_BF16, (double)(float)(x / (1 + exp(-x)))), "%g", x);
    }
}

Test(half, sums_and_products_round_each)
{
    const double a[] = {1 + 2 * U}, b[] = {1 + 2 * U};
    double y;
    qw_multiply(&qw_bf16, &y, a, b, 1);
    cr_expect_eq(y, 1 + 4 * U);
    qw_add(&qw_bf16, &y, a, b, 1);
    cr_expect_eq(y, 2 + 4 * U);
}

Test(half, float16_ends_where_it_ends)
{
    const double a[] = {60000}, b[] = {6000};
    double y;
    qw_add(&qw_f16, &y, a, b, 1);
    cr_expect(isinf(y));
    qw_add(&qw_bf16, &y, a, b, 1);
    cr_expect_eq(y, 66048);
}
