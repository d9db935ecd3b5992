/* Errors: the first failure is the one that is kept, and its text names where it happened. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "reference/base/error.h"

Test(error, first_failure_wins)
{
    struct qw_error error = {0};
    cr_assert_not(qw_fail(&error, QW_ERROR_INPUT, "/call", "look there", "%d of %s", 3, "these"));
    cr_assert_not(qw_fail(&error, QW_ERROR_OUTPUT, "/other", "else", "a consequence"));
    cr_assert_eq(error.kind, QW_ERROR_INPUT);
    cr_assert_str_eq(error.place, "/call");
    cr_assert_str_eq(error.hint, "look there");
    cr_assert_str_eq(error.message, "3 of these");
}

Test(error, file_is_named_once_and_only_of_an_error)
{
    struct qw_error error = {0};
    qw_error_in_file(&error, "early.json");
    cr_assert_str_eq(error.file, "");
    qw_fail(&error, QW_ERROR_INPUT, "", "", "bad");
    qw_error_in_file(&error, "inner.json");
    qw_error_in_file(&error, "outer.json");
    cr_assert_str_eq(error.file, "inner.json");
}

static void expect_text(const char *file, const char *place, const char *hint, const char *wanted)
{
    struct qw_error error = {0};
    char text[2400];
    qw_fail(&error, QW_ERROR_INPUT, place, hint, "reason");
    qw_error_in_file(&error, file);
    qw_error_text(text, sizeof text, &error);
    cr_expect_str_eq(text, wanted);
}

Test(error, text_joins_only_what_is_there)
{
    expect_text("a.h5", "/model", "do this", "a.h5: /model: reason; do this");
    expect_text("a.h5", "", "", "a.h5: reason");
    expect_text("", "/model", "", "/model: reason");
    expect_text("", NULL, NULL, "reason");
}

Test(error, long_parts_are_cut_and_terminated)
{
    struct qw_error error = {0};
    char longest[4000], text[16];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    qw_fail(&error, QW_ERROR_INTERNAL, longest, longest, "%s", longest);
    qw_error_in_file(&error, longest);
    cr_assert_eq(strlen(error.place), sizeof error.place - 1);
    cr_assert_eq(strlen(error.hint), sizeof error.hint - 1);
    cr_assert_eq(strlen(error.message), sizeof error.message - 1);
    cr_assert_eq(strlen(error.file), sizeof error.file - 1);
    qw_error_text(text, sizeof text, &error);
    cr_assert_eq(strlen(text), sizeof text - 1);
}
