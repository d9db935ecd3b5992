/* Invariant: a row of the table is a line of the screen, whatever stands in the document. */
#include "reports/terminal_table.h"

#include <stdlib.h>
#include <string.h>

#include "reports/columns.h"
#include "reports/details.h"
#include "reports/escape.h"

enum { MOST_COLUMNS = 5, MOST_SUITES = 40, MOST_TOLD = 20 };

void rp_terminal_status(struct qw_text *out, const struct rp_status *status, bool color)
{
    static const char *const colors[] = {"\x1b[1;32m", "\x1b[1;31m", "\x1b[1;35m", "\x1b[1;33m", "\x1b[1m"};
    qw_text_addf(out, "%s%c %s%s", color ? colors[status->shape] : "", status->sign, status->word, color ? "\x1b[0m" : "");
}

/* ---- columns ---- */

static void add_id(struct qw_text *out, const struct qw_json *one)
{
    qw_text_add(out, qw_json_get_text(one, "id", qw_json_get_text(one, "recording", "-")));
}

static void add_first(struct qw_text *out, const struct qw_json *one) { rp_add_place(out, qw_json_get(one, "first_divergence")); }

static void add_explained(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *found = rp_case_cause(one);
    qw_text_add(out, rp_is_named(found) ? rp_share(qw_json_get(found, "explained")).text : "-");
}

struct column {
    const char *name;
    size_t limit;
    void (*add)(struct qw_text *out, const struct qw_json *one);
};

static const struct column of_recordings[MOST_COLUMNS] = {{"recording", 64, add_id},
                                                          {"versions", 20, rp_add_versions},
                                                          {"cause", 56, rp_add_cause_ids},
                                                          {"first divergence", 44, add_first},
                                                          {"explained", 9, add_explained}};
static const struct column of_suites[MOST_COLUMNS] = {{"case", 96, add_id},
                                                      {"cause", 56, rp_add_cause_ids},
                                                      {"first divergence", 44, add_first}};

/* ---- the table ---- */

struct table {
    struct qw_text *out;
    const struct column *columns;
    size_t widths[MOST_COLUMNS];
    bool color, all; /* all cases, or those that need attention; what was not run needs a line, not one each */
};

static bool has_row(const struct table *table, const struct qw_json *one)
{
    return table->all || (rp_needs_attention(one) && !rp_is_not_run(one));
}

static char *cell(const struct column *column, const struct qw_json *one)
{
    struct qw_text text = {0};
    column->add(&text, one);
    return qw_text_take(&text);
}

static void widen(struct table *table, const struct qw_json *one)
{
    for (int i = 0; i < MOST_COLUMNS && table->columns[i].name; i++) {
        struct qw_text shown = {0};
        char *bytes = cell(&table->columns[i], one);
        rp_escape_terminal(&shown, bytes);
        size_t width = shown.bytes ? rp_columns(shown.bytes) : 0, limit = table->columns[i].limit;
        width = width > limit ? limit : width;
        table->widths[i] = width > table->widths[i] ? width : table->widths[i];
        qw_text_free(&shown);
        free(bytes);
    }
}

/* The last cell is not padded; `one` is NULL for the headings. */
static void add_cells(const struct table *table, const struct qw_json *one)
{
    for (int i = 0; i < MOST_COLUMNS && table->columns[i].name; i++) {
        const struct column *column = &table->columns[i];
        bool last = i + 1 == MOST_COLUMNS || !column[1].name;
        char *bytes = one ? cell(column, one) : NULL;
        qw_text_add(table->out, "  ");
        if (last)
            rp_escape_terminal(table->out, bytes ? bytes : column->name);
        else
            rp_add_cell(table->out, bytes ? bytes : column->name, table->widths[i]);
        free(bytes);
    }
    qw_text_add(table->out, "\n");
}

static int add_table(struct table *table, const struct qw_json *cases)
{
    int rows = 0;
    for (int i = 0; i < MOST_COLUMNS && table->columns[i].name; i++)
        table->widths[i] = strlen(table->columns[i].name);
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        if (has_row(table, c))
            widen(table, c), rows++;
    if (!rows)
        return 0;
    qw_text_add(table->out, "status   ");
    add_cells(table, NULL);
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        if (has_row(table, c)) {
            rp_terminal_status(table->out, rp_case_status(c), table->color);
            qw_text_addf(table->out, "%*s", 7 - (int)strlen(rp_case_status(c)->word), "");
            add_cells(table, c);
        }
    qw_text_add(table->out, "\n");
    return rows;
}

/* ---- a run of suites ---- */

/* One line for each suite: its file, and how its cases went. */
static void add_suites(struct qw_text *out, const struct qw_json *result)
{
    const struct qw_json *suites = qw_json_get(qw_json_get(result, "run"), "suites"), *s;
    size_t width = 0;
    int shown = 0;
    for (s = qw_json_first(suites); s; s = qw_json_next(s)) {
        size_t columns = rp_columns(qw_json_get_text(s, "file", "-"));
        width = columns > width ? columns : width;
    }
    for (s = qw_json_first(suites); s && shown < MOST_SUITES; s = qw_json_next(s), shown++) {
        const char *file = qw_json_get_text(s, "file", "-");
        qw_text_addf(out, "%-*s", RP_LABEL_WIDTH, shown ? "" : "suites");
        rp_add_cell(out, file, width < 60 ? width : 60);
        qw_text_add(out, "  ");
        rp_add_counts_of(out, result, file);
        qw_text_add(out, "\n");
    }
    if (s)
        qw_text_addf(out, "%*sand %d more, see the result document\n", RP_LABEL_WIDTH, "", qw_json_size(suites) - MOST_SUITES);
    qw_text_add(out, shown ? "\n" : "");
}

/* How many were not run, and why, as the first of them says. */
static void add_not_run(struct qw_text *out, const struct qw_json *cases, int width)
{
    const struct qw_json *first = NULL;
    struct qw_text text = {0};
    int count = 0;
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        if (rp_is_not_run(c)) {
            count++;
            first = first ? first : c;
        }
    if (!count)
        return;
    qw_text_addf(&text, "%d %s, the first is %s: %s", count, count == 1 ? "case" : "cases", qw_json_get_text(first, "id", "-"),
                 qw_json_get_text(first, "verdict", rp_case_status(first)->meaning));
    rp_add_paragraph(out, "not run", text.bytes, width);
    qw_text_add(out, "\n");
    qw_text_free(&text);
}

/* Those details of a case that have one of the keys, in their order. */
static void add_details(struct qw_text *out, const struct qw_json *one, int width, const char *const keys[])
{
    for (; *keys; keys++) {
        struct qw_text text = {0};
        const struct rp_detail *detail = rp_detail_find(*keys);
        if (!detail->add(&text, one))
            continue;
        if (detail->command) {
            qw_text_addf(out, "%-*s", RP_LABEL_WIDTH, detail->label);
            rp_escape_terminal(out, text.bytes);
            qw_text_add(out, "\n");
        } else {
            rp_add_paragraph(out, detail->label, text.bytes, width);
        }
        qw_text_free(&text);
    }
}

void rp_terminal_required(struct qw_text *out, const struct qw_json *one, int width)
{
    static const char *const keys[] = {"requirement", "source", "known", NULL};
    add_details(out, one, width, keys);
}

static void add_told(const struct table *table, const struct qw_json *cases, int width, int rows)
{
    static const char *const keys[] = {"requirement", "source", "known", "message", "rerun", NULL};
    int told = 0;
    for (const struct qw_json *c = qw_json_first(cases); c && told < MOST_TOLD; c = qw_json_next(c)) {
        if (!rp_needs_attention(c) || rp_is_not_run(c))
            continue;
        rp_terminal_status(table->out, rp_case_status(c), table->color);
        qw_text_add(table->out, "  ");
        rp_escape_terminal(table->out, qw_json_get_text(c, "id", "-"));
        qw_text_add(table->out, "\n");
        add_details(table->out, c, width, keys);
        qw_text_add(table->out, "\n");
        told++;
    }
    if (told < rows)
        qw_text_addf(table->out, "and %d more, see the result document (result.json)\n\n", rows - told);
}

void rp_terminal_table(struct qw_text *out, const struct qw_json *result, const struct rp_terminal_style *style)
{
    const struct qw_json *cases = qw_json_get(result, "cases");
    bool run = qw_json_is_object(qw_json_get(result, "run"));
    int width = style->width > 0 ? style->width : 100;
    struct table table = {out, run ? of_suites : of_recordings, {0}, style->color, !run || style->verbosity > 0};
    if (run)
        add_suites(out, result);
    int rows = add_table(&table, cases);
    if (!run)
        return;
    if (style->verbosity <= 0)
        add_told(&table, cases, width, rows);
    add_not_run(out, cases, width);
}
