/* Invariant: a guess is offered only when it is near enough to be a slip of the fingers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "reference/base/memory.h"

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

struct cli_guess cli_guess_for(const char *word) { return (struct cli_guess){.word = word, .distance = SIZE_MAX}; }

void cli_guess_offer(struct cli_guess *guess, const char *candidate)
{
    size_t length = strlen(guess->word);
    bool begins = length >= 3 && !strncmp(candidate, guess->word, length);
    size_t distance = length > 64 || strlen(candidate) > 64 ? SIZE_MAX : begins ? 1 : edits(guess->word, candidate);
    if (distance > 1 + length / 4 || distance >= guess->distance)
        return;
    guess->distance = distance;
    guess->best = candidate;
}

const char *cli_guess_text(struct cli_guess *guess, const char *prefix)
{
    guess->text[0] = 0;
    if (guess->best)
        snprintf(guess->text, sizeof guess->text, " (did you mean %s%s?)", prefix, guess->best);
    return guess->text;
}

int cli_unknown_verb(const char *name)
{
    struct cli_guess guess = cli_guess_for(name);
    for (int i = 0; i < cli_verb_count(); i++)
        cli_guess_offer(&guess, cli_verb_at(i)->name);
    return cli_complain(QC_EXIT_USAGE, "there is no verb \"%s\"%s; see qconform help", name, cli_guess_text(&guess, ""));
}
