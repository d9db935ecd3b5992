/* What is judged: a recording together with the model, the adapter, the call
 * and the healthy rules that follow from it. */
#ifndef QC_COMPARE_SUBJECT_H
#define QC_COMPARE_SUBJECT_H

#include "harness/recording/recording.h"
#include "reference/protocol/protocol.h"

struct qc_subject {
    const struct qc_recording *recording; /* borrowed */
    enum qw_dtype dtype;                  /* the record's arithmetic */
    struct qw_model model;                /* has_weights tells whether values can be played */
    struct qw_adapter adapter;
    struct qw_call call;
    struct qw_version transformers, peft;
    bool newer;                           /* the versions are newer than those that the rules were measured with */
    struct qw_rules rules;                /* healthy */
};

/* Where to look for weights, instead of what the recording says; NULL: as it says. */
struct qc_places {
    const char *model, *adapter;
};

/* QW_ERROR_INPUT for weights that are named and cannot be had, are partly embedded or contradict the configuration;
 * QW_ERROR_UNSUPPORTED for what is not covered.  Release with qc_subject_clear. */
bool qc_subject_make(struct qc_subject *subject, const struct qc_recording *recording, const struct qc_places *places,
                     struct qw_error *error);
void qc_subject_clear(struct qc_subject *subject);

#endif
