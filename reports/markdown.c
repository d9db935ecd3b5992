/* Invariant: every line begins with words or marks of ours; every text of the document in it passes rp_escape_markdown or
 * rp_escape_code; nothing goes beyond the limit. */
#include "reports/markdown.h"

#include <string.h>

#include "reports/details.h"
#include "reports/escape.h"
#include "reports/groups.h"
#include "reports/view.h"

enum { REST = 200 /* bytes kept for the line that says what is left out */, MOST_CELL = 200 };

struct sheet {
    struct qw_text *out;
    size_t end; /* length of `out` that is never passed */
};

/* Moves `more` to the sheet if it fits; empties it anyway. */
static bool add_whole(struct sheet *sheet, struct qw_text *more)
{
    bool fits = sheet->out->length + more->length + REST <= sheet->end;
    if (fits && more->length)
        qw_text_add_bytes(sheet->out, more->bytes, more->length);
    qw_text_free(more);
    return fits;
}

static const char *id_of(const struct qw_json *one)
{
    const char *id = qw_json_get_text(one, "id", "");
    return *id ? id : "unnamed";
}

/* ---- the table ---- */

/* Takes the text. */
static void add_cell(struct qw_text *out, struct qw_text *text)
{
    struct qw_text shown = {0};
    rp_escape_line(&shown, text->bytes, MOST_CELL);
    rp_escape_markdown(out, shown.bytes);
    qw_text_add(out, " | ");
    qw_text_free(&shown);
    qw_text_free(text);
}

static void add_row(struct qw_text *row, const struct qw_json *one)
{
    struct qw_text text = {0};
    qw_text_addf(row, "| %s | ", rp_case_status(one)->word);
    qw_text_add(&text, id_of(one));
    add_cell(row, &text);
    rp_add_versions(&text, one);
    add_cell(row, &text);
    rp_add_cause_ids(&text, one);
    add_cell(row, &text);
    rp_add_place(&text, qw_json_get(one, "first_divergence"));
    add_cell(row, &text);
    row->bytes[row->length - 1] = '\n';
}

/* At most half of the sheet, so that cases are told too. */
static void add_table(struct sheet *sheet, const struct qw_json *cases, int count)
{
    struct sheet half = {sheet->out, sheet->out->length + (sheet->end - sheet->out->length) / 2};
    int shown = 0;
    qw_text_add(sheet->out,
                "| status | case | transformers x peft | cause | first divergence |\n| --- | --- | --- | --- | --- |\n");
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c)) {
        struct qw_text row = {0};
        if (!rp_needs_attention(c))
            continue;
        add_row(&row, c);
        if (!add_whole(&half, &row))
            break;
        shown++;
    }
    qw_text_add(sheet->out, "\n");
    if (shown < count)
        qw_text_addf(sheet->out, "%d more rows are left out; the result document has all cases.\n\n", count - shown);
}

/* ---- a case in full ---- */

/* "- **label**: text"; a link where all of it is one, code where it is to be typed. */
static void add_item(struct qw_text *out, const struct rp_detail *detail, const char *text)
{
    struct qw_text url = {0};
    qw_text_addf(out, "- **%s**: ", detail->label);
    if (detail->command)
        rp_escape_code(out, text);
    else if (rp_escape_url(&url, text) && !strcmp(url.bytes, text))
        qw_text_addf(out, "<%s>", text);
    else
        rp_escape_markdown(out, text);
    qw_text_add(out, "\n");
    qw_text_free(&url);
}

static void add_case(struct qw_text *out, const struct qw_json *one)
{
    struct qw_text id = {0};
    rp_escape_line(&id, id_of(one), MOST_CELL);
    qw_text_addf(out, "### %s ", rp_case_status(one)->word);
    rp_escape_code(out, id.bytes);
    qw_text_add(out, "\n\n");
    for (size_t i = 0; rp_detail_at(i); i++) {
        struct qw_text text = {0};
        if (rp_add_detail(&text, rp_detail_at(i), one))
            add_item(out, rp_detail_at(i), text.bytes);
        qw_text_free(&text);
    }
    qw_text_add(out, "\n");
    qw_text_free(&id);
}

static void add_cases(struct sheet *sheet, const struct qw_json *cases, int count)
{
    int shown = 0;
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c)) {
        struct qw_text text = {0};
        if (!rp_needs_attention(c))
            continue;
        add_case(&text, c);
        if (!add_whole(sheet, &text))
            break;
        shown++;
    }
    if (shown < count)
        qw_text_addf(sheet->out, "%d more cases are not told in full here; the result document has all of them.\n",
                     count - shown);
}

/* ---- known failures ---- */

/* The failures that the baseline expects, cause by cause. */
static void add_known(struct sheet *sheet, const struct qw_json *result)
{
    struct rp_groups groups = {0};
    const char *head = "Failures that the baseline expects:\n\n| known cause | cases |\n| --- | --- |\n";
    int shown = 0, left = 0;
    rp_groups_make(&groups, result);
    for (int i = 0; i < groups.count; i++) {
        struct qw_text row = {0}, title = {0};
        if (groups.all[i].outcome != RP_OUTCOME_KNOWN)
            continue;
        qw_text_addf(&row, "%s| ", shown ? "" : head);
        qw_text_add(&title, groups.all[i].title);
        add_cell(&row, &title);
        qw_text_addf(&row, "%d |\n", groups.all[i].count);
        if (left || !add_whole(sheet, &row))
            left++;
        else
            shown++;
        qw_text_free(&row);
    }
    qw_text_add(sheet->out, shown ? "\n" : "");
    if (left)
        qw_text_addf(sheet->out, "%d known causes are left out.\n", left);
    rp_groups_clear(&groups);
}

/* ---- all ---- */

/* "**FAIL**: the verdict" of one case or of all, and the counts. */
static void add_verdict(struct qw_text *out, const struct qw_json *result, const struct qw_json *cases)
{
    const struct qw_json *only = qw_json_size(cases) == 1 ? qw_json_first(cases) : NULL;
    qw_text_addf(out, "## qconform: %s\n\n", qw_json_size(cases) ? rp_overall_status(result)->word : "no case");
    if (only) {
        qw_text_addf(out, "**%s**: ", rp_case_status(only)->word);
        rp_escape_markdown(out, qw_json_get_text(only, "verdict", rp_case_status(only)->meaning));
        qw_text_add(out, "\n\n");
    }
    if (qw_json_size(cases) > 1) {
        qw_text_addf(out, "**%s**: ", rp_overall_status(result)->word);
        rp_add_whole_verdict(out, result);
        qw_text_add(out, "\n\n");
    }
    rp_add_counts(out, result);
    qw_text_add(out, qw_json_size(cases) ? ".\n\n" : ". Nothing was selected, or nothing was judged.\n\n");
}

static void add_sheet(struct qw_text *out, const struct qw_json *result, size_t limit)
{
    struct sheet sheet = {out, out->length + limit};
    const struct qw_json *cases = qw_json_get(result, "cases");
    int count = 0;
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        count += rp_needs_attention(c);
    add_verdict(out, result, cases);
    if (count && qw_json_size(cases) > 1)
        add_table(&sheet, cases, count);
    add_cases(&sheet, cases, count);
    add_known(&sheet, result);
    if (count < qw_json_size(cases))
        qw_text_addf(out, "%d cases that need no attention are counted above and not listed.\n", qw_json_size(cases) - count);
}

void rp_markdown(struct qw_text *out, const struct qw_json *result) { add_sheet(out, result, RP_MARKDOWN_LIMIT); }

void rp_github_summary(struct qw_text *out, const struct qw_json *result) { add_sheet(out, result, RP_SUMMARY_LIMIT); }
