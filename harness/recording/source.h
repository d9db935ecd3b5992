/* The bytes of a recording: one open file, its digest, and whether it stayed as it was while it was read. */
#ifndef QC_RECORDING_SOURCE_H
#define QC_RECORDING_SOURCE_H

#include <sys/stat.h>

#include "reference/base/sha256.h"

struct qc_source {
    const char *path; /* not owned */
    int descriptor;   /* -1 when closed */
    struct stat info; /* when it was opened */
};

/* Opens a regular file; never waits for a pipe or a device. */
bool qc_source_open(struct qc_source *source, const char *path, struct qw_error *error);
void qc_source_close(struct qc_source *source);

/* Refuses when the descriptor that a library opened by the path is of another file. */
bool qc_source_same(const struct qc_source *source, int descriptor, struct qw_error *error);
/* Refuses when the file was written to since it was opened: what was read may be of two states. */
bool qc_source_unchanged(const struct qc_source *source, struct qw_error *error);

/* Says why libhdf5 does not open it: no HDF5, truncated, being written, too new, damaged.  Always false. */
bool qc_source_explain(const struct qc_source *source, struct qw_error *error);

#endif
