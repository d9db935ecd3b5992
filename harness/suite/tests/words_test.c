/* The short texts: what is read, and that nothing else is. */
#include <criterion/criterion.h>
#include <limits.h>

#include "harness/suite/words.h"

Test(suite_words, a_range_has_two_ends)
{
    static const struct {
        const char *text;
        int first, last;
    } good[] = {{"0-4", 0, 4}, {"2", 2, 2}, {"2-", 2, INT_MAX}, {"-3", 0, 3}, {"999999", 999999, 999999}};
    static const char *const bad[] = {"", "-", "4-2", "1000000", "1-1000000", "a", "1-2-3", " 1", "1 ", "+1", "0x1"};
    int first, last;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(qc_range_read(&first, &last, good[i].text) && first == good[i].first && last == good[i].last, "%s",
                  good[i].text);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(qc_range_read(&first, &last, bad[i]), "%s", bad[i]);
}

Test(suite_words, a_duration_has_a_unit_or_is_in_seconds)
{
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"500ms", 0.5}, {"30s", 30}, {"5m", 300}, {"1.5h", 5400}, {"7", 7}, {"0.25", 0.25}, {"168h", 604800}};
    static const char *const bad[] = {"",     "0",   "0s",  "-1s", "1d",  "1e3",  "inf",      "nan",
                                      "1,5s", "1.s", ".5s", "1 s", "1sm", "169h", "1000000s", "0.0001s"};
    double seconds;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect(qc_duration_read(&seconds, good[i].text), "%s", good[i].text);
        cr_expect_float_eq(seconds, good[i].seconds, 1e-9, "%s: %g", good[i].text, seconds);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(qc_duration_read(&seconds, bad[i]), "%s", bad[i]);
}

Test(suite_words, a_shard_is_one_of_several)
{
    static const char *const bad[] = {"",    "1",     "/",    "1/",  "/4",   "0/4",        "5/4",
                                      "1/0", "1/4/2", "-1/4", "a/b", "1 /4", "10000/10000"};
    int index, count;
    cr_expect(qc_shard_read(&index, &count, "2/4") && index == 2 && count == 4);
    cr_expect(qc_shard_read(&index, &count, "9999/9999") && index == 9999 && count == 9999);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(qc_shard_read(&index, &count, bad[i]), "%s", bad[i]);
}
