/* The sites of all cases as comma-separated values (RFC 4180): one row per
 * site, the case's id first, lines ended by CR LF, a header row always.
 *
 * Numbers are written so that they read back to the same double; a NaN or an
 * infinity as nan, inf, -inf; what the document leaves null is empty. */
#ifndef RP_CSV_H
#define RP_CSV_H

#include "reference/base/json.h"
#include "reference/base/text.h"

/* Appends the table; `result` stays the caller's. */
void rp_csv(struct qw_text *out, const struct qw_json *result);

#endif
