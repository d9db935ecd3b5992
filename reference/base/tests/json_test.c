/* JSON: strict in, ordered and repeatable out. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/json.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

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
        "",      " ",       "{",      "{\"a\"}",   "{\"a\" 1}",   "{\"a\":1,}", "[1,]",      "[1 2]",  "{} {}", "{} x",
        "{}//c", "{'a':1}", "{a:1}",  "tru",       "nan",         "NaN",        "Infinity",  "+1",     "--1",   "1e",
        "1..2",  "\"\\x\"", "\"open", "\"\\ud8\"", "\"\\ud800\"", "[1]]",       "undefined", "/**/{}",
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
        "{\"a\":1,\"a\":1}", "{\"b\":0,\"a\":1,\"c\":2,\"a\":3}", "{\"x\":{\"a\":1,\"a\":2}}", "[0,[{\"a\":1,\"a\":2}]]",
        "{\"\":1,\"\":2}",   "{\"a\":1,\"\\u0061\":2}",
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

static void expect_same_number(double number)
{
    struct qw_json *json = qw_json_object();
    qw_json_put_real(json, "x", number);
    char *text = qw_json_print(json, false);
    struct qw_json *again = parse(text);
    double read = qw_json_get_real(again, "x", 0);
    cr_assert(read == number && signbit(read) == signbit(number), "%a was printed as %s", number, text);
    qw_json_free(json);
    qw_json_free(again);
    free(text);
}

Test(json, every_double_comes_back_the_same)
{
    static const double some[] = {0,        -0.0,   0.1,        1.0 / 3, 5e-324, DBL_MIN, DBL_MAX,
                                  -DBL_MAX, 0x1p53, 0x1p53 + 2, 0x1p60,  1e15,   1e22,    123456.789};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        expect_same_number(some[i]);
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double number;
        memcpy(&number, &state, sizeof number);
        if (isfinite(number))
            expect_same_number(number);
    }
}

static void expect_printed(double number, const char *wanted)
{
    struct qw_json *json = qw_json_array();
    struct qw_json *object = qw_json_add(json, qw_json_object());
    qw_json_put_real(object, "x", number);
    char *text = qw_json_print(object, false), *whole = qw_format("{\"x\":%s}\n", wanted);
    cr_expect_str_eq(text, whole);
    cr_expect_eq(qw_json_get_real(object, "x", 0), number, "printing leaves the document as it is");
    free(text);
    free(whole);
    qw_json_free(json);
}

Test(json, numbers_are_printed_as_short_as_they_can_be)
{
    expect_printed(0.1, "0.1");
    expect_printed(0.1 + 0.2, "0.30000000000000004");
    expect_printed(1e15, "1000000000000000");
    expect_printed(9007199254740991, "9007199254740991");
    expect_printed(-9007199254740992, "-9007199254740992");
    expect_printed(1e300, "1e+300");
}

/* ---- what is JSON, token by token: NULL for accepted, else words of the reason ---- */

static const struct {
    const char *text, *reason;
} tokens[] = {
    {"0", NULL},
    {"-0", NULL},
    {"10", NULL},
    {"1.5", NULL},
    {"-0.5e-3", NULL},
    {"1E+2", NULL},
    {"1e-999", NULL},
    {"123456789012345678901234567890", NULL},
    {"01", "begin with 0"},
    {"-01", "begin with 0"},
    {"00", "begin with 0"},
    {"1.", "follow the point"},
    {"1.e5", "follow the point"},
    {".5", "a value must stand here"},
    {"+1", "a value must stand here"},
    {"-", "a digit must stand here"},
    {"--1", "a digit must stand here"},
    {"-.5", "a digit must stand here"},
    {"1e", "in the exponent"},
    {"1e+", "in the exponent"},
    {"1e5.5", "after the document"},
    {"0x10", "after the document"},
    {"1_000", "after the document"},
    {"1,5", "after the document"},
    {"1e999", "too large"},
    {"-1e309", "too large"},
    {"1234567890123456789012345678901234567890123456789012345678901", "too large"},
    {"NaN", "a value must stand here"},
    {"Infinity", "a value must stand here"},
    {"-Infinity", "a digit must stand here"},
    {"True", "a value must stand here"},
    {"truex", "after the document"},
    {"nul", "a value must stand here"},
    {"null", NULL},
    {"\"\"", NULL},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", NULL},
    {"\"\\ud83d\\ude00\"", NULL},
    {"\"\\uD83D\\uDE00\"", NULL},
    {"\"\\ud83d\"", "first half"},
    {"\"\\ud83dx\"", "first half"},
    {"\"\\ud83d\\u0041\"", "first half"},
    {"\"\\ud83d\\ud83d\"", "first half"},
    {"\"\\ude00\"", "second half"},
    {"\"\\u12\"", "no such escape"},
    {"\"\\u12g4\"", "no such escape"},
    {"\"\\u 123\"", "no such escape"},
    {"\"\\u00\x19"
     "1\"",
     "no such escape"},
    {"\"\\x41\"", "no such escape"},
    {"\"\\U0041\"", "no such escape"},
    {"\"\\u0000\"", "cut the text short"},
    {"\"a\nb\"", "control character"},
    {"\"\x01\"", "control character"},
    {"\"\x1f\"", "control character"},
    {"\"\x7f\"", NULL},
    {"\"\xc3\xa9\"", NULL},
    {"\"\xf0\x9f\x98\x80\"", NULL},
    {"\"\xff\"", "no UTF-8"},
    {"\"\x80\"", "no UTF-8"},
    {"\"\xc3\"", "no UTF-8"},
    {"\"\xc0\xaf\"", "no UTF-8"},
    {"\"\xe0\x80\xaf\"", "no UTF-8"},
    {"\"\xed\xa0\x80\"", "no UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "no UTF-8"},
    {"\"\xf8\x88\x80\x80\x80\"", "no UTF-8"},
    {"\"open", "not closed"},
    {"\"open\\\"", "not closed"},
    {"\xef\xbb\xbf{}", "byte order mark"},
    {"\xc2\xa0{}", "a value must stand here"},
    {"\f{}", "a value must stand here"},
    {" \t\r\n{} \t\r\n", NULL},
    {"{}{}", "after the document"},
    {"{} #", "after the document"},
    {"[1,]", "a value must stand here"},
    {"[,1]", "a value must stand here"},
    {"[1 2]", "a comma or ]"},
    {"[1", "a comma or ]"},
    {"{\"a\":1,}", "a key in double quotes"},
    {"{a:1}", "a key in double quotes"},
    {"{1:1}", "a key in double quotes"},
    {"{\"a\"}", "a colon"},
    {"{\"a\":}", "a value must stand here"},
    {"{\"a\":1", "a comma or }"},
    {"{\"a\":1;\"b\":2}", "a comma or }"},
    {"", "the text ends"},
};

Test(json, each_token_is_taken_or_refused_for_its_reason)
{
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        struct qw_error error = {0};
        struct qw_json *json = qw_json_parse(tokens[i].text, strlen(tokens[i].text), "here", &error);
        cr_expect_eq(json != NULL, tokens[i].reason == NULL, "%s: %s", tokens[i].text, error.message);
        cr_expect(!tokens[i].reason || strstr(error.message, tokens[i].reason), "%s: %s", tokens[i].text, error.message);
        qw_json_free(json);
    }
}

/* Every truncation of a document that has everything is no document. */
Test(json, no_document_goes_on_beyond_its_bytes)
{
    const char *whole = "{\"a\\u00e9\":[1.5e+3,-0,true,false,null,\"\\ud83d\\ude00\xc3\xa9\"],\"b\":{}}";
    for (size_t size = 0; size < strlen(whole); size++) {
        char *cut = qw_memdup(whole, size, 1);
        struct qw_error error = {0};
        cr_expect_null(qw_json_parse(cut, size, "", &error), "%zu bytes", size);
        free(cut);
    }
    qw_json_free(parse(whole));
}

static void expect_at(const char *text, const char *position)
{
    struct qw_error error = {0};
    cr_assert_null(qw_json_parse(text, strlen(text), "", &error));
    cr_expect(strstr(error.message, position), "%s: %s", text, error.message);
}

Test(json, refusals_say_line_and_column)
{
    expect_at("[01]", "line 1, column 3:");
    expect_at("{\n  \"a\": 1,\n  \"b\": nope\n}", "line 3, column 8:");
    expect_at("[\"\xc3\xa9\", x]", "line 1, column 8:");
    expect_at("[1\n", "line 2, column 1:");
}

static bool within(const char *text, int depth, int64_t nodes)
{
    struct qw_error error = {0};
    struct qw_json_limits limits = {depth, nodes, false};
    struct qw_json *json = qw_json_parse_within(text, strlen(text), &limits, "", &error);
    bool ok = json != NULL;
    qw_json_free(json);
    return ok;
}

Test(json, limits_hold_to_the_last_container_and_value)
{
    cr_expect(within("[[[1]]]", 3, 99));
    cr_expect_not(within("[[[1]]]", 2, 99));
    cr_expect(within("[{\"a\":[]},{\"a\":[]}]", 3, 99), "depth is not a count");
    cr_expect(within("[1,2,{\"a\":3}]", 9, 5));
    cr_expect_not(within("[1,2,{\"a\":3}]", 9, 4));
    cr_expect_not(within("0", 9, 0));
}

Test(json, counts_are_digits_alone)
{
    static const struct {
        const char *text;
        bool is_count;
    } rows[] = {{"[0,12]", true},
                {"-0", false},
                {"-1", false},
                {"1.0", false},
                {"1e2", false},
                {"1E2", false},
                {"{\"-1.5\":\"1e5\"}", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct qw_error error = {0};
        struct qw_json_limits limits = {9, 9, true};
        struct qw_json *json = qw_json_parse_within(rows[i].text, strlen(rows[i].text), &limits, "", &error);
        cr_expect_eq(json != NULL, rows[i].is_count, "%s: %s", rows[i].text, error.message);
        qw_json_free(json);
    }
}

Test(json, sixty_four_levels_are_read_and_no_more)
{
    char text[132] = "";
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    qw_json_free(parse(text));
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    refuse_bytes(text, 130);
}

/* Twenty thousand keys: refused or read in no time that anybody notices. */
Test(json, objects_of_many_keys, .timeout = 10)
{
    struct qw_text text = {0};
    struct qw_error error = {0};
    for (int i = 0; i < 200000; i++)
        qw_text_addf(&text, "%c\"key%d\":%d", i ? ',' : '{', i, i);
    qw_text_add(&text, "}");
    struct qw_json *json = qw_json_parse(text.bytes, text.length, "", &error);
    cr_assert(json, "%s", error.message);
    cr_expect_eq(qw_json_get_int(json, "key199999", 0), 199999);
    qw_json_free(json);
    text.bytes[--text.length] = 0;
    qw_text_add(&text, ",\"key7\":0}");
    cr_expect_null(qw_json_parse(text.bytes, text.length, "", &error));
    cr_expect(strstr(error.message, "\"key7\""), "%s", error.message);
    qw_text_free(&text);
}

Test(json, bytes_that_are_no_utf8_are_put_as_replacement_characters)
{
    struct qw_error error = {0};
    struct qw_json *array = qw_json_array();
    qw_json_add_text(array, "a\xff\xc3\xa4\xc3");
    char *text = qw_json_print(array, false);
    cr_expect_str_eq(text, "[\"a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\"]\n");
    struct qw_json *back = qw_json_parse(text, strlen(text), "", &error);
    cr_expect(back, "%s", error.message);
    qw_json_free(back);
    qw_json_free(array);
    free(text);
}

Test(json, a_field_that_is_set_again_has_the_new_value_in_its_old_place)
{
    struct qw_json *object = qw_json_object();
    qw_json_put_text(object, "a", "1");
    qw_json_put_text(object, "b", "2");
    qw_json_set_text(object, "a", "3");
    qw_json_set_text(object, "c", NULL);
    char *text = qw_json_print(object, false);
    cr_expect_str_eq(text, "{\"a\":\"3\",\"b\":\"2\",\"c\":null}\n");
    qw_json_free(object);
    free(text);
}
