/* What must hold of a record without any arithmetic: which tensors are handed
 * over, their shapes, masks, positions, cache types and lengths; and copied
 * data, which must be equal to the bit. */
#ifndef QC_INVARIANTS_STRUCTURE_H
#define QC_INVARIANTS_STRUCTURE_H

#include "harness/compare/judge.h"

/* What one step was really given, and what the module calls of that step must therefore look like. */
struct qc_extents {
    int64_t queries; /* q */
    int64_t past;    /* cache rows before */
    int64_t rows;    /* logits rows */
    bool embeds;     /* embeddings are handed over, so that the embedding is not called */
};

/* adapter.prompt: what get_prompt() handed over; judged once, as of step 0. */
void qc_judge_prompt(struct qc_judgement *judgement);

/* received.*: held against the healthy handover of the step. */
void qc_judge_received(struct qc_judgement *judgement, int step, const struct qw_handover *handover);

/* A mask of four axes, [B or 1, 1, q, keys], as static caches are handed one: whether it shows what the handover's shows, to
 * each row no more than the keys up to its own.  Expects that the item was not looked at yet. */
void qc_judge_block_mask(struct qc_judgement *judgement, struct qc_item *item, const struct qw_tensor *mask,
                         const struct qw_handover *handover);
/* The mask of two axes, [B,past+q], that says the same; NULL when none does.  Free with free(). */
double *qc_block_mask_flat(const struct qw_tensor *mask, int64_t batch, int64_t past, int64_t queries);

/* cache_before.* against the cache that the play hands over: types, lengths, shapes, and copies (a prefix). */
void qc_judge_before(struct qc_judgement *judgement, int step, const struct qw_cache *cache);
/* cache_before.* against cache_after.* of the step before: the same object must come back unchanged. */
void qc_judge_handed_back(struct qc_judgement *judgement, int step);

/* Taps: presence, rank, shape and dtype in one view. */
void qc_judge_taps(struct qc_judgement *judgement, int step, const struct qc_extents *extents, bool isolated);

/* Whether the taps of the step in which the play stops end where it does: no module before that place is missing from the
 * record, and none behind it is there. */
bool qc_taps_end_at(const struct qc_judgement *judgement, const struct qc_stop *stop);

/* cache_after.*: types, lengths and shapes in one view; `length` is what they must hold, -1: no cache is kept. */
void qc_judge_after(struct qc_judgement *judgement, int step, int64_t length, bool isolated);

/* Length of a recorded cache; 0 for none. */
int64_t qc_cache_rows(const struct qc_cache *cache);

#endif
