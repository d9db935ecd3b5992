/* Workflow commands of GitHub: one error per cause, one warning per way in
 * which cases ended without a verdict or against the baseline.
 *
 * GitHub keeps ten annotations of each kind per step: of more than nine causes
 * the tenth line says how many are left out. */
#ifndef RP_GITHUB_H
#define RP_GITHUB_H

#include "reference/base/json.h"
#include "reference/base/text.h"

/* Appends lines that begin with "::error" and "::warning"; nothing when there is nothing to say. */
void rp_github(struct qw_text *out, const struct qw_json *result);

#endif
