/* Invariant: pure functions; the plays differ from the definition by rounding alone. */
#include "reference/model/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

/* A product's sums are rounded inside the BLAS: dithering shakes its results. */
static void shake(const struct qw_arith *sums, double *y, int64_t n)
{
    for (int64_t i = 0; sums->dither && i < n; i++)
        y[i] = qw_arith_round(sums, y[i]);
}

void qw_embed(double *y, const struct qw_tensor *table, const int64_t *ids, int64_t n, int64_t d)
{
    for (int64_t i = 0; i < n; i++)
        qw_tensor_read(y + i * d, table, ids[i] * d, d);
}

static bool sums_in_a_half(const struct qw_arith *arith) { return arith->sums == QW_BF16 || arith->sums == QW_F16; }

/* y[n,out] = x w^T, each sum rounded to a half after each of its products. */
static void sum_one_by_one(const struct qw_arith *sums, double *y, const double *x, const struct qw_tensor *w, int64_t n,
                           int64_t in, int64_t out)
{
    double *row = QW_NEW_ARRAY(double, in);
    for (int64_t c = 0; c < out; c++) {
        qw_tensor_read(row, w, c * in, in);
        for (int64_t r = 0; r < n; r++) {
            double sum = 0;
            for (int64_t i = 0; i < in; i++)
                sum = qw_arith_round(sums, sum + x[r * in + i] * row[i]);
            y[r * out + c] = sum;
        }
    }
    free(row);
}

void qw_linear(const struct qw_arith *arith, double *y, const double *x, const struct qw_tensor *w, const struct qw_tensor *b,
               int64_t n, int64_t in, int64_t out)
{
    const struct qw_arith sums = qw_arith_as(arith, arith->sums);
    if (sums_in_a_half(arith)) {
        sum_one_by_one(&sums, y, x, w, n, in, out);
    } else {
        arith->matmul_nt(y, x, w, n, in, out);
        shake(&sums, y, n * out);
    }
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < out; c++)
            y[r * out + c] = b ? qw_arith_round(arith, y[r * out + c] + qw_tensor_at(b, c))
                               : qw_arith_settle(arith, y[r * out + c]);
}

void qw_rms_norm(const struct qw_arith *arith, double *y, const double *x, const struct qw_tensor *w, double eps, int64_t n,
                 int64_t d)
{
    const struct qw_arith inner = qw_arith_as(arith, arith->inner);
    for (int64_t r = 0; r < n; r++) {
        double sum = 0;
        for (int64_t i = 0; i < d; i++) {
            double value = qw_round_to(inner.dtype, x[r * d + i]);
            sum = qw_arith_round(&inner, sum + qw_arith_round(&inner, value * value));
        }
        double mean = qw_arith_round(&inner, sum / (double)d);
        double scale = qw_arith_round(&inner, 1 / qw_arith_round(&inner, sqrt(qw_arith_round(&inner, mean + eps))));
        for (int64_t i = 0; i < d; i++) {
            double scaled = qw_arith_round(&inner, qw_round_to(inner.dtype, x[r * d + i]) * scale);
            y[r * d + i] = qw_arith_round(arith, qw_tensor_at(w, i) * qw_arith_settle(arith, scaled));
        }
    }
}

/* Where the two numbers of pair i lie in a head, and where their angles stand in the tables. */
struct pair {
    int64_t low, high, low_angle, high_angle;
};

static struct pair pair_of(enum qw_pairing pairing, int64_t i, int64_t D)
{
    switch (pairing) {
    case QW_PAIRS_NEIGHBOURS: return (struct pair){2 * i, 2 * i + 1, i, i + D / 2};
    case QW_PAIRS_NEIGHBOURS_TABLES:
    case QW_PAIRS_NEIGHBOURS_ASTRAY: return (struct pair){2 * i, 2 * i + 1, 2 * i, 2 * i + 1};
    default: return (struct pair){i, i + D / 2, i, i + D / 2};
    }
}

/* Where angle i stands in a table: twice. */
static struct pair angles_of(enum qw_pairing pairing, int64_t i, int64_t D)
{
    return pair_of(pairing == QW_PAIRS_NEIGHBOURS_TABLES ? pairing : QW_PAIRS_HALVES, i, D);
}

void qw_rotary_table(const struct qw_arith *outer, double *cos_table, double *sin_table, const int64_t *position,
                     const struct qw_rotary *rotary, int64_t n, int64_t D)
{
    const struct qw_arith inner = qw_arith_as(outer, outer->inner), *arith = &inner;
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < D / 2; i++) {
            double power = qw_arith_round(arith, pow(rotary->theta, qw_arith_round(arith, (double)(2 * i) / (double)D)));
            double frequency = qw_round_to(rotary->kept, qw_arith_round(arith, 1 / power));
            double angle = qw_arith_round(arith, (double)position[r] * frequency);
            double c = qw_arith_round(arith, cos(angle)), s = qw_arith_round(arith, sin(angle));
            const struct pair at = angles_of(rotary->pairing, i, D);
            cos_table[r * D + at.low] = cos_table[r * D + at.high] = rotary->wide ? c : qw_arith_settle(outer, c);
            sin_table[r * D + at.low] = sin_table[r * D + at.high] = rotary->wide ? s : qw_arith_settle(outer, s);
        }
}

static double rotate_one(const struct qw_arith *arith, double x, double cos_value, double turned, double sin_value)
{
    return qw_arith_round(arith, qw_arith_round(arith, x * cos_value) + qw_arith_round(arith, turned * sin_value));
}

void qw_rotate(const struct qw_arith *outer, double *x, const double *cos_table, const double *sin_table,
               const struct qw_rotary *rotary, int64_t tokens, int64_t heads, int64_t D)
{
    const struct qw_arith at = rotary->wide ? qw_arith_as(outer, outer->inner) : *outer, *arith = &at;
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t h = 0; h < heads; h++) {
            double *v = x + (t * heads + h) * D;
            const double *c = cos_table + t * D, *s = sin_table + t * D;
            for (int64_t i = 0; i < D / 2; i++) {
                const struct pair p = pair_of(rotary->pairing, i, D);
                double low = qw_round_to(at.dtype, v[p.low]), high = qw_round_to(at.dtype, v[p.high]);
                v[p.low] = rotate_one(arith, low, c[p.low_angle], -high, s[p.low_angle]);
                v[p.high] = rotate_one(arith, high, c[p.high_angle], low, s[p.high_angle]);
                if (rotary->wide) {
                    v[p.low] = qw_arith_settle(outer, v[p.low]);
                    v[p.high] = qw_arith_settle(outer, v[p.high]);
                }
            }
        }
}

/* exp(score - largest) of the visible entries of scores[S], 0 for the others, in place; their sum.  At least one is visible. */
static double exponentials(const struct qw_arith *arith, double *scores, const unsigned char *visible, int64_t S)
{
    double largest = -(double)INFINITY, sum = 0;
    for (int64_t j = 0; j < S; j++) {
        scores[j] = qw_round_to(arith->dtype, scores[j]);
        if (visible[j] && scores[j] > largest)
            largest = scores[j];
    }
    for (int64_t j = 0; j < S; j++) {
        scores[j] = visible[j] ? qw_arith_round(arith, exp(qw_arith_round(arith, scores[j] - largest))) : 0;
        sum = qw_arith_round(arith, sum + scores[j]);
    }
    return sum;
}

#define LEAST_F16 65504.0 /* what a float16 mask takes from the scores that it hides */

/* The same of a row that sees nothing. */
static double blind_exponentials(const struct qw_arith *arith, double *scores, enum qw_blind_row blind, int64_t S)
{
    unsigned char *all = QW_NEW_ARRAY(unsigned char, S);
    memset(all, 1, (size_t)S);
    for (int64_t j = 0; j < S && (blind == QW_BLIND_UNIFORM || blind == QW_BLIND_ZERO); j++)
        scores[j] = 0;
    for (int64_t j = 0; j < S && blind == QW_BLIND_SUNK; j++)
        scores[j] = qw_arith_round(arith, scores[j] - LEAST_F16) + LEAST_F16;
    double sum = blind == QW_BLIND_ZERO ? 1 : exponentials(arith, scores, all, S);
    free(all);
    return sum;
}

/* Weights of each row, in place.  A fused kernel leaves them undivided: what it divides by is in total[q]. */
static void weigh(const struct qw_arith *outer, double *scores, double *total, const unsigned char *visible,
                  const struct qw_attention *attention, int64_t q, int64_t S)
{
    const struct qw_arith arith = qw_arith_as(outer, attention->fused ? outer->sums : outer->inner);
    for (int64_t i = 0; i < q; i++) {
        double *row = scores + i * S;
        const unsigned char *seen = visible + i * S;
        total[i] = memchr(seen, 1, (size_t)S) ? exponentials(&arith, row, seen, S)
                                              : blind_exponentials(&arith, row, attention->blind_row, S);
        for (int64_t j = 0; j < S; j++)
            row[j] = qw_arith_settle(outer, attention->fused ? row[j] : qw_arith_round(&arith, row[j] / total[i]));
    }
}

void qw_attend(const struct qw_arith *arith, double *y, const double *Q, const double *K, const double *V,
               const unsigned char *visible, const struct qw_attention *attention, int64_t q, int64_t S, int64_t D)
{
    double *scores = QW_NEW_ARRAY(double, q *S), *total = QW_NEW_ARRAY(double, q);
    const struct qw_arith sums = qw_arith_as(arith, arith->sums), *at = attention->fused ? &sums : arith;
    double scale = qw_arith_round(&sums, 1 / sqrt(attention->spread > 0 ? attention->spread : (double)D));
    struct qw_tensor keys = {QW_F64, qw_shape_of(2, S, D), (void *)(uintptr_t)K, NULL};
    struct qw_tensor values = {QW_F64, qw_shape_of(2, S, D), (void *)(uintptr_t)V, NULL};
    arith->matmul_nt(scores, Q, &keys, q, D, S);
    shake(&sums, scores, q * S);
    for (int64_t i = 0; i < q * S; i++)
        scores[i] = qw_arith_round(at, qw_arith_settle(at, scores[i]) * scale);
    weigh(arith, scores, total, visible, attention, q, S);
    arith->matmul_nn(y, scores, &values, q, S, D);
    shake(&sums, y, q * D);
    for (int64_t i = 0; i < q * D; i++)
        y[i] = attention->fused ? qw_arith_round(arith, y[i] / total[i / D]) : qw_arith_settle(arith, y[i]);
    free(scores);
    free(total);
}

void qw_silu(const struct qw_arith *arith, double *y, const double *x, int64_t n)
{
    const struct qw_arith sums = qw_arith_as(arith, arith->sums);
    for (int64_t i = 0; i < n; i++) {
        double divisor = qw_arith_round(&sums, 1 + qw_arith_round(&sums, exp(-x[i])));
        y[i] = qw_arith_settle(arith, qw_arith_round(&sums, x[i] / divisor));
    }
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
