/* Invariant: lists are cut, and say so. */
#include "reports/terminal_worth.h"

#include <stdlib.h>

#include "reports/columns.h"
#include "reports/view.h"

enum { MOST_LINES = 20 };

struct list {
    struct qw_text *out;
    int width, shown;
    const char *label;
};

/* One line of a list; takes what `text` holds. */
static void line(struct list *list, struct qw_text *text)
{
    char *bytes = qw_text_take(text);
    if (list->shown++ < MOST_LINES)
        rp_add_paragraph(list->out, list->shown == 1 ? list->label : "", bytes, list->width);
    free(bytes);
}

static void rest(const struct list *list)
{
    if (list->shown > MOST_LINES)
        qw_text_addf(list->out, "%*sand %d more, see the other formats\n", RP_LABEL_WIDTH, "", list->shown - MOST_LINES);
}

static void margins(struct qw_text *out, const struct qw_json *steps, int width)
{
    struct list list = {out, width, 0, "margins"};
    for (const struct qw_json *s = qw_json_first(steps); s; s = qw_json_next(s)) {
        struct qw_text text = {0};
        qw_text_addf(&text, "step %s: margin %s, error %s, KL %s, ", rp_value(qw_json_get(s, "step")).text,
                     rp_number(qw_json_get(s, "margin")).text, rp_number(qw_json_get(s, "error")).text,
                     rp_number(qw_json_get(s, "kl")).text);
        if (qw_json_get_bool(s, "top1_agrees", true))
            qw_text_addf(&text, "token %s stays", rp_value(qw_json_get(s, "expected_token")).text);
        else
            qw_text_addf(&text, "token %s where %s is expected", rp_value(qw_json_get(s, "observed_token")).text,
                         rp_value(qw_json_get(s, "expected_token")).text);
        line(&list, &text);
    }
    rest(&list);
}

static void grafts(struct qw_text *out, const struct qw_json *sites, int width)
{
    struct list list = {out, width, 0, "grafted"};
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s)) {
        const struct qw_json *grafted = qw_json_get(s, "grafted");
        struct qw_text text = {0};
        if (!qw_json_is_object(grafted))
            continue;
        rp_add_place(&text, s);
        qw_text_addf(&text, ": alone in the healthy play it changes the logits by %s times their noise floor, KL %s, %s token",
                     rp_number(qw_json_get(grafted, "change")).text, rp_number(qw_json_get(grafted, "kl")).text,
                     qw_json_get_bool(grafted, "top1_agrees", true) ? "the same" : "another");
        line(&list, &text);
    }
    rest(&list);
}

static void ledger(struct qw_text *out, const struct qw_json *rows, int width)
{
    struct list list = {out, width, 0, "ledger"};
    for (const struct qw_json *r = qw_json_first(rows); r; r = qw_json_next(r)) {
        struct qw_text text = {0};
        qw_text_addf(&text, "step %s, %s: %s of %s compared, %s by value, %s missing, %s waived",
                     rp_value(qw_json_get(r, "step")).text, qw_json_get_text(r, "party", "-"),
                     rp_value(qw_json_get(r, "compared")).text, rp_value(qw_json_get(r, "expected")).text,
                     rp_value(qw_json_get(r, "by_value")).text, rp_value(qw_json_get(r, "missing")).text,
                     rp_value(qw_json_get(r, "waived")).text);
        line(&list, &text);
    }
    rest(&list);
}

void rp_terminal_worth(struct qw_text *out, const struct qw_json *one, int width)
{
    margins(out, qw_json_get(qw_json_get(one, "consequence"), "steps"), width);
    grafts(out, qw_json_get(one, "sites"), width);
    ledger(out, qw_json_get(qw_json_get(one, "coverage"), "ledger"), width);
}
