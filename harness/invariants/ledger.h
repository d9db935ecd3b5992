/* The ledger of tokens: every token of the call is fed exactly once, in order; virtual tokens once in front of a sequence.
 *
 * It is kept from lengths and ids alone, so that it stands at every level and without weights. */
#ifndef QC_INVARIANTS_LEDGER_H
#define QC_INVARIANTS_LEDGER_H

#include "harness/compare/subject.h"

enum qc_entry {
    QC_ENTRY_IN_ORDER,
    QC_ENTRY_UNKNOWN,     /* nothing was fed, or its extents cannot be told */
    QC_ENTRY_NO_VIRTUAL,  /* a sequence starts without its virtual tokens */
    QC_ENTRY_AGAIN,       /* tokens that the cache holds are fed once more */
    QC_ENTRY_REINJECTED,  /* virtual tokens are put before a token that goes on, or in the place of the cache */
    QC_ENTRY_TRIMMED,     /* of several tokens only the last are fed */
    QC_ENTRY_OTHER_COUNT, /* any other number of tokens */
    QC_ENTRY_OTHER_TOKENS /* as many as there should be, but not those */
};

/* What step `step` of the recording, one that the call knows of, does to the ledger. */
enum qc_entry qc_ledger_entry(const struct qc_subject *subject, int step);
/* The cause that such an entry shows, NULL for one that may have several. */
const char *qc_entry_cause(enum qc_entry entry);
/* "feeds tokens 0-7 again, they are in the cache already"; free with free(). */
char *qc_ledger_words(const struct qc_subject *subject, int step);
/* The whole: what is wrong at which steps, and which are in order; NULL when all are.  Free with free(). */
char *qc_ledger_text(const struct qc_subject *subject);

#endif
