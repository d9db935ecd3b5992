/* Invariant: every element is written, and a value that the new type holds is kept to the bit. */
#include "reference/base/cast.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static uint16_t bf16_bits(float value)
{
    uint32_t bits;
    if (isnan(value))
        return 0x7fc0;
    float rounded = (float)qw_round_to(QW_BF16, (double)value);
    memcpy(&bits, &rounded, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static uint16_t f16_bits(float value)
{
    int exponent;
    double rounded = qw_round_to(QW_F16, (double)value), size = fabs(rounded);
    unsigned sign = signbit(value) ? 0x8000 : 0;
    if (isnan(rounded))
        return 0x7e00;
    if (isinf(rounded))
        return (uint16_t)(sign | 0x7c00);
    if (size < 0x1p-14)
        return (uint16_t)(sign | (unsigned)ldexp(size, 24));
    double fraction = frexp(size, &exponent); /* 0.5 <= fraction < 1 */
    return (uint16_t)(sign | (unsigned)(exponent + 14) << 10 | ((unsigned)ldexp(fraction, 11) & 1023));
}

static void store(void *out, enum qw_dtype to, int64_t index, double value)
{
    switch (to) {
    case QW_F64: ((double *)out)[index] = value; break;
    case QW_F32: ((float *)out)[index] = (float)value; break;
    case QW_BF16: ((uint16_t *)out)[index] = bf16_bits((float)value); break;
    case QW_F16: ((uint16_t *)out)[index] = f16_bits((float)value); break;
    default: assert(false); /* weights are not cast to integers */
    }
}

void qw_cast(void *out, enum qw_dtype to, const void *in, enum qw_dtype from, int64_t count)
{
    if (to == from) {
        memcpy(out, in, (size_t)count * qw_dtype_bytes(to));
        return;
    }
    struct qw_tensor view = {.dtype = from, .shape = qw_shape_of(1, count), .data = (void *)(uintptr_t)in};
    for (int64_t i = 0; i < count; i++)
        store(out, to, i, qw_tensor_at(&view, i));
}
