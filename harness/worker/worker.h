/* Recordings are opened in processes of their own: what dies there is one
 * case, never the run.
 *
 * A worker is this same program started with the verb "worker"; it answers
 * with one frame on its standard output: "QCF1", length and CRC-32 of the
 * payload (uint32 each, little-endian), and the payload, a JSON document. */
#ifndef QC_WORKER_WORKER_H
#define QC_WORKER_WORKER_H

#include "harness/worker/task.h"

/* Runs the tasks, at most `jobs` at once, each for at most `seconds`.  answers[i] is what task i gave, or a case of
 * status CRASH or TIMEOUT; the caller frees them.  `done` (may be NULL) is called as each task ends.  `core` receives
 * the BLAS core type that the workers report (at least 32 bytes; "" when none answered). */
void qc_workers_run(struct qw_json **answers, const struct qc_task *tasks, int count, int jobs, double seconds, char *core,
                    void (*done)(void *user, int index), void *user);

/* The other side: what the process started with the verb "worker" does.  Gives the exit status. */
int qc_worker_main(int count, char **arguments);

#endif
