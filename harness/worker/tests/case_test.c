/* One case of the result, from its file: every field that the result promises, of its type, for every status. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/recording/tests/made.h"
#include "harness/worker/case.h"
#include "harness/worker/inspect.h"
#include "reference/base/json.h"

TestSuite(worker_case, .init = made_begin, .fini = made_end);

#define SHIPPED "fixtures/recordings/"

static struct qw_json *judged(const char *path, const struct qc_places *places)
{
    struct qc_task task = qc_task_of("judge", path);
    task.places = *places;
    return qc_case_judge(&task);
}

static struct qw_json *inspected(const char *path)
{
    struct qc_task task = qc_task_of("inspect", path);
    return qc_inspect(&task);
}

static const struct qc_places as_it_says;

/* ---- types of fields ---- */

/* t text, n number, o object, a array; ? may be null instead; r number or one of the words for what is not finite. */
static void has(const struct qw_json *object, const char *key, const char *type)
{
    const struct qw_json *node = qw_json_get(object, key);
    cr_expect_not_null(node, "%s is not there", key);
    if (!node || (strchr(type, '?') && qw_json_is_null(node)))
        return;
    bool right = (type[0] == 't' && qw_json_is_text(node)) || (type[0] == 'n' && qw_json_is_number(node)) ||
                 (type[0] == 'o' && qw_json_is_object(node)) || (type[0] == 'a' && qw_json_is_array(node)) ||
                 (type[0] == 'r' && !isnan(qw_json_real(node, (double)NAN)));
    cr_expect(right, "%s is no %s", key, type);
}

static const char *status_of(const struct qw_json *json) { return qw_json_get_text(json, "status", ""); }

static void has_common_fields(const struct qw_json *json, const char *path)
{
    has(json, "recording_sha256", "t?");
    has(json, "environment", "o");
    has(json, "model", "o?");
    has(json, "adapter", "o?");
    has(json, "verdict", "t");
    has(json, "cause", "o?");
    has(json, "causes", "a");
    has(json, "first_divergence", "o?");
    has(json, "last_good", "o?");
    has(json, "coverage", "o");
    has(json, "consequence", "o?");
    has(json, "findings", "a");
    has(json, "sites", "a");
    has(json, "timing", "o");
    has(qw_json_get(json, "timing"), "seconds", "n");
    cr_expect_str_eq(qw_json_get_text(json, "recording", ""), path);
    cr_expect_str_eq(qw_json_get_text(json, "id", ""), strrchr(path, '/') + 1);
    cr_expect_gt(strlen(qw_json_get_text(json, "verdict", "")), 20);
    const struct qw_json *coverage = qw_json_get(json, "coverage");
    has(coverage, "blind", "a");
    int64_t sum = qw_json_get_int(coverage, "compared", -1) + qw_json_get_int(coverage, "missing", -1) +
                  qw_json_get_int(coverage, "waived", -1);
    cr_expect_eq(qw_json_get_int(coverage, "expected", -2), sum, "expected = compared + missing + waived");
}

static void has_sites(const struct qw_json *json)
{
    cr_expect_gt(qw_json_size(qw_json_get(json, "sites")), 0);
    for (const struct qw_json *site = qw_json_first(qw_json_get(json, "sites")); site; site = qw_json_next(site)) {
        has(site, "step", "n?");
        has(site, "layer", "n?");
        has(site, "site", "t");
        has(site, "status", "t");
        has(site, "ratio", "r?");
        has(site, "ratio_isolated", "r?");
        if (qw_json_is_null(qw_json_get(site, "ratio")) && qw_json_is_null(qw_json_get(site, "ratio_isolated")))
            continue;
        has(site, "max_abs", "r");
        has(site, "rms", "r");
        has(site, "ulp", "r");
    }
}

static void has_findings(const struct qw_json *json)
{
    for (const struct qw_json *finding = qw_json_first(qw_json_get(json, "findings")); finding; finding = qw_json_next(finding)) {
        const char *severity = qw_json_get_text(finding, "severity", "");
        has(finding, "id", "t");
        has(finding, "step", "n?");
        has(finding, "layer", "n?");
        has(finding, "site", "t?");
        has(finding, "message", "t");
        cr_expect(!strcmp(severity, "error") || !strcmp(severity, "warning") || !strcmp(severity, "note"), "%s", severity);
    }
}

static void has_cause(const struct qw_json *cause)
{
    const char *confidence = qw_json_get_text(cause, "confidence", "");
    has(cause, "id", "t");
    has(cause, "title", "t");
    has(cause, "explained", "n");
    has(cause, "against", "a");
    has(cause, "runner_up", "o?");
    has(cause, "equivalent", "a");
    has(cause, "parameter", "n?");
    has(cause, "variant", "t?");
    has(cause, "upstream", "a");
    has(cause, "fixed_in", "t?");
    has(cause, "remedy", "t");
    cr_expect(!strcmp(confidence, "high") || !strcmp(confidence, "medium") || !strcmp(confidence, "low"), "%s", confidence);
}

static void has_side(const struct qw_json *side)
{
    has(side, "shape", "a?");
    has(side, "dtype", "t?");
    cr_expect_not_null(qw_json_get(side, "value"));
}

static void has_divergence(const struct qw_json *first)
{
    has(first, "step", "n?");
    has(first, "layer", "n?");
    has(first, "site", "t");
    has(first, "kind", "t");
    has(first, "permutation", "a?");
    has(first, "expected", "o");
    has(first, "observed", "o");
    has(first, "index", "a?");
    has(first, "position", "t?");
    has(first, "ratio", "r?");
    has_side(qw_json_get(first, "expected"));
    has_side(qw_json_get(first, "observed"));
}

/* ---- PASS and FAIL ---- */

Test(worker_case, pass)
{
    const char *path = SHIPPED "qwen2-prompt-tf4.44.2-peft0.13.2.h5";
    struct qw_json *json = judged(path, &as_it_says);
    has_common_fields(json, path);
    has_sites(json);
    has_findings(json);
    cr_expect_str_eq(status_of(json), "PASS");
    cr_expect(qw_json_is_null(qw_json_get(json, "cause")) && qw_json_is_null(qw_json_get(json, "first_divergence")));
    cr_expect(qw_json_is_null(qw_json_get(json, "consequence")) && qw_json_is_null(qw_json_get(json, "last_good")));
    cr_expect_eq(qw_json_size(qw_json_get(json, "causes")), 0);
    cr_expect_eq(strlen(qw_json_get_text(json, "recording_sha256", "")), 64);
    cr_expect_str_eq(qw_json_get_text(qw_json_get(json, "environment"), "peft", ""), "0.13.2");
    const struct qw_json *model = qw_json_get(json, "model"), *adapter = qw_json_get(json, "adapter");
    cr_expect_str_eq(qw_json_get_text(model, "class", ""), "Qwen2ForCausalLM");
    cr_expect_str_eq(qw_json_get_text(model, "dtype", ""), "float32");
    cr_expect_eq(qw_json_get_int(model, "layers", 0), 3);
    cr_expect_str_eq(qw_json_get_text(adapter, "peft_type", ""), "PROMPT_TUNING");
    cr_expect_eq(qw_json_get_int(adapter, "virtual_tokens", 0), 4);
    cr_expect_eq(qw_json_get_int(qw_json_get(json, "coverage"), "missing", -1), 0);
    qw_json_free(json);
}

Test(worker_case, pass_without_an_adapter)
{
    const char *path = SHIPPED "qwen2-base-tf4.57.3.h5";
    struct qw_json *json = judged(path, &as_it_says);
    has_common_fields(json, path);
    cr_expect_str_eq(status_of(json), "PASS");
    cr_expect(qw_json_is_null(qw_json_get(json, "adapter")));
    qw_json_free(json);
}

Test(worker_case, fail)
{
    const char *path = SHIPPED "qwen2-prompt-tf4.44.2-peft0.12.0.h5";
    struct qw_json *json = judged(path, &as_it_says);
    has_common_fields(json, path);
    has_sites(json);
    has_findings(json);
    const struct qw_json *cause = qw_json_get(json, "cause"), *first = qw_json_get(json, "first_divergence");
    has_cause(cause);
    has_divergence(first);
    cr_expect_str_eq(status_of(json), "FAIL");
    cr_expect_str_eq(qw_json_get_text(cause, "id", ""), "prompt-not-injected");
    cr_expect_str_eq(qw_json_get_text(cause, "confidence", ""), "high");
    cr_expect_str_eq(qw_json_get_text(cause, "fixed_in", ""), "peft 0.13.0");
    cr_expect_str_eq(qw_json_text(qw_json_first(qw_json_get(cause, "upstream")), ""),
                     "https://github.com/QwenLM/Qwen3/issues/882");
    cr_expect_str_eq(qw_json_get_text(qw_json_first(qw_json_get(json, "causes")), "id", ""), "prompt-not-injected");
    cr_expect_eq(qw_json_get_int(first, "step", -1), 0);
    cr_expect(qw_json_is_null(qw_json_get(first, "layer")));
    cr_expect_str_eq(qw_json_get_text(first, "site", ""), "received.inputs_embeds");
    cr_expect_str_eq(qw_json_get_text(first, "kind", ""), "missing");
    cr_expect(qw_json_is_null(qw_json_get(qw_json_get(first, "observed"), "shape")));
    cr_expect_eq(qw_json_size(qw_json_get(qw_json_get(first, "expected"), "shape")), 3);
    const struct qw_json *consequence = qw_json_get(json, "consequence");
    has(consequence, "first_token_flip", "n?");
    has(consequence, "top1_agreement", "n");
    has(consequence, "kl", "r");
    qw_json_free(json);
}

/* A length is a number on both sides, and the last good place stands before it. */
Test(worker_case, fail_with_a_length)
{
    const char *path = SHIPPED "qwen2-prefix-tf4.44.2-peft0.12.0.h5";
    struct qw_json *json = judged(path, &as_it_says);
    const struct qw_json *first = qw_json_get(json, "first_divergence");
    has_common_fields(json, path);
    has_divergence(first);
    cr_expect_str_eq(qw_json_get_text(first, "kind", ""), "cache-length");
    cr_expect_eq(qw_json_get_int(qw_json_get(first, "expected"), "value", -1), 4);
    cr_expect_eq(qw_json_get_int(qw_json_get(first, "observed"), "value", -1), 0);
    cr_expect_str_eq(qw_json_get_text(qw_json_get(json, "last_good"), "site", ""), "cache_before.type");
    qw_json_free(json);
}

/* Nothing reached the model: no step, and the site is the call. */
Test(worker_case, fail_before_the_first_step)
{
    const char *path = SHIPPED "qwen2-prompt-tf4.42.4-peft0.11.1.h5";
    struct qw_json *json = judged(path, &as_it_says);
    const struct qw_json *first = qw_json_get(json, "first_divergence");
    has_common_fields(json, path);
    has_divergence(first);
    has_cause(qw_json_get(json, "cause"));
    cr_expect_str_eq(status_of(json), "FAIL");
    cr_expect(qw_json_is_null(qw_json_get(first, "step")));
    cr_expect_str_eq(qw_json_get_text(first, "site", ""), "call");
    cr_expect_str_eq(qw_json_get_text(first, "kind", ""), "raised");
    cr_expect(qw_json_is_null(qw_json_get(json, "last_good")));
    qw_json_free(json);
}

/* ---- a changed file ---- */

/* A copy of a healthy recording without an adapter, with `change` done to it, judged. */
static struct qw_json *judge_changed(void (*change)(hid_t file), char path[256])
{
    hid_t file = made_open(made_copy(path, "qwen2-base-tf4.57.3.h5"));
    change(file);
    H5Fclose(file);
    return judged(path, &as_it_says);
}

static void change_logit(hid_t file)
{
    float row[101];
    hid_t dataset = H5Dopen2(file, "/steps/000002/taps/lm_head", H5P_DEFAULT);
    cr_assert_geq(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, row), 0);
    row[40] = INFINITY;
    cr_assert_geq(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, row), 0);
    H5Dclose(dataset);
}

/* What is not finite is written as a word, in a document that can be read again. */
Test(worker_case, fail_that_nothing_explains)
{
    char path[256];
    struct qw_error error = {0};
    struct qw_json *json = judge_changed(change_logit, path);
    const struct qw_json *cause = qw_json_get(json, "cause"), *first = qw_json_get(json, "first_divergence");
    has_common_fields(json, path);
    has_sites(json);
    has_findings(json);
    has_cause(cause);
    has_divergence(first);
    cr_expect_str_eq(status_of(json), "FAIL");
    cr_expect_str_eq(qw_json_get_text(cause, "id", ""), "unclassified");
    cr_expect_eq(qw_json_get_real(cause, "explained", -1), 0);
    cr_expect_str_eq(qw_json_get_text(first, "kind", ""), "nonfinite");
    cr_expect_str_eq(qw_json_get_text(first, "ratio", ""), "inf");
    cr_expect_str_eq(qw_json_get_text(qw_json_get(first, "observed"), "value", ""), "inf");
    cr_expect_eq(qw_json_int(qw_json_next(qw_json_next(qw_json_first(qw_json_get(first, "index")))), -1), 40);
    bool ranked = false;
    for (const struct qw_json *finding = qw_json_first(qw_json_get(json, "findings")); finding; finding = qw_json_next(finding))
        ranked = ranked || !strcmp(qw_json_get_text(finding, "id", ""), "hypothesis");
    cr_expect(ranked, "the ranked list stands among the findings");
    char *text = qw_json_print(json, false);
    struct qw_json *again = qw_json_parse(text, strlen(text), "", &error);
    cr_expect_not_null(again, "%s", error.message);
    qw_json_free(again);
    free(text);
    qw_json_free(json);
}

/* A tap without its numbers in a recording that promises numbers: it was not compared, and the coverage must say so. */
static void strip_tap(hid_t file)
{
    made_null(file, "/steps/000002/taps/model.layers.1.mlp.up_proj", "float32", 3, (int64_t[]){1, 1, 80});
}

Test(worker_case, a_tap_without_its_numbers_is_not_compared)
{
    char path[256];
    struct qw_json *json = judge_changed(strip_tap, path), *sound = judged(SHIPPED "qwen2-base-tf4.57.3.h5", &as_it_says);
    const struct qw_json *coverage = qw_json_get(json, "coverage"), *whole = qw_json_get(sound, "coverage");
    cr_expect_eq(qw_json_get_int(coverage, "expected", -1), qw_json_get_int(whole, "expected", -2));
    cr_expect_lt(qw_json_get_int(coverage, "compared", -1), qw_json_get_int(whole, "compared", -1),
                 "%d of %d places are said to be compared", (int)qw_json_get_int(coverage, "compared", -1),
                 (int)qw_json_get_int(coverage, "expected", -1));
    qw_json_free(json);
    qw_json_free(sound);
}

/* ---- ERROR ---- */

static void expect_error(const struct qw_json *json, const char *path, const char *place, const char *words)
{
    has_common_fields(json, path);
    cr_expect_str_eq(status_of(json), "ERROR");
    cr_expect(qw_json_is_null(qw_json_get(json, "cause")) && qw_json_is_null(qw_json_get(json, "first_divergence")));
    cr_expect_eq(qw_json_size(qw_json_get(json, "sites")), 0);
    const char *verdict = qw_json_get_text(json, "verdict", "");
    cr_expect(strstr(verdict, path) && strstr(verdict, place) && strstr(verdict, words), "file, object and reason: %s", verdict);
}

Test(worker_case, error_absent)
{
    char path[256];
    struct qw_json *json = judged(made_path(path, "nowhere.h5"), &as_it_says);
    expect_error(json, path, "", "");
    qw_json_free(json);
}

Test(worker_case, error_truncated)
{
    char path[256];
    made_copy(path, "qwen2-base-tf4.57.3.h5");
    cr_assert_eq(truncate(path, 100000), 0);
    struct qw_json *json = judged(path, &as_it_says);
    expect_error(json, path, "", "truncated");
    qw_json_free(json);
}

static void drop_weight(hid_t file) { made_delete(file, "/model/weights/model.layers.1.mlp.up_proj.weight"); }
static void id_out_of_vocabulary(hid_t file)
{
    made_whole(file, "/steps/000003/received/input_ids", 2, (int64_t[]){1, 1}, (int64_t[]){101});
}
static void config_is_no_json(hid_t file) { made_text(file, "/model", "config", "{"); }

Test(worker_case, error_for_a_missing_weight)
{
    char path[256];
    struct qw_json *json = judge_changed(drop_weight, path);
    expect_error(json, path, "model.layers.1.mlp.up_proj.weight", "requires");
    qw_json_free(json);
}

Test(worker_case, error_for_an_id_out_of_the_vocabulary)
{
    char path[256];
    struct qw_json *json = judge_changed(id_out_of_vocabulary, path);
    expect_error(json, path, "/steps/", "101");
    qw_json_free(json);
}

Test(worker_case, error_for_a_config_that_is_no_json)
{
    char path[256];
    struct qw_json *json = judge_changed(config_is_no_json, path);
    expect_error(json, path, "/model@config", "not valid JSON");
    qw_json_free(json);
}

Test(worker_case, error_for_folders_that_are_not_there)
{
    const char *path = SHIPPED "qwen2-prompt-tf4.57.3-peft0.18.1.h5";
    struct qc_places nowhere = {.model = "fixtures/models/none"};
    struct qw_json *json = judged(path, &nowhere);
    has_common_fields(json, path);
    cr_expect_str_eq(status_of(json), "ERROR");
    qw_json_free(json);
}

/* ---- SKIP ---- */

static void another_class(hid_t file) { made_text(file, "/model", "class", "LlamaForCausalLM"); }
static void padded(hid_t file)
{
    made_whole(file, "/call/attention_mask", 2, (int64_t[]){1, 7}, (int64_t[]){0, 1, 1, 1, 1, 1, 1});
}

Test(worker_case, skip)
{
    char path[256];
    struct qw_json *json = judge_changed(another_class, path);
    has_common_fields(json, path);
    cr_expect_str_eq(status_of(json), "SKIP");
    cr_expect(strstr(qw_json_get_text(json, "verdict", ""), "LlamaForCausalLM"), "the reason is said");
    cr_expect_eq(strlen(qw_json_get_text(json, "recording_sha256", "")), 64, "the file was read");
    cr_expect_str_eq(qw_json_get_text(qw_json_get(json, "environment"), "transformers", ""), "4.57.3");
    qw_json_free(json);
}

/* The call's mask hides a token that the mask handed to the model shows. */
Test(worker_case, padding_that_was_not_handed_over_fails)
{
    char path[256];
    struct qw_json *json = judge_changed(padded, path);
    cr_expect_str_eq(status_of(json), "FAIL");
    cr_expect_str_eq(qw_json_get_text(qw_json_get(json, "first_divergence"), "site", ""), "received.attention_mask");
    qw_json_free(json);
}

/* ---- always ---- */

/* The same file gives the same bytes up to the timing, which comes last. */
Test(worker_case, the_same_file_gives_the_same_bytes)
{
    char *text[2];
    for (int i = 0; i < 2; i++) {
        struct qw_json *json = judged(SHIPPED "qwen2-prefix-tf4.44.2-peft0.12.0.h5", &as_it_says);
        text[i] = qw_json_print(json, true);
        char *timing = strstr(text[i], "\"timing\"");
        cr_assert_not_null(timing);
        cr_expect_null(strstr(timing, "\"sites\""), "timing comes last");
        *timing = 0;
        qw_json_free(json);
    }
    cr_expect_gt(strlen(text[0]), 10000);
    cr_expect(!strcmp(text[0], text[1]), "two judgements of one file differ");
    free(text[0]);
    free(text[1]);
}

Test(worker_case, a_case_that_ended_otherwise)
{
    struct qw_error error = {.kind = QW_ERROR_INPUT,
                             .file = "folder/run.h5",
                             .message = "the worker was stopped after 3 seconds"};
    struct qc_task task = qc_task_of("judge", "folder/run.h5");
    struct qw_json *json = qc_case_failed(&task, "TIMEOUT", &error);
    has_common_fields(json, "folder/run.h5");
    cr_expect_str_eq(status_of(json), "TIMEOUT");
    cr_expect(strstr(qw_json_get_text(json, "verdict", ""), "stopped after 3 seconds"));
    qw_json_free(json);
}

Test(worker_case, inspecting)
{
    struct qw_json *json = inspected(SHIPPED "qwen2-prompt-tf4.57.3-peft0.18.1.h5");
    cr_expect_str_eq(qw_json_get_text(json, "schema", ""), "qconform-inspect/1");
    cr_expect_eq(qw_json_size(qw_json_get(json, "steps")), 5);
    cr_expect_str_eq(qw_json_get_text(json, "level", ""), "modules");
    qw_json_free(json);
    char path[256];
    json = inspected(made_path(path, "nowhere.h5"));
    cr_expect_str_eq(status_of(json), "ERROR");
    cr_expect(qw_json_is_object(qw_json_get(json, "error")));
    qw_json_free(json);
}
