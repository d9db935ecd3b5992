/* A record that the reference wrote, judged like any other. */
#ifndef QC_SELFTEST_JUDGED_H
#define QC_SELFTEST_JUDGED_H

#include "harness/compare/judge.h"
#include "harness/selftest/refit.h"

struct qc_judged {
    struct qc_subject subject;
    struct qc_judgement judgement;
    bool made; /* false: the record is refused, as `error` says */
    struct qw_error error;
};

/* `record` was written by way of `form`; both must outlive `judged`, which stays where it is.  `values`: the judge is given the
 * weights.  Release with qc_judged_clear. */
void qc_judged_make(struct qc_judged *judged, const struct qc_refit *form, const struct qc_recording *record, bool values);
void qc_judged_clear(struct qc_judged *judged);

#endif
