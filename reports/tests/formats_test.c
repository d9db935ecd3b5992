/* The table of formats, and the renderer that only prints the document. */
#include "reports/formats.h"
#include "reports/tests/documents.h"

Test(formats, are_found_by_name_and_by_option)
{
    cr_assert(rp_format_count() >= 2);
    for (size_t i = 0; i < rp_format_count(); i++) {
        const struct rp_format *format = rp_format_at(i);
        cr_expect_eq(rp_format_find(format->name), format);
        cr_expect_eq(rp_format_find(format->option), format);
        cr_expect_eq(!format->suffix, format->parts[0].place != RP_TO_FILE);
        cr_expect(*format->summary);
    }
    cr_expect_null(rp_format_at(rp_format_count()));
    cr_expect_null(rp_format_find("no such format"));
}

Test(formats, json_gives_the_document_back)
{
    struct qw_json *document = load_document("failing");
    struct qw_text out = {0};
    struct qw_error error = {0};
    rp_json(&out, document);
    cr_assert(out.length && out.bytes[out.length - 1] == '\n');
    struct qw_json *again = qw_json_parse(out.bytes, out.length, "", &error);
    cr_assert(again, "%s", error.message);
    char *a = qw_json_print(document, false), *b = qw_json_print(again, false);
    cr_expect_str_eq(a, b);
    free(a);
    free(b);
    qw_text_free(&out);
    qw_json_free(again);
    qw_json_free(document);
}

/* Any field of a case may be missing, null, or of a type that nobody expects. */
static void render_everywhere(const struct qw_json *document)
{
    for (size_t i = 0; i < rp_format_count(); i++)
        for (struct rp_output output = {0}; rp_output_next(&output, rp_format_at(i), document);)
            cr_assert(output.text.length > 0 || output.place == RP_TO_LOG);
}

static struct qw_json *odd_value(int kind)
{
    static const char *const texts[] = {"null", "7", "\"text\"", "[]", "{}", "[1, \"a\", null, {}]", "true"};
    return parse_document(texts[kind]);
}

Test(formats, cope_with_any_field_spoiled)
{
    setenv("PATH", "/nonexistent", 1);
    struct qw_json *document = load_document("failing");
    const struct qw_json *one = qw_json_first(qw_json_get(document, "cases"));
    for (int kind = 0; kind < 7; kind++)
        for (int field = 0; field < qw_json_size(one); field++) {
            struct qw_json *spoiled = qw_json_object();
            qw_json_add(qw_json_put(spoiled, "cases", qw_json_array()), with_field(one, field, odd_value(kind)));
            render_everywhere(spoiled);
            qw_json_free(spoiled);
        }
    for (int kind = 0; kind < 7; kind++)
        for (int field = 0; field < qw_json_size(document); field++) {
            struct qw_json *spoiled = with_field(document, field, odd_value(kind));
            render_everywhere(spoiled);
            qw_json_free(spoiled);
        }
    qw_json_free(document);
}
