/* Invariant: a table that is cut says so where it is cut, and the worst rows are never among those left out. */
#include "reports/markup.h"
#include "reports/notes.h"
#include "reports/page.h"
#include "reports/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

struct row {
    const struct qw_json *site;
    int place; /* in execution order, from 1 */
    int rank;  /* 0 is the worst */
    double ratio;
};

static int rank_of(const struct qw_json *site)
{
    const char *status = qw_json_get_text(site, "status", "");
    if (rp_site_fails(site))
        return qw_json_is_null(qw_json_get(site, "ratio")) ? 0 : 1;
    if (!strcmp(status, "inherited"))
        return 2;
    return strcmp(status, "waived") != 0 ? 3 : 4;
}

/* NaN counts as larger than everything. */
static double weight(const struct qw_json *site)
{
    double ratio = qw_json_get_real(site, "ratio", -1);
    return isnan(ratio) ? INFINITY : ratio;
}

static int worst_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->ratio > y->ratio || x->ratio < y->ratio)
        return x->ratio > y->ratio ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static struct row *collect(const struct qw_json *sites, int count)
{
    struct row *rows = QW_NEW_ARRAY(struct row, count);
    int place = 0;
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s), place++)
        rows[place] = (struct row){s, place + 1, rank_of(s), weight(s)};
    return rows;
}

static void open_table(struct rp_page *page, const char *caption)
{
    static const char *const columns[] = {"#",     "Step",     "Layer",     "Site",      "Party", "Status",
                                          "Ratio", "Isolated", "Max error", "RMS error", "ULP",   NULL};
    rp_open_table(page, "sites", caption, columns);
}

static const char *row_class(const struct row *row)
{
    return row->rank < 2 ? "bad" : row->rank == 2 ? "changed" : row->rank == 3 ? "good" : "none";
}

static const char *row_sign(const struct row *row)
{
    return row->rank < 2 ? "x" : row->rank == 2 ? "~" : row->rank == 3 ? "+" : "-";
}

static void add_cell(struct rp_page *page, const struct qw_json *site, const char *key, bool exact)
{
    const struct qw_json *field = qw_json_get(site, key);
    rp_markup(page->out, "<td class=\"n\">%t</td>", exact ? rp_value(field).text : rp_number(field).text);
}

static void add_row(struct rp_page *page, const struct row *row, bool with_id)
{
    const struct qw_json *site = row->site;
    const char *status = qw_json_get_text(site, "status", "-");
    const char *kind = qw_json_get_text(site, "kind", NULL), *reason = qw_json_get_text(site, "reason", NULL);
    if (kind && !strcmp(kind, status))
        kind = NULL;
    if (with_id)
        rp_markup(page->out, "<tr class=\"%r\" id=\"%rsite-%d\">", row_class(row), page->prefix, row->place);
    else
        rp_markup(page->out, "<tr class=\"%r\">", row_class(row));
    rp_markup(page->out, "<td class=\"n\">%d</td>", row->place);
    add_cell(page, site, "step", true);
    add_cell(page, site, "layer", true);
    rp_markup(page->out, "<th scope=\"row\">%t</th><td>%t</td><td class=\"s\"><b>%t</b> %t%t%t%t%t</td>",
              qw_json_get_text(site, "site", "-"), qw_json_get_text(site, "party", "-"), row_sign(row), status, kind ? ": " : "",
              kind, reason ? ": " : "", reason);
    add_cell(page, site, "ratio", false);
    add_cell(page, site, "ratio_isolated", false);
    add_cell(page, site, "max_abs", false);
    add_cell(page, site, "rms", false);
    add_cell(page, site, "ulp", false);
    qw_text_add(page->out, "</tr>\n");
}

static void add_worst(struct rp_page *page, struct row *rows, int count)
{
    int shown = count < RP_WORST_ROWS ? count : RP_WORST_ROWS;
    qsort(rows, (size_t)count, sizeof *rows, worst_first);
    if (shown < count)
        rp_markup(page->out,
                  "<p>Showing the %d worst of %d sites; all of them are in execution order "
                  "below.</p>\n",
                  shown, count);
    open_table(page, "Sites, the worst first");
    for (int i = 0; i < shown; i++)
        add_row(page, &rows[i], false);
    rp_close_table(page);
}

static void add_all(struct rp_page *page, const struct row *rows, int count)
{
    int shown = count < RP_CASE_ROWS ? count : RP_CASE_ROWS;
    shown = shown < page->rows_left ? shown : page->rows_left;
    page->rows_left -= shown;
    rp_markup(page->out, "<details class=\"all\"><summary>All %d sites in execution order</summary>\n", count);
    if (shown < count)
        rp_markup(page->out, "<p>Showing the first %d of %d; the result document has all of them.</p>\n", shown, count);
    if (shown) {
        open_table(page, "Sites in execution order");
        for (int i = 0; i < shown; i++)
            add_row(page, &rows[i], true);
        rp_close_table(page);
    }
    qw_text_add(page->out, "</details>\n");
}

void rp_html_sites(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *sites = qw_json_get(one, "sites");
    int count = qw_json_size(sites);
    if (!count)
        return;
    struct row *rows = collect(sites, count), *sorted = collect(sites, count);
    rp_open_card(page, "wide", "sites", "Every place that was compared");
    if (rp_is_bitwise(one))
        qw_text_add(page->out, "<p class=\"small\"># is the place in execution order. Ratio is 0 for equal bits and "
                               "infinite for others.</p>\n");
    else
        qw_text_add(page->out, "<p class=\"small\"># is the place in execution order, as in the plot. Ratio is the error "
                               "divided by the noise floor in the free-running view, Isolated the same with the site fed "
                               "its recorded inputs; ~ inherited is right on what it was given.</p>\n");
    add_worst(page, sorted, count);
    add_all(page, rows, count);
    qw_text_add(page->out, "</section>\n");
    free(rows);
    free(sorted);
}

void rp_html_findings(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *findings = qw_json_get(one, "findings");
    int count = qw_json_size(findings);
    if (!count)
        return;
    rp_open_card(page, "wide", "findings", "Findings");
    if (count > RP_CASE_FINDINGS)
        rp_markup(page->out, "<p>Showing the first %d of %d.</p>\n", RP_CASE_FINDINGS, count);
    qw_text_add(page->out, "<ul class=\"findings\">\n");
    const struct qw_json *f = qw_json_first(findings);
    for (int shown = 0; f && shown < RP_CASE_FINDINGS; f = qw_json_next(f), shown++) {
        struct qw_text place = {0};
        if (qw_json_is_text(qw_json_get(f, "site")))
            rp_add_place(&place, f);
        rp_markup(page->out, "<li><strong>%t</strong> <code>%t</code>%t%t: %t</li>\n", qw_json_get_text(f, "severity", "note"),
                  qw_json_get_text(f, "id", "-"), place.bytes ? " at " : "", place.bytes, qw_json_get_text(f, "message", ""));
        qw_text_free(&place);
    }
    qw_text_add(page->out, "</ul>\n</section>\n");
}
