/* The HTML report: one self-contained page, complete without JavaScript and
 * without any request to elsewhere.
 *
 * Blocks stand in a fixed order: verdict, cause, first divergence, next steps,
 * parties, versions, coverage, plots, sites, findings, appendix.  With several
 * cases a table of all comes first.  Plots are drawn by gnuplot where it is
 * installed; without it the page has the same numbers as tables.
 * Equal results give equal bytes.  Decimal points follow LC_NUMERIC, which the
 * program leaves at "C". */
#ifndef RP_HTML_H
#define RP_HTML_H

#include <stdbool.h>

#include "reference/base/json.h"
#include "reference/base/text.h"

/* Appends the page.  Any field of the document may be absent or null. */
void rp_html(struct qw_text *out, const struct qw_json *result);

/* The same in a folder, for many cases: a page for each (0 to one less than there are), then the index.  False behind it. */
bool rp_html_folder(struct qw_text *name, struct qw_text *out, const struct qw_json *result, int index);

#endif
