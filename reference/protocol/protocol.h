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
#include "reference/protocol/prompt.h"
#include "reference/rules.h"

/* What one call of the base model is to feed, where that does not follow from the step's number. */
struct qw_turn {
    int64_t first, count;    /* tokens of the sequence: `first` of them lie in the cache, `count` are fed */
    bool unknown;            /* which tokens these are is not known */
    const int64_t *ids;      /* [B,count]; NULL: those of input_ids and output_ids */
    const int64_t *row;      /* [B] batch row of the step before from which each row goes on; NULL: its own */
    const int64_t *mask;     /* [B,first+count] as the caller gave it for this turn; NULL: none, or that of the call */
    const int64_t *position; /* [B,count] as the caller gave them; NULL: the library's */
};

/* What was asked for. */
struct qw_call {
    bool generate; /* generate(); false: one forward() */
    bool use_cache;
    bool cacheless;            /* the caller asked for none: the model makes none for itself either */
    bool recomputes;           /* training with gradient checkpointing: blocks run again in the backward pass; no cache is kept */
    bool counts_slots;         /* generate() counts the places and hands them over as cache_position */
    int64_t batch, tokens;     /* B, T */
    int64_t generated;         /* N; 0 for forward() */
    const int64_t *input_ids;  /* [B,T] */
    const int64_t *output_ids; /* [B,T+N]; NULL for forward() */
    const int64_t *mask;       /* [B,T]; NULL when the caller gave none */
    const struct qw_turn *turn; /* [turns]; NULL: the prompt, then one token at a time, or everything so far without a cache */
    int64_t turns;
};

/* Whether the caller's mask has padding. */
bool qw_call_pads(const struct qw_call *call);

/* What one step hands over.  The cache is the play's own and handed over beside this. */
struct qw_handover {
    int64_t batch, queries; /* B, q */
    int64_t *input_ids;     /* [B,q]; NULL when embeddings are handed over */
    double *inputs_embeds;  /* [B,q,d]; NULL when ids are, or when its values are not known */
    bool embeds;            /* embeddings are handed over */
    bool withheld;          /* the model gets the cache, and its blocks do not */
    bool cacheless;         /* the model is given no cache, and makes none */
    int64_t *position;      /* [B,positions], as the model will use them */
    int64_t positions;      /* q, where the hand-over is in order */
    bool states_positions;  /* they are handed over as position_ids; else the model counts places itself */
    int64_t first_slot;     /* place in the sequence of the first row of this call: what cache_position begins with */
    int64_t slots_ahead;    /* … and how far that is ahead of the cache's length: 0 where the hand-over is in order */
    double *mask;           /* [B,mask_length], 1 visible, 0 hidden; NULL: none */
    int64_t mask_length;
    int64_t *first_length;  /* [B]: tokens of the call that filled the empty cache; NULL, or 0: a prefix filled it, or none did */
    enum qw_origin *origin; /* [q]: what each row of this call is */
};

/* Steps that the call takes: N for generate() (at least 1), 1 for forward(), or as many as it has turns. */
int64_t qw_protocol_steps(const struct qw_call *call);
/* What step `step` is to feed, whatever the rules. */
struct qw_turn qw_protocol_turn(const struct qw_call *call, int64_t step);

/* Makes the handover of `step` and brings `cache` into the state in which it is handed over: emptied where the call
 * keeps none, filled with the prefix where the rules inject one, its rows put in the turn's order and cut to its length.  `model` may be without weights: embeddings are then
 * NULL.  Release with qw_handover_clear. */
struct qw_handover qw_protocol_hand_over(struct qw_cache *cache, const struct qw_call *call, const struct qw_adapter *adapter,
                                         const struct qw_model *model, const struct qw_rules *rules, int64_t step);
void qw_handover_clear(struct qw_handover *handover);

/* Tokens of batch row b that the mask of a first call shows; all of them without a mask. */
int64_t qw_handover_visible(const struct qw_handover *handover, int64_t b);

#endif
