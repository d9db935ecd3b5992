/* The page: order and completeness of its blocks, ids and links, and that no text of a document becomes markup. */
#include "reports/html.h"
#include "reports/plot.h"
#include "reports/tests/documents.h"

#include "reports/escape.h"

static char *render(const struct qw_json *document)
{
    struct qw_text out = {0};
    rp_html(&out, document);
    return qw_text_take(&out);
}

static char *render_sample(const char *name)
{
    struct qw_json *document = load_document(name);
    char *page = render(document);
    qw_json_free(document);
    return page;
}

static bool has_gnuplot(void)
{
    struct rp_plotter *plotter = rp_plotter_open();
    rp_plotter_close(plotter);
    return plotter != NULL;
}

static void expect_in_order(const char *page, const char *const parts[])
{
    const char *at = page;
    for (; *parts; parts++) {
        const char *found = strstr(at, *parts);
        cr_assert(found, "%s is missing or too early", *parts);
        at = found;
    }
}

static const char *const block_order[] = {
    "<title>FAIL: ", "id=\"verdict\"",    "id=\"cause\"",    "id=\"first-divergence\"",
    "id=\"next\"",   "id=\"parties\"",    "id=\"versions\"", "id=\"coverage\"",
    "id=\"plots\"",  "id=\"divergence\"", "id=\"map\"",      "id=\"cache-length\"",
    "id=\"sites\"",  "id=\"findings\"",   "id=\"appendix\"", NULL,
};

Test(html, blocks_stand_in_their_order)
{
    char *page = render_sample("failing");
    expect_in_order(page, block_order);
    free(page);
}

Test(html, says_what_where_why_and_what_to_do)
{
    static const char *const facts[] = {"The 8 virtual tokens never reached the model",
                                        "prompt-not-injected",
                                        "99.99 %",
                                        "adapter-bypassed",
                                        "href=\"https://github.com/QwenLM/Qwen3/issues/882\"",
                                        "received.inputs_embeds",
                                        "[1, 15, 16]",
                                        "pip install &#39;peft&gt;=0.13.0&#39;",
                                        "at fault",
                                        "fixed in 0.13.0",
                                        "1.58e+06",
                                        "Nothing was found."};
    char *page = render_sample("failing");
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        cr_expect(strstr(page, facts[i]), "%s", facts[i]);
    free(page);
}

Test(html, asks_nothing_from_elsewhere)
{
    for (size_t s = 0; s < SAMPLE_COUNT; s++) {
        char *page = render_sample(sample_names[s]);
        cr_expect(strstr(page, "default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
        cr_expect_null(strstr(page, "<script"));
        cr_expect_null(strstr(page, "<link"));
        cr_expect_null(strstr(page, "<img"));
        cr_expect_null(strstr(page, " style="));
        cr_expect_null(strstr(page, "@import"));
        cr_expect_null(strstr(page, "url(h"));
        free(page);
    }
}

Test(html, only_https_is_linked)
{
    char *page = render_sample("raised");
    cr_expect(strstr(page, "<li>javascript:alert(1)</li>"));
    cr_expect_null(strstr(page, "href=\"javascript"));
    free(page);
}

/* Calls `visit` with every value of an attribute that ends in `name`, for example id=" or href="#. */
static void each_value(const char *page, const char *name, void (*visit)(const char *page, const char *value))
{
    char value[256];
    for (const char *at = page; (at = strstr(at, name));) {
        at += strlen(name);
        size_t length = strcspn(at, "\"'");
        cr_assert(length < sizeof value);
        memcpy(value, at, length);
        value[length] = 0;
        visit(page, value);
    }
}

static void expect_unique(const char *page, const char *id)
{
    char *double_quoted = qw_format(" id=\"%s\"", id), *single_quoted = qw_format(" id='%s'", id);
    cr_expect_eq(count_of(page, double_quoted) + count_of(page, single_quoted), 1, "id %s", id);
    free(double_quoted);
    free(single_quoted);
}

Test(html, ids_are_unique_and_links_lead_somewhere)
{
    for (size_t s = 0; s < SAMPLE_COUNT; s++) {
        char *page = render_sample(sample_names[s]);
        each_value(page, " id=\"", expect_unique);
        each_value(page, " id='", expect_unique);
        each_value(page, "href=\"#", expect_unique);
        each_value(page, "href='#", expect_unique);
        each_value(page, "aria-labelledby=\"", expect_unique);
        each_value(page, "aria-describedby=\"", expect_unique);
        free(page);
    }
}

Test(html, a_case_that_stands_twice_has_two_ids)
{
    struct qw_json *sample = load_document("raised"), *document = qw_json_object();
    struct qw_json *cases = qw_json_put(document, "cases", qw_json_array());
    for (int i = 0; i < 3; i++)
        qw_json_add(cases, qw_json_copy(qw_json_first(qw_json_get(sample, "cases"))));
    char *page = render(document);
    each_value(page, " id=\"", expect_unique);
    free(page);
    qw_json_free(sample);
    qw_json_free(document);
}

Test(html, several_cases_begin_with_a_table)
{
    static const char *const parts[] = {"<title>FAIL: 5 judged",
                                        "id=\"summary\"",
                                        "a/good.h5</a>",
                                        "recordings/truncated",
                                        "<details class=\"case\">",
                                        "<details class=\"case\" open>",
                                        "id=\"appendix\"",
                                        NULL};
    char *page = render_sample("several");
    expect_in_order(page, parts);
    cr_expect_eq(count_of(page, "<details class=\"case\""), 7);
    free(page);
}

Test(html, a_run_says_what_was_required_beside_each_verdict)
{
    static const char *const parts[] = {
        "<h1><svg",
        "Does not conform: 2 of 11 cases fail",
        "<th scope=\"rowgroup\" colspan=\"6\">Prompt tuning: <code>suites/prompt/suite.json</code>",
        "<span>5 judged: 1 PASS, 1 FAIL, 1 XFAIL, 1 XPASS, 1 CHANGED</span>",
        "prompt/generate/pass</a>",
        "<th scope=\"rowgroup\" colspan=\"6\">Broken: ",
        "<code>of no suite</code>",
        "What is required</h3>",
        "<dt>PASS means</dt>",
        "<dt>Run again</dt><dd><code>qconform run suites/prompt/suite.json prompt/generate/fail",
        "<dt>Baseline expects</dt><dd><code>",
        "<dt>XFAIL means</dt><dd>a failure that the baseline expects",
        "<h3>What was run</h3>",
        "<caption>Suites</caption>",
        "<caption>Baselines</caption>",
        "<dt>Digest of what is judged</dt>",
        NULL};
    char *page = render_sample("statuses");
    expect_in_order(page, parts);
    cr_expect_eq(count_of(page, "<details class=\"case\""), 11);
    free(page);
    page = render_sample("several");
    cr_expect_null(strstr(page, "What was run"));
    cr_expect_null(strstr(page, "What is required"));
    free(page);
}

/* Only of a recording that conforms is nothing left to do. */
Test(html, a_case_without_a_recording_is_told_what_to_mend)
{
    struct qw_json *document = load_document("error"), *whole = qw_json_copy(document);
    const struct qw_json *first = qw_json_first(qw_json_get(whole, "cases"));
    struct qw_json *one = qw_json_add(qw_json_set(document, "cases", qw_json_array()), qw_json_copy(first));
    qw_json_set_text(one, "recording", "");
    char *page = render(document);
    expect_in_order(page, (const char *const[]){"What to do next</h2>", "<li>record again with qconform record", NULL});
    cr_expect_null(strstr(page, "keep the recording as a witness"));
    free(page);
    page = render_sample("healthy");
    cr_expect(strstr(page, "keep the recording as a witness"));
    free(page);
    qw_json_free(whole);
    qw_json_free(document);
}

Test(html, of_a_long_run_what_needs_attention_is_told)
{
    struct qw_json *document = load_document("statuses"), *many = qw_json_copy(document);
    struct qw_json *cases = qw_json_set(many, "cases", qw_json_array());
    for (int i = 0; i < 5; i++)
        for (const struct qw_json *c = qw_json_first(qw_json_get(document, "cases")); c; c = qw_json_next(c))
            qw_json_add(cases, qw_json_copy(c));
    char *page = render(many);
    cr_expect_eq(count_of(page, "<details class=\"case\""), 35, "all but PASS, XFAIL, SKIP and NOTRUN");
    cr_expect(strstr(page, "Told in full below: 35 of 55 cases, those that need attention."));
    free(page);
    qw_json_free(many);
    qw_json_free(document);
}

Test(html, without_gnuplot_it_is_complete)
{
    setenv("PATH", "/nonexistent", 1);
    char *page = render_sample("failing");
    expect_in_order(page, block_order);
    cr_expect_eq(count_of(page, "gnuplot not found: plot omitted; the numbers are in the table below"), 3);
    cr_expect(strstr(page, "<caption>Tokens in the cache after each step</caption>"));
    cr_expect_null(strstr(page, "role=\"img\""));
    free(page);
}

Test(html, with_gnuplot_it_has_three_plots)
{
    if (!has_gnuplot())
        cr_skip("gnuplot is not installed");
    char *page = render_sample("failing");
    cr_expect_eq(count_of(page, "role=\"img\""), 3);
    cr_expect_null(strstr(page, "gnuplot not found"));
    free(page);
}

Test(html, equal_results_give_equal_bytes)
{
    for (size_t s = 0; s < SAMPLE_COUNT; s++) {
        char *a = render_sample(sample_names[s]), *b = render_sample(sample_names[s]);
        cr_expect_str_eq(a, b, "%s", sample_names[s]);
        free(a);
        free(b);
    }
}

/* Walks over the tags as a browser would: how many there are; no handler among the attributes, no open quote. */
static size_t count_tags(const char *page)
{
    size_t tags = 0;
    for (const char *at = page; (at = strchr(at, '<')); tags++) {
        char quote = 0;
        const char *start = at;
        for (; *at && (quote || *at != '>'); at++) {
            cr_assert(quote || at == start || *at != '<', "a tag inside a tag: %.60s", start);
            if (quote ? *at == quote : *at == '"' || *at == '\'')
                quote = quote ? 0 : *at;
            cr_assert(quote || strncmp(at, " on", 3) != 0, "a handler: %.60s", start);
        }
        cr_assert(*at == '>', "an open tag: %.60s", start);
    }
    return tags;
}

static void expect_valid_text(const char *page)
{
    uint32_t code = 0;
    for (const char *at = page; *at; at += rp_decode(&code, at)) {
        rp_decode(&code, at);
        cr_assert(code != RP_CODE_INVALID, "invalid UTF-8: %.20s", at);
        cr_assert(code >= 0x20 || code == '\n' || code == '\t');
        cr_assert(code < 0x7F || code > 0x9F);
        cr_assert(code != 0x202E && code != 0x2028);
    }
}

/* Names of fields are texts of a document too: those of packages are shown. */
Test(html, hostile_names_of_packages_stay_text)
{
    setenv("PATH", "/nonexistent", 1);
    for (size_t h = 0; h + 1 < HOSTILE_COUNT; h++) {
        struct qw_json *one = qw_json_object(), *environment = qw_json_put(one, "environment", qw_json_object());
        qw_json_put_text(environment, hostile_texts[h], hostile_texts[h]);
        struct qw_json *hostile = qw_json_object();
        qw_json_add(qw_json_put(hostile, "cases", qw_json_array()), one);
        char *page = render(hostile);
        expect_valid_text(page);
        cr_expect_eq(count_of(page, "<tr><th scope=\"row\">"), 2, "%s", hostile_texts[h]);
        count_tags(page);
        free(page);
        qw_json_free(hostile);
    }
}

Test(html, hostile_texts_stay_text)
{
    setenv("PATH", "/nonexistent", 1);
    for (size_t s = 0; s < SAMPLE_COUNT; s++) {
        struct qw_json *document = load_document(sample_names[s]), *benign = with_texts(document, "word", false);
        char *page = render(benign);
        size_t tags = count_tags(page);
        free(page);
        for (size_t h = 0; h + 1 < HOSTILE_COUNT; h++) {
            struct qw_json *hostile = with_texts(document, hostile_texts[h], false);
            page = render(hostile);
            size_t links = 2 * count_of(page, "<a href=\"https:");
            expect_valid_text(page);
            cr_expect_eq(count_tags(page) - links, tags, "%s in %s", hostile_texts[h], sample_names[s]);
            free(page);
            qw_json_free(hostile);
        }
        qw_json_free(benign);
        qw_json_free(document);
    }
}

Test(html, an_empty_document_is_a_page)
{
    static const char *const texts[] = {"{}", "{\"cases\": []}", "{\"cases\": [{}]}", "[]", "null"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct qw_json *document = parse_document(texts[i]);
        char *page = render(document);
        cr_expect(strstr(page, "<title>NOTRUN"), "%s", texts[i]);
        cr_expect(strstr(page, "</html>\n"));
        count_tags(page);
        free(page);
        qw_json_free(document);
    }
}

/* A case with `count` sites, the last of which is the worst. */
static struct qw_json *long_document(int count)
{
    struct qw_json *document = qw_json_object();
    struct qw_json *one = qw_json_add(qw_json_put(document, "cases", qw_json_array()), qw_json_object());
    qw_json_put_text(one, "status", "FAIL");
    struct qw_json *sites = qw_json_put(one, "sites", qw_json_array());
    for (int i = 0; i < count; i++) {
        struct qw_json *site = qw_json_add(sites, qw_json_object());
        qw_json_put_int(site, "step", i / 100);
        qw_json_put_text(site, "site", i + 1 < count ? "mlp.up_proj" : "the.worst");
        qw_json_put_text(site, "status", i + 1 < count ? "conforms" : "differs");
        qw_json_put_real(site, "ratio", i + 1 < count ? 0.5 : 1e6);
    }
    return document;
}

Test(html, long_tables_are_cut_aloud)
{
    struct qw_json *document = long_document(6000);
    char *page = render(document);
    cr_expect(strstr(page, "Showing the 200 worst of 6000 sites"));
    cr_expect(strstr(page, "Showing the first 5000 of 6000"));
    cr_expect_eq(count_of(page, "the.worst"), 4,
                 "in the table of the worst, in the numbers per step, and in both views of the map");
    cr_expect(strstr(page, "Each point stands for 6 neighbouring sites"));
    cr_expect(strlen(page) < (size_t)4 << 20);
    free(page);
    qw_json_free(document);
}

/* --- two recordings compared --- */

Test(html, a_comparison_shows_both_sides_and_names_no_cause)
{
    static const char *const parts[] = {"id=\"pair\"",
                                        "0.12.0",
                                        "0.13.2",
                                        "1 more is the same in both",
                                        "Where they part",
                                        "heads and sequence are swapped",
                                        "id=\"differences\"",
                                        "1 of 2",
                                        "id=\"tokens\"",
                                        "<mark>13</mark>",
                                        "<mark>99</mark>",
                                        "id=\"coverage\"",
                                        "only A recorded it",
                                        "bit by bit",
                                        "id=\"map\"",
                                        "Landlock: the kernel does not have it",
                                        NULL};
    char *page = render_sample("compare");
    expect_in_order(page, parts);
    cr_expect_null(strstr(page, "compare names no cause"));
    cr_expect_null(strstr(page, "id=\"cause\""));
    cr_expect_null(strstr(page, "id=\"divergence\""), "nothing has a finite ratio");
    cr_expect_null(strstr(page, "isolated</text>"));
    free(page);
}

Test(html, a_comparison_that_could_not_be_made_says_why)
{
    struct qw_json *document = parse_document(
        "{\"cases\": [{\"mode\": \"compare\", \"id\": \"a vs b\", \"status\": \"ERROR\", \"cause\": null, "
        "\"error\": {\"file\": \"b.h5\", \"message\": \"not an HDF5 file\"}}]}");
    char *page = render(document);
    cr_expect(strstr(page, "not an HDF5 file"));
    cr_expect(strstr(page, "id=\"pair\""));
    free(page);
    qw_json_free(document);
}

Test(html, a_selection_and_what_was_waived_are_said)
{
    char *page = render_sample("compare");
    cr_expect(strstr(page, "<strong>Judged only:</strong> steps 0 to 1, sites matching *."));
    cr_expect(strstr(page, "<strong>Waived:</strong> 2 times: only A recorded it."));
    cr_expect(strstr(page, "judged by their statistics"));
    free(page);
}

static struct qw_json *document_with_lists(int count)
{
    static const char *const lists[] = {"parties", "next_steps", "cache_lengths", "findings", "causes", "differences"};
    struct qw_json *document = qw_json_object(), *one = qw_json_object();
    qw_json_put_text(one, "status", "FAIL");
    qw_json_put_text(one, "mode", "compare");
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct qw_json *list = qw_json_put(one, lists[i], qw_json_array());
        for (int k = 0; k < count; k++)
            qw_json_put_int(qw_json_add(list, qw_json_object()), "step", k);
    }
    struct qw_json *environment = qw_json_put(one, "environment", qw_json_object());
    for (int k = 0; k < 300; k++) {
        char *name = qw_format("package%d", k);
        qw_json_put_text(environment, name, "1");
        free(name);
    }
    qw_json_add(qw_json_put(document, "cases", qw_json_array()), one);
    return document;
}

Test(html, no_list_is_without_end)
{
    struct qw_json *document = document_with_lists(20000);
    char *page = render(document);
    cr_expect(strlen(page) < (size_t)2 << 20, "%zu bytes", strlen(page));
    cr_expect(count_of(page, "more; the result document has") >= 4);
    free(page);
    qw_json_free(document);
}

Test(html, a_long_text_is_cut_aloud)
{
    char *longest = malloc(1 << 20);
    memset(longest, 'x', (1 << 20) - 1);
    longest[(1 << 20) - 1] = 0;
    struct qw_json *document = load_document("failing"), *marked = with_texts(document, longest, false);
    char *page = render(marked);
    cr_expect(strstr(page, "more bytes)"));
    cr_expect(strlen(page) < (size_t)8 << 20, "%zu bytes", strlen(page));
    free(page);
    free(longest);
    qw_json_free(marked);
    qw_json_free(document);
}
