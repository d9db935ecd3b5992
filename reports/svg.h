/* Makes a drawing that was written as a file fit to stand inside a page. */
#ifndef RP_SVG_H
#define RP_SVG_H

#include <stdbool.h>

#include "reference/base/text.h"
#include "reports/plot.h"

/* Appends `svg` (a whole SVG document, NUL-terminated) as an element: without prolog, with role, title and description,
 * every id behind the prefix, black as currentColor and our series colours as the page's variables.  Appends nothing
 * and is false when `svg` is not such a document or holds what a drawing does not need (scripts, links, handlers). */
bool rp_svg_embed(struct qw_text *out, const char *svg, const struct rp_plot_label *label);

#endif
