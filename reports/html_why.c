/* Invariant: the blocks that answer why, where and what next; a cause is never worded stronger than its confidence. */
#include "reports/markup.h"
#include "reports/notes.h"
#include "reports/page.h"
#include "reports/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void text_list(struct rp_page *page, const char *label, const struct qw_json *texts)
{
    if (!qw_json_size(texts))
        return;
    rp_markup(page->out, "<dt>%t</dt><dd><ul>", label);
    const struct qw_json *t = qw_json_first(texts);
    for (int shown = 0; t && shown < RP_LIST_ROWS; t = qw_json_next(t), shown++)
        rp_markup(page->out, "<li>%t</li>", qw_json_text(t, "-"));
    rp_add_rest(page, "<li>", qw_json_size(texts) - RP_LIST_ROWS, "</li>");
    qw_text_add(page->out, "</ul></dd>\n");
}

static void link_list(struct rp_page *page, const struct qw_json *urls)
{
    if (!qw_json_size(urls))
        return;
    qw_text_add(page->out, "<dt>Known upstream</dt><dd><ul>");
    const struct qw_json *u = qw_json_first(urls);
    for (int shown = 0; u && shown < RP_LIST_ROWS; u = qw_json_next(u), shown++) {
        qw_text_add(page->out, "<li>");
        rp_add_link(page->out, qw_json_text(u, "-"));
        qw_text_add(page->out, "</li>");
    }
    rp_add_rest(page, "<li>", qw_json_size(urls) - RP_LIST_ROWS, "</li>");
    qw_text_add(page->out, "</ul></dd>\n");
}

static void confidence(struct rp_page *page, const struct qw_json *cause)
{
    double share = qw_json_get_real(cause, "explained", NAN);
    const char *word = qw_json_get_text(cause, "confidence", NULL);
    if (!rp_is_named(cause)) {
        rp_add_term(page, "Confidence", rp_confidence_meaning(cause));
        return;
    }
    struct qw_text explained = {0};
    rp_add_explained(&explained, cause);
    qw_text_add(page->out, "<dt>Confidence</dt><dd>");
    if (word)
        rp_markup(page->out, "<strong>%t</strong>: %t. ", word, rp_confidence_meaning(cause));
    if (isfinite(share))
        rp_markup(page->out,
                  "It <strong>%t</strong>."
                  "<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" "
                  "aria-hidden=\"true\">"
                  "<rect width=\"100\" height=\"4\"/><rect class=\"share\" width=\"%d\" "
                  "height=\"4\"/></svg>",
                  explained.bytes, (int)(100 * fmin(fmax(share, 0), 1)));
    qw_text_add(page->out, "</dd>\n");
    qw_text_free(&explained);
}

static void rivals(struct rp_page *page, const struct qw_json *cause)
{
    const struct qw_json *second = qw_json_get(cause, "runner_up");
    if (qw_json_size(qw_json_get(cause, "against")))
        text_list(page, "What speaks against it", qw_json_get(cause, "against"));
    else if (rp_is_named(cause))
        rp_add_term(page, "What speaks against it", "Nothing was found.");
    if (qw_json_is_object(second))
        rp_markup(page->out, "<dt>Runner-up</dt><dd><code>%t</code> explains %t</dd>\n", qw_json_get_text(second, "id", "-"),
                  rp_share(qw_json_get(second, "explained")).text);
    text_list(page, "The evidence cannot tell it from", qw_json_get(cause, "equivalent"));
}

/* The causes behind the first: none of them explains everything alone. */
static void together(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *first = qw_json_first(qw_json_get(one, "causes"));
    const struct qw_json *next = first ? qw_json_next(first) : NULL;
    if (!next)
        return;
    qw_text_add(page->out, "<dt>Needed together with</dt><dd><ul>");
    for (int shown = 0; next && shown < RP_LIST_ROWS; next = qw_json_next(next), shown++) {
        struct qw_text explained = {0};
        rp_add_explained(&explained, next);
        rp_markup(page->out, "<li><code>%t</code> %t (%t). Remedy: %t</li>", qw_json_get_text(next, "id", "-"),
                  qw_json_get_text(next, "title", ""), explained.bytes, qw_json_get_text(next, "remedy", "-"));
        qw_text_free(&explained);
    }
    rp_add_rest(page, "<li>", qw_json_size(qw_json_get(one, "causes")) - RP_LIST_ROWS - 1, "</li>");
    qw_text_add(page->out, "</ul></dd>\n");
}

static void cause_card(struct rp_page *page, const struct qw_json *one, const struct qw_json *cause)
{
    const char *mechanism = qw_json_get_text(cause, "mechanism", NULL);
    struct qw_text consequence = {0}, fitting = {0};
    rp_open_card(page, "why", "cause", rp_is_named(cause) ? "Why: the cause" : "Why: no known cause");
    rp_markup(page->out, "<p class=\"lead\">%t</p>\n<p class=\"id\"><code>%t</code></p>\n",
              qw_json_get_text(cause, "title", "No known cause reproduces what was recorded"),
              qw_json_get_text(cause, "id", "-"));
    if (mechanism)
        rp_markup(page->out, "<p>%t</p>\n", mechanism);
    qw_text_add(page->out, "<dl>\n");
    text_list(page, "Evidence", qw_json_get(cause, "evidence"));
    if (rp_add_fitting(&fitting, cause))
        rp_add_term(page, "What fits", fitting.bytes);
    confidence(page, cause);
    rivals(page, cause);
    together(page, one);
    if (rp_add_consequence(&consequence, one))
        rp_add_term(page, "Consequence", consequence.bytes);
    rp_add_term(page, "Remedy", qw_json_get_text(cause, "remedy", NULL));
    rp_add_term(page, "Fixed in", qw_json_get_text(cause, "fixed_in", NULL));
    link_list(page, qw_json_get(cause, "upstream"));
    qw_text_add(page->out, "</dl>\n</section>\n");
    qw_text_free(&consequence);
    qw_text_free(&fitting);
}

/* A case without a judgement: what stopped it. */
static void error_card(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *error = qw_json_get(one, "error");
    const struct rp_status *status = rp_case_status(one);
    rp_open_card(page, "why", "cause", "Why: nothing was decided");
    rp_markup(page->out, "<p>%t means: %t.</p>\n<dl>\n", status->word, status->meaning);
    rp_add_term(page, "Reason", qw_json_get_text(error, "message", NULL));
    rp_add_term(page, "File", qw_json_get_text(error, "file", NULL));
    rp_add_term(page, "Place in the file", qw_json_get_text(error, "place", NULL));
    rp_add_term(page, "What to do", qw_json_get_text(error, "hint", NULL));
    qw_text_add(page->out, "</dl>\n</section>\n");
}

void rp_html_cause(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *cause = qw_json_get(one, "cause");
    const struct rp_status *status = rp_case_status(one);
    if (qw_json_is_object(cause)) {
        cause_card(page, one, cause);
    } else if (qw_json_is_object(qw_json_get(one, "error")) || !status->judged) {
        error_card(page, one);
    } else {
        rp_open_card(page, "why", "cause", "Why: nothing to explain");
        rp_markup(page->out, "<p>%t means: %t. No cause is named, because nothing diverged.</p>\n</section>\n", status->word,
                  status->meaning);
    }
}

/* What stands in a cell; free with free(). */
static char *cell_of(const struct qw_json *side, const char *key)
{
    struct qw_text text = {0};
    const struct qw_json *field = qw_json_get(side, key);
    if (rp_is_nothing(side))
        qw_text_add(&text, "nothing");
    else if (qw_json_is_array(field))
        rp_add_list(&text, field);
    else
        qw_text_add(&text, qw_json_text(field, rp_value(field).text));
    return qw_text_take(&text);
}

/* One row of the comparison; none when neither side knows. */
static void side_row(struct rp_page *page, const char *key, const struct qw_json *expected, const struct qw_json *observed)
{
    if (qw_json_is_null(qw_json_get(expected, key)) && qw_json_is_null(qw_json_get(observed, key)))
        return;
    char *left = cell_of(expected, key), *right = cell_of(observed, key);
    rp_markup(page->out, "<tr><th scope=\"row\">%t</th><td>%t</td><td>%t</td></tr>\n", key, left, right);
    free(left);
    free(right);
}

static void sides(struct rp_page *page, const struct qw_json *found, bool pair)
{
    const struct qw_json *expected = qw_json_get(found, "expected"), *observed = qw_json_get(found, "observed");
    if (rp_is_nothing(expected) && rp_is_nothing(observed))
        return;
    rp_markup(page->out,
              "<table class=\"sides\"><thead><tr><td></td><th scope=\"col\">%t</th>"
              "<th scope=\"col\">%t</th></tr></thead><tbody>\n",
              pair ? "A" : "Expected", pair ? "B" : "Observed");
    side_row(page, "shape", expected, observed);
    side_row(page, "dtype", expected, observed);
    side_row(page, "value", expected, observed);
    qw_text_add(page->out, "</tbody></table>\n");
}

static void list_term(struct rp_page *page, const char *label, const struct qw_json *list, const char *more)
{
    struct qw_text text = {0};
    if (!qw_json_is_array(list))
        return;
    rp_add_list(&text, list);
    rp_markup(page->out, "<dt>%t</dt><dd>%t%t</dd>\n", label, text.bytes, more);
    qw_text_free(&text);
}

/* Axis by axis: which axis of the record stands where, and what belongs there. */
static void layout(struct rp_page *page, const struct qw_json *found)
{
    const struct qw_json *permutation = qw_json_get(found, "permutation");
    struct qw_text words = {0};
    int axis = 0;
    if (!rp_add_layout(&words, found))
        return;
    rp_markup(page->out,
              "<dt>Axes</dt><dd>%t\n<table class=\"axes\"><thead><tr><th scope=\"col\">Axis</th>"
              "<th scope=\"col\">holds by right</th><th scope=\"col\">found at axis</th></tr></thead><tbody>\n",
              words.bytes);
    for (const struct qw_json *p = qw_json_first(permutation); p && axis < 8; p = qw_json_next(p), axis++)
        rp_markup(page->out, "<tr><th scope=\"row\">%d</th><td>%t</td><td>%t%t</td></tr>\n", axis, rp_axis_meaning(found, axis),
                  rp_value(p).text, qw_json_int(p, -1) == axis ? "" : " (moved)");
    qw_text_add(page->out, "</tbody></table></dd>\n");
    qw_text_free(&words);
}

static void size_term(struct rp_page *page, const struct qw_json *ratio, bool bitwise)
{
    const struct qw_json *multiple = qw_json_get(qw_json_get(page->result, "noise"), "multiple");
    if (bitwise)
        rp_add_term(page, "Size", "the bits differ; no noise floor was asked for");
    else
        rp_markup(page->out, "<dt>Size</dt><dd>%t times the noise floor (%t are allowed)</dd>\n", rp_number(ratio).text,
                  rp_number(multiple).text);
}

/* How what is found comes of what is expected, at the first place where that could be told. */
static void rearranged(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *found = rp_finding(one, "transform");
    struct qw_text text = {0};
    if (!found)
        return;
    rp_add_place(&text, found);
    qw_text_addf(&text, ": %s", qw_json_get_text(found, "message", ""));
    rp_add_term(page, "Rearranged", text.bytes);
    qw_text_free(&text);
}

static void details(struct rp_page *page, const struct qw_json *one, const struct qw_json *found)
{
    const struct qw_json *ratio = qw_json_get(found, "ratio");
    const char *kind = qw_json_get_text(found, "kind", NULL);
    const char *meaning = rp_is_comparison(one) ? rp_kind_between(kind) : rp_kind_meaning(kind);
    rp_markup(page->out, "<dl>\n<dt>Kind</dt><dd><strong>%t</strong>%t%t</dd>\n", kind ? kind : "-", *meaning ? ": " : "",
              meaning);
    layout(page, found);
    list_term(page, "Index", qw_json_get(found, "index"), "");
    rp_add_term(page, "That is", qw_json_get_text(found, "position", NULL));
    rp_add_term(page, "In words", qw_json_get_text(found, "text", NULL));
    rearranged(page, one);
    rp_add_term(page, "Tokens", qw_json_get_text(rp_finding(one, "ledger"), "message", NULL));
    if (!qw_json_is_null(ratio))
        size_term(page, ratio, rp_is_bitwise(one));
}

static void exception_terms(struct rp_page *page, const struct qw_json *call)
{
    rp_markup(page->out, "<dl>\n<dt>The run raised</dt><dd><code>%t</code></dd>\n",
              qw_json_get_text(call, "exception_type", "an exception"));
    const char *message = qw_json_get_text(call, "exception_message", NULL);
    if (message)
        rp_markup(page->out, "<dt>Message</dt><dd><pre>%t</pre></dd>\n", message);
    rp_add_term(page, "Raised at", qw_json_get_text(call, "raised_at", NULL));
    qw_text_add(page->out, "</dl>\n");
}

void rp_html_divergence(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *found = qw_json_get(one, "first_divergence"), *call = qw_json_get(one, "call");
    const struct qw_json *good = qw_json_get(one, "last_good");
    struct qw_text place = {0};
    bool raised = !strcmp(qw_json_get_text(call, "outcome", ""), "raised");
    bool found_one = qw_json_is_object(found);
    if (!found_one && !raised)
        return;
    bool pair = rp_is_comparison(one);
    rp_open_card(page, "where", "first-divergence", pair ? "Where they part" : "Where: the first divergence");
    if (found_one) {
        rp_add_place(&place, found);
        rp_markup(page->out, "<p class=\"lead\">%t</p>\n", place.bytes);
        sides(page, found, pair);
        details(page, one, found);
        if (qw_json_is_object(good))
            rp_add_place_term(page, pair ? "Last equal before it" : "Last good before it", good);
        qw_text_add(page->out, "</dl>\n");
    }
    if (raised)
        exception_terms(page, call);
    qw_text_add(page->out, "</section>\n");
    qw_text_free(&place);
}

static void step(struct rp_page *page, const char *text, const char *command)
{
    rp_markup(page->out, "<li>%t", text);
    if (command)
        rp_markup(page->out, "<pre class=\"command\" tabindex=\"0\"><code>%t</code></pre>", command);
    qw_text_add(page->out, "</li>\n");
}

/* What is left to say where no step and no command is known. */
static const char *last_word(const struct qw_json *one)
{
    const char *hint = qw_json_get_text(qw_json_get(one, "error"), "hint", "");
    if (*hint)
        return hint;
    if (rp_case_status(one)->outcome != RP_OUTCOME_PASSED)
        return "See the reason above.";
    return rp_is_comparison(one) ? "Nothing: the two recordings are equal."
                                 : "Nothing: keep the recording as a witness that this combination conforms.";
}

void rp_html_next_steps(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *steps = qw_json_get(one, "next_steps");
    const char *remedy = qw_json_get_text(qw_json_get(one, "cause"), "remedy", NULL);
    struct qw_text command = {0};
    rp_open_card(page, "next", "next", "What to do next");
    qw_text_add(page->out, "<ol>\n");
    const struct qw_json *s = qw_json_first(steps);
    for (int shown = 0; s && shown < RP_LIST_ROWS; s = qw_json_next(s), shown++)
        step(page, qw_json_get_text(s, "text", ""), qw_json_get_text(s, "command", NULL));
    rp_add_rest(page, "<li>", qw_json_size(steps) - RP_LIST_ROWS, "</li>");
    if (!qw_json_size(steps) && remedy && !rp_is_comparison(one))
        step(page, remedy, NULL);
    if (!qw_json_size(steps) && rp_add_next_command(&command, one))
        step(page, "Look closer:", command.bytes);
    else if (!qw_json_size(steps))
        step(page, last_word(one), NULL);
    qw_text_add(page->out, "</ol>\n</section>\n");
    qw_text_free(&command);
}
