/* The output formats: each is one or several parts, and each part a pure
 * function from the result document to text. */
#ifndef RP_FORMATS_H
#define RP_FORMATS_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/json.h"
#include "reference/base/text.h"

/* Where a part goes. */
enum rp_place {
    RP_TO_NOTHING, /* behind the last part */
    RP_TO_FILE,    /* the file that the option's value names */
    RP_TO_FOLDER,  /* files in the folder that it names */
    RP_TO_LOG,     /* behind the report for people, where a CI system reads along */
    RP_TO_SUMMARY, /* at the end of the file that the environment variable GITHUB_STEP_SUMMARY names; nowhere without it */
};

enum { RP_MOST_PARTS = 3 };

struct rp_part {
    enum rp_place place;
    void (*render)(struct qw_text *out, const struct qw_json *result); /* appends; `result` stays the caller's */
    /* RP_TO_FOLDER instead: file number `index`, its name (letters, digits, hyphens and a suffix) and its text; false behind
     * the last one.  A file names only files that come before it. */
    bool (*render_file)(struct qw_text *name, struct qw_text *out, const struct qw_json *result, int index);
};

struct rp_format {
    const char *name;    /* "html", as in `list formats` */
    const char *option;  /* "--html" */
    const char *value;   /* what the option takes: "FILE", "DIR"; NULL: nothing */
    const char *suffix;  /* ".html": the format of a file of such a name; NULL: of none */
    const char *summary; /* one line for `help` and `list formats` */
    struct rp_part parts[RP_MOST_PARTS];
};

/* The table, in the order of formats.def. */
size_t rp_format_count(void);
const struct rp_format *rp_format_at(size_t index); /* NULL from rp_format_count() on */

/* By name ("html") or by option ("--html"), and by the suffix of a file's name; NULL when there is none. */
const struct rp_format *rp_format_find(const char *name);
const struct rp_format *rp_format_of_file(const char *path);

/* Every text of a format, one after the other:
 *     for (struct rp_output output = {0}; rp_output_next(&output, format, result);) …
 * The last one releases the texts; so does rp_output_clear, for who leaves early. */
struct rp_output {
    enum rp_place place;
    struct qw_text name; /* of RP_TO_FOLDER */
    struct qw_text text;
    int part, file; /* which comes next */
};
bool rp_output_next(struct rp_output *output, const struct rp_format *format, const struct qw_json *result);
void rp_output_clear(struct rp_output *output);

/* The renderer of "json": the document, indented, with a final newline. */
void rp_json(struct qw_text *out, const struct qw_json *result);

#endif
