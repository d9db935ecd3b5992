/* What was asked for, out of a recording: the call, and where its way of decoding does not tell what each step feeds, the
 * turns.
 *
 *   plain          the prompt, then one token at a time, or everything so far without a cache
 *   loop           several forwards by the caller's own code: the tokens are those of `received`
 *   beams          as plain, but rows change places between steps: tokens and order come from the record
 *   chunks         the prompt in pieces of prefill_chunk_size
 *   candidates     an assistant or a lookup proposes several tokens; what was not accepted is taken back from the cache
 *
 * Tokens that come from the record are not judged by it where nothing else says what they should be; the order in which
 * they come is (harness/invariants/ledger.h). */
#ifndef QC_COMPARE_CALL_H
#define QC_COMPARE_CALL_H

#include "harness/compare/subject.h"

enum qc_way { QC_WAY_PLAIN, QC_WAY_LOOP, QC_WAY_BEAMS, QC_WAY_CHUNKS, QC_WAY_CANDIDATES };

enum qc_way qc_way_of(const struct qc_recording *recording);
/* Batch rows of the model for one of the caller's: beams, or sequences to return. */
int64_t qc_way_rows(const struct qc_recording *recording);

/* The model may be without weights: tokens that were handed over as embeddings are then unknown.  QW_ERROR_UNSUPPORTED
 * for a loop whose batch changes, and a generate() whose caller numbers tokens in a way that does not go on.  Release with qc_call_clear. */
bool qc_call_make(struct qw_call *call, const struct qc_recording *recording, const struct qw_model *model,
                  const struct qw_adapter *adapter, struct qw_error *error);
void qc_call_clear(struct qw_call *call);

/* Keys or values that the step before left, as `step` is to be handed them: a plain call's as they are, else `count` rows
 * from `first` on (of them those that there are) in the order of its turn.  Free with qw_tensor_free. */
struct qw_tensor *qc_call_taken_up(const struct qc_subject *subject, int step, const struct qw_tensor *after, int64_t first,
                                   int64_t count);

#endif
