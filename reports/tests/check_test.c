/* The check of a result: what it accepts, and what it says about what it does not. */
#include "reports/check.h"
#include "reports/tests/documents.h"

Test(check, a_whole_result_passes)
{
    struct qw_error error = {0};
    struct qw_json *document = load_document("compare");
    cr_expect(rp_check(document, &error), "%s: %s", error.place, error.message);
    qw_json_free(document);
}

/* The sample with the text `from` replaced by `to`. */
static void expect_refusal(const char *from, const char *to, const char *place, const char *message)
{
    struct qw_error error = {0};
    struct qw_json *document = load_document("compare");
    char *text = qw_json_print(document, false);
    char *at = strstr(text, from);
    cr_assert(at, "%s", from);
    char *changed = qw_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    struct qw_json *spoiled = parse_document(changed);
    cr_expect(!rp_check(spoiled, &error), "%s", to);
    cr_expect_str_eq(error.place, place);
    cr_expect(strstr(error.message, message), "\"%s\" is not in \"%s\"", message, error.message);
    cr_expect(*error.hint);
    free(changed);
    free(text);
    qw_json_free(spoiled);
    qw_json_free(document);
}

Test(check, a_wrong_type_is_named_with_its_place)
{
    expect_refusal("\"kind\":\"layout\",\"permutation\":[0,2,1,3]", "\"kind\":\"layout\",\"permutation\":[0,\"b\",1,3]",
                   "cases[0].first_divergence.permutation[1]", "the text \"b\" where a whole number is due");
    expect_refusal("\"step\":0,\"layer\":1,\"site\":\"cache_before.key\"",
                   "\"step\":0.5,\"layer\":1,\"site\":\"cache_before.key\"", "cases[0].sites[2].step",
                   "0.5 where a whole number is due");
    expect_refusal("\"findings\":[]", "\"findings\":{}", "cases[0].findings", "an object where a list is due");
    expect_refusal("\"multiple\":5", "\"multiple\":0", "noise.multiple", "a number above 0");
    expect_refusal("\"explained\":0", "\"explained\":2", "cases[0].cause.explained", "up to 1");
    expect_refusal("\"coverage\":{", "\"coverage\":7,\"x\":{", "cases[0].coverage", "the number 7 where an object is due");
}

Test(check, an_unknown_word_is_named_with_the_known_ones)
{
    expect_refusal("\"status\":\"FAIL\"", "\"status\":\"ODD\"", "cases[0].status", "one of PASS, FAIL, ERROR");
    expect_refusal("\"status\":\"FAIL\"", "\"status\":\"\\u001b[31m\"", "cases[0].status", "\\x1b[31m");
}

Test(check, a_missing_field_is_named)
{
    expect_refusal("\"verdict\":", "\"verdikt\":", "cases[0]", "lacks the field verdict");
    expect_refusal("\"noise\":", "\"nois\":", "", "lacks the field noise");
}

Test(check, another_version_and_another_document_are_told_apart)
{
    expect_refusal("qconform-result/1", "qconform-result/2", "schema", "this program reads qconform-result/1");
    expect_refusal("qconform-result/1", "qconform-bench/1", "schema", "not a result of schema qconform-result/1 but");
    expect_refusal("\"schema\":", "\"scheme\":", "schema", "names no schema");
}

Test(check, what_is_no_object_is_refused)
{
    static const char *const texts[] = {"{}", "[]", "null", "7", "\"qconform-result/1\"", "true"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct qw_error error = {0};
        struct qw_json *document = parse_document(texts[i]);
        cr_expect(!rp_check(document, &error), "%s", texts[i]);
        cr_expect(*error.message);
        qw_json_free(document);
    }
}

Test(check, fields_that_nobody_knows_yet_are_left_alone)
{
    struct qw_error error = {0};
    struct qw_json *document = load_document("compare");
    qw_json_put_text(document, "later", "x");
    cr_expect(rp_check(document, &error), "%s", error.message);
    qw_json_free(document);
}
