/* Writes the recording that a run under given rules would have left.
 *
 * The reference plays the call of a subject once, in the arithmetic of its record, and what it sees becomes a recording in
 * memory: structure, taps, caches, and the raise where the play cannot go on.  A recording of the subject is the form:
 * level, which of the optional inputs are handed over, class and room of the caches, how many rows of logits are computed
 * follow it as far as the rules allow.
 *
 * Sums are made in another order than in the plays of a judge, so that the record is none of those that it is held against.
 * Equal rules give equal records. */
#ifndef QC_SELFTEST_SCRIBE_H
#define QC_SELFTEST_SCRIBE_H

#include "harness/compare/subject.h"

/* `form` must have weights.  What the run had besides its steps is borrowed from form->recording, which must outlive
 * `written`; release with qc_scribe_clear.  False when the tokens that a step would feed are not known: then the record ends
 * before it. */
bool qc_scribe_write(struct qc_recording *written, const struct qc_subject *form, const struct qw_rules *rules);
void qc_scribe_clear(struct qc_recording *written);

/* Replaces the exception of a written run that raised. */
void qc_scribe_raise(struct qc_recording *written, const char *type, const char *message, const char *traceback);

#endif
