/* A recording whose prefix has the extents that given rules ask for.
 *
 * Some faults lie in the adapter's file: its table was made for other heads.  To play them, or to play a healthy run of a
 * recording whose own adapter has them, the table is cut or repeated to the columns that fit. */
#ifndef QC_SELFTEST_REFIT_H
#define QC_SELFTEST_REFIT_H

#include "harness/compare/subject.h"

struct qc_refit {
    bool made; /* the table had to be another */
    struct qc_recording recording;
    struct qc_places places;
    struct qc_subject own;
    const struct qc_subject *subject; /* the one to play with: `own`, or the one that was given */
};

/* Borrows from `subject`, which must outlive it; the refit stays where it is.  Release with qc_refit_clear. */
void qc_refit_make(struct qc_refit *refit, const struct qc_subject *subject, const struct qc_places *places,
                   const struct qw_rules *rules);
void qc_refit_clear(struct qc_refit *refit);

#endif
