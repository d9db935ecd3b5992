/* Qwen's operations, one short pure function each; MODEL.md defines them.
 *
 * Row-major doubles; outputs first, then inputs, then sizes.  Every result is
 * rounded to arith->dtype, where the framework rounds it.  Letters: B batch, q tokens of this call, S cache
 * length, H query heads, K key/value heads, D head size, d hidden. */
#ifndef QW_MODEL_OPS_H
#define QW_MODEL_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "reference/model/arith.h"
#include "reference/rules.h"

/* y[n,d] = table[ids[n],:]   (copies; every id < rows of the table) */
void qw_embed(double *y, const struct qw_tensor *table, const int64_t *ids, int64_t n, int64_t d);

/* y[n,out] = x[n,in] w[out,in]^T + b[out]   (b may be NULL) */
void qw_linear(const struct qw_arith *arith, double *y, const double *x, const struct qw_tensor *w, const struct qw_tensor *b,
               int64_t n, int64_t in, int64_t out);

/* y[n,d] = w[d] * x / sqrt(mean(x^2) + eps) */
void qw_rms_norm(const struct qw_arith *arith, double *y, const double *x, const struct qw_tensor *w, double eps, int64_t n,
                 int64_t d);

/* How angles are made and heads rotated by them. */
struct qw_rotary {
    double theta;
    enum qw_dtype kept;      /* the frequencies are kept in this dtype; QW_F64: as they were computed */
    bool wide;               /* cos and sin stay in arith->inner; the rotation is computed in it too, and rounded once */
    enum qw_pairing pairing; /* which two numbers make a pair */
};

/* cos[n,D], sin[n,D] of position * theta^(-2i/D), i = 0 .. D/2-1, the halves repeated (half-split rotary). */
void qw_rotary_table(const struct qw_arith *arith, double *cos_table, double *sin_table, const int64_t *position,
                     const struct qw_rotary *rotary, int64_t n, int64_t D);

/* x[D] = x * cos + rotate_half(x) * sin, rotate_half(x) = [-x2, x1];  x[B,q,heads,D] in place, cos and sin [B,q,D]. */
void qw_rotate(const struct qw_arith *arith, double *x, const double *cos_table, const double *sin_table,
               const struct qw_rotary *rotary, int64_t tokens, int64_t heads, int64_t D);

/* How attention is computed. */
struct qw_attention {
    bool fused;                  /* one kernel: nothing is rounded but the weights, before they are divided, and the result */
    enum qw_blind_row blind_row; /* what a row gives that sees no key */
    double spread;               /* scores are divided by its square root; 0: D */
};

/* One head: y[q,D] = softmax(Q K^T / sqrt(D) + mask) V;  Q[q,D], K[S,D], V[S,D]; visible[q,S] 1 where the row sees
 * the key. */
void qw_attend(const struct qw_arith *arith, double *y, const double *Q, const double *K, const double *V,
               const unsigned char *visible, const struct qw_attention *attention, int64_t q, int64_t S, int64_t D);

/* y = silu(x) = x / (1 + exp(-x)) */
void qw_silu(const struct qw_arith *arith, double *y, const double *x, int64_t n);

/* y = a * b, y = a + b, element by element (y may be a or b) */
void qw_multiply(const struct qw_arith *arith, double *y, const double *a, const double *b, int64_t n);
void qw_add(const struct qw_arith *arith, double *y, const double *a, const double *b, int64_t n);

#endif
