/* One step of the model, played in float64 and several times in the record's
 * arithmetic side by side, and held against the record's taps block by block. */
#ifndef QC_COMPARE_REPLAY_H
#define QC_COMPARE_REPLAY_H

#include "harness/compare/judge.h"
#include "reference/model/forward.h"

/* One play from a step on: its cache, in each of the arithmetics. */
struct qc_play {
    struct qw_cache truth;                  /* float64; of a light play the record's arithmetic */
    int plays;                              /* beside it: QC_NOISE_PLAYS, or none of a light one */
    struct qw_cache played[QC_NOISE_PLAYS]; /* the record's arithmetic */
    uint64_t dither[QC_NOISE_PLAYS];        /* states of the dithered ones */
    bool alive;                             /* values are still known */
};

/* Empty caches; release with qc_play_clear. */
struct qc_play qc_play_make(const struct qc_judgement *judgement);
void qc_play_clear(struct qc_play *play);
/* max |s_i - t| element by element for one half of one layer's cache, as an envelope; free with free(). */
double *qc_play_envelope(const struct qc_play *play, int layer, bool value);

/* How much coarser a tensor is stored than the arithmetic that it came from: a unit roundoff, 0 where storing loses nothing. */
double qc_storage_roundoff(const struct qc_subject *subject, const struct qw_tensor *tensor);

struct qc_replay {
    struct qc_judgement *judgement;
    int step;
    bool isolated;                      /* recorded values are put in place of the played ones */
    const struct qw_handover *handover; /* with ids, or embeddings by value */
    struct qc_play *play;               /* its caches as handed over; appended to */
    int64_t rows;                       /* logits rows to compute */
};

/* Plays the step.  Where the play cannot go on, as the real model could not, the place is filled in and it is false. */
bool qc_replay_run(struct qc_replay *replay, struct qc_stop *stop);

#endif
