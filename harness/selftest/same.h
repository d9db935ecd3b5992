/* How two records of the same form differ, tensor by tensor, bit by bit, without any judge. */
#ifndef QC_SELFTEST_SAME_H
#define QC_SELFTEST_SAME_H

#include "harness/recording/recording.h"
#include "reference/sites.h"

enum qc_apart {
    QC_APART_NOWHERE,  /* equal to the last bit */
    QC_APART_VALUES,   /* elements of floating tensors alone */
    QC_APART_STRUCTURE /* presence, extents, types, integers, lengths, or a raise */
};

/* Told of every tensor whose elements alone differ; layer -1: outside the blocks. */
struct qc_apart_listener {
    void (*tell)(void *user, enum qw_site site, int step, int layer);
    void *user;
};

/* `listener` may be NULL; it is told of values only, and not of all where the structure differs. */
enum qc_apart qc_records_apart(const struct qc_recording *a, const struct qc_recording *b,
                               const struct qc_apart_listener *listener);

#endif
