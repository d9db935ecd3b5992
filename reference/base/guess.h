/* The word most like another among those offered, for "did you mean". */
#ifndef QW_BASE_GUESS_H
#define QW_BASE_GUESS_H

#include <stddef.h>

struct qw_guess {
    const char *word, *best; /* borrowed; `best` is NULL while none is near enough to be a slip of the fingers */
    size_t distance;         /* edits from the one to the other */
    char text[320];
};

struct qw_guess qw_guess_for(const char *word);
void qw_guess_offer(struct qw_guess *guess, const char *candidate);

/* " (did you mean --model?)" with the prefix "--", or "" when none is near; held by `guess`. */
const char *qw_guess_text(struct qw_guess *guess, const char *prefix);

#endif
