/* Whether a tensor is another one with its axes in another order. */
#ifndef QC_COMPARE_LAYOUT_H
#define QC_COMPARE_LAYOUT_H

#include "reference/base/tensor.h"

/* Looks for the permutation under which `recorded` holds exactly the elements of `expected` (of `shape`): axis i of the
 * record is axis permutation[i] of what is expected.  Without values on either side the extents alone decide, where
 * they differ.  Among several that fit it is the one that moves the fewest axes; false when two move as few, and for
 * what cannot be told from the expected order. */
bool qc_layout_find(int permutation[QW_MAX_RANK], const struct qw_tensor *recorded, const double *expected,
                    const struct qw_shape *shape);

#endif
