/* One step of the model, played in float64 and in the record's arithmetic side
 * by side, and held against the record's taps block by block. */
#ifndef QC_COMPARE_REPLAY_H
#define QC_COMPARE_REPLAY_H

#include "harness/compare/judge.h"
#include "reference/model/forward.h"

struct qc_replay {
    struct qc_judgement *judgement;
    int step;
    bool isolated;                       /* recorded values are put in place of the played ones */
    const struct qw_handover *handover;  /* with ids, or embeddings by value */
    struct qw_cache *truth, *played;     /* as handed over; appended to */
    int64_t rows;                        /* logits rows to compute */
};

/* The layer in which the play cannot join its keys to the cache, or -1 when the step was played to its end. */
int qc_replay_run(struct qc_replay *replay);

#endif
