/* The mask that generate() makes where it was given none. */
#ifndef QC_COMPARE_PADDING_H
#define QC_COMPARE_PADDING_H

#include "harness/recording/recording.h"
#include "reference/protocol/protocol.h"

/* [B,T], 0 at padding, where padding can be told from text (GenerationMixin, _prepare_attention_mask_for_generation); NULL
 * where the library takes all tokens for text, or was given a mask.  Free with free. */
int64_t *qc_padding_mask(const struct qc_recording *recording, const struct qw_call *call);

#endif
