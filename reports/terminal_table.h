/* Several cases on the terminal: which suites they are of, a table of them, and in
 * a run of suites what was asked of those that need attention. */
#ifndef RP_TERMINAL_TABLE_H
#define RP_TERMINAL_TABLE_H

#include "reference/base/json.h"
#include "reports/terminal.h"
#include "reports/view.h"

/* "x FAIL", in colour when asked. */
void rp_terminal_status(struct qw_text *out, const struct rp_status *status, bool color);

/* Appends the table; in a run of suites only with the cases that need attention, unless the style asks for more. */
void rp_terminal_table(struct qw_text *out, const struct qw_json *result, const struct rp_terminal_style *style);

/* What was required of a case, where that comes from and what the baseline says; nothing where no suite says so. */
void rp_terminal_required(struct qw_text *out, const struct qw_json *one, int width);

#endif
