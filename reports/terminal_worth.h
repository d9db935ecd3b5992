/* The part of the report on the terminal that -v adds: margins, grafts, and the ledger of coverage. */
#ifndef RP_TERMINAL_WORTH_H
#define RP_TERMINAL_WORTH_H

#include "reference/base/json.h"
#include "reference/base/text.h"

/* Appends the lines of one case; nothing where there is nothing to say. */
void rp_terminal_worth(struct qw_text *out, const struct qw_json *one, int width);

#endif
