/* What a file may ask of this program at most, in one table: limits.def. */
#ifndef QC_RECORDING_LIMITS_H
#define QC_RECORDING_LIMITS_H

#include <stdint.h>

struct qc_limits {
#define LIMIT(name, value, why) int64_t name;
#include "harness/recording/limits.def"
#undef LIMIT
    int64_t data; /* bytes of tensors in memory */
};

/* The table's values. */
static inline struct qc_limits qc_limits_of(int64_t data)
{
    return (struct qc_limits){
#define LIMIT(name, value, why) .name = (value),
#include "harness/recording/limits.def"
#undef LIMIT
        .data = data};
}

#endif
