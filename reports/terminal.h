/* The report on the terminal.
 *
 * One case is told in full, several as a table; of a run of suites those that
 * need attention, with what was asked of them.  The last lines are always:
 * counts, the verdict sentence, the files written, the next command.  Colour
 * only underlines what words and signs already say. */
#ifndef RP_TERMINAL_H
#define RP_TERMINAL_H

#include <stdbool.h>

#include "reference/base/json.h"
#include "reference/base/text.h"

struct rp_terminal_style {
    bool color;                  /* ANSI colours */
    int verbosity;               /* -1 only the last lines, 0 normal, 1 also evidence, sites, findings, all cases */
    int width;                   /* columns; 0 stands for 100 */
    const struct qw_json *files; /* array of texts: files written so far; NULL when there are none */
};

/* Appends the report; `result` and `style` stay the caller's. */
void rp_terminal(struct qw_text *out, const struct qw_json *result, const struct rp_terminal_style *style);

#endif
