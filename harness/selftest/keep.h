/* Tensors of a recording, made from the play's numbers, as a recorder keeps them at its level. */
#ifndef QC_SELFTEST_KEEP_H
#define QC_SELFTEST_KEEP_H

#include "harness/compare/frame.h"

/* Elements in that type, from doubles or integers. */
struct qw_tensor *qc_keep_values(const double *values, const struct qw_shape *shape, enum qw_dtype dtype);
struct qw_tensor *qc_keep_integers(const int64_t *numbers, const struct qw_shape *shape);

/* One half of a layer of a cache, [B,heads,S,D], as the frame has it: in the record's axes, zeros in the room behind the rows. */
struct qw_tensor *qc_keep_frame(const struct qc_frame *frame, const double *values, enum qw_dtype dtype);

/* Takes the elements away as the levels "shapes" and "stats" do; the latter leaves their statistics. */
void qc_keep_level(struct qw_tensor *tensor, enum qc_level level);

#endif
