/* Markdown (CommonMark with GitHub's tables), without any HTML: to paste into
 * an issue, and as a step's summary.
 *
 * Verdict and counts, a table of the cases that need attention, then each of
 * them in full; the others are counted.  What does not fit is left out at the
 * end of a row or of a case, and how much that is, is said. */
#ifndef RP_MARKDOWN_H
#define RP_MARKDOWN_H

#include "reference/base/json.h"
#include "reference/base/text.h"

enum {
    RP_MARKDOWN_LIMIT = 60000,     /* bytes: GitHub takes 65536 characters in an issue */
    RP_SUMMARY_LIMIT = 900 * 1024, /* bytes: and 1 MiB as a step's summary */
};

/* Append at most the first, or the second, number of bytes; `result` stays the caller's. */
void rp_markdown(struct qw_text *out, const struct qw_json *result);
void rp_github_summary(struct qw_text *out, const struct qw_json *result);

#endif
