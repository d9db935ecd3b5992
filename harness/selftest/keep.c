/* Invariant: a tensor is made whole; what its level does not keep is taken away afterwards. */
#include "harness/selftest/keep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/cast.h"
#include "reference/base/memory.h"
#include "reference/base/sha256.h"

struct qw_tensor *qc_keep_integers(const int64_t *numbers, const struct qw_shape *shape)
{
    struct qw_tensor *tensor = qw_tensor_make(QW_I64, shape);
    memcpy(tensor->data, numbers, sizeof *numbers * (size_t)qw_shape_count(shape));
    return tensor;
}

struct qw_tensor *qc_keep_values(const double *values, const struct qw_shape *shape, enum qw_dtype dtype)
{
    struct qw_tensor *tensor = qw_tensor_make(dtype, shape);
    int64_t count = qw_shape_count(shape);
    if (dtype != QW_I64) {
        qw_cast(tensor->data, dtype, values, QW_F64, count);
        return tensor;
    }
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)tensor->data)[i] = (int64_t)values[i];
    return tensor;
}

/* [outer,rows,inner] -> [outer,room,inner], zeros behind the rows; free with free(). */
static double *with_room(const double *rows, const struct qc_frame *frame)
{
    bool sequence_first = frame->layout == QW_LAYOUT_BSKD;
    int64_t outer = sequence_first ? frame->batch : frame->batch * frame->heads;
    int64_t inner = sequence_first ? frame->heads * frame->head_size : frame->head_size;
    double *whole = QW_NEW_ARRAY(double, outer * frame->room * inner);
    for (int64_t i = 0; i < outer; i++)
        memcpy(whole + i * frame->room * inner, rows + i * frame->rows * inner, sizeof *rows * (size_t)(frame->rows * inner));
    return whole;
}

struct qw_tensor *qc_keep_frame(const struct qc_frame *frame, const double *values, enum qw_dtype dtype)
{
    struct qw_shape shape = qc_frame_shape(frame);
    double *rows = qc_frame_rows(frame, values), *whole = rows ? with_room(rows, frame) : NULL;
    struct qw_tensor *tensor = whole ? qc_keep_values(whole, &shape, dtype) : qw_tensor_structure(dtype, &shape);
    free(rows);
    free(whole);
    return tensor;
}

/* Over the finite elements; counts of the others, and of zeros. */
static struct qw_stats statistics_of(const struct qw_tensor *tensor)
{
    struct qw_stats stats = {.min = INFINITY, .max = -INFINITY};
    int64_t count = qw_shape_count(&tensor->shape), finite = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = qw_tensor_at(tensor, i);
        stats.nan += isnan(x);
        stats.inf += isinf(x) != 0;
        stats.zero += x == 0;
        if (!isfinite(x))
            continue;
        finite++;
        stats.min = fmin(stats.min, x);
        stats.max = fmax(stats.max, x);
        stats.mean += x;
        stats.rms += x * x;
    }
    stats.mean /= (double)finite;
    stats.rms = sqrt(stats.rms / (double)finite);
    qw_sha256(stats.sha256, tensor->data, (size_t)count * qw_dtype_bytes(tensor->dtype));
    return stats;
}

void qc_keep_level(struct qw_tensor *tensor, enum qc_level level)
{
    if (!tensor->data || level >= QC_LEVEL_BLOCKS)
        return;
    if (level == QC_LEVEL_STATS) {
        struct qw_stats stats = statistics_of(tensor);
        tensor->stats = qw_memdup(&stats, 1, sizeof stats);
    }
    free(tensor->data);
    tensor->data = NULL;
}
