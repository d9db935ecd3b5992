/* Recordings are opened in processes of their own: what dies there is one
 * case, never the run.
 *
 * A worker is this same program started with the verb "worker" and one task.  It
 * confines itself (harness/worker/sandbox.h), does the task and answers with one
 * frame (harness/worker/frame.h).
 *
 * A recording may name the folders of its weights.  A worker never widens its own
 * rights by what it has read: it answers with the names, they are checked here,
 * and a second worker is started that may open these folders too. */
#ifndef QC_WORKER_WORKER_H
#define QC_WORKER_WORKER_H

#include <stddef.h>

#include "harness/worker/task.h"

/* How tasks are run, and what the workers told of themselves. */
struct qc_workers {
    int jobs;                               /* at most so many at once, at least 1 */
    double seconds;                         /* each task at most, both turns together, unless it has a limit of its own */
    size_t most_answer;                     /* bytes of an answer; 0: 256 MiB */
    void (*started)(void *user, int index); /* before each task is started, or once more tried to be; may be NULL */
    /* As each ends; may be NULL.  What it changes in the answer stands in answers[index]. */
    void (*done)(void *user, int index, struct qw_json *answer);
    /* Asked again and again, at least five times a second and behind every interrupted wait; may be NULL.  True: nothing
     * more is started, what runs is killed, and the tasks without an answer have NULL. */
    bool (*stop)(void *user);
    void *user;
    char core[32];           /* out: BLAS core type that the workers report; "" when none answered */
    struct qw_json *sandbox; /* out: what confined them, as in tool.sandbox of the result; NULL when none answered.
                              * The caller frees it. */
};

/* Runs the tasks, started in their order.  answers[i] is what task i gave, or a case of status CRASH or TIMEOUT, or NULL
 * where `stop` came first; the caller frees them. */
void qc_workers_run(struct qw_json **answers, const struct qc_task *tasks, int count, struct qc_workers *workers);

/* The other side: what the process started with the verb "worker" does.  Gives the exit status. */
int qc_worker_main(int count, char **arguments);

/* The same for another table of tasks than that of harness/worker/tasks.def. */
struct qc_task_kind {
    const char *name;
    struct qw_json *(*run)(const struct qc_task *task);
};
int qc_worker_serve(const struct qc_task_kind *kinds, int count, const char *task);

#endif
