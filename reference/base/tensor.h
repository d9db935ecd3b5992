/* Tensors: an element type, up to eight extents, row-major elements (last axis
 * fastest).  A tensor without data carries its structure only. */
#ifndef QW_BASE_TENSOR_H
#define QW_BASE_TENSOR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum qw_dtype {
#define DTYPE(id, name, safetensors, bytes, bits) QW_##id,
#include "reference/base/dtypes.def"
#undef DTYPE
    QW_DTYPES
};

#define QW_MAX_RANK 8

struct qw_shape {
    int rank; /* 0 for a scalar */
    int64_t dim[QW_MAX_RANK];
};

/* What is known of the values of a tensor whose elements were not kept. */
struct qw_stats {
    double min, max, mean, rms; /* over the finite elements */
    int64_t nan, inf, zero;     /* counts */
    char sha256[65];            /* hex digest of the elements' bytes, or "" */
};

struct qw_tensor {
    enum qw_dtype dtype;
    struct qw_shape shape;
    void *data;             /* qw_shape_count elements in the machine's byte order (little-endian); NULL: structure only */
    struct qw_stats *stats; /* owned; NULL: not known */
};

const char *qw_dtype_name(enum qw_dtype dtype);                  /* "float32" */
bool qw_dtype_from_name(enum qw_dtype *dtype, const char *name); /* recordings */
size_t qw_dtype_bytes(enum qw_dtype dtype);
/* Unit roundoff u = 2^-bits of round-to-nearest (float32: 2^-24); 0 for integers. */
double qw_dtype_roundoff(enum qw_dtype dtype);

struct qw_shape qw_shape_of(int rank, ...);           /* extents as int64_t */
int64_t qw_shape_count(const struct qw_shape *shape); /* product of the extents; 1 for a scalar */
bool qw_shape_equal(const struct qw_shape *a, const struct qw_shape *b);
void qw_shape_text(char *out, size_t size, const struct qw_shape *shape); /* "[1, 2, 8]" */

struct qw_tensor *qw_tensor_make(enum qw_dtype dtype, const struct qw_shape *shape);      /* zeroed; free with qw_tensor_free */
struct qw_tensor *qw_tensor_structure(enum qw_dtype dtype, const struct qw_shape *shape); /* without data */
void qw_tensor_free(struct qw_tensor *tensor);                                            /* NULL is fine */

/* `count` elements from flat index `first` on, widened exactly to double. */
void qw_tensor_read(double *out, const struct qw_tensor *tensor, int64_t first, int64_t count);
double qw_tensor_at(const struct qw_tensor *tensor, int64_t index);
/* All elements as doubles; free with free(). */
double *qw_tensor_doubles(const struct qw_tensor *tensor);

/* `value` to `bits` significand bits, ties to even: below `normal` to multiples of `step`, beyond `largest` to infinity. */
static inline double qw_round_bits(double value, int bits, double normal, double step, double largest)
{
    double size = fabs(value);
    if (!(size >= normal)) /* adding 1.5 * 2^52 steps leaves whole steps; NaN stays NaN */
        return copysign((size + step * 0x1.8p52) - step * 0x1.8p52, value);
    if (isinf(value))
        return value;
    uint64_t word, below = (uint64_t)1 << (53 - bits);
    memcpy(&word, &size, sizeof word);
    word = (word + below / 2 - 1 + (word / below & 1)) & ~(below - 1);
    memcpy(&size, &word, sizeof word);
    return copysign(size > largest ? (double)INFINITY : size, value);
}

/* The nearest value of `dtype` (ties to even), as a double.  Inline: a play rounds every single operation. */
static inline double qw_round_to(enum qw_dtype dtype, double value)
{
    switch (dtype) {
    case QW_F32: return (double)(float)value;
    case QW_BF16: return qw_round_bits(value, 8, 0x1p-126, 0x1p-133, 0x1.fep127);
    case QW_F16: return qw_round_bits(value, 11, 0x1p-14, 0x1p-24, 65504);
    default: return value;
    }
}

/* Rounds the elements of a float64 tensor to what `dtype` holds; nothing where there are none. */
void qw_tensor_round(struct qw_tensor *tensor, enum qw_dtype dtype);

/* "[0, 1, 3]" indices of flat index `index`. */
void qw_shape_unravel(int64_t out[QW_MAX_RANK], const struct qw_shape *shape, int64_t index);

#endif
