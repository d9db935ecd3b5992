/* Invariant: equal means equal bits unless a floor is given. */
#include "harness/compare/pair_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/sha256.h"

static size_t bytes_of(const struct qw_tensor *tensor)
{
    return (size_t)qw_shape_count(&tensor->shape) * qw_dtype_bytes(tensor->dtype);
}

static int64_t first_difference(const struct qw_tensor *a, const struct qw_tensor *b)
{
    size_t width = qw_dtype_bytes(a->dtype);
    int64_t count = qw_shape_count(&a->shape), i = 0;
    while (i < count && !memcmp((const char *)a->data + (size_t)i * width, (const char *)b->data + (size_t)i * width, width))
        i++;
    return i;
}

static enum qc_pair_outcome compare_elements(struct qc_difference *found, const struct qw_tensor *a, const struct qw_tensor *b,
                                             double floor)
{
    if (!memcmp(a->data, b->data, bytes_of(a)))
        return QC_PAIR_EQUAL;
    double *truth = qw_tensor_doubles(a), *other = qw_tensor_doubles(b);
    *found = qc_difference_of(other, truth, NULL, qw_shape_count(&a->shape), 0, qw_dtype_roundoff(a->dtype));
    found->floor = floor;
    found->ratio = floor > 0 && isfinite(found->max_abs) ? found->max_abs / floor : (double)INFINITY;
    if (!found->nonfinite) {
        found->index = first_difference(a, b);
        found->expected = truth[found->index];
        found->observed = other[found->index];
    }
    free(truth);
    free(other);
    return qc_conforms(found->ratio) ? QC_PAIR_EQUAL : QC_PAIR_DIFFERENT;
}

/* The statistics that were kept, or those of the data; false when there is neither. */
static bool statistics_of(struct qw_stats *stats, const struct qw_tensor *tensor)
{
    if (tensor->stats)
        *stats = *tensor->stats;
    if (!tensor->data)
        return tensor->stats != NULL;
    int64_t count = qw_shape_count(&tensor->shape), finite = 0;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = qw_tensor_at(tensor, i);
        if (!isfinite(value))
            continue;
        finite++;
        sum += value;
        squares += value * value;
    }
    stats->mean = finite ? sum / (double)finite : 0;
    stats->rms = finite ? sqrt(squares / (double)finite) : 0;
    qw_sha256(stats->sha256, tensor->data, bytes_of(tensor));
    return true;
}

static bool same_statistics(const struct qw_stats *a, const struct qw_stats *b)
{
    if (a->sha256[0] && b->sha256[0])
        return !strcmp(a->sha256, b->sha256);
    return a->min == b->min && a->max == b->max && a->mean == b->mean && a->rms == b->rms && a->nan == b->nan &&
           a->inf == b->inf && a->zero == b->zero;
}

enum qc_pair_outcome qc_pair_values(struct qc_difference *found, const struct qw_tensor *a, const struct qw_tensor *b,
                                    double floor)
{
    struct qw_stats ours = {0}, theirs = {0};
    *found = (struct qc_difference){.floor = floor};
    if (a->data && b->data)
        return compare_elements(found, a, b, floor);
    if (!statistics_of(&ours, a) || !statistics_of(&theirs, b))
        return QC_PAIR_UNKNOWN;
    if (same_statistics(&ours, &theirs))
        return QC_PAIR_EQUAL;
    found->index = -1;
    found->expected = ours.rms;
    found->observed = theirs.rms;
    found->max_abs = found->rms = found->ulp = (double)NAN;
    found->ratio = (double)INFINITY;
    return QC_PAIR_DIFFERENT;
}

/* ---- rows ---- */

/* How far a kept row lies before the last row of the whole tensor. */
static int64_t from_end(const struct qc_tap *tap, int64_t index)
{
    if (tap->row)
        return tap->whole.dim[1] - 1 - tap->row[index];
    return tap->tensor->shape.dim[1] - 1 - index;
}

static struct qw_tensor *take_rows(const struct qw_tensor *from, const int64_t *wanted, int64_t count)
{
    struct qw_shape shape = from->shape;
    shape.dim[1] = count;
    struct qw_tensor *out = from->data ? qw_tensor_make(from->dtype, &shape) : qw_tensor_structure(from->dtype, &shape);
    int64_t width = 1;
    for (int i = 2; i < shape.rank; i++)
        width *= shape.dim[i];
    size_t bytes = (size_t)width * qw_dtype_bytes(from->dtype);
    for (int64_t b = 0; from->data && b < shape.dim[0]; b++)
        for (int64_t i = 0; i < count; i++)
            memcpy((char *)out->data + (size_t)(b * count + i) * bytes,
                   (const char *)from->data + (size_t)(b * from->shape.dim[1] + wanted[i]) * bytes, bytes);
    return out;
}

static bool rows_may_differ(const struct qc_tap *a, const struct qc_tap *b)
{
    const struct qw_shape *x = &a->tensor->shape, *y = &b->tensor->shape;
    bool chosen = a->row || b->row || (!strcmp(a->path, "lm_head") && x->rank == 3 && y->rank == 3 && x->dim[1] != y->dim[1]);
    return chosen && x->rank == y->rank && x->rank >= 2 && x->dim[0] == y->dim[0];
}

void qc_pair_common_rows(struct qw_tensor *rows[2], const struct qc_tap *a, const struct qc_tap *b)
{
    if (!rows_may_differ(a, b))
        return;
    int64_t n = a->tensor->shape.dim[1], m = b->tensor->shape.dim[1], count = 0;
    int64_t *ours = QW_NEW_ARRAY(int64_t, n), *theirs = QW_NEW_ARRAY(int64_t, n);
    for (int64_t i = 0, j = 0; i < n; i++) {
        while (j < m && from_end(b, j) > from_end(a, i))
            j++;
        if (j < m && from_end(b, j) == from_end(a, i)) {
            ours[count] = i;
            theirs[count++] = j;
        }
    }
    if (count) {
        rows[0] = take_rows(a->tensor, ours, count);
        rows[1] = take_rows(b->tensor, theirs, count);
    }
    free(ours);
    free(theirs);
}

bool qc_pair_same_tensors(const struct qw_tensors *a, const struct qw_tensors *b)
{
    bool same = a->count == b->count;
    for (int i = 0; same && i < a->count; i++) {
        const struct qw_tensor *ours = a->item[i].tensor, *theirs = qw_tensors_find(b, a->item[i].name);
        same = theirs && ours->dtype == theirs->dtype && qw_shape_equal(&ours->shape, &theirs->shape) && ours->data &&
               theirs->data && !memcmp(ours->data, theirs->data, bytes_of(ours));
    }
    return same;
}
