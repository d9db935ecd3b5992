/* A model of any family, from the handover to the logits, one block at a time.
 *
 *   qw_pass_begin    embedding, rotary tables of the call
 *   qw_pass_block    x + attention(norm(x)), then x + mlp(norm(x)); keys and values join the cache
 *   qw_pass_end      final norm, logits
 *
 * At every site the tap sees the value that was just made and may put another
 * in its place: what follows is then computed from that. */
#ifndef QW_MODEL_FORWARD_H
#define QW_MODEL_FORWARD_H

#include "reference/cache/cache.h"
#include "reference/model/arith.h"
#include "reference/model/model.h"
#include "reference/protocol/protocol.h"
#include "reference/rules.h"
#include "reference/sites.h"

struct qw_tap {
    /* `value` holds the elements of `shape`, row-major; layer is -1 outside the blocks. */
    void (*see)(void *user, enum qw_site site, int layer, double *value, const struct qw_shape *shape);
    void *user;
};

/* One call of the base model. */
struct qw_pass {
    const struct qw_model *model;
    const struct qw_arith *arith;
    const struct qw_rules *rules;
    const struct qw_handover *handover;
    struct qw_cache *cache; /* as handed over; the pass appends to it */
    struct qw_tap tap;
    int64_t past;            /* rows in the cache before this call */
    int64_t kept;            /* of them those that the blocks are given: all, or none */
    enum qw_short_mask mask; /* what becomes of the keys that the mask does not cover */
    double *hidden;          /* [B,q,d] */
    double *cos, *sin;       /* [B,q,D] */
};

/* The pass borrows everything; only what qw_pass_clear releases is its own.  The handover must have ids or values. */
struct qw_pass qw_pass_begin(const struct qw_model *model, const struct qw_arith *arith, const struct qw_rules *rules,
                             const struct qw_handover *handover, struct qw_cache *cache, struct qw_tap tap);

/* What becomes of the keys that the handover's mask does not cover, behind `past` rows; IGNORED when it covers all. */
enum qw_short_mask qw_mask_treatment(const struct qw_rules *rules, const struct qw_handover *handover, int64_t past);

/* Keys that a token sees in a layer, itself included, under the rules; 0: all. */
int64_t qw_window_of(const struct qw_config *config, const struct qw_rules *rules, int64_t layer);

/* False when the real model raises before its blocks: it cannot use a mask of this length. */
bool qw_pass_enters_blocks(const struct qw_pass *pass);

/* False when the real model raises in the attention of this layer: keys that cannot be joined to the cache (other heads or
 * head size, another length than layer 0's, or values not known), a position beyond the rotary table, a mask that does
 * not fit the scores. */
bool qw_pass_block(struct qw_pass *pass, int layer);

/* Logits of the last `rows` positions. */
void qw_pass_end(struct qw_pass *pass, int64_t rows);
void qw_pass_clear(struct qw_pass *pass);

#endif
