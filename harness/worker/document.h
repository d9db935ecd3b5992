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

/* What stands in a document beside its cases. */
struct qc_document {
    int argc; /* the command line as given */
    char **argv;
    struct qw_json *tool; /* qc_document_tool, or that of another document; the document takes it */
    struct qw_json *run;  /* what of which suites was run (result.schema.json: "run"), which the document takes; NULL: no suite */
    enum qc_exit ended;   /* QC_EXIT_INTERRUPTED or QC_EXIT_TERMINATED when a signal ended the run, else QC_EXIT_OK */
};

/* The field "tool": this program, and what made the cases. */
struct qw_json *qc_document_tool(const struct qc_workers *workers);

/* Takes ownership of the `count` cases.  Counts and exit code follow from their statuses. */
struct qw_json *qc_document_make(struct qw_json **cases, int count, const struct qc_document *about);

/* Exit code of a document, from its "exit" field. */
enum qc_exit qc_document_exit(const struct qw_json *document);

/* Now, or SOURCE_DATE_EPOCH, as "2026-01-01T00:00:00Z"; free with free(). */
char *qc_timestamp(void);

#endif
