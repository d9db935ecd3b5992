/* The parts of a case of the result document, one function each.  They add
 * fields to `json`; the contract of the result says what the fields mean. */
#ifndef QC_WORKER_FIELDS_H
#define QC_WORKER_FIELDS_H

#include "harness/compare/graft.h"
#include "harness/diagnose/narrative.h"
#include "reference/base/json.h"

/* Everything that the writing of one case looks at. */
struct qc_case_view {
    const struct qc_judgement *judgement;
    const struct qc_diagnosis *diagnosis; /* NULL when nothing diverged */
    const struct qc_subject *subject;
    const struct qc_recording *recording;
    const struct qc_grafts *grafts;
    const char *shortfall; /* why nothing that differs is no pass yet; NULL: it is one, or something does */
    const char *hint;      /* … and what to do */
};

/* what was recorded: model, adapter, call, recorder */
void qc_put_model(struct qw_json *json, const struct qc_case_view *view);
void qc_put_adapter(struct qw_json *json, const struct qc_case_view *view);
void qc_put_call(struct qw_json *json, const struct qc_case_view *view);
void qc_put_recorder(struct qw_json *json, const struct qc_recording *recording);
/* selection: null for everything; open ends are closed by the numbers of steps and layers that there are */
void qc_put_selection(struct qw_json *json, const struct qc_selection *selection, int steps, int layers);

/* where it parts: first_divergence (null for `first` NULL), last_good */
void qc_put_first(struct qw_json *json, const struct qc_case_view *view, const struct qc_item *first);
void qc_put_last_good(struct qw_json *json, const struct qc_case_view *view, const struct qc_item *first);

/* why: cause and causes, next_steps */
void qc_put_cause(struct qw_json *json, const struct qc_case_view *view);
void qc_put_next_steps(struct qw_json *json, const struct qc_case_view *view);

/* what it is worth: parties, coverage, consequence, cache_lengths, largest_ratio */
void qc_put_parties(struct qw_json *json, const struct qc_case_view *view);
void qc_put_coverage(struct qw_json *json, const struct qc_case_view *view);
void qc_put_consequence(struct qw_json *json, const struct qc_case_view *view);
void qc_put_cache_lengths(struct qw_json *json, const struct qc_case_view *view);
void qc_put_largest(struct qw_json *json, const struct qc_case_view *view);

/* every judged place: findings, sites */
void qc_put_findings(struct qw_json *json, const struct qc_case_view *view);
void qc_put_sites(struct qw_json *json, const struct qc_case_view *view);

/* One finding, appended; step and layer -1 for none, `message` is taken over and freed. */
struct qw_json *qc_add_finding(struct qw_json *findings, const char *id, const char *severity, int step, int layer,
                               const char *site, char *message);

/* "permutation" of a view: the order of its axes for a layout, else null. */
void qc_put_permutation(struct qw_json *json, const struct qc_view *view);

/* A cause that is none: id "unclassified", explained 0, with these words; `mechanism` may be NULL. */
struct qw_json *qc_cause_unclassified(const char *title, const char *mechanism, const char *remedy, const char *party);

/* Shared by the parts: a text that is freed, a number that is null when negative. */
void qc_put_owned(struct qw_json *object, const char *key, char *text);
void qc_add_owned(struct qw_json *array, char *text);
void qc_put_index(struct qw_json *object, const char *key, int number);

/* The item with the largest ratio; in the isolated view alone, or in either.  NULL when nothing was valued. */
const struct qc_item *qc_largest_item(const struct qc_judgement *judgement, bool isolated_only);
double qc_largest_ratio(const struct qc_item *item, bool isolated_only);
/* Items of a party with that status; QC_DIFFERS counts everything that fails in its own right. */
int qc_party_count(const struct qc_judgement *judgement, enum qw_party party, enum qc_status status);

#endif
