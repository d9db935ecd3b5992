/* Another machine's arithmetic: that of a record, with every sum of products made from its last term to its first. */
#ifndef QC_SELFTEST_BACKWARDS_H
#define QC_SELFTEST_BACKWARDS_H

#include "reference/model/arith.h"

/* For an arithmetic whose sums are made in float32 or float64. */
struct qw_arith qc_arith_backwards(const struct qw_arith *arith);

#endif
