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

static const char *const sample_names[] = {"healthy", "failing", "raised", "error", "several", "compare"};
#define SAMPLE_COUNT (sizeof sample_names / sizeof *sample_names)

static const char *const hostile_texts[] = {
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></style></svg></p>-->]]>",
    "https://example.org/\" onclick=\"alert(1)",
    "javascript:alert(1)",
    "\x1b[31mred\x1b[0m\x1b]8;;http://evil\x07",
    "line\nfeed\rreturn\ttab\x7f",
    "\xff\xfe\xc0\xaf\xed\xa0\x80 broken \xe2\x82",
    "\xe2\x80\xae right to left \xe2\x80\xa8 \xc2\x9b",
    "`touch /tmp/x` $(touch x) ${x} %s %n %t",
    "\xe8\x99\x9a\xe6\x8b\x9f\xe4\xbb\xa4\xe7\x89\x8c \xf0\x9f\x99\x82",
    "",
};
#define HOSTILE_COUNT (sizeof hostile_texts / sizeof *hostile_texts)

#endif
