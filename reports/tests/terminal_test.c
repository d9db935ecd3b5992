/* The terminal: what stands on it, in which order, and that no text of a document can steer it. */
#include "reports/terminal.h"
#include "reports/tests/documents.h"

static char *render(const struct qw_json *document, int verbosity, bool color, const struct qw_json *files)
{
    struct qw_text out = {0};
    struct rp_terminal_style style = {color, verbosity, 80, files};
    rp_terminal(&out, document, &style);
    return qw_text_take(&out);
}

static char *render_sample(const char *name, int verbosity, const struct qw_json *files)
{
    struct qw_json *document = load_document(name);
    char *text = render(document, verbosity, false, files);
    qw_json_free(document);
    return text;
}

static void expect_in_order(const char *text, const char *const parts[])
{
    const char *at = text;
    for (; *parts; parts++) {
        const char *found = strstr(at, *parts);
        cr_assert(found, "\"%s\" is missing or too early in:\n%s", *parts, text);
        at = found + 1;
    }
}

Test(terminal, one_case_answers_in_order)
{
    static const char *const parts[] = {"x FAIL  The 8 virtual tokens",
                                        "\nrecording ",
                                        "\ncause ",
                                        "prompt-not-injected",
                                        "99.99 %",
                                        "\nagainst     nothing found",
                                        "\nrunner-up ",
                                        "\nupstream ",
                                        "\nremedy ",
                                        "\nfirst bad ",
                                        "expected [1, 15, 16] float32",
                                        "observed nothing",
                                        "\nlast good ",
                                        "\nparties     protocol: at fault",
                                        "\ncoverage    82 of 83",
                                        "\nblind to ",
                                        "\nnoise ",
                                        "\nversions    transformers 4.44.2",
                                        "\nwhat to do ",
                                        "$ pip install",
                                        "\n1 judged: 1 FAIL\n",
                                        NULL};
    char *text = render_sample("failing", 0, NULL);
    expect_in_order(text, parts);
    free(text);
}

Test(terminal, last_lines_are_counts_verdict_files_next)
{
    struct qw_json *files = qw_json_array();
    qw_json_add_text(files, "out.html");
    qw_json_add_text(files, "out.json");
    for (int verbosity = -1; verbosity <= 1; verbosity++) {
        char *text = render_sample("failing", verbosity, files);
        const char *tail = strstr(text, "1 judged: 1 FAIL\n");
        cr_assert(tail);
        cr_expect(verbosity >= 0 || tail == text);
        cr_expect(!strncmp(tail, "1 judged: 1 FAIL\nx FAIL  The 8 virtual", 38));
        const char *rest = strchr(strchr(tail, '\n') + 1, '\n');
        cr_expect_str_eq(rest, "\nwrote  out.html\nwrote  out.json\nnext   pip install 'peft>=0.13.0'\n");
        free(text);
    }
    qw_json_free(files);
}

Test(terminal, healthy_has_nothing_next)
{
    char *text = render_sample("healthy", -1, NULL);
    cr_expect(!strncmp(text, "1 judged: 1 PASS\n+ PASS  ", 25));
    cr_expect(strstr(text, "\nnext   nothing to do\n"));
    free(text);
}

Test(terminal, error_says_where_and_what_to_do)
{
    static const char *const parts[] = {"! ERROR",
                                        "\nat          recordings/truncated run.h5 /call/input_ids",
                                        "\nreason ",
                                        "\nwhat to do ",
                                        "0 judged; 1 not judged: 1 ERROR",
                                        "next   qconform inspect 'recordings/truncated run.h5'\n",
                                        NULL};
    char *text = render_sample("error", 0, NULL);
    expect_in_order(text, parts);
    free(text);
}

Test(terminal, raised_shows_the_exception)
{
    static const char *const parts[] = {"\nraised      AttributeError: 'tuple' object",
                                        "\nraised at   model.layers.0",
                                        "medium",
                                        "explains 92 %",
                                        "expected value DynamicCache\n",
                                        "observed value tuple\n",
                                        NULL};
    char *text = render_sample("raised", 0, NULL);
    expect_in_order(text, parts);
    free(text);
}

/* Column at which `part` begins in the line of `text` that begins with `line`. */
static long column_of(const char *text, const char *line, const char *part)
{
    const char *start = strstr(text, line);
    cr_assert(start);
    const char *found = strstr(start, part);
    cr_assert(found);
    return found - start;
}

Test(terminal, several_cases_stand_in_aligned_columns)
{
    char *text = render_sample("several", 0, NULL);
    long versions = column_of(text, "status ", "versions");
    cr_expect_eq(column_of(text, "+ PASS ", "4.45.2 x 0.13.2"), versions);
    cr_expect_eq(column_of(text, "x FAIL ", "4.44.2 x 0.12.0"), versions);
    long cause = column_of(text, "status ", "cause");
    cr_expect_eq(column_of(text, "x FAIL ", "prompt-not-injected"), cause);
    cr_expect_eq(column_of(text, "~ XFAIL ", "prompt-not-injected"), cause);
    cr_expect(strstr(text, "5 judged: 1 PASS, 3 FAIL, 1 XFAIL; 2 not judged: 1 ERROR, 1 SKIP\n"));
    cr_expect(strstr(text, "\nnext   qconform diagnose a/qwen2-pt-4.44.2.h5\n"));
    cr_expect_null(strstr(text, "----"), "details only when asked");
    free(text);
    text = render_sample("several", 1, NULL);
    cr_expect_eq(count_of(text, "----\n"), 6);
    free(text);
}

Test(terminal, a_run_tells_what_was_asked_of_the_cases_that_need_attention)
{
    static const char *const parts[] = {
        "suites      suites/prompt/suite.json  5 judged: 1 PASS, 1 FAIL, 1 XFAIL, 1 XPASS, 1 CHANGED\n",
        "            suites/broken/suite.json  0 judged; 5 not judged:",
        "\nx FAIL     prompt/generate/fail ",
        "\n^ XPASS    prompt/forward/xpass ",
        "\n! ERROR    suites/odd.json ",
        "\nx FAIL  prompt/generate/fail\nrequirement ",
        "\nsource ",
        "\nverdict ",
        "\nrun again   qconform run suites/prompt/suite.json prompt/generate/fail --out qconform-again\n",
        "\n# CHANGED  prompt/forward/changed\n",
        "\nbaseline ",
        "\nnot run     1 case, the first is broken/notrun: ",
        "\nx FAIL  Does not conform: 2 of 11 cases fail",
        NULL};
    char *text = render_sample("statuses", 0, NULL);
    expect_in_order(text, parts);
    cr_expect_null(strstr(text, "prompt/generate/pass"));
    cr_expect_null(strstr(text, "prompt/generate/xfail"));
    free(text);
    text = render_sample("statuses", 1, NULL);
    cr_expect(strstr(text, "\n+ PASS     prompt/generate/pass ") && strstr(text, "\n~ XFAIL    prompt/generate/xfail "));
    cr_expect_eq(count_of(text, "----\n"), 7, "those that need attention in full");
    free(text);
}

/* So many failures of one suite. */
Test(terminal, of_many_failures_twenty_are_told)
{
    struct qw_json *document = load_document("statuses"), *many = qw_json_copy(document);
    struct qw_json *cases = qw_json_set(many, "cases", qw_json_array());
    const struct qw_json *failing = qw_json_next(qw_json_first(qw_json_get(document, "cases")));
    for (int i = 0; i < 57; i++)
        qw_json_add(cases, qw_json_copy(failing));
    char *text = render(many, 0, false, NULL);
    cr_expect_eq(count_of(text, "\nrequirement "), 20);
    cr_expect_eq(count_of(text, "\nx FAIL     "), 57);
    cr_expect(strstr(text, "\nand 37 more, see the result document (result.json)\n"));
    free(text);
    qw_json_free(many);
    qw_json_free(document);
}

Test(terminal, color_only_underlines)
{
    struct qw_json *document = load_document("several");
    char *plain = render(document, 0, false, NULL), *colored = render(document, 0, true, NULL);
    char *to = colored;
    for (const char *from = colored; *from; from++)
        if (*from == '\x1b')
            from = strchr(from, 'm');
        else
            *to++ = *from;
    *to = 0;
    cr_expect_str_eq(plain, colored);
    free(plain);
    free(colored);
    qw_json_free(document);
}

static void expect_harmless(const char *text, const char *what)
{
    for (const char *at = text; *at; at++)
        cr_assert((unsigned char)*at >= 0x20 || *at == '\n', "byte %02x from %s", (unsigned char)*at, what);
    cr_assert(!strchr(text, 0x7F));
    cr_assert_null(strstr(text, "\xc2\x9b"));
    cr_assert_null(strstr(text, "\xe2\x80\xae"));
}

Test(terminal, hostile_texts_are_spelled_out)
{
    for (size_t s = 0; s < SAMPLE_COUNT; s++) {
        struct qw_json *document = load_document(sample_names[s]);
        for (size_t h = 0; h < HOSTILE_COUNT; h++) {
            struct qw_json *hostile = with_texts(document, hostile_texts[h], false);
            struct qw_json *files = qw_json_array();
            qw_json_add_text(files, hostile_texts[h]);
            char *text = render(hostile, 1, false, files), *again = render(hostile, 1, false, files);
            expect_harmless(text, hostile_texts[h]);
            cr_expect_str_eq(text, again);
            free(text);
            free(again);
            qw_json_free(files);
            qw_json_free(hostile);
        }
        qw_json_free(document);
    }
}

Test(terminal, an_empty_document_has_its_last_lines)
{
    struct qw_json *document = parse_document("{}");
    char *text = render(document, 0, false, NULL);
    cr_expect(!strncmp(text, "This document holds no case", 27) && strstr(text, "\n0 judged\nnext "), "%s", text);
    free(text);
    qw_json_free(document);
}
