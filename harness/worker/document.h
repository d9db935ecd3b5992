/* The result document: cases, counts and the exit code that follows from them. */
#ifndef QC_WORKER_DOCUMENT_H
#define QC_WORKER_DOCUMENT_H

#include "harness/worker/worker.h"
#include "reference/base/json.h"

#define QC_VERSION "0.1.0"

enum qc_exit {
    QC_EXIT_OK = 0,
    QC_EXIT_DIVERGED = 1,
    QC_EXIT_USAGE = 2,
    QC_EXIT_INPUT = 3,
    QC_EXIT_NOTHING = 4,
    QC_EXIT_INCONCLUSIVE = 5,
    QC_EXIT_UNEXPECTED_PASS = 6,
    QC_EXIT_INTERNAL = 70,
    QC_EXIT_OUTPUT = 74,
};

/* Takes ownership of the `count` cases.  `argv` is the command line as given, `workers` what made the cases. */
struct qw_json *qc_document_make(struct qw_json **cases, int count, int argc, char **argv, const struct qc_workers *workers);

/* Exit code of a document, from its "exit" field. */
enum qc_exit qc_document_exit(const struct qw_json *document);

/* Now, or SOURCE_DATE_EPOCH, as "2026-01-01T00:00:00Z"; free with free(). */
char *qc_timestamp(void);

#endif
