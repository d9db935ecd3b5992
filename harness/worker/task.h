/* What a worker is asked to do, as one JSON text on its command line. */
#ifndef QC_WORKER_TASK_H
#define QC_WORKER_TASK_H

#include "harness/compare/subject.h"
#include "reference/base/json.h"

struct qc_task {
    const char *what;  /* row of harness/worker/tasks.def */
    const char *id;    /* what the case is called; NULL: by the file name of `path` */
    const char *path;  /* of the recording */
    const char *other; /* of a second recording; NULL: none */
    struct qc_places places;
    struct qc_selection selection;
    const char *filter; /* selftest: glob on the ids of the causes that are planted; NULL: all */
    int pairs;          /* selftest: 1 plants two at once as well */
    int floor;          /* compare: 1 asks for the noise floor instead of equal bits */
    double limit;       /* seconds that it may take, the worker's start included; 0: as all (qc_workers.seconds).  The
                         * worker is not told */
    int seconds;        /* of processor time; <= 0: no bound */
    int parent;         /* process that waits for the answer; <= 0: nobody does */
};

/* A task that asks for everything of one recording. */
struct qc_task qc_task_of(const char *what, const char *path);

/* An answer that asks for what `needs` names (harness/worker/worker.h); the caller frees it. */
struct qw_json *qc_task_needs(const struct qc_needs *needs);

/* What the case of this task is called. */
const char *qc_task_id(const struct qc_task *task);

/* The task as text; free with free(). */
char *qc_task_print(const struct qc_task *task);
/* Reads it back; the texts belong to `json`, which must outlive the task.  False when it is no task. */
bool qc_task_read(struct qc_task *task, const struct qw_json *json);

#endif
