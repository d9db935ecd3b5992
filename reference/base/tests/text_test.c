/* The text buffer: grows, stays terminated, and hands its bytes over. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/text.h"

Test(text, appends_in_order)
{
    struct qw_text text = {0};
    qw_text_add(&text, "layer ");
    qw_text_addf(&text, "%d of %s", 7, "28");
    qw_text_add_bytes(&text, "...xyz", 3);
    cr_assert_str_eq(text.bytes, "layer 7 of 28...");
    cr_assert_eq(text.length, strlen("layer 7 of 28..."));
    qw_text_free(&text);
    cr_assert(text.bytes == NULL && text.length == 0 && text.capacity == 0);
}

Test(text, is_terminated_after_every_append)
{
    struct qw_text text = {0};
    for (size_t i = 0; i < 5000; i++) {
        qw_text_add(&text, i % 2 ? "ab" : "c");
        cr_assert_eq(strlen(text.bytes), text.length);
        cr_assert_lt(text.length, text.capacity);
    }
    cr_assert_eq(text.length, 7500);
    qw_text_free(&text);
}

Test(text, keeps_a_nul_among_its_bytes)
{
    struct qw_text text = {0};
    qw_text_add_bytes(&text, "a\0b", 3);
    cr_assert_eq(text.length, 3);
    cr_assert_arr_eq(text.bytes, "a\0b", 4);
    qw_text_free(&text);
}

Test(text, take_empties_the_buffer)
{
    struct qw_text text = {0};
    char *nothing = qw_text_take(&text);
    cr_assert_str_eq(nothing, "");
    qw_text_add(&text, "once");
    char *once = qw_text_take(&text);
    cr_assert_str_eq(once, "once");
    cr_assert(text.bytes == NULL && text.length == 0);
    free(nothing);
    free(once);
}

Test(text, formats_longer_than_any_fixed_buffer)
{
    char *wide = qw_format("%5000d|", 42);
    cr_assert_eq(strlen(wide), 5001);
    cr_assert_str_eq(wide + 4998, "42|");
    free(wide);
}
