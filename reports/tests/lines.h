/* Shared by the tests of the formats that CI systems read: rendering, and looking at lines. */
#ifndef RP_TESTS_LINES_H
#define RP_TESTS_LINES_H

#include "reports/formats.h"
#include "reports/tests/documents.h"

static inline char *render_with(void (*render)(struct qw_text *, const struct qw_json *), const struct qw_json *document)
{
    struct qw_text out = {0};
    render(&out, document);
    return qw_text_take(&out);
}

/* Calls `look` for each hostile text, as every text of the document with all statuses. */
static inline void each_hostile(void (*render)(struct qw_text *, const struct qw_json *),
                                void (*look)(char *text, const char *hostile))
{
    struct qw_json *document = load_document("statuses");
    for (size_t h = 0; h < HOSTILE_COUNT; h++) {
        struct qw_json *hostile = with_texts(document, hostile_texts[h], false);
        char *text = render_with(render, hostile);
        look(text, hostile_texts[h]);
        free(text);
        qw_json_free(hostile);
    }
    qw_json_free(document);
}

/* Calls `look` for each line, which is cut at its line feed; the last one must have one. */
static inline void each_line(char *text, void (*look)(const char *line))
{
    for (char *end; *text; text = end + 1) {
        end = strchr(text, '\n');
        cr_assert(end, "the last line has no end: %.80s", text);
        *end = 0;
        look(text);
    }
}

static inline bool begins(const char *line, const char *with) { return !strncmp(line, with, strlen(with)); }

/* A document with `count` failing cases, each with a cause of its own if `various`. */
static inline struct qw_json *many_failures(int count, bool various)
{
    struct qw_json *document = qw_json_object(), *cases = qw_json_put(document, "cases", qw_json_array());
    for (int i = 0; i < count; i++) {
        struct qw_json *one = qw_json_add(cases, qw_json_object());
        char *id = qw_format("suite/case-%d", i), *cause = qw_format("cause-%d", various ? i : 0);
        qw_json_put_text(one, "id", id);
        qw_json_put_text(one, "status", "FAIL");
        qw_json_put_text(one, "verdict", "It differs.");
        qw_json_put_text(qw_json_put(one, "cause", qw_json_object()), "id", cause);
        free(id);
        free(cause);
    }
    return document;
}

#endif
