/* JSON: strict in, ordered and repeatable out. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/json.h"

static struct qw_json *parse(const char *text)
{
    struct qw_error error = {0};
    struct qw_json *json = qw_json_parse(text, strlen(text), "here", &error);
    cr_assert(json, "%s: %s", text, error.message);
    cr_assert_eq(error.kind, QW_ERROR_NONE);
    return json;
}

static void refuse_bytes(const char *bytes, size_t size)
{
    struct qw_error error = {0};
    struct qw_json *json = qw_json_parse(bytes, size, "here", &error);
    cr_expect_null(json, "accepted: %s", bytes);
    cr_expect_eq(error.kind, QW_ERROR_INPUT, "%s", bytes);
    cr_expect_str_eq(error.place, "here");
    qw_json_free(json);
}

Test(json, refuses_what_is_not_one_document)
{
    static const char *const broken[] = {
        "",        " ",        "{",       "{\"a\"}",     "{\"a\" 1}", "{\"a\":1,}", "[1,]",  "[1 2]", "{} {}", "{} x",     "{}//c",
        "{'a':1}", "{a:1}",    "tru",     "nan",         "NaN",       "Infinity",   "+1",    "--1",   "1e",    "1..2",     "\"\\x\"",
        "\"open",  "\"\\ud8\"", "\"\\ud800\"", "[1]]",     "undefined", "/**/{}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        refuse_bytes(broken[i], strlen(broken[i]));
}

Test(json, refuses_a_nul_byte_anywhere)
{
    refuse_bytes("{}\0", 3);
    refuse_bytes("{}\0{}", 5);
    refuse_bytes("\"a\0b\"", 5);
    refuse_bytes("\0", 1);
}

/* It would cut the string that holds it: two different keys could read as one. */
Test(json, refuses_an_escaped_nul)
{
    refuse_bytes("\"\\u0000\"", 8);
    refuse_bytes("{\"a\\u0000b\":1}", 14);
    refuse_bytes("[\"\\\\\\u0000\"]", 12);
    qw_json_free(parse("[\"\\\\u0000\",\"u0000\",\"\\u0001\"]"));
}

Test(json, refuses_duplicate_keys_at_any_depth)
{
    static const char *const twice[] = {
        "{\"a\":1,\"a\":1}",
        "{\"b\":0,\"a\":1,\"c\":2,\"a\":3}",
        "{\"x\":{\"a\":1,\"a\":2}}",
        "[0,[{\"a\":1,\"a\":2}]]",
        "{\"\":1,\"\":2}",
        "{\"a\":1,\"\\u0061\":2}",
    };
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++)
        refuse_bytes(twice[i], strlen(twice[i]));
    qw_json_free(parse("{\"a\":{\"a\":[{\"a\":1},{\"a\":1}]},\"A\":2}"));
}

Test(json, names_the_key_that_stands_twice)
{
    struct qw_error error = {0};
    const char *text = "{\"z\":1,\"data\":[{\"k\":1,\"shape\":2,\"shape\":3}]}";
    cr_assert_null(qw_json_parse(text, strlen(text), "header", &error));
    cr_assert(strstr(error.message, "\"shape\""), "%s", error.message);
}

Test(json, deep_nesting_is_refused_not_a_crash)
{
    size_t depth = 1000000;
    char *text = malloc(depth + 1);
    memset(text, '[', depth);
    text[depth] = 0;
    refuse_bytes(text, depth);
    free(text);
}

Test(json, reads_each_type_and_falls_back_for_others)
{
    struct qw_json *json = parse("{\"t\":\"text\",\"n\":-3,\"f\":2.5,\"b\":true,\"z\":null,\"a\":[1,2,3],\"o\":{}}");
    cr_assert_str_eq(qw_json_get_text(json, "t", "?"), "text");
    cr_assert_str_eq(qw_json_get_text(json, "n", "?"), "?");
    cr_assert_eq(qw_json_get_int(json, "n", 9), -3);
    cr_assert_eq(qw_json_get_int(json, "f", 9), 9, "a fraction is no integer");
    cr_assert_eq(qw_json_get_int(json, "t", 9), 9);
    cr_assert_eq(qw_json_get_real(json, "f", 0), 2.5);
    cr_assert_eq(qw_json_get_real(json, "b", 7), 7);
    cr_assert(qw_json_get_bool(json, "b", false));
    cr_assert(qw_json_get_bool(json, "n", true), "a number is no truth value");
    cr_assert(qw_json_is_null(qw_json_get(json, "z")) && qw_json_is_null(qw_json_get(json, "absent")));
    cr_assert_not(qw_json_is_null(qw_json_get(json, "n")));
    cr_assert(qw_json_is_array(qw_json_get(json, "a")) && qw_json_is_object(qw_json_get(json, "o")));
    cr_assert(qw_json_is_text(qw_json_get(json, "t")) && qw_json_is_number(qw_json_get(json, "f")));
    cr_assert_null(qw_json_get(json, "T"), "keys are exact");
    qw_json_free(json);
}

Test(json, missing_nodes_are_harmless)
{
    cr_assert_null(qw_json_get(NULL, "a"));
    cr_assert_null(qw_json_first(NULL));
    cr_assert_null(qw_json_next(NULL));
    cr_assert_null(qw_json_key(NULL));
    cr_assert_eq(qw_json_size(NULL), 0);
    cr_assert_str_eq(qw_json_get_text(NULL, "a", "none"), "none");
    cr_assert_eq(qw_json_get_int(NULL, "a", 5), 5);
    cr_assert(qw_json_is_null(NULL));
    qw_json_free(NULL);
}

Test(json, integers_end_at_two_to_the_fifty_third)
{
    struct qw_json *json = parse("[9007199254740992,-9007199254740992,9007199254740994,1e300,1e2]");
    const int64_t wanted[] = {1LL << 53, -(1LL << 53), -1, -1, 100};
    const struct qw_json *node = qw_json_first(json);
    for (int i = 0; i < 5; i++, node = qw_json_next(node))
        cr_expect_eq(qw_json_int(node, -1), wanted[i], "entry %d", i);
    cr_assert_null(node);
    qw_json_free(json);
}

Test(json, nan_and_infinities_round_trip_as_text)
{
    struct qw_json *json = qw_json_object();
    qw_json_put_real(json, "n", (double)NAN);
    qw_json_put_real(json, "p", (double)INFINITY);
    qw_json_put_real(json, "m", -(double)INFINITY);
    char *text = qw_json_print(json, false);
    cr_assert_str_eq(text, "{\"n\":\"nan\",\"p\":\"inf\",\"m\":\"-inf\"}\n");
    struct qw_json *again = parse(text);
    cr_assert(isnan(qw_json_get_real(again, "n", 0)));
    cr_assert_eq(qw_json_get_real(again, "p", 0), (double)INFINITY);
    cr_assert_eq(qw_json_get_real(again, "m", 0), -(double)INFINITY);
    cr_assert_eq(qw_json_get_int(again, "p", -7), -7);
    qw_json_free(again);
    qw_json_free(json);
    free(text);
}

Test(json, builds_in_order_and_null_text_is_null)
{
    struct qw_json *json = qw_json_object();
    struct qw_json *list = qw_json_put(json, "z", qw_json_array());
    qw_json_add_int(list, 3);
    qw_json_add_text(list, "a\"\n");
    qw_json_add(list, qw_json_object());
    qw_json_put_text(json, "a", NULL);
    qw_json_put_bool(json, "m", true);
    qw_json_put_int(json, "b", -1);
    qw_json_put_null(json, "c");
    char *text = qw_json_print(json, false);
    cr_assert_str_eq(text, "{\"z\":[3,\"a\\\"\\n\",{}],\"a\":null,\"m\":true,\"b\":-1,\"c\":null}\n");
    qw_json_free(json);
    free(text);
}

static void expect_stable(const char *document, bool pretty)
{
    struct qw_json *json = parse(document), *copy = qw_json_copy(json);
    char *first = qw_json_print(json, pretty), *second = qw_json_print(copy, pretty);
    struct qw_json *again = parse(first);
    char *third = qw_json_print(again, pretty);
    cr_expect_str_eq(first, second);
    cr_expect_str_eq(first, third);
    cr_expect_eq(first[strlen(first) - 1], '\n');
    free(first);
    free(second);
    free(third);
    qw_json_free(json);
    qw_json_free(copy);
    qw_json_free(again);
}

Test(json, prints_the_same_document_the_same)
{
    const char *document = "{\"z\":[1,2.5,-0.1,1e300,5e-324,\"\xE2\x80\xA6\\u00e9\",[],{}],\"a\":{\"y\":null,\"x\":false}}";
    expect_stable(document, false);
    expect_stable(document, true);
}

/* Fifteen digits where they tell the number to one unit in the last place, else seventeen. */
Test(json, doubles_come_back_to_the_last_place)
{
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double number;
        memcpy(&number, &state, sizeof number);
        if (!isfinite(number))
            continue;
        struct qw_json *json = qw_json_object();
        qw_json_put_real(json, "x", number);
        char *text = qw_json_print(json, false);
        struct qw_json *again = parse(text);
        double error = fabs(qw_json_get_real(again, "x", 0) - number);
        cr_assert_leq(error, DBL_EPSILON * fabs(number), "%a was printed as %s", number, text);
        qw_json_free(json);
        qw_json_free(again);
        free(text);
    }
}
