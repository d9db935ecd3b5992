/* The two sides of a relation, played and held against each other. */
#ifndef QC_SELFTEST_RELATIONS_PLAY_H
#define QC_SELFTEST_RELATIONS_PLAY_H

#include "harness/compare/subject.h"

/* One call of one model; everything is borrowed. */
struct qc_side {
    const char *name;
    struct qw_adapter adapter;
    struct qw_call call;
    struct qw_rules rules;
    bool encodes;       /* each play makes the adapter's table by its encoder, in its own arithmetic */
    int64_t row, first; /* what is compared: tokens of this batch row, from this one on */
};

struct qc_relation_pair {
    struct qc_side side[2]; /* truth and floor; what is held against them */
    int64_t lead;           /* virtual tokens that both have, whose rows in the cache are compared */
    int64_t tokens;         /* that are compared of each */
};

struct qc_pair_result {
    double ratio; /* largest of all; infinite where a side could not be played, or has not the other's extents */
    char *fault;  /* the first place that does not conform, in words; NULL when all do.  Free with free() */
};

struct qc_pair_result qc_relation_pair_compare(const struct qc_subject *subject, const struct qc_relation_pair *pair);

/* Keys and values that a call leaves in the cache, as the table of a prefix: [S,2LKD] in float64.  Played in the record's
 * arithmetic; NULL where it cannot be played.  Free with qw_tensor_free. */
struct qw_tensor *qc_relation_capture(const struct qc_subject *subject, const struct qc_side *side);

#endif
