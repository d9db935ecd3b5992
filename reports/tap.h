/* The Test Anything Protocol: the plan first, then one test point per case,
 * with a YAML block of what is told of it where it does not pass.
 *
 * XFAIL is "not ok … # TODO", SKIP is "ok … # SKIP".  "Bail out!" comes last,
 * and only where the run ended before its time.  Version 13 differs in its
 * first line alone: prove of Perl 5.36 refuses to read 14. */
#ifndef RP_TAP_H
#define RP_TAP_H

#include "reference/base/json.h"
#include "reference/base/text.h"

/* Append the stream; `result` stays the caller's. */
void rp_tap13(struct qw_text *out, const struct qw_json *result);
void rp_tap14(struct qw_text *out, const struct qw_json *result);

#endif
