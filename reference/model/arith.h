/* The arithmetics in which the reference plays.
 *
 *   qw_f64        the definition: plain loops, sums in float64, nothing rounded.
 *   qw_f32        what a float32 framework does: every operation rounded to float32,
 *                 matrix products by OpenBLAS with one thread.
 *   qw_bf16       what it does with a half model: sums of products, norms, rotary tables and
 *   qw_f16        softmax in float32, and every tensor rounded once when it is whole.
 *   qw_f64_mixed  what transformers does with a float64 model: as the definition, but norms,
 *                 rotary tables and the softmax in float32 (modeling_qwen2: .to(torch.float32)).
 *
 *   qw_tf32       what a GPU does to float32 where it is allowed to: operands of products keep 10 explicit bits of
 *                 mantissa, rounded to the nearest or cut off; sums and everything else are float32.
 *   qw_bf16_parts what it may do to a half: a sum of products is made in parts, each of which is rounded to the half.
 *   qw_f16_parts
 *
 * Values are held as doubles in all of them, which is exact; `dtype` says to what an
 * operation's result is rounded. */
#ifndef QW_MODEL_ARITH_H
#define QW_MODEL_ARITH_H

#include <stdbool.h>
#include <stdint.h>

#include "reference/base/tensor.h"

struct qw_arith {
    const char *name;
    enum qw_dtype dtype;
    enum qw_dtype inner; /* in which norms, rotary tables and the softmax are computed, whatever the model's dtype */
    enum qw_dtype sums;  /* in which a kernel computes before it rounds its result to dtype: sums of products, silu */
    uint64_t *dither;    /* state of a random sequence that shakes every rounding (qw_arith_dithered); NULL: none */
    double roundoff;     /* by how much: unit roundoff of dtype; 0 without dithering */
    /* y[rows,cols] = x[rows,inner] w[cols,inner]^T   (a Linear's weight, or keys) */
    void (*matmul_nt)(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols);
    /* y[rows,cols] = x[rows,inner] w[inner,cols]     (values) */
    void (*matmul_nn)(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols);
};

#define QW_TF32_ROUNDOFF 0x1p-11

extern const struct qw_arith qw_f64, qw_f32, qw_bf16, qw_f16, qw_f64_mixed, qw_tf32[2], qw_bf16_parts, qw_f16_parts;

/* What the framework makes of a model of this dtype. */
const struct qw_arith *qw_arith_of(enum qw_dtype dtype);

/* An arithmetic with every result moved by at most one unit roundoff of `by` before it is rounded (Monte Carlo arithmetic):
 * another sample of what rounding alone may do.  `by` is arith->dtype, or arith->sums where a half's own roundings are known and
 * only those before them are not.  `*state` seeds the sequence and is advanced; equal seeds give equal plays. */
struct qw_arith qw_arith_dithered(const struct qw_arith *arith, enum qw_dtype by, uint64_t *state);

/* Uniform in [-1, 1): the splitmix64 sequence. */
static inline double qw_dither_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)(int64_t)(z ^ z >> 31) * 0x1p-63;
}

/* `value` rounded to the arithmetic's dtype.  Inline: a play rounds every single operation. */
static inline double qw_arith_round(const struct qw_arith *arith, double value)
{
    if (arith->dither)
        value += value * arith->roundoff * qw_dither_next(arith->dither);
    return qw_round_to(arith->dtype, value);
}

/* The same arithmetic, shaken alike, that rounds to another dtype: arith->inner, arith->sums. */
struct qw_arith qw_arith_as(const struct qw_arith *arith, enum qw_dtype dtype);

/* The same arithmetic with products of a weight summed in the half `sums`, rounded after each (QW_F64: as it does).  The
 * definition and halves of the other kind stay as they are. */
struct qw_arith qw_arith_summing(const struct qw_arith *arith, enum qw_dtype sums);

/* The one rounding that a half takes of what was computed in float32; the others have rounded already. */
static inline double qw_arith_settle(const struct qw_arith *arith, double value)
{
    return arith->sums == arith->dtype ? value : qw_arith_round(arith, value);
}

/* Proof that comparisons, NaN, infinities and subnormals work as IEEE 754 says (no fast-math, no flush to zero). */
bool qw_arith_is_ieee(void);

/* The BLAS in use: "OpenBLAS 0.3.21", its core type "Haswell", and the core type that OPENBLAS_CORETYPE should name
 * because the library did not recognise this processor (NULL when it did). */
const char *qw_blas_version(void);
const char *qw_blas_core(void);
const char *qw_blas_core_wanted(void);

#endif
