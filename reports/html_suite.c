/* Invariant: what a suite or a baseline says is told as theirs; a case of no suite has no such block. */
#include <string.h>

#include "reports/details.h"
#include "reports/markup.h"
#include "reports/page.h"
#include "reports/view.h"

bool rp_has_requirement(const struct qw_json *one)
{
    return qw_json_get_text(one, "requirement", NULL) || qw_json_get_text(one, "suite", NULL) ||
           qw_json_is_object(qw_json_get(one, "expected"));
}

/* A text that may be an address. */
static void add_source(struct rp_page *page, const char *label, const char *source)
{
    if (!source || !*source)
        return;
    rp_markup(page->out, "<dt>%t</dt><dd>", label);
    rp_add_link(page->out, source);
    qw_text_add(page->out, "</dd>\n");
}

static void add_code(struct rp_page *page, const char *label, const char *text)
{
    if (text && *text)
        rp_markup(page->out, "<dt>%t</dt><dd><code>%t</code></dd>\n", label, text);
}

static void add_expected(struct rp_page *page, const struct qw_json *expected)
{
    const struct qw_json *cause = qw_json_first(qw_json_get(expected, "causes"));
    if (!qw_json_is_object(expected))
        return;
    qw_text_add(page->out, "<dt>Baseline expects</dt><dd>");
    for (const char *before = ""; cause; cause = qw_json_next(cause), before = " and ")
        rp_markup(page->out, "%r<code>%t</code>", before, qw_json_text(cause, "-"));
    qw_text_add(page->out, "</dd>\n");
    if (qw_json_is_object(qw_json_get(expected, "first_divergence")))
        rp_add_place_term(page, "first at", qw_json_get(expected, "first_divergence"));
    rp_add_term(page, "because", qw_json_get_text(expected, "why", NULL));
    add_source(page, "reported at", qw_json_get_text(expected, "source", NULL));
}

void rp_html_requirement(struct rp_page *page, const struct qw_json *one)
{
    const struct rp_status *status = rp_case_status(one);
    const char *requirement = qw_json_get_text(one, "requirement", NULL);
    struct qw_text again = {0};
    if (!rp_has_requirement(one))
        return;
    rp_open_card(page, "required", "requirement", "What is required");
    if (requirement)
        rp_markup(page->out, "<p class=\"lead\">%t</p>\n", requirement);
    qw_text_add(page->out, "<dl>\n");
    add_source(page, "Source", qw_json_get_text(one, "source", NULL));
    add_expected(page, qw_json_get(one, "expected"));
    rp_markup(page->out, "<dt>%t means</dt><dd>%t</dd>\n", status->word, status->meaning);
    add_code(page, "Suite", qw_json_get_text(one, "suite", NULL));
    add_code(page, "Recording", qw_json_get_text(one, "recording", NULL));
    if (rp_add_rerun(&again, one))
        add_code(page, "Run again", again.bytes);
    qw_text_add(page->out, "</dl>\n</section>\n");
    qw_text_free(&again);
}

/* ---- the table of all cases ---- */

static const struct qw_json *find_suite(const struct qw_json *run, const char *file)
{
    for (const struct qw_json *s = qw_json_first(qw_json_get(run, "suites")); s; s = qw_json_next(s))
        if (!strcmp(qw_json_get_text(s, "file", ""), file))
            return s;
    return NULL;
}

void rp_html_suite_row(struct rp_page *page, const struct qw_json *one, const struct qw_json *before, int columns)
{
    const char *file = qw_json_get_text(one, "suite", ""), *last = qw_json_get_text(before, "suite", "");
    struct qw_text counts = {0};
    if (!qw_json_is_object(qw_json_get(page->result, "run")) || (before && !strcmp(file, last)))
        return;
    const char *title = qw_json_get_text(find_suite(qw_json_get(page->result, "run"), file), "title", "");
    rp_add_counts_of(&counts, page->result, file);
    rp_markup(page->out,
              "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"%d\">%t%r <code>%t</code> <span>%t</span></th></tr>\n",
              columns, title, *title ? ":" : "", *file ? file : "of no suite", counts.bytes);
    qw_text_free(&counts);
}

/* ---- the appendix ---- */

static void add_files(struct rp_page *page, const char *caption, const struct qw_json *files, bool titled)
{
    static const char *const columns[] = {"File", "Cases", "SHA-256", NULL};
    const struct qw_json *f = qw_json_first(files);
    if (!f)
        return;
    rp_open_table(page, "files", caption, columns);
    for (int shown = 0; f && shown < RP_LIST_ROWS; f = qw_json_next(f), shown++) {
        const char *title = titled ? qw_json_get_text(f, "title", "could not be read") : "";
        rp_markup(page->out,
                  "<tr><th scope=\"row\"><code>%t</code>%r%t</th><td class=\"n\">%t</td><td><code>%t</code></td></tr>\n",
                  qw_json_get_text(f, "file", "-"), *title ? "<br>" : "", title, rp_value(qw_json_get(f, "cases")).text,
                  qw_json_get_text(f, "sha256", "-"));
    }
    rp_close_table(page);
    rp_add_rest(page, "<p>", qw_json_size(files) - RP_LIST_ROWS, "</p>");
}

void rp_html_run(struct rp_page *page)
{
    const struct qw_json *run = qw_json_get(page->result, "run"), *shard = qw_json_get(run, "shard");
    if (!qw_json_is_object(run))
        return;
    qw_text_add(page->out, "<h3>What was run</h3>\n");
    add_files(page, "Suites", qw_json_get(run, "suites"), true);
    add_files(page, "Baselines", qw_json_get(run, "baselines"), false);
    qw_text_add(page->out, "<dl>\n");
    const struct qw_json *g = qw_json_first(qw_json_get(run, "globs"));
    for (int shown = 0; g && shown < RP_LIST_ROWS; g = qw_json_next(g), shown++)
        add_code(page, shown ? "" : "Only cases", qw_json_text(g, "-"));
    add_code(page, "Filter", qw_json_get_text(run, "filter", NULL));
    if (qw_json_is_object(shard))
        rp_markup(page->out, "<dt>Shard</dt><dd>%t of %t; merge joins them</dd>\n", rp_value(qw_json_get(shard, "index")).text,
                  rp_value(qw_json_get(shard, "count")).text);
    add_code(page, "Digest of what is judged", qw_json_get_text(run, "digest", NULL));
    rp_add_term(page, "Cut short", rp_is_interrupted(page->result) ? "a signal ended the run before its end" : NULL);
    qw_text_add(page->out, "</dl>\n");
}
