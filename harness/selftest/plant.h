/* Plants one deviation in the reference's own record of a call and asks the judge for its name.
 *
 * A planting is blind when the record is the healthy one bit for bit, or differs from it by less than the noise bound in
 * tensors that all were compared: that is found without the judge's verdict on it, so that what the judge overlooks is
 * missed, not blind. */
#ifndef QC_SELFTEST_PLANT_H
#define QC_SELFTEST_PLANT_H

#include "harness/diagnose/diagnose.h"
#include "harness/selftest/refit.h"

/* From the best to the worst: a cause is as good as the worst of its values. */
enum qc_outcome { QC_PLANT_BLIND, QC_PLANT_NAMED, QC_PLANT_EQUIVALENT, QC_PLANT_MISSED, QC_PLANT_MISNAMED, QC_OUTCOMES };

const char *qc_outcome_name(enum qc_outcome outcome); /* "named" */

/* Where plants are put: a recording that can be played, and its healthy record. */
struct qc_bed {
    struct qc_refit form;
    struct qc_recording healthy;
    bool values;       /* the judge is given the weights */
    const char *unfit; /* why nothing can be planted: the healthy record itself fails; NULL: it passes */
};

struct qc_planting {
    const struct qc_cause_row *cause;
    const struct qw_value *value; /* of a deviation with a parameter; NULL: without */
    enum qc_outcome outcome;
    const struct qc_cause_row *named; /* NULL: none */
    const struct qw_value *as;        /* the value that was named with it */
    double explained;
    char *reason; /* NULL: nothing to say; owned */
};

/* Borrows from `subject`, which must have weights; without `values` they only stand in for what was not kept
 * (harness/selftest/stand_in.h).  The bed stays where it is.  Release with qc_bed_clear. */
void qc_bed_make(struct qc_bed *bed, const struct qc_subject *subject, const struct qc_places *places, bool values);
void qc_bed_clear(struct qc_bed *bed);

/* `value` is NULL for a deviation without a parameter.  Free planting->reason. */
struct qc_planting qc_plant(const struct qc_bed *bed, const struct qc_cause_row *cause, const struct qw_value *value);

/* Why two causes cannot be told apart by a record, as harness/selftest/equivalences.def lists it; NULL: they should be. */
const char *qc_equivalence(const char *planted, const char *named);

#endif
