/* What is known of two runs beside their tensors. */
#ifndef QC_COMPARE_PAIR_FACTS_H
#define QC_COMPARE_PAIR_FACTS_H

#include "harness/compare/pair.h"

/* Environment, model, adapter, call, recorder: one fact each, equal or not. */
void qc_pair_add_facts(struct qc_pair *pair);
void qc_pair_clear_facts(struct qc_pair *pair);

/* Whether the two models have the same class and extents; QW_ERROR_UNSUPPORTED with what differs when not. */
bool qc_pair_one_model(const struct qc_pair *pair, struct qw_error *error);

#endif
