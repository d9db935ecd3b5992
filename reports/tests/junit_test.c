/* JUnit: characters that XML can hold, and elements that no text adds to.  What a schema can say is tested end to end. */
#include "reports/junit.h"
#include "reports/escape.h"
#include "reports/tests/lines.h"

static size_t elements;

static void expect_plain(char *text, const char *hostile)
{
    uint32_t code;
    for (const char *at = text; *at; at += rp_decode(&code, at)) {
        rp_decode(&code, at);
        cr_assert(code != RP_CODE_INVALID && (code == '\n' || code >= ' ') && (code & 0xFFFE) != 0xFFFE, "%s", hostile);
    }
    cr_expect_null(strstr(text, "]]>"), "%s", hostile);
    cr_expect_eq(count_of(text, "<testcase "), elements, "%s", hostile);
    cr_expect_null(strstr(text, "<script"), "%s", hostile);
}

Test(junit, hostile_texts_add_no_element_and_leave_xml)
{
    elements = 11;
    each_hostile(rp_junit, expect_plain);
}

Test(junit, cases_of_one_name_are_told_apart)
{
    struct qw_json *document = parse_document(
        "{\"cases\": [{\"id\": \"a/b/c\", \"status\": \"PASS\"}, {\"id\": \"a.b/c\", \"status\": \"PASS\"}, "
        "{\"id\": \"a/b/c\", \"status\": \"PASS\"}]}");
    char *text = render_with(rp_junit, document);
    cr_expect_eq(count_of(text, "classname=\"a.b\" name=\"c\""), 1);
    cr_expect_eq(count_of(text, "classname=\"a.b\" name=\"c (case 2)\""), 1);
    cr_expect_eq(count_of(text, "classname=\"a.b\" name=\"c (case 3)\""), 1);
    free(text);
    qw_json_free(document);
}

Test(junit, what_is_no_time_is_none)
{
    struct qw_json *document = parse_document(
        "{\"cases\": [{\"timing\": {\"seconds\": \"nan\"}}, {\"timing\": {\"seconds\": 1e300}}, {\"timing\": {\"seconds\": 0.0125}}]}");
    char *text = render_with(rp_junit, document);
    cr_expect_eq(count_of(text, "time=\"0.000\""), 2, "%s", text);
    cr_expect_eq(count_of(text, "time=\"0.013\""), 3, "%s", text);
    free(text);
    qw_json_free(document);
}
