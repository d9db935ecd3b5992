/* Text in columns for a terminal: wrapped paragraphs with a label at the left,
 * and tables.  Every text is escaped for the terminal on its way in. */
#ifndef RP_COLUMNS_H
#define RP_COLUMNS_H

#include <stddef.h>

#include "reference/base/text.h"

#define RP_LABEL_WIDTH 12 /* columns of the label at the left of a paragraph */

/* How many columns the UTF-8 text takes, counting one for each character and none for combining marks. */
size_t rp_columns(const char *text);

/* "label       text text", continued under the text; lines of at most `width` columns where the words allow it.
 * `label` is a constant of ours, `text` may be anything. */
void rp_add_paragraph(struct qw_text *out, const char *label, const char *text, int width);

/* `text` in exactly `width` columns: padded with blanks, or cut in the middle with "..." so that its end stays. */
void rp_add_cell(struct qw_text *out, const char *text, size_t width);

#endif
