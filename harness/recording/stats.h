/* Statistics of a tensor whose elements were not kept (level "stats"), as attributes of its dataset. */
#ifndef QC_RECORDING_STATS_H
#define QC_RECORDING_STATS_H

#include "harness/recording/hdf5.h"

/* Fills `tensor->stats`, or leaves it NULL when the dataset has none of the attributes.  Refuses a part of them, other
 * types, counts beyond the elements, and a minimum above the maximum. */
bool qc_stats_read(struct qw_tensor *tensor, struct qc_hdf5 *hdf5, const char *path);

/* Holds the data of a floating tensor against the attribute "sha256", where it is there.  (Of integers the digest may be
 * that of a narrower type, which is stored as int64.) */
bool qc_stats_verify(const struct qw_tensor *tensor, struct qc_hdf5 *hdf5, const char *path);

#endif
