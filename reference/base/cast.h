/* From one element type to another, as a framework casts a tensor. */
#ifndef QW_BASE_CAST_H
#define QW_BASE_CAST_H

#include "reference/base/tensor.h"

/* `count` elements of type `from` as elements of floating type `to`: round to nearest, ties to even, beyond the largest
 * to infinity.  float64 goes to a half through float32, which is how torch casts it. */
void qw_cast(void *out, enum qw_dtype to, const void *in, enum qw_dtype from, int64_t count);

#endif
