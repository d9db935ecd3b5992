/* Invariant: every field of the result contract is there, null where it has nothing to say. */
#include "harness/worker/case.h"

#include "harness/compare/coverage.h"
#include "harness/worker/fields.h"
#include "reference/base/text.h"

#define READ_BUDGET ((int64_t)16 << 30)

/* ---- the case ---- */

struct qw_json *qc_case_head(const char *id, const char *path, const struct qc_recording *recording)
{
    struct qw_json *json = qw_json_object();
    qw_json_put_text(json, "id", id);
    qw_json_put_text(json, "recording", path);
    qw_json_put_text(json, "recording_sha256", recording && recording->sha256[0] ? recording->sha256 : NULL);
    qw_json_put(json, "environment",
                recording && recording->environment ? qw_json_copy(recording->environment) : qw_json_object());
    return json;
}

void qc_case_put_seconds(struct qw_json *json, const struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct qw_json *timing = qw_json_put(json, "timing", qw_json_object());
    qw_json_put_real(timing, "seconds", (double)(now.tv_sec - from->tv_sec) + 1e-9 * (double)(now.tv_nsec - from->tv_nsec));
}

/* Why a case in which nothing differs is no pass. */
static void put_shortfall(struct qw_json *json, const struct qc_case_view *view)
{
    if (!view->shortfall) {
        qw_json_put_null(json, "error");
        return;
    }
    struct qw_json *why = qw_json_put(json, "error", qw_json_object());
    qw_json_put_text(why, "file", view->recording->path);
    qw_json_put_text(why, "place", "/");
    qw_json_put_text(why, "message", view->shortfall);
    qw_json_put_text(why, "hint", view->hint);
}

static struct qw_json *judged_case(const char *id, const struct qc_case_view *view)
{
    const struct qc_item *first = qc_judgement_first(view->judgement);
    struct qw_json *json = qc_case_head(id, view->recording->path, view->recording);
    qc_put_model(json, view);
    qc_put_adapter(json, view);
    qw_json_put_text(json, "status", first ? "FAIL" : view->shortfall ? "ERROR" : "PASS");
    qc_put_owned(json, "verdict",
                 view->shortfall ? qw_format("Undecided, nothing differs but %s: %s.", view->shortfall, view->hint)
                                 : qc_verdict_text(view->judgement, view->diagnosis));
    qc_put_cause(json, view);
    qc_put_first(json, view, first);
    qc_put_last_good(json, view, first);
    qc_put_coverage(json, view);
    qc_put_consequence(json, view);
    qc_put_findings(json, view);
    qc_put_recorder(json, view->recording);
    qc_put_selection(json, &view->subject->selection, view->judgement->steps, view->judgement->items.layers);
    qw_json_put_int(json, "steps", view->recording->steps);
    qc_put_call(json, view);
    qc_put_parties(json, view);
    qc_put_next_steps(json, view);
    qc_put_cache_lengths(json, view);
    qc_put_largest(json, view);
    put_shortfall(json, view);
    qc_put_sites(json, view);
    return json;
}

struct qw_json *qc_case_undecided(const char *id, const char *path, const struct qc_recording *recording, const char *status,
                                  const struct qw_error *error)
{
    static const char *const nothing[] = {"model",     "adapter",     "cause",        "first_divergence",
                                          "last_good", "consequence", "largest_ratio"};
    static const char *const empty[] = {"causes", "findings", "sites", "parties", "next_steps", "cache_lengths"};
    static const char *const counters[] = {"expected", "compared", "missing", "waived"};
    struct qw_json *json = qc_case_head(id, path, recording);
    char words[2400];
    qw_error_text(words, sizeof words, error);
    qw_json_put_text(json, "status", status);
    qw_json_put_text(json, "verdict", words);
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        qw_json_put_null(json, nothing[i]);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        qw_json_put(json, empty[i], qw_json_array());
    struct qw_json *coverage = qw_json_put(json, "coverage", qw_json_object());
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        qw_json_put_int(coverage, counters[i], 0);
    qw_json_put(coverage, "blind", qw_json_array());
    struct qw_json *why = qw_json_put(json, "error", qw_json_object());
    qw_json_put_text(why, "file", error->file);
    qw_json_put_text(why, "place", error->place);
    qw_json_put_text(why, "message", error->message);
    qw_json_put_text(why, "hint", error->hint);
    return json;
}

static struct qw_json *case_of_nothing(const char *id, const struct qc_recording *recording)
{
    struct qw_error error = {0};
    qw_fail(&error, QW_ERROR_UNSUPPORTED, "", "widen --steps, --layers or --site", "no judged place lies in the selection");
    qw_error_in_file(&error, recording->path);
    return qc_case_undecided(id, recording->path, recording, "SKIP", &error);
}

static struct qw_json *judge_subject(const char *id, const struct qc_subject *subject)
{
    struct qc_judgement judgement;
    struct qc_diagnosis diagnosis = {0};
    qc_judge(&judgement, subject, &subject->rules, true);
    if (!judgement.items.count && !qc_selection_is_all(&subject->selection)) {
        qc_judgement_clear(&judgement);
        return case_of_nothing(id, subject->recording);
    }
    bool diverged = qc_judgement_first(&judgement) != NULL;
    if (diverged)
        diagnosis = qc_diagnose(&judgement);
    struct qc_grafts grafts = {0};
    struct qc_case_view view = {&judgement, diverged ? &diagnosis : NULL, subject, subject->recording, &grafts, NULL, NULL};
    if (diverged)
        qc_grafts_make(&grafts, &judgement);
    else
        view.shortfall = qc_coverage_shortfall(&judgement, &view.hint);
    struct qw_json *json = judged_case(id, &view);
    qc_diagnosis_clear(&diagnosis);
    qc_judgement_clear(&judgement);
    return json;
}

struct qw_json *qc_case_failed(const struct qc_task *task, const char *status, const struct qw_error *error)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct qw_json *json = qc_case_undecided(qc_task_id(task), task->path, NULL, status, error);
    qc_case_put_seconds(json, &now);
    return json;
}

struct qw_json *qc_case_judge(const struct qc_task *task)
{
    struct qc_recording recording = {0};
    struct qc_subject subject = {0};
    struct qw_error error = {0};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    bool made = qc_recording_read(&recording, task->path, READ_BUDGET, &error) &&
                qc_subject_make(&subject, &recording, &task->places, &error);
    subject.selection = task->selection;
    struct qw_json *json = made ? judge_subject(qc_task_id(task), &subject)
                           : subject.needs.model || subject.needs.adapter
                               ? qc_task_needs(&subject.needs)
                               : qc_case_undecided(qc_task_id(task), task->path, &recording,
                                                   error.kind == QW_ERROR_UNSUPPORTED ? "SKIP" : "ERROR", &error);
    qc_case_put_seconds(json, &start);
    qc_subject_clear(&subject);
    qc_recording_clear(&recording);
    return json;
}
