/* Composing HTML so that what comes from the document is always escaped. */
#ifndef RP_MARKUP_H
#define RP_MARKUP_H

#include "reference/base/text.h"

/* Appends `template`, a constant of ours, with the arguments put in:
 *   %t  const char *, escaped as text (NULL adds nothing)
 *   %a  const char *, escaped for a double-quoted attribute
 *   %r  const char *, as it is: only for our own markup and ids
 *   %d  int
 *   %%  a percent sign
 * Anything else behind % asserts. */
void rp_markup(struct qw_text *out, const char *template, ...);

/* A link to `url` when it is a plain https address, else its text. */
void rp_add_link(struct qw_text *out, const char *url);

#endif
