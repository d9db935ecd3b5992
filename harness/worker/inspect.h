/* What is in a recording, without judging it. */
#ifndef QC_WORKER_INSPECT_H
#define QC_WORKER_INSPECT_H

#include "harness/worker/task.h"

/* A document of schema "qconform-inspect/1": what was recorded, every tensor by name, type and shape, and a health
 * check.  A file that cannot be read gives a document with "error" as in a case of the result. */
struct qw_json *qc_inspect(const struct qc_task *task);

#endif
