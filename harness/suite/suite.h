/* Suites: recordings, each with the requirement that it must meet and where that
 * comes from, as JSON files (suites/suite.schema.json).
 *
 * A mistake in a suite is a case of its own, of status ERROR, and what is sound
 * beside it is judged: a file that cannot be read, a field that has no place,
 * an id that is there twice, a recording that is not there. */
#ifndef QC_SUITE_SUITE_H
#define QC_SUITE_SUITE_H

#include <stdint.h>
#include <sys/types.h>

#include "harness/compare/subject.h"
#include "reference/base/error.h"
#include "reference/base/json.h"
#include "reference/base/sha256.h"

/* One case as it is to be run. */
struct qc_suite_case {
    char *id;
    char *requirement, *source; /* NULL for a mistake that belongs to no sound block */
    char *suite;                /* file that it stands in, as the user may open it; NULL: none */
    int file;                   /* index of that file in qc_suites.files; -1: none */
    char *recording;            /* file, as the user may open it; NULL as above */
    char *model, *adapter;      /* folders; NULL: as the recording says */
    char *site, *precision;     /* what `selection` points to; NULL: none */
    char **tags;                /* `tag_count` of them */
    int tag_count;
    struct qc_selection selection;
    double limit;                   /* seconds; 0: that of the run */
    int64_t bytes;                  /* of the recording */
    char digest[QW_SHA256_HEX];     /* of what its block asks for, wherever the suite lies */
    bool named;                     /* `id` is its own, not made up from the place of a mistake */
    struct qw_error problem;        /* why it cannot be run; kind QW_ERROR_NONE: it can */
    const struct qw_json *expected; /* its entry of a baseline (harness/suite/baseline.h), which lives elsewhere; NULL: none */
};

struct qc_suite_file {
    char *path;     /* as the user may open it */
    char *baseline; /* the baseline that it names, as the user may open it; NULL: none */
    dev_t device;
    ino_t inode;
};

struct qc_suites {
    struct qc_suite_case *cases; /* in the order of files and blocks */
    int count, room;
    struct qc_suite_file *files;
    int file_count;
    struct qw_json *told; /* the files, as in result.schema.json: run.suites */
    void *ids;            /* of the cases, for looking up */
};

/* Reads `path`, a suite file, or a folder: every suite.json and *.suite.json in and below it, by name, but for what begins
 * with a dot.  Appends; a file that was read before is passed over.  False (QW_ERROR_INPUT) only when there is no such file
 * or folder, or no suite in it. */
bool qc_suites_read(struct qc_suites *suites, const char *path, struct qw_error *error);

/* A case that is a mistake which belongs to no suite, such as a baseline that cannot be read; `error` with its file. */
void qc_suites_add_problem(struct qc_suites *suites, const char *id, const struct qw_error *error);

/* Whether one of the cases has that id. */
bool qc_suites_has(const struct qc_suites *suites, const char *id);

void qc_suites_clear(struct qc_suites *suites);

#endif
