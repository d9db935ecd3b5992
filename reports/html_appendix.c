/* Invariant: the appendix explains every word that the page uses in a meaning of its own. */
#include "reports/markup.h"
#include "reports/notes.h"
#include "reports/page.h"
#include "reports/view.h"

static void vocabulary(struct rp_page *page)
{
    const struct rp_status *status;
    qw_text_add(page->out, "<h3>Status words</h3>\n<dl>\n");
    for (size_t i = 0; (status = rp_status_at(i)); i++)
        rp_markup(page->out,
                  "<dt>%r "
                  "%t</dt><dd>%t</dd>\n",
                  rp_status_icon((int)status->shape), status->word, status->meaning);
    qw_text_add(page->out, "</dl>\n");
}

static void measures(struct rp_page *page)
{
    qw_text_add(page->out, "<h3>How the numbers are meant</h3>\n<dl>\n");
    rp_add_term(page, "Noise floor",
                "How far rounding alone may move a value at that site. It is computed, not chosen: the reference in "
                "double precision is the truth, and the reference in the arithmetic of the recording says how far "
                "from it rounding leads.");
    rp_add_term(page, "Ratio",
                "The largest error of the site divided by its noise floor. The site conforms when the ratio is at "
                "most the bound, one number for all sites. Copied data has a floor of 0: it is equal, or its ratio is "
                "infinite (inf).");
    rp_add_term(page, "Free-running and isolated",
                "Free-running compares with the healthy run from the call on, so it shows an error and all its "
                "consequences. Isolated feeds each site its recorded inputs, so it shows only the error that arises "
                "there.");
    rp_add_term(page, "Explained",
                "The share of the divergence that disappears when the reference is played with the named fault "
                "planted.");
    rp_add_term(page, "Step, layer, site",
                "A step is one forward call, a layer one block of the model, a site one named tensor in it. Steps, "
                "layers and indices count from 0.");
    qw_text_add(page->out, "</dl>\n");
}

/* The command as the shell that shows it would take it back. */
static void command(struct rp_page *page)
{
    const struct qw_json *words = qw_json_get(page->result, "command");
    if (!qw_json_size(words))
        return;
    qw_text_add(page->out, "<dt>Command</dt><dd><code>");
    const struct qw_json *w = qw_json_first(words);
    for (int shown = 0; w && shown < RP_LIST_ROWS; w = qw_json_next(w), shown++)
        rp_markup(page->out, "%r%t", w == qw_json_first(words) ? "" : " ", qw_json_text(w, "?"));
    qw_text_add(page->out, "</code>");
    rp_add_rest(page, " ", qw_json_size(words) - RP_LIST_ROWS, "");
    qw_text_add(page->out, "</dd>\n");
}

/* In which shelter recordings were read. */
static void sandbox(struct rp_page *page)
{
    struct qw_text text = {0};
    if (rp_add_sandbox(&text, page->result))
        rp_add_term(page, "Sandbox of the reader", text.bytes);
    text.length = 0;
    if (rp_add_unprotected(&text, page->result))
        rp_markup(page->out, "<dt>Not in force</dt><dd><strong>%t</strong></dd>\n", text.bytes);
    qw_text_free(&text);
}

static void tool(struct rp_page *page)
{
    const struct qw_json *tool_fields = qw_json_get(page->result, "tool"), *end = qw_json_get(page->result, "exit");
    qw_text_add(page->out, "<h3>How this report was made</h3>\n<dl>\n");
    const struct qw_json *f = qw_json_first(tool_fields);
    for (int shown = 0; f && shown < RP_LIST_ROWS; f = qw_json_next(f), shown++)
        if (qw_json_is_text(f) || qw_json_is_number(f))
            rp_add_term(page, qw_json_key(f), qw_json_text(f, rp_value(f).text));
    sandbox(page);
    command(page);
    rp_add_term(page, "Created", qw_json_get_text(page->result, "created", NULL));
    if (qw_json_is_object(end))
        rp_markup(page->out, "<dt>Exit code</dt><dd>%t (%t)</dd>\n", rp_value(qw_json_get(end, "code")).text,
                  qw_json_get_text(end, "name", "-"));
    rp_add_term(page, "Result document", qw_json_get_text(page->result, "schema", NULL));
    qw_text_add(page->out, "</dl>\n");
}

static void hashes(struct rp_page *page)
{
    bool any = false;
    int shown = 0;
    const struct qw_json *cases = qw_json_get(page->result, "cases");
    for (const struct qw_json *c = qw_json_first(cases); c && shown < RP_STEP_ROWS; c = qw_json_next(c), shown++) {
        const char *hash = qw_json_get_text(c, "recording_sha256", NULL);
        if (!hash)
            continue;
        if (!any)
            qw_text_add(page->out, "<h3>Recordings and their SHA-256</h3>\n<ul class=\"hashes\">\n");
        any = true;
        rp_markup(page->out, "<li>%t<br><code>%t</code></li>\n", qw_json_get_text(c, "recording", "-"), hash);
    }
    rp_add_rest(page, any ? "<li>" : "<p>", qw_json_size(cases) - RP_STEP_ROWS, any ? "</li>" : "</p>");
    if (any)
        qw_text_add(page->out, "</ul>\n");
}

void rp_html_appendix(struct rp_page *page)
{
    qw_text_add(page->out, "<section class=\"card appendix\" id=\"appendix\" aria-labelledby=\"appendix-h\">"
                           "<h2 id=\"appendix-h\">Appendix: words, numbers, origin</h2>\n");
    vocabulary(page);
    measures(page);
    rp_html_run(page);
    tool(page);
    hashes(page);
    qw_text_add(page->out, "</section>\n");
}
