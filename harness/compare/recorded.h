/* The recorded tensor of a judged place. */
#ifndef QC_COMPARE_RECORDED_H
#define QC_COMPARE_RECORDED_H

#include "harness/compare/subject.h"
#include "reference/sites.h"

/* NULL where the record has none, or the site is no tensor.  Borrowed from the recording. */
const struct qw_tensor *qc_recorded_tensor(const struct qc_subject *subject, enum qw_site site, int step, int layer);

/* The tap of a module's site; NULL where there is none. */
const struct qc_tap *qc_recorded_tap(const struct qc_subject *subject, enum qw_site site, int step, int layer);

/* Whether the library computed the rotary table once, so that one batch row stands for all of `shape`. */
bool qc_stands_for_all(const struct qw_shape *recorded, const struct qw_shape *shape);
/* Puts the recorded values in the place of a play's; false where they were not kept whole, or have other extents. */
bool qc_recorded_put(double *value, const struct qc_tap *tap, const struct qw_shape *shape);

#endif
