/* PEFT's part: what the base model is handed at each step of a call.
 *
 * The base model is called once per step.  Step 0 gets the prompt; step k the
 * token that was generated k-th, with the cache of the step before.  Virtual
 * tokens reach step 0 as embeddings in front of the others, or as rows in the
 * cache (prefix).  The reference never samples: generated tokens are given. */
#ifndef QW_PROTOCOL_PROTOCOL_H
#define QW_PROTOCOL_PROTOCOL_H

#include "reference/cache/cache.h"
#include "reference/model/model.h"
#include "reference/protocol/adapter.h"
#include "reference/rules.h"

/* What was asked for. */
struct qw_call {
    bool generate; /* generate(); false: one forward() */
    bool use_cache;
    bool recomputes;           /* training with gradient checkpointing: blocks run again in the backward pass; no cache is kept */
    int64_t batch, tokens;     /* B, T */
    int64_t generated;         /* N; 0 for forward() */
    const int64_t *input_ids;  /* [B,T] */
    const int64_t *output_ids; /* [B,T+N]; NULL for forward() */
    const int64_t *mask;       /* [B,T]; NULL when the caller gave none */
};

/* What one step hands over.  The cache is the play's own and handed over beside this. */
struct qw_handover {
    int64_t batch, queries; /* B, q */
    int64_t *input_ids;     /* [B,q]; NULL when embeddings are handed over */
    double *inputs_embeds;  /* [B,q,d]; NULL when ids are, or when its values are not known */
    bool embeds;            /* embeddings are handed over */
    bool withheld;          /* the model gets the cache, and its blocks do not */
    int64_t *position;      /* [B,q], as the model will use them */
    int64_t first_slot;     /* place in the sequence of the first row of this call: what cache_position begins with */
    double *mask;           /* [B,mask_length], 1 visible, 0 hidden; NULL: none */
    int64_t mask_length;
    enum qw_origin *origin; /* [q]: what each row of this call is */
};

/* The prompt that is handed over under the rules: what the adapter makes of its table (qw_adapter_prompt), [B,P,d] or
 * [L,2,B,K,P,D].  Free with qw_tensor_free. */
struct qw_tensor *qw_protocol_prompt(const struct qw_adapter *adapter, const struct qw_config *config,
                                     const struct qw_rules *rules, int64_t batch);

/* Steps that the call takes: N for generate() (at least 1), 1 for forward(). */
int64_t qw_protocol_steps(const struct qw_call *call);

/* Makes the handover of `step` and brings `cache` into the state in which it is handed over: emptied where the call
 * keeps none, filled with the prefix where the rules inject one.  `model` may be without weights: embeddings are then
 * NULL.  Release with qw_handover_clear. */
struct qw_handover qw_protocol_hand_over(struct qw_cache *cache, const struct qw_call *call, const struct qw_adapter *adapter,
                                         const struct qw_model *model, const struct qw_rules *rules, int64_t step);
void qw_handover_clear(struct qw_handover *handover);

#endif
