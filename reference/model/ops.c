/* Invariant: pure functions; the float32 play differs from the definition by rounding alone. */
#include "reference/model/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

/* A product's sums are rounded inside the BLAS: dithering shakes its results. */
static void shake(const struct qw_arith *arith, double *y, int64_t n)
{
    for (int64_t i = 0; arith->dither && i < n; i++)
        y[i] = qw_arith_round(arith, y[i]);
}

void qw_embed(double *y, const struct qw_tensor *table, const int64_t *ids, int64_t n, int64_t d)
{
    for (int64_t i = 0; i < n; i++)
        qw_tensor_read(y + i * d, table, ids[i] * d, d);
}

void qw_linear(const struct qw_arith *arith, double *y, const double *x, const struct qw_tensor *w, const struct qw_tensor *b,
               int64_t n, int64_t in, int64_t out)
{
    arith->matmul_nt(y, x, w, n, in, out);
    shake(arith, y, n * out);
    for (int64_t r = 0; b && r < n; r++)
        for (int64_t c = 0; c < out; c++)
            y[r * out + c] = qw_arith_round(arith, y[r * out + c] + qw_tensor_at(b, c));
}

void qw_rms_norm(const struct qw_arith *arith, double *y, const double *x, const struct qw_tensor *w, double eps, int64_t n,
                 int64_t d)
{
    const struct qw_arith inner = qw_arith_inner(arith);
    for (int64_t r = 0; r < n; r++) {
        double sum = 0;
        for (int64_t i = 0; i < d; i++) {
            double value = qw_arith_enter(&inner, x[r * d + i]);
            sum = qw_arith_round(&inner, sum + qw_arith_round(&inner, value * value));
        }
        double mean = qw_arith_round(&inner, sum / (double)d);
        double scale = qw_arith_round(&inner, 1 / qw_arith_round(&inner, sqrt(qw_arith_round(&inner, mean + eps))));
        for (int64_t i = 0; i < d; i++) {
            double scaled = qw_arith_round(&inner, qw_arith_enter(&inner, x[r * d + i]) * scale);
            y[r * d + i] = qw_arith_round(arith, qw_tensor_at(w, i) * scaled);
        }
    }
}

void qw_rotary_table(const struct qw_arith *outer, double *cos_table, double *sin_table, const int64_t *position, double theta,
                     int64_t n, int64_t D)
{
    const struct qw_arith inner = qw_arith_inner(outer), *arith = &inner;
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < D / 2; i++) {
            double power = qw_arith_round(arith, pow(theta, qw_arith_round(arith, (double)(2 * i) / (double)D)));
            double angle = qw_arith_round(arith, (double)position[r] * qw_arith_round(arith, 1 / power));
            cos_table[r * D + i] = cos_table[r * D + i + D / 2] = qw_arith_round(arith, cos(angle));
            sin_table[r * D + i] = sin_table[r * D + i + D / 2] = qw_arith_round(arith, sin(angle));
        }
}

static double rotate_one(const struct qw_arith *arith, double x, double cos_value, double turned, double sin_value)
{
    return qw_arith_round(arith, qw_arith_round(arith, x * cos_value) + qw_arith_round(arith, turned * sin_value));
}

void qw_rotate(const struct qw_arith *arith, double *x, const double *cos_table, const double *sin_table, int64_t tokens,
               int64_t heads, int64_t D)
{
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t h = 0; h < heads; h++) {
            double *v = x + (t * heads + h) * D;
            const double *c = cos_table + t * D, *s = sin_table + t * D;
            for (int64_t i = 0; i < D / 2; i++) {
                double low = v[i], high = v[i + D / 2];
                v[i] = rotate_one(arith, low, c[i], -high, s[i]);
                v[i + D / 2] = rotate_one(arith, high, c[i + D / 2], low, s[i + D / 2]);
            }
        }
}

/* weights[S] = softmax over the visible entries of scores[S], in place; at least one is visible */
static void softmax(const struct qw_arith *outer, double *scores, const unsigned char *visible, int64_t S)
{
    const struct qw_arith inner = qw_arith_inner(outer), *arith = &inner;
    double largest = -(double)INFINITY, sum = 0;
    for (int64_t j = 0; j < S; j++) {
        scores[j] = qw_arith_enter(arith, scores[j]);
        if (visible[j] && scores[j] > largest)
            largest = scores[j];
    }
    for (int64_t j = 0; j < S; j++) {
        scores[j] = visible[j] ? qw_arith_round(arith, exp(qw_arith_round(arith, scores[j] - largest))) : 0;
        sum = qw_arith_round(arith, sum + scores[j]);
    }
    for (int64_t j = 0; j < S; j++)
        scores[j] = qw_arith_round(arith, scores[j] / sum);
}

/* weights[S] of a row that sees nothing */
static void softmax_blind(const struct qw_arith *arith, double *scores, enum qw_blind_row blind, int64_t S)
{
    unsigned char *all = QW_NEW_ARRAY(unsigned char, S);
    memset(all, 1, (size_t)S);
    for (int64_t j = 0; j < S && blind != QW_BLIND_UNMASKED; j++)
        scores[j] = 0;
    if (blind != QW_BLIND_ZERO)
        softmax(arith, scores, all, S);
    free(all);
}

void qw_attend(const struct qw_arith *arith, double *y, const double *Q, const double *K, const double *V,
               const unsigned char *visible, enum qw_blind_row blind, int64_t q, int64_t S, int64_t D)
{
    double *scores = QW_NEW_ARRAY(double, q *S);
    double scale = qw_arith_round(arith, 1 / sqrt((double)D));
    struct qw_tensor keys = {QW_F64, qw_shape_of(2, S, D), (void *)(uintptr_t)K, NULL};
    struct qw_tensor values = {QW_F64, qw_shape_of(2, S, D), (void *)(uintptr_t)V, NULL};
    arith->matmul_nt(scores, Q, &keys, q, D, S);
    shake(arith, scores, q * S);
    for (int64_t i = 0; i < q * S; i++)
        scores[i] = qw_arith_round(arith, scores[i] * scale);
    for (int64_t i = 0; i < q; i++)
        if (memchr(visible + i * S, 1, (size_t)S))
            softmax(arith, scores + i * S, visible + i * S, S);
        else
            softmax_blind(arith, scores + i * S, blind, S);
    arith->matmul_nn(y, scores, &values, q, S, D);
    shake(arith, y, q * D);
    free(scores);
}

void qw_silu(const struct qw_arith *arith, double *y, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = qw_arith_round(arith, x[i] / qw_arith_round(arith, 1 + qw_arith_round(arith, exp(-x[i]))));
}

void qw_multiply(const struct qw_arith *arith, double *y, const double *a, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = qw_arith_round(arith, a[i] * b[i]);
}

void qw_add(const struct qw_arith *arith, double *y, const double *a, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = qw_arith_round(arith, a[i] + b[i]);
}
