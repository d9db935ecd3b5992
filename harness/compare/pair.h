/* One recording against another, without a reference: structure, and equality of bits.
 *
 * A place is a point of the run that both, or one of them, recorded: a fact of the call, something that a step was
 * handed, a cache, a tap.  Places are compared in the order in which data passes them: what went in (weights, ids),
 * step by step what was received, the cache, the taps in A's execution order, the cache after; last what came out. */
#ifndef QC_COMPARE_PAIR_H
#define QC_COMPARE_PAIR_H

#include "harness/compare/judge.h"

/* What is known beside the run itself: versions, configuration, arguments.  Reported, not judged. */
struct qc_fact {
    char *name, *a, *b; /* "peft", "0.12.0", "0.13.2"; owned; "" where one has none */
};

/* What one of the two recordings has at a place. */
struct qc_pair_side {
    bool there;
    bool shaped; /* shape and dtype say something */
    struct qw_shape shape;
    const char *dtype; /* static */
    const char *text;  /* what stands in place of numbers (a cache's type); the recording's */
};

struct qc_pair_place {
    int step, layer; /* -1: of the call; -1: outside the blocks */
    char *site;      /* owned */
    enum qw_place where;
    enum qc_kind kind;  /* QC_KIND_NONE: equal */
    const char *reason; /* why it was not compared; static; NULL: it was */
    struct qc_pair_side a, b;
    bool valued;                     /* compared by value, element by element */
    struct qc_difference difference; /* expected: A's value, observed: B's, both at the first element that differs */
};

/* Differences that lie side by side, told as one. */
struct qc_pair_group {
    int first_step, last_step, first_layer, last_layer; /* -1: none */
    const struct qc_pair_place *first;
    bool modules;   /* of the modules of whole blocks: `first` is where it begins */
    unsigned kinds; /* 1 << enum qc_kind */
    int count, of;  /* places that differ, of those that were compared there */
    double max_abs; /* largest difference by value; 0 when none was compared by value */
};

struct qc_pair {
    const struct qc_recording *a, *b; /* borrowed */
    int facts;
    struct qc_fact *fact;
    int places;
    struct qc_pair_place *place;
    int groups;
    struct qc_pair_group *group;
    int unvalued; /* tensors that both have and that could be compared by structure only */
};

/* Compares what lies in the selection.  `floors` NULL: equal means equal bits; else a judgement of A whose noise floors
 * say how far B may be off (max |a - b| <= QC_NOISE_MULTIPLE floor; copied data still to the bit).
 * QW_ERROR_UNSUPPORTED when nothing can be compared: two different models, or nothing in the selection.
 * Release with qc_pair_clear in any case. */
bool qc_pair_make(struct qc_pair *pair, const struct qc_recording *a, const struct qc_recording *b,
                  const struct qc_selection *selection, const struct qc_judgement *floors, struct qw_error *error);
void qc_pair_clear(struct qc_pair *pair);

/* Condenses the places into groups (called by qc_pair_make). */
void qc_pair_condense(struct qc_pair *pair);

/* The first place that differs; NULL when the runs are equal. */
const struct qc_pair_place *qc_pair_first(const struct qc_pair *pair);
/* How many places were compared, differ, are only in one of the two, were not compared. */
struct qc_pair_counts {
    int compared, differ, missing, waived;
};
struct qc_pair_counts qc_pair_count(const struct qc_pair *pair);

/* Generated tokens of a batch row, after the prompt: how many, and where they lie.  0 when there are none. */
int64_t qc_pair_tokens(const int64_t **tokens, const struct qc_recording *recording, int64_t row);

/* "only in A", "shape [1, 7, 48] | [1, 11, 48]", …; free with free(). */
char *qc_pair_place_text(const struct qc_pair_place *place);
char *qc_pair_group_text(const struct qc_pair_group *group);
/* The verdict sentence; free with free(). */
char *qc_pair_verdict(const struct qc_pair *pair, bool by_floor);

#endif
