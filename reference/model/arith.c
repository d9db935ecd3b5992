/* Invariant: matmul_* of qw_f64 is the definition; that of the others is held against it by a test. */
#include "reference/model/arith.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

static void define_nt(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)
{
    double *row = QW_NEW_ARRAY(double, inner);
    for (int64_t c = 0; c < cols; c++) {
        qw_tensor_read(row, w, c * inner, inner);
        for (int64_t r = 0; r < rows; r++) {
            double sum = 0;
            for (int64_t i = 0; i < inner; i++)
                sum += x[r * inner + i] * row[i];
            y[r * cols + c] = sum;
        }
    }
    free(row);
}

static void define_nn(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)
{
    double *row = QW_NEW_ARRAY(double, cols);
    memset(y, 0, sizeof *y * (size_t)(rows * cols));
    for (int64_t i = 0; i < inner; i++) {
        qw_tensor_read(row, w, i * cols, cols);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++)
                y[r * cols + c] += x[r * inner + i] * row[c];
    }
    free(row);
}

static float *floats_of(const double *x, int64_t count)
{
    float *out = QW_NEW_ARRAY(float, count);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)x[i];
    return out;
}

/* The tensor's elements as float32: itself when it is stored so, else a copy in `*scratch`. */
static const float *floats_in(float **scratch, const struct qw_tensor *w, int64_t count)
{
    *scratch = NULL;
    if (w->dtype == QW_F32)
        return w->data;
    double *wide = QW_NEW_ARRAY(double, count);
    qw_tensor_read(wide, w, 0, count);
    *scratch = floats_of(wide, count);
    free(wide);
    return *scratch;
}

static void blas(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols,
                 CBLAS_TRANSPOSE transpose)
{
    float *scratch, *a = floats_of(x, rows * inner), *c = QW_NEW_ARRAY(float, rows *cols);
    const float *b = floats_in(&scratch, w, inner * cols);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, transpose, (int)rows, (int)cols, (int)inner, 1.0f, a, (int)inner, b,
                (int)(transpose == CblasTrans ? inner : cols), 0.0f, c, (int)cols);
    for (int64_t i = 0; i < rows * cols; i++)
        y[i] = (double)c[i];
    free(scratch);
    free(a);
    free(c);
}

static void blas_nt(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)
{
    blas(y, x, w, rows, inner, cols, CblasTrans);
}

static void blas_nn(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)
{
    blas(y, x, w, rows, inner, cols, CblasNoTrans);
}

/* ---- kernels that do less than float32 ---- */

/* What a kernel does to a product beside summing it in float32: to how many explicit bits of mantissa it brings its operands
 * (0: it takes all 23), and in how many parts it sums, each rounded to `part`. */
struct kernel {
    int bits;
    bool cut; /* towards zero, not to the nearest */
    int parts;
    enum qw_dtype part;
};

static float narrowed(const struct kernel *kernel, float value)
{
    uint32_t word, lost = (1u << (23 - kernel->bits)) - 1;
    memcpy(&word, &value, sizeof word);
    if (kernel->bits == 0 || !isfinite(value))
        return value;
    if (!kernel->cut)
        word += (lost >> 1) + (word >> (23 - kernel->bits) & 1);
    word &= ~lost;
    memcpy(&value, &word, sizeof value);
    return value;
}

static float *operand(const struct kernel *kernel, const float *values, int64_t count)
{
    float *out = qw_memdup(values, (size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        out[i] = narrowed(kernel, out[i]);
    return out;
}

/* y += x[:, first .. end) w[:, first .. end)^T, or w[first .. end) without transposition, rounded to `part`. */
static void add_part(double *y, const float *x, const float *w, int64_t first, int64_t end, int64_t rows, int64_t inner,
                     int64_t cols, CBLAS_TRANSPOSE transpose, enum qw_dtype part)
{
    float *c = QW_NEW_ARRAY(float, rows *cols);
    bool nt = transpose == CblasTrans;
    if (end > first)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, transpose, (int)rows, (int)cols, (int)(end - first), 1.0f, x + first, (int)inner,
                    w + first * (nt ? 1 : cols), (int)(nt ? inner : cols), 0.0f, c, (int)cols);
    for (int64_t i = 0; i < rows * cols; i++)
        y[i] = qw_round_to(part, y[i] + qw_round_to(part, (double)c[i]));
    free(c);
}

static void multiply(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols,
                     CBLAS_TRANSPOSE transpose, const struct kernel *kernel)
{
    float *scratch, *a = floats_of(x, rows * inner);
    const float *b = floats_in(&scratch, w, inner * cols);
    float *left = operand(kernel, a, rows * inner), *right = operand(kernel, b, inner * cols);
    memset(y, 0, sizeof *y * (size_t)(rows * cols));
    for (int i = 0; i < kernel->parts; i++)
        add_part(y, left, right, inner * i / kernel->parts, inner * (i + 1) / kernel->parts, rows, inner, cols, transpose,
                 kernel->part);
    free(left);
    free(right);
    free(scratch);
    free(a);
}

/* The two products of one kernel. */
#define KERNEL(name, ...)                                                                                                        \
    static void name##_nt(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)      \
    {                                                                                                                            \
        multiply(y, x, w, rows, inner, cols, CblasTrans, &(const struct kernel){__VA_ARGS__});                                   \
    }                                                                                                                            \
    static void name##_nn(double *y, const double *x, const struct qw_tensor *w, int64_t rows, int64_t inner, int64_t cols)      \
    {                                                                                                                            \
        multiply(y, x, w, rows, inner, cols, CblasNoTrans, &(const struct kernel){__VA_ARGS__});                                 \
    }

KERNEL(tf32, 10, false, 1, QW_F32)
KERNEL(cut, 10, true, 1, QW_F32)
KERNEL(bf16_parts, 0, false, 2, QW_BF16)
KERNEL(f16_parts, 0, false, 2, QW_F16)

const struct qw_arith qw_f64 = {"float64, the definition", QW_F64, QW_F64, QW_F64, NULL, 0, define_nt, define_nn};
const struct qw_arith qw_f32 = {"float32, OpenBLAS", QW_F32, QW_F32, QW_F32, NULL, 0, blas_nt, blas_nn};
const struct qw_arith qw_bf16 = {
    "bfloat16 with sums, norms, rotary tables and softmax in float32", QW_BF16, QW_F32, QW_F32, NULL, 0, blas_nt, blas_nn};
const struct qw_arith qw_f16 = {
    "float16 with sums, norms, rotary tables and softmax in float32", QW_F16, QW_F32, QW_F32, NULL, 0, blas_nt, blas_nn};
const struct qw_arith qw_f64_mixed = {
    "float64 with norms, rotary tables and softmax in float32", QW_F64, QW_F32, QW_F64, NULL, 0, define_nt, define_nn};

const struct qw_arith qw_tf32[2] = {
    {"float32 with products of TF32", QW_F32, QW_F32, QW_F32, NULL, 0, tf32_nt, tf32_nn},
    {"float32 with products of TF32, cut off", QW_F32, QW_F32, QW_F32, NULL, 0, cut_nt, cut_nn},
};
const struct qw_arith qw_bf16_parts = {
    "bfloat16 with sums made in two parts", QW_BF16, QW_F32, QW_F32, NULL, 0, bf16_parts_nt, bf16_parts_nn};
const struct qw_arith qw_f16_parts = {
    "float16 with sums made in two parts", QW_F16, QW_F32, QW_F32, NULL, 0, f16_parts_nt, f16_parts_nn};

const struct qw_arith *qw_arith_of(enum qw_dtype dtype)
{
    switch (dtype) {
    case QW_F64: return &qw_f64_mixed;
    case QW_BF16: return &qw_bf16;
    case QW_F16: return &qw_f16;
    default: return &qw_f32;
    }
}

struct qw_arith qw_arith_dithered(const struct qw_arith *arith, enum qw_dtype by, uint64_t *state)
{
    struct qw_arith dithered = *arith;
    dithered.dither = state;
    dithered.roundoff = qw_dtype_roundoff(by);
    return dithered;
}

struct qw_arith qw_arith_as(const struct qw_arith *arith, enum qw_dtype dtype)
{
    struct qw_arith other = *arith;
    other.dtype = dtype;
    other.roundoff = arith->dither ? qw_dtype_roundoff(dtype) : 0;
    return other;
}

struct qw_arith qw_arith_summing(const struct qw_arith *arith, enum qw_dtype sums)
{
    struct qw_arith other = *arith;
    bool half = arith->dtype == QW_BF16 || arith->dtype == QW_F16, definition = arith->inner == QW_F64;
    if (sums != QW_F64 && !definition && (!half || arith->dtype == sums))
        other.sums = sums;
    return other;
}

bool qw_arith_is_ieee(void)
{
    volatile double zero = 0, tiny = 0x1p-1074, nan = zero / zero;
    volatile float small = 0x1p-149f;
    return !(nan <= 1) && !(nan > 1) && nan != nan && 1 / zero > 1e308 && tiny * 1 > 0 && small * 1 > 0 && (1 + 0x1p-53) - 1 == 0;
}

const char *qw_blas_version(void)
{
    static char version[64];
    const char *config = openblas_get_config();
    snprintf(version, sizeof version, "%.*s",
             (int)strcspn(config, " ") + 1 + (int)strcspn(config + strcspn(config, " ") + 1, " "), config);
    return version;
}

const char *qw_blas_core(void) { return openblas_get_corename(); }

const char *qw_blas_core_wanted(void)
{
    if (strcmp(openblas_get_corename(), "Prescott"))
        return NULL;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
        return "SkylakeX";
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "Haswell" : NULL;
}
