/* Reading HDF5 that nobody here wrote: only hdf5*.c in this folder include hdf5.h.
 *
 * Nothing but hard links is followed, no plug-in is loaded, no other file is
 * opened, and extents are checked against a budget before memory is taken.
 * Call it in a worker process only: libhdf5 crashes on some damaged files. */
#ifndef QC_RECORDING_HDF5_H
#define QC_RECORDING_HDF5_H

#include "harness/recording/limits.h"
#include "harness/recording/source.h"
#include "reference/base/tensor.h"

struct qc_hdf5 {
    int64_t file;          /* HDF5 identifier; -1 when closed */
    struct qc_limits left; /* what may still be taken; `data` and `texts` go down */
    int64_t unpacked;      /* bytes that may still come out of the file */
    struct qw_error *error;
};

/* A dataset as it stands in the file. */
struct qc_dataset {
    struct qw_tensor *tensor; /* what was kept; its data are NULL when the dataspace is null, its shape is the whole one then */
    struct qw_shape whole;    /* attribute "shape": the extents of the whole tensor */
    int64_t order;            /* attribute "order", -1 when absent */
    int64_t from;             /* attribute "from": first kept position along the sequence axis; 0: everything is kept */
    int64_t *row, rows;       /* attribute "rows": kept positions along axis 1, owned; NULL: it says nothing */
};

struct qc_names {
    int count;
    char **item; /* in alphabetical order */
};

/* Opens the file of `source` and walks it once, refusing (QW_ERROR_INPUT) every link that is not hard, every name that
 * is not printable UTF-8, and more than `limits` allow. */
bool qc_hdf5_open(struct qc_hdf5 *hdf5, const struct qw_input *source, const struct qc_limits *limits, struct qw_error *error);
void qc_hdf5_close(struct qc_hdf5 *hdf5);

bool qc_hdf5_good(const struct qc_hdf5 *hdf5); /* nothing was refused so far */
/* QW_ERROR_INPUT at `place`, which may hold a stranger's bytes; always false. */
bool qc_hdf5_refuse(const struct qc_hdf5 *hdf5, const char *place, const char *hint, const char *why);

bool qc_hdf5_has(const struct qc_hdf5 *hdf5, const char *path);
/* True when there is a group at `path`; refuses another kind of object. */
bool qc_hdf5_group(const struct qc_hdf5 *hdf5, const char *path);
/* Names in a group; none when the group is absent.  Release with qc_names_clear. */
struct qc_names qc_hdf5_names(const struct qc_hdf5 *hdf5, const char *group);
struct qc_names qc_hdf5_attributes(const struct qc_hdf5 *hdf5, const char *object);
void qc_names_clear(struct qc_names *names);

bool qc_hdf5_has_attribute(const struct qc_hdf5 *hdf5, const char *object, const char *name);
/* Text of an attribute (free with free()).  Absent: `fallback` copied, or QW_ERROR_INPUT when `fallback` is NULL.
 * NULL only with the error set. */
char *qc_hdf5_text(struct qc_hdf5 *hdf5, const char *object, const char *name, const char *fallback);
/* Integer attribute; absent: `fallback`, or QW_ERROR_INPUT when `required`. */
int64_t qc_hdf5_int(const struct qc_hdf5 *hdf5, const char *object, const char *name, bool required, int64_t fallback);
/* Number of integers in a required attribute and, in `out`, the first `most`; -1 with the error set when it holds more
 * or something else. */
int qc_hdf5_ints(int64_t *out, int most, const struct qc_hdf5 *hdf5, const char *object, const char *name);
/* A required float64 attribute. */
double qc_hdf5_real(const struct qc_hdf5 *hdf5, const char *object, const char *name);

/* Takes memory for `count` elements of `bytes` each out of the budget, or refuses. */
bool qc_hdf5_take(struct qc_hdf5 *hdf5, int64_t count, size_t bytes, const char *path);

/* Read a dataset; tensor NULL with the error set on refusal.  The caller frees the tensor and the rows.  Of the first
 * kind everything must be kept, of the second rows along axis 1 ("rows"), of the third the end of `axis` ("from"). */
struct qc_dataset qc_hdf5_dataset(struct qc_hdf5 *hdf5, const char *path);
struct qc_dataset qc_hdf5_dataset_rows(struct qc_hdf5 *hdf5, const char *path);
struct qc_dataset qc_hdf5_dataset_end(struct qc_hdf5 *hdf5, const char *path, int axis);

/* "1.10.8": version of the library in use. */
const char *qc_hdf5_version(void);

#endif
