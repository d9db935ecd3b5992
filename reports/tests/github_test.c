/* GitHub: a line is one command of ours, and there are no more of them than GitHub keeps. */
#include "reports/github.h"
#include "reports/tests/lines.h"

static void expect_command(const char *line)
{
    cr_assert(begins(line, "::error title=") || begins(line, "::warning title="), "%s", line);
    const char *title = strchr(line, '=') + 1, *end = strstr(title, "::");
    cr_assert(end, "%s", line);
    cr_expect_eq(strcspn(title, ":,\r"), (size_t)(end - title), "%s", line);
}

static void expect_commands(char *text, const char *hostile)
{
    (void)hostile;
    each_line(text, expect_command);
}

Test(github, hostile_texts_add_no_command) { each_hostile(rp_github, expect_commands); }

Test(github, tells_one_cause_once_and_how_many_cases_it_has)
{
    struct qw_json *document = many_failures(40, false);
    char *text = render_with(rp_github, document);
    cr_expect_eq(count_of(text, "\n"), 1);
    cr_expect(begins(text, "::error title=cause-0 (40 cases)::It differs.%0Acases: suite/case-0, "), "%s", text);
    cr_expect(strstr(text, "suite/case-4 and 35 more"), "%s", text);
    free(text);
    qw_json_free(document);
}

Test(github, keeps_to_ten_lines_of_a_kind)
{
    for (int count = 9; count <= 12; count++) {
        struct qw_json *document = many_failures(count, true);
        char *text = render_with(rp_github, document);
        cr_expect_eq(count_of(text, "\n"), count == 9 ? 9 : 10);
        cr_expect_eq(strstr(text, "::error title=3 more::3 more causes") != NULL, count == 12, "%s", text);
        free(text);
        qw_json_free(document);
    }
}

Test(github, says_nothing_of_what_conforms)
{
    struct qw_json *document = load_document("healthy");
    char *text = render_with(rp_github, document);
    cr_expect_str_eq(text, "");
    free(text);
    qw_json_free(document);
}
