/* Invariant: the judge is shown the record and what is known of its model, never the rules that it was written under. */
#include "harness/selftest/judged.h"

void qc_judged_make(struct qc_judged *judged, const struct qc_refit *form, const struct qc_recording *record, bool values)
{
    *judged = (struct qc_judged){0};
    judged->made = qc_subject_make_beside(&judged->subject, form->subject, record, &form->places, &judged->error);
    judged->subject.model.has_weights = judged->subject.model.has_weights && values;
    if (judged->made)
        qc_judge(&judged->judgement, &judged->subject, &judged->subject.rules, true);
}

void qc_judged_clear(struct qc_judged *judged)
{
    if (judged->made)
        qc_judgement_clear(&judged->judgement);
    qc_subject_clear(&judged->subject);
}
