/* Invariant: neither recording is called right or wrong; what only one of them has is said to be there only. */
#include "reports/markup.h"
#include "reports/page.h"
#include "reports/view.h"

#include <string.h>

enum { PAIR_ROWS = 200, DIFFERENCE_ROWS = 500, TOKEN_ROWS = 20, TOKENS_BEFORE = 16, TOKENS_BEHIND = 32 };

/* --- the two recordings --- */

/* `flagged`: a difference is worth a mark. */
static void pair_row(struct rp_page *page, const char *name, const struct qw_json *a, const struct qw_json *b, bool flagged)
{
    struct qw_text left = {0}, right = {0};
    rp_add_value(&left, a);
    rp_add_value(&right, b);
    bool differs = flagged && left.bytes && right.bytes && strcmp(left.bytes, right.bytes) != 0;
    rp_markup(page->out, "<tr%r><th scope=\"row\">%t</th><td>%t</td><td>%t%r</td></tr>\n", differs ? " class=\"changed\"" : "",
              name, left.bytes, right.bytes, differs ? " <strong class=\"flag\">differs</strong>" : "");
    qw_text_free(&left);
    qw_text_free(&right);
}

/* The fields of both objects, those that only `b` has behind the others. */
static void pair_rows(struct rp_page *page, const struct qw_json *a, const struct qw_json *b, int *left)
{
    const struct qw_json *const sides[] = {qw_json_is_object(a) ? a : NULL, qw_json_is_object(b) ? b : NULL};
    for (int side = 0; side < 2; side++)
        for (const struct qw_json *f = qw_json_first(sides[side]); f && *left; f = qw_json_next(f)) {
            const char *key = qw_json_key(f);
            bool told = (side == 1 && qw_json_get(a, key)) || qw_json_is_object(f);
            if (told)
                continue;
            pair_row(page, key, qw_json_get(a, key), qw_json_get(b, key), true);
            --*left;
        }
}

/* What the comparison itself says of both sides: first what differs. */
static void context_rows(struct rp_page *page, const struct qw_json *context, int *left)
{
    for (const struct qw_json *c = qw_json_first(context); c && *left; c = qw_json_next(c))
        if (!qw_json_get_bool(c, "equal", false)) {
            pair_row(page, qw_json_get_text(c, "name", "-"), qw_json_get(c, "a"), qw_json_get(c, "b"), true);
            --*left;
        }
}

/* Then, folded, what is the same in both. */
static void common_context(struct rp_page *page, const struct qw_json *context, int *left)
{
    static const char *const columns[] = {"What", "In both", NULL};
    int count = 0;
    for (const struct qw_json *c = qw_json_first(context); c; c = qw_json_next(c))
        count += qw_json_get_bool(c, "equal", false);
    if (!count)
        return;
    rp_markup(page->out, "<details><summary>%d more %r the same in both</summary>\n", count, count == 1 ? "is" : "are");
    rp_open_table(page, "pairs", "What is the same in both recordings", columns);
    for (const struct qw_json *c = qw_json_first(context); c && *left; c = qw_json_next(c))
        if (qw_json_get_bool(c, "equal", false)) {
            rp_markup(page->out, "<tr><th scope=\"row\">%t</th><td>%t</td></tr>\n", qw_json_get_text(c, "name", "-"),
                      qw_json_get_text(c, "a", "-"));
            --*left;
        }
    rp_close_table(page);
    qw_text_add(page->out, "</details>\n");
}

void rp_html_pair(struct rp_page *page, const struct qw_json *one)
{
    static const char *const columns[] = {"What", "A", "B", NULL};
    static const char *const groups[] = {"environment", "model", "adapter", "call", "recorder"};
    const struct qw_json *other = qw_json_get(one, "other"), *context = qw_json_get(one, "context");
    int left = PAIR_ROWS;
    rp_open_card(page, "pair", "pair", "The two recordings");
    rp_open_table(page, "pairs sideways", "Recording A and recording B", columns);
    pair_row(page, "recording", qw_json_get(one, "recording"), qw_json_get(other, "recording"), false);
    pair_row(page, "sha256", qw_json_get(one, "recording_sha256"), qw_json_get(other, "recording_sha256"), false);
    context_rows(page, context, &left);
    for (size_t i = 0; i < sizeof groups / sizeof *groups && !qw_json_size(context); i++)
        if (qw_json_is_object(qw_json_get(other, groups[i])) || i < 3)
            pair_rows(page, qw_json_get(one, groups[i]), qw_json_get(other, groups[i]), &left);
    rp_close_table(page);
    common_context(page, context, &left);
    if (!left)
        qw_text_add(page->out, "<p>… and more; the result document has all fields.</p>\n");
    qw_text_add(page->out, "</section>\n");
}

/* --- the condensed differences --- */

static void range_cell(struct rp_page *page, const struct qw_json *range)
{
    const struct qw_json *first = qw_json_first(range), *last = first ? qw_json_next(first) : NULL;
    const struct rp_word from = rp_value(first), to = rp_value(last ? last : first);
    bool single = !strcmp(from.text, to.text);
    rp_markup(page->out, "<td class=\"n\">%t%t%t</td>", from.text, single ? "" : "-", single ? "" : to.text);
}

/* "4", or "4 of 5" when more places were compared than differ. */
static void count_cell(struct rp_page *page, const struct qw_json *difference)
{
    const struct rp_word count = rp_value(qw_json_get(difference, "count")), of = rp_value(qw_json_get(difference, "of"));
    bool all = qw_json_is_null(qw_json_get(difference, "of")) || !strcmp(count.text, of.text);
    rp_markup(page->out, "<td class=\"n\">%t%t%t</td>", count.text, all ? "" : " of ", all ? "" : of.text);
}

static void difference_row(struct rp_page *page, const struct qw_json *difference)
{
    const char *kind = qw_json_get_text(difference, "kind", "-");
    qw_text_add(page->out, "<tr>");
    range_cell(page, qw_json_get(difference, "steps"));
    range_cell(page, qw_json_get(difference, "layers"));
    rp_markup(page->out, "<th scope=\"row\">%t</th><td>%t</td>", qw_json_get_text(difference, "site", "-"), kind);
    count_cell(page, difference);
    rp_markup(page->out, "<td class=\"n\">%t</td><td>%t</td></tr>\n", rp_number(qw_json_get(difference, "max_abs")).text,
              qw_json_get_text(difference, "text", rp_kind_between(kind)));
}

void rp_html_differences(struct rp_page *page, const struct qw_json *one)
{
    static const char *const columns[] = {"Steps", "Layers", "Site", "Kind", "Places", "Largest difference", "In words", NULL};
    const struct qw_json *all = qw_json_get(one, "differences"), *d = qw_json_first(all);
    int count = qw_json_size(all), shown = 0;
    if (!count)
        return;
    rp_open_card(page, "wide", "differences", "What differs");
    rp_open_table(page, "differences", "Differences, neighbouring steps and layers in one row", columns);
    for (; d && shown < DIFFERENCE_ROWS; d = qw_json_next(d), shown++)
        difference_row(page, d);
    rp_close_table(page);
    rp_add_rest(page, "<p>", count - shown, "</p>");
    qw_text_add(page->out, "</section>\n");
}

/* --- tokens --- */

/* First place at which the lists differ, or one is at its end; -1 when they are equal. */
static int first_difference(const struct qw_json *a, const struct qw_json *b)
{
    const struct qw_json *x = qw_json_first(a), *y = qw_json_first(b);
    int at = 0;
    for (; x && y; x = qw_json_next(x), y = qw_json_next(y), at++)
        if (strcmp(rp_value(x).text, rp_value(y).text) != 0)
            return at;
    return x || y ? at : -1;
}

static void token_line(struct rp_page *page, const char *name, const struct qw_json *tokens, int marked)
{
    int from = marked > TOKENS_BEFORE ? marked - TOKENS_BEFORE : 0, to = from + TOKENS_BEFORE + TOKENS_BEHIND, at = 0;
    rp_markup(page->out, "<dt>%t</dt><dd><code>%r", name, from ? "… " : "");
    for (const struct qw_json *t = qw_json_first(tokens); t && at < to; t = qw_json_next(t), at++)
        if (at >= from)
            rp_markup(page->out, at == marked ? "<mark>%t</mark> " : "%t ", qw_json_text(t, rp_value(t).text));
    if (marked >= 0 && marked >= qw_json_size(tokens))
        qw_text_add(page->out, "<mark>(end)</mark>");
    rp_markup(page->out, "%r</code></dd>\n", qw_json_size(tokens) > to ? "…" : "");
}

static void token_row(struct rp_page *page, const struct qw_json *a, const struct qw_json *b, int row)
{
    int marked = first_difference(a, b);
    if (marked < 0)
        rp_markup(page->out, "<p>Row %d of the batch: all %d tokens are equal.</p>\n<dl>\n", row, qw_json_size(a));
    else
        rp_markup(page->out, "<p>Row %d of the batch: token %d is the first that differs.</p>\n<dl>\n", row, marked);
    token_line(page, "A", a, marked);
    token_line(page, "B", b, marked);
    qw_text_add(page->out, "</dl>\n");
}

void rp_html_tokens(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *tokens = qw_json_get(one, "tokens");
    const struct qw_json *a = qw_json_first(qw_json_get(tokens, "a")), *b = qw_json_first(qw_json_get(tokens, "b"));
    int rows = qw_json_size(qw_json_get(tokens, "a")), row = 0;
    if (!a && !b)
        return;
    rp_open_card(page, "wide", "tokens", "The tokens");
    for (; (a || b) && row < TOKEN_ROWS; row++) {
        token_row(page, a, b, row);
        a = a ? qw_json_next(a) : NULL;
        b = b ? qw_json_next(b) : NULL;
    }
    rp_add_rest(page, "<p>", rows - row, "</p>");
    qw_text_add(page->out, "</section>\n");
}
