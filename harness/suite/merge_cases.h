/* One case out of several results of it, and what else of the parts becomes one. */
#ifndef QC_SUITE_MERGE_CASES_H
#define QC_SUITE_MERGE_CASES_H

#include "harness/suite/merge.h"

/* One part's result of a case. */
struct qc_merge_one {
    const struct qw_json *result;
    const char *path; /* of the part */
};

/* Whether two results without a run are of the same case: name, recordings, and what was asked of them. */
bool qc_merge_is_same_case(const struct qw_json *a, const struct qw_json *b);

/* False (QW_ERROR_INPUT) when two of them were decided on different recordings. */
bool qc_merge_agree(const struct qc_merge_one *found, int count, struct qw_error *error);

/* The one that stands for all, copied: a decided one before an undecided one, the worse before the better, with a finding
 * "results-disagree" for each other thing that decided ones say. */
struct qw_json *qc_merge_choose(const struct qc_merge_one *found, int count);

/* The field "tool" of all parts: the distinct libraries and kernels, the protections that all workers had. */
struct qw_json *qc_merge_tools(const struct qc_merge_part *parts, int count);

#endif
