/* CSV: one line per site, numbers that read back, and nothing that a spreadsheet would run. */
#include "reports/csv.h"
#include "reports/escape.h"
#include "reports/tests/documents.h"

static char *render(const struct qw_json *document)
{
    struct qw_text out = {0};
    rp_csv(&out, document);
    return qw_text_take(&out);
}

Test(csv, has_a_header_and_one_line_for_each_site)
{
    struct qw_json *document = load_document("several");
    size_t sites = 0;
    for (const struct qw_json *c = qw_json_first(qw_json_get(document, "cases")); c; c = qw_json_next(c))
        sites += (size_t)qw_json_size(qw_json_get(c, "sites"));
    char *text = render(document);
    cr_expect(!strncmp(text, "case,recording,step,layer,site,party,status,kind,ratio,", 55), "%.80s", text);
    cr_expect_eq(count_of(text, "\r\n"), sites + 1);
    free(text);
    qw_json_free(document);
}

Test(csv, numbers_read_back_and_null_is_empty)
{
    struct qw_json *document = parse_document(
        "{\"cases\": [{\"id\": \"a,b\", \"sites\": [{\"step\": 0, \"layer\": null, \"site\": \"x\", "
        "\"ratio\": 0.1, \"ratio_isolated\": \"inf\", \"max_abs\": 0.30000000000000004, \"rms\": \"-inf\", \"ulp\": \"nan\"}]}]}");
    char *text = render(document);
    static const char row[] = "\r\n\"a,b\",,0,,x,,,,0.1,inf,0.30000000000000004,-inf,nan,,,,\r\n";
    cr_expect(strstr(text, row), "%s", text);
    free(text);
    qw_json_free(document);
}

static void expect_field(const char *text, const char *wanted)
{
    struct qw_text out = {0};
    rp_escape_csv(&out, text);
    cr_expect_str_eq(out.bytes ? out.bytes : "", wanted);
    qw_text_free(&out);
}

Test(csv, fields_are_quoted_spelled_out_and_never_formulas)
{
    expect_field("a \"b\", c", "\"a \"\"b\"\", c\"");
    expect_field("line\nfeed\r", "line\\nfeed\\x0d");
    expect_field("=1+1", "'=1+1");
    expect_field("@x,y", "\"'@x,y\"");
    expect_field("-x", "'-x");
    expect_field(" padded", "\" padded\"");
    expect_field("", "");
    expect_field(NULL, "");
}

Test(csv, hostile_texts_change_no_line)
{
    struct qw_json *document = load_document("failing");
    char *benign = render(document);
    size_t lines = count_of(benign, "\r\n");
    for (size_t h = 0; h < HOSTILE_COUNT; h++) {
        struct qw_json *hostile = with_texts(document, hostile_texts[h], false);
        char *text = render(hostile);
        cr_expect_eq(count_of(text, "\n"), lines, "%s", hostile_texts[h]);
        cr_expect_null(strchr(text, 0x1b));
        free(text);
        qw_json_free(hostile);
    }
    free(benign);
    qw_json_free(document);
}
