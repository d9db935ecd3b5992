/* Escaping: one function for each place where text of a recording is put.
 *
 * All of them take any bytes, valid UTF-8 or not, and append to `out`.  What
 * cannot be seen (control characters, direction marks, zero-width characters)
 * is spelled out: \x1b, \u202e.  A NULL text adds nothing.  A text longer than
 * RP_TEXT_LIMIT is cut there, and how much of it is left out is said. */
#ifndef RP_ESCAPE_H
#define RP_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference/base/text.h"

#define RP_CODE_INVALID UINT32_MAX
#define RP_TEXT_LIMIT   8000 /* bytes of one text that are shown */

/* The code point at `bytes` (NUL-terminated, not empty) and how many bytes it takes; RP_CODE_INVALID and 1 for a byte
 * that starts no valid sequence (overlong forms, surrogates and what lies beyond U+10FFFF are not valid). */
size_t rp_decode(uint32_t *code, const char *bytes);

/* Between tags.  Line feeds and tabs stay; an invalid byte becomes U+FFFD. */
void rp_escape_html(struct qw_text *out, const char *text);

/* Inside a double-quoted attribute value. */
void rp_escape_attribute(struct qw_text *out, const char *text);

/* Inside a double-quoted href: percent-encodes what a URL may not hold.  Adds nothing and is false unless `url` is
 * https with a plain host name (no user, no port) and of a length that browsers take: then it must be shown as text,
 * never linked. */
bool rp_escape_url(struct qw_text *out, const char *url);

/* On a terminal: line feeds and tabs are spelled out too; an invalid byte becomes \xff.  Spelled
 * out as well is what a CI system that reads along takes for a command: "::" where a line may begin, "##[" anywhere. */
void rp_escape_terminal(struct qw_text *out, const char *text);
/* The same in about `limit` bytes; how much is left out is said behind them. */
void rp_escape_line(struct qw_text *out, const char *text, size_t limit);

/* In a paragraph, list or table of Markdown, not at the beginning of its line: escaped for the terminal, then so that nothing
 * of it is markup, and nobody is notified where it is posted. */
void rp_escape_markdown(struct qw_text *out, const char *text);
/* The same as code, between as many backquotes as it takes; not in a table. */
void rp_escape_code(struct qw_text *out, const char *text);

/* In the text of a GitHub workflow command, or in a property of one (between "::" and "::"): escaped for the terminal first. */
void rp_escape_command(struct qw_text *out, const char *text);
void rp_escape_property(struct qw_text *out, const char *text);

/* One field of a CSV row (RFC 4180): quoted where needed, line feeds and tabs spelled out too, so that a row is a line;
 * what a spreadsheet would take for a formula begins with an apostrophe. */
void rp_escape_csv(struct qw_text *out, const char *text);

/* For a part of an id: letters and digits stay, each run of anything else becomes one hyphen, at most `limit` bytes. */
void rp_escape_id(struct qw_text *out, const char *text, size_t limit);

#endif
