/* A worker whose tasks are a test's: this test binary itself, started again by qc_workers_run as any worker is, confined
 * as any worker is, with a table of tasks that no shipped program has. */
#ifndef QC_WORKER_TESTS_STUB_H
#define QC_WORKER_TESTS_STUB_H

#include "harness/worker/worker.h"

/* Runs `count` tasks that each do what `deed` names (a row of stub.c) on `path`; 20 s each unless `workers` says so. */
void stub_run(struct qw_json **answers, const char *const *deeds, int count, const char *path, struct qc_workers *workers);

/* The answer of one, with everything else as it usually is. */
struct qw_json *stub_do(const char *deed, const char *path);

#endif
