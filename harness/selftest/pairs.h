/* Two causes planted at once: both must be named, or the one must hide the other. */
#ifndef QC_SELFTEST_PAIRS_H
#define QC_SELFTEST_PAIRS_H

#include "harness/selftest/plant.h"

struct qc_planted {
    const struct qc_cause_row *cause;
    const struct qw_value *value; /* NULL: its deviation has none */
};

struct qc_pair_planting {
    struct qc_planted planted[2];
    enum qc_outcome outcome;             /* blind: one is hidden, and the other is named */
    const struct qc_cause_row *named[2]; /* NULL: none */
    double explained;                    /* by all that is named */
    char *reason;                        /* NULL: nothing to say; owned */
};

/* Row `index` of harness/selftest/pairs.def; false behind the last. */
bool qc_pair_at(const struct qc_cause_row *pair[2], int index);

/* Both have deviations.  Free result.reason. */
struct qc_pair_planting qc_plant_pair(const struct qc_bed *bed, const struct qc_planted pair[2]);

#endif
