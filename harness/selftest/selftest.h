/* The judge judged: every cause planted in the reference's own record of a fixture, and what was named. */
#ifndef QC_SELFTEST_SELFTEST_H
#define QC_SELFTEST_SELFTEST_H

#include "harness/worker/task.h"

/* A document of schema "qconform-selftest/1".  A file that cannot be read, is not covered, or has no weights gives a case
 * with that status, as of the result document. */
struct qw_json *qc_selftest(const struct qc_task *task);

#endif
