/* What a worker may open: the recordings that it was given, and of a weight
 * folder the files that a checkpoint has, one by one.
 *
 * A folder that the person names (--model, --adapter) is taken as it is: a link
 * in it is followed to wherever it leads, as in a download cache.  A folder that
 * a recording names may lie anywhere relative to the recording ("../models/x"),
 * but a link in it has to stay inside the folder, or lead to the "blobs" of the
 * Hugging Face cache that the folder is a snapshot of (../../blobs): otherwise
 * who made the recording would choose which file of this machine is read. */
#ifndef QC_WORKER_GRANTS_H
#define QC_WORKER_GRANTS_H

#include <stdint.h>

#include "harness/worker/task.h"

struct qc_grant {
    char *path;
    bool folder; /* may be opened as a folder; its files have grants of their own */
};

struct qc_grants {
    struct qc_grant *item;
    int count;
    int64_t bytes; /* sizes of the files, together */
};

/* Looks at names, types and sizes alone, never into a file.  What is not there has no grant.  QW_ERROR_INPUT for a link
 * that leaves a folder which the recording names.  Release with qc_grants_clear in either case. */
bool qc_grants_make(struct qc_grants *grants, const struct qc_task *task, struct qw_error *error);
void qc_grants_clear(struct qc_grants *grants);

/* Whether a folder may be named so inside a recording: QW_ERROR_INPUT at `place` for an absolute path and for control
 * characters; `option` is the option that names it by hand. */
bool qc_named_folder_check(const char *name, const char *place, const char *option, struct qw_error *error);

#endif
