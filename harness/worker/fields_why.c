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

/* How many of the sites that differ are reproduced: by this one alone, and what that comes to with the other. */
static char *reproduced_text(const struct qc_hypothesis *one, const struct qc_case_view *view)
{
    const struct qc_diagnosis *diagnosis = view->diagnosis;
    if (one->by_signature)
        return qw_format("The run raised %s: %s.", view->recording->exception_type, view->recording->exception_message);
    if (!diagnosis->second.cause)
        return qw_format(
            "Played with this one fault, the reference reproduces %d of the %d sites that differ from the healthy play.",
            one->reproduced, one->sites);
    const struct qc_hypothesis *other = one == &diagnosis->second ? &diagnosis->ranked[0] : &diagnosis->second;
    return qw_format(
        "Played with this fault alone, the reference reproduces %d of the %d sites that differ from the healthy play; "
        "together with %s it explains %.4g %% of the divergence.",
        one->reproduced, one->sites, other->cause->id, 100 * diagnosis->together);
}

static void put_acquittal(struct qw_json *evidence, const struct qc_case_view *view)
{
    const struct qc_item *largest = qc_largest_item(view->judgement, true);
    if (largest && qc_party_count(view->judgement, QW_MODEL, QC_DIFFERS) == 0)
        qc_add_owned(evidence,
                     qw_format("The model is acquitted: fed with what it was really given, every module computes what it should "
                               "(largest error %.3g times the noise floor, %.3g are allowed).",
                               qc_largest_ratio(largest, true), QC_NOISE_MULTIPLE));
}

static void put_evidence(struct qw_json *cause, const struct qc_hypothesis *one, const struct qc_case_view *view)
{
    const struct qc_item *first = qc_judgement_first(view->judgement);
    struct qw_json *evidence = qw_json_put(cause, "evidence", qw_json_array());
    char *place = qc_place_text(first), *difference = qc_difference_text(first, view->recording);
    qc_add_owned(evidence, qw_format("First divergence: %s, %s.", place, difference));
    qc_add_owned(evidence, reproduced_text(one, view));
    put_acquittal(evidence, view);
    if (qc_cause_signed(one->cause, view->subject) && !one->by_signature)
        qw_json_add_text(evidence, "The exception that was raised is the one that this cause is known for.");
    free(place);
    free(difference);
}

static void put_against(struct qw_json *cause, const struct qc_hypothesis *one, const struct qc_case_view *view)
{
    const struct qc_diagnosis *diagnosis = view->diagnosis;
    struct qw_json *against = qw_json_put(cause, "against", qw_json_array());
    if (qc_cause_has_versions(one->cause) && !qc_cause_known(one->cause, view->subject))
        qw_json_add_text(against, "The recorded versions are not among those that are known for this cause.");
    if (view->recording->raised && qc_cause_has_signature(one->cause) && !qc_cause_signed(one->cause, view->subject))
        qw_json_add_text(against, "The exception that was raised is not the one that this cause is known for.");
    int left = one->sites - (diagnosis->second.cause ? diagnosis->reproduced_together : one->reproduced);
    if (left > 0)
        qc_add_owned(against, qw_format("%d of the %d sites that differ are not accounted for by %s.", left, one->sites,
                                        diagnosis->second.cause ? "the two together" : "it"));
}

static void put_runner_up(struct qw_json *cause, const struct qc_hypothesis *one, const struct qc_diagnosis *diagnosis)
{
    const struct qc_hypothesis *next = qc_diagnosis_runner_up(diagnosis);
    struct qw_json *equivalent = qw_json_put(cause, "equivalent", qw_json_array());
    for (int i = 1; i <= diagnosis->equivalent && one == diagnosis->ranked; i++)
        qw_json_add_text(equivalent, diagnosis->ranked[i].cause->id);
    if (!next) {
        qw_json_put_null(cause, "runner_up");
        return;
    }
    struct qw_json *runner_up = qw_json_put(cause, "runner_up", qw_json_object());
    qw_json_put_text(runner_up, "id", next->cause->id);
    qw_json_put_real(runner_up, "explained", next->explained);
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

/* `explained` is what all that are needed explain together, `alone` what this one does by itself. */
static struct qw_json *named_cause(const struct qc_hypothesis *one, const struct qc_case_view *view)
{
    static const char *const confidence[] = {"low", "medium", "high"};
    struct qw_json *cause = qw_json_object();
    qw_json_put_text(cause, "id", one->cause->id);
    qw_json_put_text(cause, "title", one->cause->title);
    qw_json_put_text(cause, "confidence", confidence[view->diagnosis->confidence]);
    qw_json_put_real(cause, "explained", view->diagnosis->together);
    if (view->diagnosis->second.cause)
        qw_json_put_real(cause, "alone", one->explained);
    put_against(cause, one, view);
    put_runner_up(cause, one, view->diagnosis);
    put_parameter(cause, one->value);
    put_words(qw_json_put(cause, "upstream", qw_json_array()), one->cause->upstream);
    qw_json_put_text(cause, "fixed_in", qc_cause_fixed_in(one->cause, view->subject));
    qc_put_owned(cause, "remedy", qc_cause_text(one->cause->remedy, one->cause, view->subject));
    qw_json_put_text(cause, "party", qw_party_name(qc_cause_party(one->cause)));
    qc_put_owned(cause, "mechanism", qc_cause_text(one->cause->mechanism, one->cause, view->subject));
    put_evidence(cause, one, view);
    return cause;
}

void qc_put_cause(struct qw_json *json, const struct qc_case_view *view)
{
    const struct qc_diagnosis *diagnosis = view->diagnosis;
    struct qw_json *causes = qw_json_array();
    if (diagnosis) {
        struct qw_json *cause = diagnosis->named ? named_cause(&diagnosis->ranked[0], view) : unclassified(view);
        qw_json_add(causes, qw_json_copy(cause));
        if (diagnosis->named && diagnosis->second.cause)
            qw_json_add(causes, named_cause(&diagnosis->second, view));
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

/* What to do about one cause, and the command that does it where a release cures it. */
static void add_remedy(struct qw_json *steps, const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    const char *fixed = qc_cause_fixed_in(cause, subject);
    char *remedy = qc_cause_text(cause->remedy, cause, subject);
    char *command = fixed ? qw_format("pip install '%.*s>=%s'", (int)strcspn(fixed, " "), fixed, strchr(fixed, ' ') + 1) : NULL;
    add_next(steps, remedy, command);
    free(remedy);
    free(command);
}

void qc_put_next_steps(struct qw_json *json, const struct qc_case_view *view)
{
    struct qw_json *steps = qw_json_put(json, "next_steps", qw_json_array());
    char *inspect = qw_format("qconform inspect %s", view->recording->path);
    if (view->diagnosis && view->diagnosis->named) {
        const struct qc_cause_row *second = view->diagnosis->second.cause;
        add_remedy(steps, view->diagnosis->ranked[0].cause, view->subject);
        if (second)
            add_remedy(steps, second, view->subject);
        add_next(steps,
                 second ? "Record the same call again with both cures in place, and see that it conforms."
                        : "Record the same call again with the cure in place, and see that it conforms.",
                 "qconform record -o again.h5 -- python your_script.py && qconform diagnose again.h5");
    } else if (view->diagnosis) {
        add_next(steps, "See what the recording holds at the first divergence.", inspect);
    }
    free(inspect);
}
