/* The values of two tensors of one shape and dtype. */
#ifndef QC_COMPARE_PAIR_VALUES_H
#define QC_COMPARE_PAIR_VALUES_H

#include "harness/compare/noise.h"
#include "harness/recording/recording.h"

enum qc_pair_outcome { QC_PAIR_EQUAL, QC_PAIR_DIFFERENT, QC_PAIR_UNKNOWN };

/* Holds b against a.  `floor` 0: the bits must be equal, ratio is 0 or infinity; else ratio = max |a - b| / floor.
 * Where one of them kept only statistics, the digests decide, or the statistics; the values of `found` are then the
 * root mean squares.  UNKNOWN: one of them kept neither. */
enum qc_pair_outcome qc_pair_values(struct qc_difference *found, const struct qw_tensor *a, const struct qw_tensor *b,
                                    double floor);

/* Two taps that kept other rows of axis 1 (counted from the end: a library may compute the last ones only): the rows
 * that both have, as new tensors.  Leaves `rows` alone when the taps kept the same. */
void qc_pair_common_rows(struct qw_tensor *rows[2], const struct qc_tap *a, const struct qc_tap *b);

/* Whether two sets hold the same names with the same shapes, dtypes and bits. */
bool qc_pair_same_tensors(const struct qw_tensors *a, const struct qw_tensors *b);

#endif
