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

Test(check, a_text_that_does_not_fit_its_pattern_is_named)
{
    expect_refusal("\"created\":\"2026-", "\"created\":\"soon 2026-", "created", "which does not fit ^[0-9]{4}-");
    expect_refusal("\"schema\":\"qconform-result/1\"",
                   "\"run\":{\"suites\":[],\"baselines\":[],\"globs\":[],\"filter\":null,"
                   "\"shard\":null,\"digest\":\"abc\",\"cases\":[]},\"schema\":\"qconform-result/1\"",
                   "run.digest", "the text \"abc\", which does not fit");
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

/* A block of a suite. */
static bool check_block(struct qw_error *error, const char *more)
{
    char *text = qw_format("{\"id\": \"a\", \"requirement\": \"r\", \"source\": \"s\", \"recording\": \"x.h5\"%s}", more);
    struct qw_json *block = parse_document(text);
    *error = (struct qw_error){0};
    bool fits = rp_check_part(block, RP_SUITE, "case", "cases[3]", error);
    qw_json_free(block);
    free(text);
    return fits;
}

Test(check, a_field_that_has_no_meaning_is_refused_where_the_schema_says_so)
{
    struct qw_error error;
    cr_expect(check_block(&error, ", \"steps\": \"0-4\""), "%s", error.message);
    cr_expect_not(check_block(&error, ", \"step\": \"0-4\""));
    cr_expect_str_eq(error.place, "cases[3]");
    cr_expect(strstr(error.message, "\"step\", which has no meaning here (did you mean steps?)"), "%s", error.message);
    cr_expect(strstr(error.hint, "the fields are id, requirement"), "%s", error.hint);
    cr_expect_not(check_block(&error, ", \"\\u001b[1m\": 1"));
    cr_expect(strstr(error.message, "\\x1b[1m"), "%s", error.message);
}

Test(check, the_hint_is_what_the_schema_says_of_the_field)
{
    struct qw_error error;
    cr_expect_not(check_block(&error, ", \"timeout\": \"soon\""));
    cr_expect_str_eq(error.place, "cases[3].timeout");
    cr_expect(strstr(error.hint, "timeout: how long it may take"), "%s", error.hint);
    cr_expect_not(check_block(&error, ", \"tags\": [\"a\", \"b c\"]"));
    cr_expect_str_eq(error.place, "cases[3].tags[1]");
    cr_expect(strstr(error.hint, "tags: words to select by"), "%s", error.hint);
}

/* A title of `count` characters, each of two bytes. */
static bool check_title(struct qw_error *error, int count)
{
    struct qw_text title = {0};
    for (int i = 0; i < count; i++)
        qw_text_add(&title, "\xc3\xa4");
    char *text = qw_format("{\"schema\": \"qconform-suite/1\", \"title\": \"%s\", \"cases\": [7]}",
                           title.bytes ? title.bytes : "");
    struct qw_json *suite = parse_document(text);
    *error = (struct qw_error){0};
    bool fits = rp_check_as(suite, RP_SUITE, "case", error);
    qw_json_free(suite);
    qw_text_free(&title);
    free(text);
    return fits;
}

Test(check, lengths_are_counted_in_characters_and_a_definition_can_be_left_out)
{
    struct qw_error error;
    cr_expect(check_title(&error, 1) && check_title(&error, 2000), "%s: %s", error.place, error.message);
    cr_expect_not(check_title(&error, 0));
    cr_expect(strstr(error.message, "a longer text (at least 1 character)"), "%s", error.message);
    cr_expect_not(check_title(&error, 2001));
    cr_expect(strstr(error.message, "a shorter text (at most 2000 characters)"), "%s", error.message);
}
