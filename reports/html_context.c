/* Invariant: the blocks that say who, with which versions, and how much was looked at; what was not compared is said
 * as plainly as what was. */
#include "reports/markup.h"
#include "reports/notes.h"
#include "reports/page.h"
#include "reports/view.h"

#include <string.h>

static const char *party_class(const char *status)
{
    if (!strcmp(status, "conforms"))
        return "good";
    if (!strcmp(status, "at fault"))
        return "bad";
    return strcmp(status, "consequence") != 0 ? "none" : "changed";
}

static int party_shape(const char *status)
{
    if (!strcmp(status, "conforms"))
        return RP_SHAPE_GOOD;
    if (!strcmp(status, "at fault"))
        return RP_SHAPE_BAD;
    return strcmp(status, "consequence") != 0 ? RP_SHAPE_NONE : RP_SHAPE_CHANGED;
}

void rp_html_parties(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *parties = qw_json_get(one, "parties");
    if (!qw_json_size(parties))
        return;
    rp_open_card(page, "who", "parties", "Who: the three parties");
    qw_text_add(page->out, "<p>Data passes them in this order. Each is judged on what it was really given, so one that "
                           "only passes on the mistake of another is a <em>consequence</em>, not at fault.</p>\n"
                           "<ol class=\"parties\">\n");
    const struct qw_json *p = qw_json_first(parties);
    for (int shown = 0; p && shown < RP_LIST_ROWS; p = qw_json_next(p), shown++) {
        const char *status = qw_json_get_text(p, "status", "not judged");
        rp_markup(page->out,
                  "<li class=\"%r\"><p class=\"party\">%t</p><p class=\"standing\">%r "
                  "<strong>%t</strong></p>"
                  "<p>%t</p></li>\n",
                  party_class(status), rp_party_title(p), rp_status_icon(party_shape(status)), status,
                  qw_json_get_text(p, "message", ""));
    }
    rp_add_rest(page, "<li>", qw_json_size(parties) - RP_LIST_ROWS, "</li>");
    qw_text_add(page->out, "</ol>\n</section>\n");
}

/* "peft 0.13.0": true when the first word is `name`. */
static bool names(const char *fixed_in, const char *name)
{
    size_t length = strlen(name);
    return fixed_in && !strncmp(fixed_in, name, length) && (fixed_in[length] == ' ' || fixed_in[length] == 0);
}

/* One row for each package. */
static void packages(struct rp_page *page, const struct qw_json *environment, const char *fixed_in)
{
    const struct qw_json *f = qw_json_first(environment);
    for (int shown = 0; f && shown < RP_LIST_ROWS; f = qw_json_next(f), shown++) {
        struct qw_text value = {0};
        const char *name = qw_json_key(f) ? qw_json_key(f) : "";
        rp_add_value(&value, f);
        rp_markup(page->out, "<tr><th scope=\"row\">%t</th><td>%t", name, value.bytes);
        if (*name && names(fixed_in, name))
            rp_markup(page->out, " <strong class=\"flag\">fixed in%t</strong>", fixed_in + strlen(name));
        qw_text_add(page->out, "</td></tr>\n");
        qw_text_free(&value);
    }
    rp_add_rest(page, "<tr><th scope=\"row\"></th><td>", qw_json_size(environment) - RP_LIST_ROWS, "</td></tr>");
}

/* One row for all fields of `object`: "class Qwen2ForCausalLM, layers 2". */
static void group(struct rp_page *page, const char *name, const struct qw_json *object)
{
    const char *before = "";
    if (!qw_json_is_object(object) || !qw_json_size(object))
        return;
    rp_markup(page->out, "<tr><th scope=\"row\">%t</th><td>", name);
    const struct qw_json *f = qw_json_first(object);
    for (int shown = 0; f && shown < RP_LIST_ROWS; f = qw_json_next(f), shown++) {
        struct qw_text value = {0};
        bool elsewhere = !strncmp(qw_json_key(f), "exception", strlen("exception")); /* stands with the divergence */
        if (qw_json_is_null(f) || qw_json_is_object(f) || elsewhere)
            continue;
        rp_add_value(&value, f);
        rp_markup(page->out, "%r<span class=\"key\">%t</span> %t", before, qw_json_key(f), value.bytes);
        before = ", ";
        qw_text_free(&value);
    }
    rp_add_rest(page, ", ", qw_json_size(object) - RP_LIST_ROWS, "");
    qw_text_add(page->out, "</td></tr>\n");
}

void rp_html_versions(struct rp_page *page, const struct qw_json *one)
{
    static const char *const columns[] = {"What", "Recorded", NULL};
    const char *fixed_in = qw_json_get_text(qw_json_get(one, "cause"), "fixed_in", NULL);
    rp_open_card(page, "versions", "versions", "Versions and what was recorded");
    rp_open_table(page, "pairs", "Packages, model, adapter and call", columns);
    packages(page, qw_json_get(one, "environment"), fixed_in);
    group(page, "model", qw_json_get(one, "model"));
    group(page, "adapter", qw_json_get(one, "adapter"));
    group(page, "call", qw_json_get(one, "call"));
    group(page, "recorder", qw_json_get(one, "recorder"));
    rp_markup(page->out, "<tr><th scope=\"row\">recording</th><td>%t</td></tr>\n", qw_json_get_text(one, "recording", "-"));
    if (qw_json_get_text(one, "recording_sha256", NULL))
        rp_markup(page->out, "<tr><th scope=\"row\">sha256</th><td><code>%t</code></td></tr>\n",
                  qw_json_get_text(one, "recording_sha256", ""));
    rp_close_table(page);
    qw_text_add(page->out, "</section>\n");
}

static void blind_spots(struct rp_page *page, const struct qw_json *blind)
{
    if (!qw_json_size(blind)) {
        qw_text_add(page->out, "<p>No blind spot is known for this recording.</p>\n");
        return;
    }
    qw_text_add(page->out, "<p>This recording could <strong>not</strong> have shown:</p>\n<ul>\n");
    const struct qw_json *b = qw_json_first(blind);
    for (int shown = 0; b && shown < RP_LIST_ROWS; b = qw_json_next(b), shown++) {
        const char *meaning = rp_blind_meaning(qw_json_text(b, ""));
        rp_markup(page->out, "<li><strong>%t</strong>: %t</li>\n", qw_json_text(b, "-"),
                  *meaning ? meaning : "a fault of this kind could hide");
    }
    rp_add_rest(page, "<li>", qw_json_size(blind) - RP_LIST_ROWS, "</li>");
    qw_text_add(page->out, "</ul>\n");
}

static void noise(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *floor = qw_json_get(page->result, "noise"), *largest = qw_json_get(one, "largest_ratio");
    struct qw_text place = {0};
    if (qw_json_is_null(qw_json_get(floor, "multiple")))
        return;
    rp_markup(page->out, "<p>A value conforms when its error is at most <strong>%t</strong> times the noise floor",
              rp_number(qw_json_get(floor, "multiple")).text);
    if (qw_json_is_object(largest)) {
        rp_add_place(&place, largest);
        rp_markup(page->out, "; the largest ratio seen is <strong>%t</strong>, at %t",
                  rp_number(qw_json_get(largest, "ratio")).text, place.bytes);
    }
    qw_text_add(page->out, ".</p>\n");
    if (qw_json_get_text(floor, "basis", NULL))
        rp_markup(page->out, "<p class=\"small\">Basis of that number: %t</p>\n", qw_json_get_text(floor, "basis", ""));
    qw_text_free(&place);
}

/* What the counts rest on: the selection, the level, what was waived and why. */
static void qualify(struct rp_page *page, const struct qw_json *one)
{
    static const struct {
        const char *label;
        bool (*add)(struct qw_text *out, const struct qw_json *one);
    } notes[] = {{"Judged only", rp_add_selection}, {"Statistics", rp_add_level_note}, {"Waived", rp_add_waived}};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        struct qw_text text = {0};
        if (notes[i].add(&text, one))
            rp_markup(page->out, "<p class=\"notice\"><strong>%t:</strong> %t.</p>\n", notes[i].label, text.bytes);
        qw_text_free(&text);
    }
}

static void tile(struct rp_page *page, const struct qw_json *cover, const char *key)
{
    rp_markup(page->out, "<div><dt>%t</dt><dd>%t</dd></div>\n", key, rp_value(qw_json_get(cover, key)).text);
}

void rp_html_coverage(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *cover = qw_json_get(one, "coverage");
    rp_open_card(page, "coverage", "coverage", "How much was looked at");
    if (qw_json_is_object(cover)) {
        qw_text_add(page->out, "<dl class=\"tiles\">\n");
        tile(page, cover, "expected");
        tile(page, cover, "compared");
        tile(page, cover, "missing");
        tile(page, cover, "waived");
        qw_text_add(page->out, "</dl>\n");
        qualify(page, one);
        blind_spots(page, qw_json_get(cover, "blind"));
        rp_html_ledger(page, cover);
    } else {
        qw_text_add(page->out, "<p>Nothing was compared.</p>\n");
    }
    if (rp_is_bitwise(one))
        qw_text_add(page->out, "<p>The recordings were held against each other bit by bit, without a noise floor.</p>\n");
    else
        noise(page, one);
    qw_text_add(page->out, "</section>\n");
}
