/* The report on the terminal for a case of mode "compare": one screen that shows where two recordings part. */
#ifndef RP_TERMINAL_COMPARE_H
#define RP_TERMINAL_COMPARE_H

#include "reference/base/json.h"
#include "reference/base/text.h"

/* Appends everything but the closing lines.  `verbosity` above 0 shows every group of differences and every note. */
void rp_terminal_compare(struct qw_text *out, const struct qw_json *one, int width, int verbosity);

#endif
