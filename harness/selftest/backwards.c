/* Invariant: only the order of the terms differs from the arithmetic that is turned round. */
#include "harness/selftest/backwards.h"

#include <stdlib.h>

#include "reference/base/memory.h"

/* y[r,c] = sum over i of x[r,i] w[i across, c along], the last term first, rounded to `sums` at every step */
static void multiply(double *y, const double *x, const struct qw_tensor *w, const int64_t extent[3], bool transposed,
                     enum qw_dtype sums)
{
    int64_t rows = extent[0], inner = extent[1], cols = extent[2];
    double *weight = qw_tensor_doubles(w);
    int64_t across = transposed ? 1 : cols, along = transposed ? inner : 1;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double sum = 0;
            for (int64_t i = inner - 1; i >= 0; i--) {
                double term = qw_round_to(sums, x[r * inner + i]) * qw_round_to(sums, weight[i * across + c * along]);
                sum = qw_round_to(sums, sum + qw_round_to(sums, term));
            }
            y[r * cols + c] = sum;
        }
    free(weight);
}

static void single_nt(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)
{
    multiply(y, x, w, (int64_t[]){rows, inner, cols}, true, QW_F32);
}

static void single_nn(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)
{
    multiply(y, x, w, (int64_t[]){rows, inner, cols}, false, QW_F32);
}

static void double_nt(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)
{
    multiply(y, x, w, (int64_t[]){rows, inner, cols}, true, QW_F64);
}

static void double_nn(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)
{
    multiply(y, x, w, (int64_t[]){rows, inner, cols}, false, QW_F64);
}

struct qw_arith qc_arith_backwards(const struct qw_arith *arith)
{
    struct qw_arith turned = *arith;
    turned.matmul_nt = arith->sums == QW_F64 ? double_nt : single_nt;
    turned.matmul_nn = arith->sums == QW_F64 ? double_nn : single_nn;
    return turned;
}
