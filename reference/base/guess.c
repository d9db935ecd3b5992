/* Invariant: a guess is offered only when it is near enough to be a slip of the fingers. */
#include "reference/base/guess.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

enum { LONGEST = 255 }; /* bytes of a word that is compared: an id of a case has 200 at most */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Insertions, deletions, replacements and swaps of neighbours that turn one word into the other (optimal string
 * alignment distance). */
static size_t edits(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), width = m + 1;
    size_t *row = QW_NEW_ARRAY(size_t, (n + 1) * width);
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            size_t *at = &row[i * width + j];
            if (!i || !j) {
                *at = i + j;
                continue;
            }
            *at = least(least(at[-1], at[-(ptrdiff_t)width]) + 1, at[-(ptrdiff_t)width - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                *at = least(*at, at[-2 * (ptrdiff_t)width - 2] + 1);
        }
    size_t distance = row[n * width + m];
    free(row);
    return distance;
}

struct qw_guess qw_guess_for(const char *word) { return (struct qw_guess){.word = word, .distance = SIZE_MAX}; }

void qw_guess_offer(struct qw_guess *guess, const char *candidate)
{
    size_t length = strlen(guess->word), other = strlen(candidate), most = 1 + length / 4;
    bool begins = length >= 3 && !strncmp(candidate, guess->word, length);
    bool near = length <= LONGEST && other <= LONGEST && (begins || (length <= other + most && other <= length + most));
    size_t distance = !near ? SIZE_MAX : begins ? 1 : edits(guess->word, candidate);
    if (distance > most || distance >= guess->distance)
        return;
    guess->distance = distance;
    guess->best = candidate;
}

const char *qw_guess_text(struct qw_guess *guess, const char *prefix)
{
    guess->text[0] = 0;
    if (guess->best)
        snprintf(guess->text, sizeof guess->text, " (did you mean %s%s?)", prefix, guess->best);
    return guess->text;
}
