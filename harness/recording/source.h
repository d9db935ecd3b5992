/* The file of a recording: whether libhdf5 reads the one that was opened and hashed, and why it does not open it. */
#ifndef QC_RECORDING_SOURCE_H
#define QC_RECORDING_SOURCE_H

#include "reference/base/input.h"

/* Refuses when the descriptor that a library opened by the path is of another file. */
bool qc_source_same(const struct qw_input *source, int descriptor, struct qw_error *error);

/* Says why libhdf5 does not open it: no HDF5, truncated, being written, too new, damaged.  Always false. */
bool qc_source_explain(const struct qw_input *source, struct qw_error *error);

#endif
