/* Invariant: a cause is written only from a diagnosis; without a name it is "unclassified" with explained 0. */
#include "harness/worker/fields.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/text.h"

/* ---- the cause ---- */

static void put_words(struct qw_json *array, const char *words)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        char *word = qw_format("%.*s", (int)length, words);
        qw_json_add_text(array, word);
        free(word);
        words += length + (words[length] == ' ');
    }
}

static void put_evidence(struct qw_json *cause, const struct qc_case_view *view)
{
    const struct qc_hypothesis *best = &view->diagnosis->ranked[0];
    const struct qc_item *first = qc_judgement_first(view->judgement);
    struct qw_json *evidence = qw_json_put(cause, "evidence", qw_json_array());
    char *place = qc_place_text(first), *difference = qc_difference_text(first, view->recording);
    char *line = qw_format("First divergence: %s, %s.", place, difference);
    qw_json_add_text(evidence, line);
    free(line);
    if (best->by_signature)
        line = qw_format("The run raised %s: %s.", view->recording->exception_type, view->recording->exception_message);
    else
        line = qw_format(
            "Played with this one fault, the reference reproduces %d of the %d sites that differ from the healthy play.",
            best->reproduced, best->sites);
    qw_json_add_text(evidence, line);
    free(line);
    const struct qc_item *largest = qc_largest_item(view->judgement, true);
    if (largest && qc_party_count(view->judgement, QW_MODEL, QC_DIFFERS) == 0) {
        line = qw_format("The model is acquitted: fed with what it was really given, every module computes what it should "
                         "(largest error %.3g times the noise floor, %.3g are allowed).",
                         qc_largest_ratio(largest, true), QC_NOISE_MULTIPLE);
        qw_json_add_text(evidence, line);
        free(line);
    }
    if (qc_cause_signed(best->cause, view->subject) && !best->by_signature)
        qw_json_add_text(evidence, "The exception that was raised is the one that this cause is known for.");
    free(place);
    free(difference);
}

static void put_against(struct qw_json *cause, const struct qc_case_view *view)
{
    const struct qc_hypothesis *best = &view->diagnosis->ranked[0];
    struct qw_json *against = qw_json_put(cause, "against", qw_json_array());
    if (qc_cause_has_versions(best->cause) && !qc_cause_known(best->cause, view->subject))
        qw_json_add_text(against, "The recorded versions are not among those that are known for this cause.");
    if (view->recording->raised && qc_cause_has_signature(best->cause) && !qc_cause_signed(best->cause, view->subject))
        qw_json_add_text(against, "The exception that was raised is not the one that this cause is known for.");
    if (best->reproduced < best->sites) {
        char *line = qw_format("%d of the %d sites that differ are not accounted for by it.", best->sites - best->reproduced,
                               best->sites);
        qw_json_add_text(against, line);
        free(line);
    }
}

static void put_runner_up(struct qw_json *cause, const struct qc_diagnosis *diagnosis)
{
    int next = 1 + diagnosis->equivalent;
    struct qw_json *equivalent = qw_json_put(cause, "equivalent", qw_json_array());
    for (int i = 1; i < next; i++)
        qw_json_add_text(equivalent, diagnosis->ranked[i].cause->id);
    if (next >= diagnosis->count) {
        qw_json_put_null(cause, "runner_up");
        return;
    }
    struct qw_json *runner_up = qw_json_put(cause, "runner_up", qw_json_object());
    qw_json_put_text(runner_up, "id", diagnosis->ranked[next].cause->id);
    qw_json_put_real(runner_up, "explained", diagnosis->ranked[next].explained);
}

/* The value of a deviation that has several: a number is its parameter, one that has a name is its variant. */
static void put_parameter(struct qw_json *cause, const struct qw_value *value)
{
    bool is_named = value && value->words[0];
    if (!value || is_named)
        qw_json_put_null(cause, "parameter");
    else
        qw_json_put_real(cause, "parameter", value->number);
    qw_json_put_text(cause, "variant", is_named ? value->words : NULL);
}

struct qw_json *qc_cause_unclassified(const char *title, const char *mechanism, const char *remedy, const char *party)
{
    struct qw_json *cause = qw_json_object();
    qw_json_put_text(cause, "id", "unclassified");
    qw_json_put_text(cause, "title", title);
    qw_json_put_text(cause, "confidence", "low");
    qw_json_put_int(cause, "explained", 0);
    qw_json_put(cause, "against", qw_json_array());
    qw_json_put_null(cause, "runner_up");
    qw_json_put(cause, "equivalent", qw_json_array());
    put_parameter(cause, NULL);
    qw_json_put(cause, "upstream", qw_json_array());
    qw_json_put_null(cause, "fixed_in");
    qw_json_put_text(cause, "remedy", remedy);
    qw_json_put_text(cause, "party", party);
    if (mechanism)
        qw_json_put_text(cause, "mechanism", mechanism);
    qw_json_put(cause, "evidence", qw_json_array());
    return cause;
}

static struct qw_json *unclassified(const struct qc_case_view *view)
{
    const struct qc_item *first = qc_judgement_first(view->judgement);
    return qc_cause_unclassified("No cause of the catalogue reproduces this record",
                                 "Every cause of the catalogue was played and none reproduces what was recorded. The first "
                                 "divergence says where the record leaves the healthy play; everything before it is right.",
                                 "Look at the first divergence; the ranked hypotheses are among the findings.",
                                 qw_party_name(qw_site_rows[first->site].party));
}

static struct qw_json *named_cause(const struct qc_case_view *view)
{
    static const char *const confidence[] = {"low", "medium", "high"};
    const struct qc_hypothesis *best = &view->diagnosis->ranked[0];
    struct qw_json *cause = qw_json_object();
    qw_json_put_text(cause, "id", best->cause->id);
    qw_json_put_text(cause, "title", best->cause->title);
    qw_json_put_text(cause, "confidence", confidence[view->diagnosis->confidence]);
    qw_json_put_real(cause, "explained", best->explained);
    put_against(cause, view);
    put_runner_up(cause, view->diagnosis);
    put_parameter(cause, best->value);
    put_words(qw_json_put(cause, "upstream", qw_json_array()), best->cause->upstream);
    qw_json_put_text(cause, "fixed_in", qc_cause_fixed_in(best->cause, view->subject));
    qc_put_owned(cause, "remedy", qc_cause_text(best->cause->remedy, best->cause, view->subject));
    qw_json_put_text(cause, "party", qw_party_name(qc_cause_party(best->cause)));
    qc_put_owned(cause, "mechanism", qc_cause_text(best->cause->mechanism, best->cause, view->subject));
    put_evidence(cause, view);
    return cause;
}

void qc_put_cause(struct qw_json *json, const struct qc_case_view *view)
{
    struct qw_json *causes = qw_json_array();
    if (view->diagnosis) {
        struct qw_json *cause = view->diagnosis->named ? named_cause(view) : unclassified(view);
        qw_json_add(causes, qw_json_copy(cause));
        qw_json_put(json, "cause", cause);
    } else {
        qw_json_put_null(json, "cause");
    }
    qw_json_put(json, "causes", causes);
}

static void add_next(struct qw_json *steps, const char *text, const char *command)
{
    struct qw_json *step = qw_json_add(steps, qw_json_object());
    qw_json_put_text(step, "text", text);
    qw_json_put_text(step, "command", command);
}

void qc_put_next_steps(struct qw_json *json, const struct qc_case_view *view)
{
    struct qw_json *steps = qw_json_put(json, "next_steps", qw_json_array());
    char *inspect = qw_format("qconform inspect %s", view->recording->path);
    if (view->diagnosis && view->diagnosis->named) {
        const struct qc_cause_row *cause = view->diagnosis->ranked[0].cause;
        const char *fixed = qc_cause_fixed_in(cause, view->subject);
        char *remedy = qc_cause_text(cause->remedy, cause, view->subject);
        char *command = fixed ? qw_format("pip install '%.*s>=%s'", (int)strcspn(fixed, " "), fixed, strchr(fixed, ' ') + 1)
                              : NULL;
        add_next(steps, remedy, command);
        add_next(steps, "Record the same call again with the cure in place, and see that it conforms.",
                 "python -m qconform_recorder --out again.h5 your_script.py && qconform diagnose again.h5");
        free(remedy);
        free(command);
    } else if (view->diagnosis) {
        add_next(steps, "See what the recording holds at the first divergence.", inspect);
    }
    free(inspect);
}
