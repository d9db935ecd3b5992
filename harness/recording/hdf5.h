/* Reading HDF5 that nobody here wrote: the only file that includes hdf5.h.
 *
 * Nothing but hard links is followed, no plug-in is loaded, no other file is
 * opened, and extents are checked against a budget before memory is taken.
 * Call it in a worker process only: libhdf5 crashes on some damaged files. */
#ifndef QC_RECORDING_HDF5_H
#define QC_RECORDING_HDF5_H

#include <stdbool.h>
#include <stdint.h>

#include "reference/base/error.h"
#include "reference/base/tensor.h"

struct qc_hdf5 {
    int64_t file;     /* HDF5 identifier; -1 when closed */
    int64_t budget;   /* bytes of data that may still be read */
    struct qw_error *error;
};

/* A dataset as it stands in the file. */
struct qc_dataset {
    struct qw_tensor *tensor; /* element type and *whole* shape; data is NULL when the dataspace is null */
    int64_t order;            /* attribute "order", -1 when absent */
    int64_t from;             /* attribute "from": first kept position along the sequence axis, -1 when everything is kept */
    bool has_rows;            /* attribute "rows": only some rows along axis 1 are kept */
};

struct qc_names {
    int count;
    char **item; /* in alphabetical order */
};

/* Opens and walks the whole file once, refusing (QW_ERROR_INPUT) every link that is not hard. */
bool qc_hdf5_open(struct qc_hdf5 *hdf5, const char *path, int64_t budget, struct qw_error *error);
void qc_hdf5_close(struct qc_hdf5 *hdf5);

bool qc_hdf5_has(const struct qc_hdf5 *hdf5, const char *path);
/* Names in a group; none when the group is absent.  Release with qc_names_clear. */
struct qc_names qc_hdf5_names(const struct qc_hdf5 *hdf5, const char *group);
struct qc_names qc_hdf5_attributes(const struct qc_hdf5 *hdf5, const char *object);
void qc_names_clear(struct qc_names *names);

/* Text of an attribute (free with free()).  Absent: `fallback` copied, or QW_ERROR_INPUT when `fallback` is NULL.
 * NULL only with the error set. */
char *qc_hdf5_text(const struct qc_hdf5 *hdf5, const char *object, const char *name, const char *fallback);
/* Integer attribute; absent: `fallback`, or QW_ERROR_INPUT when `required`. */
int64_t qc_hdf5_int(const struct qc_hdf5 *hdf5, const char *object, const char *name, bool required, int64_t fallback);

/* "1.10.8": version of the library in use. */
const char *qc_hdf5_version(void);

/* Reads a dataset; tensor NULL with the error set on refusal.  The caller frees the tensor. */
struct qc_dataset qc_hdf5_dataset(struct qc_hdf5 *hdf5, const char *path);

#endif
