/* Inside of the HTML report: the page being written and its blocks.
 * Used by html*.c and figure.c only. */
#ifndef RP_PAGE_H
#define RP_PAGE_H

#include <stdbool.h>

#include "reference/base/json.h"
#include "reference/base/text.h"
#include "reports/plot.h"

/* Limits of one page; every cut is announced where it happens. */
enum {
    RP_WORST_ROWS = 200,  /* sites in the table of the worst, per case */
    RP_CASE_ROWS = 5000,  /* sites in execution order, per case */
    RP_PAGE_ROWS = 20000, /* sites in execution order, on the whole page */
    RP_CASE_FINDINGS = 500,
    RP_LIST_ROWS = 100,     /* entries of any other list */
    RP_STEP_ROWS = 1000,    /* steps in a table of steps */
    RP_SUMMARY_ROWS = 5000, /* cases in the table of all */
    RP_PAGE_PLOTS = 60,
    RP_PAGE_CELLS = 40000, /* cells of error maps as tables, on the whole page */
    RP_PAGE_CASES = 500,   /* cases told in full; of more, those that do not pass */
    RP_RUN_CASES = 40,     /* the same in a run of suites; of more, those that need attention */
    RP_OPEN_CASES = 20,    /* beyond so many cases all are folded */
};

enum rp_page_place {
    RP_PAGE_ALONE,
    RP_PAGE_INDEX,    /* of a folder: the table of the cases, which are told in files of their own */
    RP_PAGE_IN_FOLDER /* one of those */
};

struct rp_page {
    struct qw_text *out;
    const struct qw_json *result;
    struct rp_plotter *plotter;            /* NULL without gnuplot */
    int rows_left, plots_left, cells_left; /* of RP_PAGE_ROWS, RP_PAGE_PLOTS, RP_PAGE_CELLS */
    bool many;                             /* several cases: headings one level lower, ids with the case's prefix */
    enum rp_page_place place;
    const char *prefix; /* "" or "qwen2-pt-0a1b2c3d-": before every id of the case */
};

extern const char rp_page_style[]; /* the style sheet */

/* The whole page. */
void rp_html_page(struct qw_text *out, const struct qw_json *result, enum rp_page_place place);

/* "0007-prompt-generate.html": the file of a folder that tells of the case, which is the `number`-th, from 1. */
#define RP_PAGE_INDEX_FILE "index.html"
void rp_add_file_name(struct qw_text *out, const struct qw_json *one, int number);

/* "<section class="card …" id=…><h2>title</h2>", to be closed with "</section>\n". */
void rp_open_card(struct rp_page *page, const char *class, const char *id, const char *title);

/* The drawing of a status: a shape with a sign, without text. */
const char *rp_status_icon(int shape);

/* Rows of a definition list: "<dt>label</dt><dd>text</dd>", nothing for NULL or "". */
void rp_add_term(struct rp_page *page, const char *label, const char *text);

/* "… and 12 more; the result document has them all" between `open` and `close`; nothing for 0. */
void rp_add_rest(struct rp_page *page, const char *open, int rest, const char *close);

/* A table that scrolls in its own frame; `columns` are the headings, the last one NULL.  Close with rp_close_table. */
void rp_open_table(struct rp_page *page, const char *class, const char *caption, const char *const columns[]);
void rp_close_table(struct rp_page *page);

/* "<dt>label</dt><dd>step 0, layer 1, <code>site</code></dd>" */
void rp_add_place_term(struct rp_page *page, const char *label, const struct qw_json *node);

/* "<figure>" with the drawing, or with the line that says why there is none (`drawing` may be empty); to be closed with
 * "</figure>\n". */
void rp_open_figure(struct rp_page *page, const char *id, const char *title, const struct qw_text *drawing);

/* The figure of the error map with its tables, inside of the card of plots. */
void rp_html_map(struct rp_page *page, const struct qw_json *one);

/* Blocks of one case, in the order of the page; each adds nothing when it has nothing to say. */
bool rp_has_requirement(const struct qw_json *one);
void rp_html_requirement(struct rp_page *page, const struct qw_json *one); /* what a suite asks for, and its baseline */
void rp_html_cause(struct rp_page *page, const struct qw_json *one);
void rp_html_divergence(struct rp_page *page, const struct qw_json *one);
void rp_html_next_steps(struct rp_page *page, const struct qw_json *one);
void rp_html_pair(struct rp_page *page, const struct qw_json *one); /* these three: two recordings compared */
void rp_html_differences(struct rp_page *page, const struct qw_json *one);
void rp_html_tokens(struct rp_page *page, const struct qw_json *one);
void rp_html_parties(struct rp_page *page, const struct qw_json *one);
void rp_html_versions(struct rp_page *page, const struct qw_json *one);
void rp_html_coverage(struct rp_page *page, const struct qw_json *one);
/* What it does to the tokens; and the ledger inside of the card of coverage. */
bool rp_has_worth(const struct qw_json *one);
void rp_html_worth(struct rp_page *page, const struct qw_json *one);
void rp_html_ledger(struct rp_page *page, const struct qw_json *cover);
void rp_html_figures(struct rp_page *page, const struct qw_json *one);
void rp_html_sites(struct rp_page *page, const struct qw_json *one);
void rp_html_findings(struct rp_page *page, const struct qw_json *one);
void rp_html_appendix(struct rp_page *page); /* once per page */
void rp_html_run(struct rp_page *page);      /* inside of it: suites, baselines, selection */

/* A row of `columns` columns with the suite of a case, where it is another than that of the case before (NULL for the first);
 * nothing where no suites were run. */
void rp_html_suite_row(struct rp_page *page, const struct qw_json *one, const struct qw_json *before, int columns);

#endif
