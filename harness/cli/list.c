/* Invariant: list and explain print the rows of a topic and nothing else; --json prints the same rows as a document. */
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "reports/columns.h"
#include "reports/escape.h"

#define WIDTH 100

/* ---- list ---- */

static const struct cli_topic *find_topic(const char *name, struct qw_guess *guess)
{
    *guess = qw_guess_for(name);
    for (int i = 0; i < cli_topic_count(); i++) {
        if (!strcmp(cli_topic_at(i)->name, name))
            return cli_topic_at(i);
        qw_guess_offer(guess, cli_topic_at(i)->name);
    }
    return NULL;
}

static int list_topics(void)
{
    struct qw_text text = {0};
    for (int i = 0; i < cli_topic_count(); i++)
        qw_text_addf(&text, "%-10s %s\n", cli_topic_at(i)->name, cli_topic_at(i)->summary);
    int code = cli_print(text.bytes);
    qw_text_free(&text);
    return code ? code : cli_complain(QC_EXIT_USAGE, "name what to list; see qconform help list");
}

static int print_rows(const struct qw_json *rows)
{
    struct qw_text text = {0};
    size_t widest = 0;
    for (const struct qw_json *row = qw_json_first(rows); row; row = qw_json_next(row)) {
        size_t length = strlen(qw_json_get_text(row, "id", ""));
        widest = length > widest ? length : widest;
    }
    for (const struct qw_json *row = qw_json_first(rows); row; row = qw_json_next(row)) {
        rp_add_cell(&text, qw_json_get_text(row, "id", ""), widest);
        qw_text_add(&text, "  ");
        rp_escape_terminal(&text, qw_json_get_text(row, "title", ""));
        qw_text_add(&text, "\n");
    }
    int code = cli_print(text.bytes ? text.bytes : "");
    qw_text_free(&text);
    return code;
}

static int print_list(const struct cli_topic *topic, struct qw_json *rows)
{
    struct qw_json *document = qw_json_object();
    qw_json_put_text(document, "schema", "qconform-list/1");
    qw_json_put_text(document, "topic", topic->name);
    qw_json_put(document, "rows", rows);
    int code = cli_print_json(document);
    qw_json_free(document);
    return code;
}

int cli_list(const struct cli_options *options)
{
    struct qw_guess guess;
    struct qw_text why = {0};
    if (options->count == 0)
        return list_topics();
    const struct cli_topic *topic = find_topic(options->operand[0], &guess);
    if (!topic || options->count > 1)
        return cli_complain(QC_EXIT_USAGE, "\"%s\" cannot be listed%s; see qconform list", options->operand[topic ? 1 : 0],
                            topic ? "" : qw_guess_text(&guess, ""));
    struct qw_json *rows = topic->rows(&why);
    bool none = qw_json_size(rows) == 0;
    int code = options->json ? print_list(topic, rows) : print_rows(rows);
    if (!options->json)
        qw_json_free(rows);
    if (none && !code)
        code = cli_complain(QC_EXIT_NOTHING,
                            "nothing to list: %s; set QCONFORM_FIXTURES to the folder that holds recordings.json",
                            why.bytes ? why.bytes : "the topic is empty");
    qw_text_free(&why);
    return code;
}

/* ---- explain ---- */

/* A copy of the row with that id, its kind first; NULL when no topic has one. */
static struct qw_json *find_row(const char *id, struct qw_guess *guess, struct qw_json *kept)
{
    for (int i = 0; i < cli_topic_count(); i++) {
        struct qw_text why = {0};
        struct qw_json *rows = qw_json_add(kept, cli_topic_at(i)->rows(&why));
        qw_text_free(&why);
        for (const struct qw_json *row = qw_json_first(rows); row; row = qw_json_next(row)) {
            const char *name = qw_json_get_text(row, "name", "");
            if (strcmp(qw_json_get_text(row, "id", ""), id) && strcmp(name, id)) {
                qw_guess_offer(guess, qw_json_get_text(row, "id", ""));
                continue;
            }
            struct qw_json *found = qw_json_object();
            qw_json_put_text(found, "schema", "qconform-explain/1");
            qw_json_put_text(found, "kind", cli_topic_at(i)->kind);
            for (const struct qw_json *field = qw_json_first(row); field; field = qw_json_next(field))
                qw_json_put(found, qw_json_key(field), qw_json_copy(field));
            return found;
        }
    }
    return NULL;
}

/* A field under its name: a text, or a list of texts or of objects that carry one. */
static void add_field(struct qw_text *out, const struct qw_json *field)
{
    char *label = qw_format("%s", qw_json_key(field));
    for (char *c = label; *c; c++)
        if (*c == '_')
            *c = ' ';
    if (qw_json_is_text(field))
        rp_add_paragraph(out, label, qw_json_text(field, ""), WIDTH);
    for (const struct qw_json *one = qw_json_is_array(field) ? qw_json_first(field) : NULL; one; one = qw_json_next(one)) {
        rp_add_paragraph(out, label, qw_json_text(one, qw_json_get_text(one, "text", "")), WIDTH);
        label[0] = 0;
    }
    free(label);
}

static int print_explanation(const struct qw_json *found)
{
    static const char *const shown[] = {"schema", "kind", "id", "title"};
    struct qw_text text = {0};
    qw_text_addf(&text, "%s %s\n", qw_json_get_text(found, "kind", ""), qw_json_get_text(found, "id", ""));
    rp_add_paragraph(&text, "", qw_json_get_text(found, "title", ""), WIDTH);
    for (const struct qw_json *field = qw_json_first(found); field; field = qw_json_next(field)) {
        bool done = false;
        for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
            done = done || !strcmp(qw_json_key(field), shown[i]);
        if (!done)
            add_field(&text, field);
    }
    int code = cli_print(text.bytes);
    qw_text_free(&text);
    return code;
}

int cli_explain(const struct cli_options *options)
{
    if (options->count != 1)
        return cli_complain(QC_EXIT_USAGE, "name one thing to explain; see qconform help explain");
    struct qw_guess guess = qw_guess_for(options->operand[0]);
    struct qw_json *kept = qw_json_array(), *found = find_row(options->operand[0], &guess, kept);
    int code = !found          ? cli_complain(QC_EXIT_USAGE, "nothing is called \"%s\"%s; see qconform list", options->operand[0],
                                              qw_guess_text(&guess, ""))
               : options->json ? cli_print_json(found)
                               : print_explanation(found);
    qw_json_free(found);
    qw_json_free(kept);
    return code;
}
