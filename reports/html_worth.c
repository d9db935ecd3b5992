/* Invariant: what a difference is worth stands beside what a pass is worth: margins and grafts, and the ledger of coverage. */
#include "reports/markup.h"
#include "reports/page.h"
#include "reports/view.h"

#include <math.h>

/* How much of the margin the error takes, drawn where both are numbers: above one half another token may win. */
static void add_meter(struct rp_page *page, const struct qw_json *step)
{
    double margin = qw_json_get_real(step, "margin", NAN), error = qw_json_get_real(step, "error", NAN);
    double taken = margin > 0 ? error / margin : NAN;
    if (!isfinite(taken)) {
        qw_text_add(page->out, "<td>-</td>");
        return;
    }
    qw_text_addf(page->out,
                 "<td><meter min=\"0\" max=\"1\" low=\"0.5\" high=\"0.5\" optimum=\"0\" value=\"%.3f\">%.3g of the "
                 "margin</meter></td>",
                 fmin(taken, 1), taken);
}

static void add_number(struct rp_page *page, const struct qw_json *node, const char *key)
{
    rp_markup(page->out, "<td class=\"n\">%t</td>", rp_number(qw_json_get(node, key)).text);
}

static void add_exact(struct rp_page *page, const struct qw_json *node, const char *key)
{
    rp_markup(page->out, "<td class=\"n\">%t</td>", rp_value(qw_json_get(node, key)).text);
}

/* "<tr>", with the colour and the word of a step or place whose token stays or does not. */
static const char *agreement(const struct qw_json *node)
{
    return qw_json_get_bool(node, "top1_agrees", true) ? "the same" : "another";
}

static void add_steps(struct rp_page *page, const struct qw_json *steps)
{
    static const char *const columns[] = {"Step",      "Margin",         "Largest error",  "Error by margin",
                                          "KL (nats)", "Expected token", "Observed token", "Token",
                                          NULL};
    rp_open_table(page, "steps", "Each step's margin against the error of its logits", columns);
    const struct qw_json *s = qw_json_first(steps);
    for (int shown = 0; s && shown < RP_STEP_ROWS; s = qw_json_next(s), shown++) {
        bool agrees = qw_json_get_bool(s, "top1_agrees", true), conforms = qw_json_get_bool(s, "conforms", false);
        rp_markup(page->out, "<tr class=\"%r\"><th scope=\"row\">%t</th>",
                  conforms ? "good"
                  : agrees ? "changed"
                           : "bad",
                  rp_value(qw_json_get(s, "step")).text);
        add_number(page, s, "margin");
        add_number(page, s, "error");
        add_meter(page, s);
        add_number(page, s, "kl");
        add_exact(page, s, "expected_token");
        add_exact(page, s, "observed_token");
        rp_markup(page->out, "<td>%t</td></tr>\n", conforms ? "the same, but for rounding" : agreement(s));
    }
    rp_close_table(page);
    rp_add_rest(page, "<p>", qw_json_size(steps) - RP_STEP_ROWS, "</p>");
}

static void add_grafts(struct rp_page *page, const struct qw_json *sites)
{
    static const char *const columns[] = {"Place", "Introduced", "Inherited", "Change of the logits", "KL (nats)", "Token", NULL};
    bool open = false;
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s)) {
        const struct qw_json *grafted = qw_json_get(s, "grafted");
        struct qw_text place = {0};
        if (!qw_json_is_object(grafted))
            continue;
        if (!open) {
            qw_text_add(page->out, "<p>Each recorded tensor alone, put into the healthy play; ratios and changes are "
                                   "multiples of the noise floor.</p>\n");
            rp_open_table(page, "grafts", "One recorded tensor in the healthy play", columns);
        }
        open = true;
        rp_add_place(&place, s);
        rp_markup(page->out, "<tr class=\"%r\"><th scope=\"row\">%t</th>",
                  qw_json_get_bool(grafted, "top1_agrees", true) ? "changed" : "bad", place.bytes);
        add_number(page, s, "ratio_isolated");
        add_number(page, s, "ratio");
        add_number(page, grafted, "change");
        add_number(page, grafted, "kl");
        rp_markup(page->out, "<td>%t</td></tr>\n", agreement(grafted));
        qw_text_free(&place);
    }
    if (open)
        rp_close_table(page);
}

bool rp_has_worth(const struct qw_json *one) { return qw_json_size(qw_json_get(qw_json_get(one, "consequence"), "steps")) > 0; }

void rp_html_worth(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *consequence = qw_json_get(one, "consequence");
    if (!rp_has_worth(one))
        return;
    rp_open_card(page, "consequence", "consequence", "What it does to the tokens");
    rp_markup(page->out,
              "<p class=\"lead\">%t</p>\n<p class=\"small\">The margin is the largest minus the second largest logit of the "
              "healthy play; an error below half of it cannot change the token.</p>\n",
              rp_says_meaning(qw_json_get_text(consequence, "says", "")));
    add_steps(page, qw_json_get(consequence, "steps"));
    add_grafts(page, qw_json_get(one, "sites"));
    qw_text_add(page->out, "</section>\n");
}

void rp_html_ledger(struct rp_page *page, const struct qw_json *cover)
{
    static const char *const columns[] = {"Step", "Party", "Expected", "Compared", "By value", "Missing", "Waived", NULL};
    const struct qw_json *ledger = qw_json_get(cover, "ledger"), *row = qw_json_first(ledger);
    if (!row)
        return;
    qw_text_add(page->out, "<details><summary>The ledger: by step and party</summary>\n");
    rp_open_table(page, "ledger", "Places expected, compared, missing and waived", columns);
    for (int shown = 0; row && shown < RP_STEP_ROWS; row = qw_json_next(row), shown++) {
        rp_markup(page->out, "<tr class=\"%r\"><th scope=\"row\">%t</th><td>%t</td>",
                  qw_json_get_int(row, "missing", 0) ? "bad" : "good", rp_value(qw_json_get(row, "step")).text,
                  qw_json_get_text(row, "party", "-"));
        add_exact(page, row, "expected");
        add_exact(page, row, "compared");
        add_exact(page, row, "by_value");
        add_exact(page, row, "missing");
        add_exact(page, row, "waived");
        qw_text_add(page->out, "</tr>\n");
    }
    rp_close_table(page);
    rp_add_rest(page, "<p>", qw_json_size(ledger) - RP_STEP_ROWS, "</p>");
    qw_text_add(page->out, "</details>\n");
}
