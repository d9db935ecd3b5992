/* Shared by the tests of the reports: sample documents, and ways to spoil them. */
#ifndef RP_TESTS_DOCUMENTS_H
#define RP_TESTS_DOCUMENTS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/file.h"
#include "reference/base/json.h"
#include "reference/base/text.h"

/* The sample reports/tests/<name>.json; free with qw_json_free. */
static inline struct qw_json *load_document(const char *name)
{
    struct qw_error error = {0};
    char path[256], *bytes = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "reports/tests/%s.json", name);
    cr_assert(qw_file_read(&bytes, &size, path, (size_t)1 << 24, &error), "%s: %s", path, error.message);
    struct qw_json *document = qw_json_parse(bytes, size, "", &error);
    cr_assert(document, "%s: %s", path, error.message);
    free(bytes);
    return document;
}

static inline struct qw_json *parse_document(const char *text)
{
    struct qw_error error = {0};
    struct qw_json *document = qw_json_parse(text, strlen(text), "", &error);
    cr_assert(document, "%s", error.message);
    return document;
}

/* Words that steer the report stay as they are, so that every branch is still taken. */
static inline bool is_steering(const char *key)
{
    static const char *const kept[] = {"status", "outcome", "confidence", "ratio", "mode", "level"};
    for (size_t i = 0; key && i < sizeof kept / sizeof *kept; i++)
        if (!strcmp(key, kept[i]))
            return true;
    return false;
}

/* A copy of `node` in which every free text is `text`, and so are the names of packages. */
static inline struct qw_json *with_texts(const struct qw_json *node, const char *text, bool rename)
{
    struct qw_json *copy;
    if (qw_json_is_object(node)) {
        copy = qw_json_object();
        for (const struct qw_json *c = qw_json_first(node); c; c = qw_json_next(c)) {
            bool inside = !strcmp(qw_json_key(c), "environment");
            const char *key = rename ? text : qw_json_key(c);
            if (qw_json_is_text(c) && !is_steering(qw_json_key(c)))
                qw_json_put_text(copy, key, text);
            else
                qw_json_put(copy, key, with_texts(c, text, inside));
        }
    } else if (qw_json_is_array(node)) {
        copy = qw_json_array();
        for (const struct qw_json *c = qw_json_first(node); c; c = qw_json_next(c))
            if (qw_json_is_text(c))
                qw_json_add_text(copy, text);
            else
                qw_json_add(copy, with_texts(c, text, false));
    } else {
        copy = qw_json_copy(node);
    }
    return copy;
}

/* A copy of an object in which field `skip` (counted from 0) is replaced by `other`, which is taken over. */
static inline struct qw_json *with_field(const struct qw_json *object, int skip, struct qw_json *other)
{
    struct qw_json *copy = qw_json_object();
    int at = 0;
    for (const struct qw_json *c = qw_json_first(object); c; c = qw_json_next(c), at++)
        qw_json_put(copy, qw_json_key(c), at == skip ? other : qw_json_copy(c));
    return copy;
}

static inline size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

static const char *const sample_names[] = {"healthy", "failing", "raised", "error", "several", "compare", "statuses"};
#define SAMPLE_COUNT (sizeof sample_names / sizeof *sample_names)

static const char *const hostile_texts[] = {
    /* markup */
    "<script>alert(1)</script>",
    "</script><script>alert(1)//",
    "<ScRiPt src=//e.x>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "' onmouseover='alert(1)",
    "\" autofocus onfocus=\"alert(1)",
    "` onerror=alert(1) `",
    "</title></style></svg></p>-->]]>",
    "]]>",
    "<![CDATA[x]]>",
    "<!--",
    "--><b>",
    "<!DOCTYPE html>",
    "<?xml version='1.0'?>",
    "<style>*{display:none}</style>",
    "</textarea><plaintext>",
    "<base href=//e.x>",
    "<meta http-equiv=refresh content=0>",
    "<iframe srcdoc='x'>",
    "<a href=x>",
    "<details open>",
    "</td></tr></table>",
    "</details></section>",
    "<math><mi//xlink:href=x>",
    "&lt;script&gt;",
    "&#60;b&#62;",
    "&amp;amp;",
    "&",
    "<",
    ">",
    "\"",
    "'",
    "=",
    "<foreignObject>",
    "<use href=#x>",
    /* addresses */
    "https://example.org/\" onclick=\"alert(1)",
    "https://a@b/",
    "https://example.org/\n<b>",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<b>",
    "vbscript:x",
    "file:///etc/passwd",
    "//e.x/y",
    "http://example.org",
    /* terminals and bytes */
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://e.x\x07link\x1b]8;;\x07",
    "\x1b]0;title\x07",
    "\x1bP1$r\x1b\\",
    "\302\23331mred",
    "\x07\x08\x0c\x0e",
    "line\nfeed\rreturn\ttab\x7f",
    "\r\nSet: x",
    "\n\n\n",
    "\xff\xfe\xc0\xaf\xed\xa0\x80 broken \xe2\x82",
    "\xf4\x90\x80\x80",
    "\xc0\x80",
    "\\u0000 \\x00 %00",
    /* what is not seen, or seen elsewhere */
    "\xe2\x80\xae right to left \xe2\x80\xa8",
    "\xe2\x81\xa6 isolate \xe2\x81\xa9",
    "\xe2\x80\x8b\xef\xbb\xbf",
    "\xef\xbf\xbf",
    "\xf3\xa0\x81\x81 tag",
    "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
    /* other languages */
    "`touch /tmp/x` $(touch x) ${x} %s %n %t %r",
    "'; touch x; '",
    "EOD\nset output '/tmp/x'",
    "$cells << EOD",
    "@macro",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "\\",
    "../../x",
    "con",
    "nan",
    "inf",
    "null",
    "\xe8\x99\x9a\xe6\x8b\x9f\xe4\xbb\xa4\xe7\x89\x8c \xf0\x9f\x99\x82",
    "",
};
#define HOSTILE_COUNT (sizeof hostile_texts / sizeof *hostile_texts)

#endif
