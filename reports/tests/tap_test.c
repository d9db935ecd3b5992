/* TAP: every line is one that the protocol knows, whatever stands in the document. */
#include "reports/tap.h"
#include "reports/tests/lines.h"

/* Behind "ok N - ": a description, then at most one directive; "#" and "\" of the text are escaped. */
static void expect_point(const char *line)
{
    const char *rest = strstr(line, " - ");
    int marks = 0;
    cr_assert(rest, "%s", line);
    for (const char *c = rest; *c; c++) {
        marks += *c == '#';
        if (*c == '\\') {
            c++;
            cr_assert(*c == '\\' || *c == '#', "%s", line);
        }
    }
    cr_expect(marks == (strstr(line, " # TODO ") || strstr(line, " # SKIP ")), "%s", line);
}

/* "  key: "text"", quotes of the text escaped. */
static void expect_field(const char *line)
{
    const char *at = line + 2 + strspn(line + 2, "abcdefghijklmnopqrstuvwxyz");
    cr_assert(begins(at, ": "), "%s", line);
    if (at[2] != '"')
        return;
    for (at += 3; *at && *at != '"'; at += *at == '\\' ? 2 : 1)
        cr_assert(at[0] != '\\' || at[1] == '\\' || at[1] == '"', "%s", line);
    cr_expect_str_eq(at, "\"", "%s", line);
}

static void expect_line(const char *line)
{
    if (begins(line, "ok ") || begins(line, "not ok "))
        expect_point(line);
    else if (begins(line, "  ") && strcmp(line, "  ---") != 0 && strcmp(line, "  ...") != 0)
        expect_field(line);
    else
        cr_expect(begins(line, "  ") || begins(line, "TAP version 14") || begins(line, "1..11") || begins(line, "# "), "%s",
                  line);
}

static void expect_protocol(char *text, const char *hostile)
{
    cr_expect_eq(count_of(text, "\nok ") + count_of(text, "\nnot ok "), 11, "%s", hostile);
    each_line(text, expect_line);
}

Test(tap, hostile_texts_change_no_line) { each_hostile(rp_tap14, expect_protocol); }

Test(tap, bails_out_only_where_the_run_ended_before_its_time)
{
    static const char *const exits[] = {"ok",           "diverged", "bad-input", "nothing",
                                        "inconclusive", "output",   "internal",  "interrupted"};
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++) {
        char *source = qw_format("{\"cases\": [], \"exit\": {\"name\": \"%s\"}}", exits[i]);
        struct qw_json *document = parse_document(source);
        char *text = render_with(rp_tap13, document);
        cr_expect_eq(strstr(text, "\nBail out! ") != NULL, !strncmp(exits[i], "inter", 5), "%s", exits[i]);
        free(text);
        free(source);
        qw_json_free(document);
    }
}
