/* A recording whose weights were not kept, with weights that stand in for them.
 *
 * All of them are 0: what a run hands over, how long its caches are and where it raises follows from no number.  Of its record
 * only structure is kept. */
#ifndef QC_SELFTEST_STAND_IN_H
#define QC_SELFTEST_STAND_IN_H

#include "harness/compare/subject.h"

struct qc_stand_in {
    struct qc_recording recording;
    struct qc_subject subject;
};

/* Borrows from `subject`, which has no weights; the stand-in stays where it is.  False where they would take too much room, or
 * the adapter's are not of a known form.  Release with qc_stand_in_clear in any case. */
bool qc_stand_in_make(struct qc_stand_in *stand_in, const struct qc_subject *subject, struct qw_error *error);
void qc_stand_in_clear(struct qc_stand_in *stand_in);

#endif
