/* A prompt that an encoder computed: how far rounding alone may move it, and what of it the run handed on.
 *
 * An encoder's output is no copy.  It is held against the record with a noise floor as any other site is; what conforms was
 * then handed on as the run computed it, so that from there on it is copied data again. */
#ifndef QC_COMPARE_ENCODED_H
#define QC_COMPARE_ENCODED_H

#include "harness/compare/noise.h"
#include "reference/protocol/prompt.h"

struct qc_subject;

/* What rounding does to a computed table; zeros for a saved one that the run took as it is. */
struct qc_encoded {
    double spread;                 /* max |s_i - t| over the table, in the arithmetic of the encoder's weights */
    int64_t sum;                   /* products that one element sums */
    double roundoff;               /* of the encoder's weights */
    const struct qw_tensor *truth; /* in float64; owned by the adapter */
    struct qw_tensor *handed;      /* the tables as the run computed them, one for each batch row, where they conform; owned */
    bool random;                   /* the encoder drew at random (dropout in training): nothing can be expected of it */
};

/* Measures the encoder of the subject's adapter, if it computed in the run, and lets the adapter's table be what the run handed on: where
 * the recorded prompt conforms under the healthy rules or under a deviation that moves its parts.  Release with
 * qc_encoded_clear. */
void qc_encoded_settle(struct qc_subject *subject);
void qc_encoded_clear(struct qc_encoded *encoded);

/* What a framework makes of an encoder's weights; of float32 ones where it has none. */
struct qw_arith qc_encoded_arith(const struct qw_encoder *encoder);

/* The adapter with the table that its encoder gives in float64. */
struct qw_adapter qc_encoded_truth(const struct qc_subject *subject);

/* Holds a recorded prompt against the truth, of as many elements, within the encoder's noise; false when it has no values. */
bool qc_encoded_compare(struct qc_difference *found, const struct qc_encoded *encoded, const struct qw_tensor *recorded,
                        const double *truth);

#endif
