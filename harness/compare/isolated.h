/* The isolated view of a step: each module fed with what the record says that it was given. */
#ifndef QC_COMPARE_ISOLATED_H
#define QC_COMPARE_ISOLATED_H

#include "harness/compare/judge.h"

void qc_judge_isolated(struct qc_judgement *judgement, int step);

/* Positions that the recorded step was given; -1 when it does not say. */
int64_t qc_recorded_queries(const struct qc_step *recorded);
/* Logits rows that the library computed: as many as it says, or all where it has all of its own positions. */
int64_t qc_logits_rows(const struct qc_step *recorded, int64_t own, int64_t queries);

#endif
