/* What is judged: a recording together with the model, the adapter, the call
 * and the healthy rules that follow from it. */
#ifndef QC_COMPARE_SUBJECT_H
#define QC_COMPARE_SUBJECT_H

#include "harness/recording/recording.h"
#include "reference/protocol/protocol.h"

/* Which part of a recording is judged, and in which arithmetic it is taken to have run. */
struct qc_selection {
    int first_step, last_step;   /* inclusive; last < first: all */
    int first_layer, last_layer; /* inclusive; last < first: all; what lies outside the blocks belongs to no layer */
    const char *site;            /* glob on the site's name; NULL: all */
    const char *precision;       /* "f32", "f64"; NULL: the recorded dtype */
};

struct qc_selection qc_selection_all(void);
bool qc_selection_has(const struct qc_selection *selection, int step, int layer, const char *site);

struct qc_subject {
    const struct qc_recording *recording; /* borrowed */
    enum qw_dtype dtype;                  /* the record's arithmetic */
    struct qw_model model;                /* has_weights tells whether values can be played */
    struct qw_adapter adapter;
    struct qw_call call;
    struct qw_setting setting;
    bool newer;                           /* the versions are newer than those that the rules were measured with */
    struct qw_rules rules;                /* healthy */
    struct qc_selection selection;        /* everything, unless the caller narrows it */
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
