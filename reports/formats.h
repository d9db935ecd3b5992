/* The output formats: each is a pure function from the result document to text. */
#ifndef RP_FORMATS_H
#define RP_FORMATS_H

#include <stddef.h>

#include "reference/base/json.h"
#include "reference/base/text.h"

struct rp_format {
    const char *name;                                                  /* "html", as in `list formats` */
    const char *option;                                                /* "--html": takes a file name */
    const char *suffix;                                                /* ".html" */
    const char *summary;                                               /* one line for `help` and `list formats` */
    void (*render)(struct qw_text *out, const struct qw_json *result); /* appends; `result` stays the caller's */
};

/* The table, in the order of formats.def. */
size_t rp_format_count(void);
const struct rp_format *rp_format_at(size_t index); /* NULL from rp_format_count() on */

/* By name ("html") or by option ("--html"); NULL when there is none. */
const struct rp_format *rp_format_find(const char *name);

/* The renderer of "json": the document, indented, with a final newline. */
void rp_json(struct qw_text *out, const struct qw_json *result);

#endif
