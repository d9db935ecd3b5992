/* Two recordings, compared from their files to a case of the result document. */
#ifndef QC_WORKER_PAIR_CASE_H
#define QC_WORKER_PAIR_CASE_H

#include "harness/worker/task.h"

/* A case with "mode": "compare": `recording` is A, `other` B; in first_divergence A is the expected side, B the observed
 * one.  Never NULL: what cannot be read or has nothing in common is a case of status ERROR or SKIP. */
struct qw_json *qc_case_compare(const struct qc_task *task);

#endif
