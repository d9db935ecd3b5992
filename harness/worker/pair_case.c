/* Invariant: both files are opened by this one worker; without --floor no weight is looked at. */
#include "harness/worker/pair_case.h"

#include <stdlib.h>
#include <time.h>

#include "harness/worker/case.h"
#include "harness/worker/pair_fields.h"
#include "reference/base/file.h"
#include "reference/base/text.h"

#define READ_BUDGET ((int64_t)8 << 30) /* of each of the two */

/* A judgement of A whose play reproduces A as far as the catalogue can, so that its noise floors are those of A's own
 * sites: the healthy play, or for a faulty recording the play of the cause that is named. */
static bool judge_floors(struct qc_judgement *floors, const struct qc_subject *subject, struct qw_error *error)
{
    if (!subject->model.has_weights)
        return qw_fail(error, QW_ERROR_INPUT, "/model@weights", "give --model DIR, or leave --floor away",
                       "no weights of the model are at hand, so that no noise floor can be computed");
    qc_judge(floors, subject, &subject->rules, true);
    if (!qc_judgement_first(floors))
        return true;
    struct qw_rules rules = subject->rules;
    struct qc_diagnosis diagnosis = qc_diagnose(floors);
    if (diagnosis.named && !diagnosis.ranked[0].by_signature) {
        qc_diagnosis_apply(&rules, &diagnosis);
        qc_judgement_clear(floors);
        qc_judge(floors, subject, &rules, false);
    }
    qc_diagnosis_clear(&diagnosis);
    return true;
}

static struct qw_json *compared_case(const char *id, const struct qc_task *task, const struct qc_pair *pair)
{
    struct qw_json *json = qc_case_head(id, task->path, pair->a);
    qc_pair_put_subject(json, pair->a);
    qw_json_put_text(json, "mode", "compare");
    qc_pair_put_other(json, task->other, pair->b);
    qw_json_put_text(json, "status", qc_pair_first(pair) ? "FAIL" : "PASS");
    qc_put_owned(json, "verdict", qc_pair_verdict(pair, task->floor > 0));
    qc_pair_put_cause(json, pair);
    qc_pair_put_first(json, pair);
    qc_pair_put_coverage(json, pair);
    qw_json_put_null(json, "consequence");
    qc_pair_put_differences(json, pair);
    qc_pair_put_tokens(json, pair);
    qc_pair_put_context(json, pair);
    qc_pair_put_findings(json, pair, &task->selection);
    qc_put_selection(json, &task->selection, pair->a->steps, (int)qw_json_get_int(pair->a->model_config, "num_hidden_layers", 0));
    qw_json_put_bool(json, "floor", task->floor > 0);
    qc_put_recorder(json, pair->a);
    qw_json_put_int(json, "steps", pair->a->steps);
    qw_json_put(json, "parties", qw_json_array());
    qw_json_put(json, "next_steps", qw_json_array());
    qc_pair_put_cache_lengths(json, pair);
    qc_pair_put_largest(json, pair);
    qw_json_put_null(json, "error");
    qc_pair_put_sites(json, pair);
    return json;
}

static struct qw_json *undecided_case(const char *id, const struct qc_task *task, const struct qc_recording *a,
                                      const struct qc_recording *b, const struct qw_error *error)
{
    struct qw_json *json = qc_case_undecided(id, task->path, a, error->kind == QW_ERROR_UNSUPPORTED ? "SKIP" : "ERROR", error);
    qw_json_put_text(json, "mode", "compare");
    qc_pair_put_other(json, task->other, b);
    return json;
}

static struct qw_json *compare_read(const char *id, const struct qc_task *task, const struct qc_recording *a,
                                    const struct qc_recording *b)
{
    struct qc_subject subject = {0};
    struct qc_judgement floors = {0};
    struct qc_pair pair = {0};
    struct qw_error error = {0};
    bool ok = task->floor <= 0 || qc_subject_make(&subject, a, &task->places, &error);
    if (ok && task->floor > 0) {
        subject.selection.precision = task->selection.precision;
        ok = judge_floors(&floors, &subject, &error);
    }
    ok = ok && qc_pair_make(&pair, a, b, &task->selection, task->floor > 0 ? &floors : NULL, &error);
    qw_error_in_file(&error, a->path);
    bool asks = subject.needs.model || subject.needs.adapter;
    struct qw_json *json = ok     ? compared_case(id, task, &pair)
                           : asks ? qc_task_needs(&subject.needs)
                                  : undecided_case(id, task, a, b, &error);
    qc_pair_clear(&pair);
    if (task->floor > 0) {
        qc_judgement_clear(&floors);
        qc_subject_clear(&subject);
    }
    return json;
}

struct qw_json *qc_case_compare(const struct qc_task *task)
{
    struct qc_recording a = {0}, b = {0};
    struct qw_error error = {0};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    char *id = qw_format("%s vs %s", qw_path_base(task->path), task->other ? qw_path_base(task->other) : "?");
    if (!task->other)
        qw_fail(&error, QW_ERROR_INTERNAL, "", "", "a comparison needs two recordings");
    bool read = task->other && qc_recording_read(&a, task->path, READ_BUDGET, &error) &&
                qc_recording_read(&b, task->other, READ_BUDGET, &error);
    struct qw_json *json = read ? compare_read(id, task, &a, &b) : undecided_case(id, task, &a, &b, &error);
    qc_case_put_seconds(json, &start);
    qc_recording_clear(&a);
    qc_recording_clear(&b);
    free(id);
    return json;
}
