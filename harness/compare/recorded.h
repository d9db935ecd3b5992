/* The recorded tensor of a judged place. */
#ifndef QC_COMPARE_RECORDED_H
#define QC_COMPARE_RECORDED_H

#include "harness/compare/subject.h"
#include "reference/sites.h"

/* NULL where the record has none, or the site is no tensor.  Borrowed from the recording. */
const struct qw_tensor *qc_recorded_tensor(const struct qc_subject *subject, enum qw_site site, int step, int layer);

#endif
