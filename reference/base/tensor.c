/* Invariant: data is NULL or holds exactly qw_shape_count elements. */
#include "reference/base/tensor.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

static const struct {
    const char *name;
    size_t bytes;
    int bits;
} dtypes[QW_DTYPES] = {
#define DTYPE(id, name, safetensors, bytes, bits) [QW_##id] = {name, bytes, bits},
#include "reference/base/dtypes.def"
#undef DTYPE
};

const char *qw_dtype_name(enum qw_dtype dtype) { return dtypes[dtype].name; }
size_t qw_dtype_bytes(enum qw_dtype dtype) { return dtypes[dtype].bytes; }

double qw_dtype_roundoff(enum qw_dtype dtype) { return dtypes[dtype].bits ? ldexp(1.0, -dtypes[dtype].bits) : 0.0; }

bool qw_dtype_from_name(enum qw_dtype *dtype, const char *name)
{
    for (int i = 0; i < QW_DTYPES; i++)
        if (!strcmp(dtypes[i].name, name))
            return *dtype = (enum qw_dtype)i, true;
    return false;
}

struct qw_shape qw_shape_of(int rank, ...)
{
    struct qw_shape shape = {.rank = rank};
    va_list args;
    va_start(args, rank);
    for (int i = 0; i < rank; i++)
        shape.dim[i] = va_arg(args, int64_t);
    va_end(args);
    return shape;
}

int64_t qw_shape_count(const struct qw_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++)
        count *= shape->dim[i];
    return count;
}

bool qw_shape_equal(const struct qw_shape *a, const struct qw_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

void qw_shape_text(char *out, size_t size, const struct qw_shape *shape)
{
    size_t used = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < shape->rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)shape->dim[i]);
    if (used < size)
        snprintf(out + used, size - used, "]");
}

void qw_shape_unravel(int64_t out[QW_MAX_RANK], const struct qw_shape *shape, int64_t index)
{
    for (int i = shape->rank - 1; i >= 0; i--) {
        out[i] = index % shape->dim[i];
        index /= shape->dim[i];
    }
}

struct qw_tensor *qw_tensor_structure(enum qw_dtype dtype, const struct qw_shape *shape)
{
    struct qw_tensor *tensor = QW_NEW(struct qw_tensor);
    tensor->dtype = dtype;
    tensor->shape = *shape;
    return tensor;
}

struct qw_tensor *qw_tensor_make(enum qw_dtype dtype, const struct qw_shape *shape)
{
    struct qw_tensor *tensor = qw_tensor_structure(dtype, shape);
    tensor->data = qw_calloc((size_t)qw_shape_count(shape), qw_dtype_bytes(dtype));
    return tensor;
}

void qw_tensor_free(struct qw_tensor *tensor)
{
    if (tensor) {
        free(tensor->data);
        free(tensor->stats);
    }
    free(tensor);
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double from_bf16(uint16_t bits) { return (double)float_of((uint32_t)bits << 16); }

/* The half's exponent and fraction, read where float32 has them, are too small by 2^112; so are its subnormals. */
static double from_f16(uint16_t bits)
{
    double magnitude = (double)float_of((uint32_t)(bits & 0x7fff) << 13) * 0x1p112;
    if ((bits & 0x7c00) == 0x7c00)
        magnitude = bits & 1023 ? (double)NAN : (double)INFINITY;
    return bits >> 15 ? -magnitude : magnitude;
}

double qw_tensor_at(const struct qw_tensor *tensor, int64_t index)
{
    switch (tensor->dtype) {
    case QW_F64: return ((const double *)tensor->data)[index];
    case QW_F32: return (double)((const float *)tensor->data)[index];
    case QW_F16: return from_f16(((const uint16_t *)tensor->data)[index]);
    case QW_BF16: return from_bf16(((const uint16_t *)tensor->data)[index]);
    default: return (double)((const int64_t *)tensor->data)[index];
    }
}

static void read_floats(double *out, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (double)from[i];
}

static void read_halves(double *out, const uint16_t *from, int64_t count, double (*widen)(uint16_t))
{
    for (int64_t i = 0; i < count; i++)
        out[i] = widen(from[i]);
}

void qw_tensor_read(double *out, const struct qw_tensor *tensor, int64_t first, int64_t count)
{
    switch (tensor->dtype) {
    case QW_F32: read_floats(out, (const float *)tensor->data + first, count); break;
    case QW_BF16: read_halves(out, (const uint16_t *)tensor->data + first, count, from_bf16); break;
    case QW_F16: read_halves(out, (const uint16_t *)tensor->data + first, count, from_f16); break;
    default:
        for (int64_t i = 0; i < count; i++)
            out[i] = qw_tensor_at(tensor, first + i);
    }
}

double *qw_tensor_doubles(const struct qw_tensor *tensor)
{
    int64_t count = qw_shape_count(&tensor->shape);
    double *out = QW_NEW_ARRAY(double, count);
    qw_tensor_read(out, tensor, 0, count);
    return out;
}

void qw_tensor_round(struct qw_tensor *tensor, enum qw_dtype dtype)
{
    double *values = tensor->data;
    for (int64_t i = 0; values && i < qw_shape_count(&tensor->shape); i++)
        values[i] = qw_round_to(dtype, values[i]);
}
