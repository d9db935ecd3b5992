/* One recording, judged from its file to its case of the result document. */
#ifndef QC_WORKER_CASE_H
#define QC_WORKER_CASE_H

#include <time.h>

#include "harness/worker/task.h"

/* Reads, judges, diagnoses.  Never NULL: what cannot be read or is not covered is a case of status ERROR or SKIP. */
struct qw_json *qc_case_judge(const struct qc_task *task);

/* The task's case where it ended without a judgement: `status` with the error's words. */
struct qw_json *qc_case_failed(const struct qc_task *task, const char *status, const struct qw_error *error);

/* Shared by the kinds of cases: the first fields, the last one, and a whole case without a judgement.  `recording` may be
 * NULL, or one that could not be read. */
struct qw_json *qc_case_head(const char *id, const char *path, const struct qc_recording *recording);
void qc_case_put_seconds(struct qw_json *json, const struct timespec *from);
struct qw_json *qc_case_undecided(const char *id, const char *path, const struct qc_recording *recording, const char *status,
                                  const struct qw_error *error);

#endif
