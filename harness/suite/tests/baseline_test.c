/* Baselines: what is one, what becomes of a case that is held against it, and how one is written. */
#include "harness/suite/baseline.h"

#include "harness/suite/tests/folder.h"
#include "reports/check.h"

static struct qw_json *parse(const char *text)
{
    struct qw_error error = {0};
    struct qw_json *json = qw_json_parse(text, strlen(text), "", &error);
    cr_assert(json, "%s: %s", text, error.message);
    return json;
}

#define HEAD "{\"schema\": \"qconform-baseline/1\", \"cases\": ["

static void expect_refusal(const char *text, const char *place, const char *message)
{
    struct qw_error error = {0};
    char sha256[QW_SHA256_HEX];
    folder_put("b.json", text);
    cr_expect_null(qc_baseline_read(sha256, "b.json", &error), "%s", text);
    cr_expect_str_eq(error.file, "b.json");
    cr_expect_str_eq(error.place, place);
    cr_expect(strstr(error.message, message), "\"%s\" is not in \"%s\"", message, error.message);
    cr_expect(*error.hint);
}

Test(baseline, what_is_none_is_refused_with_its_place)
{
    char *folder = folder_enter();
    struct qw_error error = {0};
    char sha256[QW_SHA256_HEX];
    expect_refusal("{", "", "not valid JSON");
    expect_refusal("{\"schema\": \"qconform-suite/1\"}", "schema", "not a baseline");
    expect_refusal(HEAD "{\"id\": \"a\", \"cause\": \"x\"}]}", "cases[0]", "(did you mean causes?)");
    expect_refusal(HEAD "{\"id\": \"a\", \"causes\": []}]}", "cases[0].causes", "a longer list");
    expect_refusal(HEAD "{\"id\": \"a\", \"causes\": [\"prompt-not-injectet\"]}]}", "cases[0].causes[0]",
                   "there is no cause \"prompt-not-injectet\" (did you mean prompt-not-injected?)");
    expect_refusal(HEAD "{\"id\": \"a\", \"causes\": [\"unclassified\"]}, {\"id\": \"a\", \"causes\": [\"unclassified\"]}]}",
                   "cases", "two entries of a");
    expect_refusal(HEAD "{\"id\": \"a\", \"causes\": [\"unclassified\"], \"first_divergence\": {\"step\": -1, \"layer\": null, "
                        "\"site\": \"x\"}}]}",
                   "cases[0].first_divergence.step", "a number from 0");
    cr_expect_null(qc_baseline_read(sha256, "nowhere.json", &error));
    cr_expect_str_eq(error.file, "nowhere.json");
    folder_leave(folder);
}

Test(baseline, an_entry_is_found_by_its_id)
{
    struct qw_json *baseline = parse(HEAD "{\"id\": \"a\", \"causes\": [\"x\"]}, {\"id\": \"b\", \"causes\": [\"y\"]}]}");
    cr_expect_str_eq(qw_json_text(qw_json_first(qw_json_get(qc_baseline_find(baseline, "b"), "causes")), ""), "y");
    cr_expect_null(qc_baseline_find(baseline, "c"));
    cr_expect_null(qc_baseline_find(NULL, "a"));
    qw_json_free(baseline);
}

#define FOUND                                                                                                                     \
    "\"causes\": [{\"id\": \"x\"}, {\"id\": \"y\"}], \"cause\": {\"id\": \"x\"}, \"first_divergence\": {\"step\": 0, \"layer\": " \
    "null, \"site\": \"s\"}"

static void expect_status(const char *status, const char *found, const char *entry, const char *expected, const char *begins)
{
    char *text = qw_format("{\"status\": \"%s\", \"verdict\": \"Own.\", %s}", status, found);
    struct qw_json *one = parse(text), *known = parse(entry);
    qc_baseline_apply(one, known);
    const char *verdict = qw_json_get_text(one, "verdict", "");
    cr_expect_str_eq(qw_json_get_text(one, "status", ""), expected, "%s against %s: %s", text, entry, verdict);
    cr_expect(!strncmp(verdict, begins, strlen(begins)), "%s", verdict);
    cr_expect(strstr(verdict, "Own."), "%s", verdict);
    cr_expect_null(qw_json_get(qw_json_get(one, "expected"), "id"));
    cr_expect(qw_json_get(qw_json_get(one, "expected"), "causes"));
    qw_json_free(one);
    qw_json_free(known);
    free(text);
}

Test(baseline, only_a_failure_that_is_just_as_expected_is_expected)
{
    static const char nothing[] = "\"causes\": [], \"cause\": null, \"first_divergence\": null";
#define ENTRY(causes, more)      "{\"id\": \"a\", \"causes\": [" causes "]" more "}"
#define PLACE(step, layer, site) ", \"first_divergence\": {\"step\": " step ", \"layer\": " layer ", \"site\": \"" site "\"}"
    expect_status("FAIL", FOUND, ENTRY("\"x\", \"y\"", ""), "XFAIL", "Own.");
    expect_status("FAIL", FOUND, ENTRY("\"y\", \"x\"", PLACE("0", "null", "s")), "XFAIL", "Own.");
    expect_status("FAIL", "\"causes\": [], \"cause\": {\"id\": \"x\"}", ENTRY("\"x\"", ""), "XFAIL", "Own.");
    expect_status("FAIL", FOUND, ENTRY("\"x\"", ""), "CHANGED",
                  "Fails in another way than the baseline expects: x and y at step 0, s, not x.");
    expect_status("FAIL", FOUND, ENTRY("\"x\", \"y\", \"z\"", ""), "CHANGED", "Fails in another way");
    expect_status("FAIL", FOUND, ENTRY("\"x\", \"y\"", PLACE("1", "null", "s")), "CHANGED", "Fails in another way");
    expect_status("FAIL", FOUND, ENTRY("\"x\", \"y\"", PLACE("0", "0", "s")), "CHANGED", "Fails in another way");
    expect_status("FAIL", FOUND, ENTRY("\"x\", \"y\"", PLACE("0", "null", "t")), "CHANGED", "Fails in another way");
    expect_status("PASS", nothing, ENTRY("\"x\"", ""), "XPASS", "Passes, although the baseline expects x: take");
    expect_status("SKIP", nothing, ENTRY("\"x\"", ""), "CHANGED", "Is not judged any more");
    expect_status("ERROR", nothing, ENTRY("\"x\"", ""), "ERROR", "Own.");
    expect_status("TIMEOUT", nothing, ENTRY("\"x\"", ""), "TIMEOUT", "Own.");
    expect_status("CRASH", nothing, ENTRY("\"x\"", ""), "CRASH", "Own.");
    expect_status("NOTRUN", nothing, ENTRY("\"x\"", ""), "NOTRUN", "Own.");
}

Test(baseline, a_case_without_an_entry_stays_as_it_is)
{
    struct qw_json *one = parse("{\"status\": \"FAIL\", \"verdict\": \"Own.\", " FOUND "}");
    qc_baseline_apply(one, NULL);
    cr_expect_str_eq(qw_json_get_text(one, "status", ""), "FAIL");
    cr_expect(qw_json_get(one, "expected") && qw_json_is_null(qw_json_get(one, "expected")));
    qw_json_free(one);
}

#define CASE(id, status, causes, more)                                                                                           \
    "{\"id\": \"" id "\", \"status\": \"" status "\", \"causes\": [" causes "], \"first_divergence\": {\"step\": 0, \"layer\": " \
    "1, \"site\": \"s\", \"kind\": \"value\"}" more "}"
#define KNOWN ", \"expected\": {\"causes\": [\"unclassified\"], \"why\": \"w\"}"

Test(baseline, one_is_made_of_the_failures_and_keeps_what_was_not_judged_again)
{
    struct qw_error error = {0};
    static const char text_of[] =
        "{\"cases\": [" CASE("z", "FAIL", "{\"id\": \"prompt-not-injected\"}", ", \"expected\": null") "," CASE(
            "b", "CHANGED", "{\"id\": \"prompt-not-injected\"}",
            KNOWN) "," CASE("a", "XFAIL", "{\"id\": \"unclassified\"}",
                            KNOWN) "," CASE("c", "PASS", "",
                                            "") "," CASE("d", "XPASS", "",
                                                         KNOWN) "," CASE("e", "NOTRUN", "",
                                                                         KNOWN) "," CASE("f", "CHANGED", "",
                                                                                         KNOWN) "," CASE("g", "ERROR", "",
                                                                                                         "") "]}";
    struct qw_json *document = parse(text_of);
    struct qw_json *baseline = qc_baseline_make(document);
    char *text = qw_json_print(baseline, false);
    static const char *const ids[] = {"a", "b", "e", "f", "z"};
    const struct qw_json *entry = qw_json_first(qw_json_get(baseline, "cases"));
    for (size_t i = 0; i < 5; i++, entry = qw_json_next(entry))
        cr_expect_str_eq(qw_json_get_text(entry, "id", ""), ids[i], "%s", text);
    cr_expect_null(entry, "%s", text);
    entry = qc_baseline_find(baseline, "b");
    cr_expect_str_eq(qw_json_text(qw_json_first(qw_json_get(entry, "causes")), ""), "prompt-not-injected");
    cr_expect_str_eq(qw_json_get_text(entry, "why", ""), "w");
    cr_expect_null(qw_json_get(qw_json_get(entry, "first_divergence"), "kind"));
    cr_expect(rp_check_as(baseline, RP_BASELINE, NULL, &error), "%s: %s", error.place, error.message);
    free(text);
    qw_json_free(baseline);
    qw_json_free(document);
}
