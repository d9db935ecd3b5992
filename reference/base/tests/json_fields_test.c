/* Typed fields: a value of another type is refused by name, with what it is and what it must be. */
#include "reference/base/json_fields.h"

#include <criterion/criterion.h>
#include <string.h>

#include "reference/base/json.h"

static const char *const object = "{\"n\":3,\"f\":2.5,\"t\":\"x\",\"b\":true,\"z\":null,\"a\":[1],\"o\":{\"k\":1}}";

/* Reads field `key` as each of the five kinds; gives a letter for each kind that took it. */
static void kinds_of(char *out, const char *key, enum qw_presence presence)
{
    struct qw_error error[5] = {{0}};
    struct qw_json *json = qw_json_parse(object, strlen(object), "", &error[0]);
    int64_t whole = 0;
    double real = 0;
    bool truth = false;
    const char *text = NULL;
    const struct qw_json *inner = NULL;
    struct qw_fields from[5];
    for (int i = 0; i < 5; i++)
        from[i] = (struct qw_fields){json, "here", "do this", &error[i]};
    const bool took[5] = {qw_field_whole(&whole, &from[0], key, presence, 1, 9),
                          qw_field_real(&real, &from[1], key, presence, 0, 9), qw_field_bool(&truth, &from[2], key, presence),
                          qw_field_text(&text, &from[3], key, presence), qw_field_object(&inner, &from[4], key, presence)};
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(took[i], error[i].kind == QW_ERROR_NONE);
        if (took[i])
            *out++ = "wrbto"[i];
    }
    *out = 0;
    qw_json_free(json);
}

Test(json_fields, each_kind_takes_its_own_type_alone)
{
    static const struct {
        const char *key, *required, *optional, *nullable;
    } rows[] = {{"n", "wr", "wr", "wr"}, {"f", "r", "r", "r"}, {"t", "t", "t", "t"},   {"b", "b", "b", "b"},
                {"a", "", "", ""},       {"o", "o", "o", "o"}, {"z", "", "", "wrbto"}, {"absent", "", "wrbto", "wrbto"}};
    char taken[8];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kinds_of(taken, rows[i].key, QW_REQUIRED);
        cr_expect_str_eq(taken, rows[i].required, "%s required", rows[i].key);
        kinds_of(taken, rows[i].key, QW_OPTIONAL);
        cr_expect_str_eq(taken, rows[i].optional, "%s optional", rows[i].key);
        kinds_of(taken, rows[i].key, QW_NULLABLE);
        cr_expect_str_eq(taken, rows[i].nullable, "%s nullable", rows[i].key);
    }
}

Test(json_fields, a_refusal_says_what_it_is_and_what_it_must_be)
{
    static const struct {
        const char *key, *is;
    } rows[] = {{"n", "\"n\" is 3;"},         {"f", "\"f\" is 2.5;"},          {"t", "\"t\" is the text \"x\";"},
                {"b", "\"b\" is true;"},      {"z", "\"z\" is null;"},         {"a", "\"a\" is a list;"},
                {"o", "\"o\" is an object;"}, {"none", "\"none\" is missing;"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct qw_error error = {0};
        struct qw_json *json = qw_json_parse(object, strlen(object), "", &error);
        struct qw_fields from = {json, "here", "do this", &error};
        int64_t out = 77;
        cr_expect_not(qw_field_whole(&out, &from, rows[i].key, QW_REQUIRED, 4, 9));
        cr_expect(strstr(error.message, rows[i].is) && strstr(error.message, "a whole number from 4 to 9"), "%s", error.message);
        cr_expect(error.kind == QW_ERROR_INPUT && !strcmp(error.place, "here") && !strcmp(error.hint, "do this"));
        cr_expect_eq(out, 77, "nothing is written on refusal");
        qw_json_free(json);
    }
}
