/* The result document: cases, counts and the exit code that follows from them. */
#ifndef QC_WORKER_DOCUMENT_H
#define QC_WORKER_DOCUMENT_H

#include "harness/worker/worker.h"
#include "reference/base/json.h"

#define QC_VERSION "0.1.0"

enum qc_exit {
#define EXIT(id, code, name, meaning) QC_EXIT_##id = code,
#include "harness/worker/exits.def"
#undef EXIT
};

/* The row of a code: "bad-input" and what it means; false for a code that the program never gives. */
bool qc_exit_words(const char **name, const char **meaning, int code);

/* Takes ownership of the `count` cases.  `argv` is the command line as given, `workers` what made the cases. */
struct qw_json *qc_document_make(struct qw_json **cases, int count, int argc, char **argv, const struct qc_workers *workers);

/* Exit code of a document, from its "exit" field. */
enum qc_exit qc_document_exit(const struct qw_json *document);

/* Now, or SOURCE_DATE_EPOCH, as "2026-01-01T00:00:00Z"; free with free(). */
char *qc_timestamp(void);

#endif
