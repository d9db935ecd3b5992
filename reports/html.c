/* Invariant: the order of the blocks is the order of the calls in add_case; ids are unique on the page. */
#include "reports/html.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/sha256.h"
#include "reports/escape.h"
#include "reports/markup.h"
#include "reports/page.h"
#include "reports/view.h"

static const char *const shape_class[] = {"good", "bad", "broken", "changed", "none"};

const char *rp_status_icon(int shape)
{
    static const char *const icons[] = {
        "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" r=\"11\"/>"
        "<path d=\"M6.5 12.5l4 4 7-8\"/></svg>",
        "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path class=\"f\" d=\"M7.5 1h9L23 "
        "7.500v9L16.500 23h-9L1 16.500v-9z\"/><path d=\"M8 8l8 8M16 8l-8 8\"/></svg>",
        "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path class=\"f\" d=\"M12 1.500L23.500 "
        "22H.5z\"/>"
        "<path d=\"M12 9v6M12 17.500v1.500\"/></svg>",
        "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path class=\"f\" d=\"M12 .5L23.500 12 12 "
        "23.500 .5 12z\"/><path d=\"M7 12h10\"/></svg>",
        "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle class=\"o\" cx=\"12\" cy=\"12\" "
        "r=\"10\"/><path class=\"m\" d=\"M7 12h10\"/></svg>",
    };
    return icons[shape];
}

void rp_open_card(struct rp_page *page, const char *class, const char *id, const char *title)
{
    const char *level = page->many ? "h3" : "h2";
    rp_markup(page->out,
              "<section class=\"card %r\" id=\"%r%r\" aria-labelledby=\"%r%r-h\"><%r "
              "id=\"%r%r-h\">%t</%r>\n",
              class, page->prefix, id, page->prefix, id, level, page->prefix, id, title, level);
}

void rp_add_term(struct rp_page *page, const char *label, const char *text)
{
    if (text && *text)
        rp_markup(page->out, "<dt>%t</dt><dd>%t</dd>\n", label, text);
}

void rp_add_place_term(struct rp_page *page, const char *label, const struct qw_json *node)
{
    struct qw_text place = {0};
    rp_add_place(&place, node);
    rp_add_term(page, label, place.bytes);
    qw_text_free(&place);
}

void rp_add_rest(struct rp_page *page, const char *open, int rest, const char *close)
{
    if (rest > 0)
        rp_markup(page->out, "%r… and %d more; the result document has them all%r\n", open, rest, close);
}

void rp_open_table(struct rp_page *page, const char *class, const char *caption, const char *const columns[])
{
    rp_markup(page->out,
              "<div class=\"scroll\" role=\"region\" aria-label=\"%a\" tabindex=\"0\">\n<table class=\"%r\">"
              "<caption>%t</caption>\n<thead><tr>",
              caption, class, caption);
    for (; *columns; columns++)
        rp_markup(page->out, "<th scope=\"col\">%t</th>", *columns);
    qw_text_add(page->out, "</tr></thead><tbody>\n");
}

void rp_close_table(struct rp_page *page) { qw_text_add(page->out, "</tbody></table></div>\n"); }

/* --- the page around the cases --- */

static const char *case_name(const struct qw_json *one)
{
    const char *id = qw_json_get_text(one, "id", "unnamed");
    return rp_is_comparison(one) || qw_json_get_text(one, "suite", NULL) ? id : qw_json_get_text(one, "recording", id);
}

static void add_title(struct rp_page *page, const struct qw_json *cases)
{
    const struct qw_json *only = qw_json_first(cases);
    rp_markup(page->out, "<title>%t: ", rp_overall_status(page->result)->word);
    if (page->many || !only)
        rp_add_counts(page->out, page->result);
    else
        rp_markup(page->out, "%t", case_name(only));
    qw_text_add(page->out, " - qconform</title>\n");
}

static void add_head(struct rp_page *page, const struct qw_json *cases)
{
    qw_text_add(page->out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                           "'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                           "<meta name=\"referrer\" content=\"no-referrer\">\n"
                           "<meta name=\"color-scheme\" content=\"light dark\">\n");
    add_title(page, cases);
    rp_markup(page->out, "<style>\n%r</style>\n</head>\n<body>\n", rp_page_style);
}

/* Links to the blocks that this case has. */
static void add_skip_links(struct rp_page *page, const struct qw_json *one)
{
    bool raised = !strcmp(qw_json_get_text(qw_json_get(one, "call"), "outcome", ""), "raised");
    bool pair = rp_is_comparison(one);
    const struct {
        const char *id, *text;
        bool present;
    } links[] = {
        {"requirement", "Requirement", rp_has_requirement(one)},
        {"pair", "Recordings", pair},
        {"cause", "Cause", !pair || !rp_case_status(one)->judged},
        {"first-divergence", "First divergence", raised || qw_json_is_object(qw_json_get(one, "first_divergence"))},
        {"next", "What to do", true},
        {"differences", "Differences", pair && qw_json_size(qw_json_get(one, "differences")) > 0},
        {"tokens", "Tokens", pair && qw_json_size(qw_json_get(qw_json_get(one, "tokens"), "a")) > 0},
        {"consequence", "Consequence", rp_has_worth(one)},
        {"parties", "Parties", qw_json_size(qw_json_get(one, "parties")) > 0},
        {"versions", "Versions", !pair},
        {"coverage", "Coverage", true},
        {"plots", "Plots", qw_json_size(qw_json_get(one, "sites")) || qw_json_size(qw_json_get(one, "cache_lengths"))},
        {"sites", "Sites", qw_json_size(qw_json_get(one, "sites")) > 0},
        {"findings", "Findings", qw_json_size(qw_json_get(one, "findings")) > 0},
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (links[i].present)
            rp_markup(page->out, "<a href=\"#%r%r\">%t</a>\n", page->prefix, links[i].id, links[i].text);
}

static void add_verdict(struct rp_page *page, const struct rp_status *status, const char *sentence)
{
    rp_markup(page->out, "<header class=\"verdict %r\" id=\"verdict\">\n<h1>%r <span>%t</span></h1>\n<p>%t</p>\n",
              shape_class[status->shape], rp_status_icon((int)status->shape), status->word, sentence);
}

static void add_under_verdict(struct rp_page *page, const struct qw_json *one)
{
    struct qw_text versions = {0};
    const struct qw_json *model = qw_json_get(one, "model"), *adapter = qw_json_get(one, "adapter");
    rp_add_versions(&versions, one);
    if (rp_is_comparison(one)) {
        qw_text_add(&versions, " (A), ");
        rp_add_versions(&versions, qw_json_get(one, "other"));
        qw_text_add(&versions, " (B)");
    }
    rp_markup(page->out, "<p class=\"meta\"><code>%t</code>", case_name(one));
    if (qw_json_get_text(model, "class", NULL))
        rp_markup(page->out, " <span>%t</span>", qw_json_get_text(model, "class", ""));
    if (qw_json_get_text(adapter, "peft_type", NULL))
        rp_markup(page->out, " <span>%t</span>", qw_json_get_text(adapter, "peft_type", ""));
    rp_markup(page->out, " <span>transformers x peft: %t</span></p>\n</header>\n", versions.bytes);
    qw_text_free(&versions);
}

/* Every block of a case behind its verdict. */
static void add_case(struct rp_page *page, const struct qw_json *one)
{
    bool pair = rp_is_comparison(one);
    qw_text_add(page->out, "<div class=\"cards\">\n");
    rp_html_requirement(page, one);
    if (pair)
        rp_html_pair(page, one);
    if (!pair || !rp_case_status(one)->judged)
        rp_html_cause(page, one);
    rp_html_divergence(page, one);
    rp_html_next_steps(page, one);
    if (pair) {
        rp_html_differences(page, one);
        rp_html_tokens(page, one);
    }
    rp_html_worth(page, one);
    rp_html_parties(page, one);
    if (!pair)
        rp_html_versions(page, one);
    rp_html_coverage(page, one);
    rp_html_figures(page, one);
    rp_html_sites(page, one);
    rp_html_findings(page, one);
    qw_text_add(page->out, "</div>\n");
}

static void add_single(struct rp_page *page, const struct qw_json *one)
{
    const struct rp_status *status = rp_case_status(one);
    qw_text_add(page->out, "<a class=\"skip\" href=\"#main\">Skip to the report</a>\n");
    add_verdict(page, status, qw_json_get_text(one, "verdict", status->meaning));
    add_under_verdict(page, one);
    qw_text_add(page->out, "<nav aria-label=\"Blocks of this report\">\n");
    if (page->place == RP_PAGE_IN_FOLDER)
        qw_text_add(page->out, "<a href=\"" RP_PAGE_INDEX_FILE "\">All cases</a>\n");
    add_skip_links(page, one);
    qw_text_add(page->out, "<a href=\"#appendix\">Appendix</a>\n</nav>\n<main id=\"main\">\n");
    add_case(page, one);
}

/* --- several cases --- */

static bool is_run(const struct rp_page *page) { return qw_json_is_object(qw_json_get(page->result, "run")); }

/* Prefix of a case's ids: its name, then eight digits of the hash of its id; a repeated one gets its number too. */
static char *make_prefix(const struct qw_json *one, char **earlier, int count)
{
    struct qw_text prefix = {0};
    char hash[QW_SHA256_HEX];
    const char *id = qw_json_get_text(one, "id", case_name(one));
    qw_sha256(hash, id, strlen(id));
    qw_text_add(&prefix, "c-");
    rp_escape_id(&prefix, id, 40);
    qw_text_addf(&prefix, "-%.8s-", hash);
    for (int i = 0; i < count; i++)
        if (!strcmp(earlier[i], prefix.bytes)) {
            qw_text_addf(&prefix, "%d-", count + 1);
            break;
        }
    return qw_text_take(&prefix);
}

/* Where the `number`-th case is told in full; false where it is not.  `prefix` is that of its ids on this page, or NULL. */
static bool add_target(struct qw_text *out, const struct rp_page *page, const struct qw_json *one, int number, const char *prefix)
{
    if (page->place == RP_PAGE_INDEX)
        rp_add_file_name(out, one, number);
    else if (prefix)
        qw_text_addf(out, "#%scase", prefix);
    return out->length > 0;
}

static void add_summary_row(struct rp_page *page, const struct qw_json *one, int number, const char *prefix)
{
    struct qw_text versions = {0}, place = {0}, causes = {0}, target = {0};
    const struct rp_status *status = rp_case_status(one);
    const struct qw_json *cause = rp_case_cause(one);
    rp_add_versions(&versions, one);
    rp_add_cause_ids(&causes, one);
    rp_add_place(&place, qw_json_get(one, "first_divergence"));
    rp_markup(page->out, "<tr><td class=\"st %r\">%r %t</td><th scope=\"row\">", shape_class[status->shape],
              rp_status_icon((int)status->shape), status->word);
    if (add_target(&target, page, one, number, prefix))
        rp_markup(page->out, "<a href=\"%a\">%t</a>", target.bytes, case_name(one));
    else
        rp_markup(page->out, "%t", case_name(one));
    rp_markup(page->out, "</th><td>%t</td><td>%t</td><td>%t</td><td class=\"n\">%t</td></tr>\n", versions.bytes, causes.bytes,
              place.bytes, rp_is_named(cause) ? rp_share(qw_json_get(cause, "explained")).text : "-");
    qw_text_free(&versions);
    qw_text_free(&place);
    qw_text_free(&causes);
    qw_text_free(&target);
}

static void add_summary(struct rp_page *page, const struct qw_json *cases, char **prefixes)
{
    const char *const columns[] = {
        "Status", is_run(page) ? "Case" : "Recording", "transformers x peft", "Cause", "First divergence", "Explained", NULL};
    int i = 0, width = (int)(sizeof columns / sizeof *columns) - 1;
    const struct qw_json *before = NULL;
    const struct qw_json *c = qw_json_first(cases);
    qw_text_add(page->out, "<section class=\"card\" id=\"summary\" aria-labelledby=\"summary-h\">"
                           "<h2 id=\"summary-h\">All cases</h2>\n");
    rp_open_table(page, "summary", "All cases and where each first diverges", columns);
    for (; c && i < RP_SUMMARY_ROWS; before = c, c = qw_json_next(c), i++) {
        rp_html_suite_row(page, c, before, width);
        add_summary_row(page, c, i + 1, prefixes[i]);
    }
    rp_close_table(page);
    rp_add_rest(page, "<p>", qw_json_size(cases) - i, "</p>");
    qw_text_add(page->out, "</section>\n");
}

static void add_section(struct rp_page *page, const struct qw_json *one, bool open)
{
    const struct rp_status *status = rp_case_status(one);
    rp_markup(page->out,
              "<details class=\"case\"%r><summary class=\"%r\"><h2>%r %t <code>%t</code></h2></summary>\n"
              "<div id=\"%rcase\">\n<p class=\"lead\">%t</p>\n<nav aria-label=\"Blocks of %a\">\n",
              open ? " open" : "", shape_class[status->shape], rp_status_icon((int)status->shape), status->word, case_name(one),
              page->prefix, qw_json_get_text(one, "verdict", status->meaning), case_name(one));
    add_skip_links(page, one);
    qw_text_add(page->out, "<a href=\"#summary\">All cases</a>\n</nav>\n");
    add_case(page, one);
    qw_text_add(page->out, "</div>\n</details>\n");
}

/* How often each cause was named, in the order of the cases; of very many different ones the first. */
static void add_causes(struct rp_page *page, const struct qw_json *cases)
{
    int kinds = 0;
    const char *ids[RP_LIST_ROWS];
    int times[RP_LIST_ROWS] = {0};
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c)) {
        const char *id = qw_json_get_text(rp_case_cause(c), "id", NULL);
        int at = 0;
        while (id && at < kinds && strcmp(ids[at], id) != 0)
            at++;
        if (!id || at == RP_LIST_ROWS)
            continue;
        ids[at] = id;
        times[at]++;
        kinds += at == kinds;
    }
    for (int i = 0; i < kinds; i++)
        rp_markup(page->out, "%r<code>%t</code> in %d %r", i ? ", " : "<p class=\"meta\">Causes: ", ids[i], times[i],
                  times[i] == 1 ? "case" : "cases");
    qw_text_add(page->out, kinds ? ".</p>\n" : "");
}

/* Of many cases those that do not pass; of many of a run, where each has its page in --html-dir, those that need attention. */
static bool is_told(const struct rp_page *page, const struct qw_json *one, int count)
{
    if (count <= (is_run(page) ? RP_RUN_CASES : RP_PAGE_CASES))
        return true;
    return is_run(page) ? rp_needs_attention(one) && !rp_is_not_run(one) : rp_case_status(one)->shape != RP_SHAPE_GOOD;
}

/* One prefix for each case that is told in full on this page, NULL for the others; free each and the array. */
static char **make_prefixes(const struct rp_page *page, const struct qw_json *cases, int count, int *told)
{
    char **prefixes = QW_NEW_ARRAY(char *, count);
    char **used = QW_NEW_ARRAY(char *, count);
    int i = 0;
    *told = 0;
    for (const struct qw_json *c = qw_json_first(cases); c && page->place != RP_PAGE_INDEX; c = qw_json_next(c), i++)
        if (*told < RP_PAGE_CASES && is_told(page, c, count)) {
            prefixes[i] = make_prefix(c, used, *told);
            used[(*told)++] = prefixes[i];
        }
    free(used);
    return prefixes;
}

static void add_sections(struct rp_page *page, const struct qw_json *cases, char **prefixes, int count)
{
    int i = 0;
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c), i++) {
        page->prefix = prefixes[i];
        if (prefixes[i])
            add_section(page, c, count <= RP_OPEN_CASES && rp_case_status(c)->shape != RP_SHAPE_GOOD);
    }
    page->prefix = "";
}

static void add_many(struct rp_page *page, const struct qw_json *cases)
{
    int count = qw_json_size(cases), told = 0;
    char **prefixes = make_prefixes(page, cases, count, &told);
    struct qw_text counts = {0}, verdict = {0};
    rp_add_counts(&counts, page->result);
    bool whole = rp_add_whole_verdict(&verdict, page->result);
    qw_text_add(page->out, "<a class=\"skip\" href=\"#main\">Skip to the report</a>\n");
    add_verdict(page, rp_overall_status(page->result), whole ? verdict.bytes : counts.bytes);
    if (whole)
        rp_markup(page->out, "<p class=\"meta\">%t.</p>\n", counts.bytes);
    add_causes(page, cases);
    qw_text_add(page->out, "</header>\n<nav aria-label=\"Blocks of this report\">\n<a href=\"#summary\">All cases</a>\n"
                           "<a href=\"#appendix\">Appendix</a>\n</nav>\n<main id=\"main\">\n");
    if (count)
        add_summary(page, cases, prefixes);
    else
        qw_text_add(page->out, "<p id=\"summary\">This document holds no case: nothing was selected, or nothing was "
                               "judged.</p>\n");
    if (told < count && page->place != RP_PAGE_INDEX)
        rp_markup(page->out,
                  "<p>Told in full below: %d of %d cases, %r. The result document has all of them, and "
                  "<code>--html-dir</code> gives each a page.</p>\n",
                  told, count, is_run(page) ? "those that need attention" : "those that do not pass first");
    add_sections(page, cases, prefixes, count);
    for (int i = 0; i < count; i++)
        free(prefixes[i]);
    free(prefixes);
    qw_text_free(&counts);
    qw_text_free(&verdict);
}

static int plots_wanted(const struct qw_json *cases)
{
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        if (qw_json_size(qw_json_get(c, "sites")) || qw_json_size(qw_json_get(c, "cache_lengths")))
            return 1;
    return 0;
}

void rp_html_page(struct qw_text *out, const struct qw_json *result, enum rp_page_place place)
{
    const struct qw_json *cases = qw_json_get(result, "cases");
    struct rp_page page = {.out = out,
                           .result = result,
                           .rows_left = RP_PAGE_ROWS,
                           .plots_left = RP_PAGE_PLOTS,
                           .cells_left = RP_PAGE_CELLS,
                           .many = qw_json_size(cases) != 1 || place == RP_PAGE_INDEX,
                           .place = place,
                           .prefix = ""};
    page.plotter = plots_wanted(cases) && place != RP_PAGE_INDEX ? rp_plotter_open() : NULL;
    add_head(&page, cases);
    if (page.many)
        add_many(&page, cases);
    else
        add_single(&page, qw_json_first(cases));
    rp_html_appendix(&page);
    qw_text_add(out, "</main>\n</body>\n</html>\n");
    rp_plotter_close(page.plotter);
}

void rp_html(struct qw_text *out, const struct qw_json *result) { rp_html_page(out, result, RP_PAGE_ALONE); }
