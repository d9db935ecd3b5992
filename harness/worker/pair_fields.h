/* The parts of a case that compares two recordings, one function each; they add fields to `json`. */
#ifndef QC_WORKER_PAIR_FIELDS_H
#define QC_WORKER_PAIR_FIELDS_H

#include "harness/compare/pair.h"
#include "harness/worker/fields.h"

/* what was recorded: model and adapter of one recording; the other recording; the facts of both; the generated tokens */
void qc_pair_put_subject(struct qw_json *json, const struct qc_recording *recording);
void qc_pair_put_other(struct qw_json *json, const char *path, const struct qc_recording *recording);
void qc_pair_put_context(struct qw_json *json, const struct qc_pair *pair);
void qc_pair_put_tokens(struct qw_json *json, const struct qc_pair *pair);

/* where they part: first_divergence, last_good, differences (condensed), findings, sites, coverage, cache_lengths,
 * largest_ratio */
void qc_pair_put_first(struct qw_json *json, const struct qc_pair *pair);
void qc_pair_put_differences(struct qw_json *json, const struct qc_pair *pair);
void qc_pair_put_findings(struct qw_json *json, const struct qc_pair *pair, const struct qc_selection *selection);
void qc_pair_put_sites(struct qw_json *json, const struct qc_pair *pair);
void qc_pair_put_coverage(struct qw_json *json, const struct qc_pair *pair);
void qc_pair_put_cache_lengths(struct qw_json *json, const struct qc_pair *pair);
void qc_pair_put_largest(struct qw_json *json, const struct qc_pair *pair);

/* cause and causes: on a difference "unclassified", because a comparison without a reference names no cause */
void qc_pair_put_cause(struct qw_json *json, const struct qc_pair *pair);

#endif
