/* Markdown: no mark and no HTML that comes from a text, and never more than fits. */
#include "reports/markdown.h"
#include "reports/tests/lines.h"

static void expect_line(const char *line)
{
    static const char *const beginnings[] = {"## qconform: ", "### ",     "**FAIL**: ", "- **",   "| ",
                                             "Failures that", "5 judged", "8 cases",    "3 cases"};
    bool known = !*line;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        known = known || begins(line, beginnings[i]);
    cr_expect(known, "%s", line);
    for (const char *c = begins(line, "| ") ? line : ""; *c; c++) {
        if (*c == '\\' || begins(c, "`@`"))
            c += *c == '\\' ? 1 : 2; /* escaped, and the one mark of ours */
        else
            cr_expect(*c != '<' && *c != '`', "%s", line);
    }
}

static size_t bars(const char *line)
{
    size_t count = 0;
    for (; *line && *line != '\n'; line++)
        if (*line == '\\' && line[1])
            line++;
        else
            count += *line == '|';
    return count;
}

static void expect_sheet(char *text, const char *hostile)
{
    const char *known = strstr(text, "\nFailures that the baseline expects:");
    cr_assert(known, "%s", hostile);
    for (const char *row = strstr(text, "\n| "); row; row = strstr(row + 1, "\n| "))
        cr_expect_eq(bars(row + 1), row > known ? 3 : 6, "%s: %.200s", hostile, row);
    each_line(text, expect_line);
}

Test(markdown, hostile_texts_add_no_mark) { each_hostile(rp_markdown, expect_sheet); }

Test(markdown, stays_within_its_limit_and_says_what_is_left_out)
{
    struct qw_json *document = many_failures(20000, false);
    char *issue = render_with(rp_markdown, document), *summary = render_with(rp_github_summary, document);
    cr_expect(strlen(issue) <= RP_MARKDOWN_LIMIT && strlen(issue) > RP_MARKDOWN_LIMIT / 2);
    cr_expect(strlen(summary) <= RP_SUMMARY_LIMIT && strlen(summary) > RP_SUMMARY_LIMIT / 2);
    int rows = 0, told = (int)count_of(issue, "\n### ");
    for (const char *row = strstr(issue, "\n| FAIL"); row; row = strstr(row + 1, "\n| FAIL"))
        rows++;
    char *left = qw_format("%d more rows are left out", 20000 - rows),
         *more = qw_format("%d more cases are not told", 20000 - told);
    cr_expect(strstr(issue, left) && strstr(issue, more), "%s, %s", left, more);
    free(left);
    free(more);
    free(issue);
    free(summary);
    qw_json_free(document);
}
