/* Invariant: a text is read whole or not at all. */
#include "harness/suite/words.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define WEEK   (7 * 24 * 3600.0)

bool qc_range_read(int *first, int *last, const char *text)
{
    size_t low = strspn(text, DIGITS), dash = text[low] == '-', high = strspn(text + low + dash, DIGITS);
    if (low > 6 || high > 6 || low + high == 0 || text[low + dash + high])
        return false;
    *first = low ? (int)strtol(text, NULL, 10) : 0;
    *last = high ? (int)strtol(text + low + dash, NULL, 10) : dash ? INT_MAX : *first;
    return *last >= *first;
}

/* Whole and decimal digits are added up here: strtod would read "1e5", "inf" and a comma in some locales. */
bool qc_duration_read(double *seconds, const char *text)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"", 1}};
    size_t whole = strspn(text, DIGITS), point = text[whole] == '.', rest = point ? strspn(text + whole + 1, DIGITS) : 0;
    if (whole < 1 || whole > 6 || rest > 3 || (point && !rest))
        return false;
    double value = (double)strtol(text, NULL, 10), place = 1;
    for (size_t i = 0; i < rest; i++)
        value += (place /= 10) * (text[whole + 1 + i] - '0');
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(text + whole + point + rest, units[i].name)) {
            *seconds = value * units[i].seconds;
            return *seconds > 0 && *seconds <= WEEK;
        }
    return false;
}

bool qc_shard_read(int *index, int *count, const char *text)
{
    size_t first = strspn(text, DIGITS), slash = text[first] == '/', second = slash ? strspn(text + first + 1, DIGITS) : 0;
    if (first < 1 || first > 4 || second < 1 || second > 4 || text[first + 1 + second])
        return false;
    *index = (int)strtol(text, NULL, 10);
    *count = (int)strtol(text + first + 1, NULL, 10);
    return *index >= 1 && *index <= *count;
}
