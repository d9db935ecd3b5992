/* Which cause is named, how sure, and that nothing is named which the record does not show. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "harness/diagnose/diagnose.h"
#include "reference/base/file.h"

static const struct qc_hypothesis *hypothesis(const struct qc_diagnosis *diagnosis, const char *id)
{
    for (int i = 0; i < diagnosis->count; i++)
        if (!strcmp(diagnosis->ranked[i].cause->id, id))
            return &diagnosis->ranked[i];
    cr_assert(false, "%s is not among the hypotheses", id);
    return NULL;
}

/* ---- the shipped recordings ---- */

/* What judging asks for: high needs nearly everything and a lead of 0.2, a signature is never better than medium. */
static void expect_confidence(const struct qc_diagnosis *diagnosis, const char *name)
{
    const struct qc_hypothesis *best = &diagnosis->ranked[0];
    int next = 1 + diagnosis->equivalent;
    double lead = best->explained - (next < diagnosis->count ? diagnosis->ranked[next].explained : 0);
    if (best->by_signature)
        cr_expect_eq(diagnosis->confidence, QC_MEDIUM, "%s: a signature with known versions", name);
    else if (best->explained >= 0.99 && lead >= 0.2)
        cr_expect_eq(diagnosis->confidence, QC_HIGH, "%s", name);
    else
        cr_expect_eq(diagnosis->confidence, QC_MEDIUM, "%s", name);
}

/* Patches put into PEFT do not touch the model's own code: there versions may be known to be bad all the same. */
static void expect_versions(const struct qc_judgement *judgement, const struct qc_cause_row *best, bool patched, const char *name)
{
    bool known = qc_cause_known(best, judgement->subject) || (!patched && !qc_cause_has_versions(best));
    if (!patched || qc_cause_party(best) != QW_MODEL)
        cr_expect_eq(known, !patched, "%s: versions that are known to be bad, unless the run was patched", name);
}

/* `expected`: of a row, with "causes" where several are needed. */
static void expect_named(const struct qc_diagnosis *diagnosis, const struct qw_json *expected, const char *name)
{
    const struct qw_json *second = qw_json_next(qw_json_first(qw_json_get(expected, "causes")));
    const char *besides = diagnosis->second.cause ? diagnosis->second.cause->id : "";
    cr_expect(diagnosis->named, "%s", name);
    cr_expect_str_eq(diagnosis->ranked[0].cause->id, qw_json_get_text(expected, "cause", ""), "%s", name);
    cr_expect_str_eq(besides, qw_json_text(second, ""), "%s: the second", name);
    cr_expect_geq(diagnosis->together, 0.99, "%s: %g", name, diagnosis->together);
    if (!second)
        expect_confidence(diagnosis, name);
}

static void expect_causes(const char *name, const struct qw_json *expected, bool patched)
{
    struct shipped run;
    shipped_read(&run, name);
    shipped_judge(&run);
    cr_assert_not_null(qc_judgement_first(&run.judgement), "%s must diverge", name);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    if (!strcmp(qw_json_get_text(expected, "cause", ""), "unclassified")) {
        cr_expect(!diagnosis.named, "%s is not %s", name, diagnosis.ranked[0].cause->id);
    } else {
        expect_named(&diagnosis, expected, name);
        expect_versions(&run.judgement, diagnosis.ranked[0].cause, patched, name);
    }
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

static void expect_health(const char *name)
{
    struct shipped run;
    shipped_read(&run, name);
    shipped_judge(&run);
    const struct qc_item *first = qc_judgement_first(&run.judgement);
    cr_expect_null(first, "%s differs at %s", name, first ? qw_site_rows[first->site].name : "");
    shipped_clear(&run);
}

/* Whether the fault was put into the libraries.  A prefix that is permuted on its way is a remedy, and what fails all the same
 * is the model's own doing (fixtures/patches.py). */
static bool is_planted(const struct qw_json *row)
{
    const char *patch = qw_json_get_text(row, "patch", NULL);
    return patch && strcmp(patch, "prefix-permuted") != 0;
}

/* fixtures/recordings.json says what each recording shows. */
Test(diagnose, every_shipped_recording)
{
    char *bytes = NULL;
    size_t size = 0;
    struct qw_error error = {0};
    int faulty = 0, healthy = 0;
    cr_assert(qw_file_read(&bytes, &size, "fixtures/recordings.json", 1 << 24, &error), "%s", error.message);
    struct qw_json *list = qw_json_parse(bytes, size, "", &error);
    cr_assert_not_null(list, "%s", error.message);
    for (const struct qw_json *row = qw_json_first(qw_json_get(list, "recordings")); row; row = qw_json_next(row)) {
        const struct qw_json *expected = qw_json_get(row, "expected");
        const char *name = qw_json_get_text(row, "file", ""), *cause = qw_json_get_text(expected, "cause", NULL);
        if (cause)
            expect_causes(name, expected, is_planted(row));
        else
            expect_health(name);
        faulty += cause != NULL;
        healthy += cause == NULL;
    }
    cr_expect_geq(faulty, 5);
    cr_expect_geq(healthy, 6);
    qw_json_free(list);
    free(bytes);
}

static enum qc_confidence confidence_of(const char *name)
{
    struct shipped run;
    shipped_read(&run, name);
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    enum qc_confidence confidence = diagnosis.confidence;
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
    return confidence;
}

Test(diagnose, how_sure_it_is)
{
    cr_expect_eq(confidence_of(SHIPPED_BARE), QC_HIGH);
    cr_expect_eq(confidence_of(SHIPPED_QUERY_HEADS), QC_HIGH);
    cr_expect_eq(confidence_of(SHIPPED_EMPTY_CACHE), QC_MEDIUM, "no step was reached");
}

/* A play that cannot go on past the first attention does not reproduce a run that did. */
Test(diagnose, a_play_that_stops_explains_no_run_that_went_on)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BARE_PREFIX);
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    const struct qc_hypothesis *stopped = hypothesis(&diagnosis, "prefix-query-heads");
    cr_expect_str_eq(diagnosis.ranked[0].cause->id, "prompt-not-injected");
    cr_expect_lt(stopped->explained, 0.5, "it explains %g", stopped->explained);
    cr_expect_lt(stopped->reproduced, stopped->sites / 2, "it reproduces %d of %d sites", stopped->reproduced, stopped->sites);
    cr_expect_eq(diagnosis.confidence, QC_HIGH);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

/* ---- a raise ---- */

static struct qc_diagnosis diagnosis_of_raise(struct shipped *run, const char *name, const char *type, const char *message)
{
    shipped_read(run, name);
    if (type) {
        run->recording.raised = true;
        run->recording.steps--;
        shipped_text(&run->recording.exception_type, type);
        shipped_text(&run->recording.exception_message, message);
        shipped_text(&run->recording.traceback, "callback.py, in __call__");
    }
    shipped_judge(run);
    return qc_diagnose(&run->judgement);
}

/* Between two steps that are as in a healthy run anything may raise, and nothing is known of it. */
Test(diagnose, a_raise_that_is_not_the_librarys_has_no_cause)
{
    static const char *const raises[][2] = {
        {"RuntimeError", "stop"},
        {"OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB."},
        {"KeyboardInterrupt", ""},
        {"RuntimeError", "The size of tensor a (9) must match the size of tensor b (4) at non-singleton dimension 3"},
        {"IndexError", "index 9 is out of bounds for dimension 0 with size 9"}};
    static const char *const names[] = {SHIPPED_PROMPT, SHIPPED_PREFIX};
    for (int i = 0; i < 10; i++) {
        struct shipped run;
        struct qc_diagnosis diagnosis = diagnosis_of_raise(&run, names[i / 5], raises[i % 5][0], raises[i % 5][1]);
        cr_assert_not_null(qc_judgement_first(&run.judgement));
        cr_expect_not(diagnosis.named, "%s is named for %s", diagnosis.ranked[0].cause->id, raises[i % 5][0]);
        qc_diagnosis_clear(&diagnosis);
        run.recording.steps++; /* the one that was set aside is to be released too */
        shipped_clear(&run);
    }
}

/* A raise between two steps is accounted for by the cause that is known to come to it, and reproduces what came before. */
Test(diagnose, a_raise_that_follows_from_its_cause)
{
    const char *name = "qwen2.5-prompt-lookup-tf4.57.3-peft0.18.1.h5";
    struct shipped run;
    struct qc_diagnosis diagnosis = diagnosis_of_raise(&run, name, NULL, NULL);
    cr_expect_str_eq(diagnosis.ranked[0].cause->id, "tokens-trimmed");
    cr_expect(diagnosis.ranked[0].explained == 1 && diagnosis.ranked[0].reproduced == diagnosis.ranked[0].sites);
    qc_diagnosis_clear(&diagnosis);
    shipped_text(&run.recording.exception_message, "stop");
    shipped_forget(&run);
    shipped_judge(&run);
    diagnosis = qc_diagnose(&run.judgement);
    cr_expect_lt(diagnosis.ranked[0].explained, 1, "the raise is another");
    cr_expect_lt(diagnosis.ranked[0].reproduced, diagnosis.ranked[0].sites);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

/* ---- ranking ---- */

/* Without a deviation, and without an exception that would prove it, a cause is never a hypothesis. */
static void expect_all_that_can_be_tried(const struct qc_diagnosis *diagnosis, bool raised)
{
    int expected = 0;
    for (int i = 0; i < qc_cause_count(); i++) {
        enum qw_deviation deviation;
        const struct qc_cause_row *cause = qc_cause_at(i);
        bool tried = qc_cause_deviation(&deviation, cause) || (raised && qc_cause_raise(cause)), found = false;
        for (int j = 0; j < diagnosis->count; j++)
            found = found || diagnosis->ranked[j].cause == cause;
        cr_expect_eq(found, tried, "%s", cause->id);
        expected += tried;
    }
    cr_expect_eq(diagnosis->count, expected);
}

Test(diagnose, the_list_is_ranked_and_complete)
{
    static const char *const names[] = {SHIPPED_BARE, SHIPPED_BARE_PREFIX, SHIPPED_QUERY_HEADS, SHIPPED_EMPTY_CACHE};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct shipped run;
        shipped_read(&run, names[n]);
        shipped_judge(&run);
        struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
        expect_all_that_can_be_tried(&diagnosis, run.recording.raised);
        for (int i = 0; i < diagnosis.count; i++) {
            double explained = diagnosis.ranked[i].explained;
            cr_expect(explained >= 0 && explained <= 1, "%s: %g", diagnosis.ranked[i].cause->id, explained);
            cr_expect(i == 0 || explained <= diagnosis.ranked[i - 1].explained);
            cr_expect_leq(diagnosis.ranked[i].reproduced, diagnosis.ranked[i].sites);
            for (int j = 0; j < i; j++)
                cr_expect_neq(diagnosis.ranked[i].cause, diagnosis.ranked[j].cause);
        }
        qc_diagnosis_clear(&diagnosis);
        shipped_clear(&run);
    }
}

/* ---- what no cause explains ---- */

Test(diagnose, a_wrong_number_is_unclassified)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    shipped_floats(shipped_tap(&run, 1, "model.layers.1.mlp.up_proj"))[0] += 1;
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect_not(diagnosis.named);
    cr_expect_eq(diagnosis.confidence, QC_LOW);
    cr_expect_eq(diagnosis.ranked[0].explained, 0);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

Test(diagnose, shifted_positions_are_unclassified)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    for (int step = 0; step < 5; step++)
        shipped_integers(run.recording.step[step].input[QC_POSITION_IDS])[0] += 4;
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect_not(diagnosis.named);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

/* A cause that is there together with something else is named as long as it explains the most of it. */
Test(diagnose, a_cause_beside_another_difference)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BARE);
    shipped_remove_tap(&run, 3, "model.layers.0.mlp.act_fn");
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect(diagnosis.named);
    cr_expect_str_eq(diagnosis.ranked[0].cause->id, "prompt-not-injected");
    cr_expect(diagnosis.ranked[0].explained < 1 && diagnosis.ranked[0].explained > 0.5);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

/* ---- signatures ---- */

static bool signed_in(const char *name, const char *id, const char *type, const char *message, const char *traceback)
{
    struct shipped run;
    shipped_read(&run, name);
    shipped_text(&run.recording.exception_type, type);
    shipped_text(&run.recording.exception_message, message);
    shipped_text(&run.recording.traceback, traceback);
    cr_assert(shipped_subject(&run));
    bool found = qc_cause_signed(qc_cause_find(id), &run.subject);
    shipped_clear(&run);
    return found;
}

static bool signed_as(const char *id, const char *type, const char *message, const char *traceback)
{
    return signed_in(SHIPPED_EMPTY_CACHE, id, type, message, traceback);
}

Test(diagnose, signatures_of_an_empty_cache)
{
    const char *inside = "peft_model.py, in prepare_inputs_for_generation";
    cr_expect(
        signed_as("empty-cache-indexed", "KeyError", "'Cache only has 0 layers, attempted to access layer with index 0'", ""));
    cr_expect(signed_as("empty-cache-indexed", "AttributeError", "'list' object has no attribute 'shape'", inside));
    cr_expect(signed_as("empty-cache-indexed", "AttributeError", "'NoneType' object has no attribute 'shape'", inside));
    cr_expect(signed_as("empty-cache-indexed", "TypeError", "'DynamicCache' object is not subscriptable", inside));
    cr_expect_not(signed_as("empty-cache-indexed", "AttributeError", "'list' object has no attribute 'shape'", "elsewhere"));
    cr_expect_not(
        signed_as("empty-cache-indexed", "ValueError", "'Cache only has 0 layers, attempted to access layer with index 0'", ""));
    cr_expect_not(signed_as("empty-cache-indexed", "KeyError", "'past_key_values'", inside));
    cr_expect_not(
        signed_as("prompt-not-injected", "KeyError", "'Cache only has 0 layers, attempted to access layer with index 0'", ""));
}

/* The message counts heads: 6 query and 2 key/value heads here.  Only a prefix has heads. */
Test(diagnose, a_signature_with_the_facts_of_the_model)
{
    const char *message =
        "Sizes of tensors must match except in dimension 2. Expected size %d but got size %d for tensor number 1 in the list.";
    char right[160], wrong[160];
    snprintf(right, sizeof right, message, 6, 2);
    snprintf(wrong, sizeof wrong, message, 2, 6);
    cr_expect(signed_in(SHIPPED_QUERY_HEADS, "prefix-query-heads", "RuntimeError", right, ""));
    cr_expect_not(signed_in(SHIPPED_QUERY_HEADS, "prefix-query-heads", "RuntimeError", wrong, ""));
    cr_expect_not(signed_as("prefix-query-heads", "RuntimeError", right, ""), "virtual tokens that are embeddings have no heads");
}

/* The exception of an unknown pair of versions: named, but with little confidence. */
Test(diagnose, a_signature_with_unknown_versions)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_EMPTY_CACHE);
    shipped_versions(&run, "4.42.4", "0.7.1");
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect(diagnosis.named);
    cr_expect_str_eq(diagnosis.ranked[0].cause->id, "empty-cache-indexed");
    cr_expect_eq(diagnosis.confidence, QC_LOW);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

/* What each cause really raised: pair of releases, where, and the words. */
static const struct raised {
    const char *cause, *shipped, *transformers, *peft, *type, *message, *traceback;
    int steps; /* steps that were done before; 0: raised before the first */
} raises[] = {
    {"cache-key-missing", SHIPPED_EMPTY_CACHE, "4.46.3", "0.13.2", "KeyError", "'past_key_values'",
     "peft_model.py, line 1735, in prepare_inputs_for_generation", 0},
    {"mask-rank-mismatch", SHIPPED_EMPTY_CACHE, "4.51.3", "0.15.2", "RuntimeError",
     "Tensors must have same number of dimensions: got 2 and 4", "peft_model.py, line 1921, in prepare_inputs_for_generation", 0},
    {"mask-rank-mismatch", SHIPPED_EMPTY_CACHE, "4.57.3", "0.13.2", "TypeError",
     "expected Tensor as element 1 in argument 0, but got dict", "peft_model.py, line 1750, in prepare_inputs_for_generation", 0},
    {"mask-absent", SHIPPED_EMPTY_CACHE, "5.23.0", "0.21.2", "AttributeError", "'NoneType' object has no attribute 'dim'",
     "peft_model.py, line 2302, in prepare_inputs_for_generation", 0},
    {"cache-api-removed", SHIPPED_PREFIX, "4.57.1", "0.17.1", "AttributeError",
     "'DynamicCache' object has no attribute 'key_cache'", "integrations.py, in map_cache_to_layer_device_map", 0},
    {"legacy-tuple-cache", SHIPPED_PREFIX, "4.42.4", "0.13.2", "AttributeError",
     "'tuple' object has no attribute 'get_max_length'", "modeling_qwen2.py, line 1280, in prepare_inputs_for_generation", 1},
    {"cache-position-overrun", SHIPPED_PREFIX, "4.45.2", "0.16.0", "IndexError",
     "index 11 is out of bounds for dimension 0 with size 8", "modeling_qwen2.py, line 1236, in prepare_inputs_for_generation",
     1},
};

static void raise_like(struct shipped *run, const struct raised *row)
{
    shipped_versions(run, row->transformers, row->peft);
    shipped_text(&run->recording.exception_type, row->type);
    shipped_text(&run->recording.exception_message, row->message);
    shipped_text(&run->recording.traceback, row->traceback);
    shipped_text(&run->recording.raised_at, "");
    run->recording.raised = true;
    run->recording.steps = row->steps;
}

Test(diagnose, what_raised_between_the_steps_is_named_by_its_exception)
{
    for (size_t i = 0; i < sizeof raises / sizeof *raises; i++) {
        struct shipped run;
        shipped_read(&run, raises[i].shipped);
        int steps = run.recording.steps;
        raise_like(&run, &raises[i]);
        shipped_judge(&run);
        struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
        const struct qc_hypothesis *named = hypothesis(&diagnosis, raises[i].cause);
        cr_expect(diagnosis.named && named == &diagnosis.ranked[0] && named->by_signature, "%s", raises[i].message);
        cr_expect_eq(diagnosis.confidence, QC_MEDIUM, "%s: never better than medium, never worse with known versions",
                     raises[i].message);
        cr_expect_eq(named->reproduced, named->sites, "%s: %d of %d", raises[i].message, named->reproduced, named->sites);
        cr_expect_eq(diagnosis.equivalent, 0, "%s", raises[i].message);
        qc_diagnosis_clear(&diagnosis);
        run.recording.steps = steps;
        shipped_clear(&run);
    }
}

/* The tuple is a structural fact that differs as well, and the exception accounts for it. */
Test(diagnose, an_exception_accounts_for_what_it_predicts)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PREFIX);
    int steps = run.recording.steps;
    raise_like(&run, &raises[5]);
    shipped_versions(&run, "4.48.3", "0.13.2");
    shipped_text(&run.recording.step[0].before.type, "tuple");
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect_str_eq(diagnosis.ranked[0].cause->id, "legacy-tuple-cache");
    cr_expect_eq(diagnosis.ranked[0].sites, 2);
    cr_expect_eq(diagnosis.ranked[0].explained, 1);
    qc_diagnosis_clear(&diagnosis);
    shipped_forget(&run);
    shipped_integers(run.recording.step[0].input[QC_INPUT_IDS])[0] += 1; /* which no tuple explains */
    shipped_judge(&run);
    diagnosis = qc_diagnose(&run.judgement);
    const struct qc_hypothesis *named = hypothesis(&diagnosis, "legacy-tuple-cache");
    cr_expect_eq(named->reproduced, 2);
    cr_expect(named->sites > 2 && named->explained < 1, "it explains %g", named->explained);
    qc_diagnosis_clear(&diagnosis);
    run.recording.steps = steps;
    shipped_clear(&run);
}

/* Of causes that explain the same, one whose exception was raised comes before one whose exception was not. */
Test(diagnose, the_exception_decides_between_equals)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_EMPTY_CACHE);
    shipped_text(&run.recording.exception_type, "IndexError");
    shipped_text(&run.recording.exception_message, "index 12 is out of bounds for dimension 0 with size 8");
    shipped_text(&run.recording.traceback, "somewhere else");
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    const struct qc_hypothesis *doubled = hypothesis(&diagnosis, "position-offset-doubled");
    cr_expect(doubled->corroborated && doubled->explained == 0);
    for (const struct qc_hypothesis *h = diagnosis.ranked; h < doubled; h++)
        cr_expect(h->corroborated || h->explained > 0, "%s comes before", h->cause->id);
    cr_expect_not(diagnosis.named, "corroboration alone names nothing");
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

/* A run that did not raise has no signature, whatever texts it carries. */
Test(diagnose, a_run_that_returned_has_no_signature)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    shipped_text(&run.recording.exception_type, "KeyError");
    shipped_text(&run.recording.exception_message, "Cache only has 0 layers");
    cr_assert(shipped_subject(&run));
    cr_expect_not(qc_cause_signed(qc_cause_find("empty-cache-indexed"), &run.subject));
    shipped_clear(&run);
}
