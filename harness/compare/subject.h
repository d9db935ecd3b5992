/* What is judged: a recording together with the model, the adapter, the call
 * and the healthy rules that follow from it. */
#ifndef QC_COMPARE_SUBJECT_H
#define QC_COMPARE_SUBJECT_H

#include "harness/compare/encoded.h"
#include "harness/recording/recording.h"
#include "reference/model/arith.h"
#include "reference/protocol/protocol.h"

/* Which part of a recording is judged, and in which arithmetic it is taken to have run. */
struct qc_selection {
    int first_step, last_step;   /* inclusive; last < first: all; INT_MAX: to the end */
    int first_layer, last_layer; /* inclusive; last < first: all; what lies outside the blocks belongs to no layer */
    const char *site;            /* glob on the site's name; NULL: all */
    const char *precision;       /* "f32", "f64"; NULL: what the framework makes of the recorded dtype */
};

struct qc_selection qc_selection_all(void);
bool qc_selection_is_all(const struct qc_selection *selection); /* whatever the precision */
/* "steps 0-4, layers 2, sites self_attn.*"; "" for everything.  Free with free(). */
char *qc_selection_text(const struct qc_selection *selection);
bool qc_selection_has(const struct qc_selection *selection, int step, int layer, const char *site);

/* Folders, as the recording names them, without which nothing can be judged; NULL: not needed.  Borrowed from it. */
struct qc_needs {
    const char *model, *adapter;
};

/* What the device may do to products of matrices beside summing them in another order, as the recorded environment says. */
enum qc_products {
    QC_PRODUCTS_WHOLE,
    QC_PRODUCTS_TF32, /* float32 on CUDA: allow_tf32, or a float32_matmul_precision below "highest" */
    QC_PRODUCTS_PARTS /* halves on CUDA, unless allow_…_reduced_precision_reduction is off: torch allows it by itself */
};

struct qc_subject {
    const struct qc_recording *recording; /* borrowed */
    enum qw_dtype dtype;                  /* the record's arithmetic */
    enum qc_products products;
    struct qw_model model; /* has_weights tells whether values can be played */
    bool borrows;          /* … which belongs to another subject */
    struct qw_adapter adapter;
    struct qc_encoded encoded; /* of an adapter whose table is computed */
    struct qw_call call;
    struct qw_setting setting;
    bool newer;                    /* the versions are newer than those that the rules were measured with */
    struct qw_rules rules;         /* healthy */
    struct qc_needs needs;         /* of a subject that could not be made: what has to be opened first */
    struct qc_selection selection; /* everything, unless the caller narrows it */
};

/* Where to look for weights. */
struct qc_places {
    const char *model, *adapter;             /* instead of what the recording says; NULL: as it says */
    const char *named_model, *named_adapter; /* folders, as the recording names them, that may be opened */
    bool ask;                                /* other folders that it names are asked for (qc_subject.needs), not opened */
};

/* QW_ERROR_INPUT for weights that are named and cannot be had, are partly embedded or contradict the configuration;
 * QW_ERROR_UNSUPPORTED for what is not covered.  Release with qc_subject_clear. */
bool qc_subject_make(struct qc_subject *subject, const struct qc_recording *recording, const struct qc_places *places,
                     struct qw_error *error);
/* The same for another recording of a run of the same model and adapter, with the model of `other`, which must outlive it. */
bool qc_subject_make_beside(struct qc_subject *subject, const struct qc_subject *other, const struct qc_recording *recording,
                            const struct qc_places *places, struct qw_error *error);
void qc_subject_clear(struct qc_subject *subject);

/* The arithmetic that the record is taken to have run in: as selected, else what transformers makes of a model of its dtype
 * (qw_arith_of). */
const struct qw_arith *qc_subject_arith(const struct qc_subject *subject);
/* The arithmetic of one of the QC_NOISE_PLAYS plays: number 0 is qc_subject_arith, others differ where the device may choose. */
const struct qw_arith *qc_subject_play(const struct qc_subject *subject, int play);
/* What a reader must know of how the device multiplied; NULL: nothing.  Static. */
const char *qc_subject_products_text(const struct qc_subject *subject);
/* Its unit roundoff. */
double qc_subject_roundoff(const struct qc_subject *subject);
/* To how many roundings to the record's dtype those of a sum of `sum` products amount: `sum` of them where the sum is made in
 * that dtype, hardly more than the last one where it is made in a finer one; 0 for copied data. */
int64_t qc_subject_roundings(const struct qc_subject *subject, int64_t sum);

#endif
