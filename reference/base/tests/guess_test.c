/* Guesses: what is near enough is offered, the nearest of it, and nothing else. */
#include <criterion/criterion.h>
#include <string.h>

#include "reference/base/guess.h"

static void expect_guess(const char *word, const char *first, const char *second, const char *best)
{
    struct qw_guess guess = qw_guess_for(word);
    qw_guess_offer(&guess, first);
    qw_guess_offer(&guess, second);
    cr_expect_str_eq(guess.best ? guess.best : "", best, "%s", word);
}

Test(guess, the_nearest_slip_of_the_fingers_is_offered)
{
    expect_guess("recoding", "recordings", "recording", "recording");
    expect_guess("tset", "best", "test", "test"); /* neighbours that were swapped are one slip */
    expect_guess("prom", "prompt/generate/qwen2", "form", "prompt/generate/qwen2");
    expect_guess("x", "abc", "abcdef", "");
    expect_guess("prefix", "suffixes", "", "");
}

Test(guess, words_may_be_as_long_as_ids_are)
{
    char word[400], other[400];
    memset(word, 'a', sizeof word);
    memset(other, 'a', sizeof other);
    word[200] = other[200] = 0;
    other[100] = 'b';
    expect_guess(word, "a", other, other);
    word[200] = other[200] = 'a';
    word[399] = other[399] = 0;
    expect_guess(word, "a", other, "");
}

Test(guess, the_text_asks_back)
{
    struct qw_guess guess = qw_guess_for("modle");
    cr_expect_str_eq(qw_guess_text(&guess, "--"), "");
    qw_guess_offer(&guess, "model");
    cr_expect_str_eq(qw_guess_text(&guess, "--"), " (did you mean --model?)");
}
