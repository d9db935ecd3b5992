/* Invariant: every text of the document passes rp_escape_terminal; the only escape sequences are our own colours. */
#include "reports/terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reports/columns.h"
#include "reports/escape.h"
#include "reports/notes.h"
#include "reports/terminal_compare.h"
#include "reports/terminal_table.h"
#include "reports/terminal_worth.h"
#include "reports/view.h"

struct screen {
    struct qw_text *out;
    const struct rp_terminal_style *style;
    int width;
};

static void add_status(const struct screen *to, const struct rp_status *status)
{
    rp_terminal_status(to->out, status, to->style->color);
}

static void line(const struct screen *to, const char *label, const char *text)
{
    rp_add_paragraph(to->out, label, text, to->width);
}

/* Prints what `text` holds and empties it. */
static void flush_line(const struct screen *to, const char *label, struct qw_text *text)
{
    char *bytes = qw_text_take(text);
    line(to, label, bytes);
    free(bytes);
}

enum { MOST_ENTRIES = 40 }; /* of one list */

/* Says how many entries of the list were left out. */
static void rest(const struct screen *to, const struct qw_json *all)
{
    int left = qw_json_size(all) - MOST_ENTRIES;
    if (left > 0)
        qw_text_addf(to->out, "%*sand %d more, see the other formats\n", RP_LABEL_WIDTH, "", left);
}

/* The texts of an array, one paragraph each, the label on the first only. */
static void list(const struct screen *to, const char *label, const struct qw_json *texts)
{
    const struct qw_json *t = qw_json_first(texts);
    for (int shown = 0; t && shown < MOST_ENTRIES; t = qw_json_next(t), shown++, label = "")
        line(to, label, qw_json_text(t, ""));
    rest(to, texts);
}

static void optional(const struct screen *to, const char *label, const char *text)
{
    if (text && *text)
        line(to, label, text);
}

static void verdict(const struct screen *to, const struct qw_json *one)
{
    struct qw_text text = {0};
    add_status(to, rp_case_status(one));
    qw_text_add(to->out, "  ");
    rp_escape_terminal(to->out, qw_json_get_text(one, "verdict", rp_case_status(one)->meaning));
    qw_text_add(to->out, "\n\n");
    qw_text_add(&text, qw_json_get_text(one, "recording", qw_json_get_text(one, "id", "-")));
    flush_line(to, "recording", &text);
    rp_terminal_required(to->out, one, to->width);
}

static void cause_names(const struct screen *to, const struct qw_json *cause)
{
    struct qw_text text = {0};
    const char *confidence = qw_json_get_text(cause, "confidence", NULL);
    line(to, "cause", qw_json_get_text(cause, "title", qw_json_get_text(cause, "id", "-")));
    qw_text_add(&text, qw_json_get_text(cause, "id", "-"));
    if (confidence && rp_is_named(cause))
        qw_text_addf(&text, ", confidence %s", confidence);
    if (rp_is_named(cause)) {
        qw_text_add(&text, ", ");
        rp_add_explained(&text, cause);
    }
    flush_line(to, "", &text);
}

static void cause_rivals(const struct screen *to, const struct qw_json *cause)
{
    struct qw_text text = {0};
    const struct qw_json *second = qw_json_get(cause, "runner_up");
    if (qw_json_size(qw_json_get(cause, "against")))
        list(to, "against", qw_json_get(cause, "against"));
    else if (rp_is_named(cause))
        line(to, "against", "nothing found");
    if (qw_json_size(qw_json_get(cause, "equivalent"))) {
        line(to, "equivalent", "the evidence cannot tell it from");
        list(to, "", qw_json_get(cause, "equivalent"));
    }
    if (!qw_json_is_object(second))
        return;
    qw_text_addf(&text, "%s, explains %s", qw_json_get_text(second, "id", "-"), rp_share(qw_json_get(second, "explained")).text);
    flush_line(to, "runner-up", &text);
}

/* The causes behind the first that are needed together with it. */
static void other_causes(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *first = qw_json_first(qw_json_get(one, "causes"));
    const struct qw_json *c = first ? qw_json_next(first) : NULL;
    const char *label = "and also";
    for (int shown = 0; c && shown < MOST_ENTRIES; c = qw_json_next(c), shown++, label = "") {
        struct qw_text text = {0};
        qw_text_addf(&text, "%s, ", qw_json_get_text(c, "id", "-"));
        rp_add_explained(&text, c);
        flush_line(to, label, &text);
        optional(to, "", qw_json_get_text(c, "title", NULL));
        optional(to, "its remedy", qw_json_get_text(c, "remedy", NULL));
        optional(to, "fixed in", qw_json_get_text(c, "fixed_in", NULL));
    }
}

static void cause(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *found = rp_case_cause(one);
    struct qw_text text = {0};
    if (!qw_json_is_object(found))
        return;
    qw_text_add(to->out, "\n");
    cause_names(to, found);
    optional(to, "", qw_json_get_text(found, "mechanism", NULL));
    if (rp_add_fitting(&text, found))
        flush_line(to, "what fits", &text);
    if (to->style->verbosity > 0)
        list(to, "evidence", qw_json_get(found, "evidence"));
    cause_rivals(to, found);
    list(to, "upstream", qw_json_get(found, "upstream"));
    optional(to, "remedy", qw_json_get_text(found, "remedy", NULL));
    optional(to, "fixed in", qw_json_get_text(found, "fixed_in", NULL));
    other_causes(to, one);
}

/* "expected [1, 15, 16] float32 value 0.1", what is null left out. */
static void side(const struct screen *to, const char *label, const struct qw_json *content)
{
    struct qw_text text = {0};
    const struct qw_json *value = qw_json_get(content, "value");
    qw_text_add(&text, label);
    if (rp_is_nothing(content))
        qw_text_add(&text, " nothing");
    if (qw_json_is_array(qw_json_get(content, "shape"))) {
        qw_text_add(&text, " ");
        rp_add_list(&text, qw_json_get(content, "shape"));
    }
    if (qw_json_get_text(content, "dtype", NULL))
        qw_text_addf(&text, " %s", qw_json_get_text(content, "dtype", ""));
    if (!qw_json_is_null(value))
        qw_text_addf(&text, " value %s", qw_json_text(value, rp_value(value).text));
    flush_line(to, "", &text);
}

static void where(const struct screen *to, const struct qw_json *found)
{
    struct qw_text text = {0};
    const char *position = qw_json_get_text(found, "position", NULL);
    const struct qw_json *ratio = qw_json_get(found, "ratio");
    if (qw_json_is_array(qw_json_get(found, "index"))) {
        qw_text_add(&text, "at index ");
        rp_add_list(&text, qw_json_get(found, "index"));
        qw_text_add(&text, position ? ", " : "");
    }
    if (position)
        qw_text_add(&text, position);
    if (text.bytes)
        flush_line(to, "", &text);
    if (!qw_json_is_null(ratio)) {
        qw_text_addf(&text, "%s times the noise floor", rp_number(ratio).text);
        flush_line(to, "", &text);
    }
    if (rp_add_layout(&text, found))
        flush_line(to, "", &text);
}

/* How what is found comes of what is expected, at the first place where that could be told. */
static void rearranged(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *found = rp_finding(one, "transform");
    struct qw_text text = {0};
    if (!found)
        return;
    rp_add_place(&text, found);
    qw_text_addf(&text, ": %s", qw_json_get_text(found, "message", ""));
    flush_line(to, "rearranged", &text);
}

static void first_divergence(const struct screen *to, const struct qw_json *one)
{
    struct qw_text text = {0};
    const struct qw_json *found = qw_json_get(one, "first_divergence");
    const struct qw_json *good = qw_json_get(one, "last_good");
    if (!qw_json_is_object(found))
        return;
    const char *kind = qw_json_get_text(found, "kind", "");
    qw_text_add(to->out, "\n");
    rp_add_place(&text, found);
    const char *meaning = rp_is_comparison(one) ? rp_kind_between(kind) : rp_kind_meaning(kind);
    qw_text_addf(&text, " (%s%s%s)", kind, *meaning ? ": " : "", meaning);
    flush_line(to, "first bad", &text);
    side(to, "expected", qw_json_get(found, "expected"));
    side(to, "observed", qw_json_get(found, "observed"));
    where(to, found);
    rearranged(to, one);
    optional(to, "tokens", qw_json_get_text(rp_finding(one, "ledger"), "message", NULL));
    if (!qw_json_is_object(good))
        return;
    rp_add_place(&text, good);
    flush_line(to, "last good", &text);
}

static void stop(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *call = qw_json_get(one, "call"), *error = qw_json_get(one, "error");
    struct qw_text text = {0};
    if (qw_json_get_text(call, "exception_type", NULL)) {
        qw_text_addf(&text, "%s: %s", qw_json_get_text(call, "exception_type", ""),
                     qw_json_get_text(call, "exception_message", ""));
        flush_line(to, "raised", &text);
        optional(to, "raised at", qw_json_get_text(call, "raised_at", NULL));
    }
    if (!qw_json_is_object(error))
        return;
    qw_text_addf(&text, "%s %s", qw_json_get_text(error, "file", ""), qw_json_get_text(error, "place", ""));
    flush_line(to, "at", &text);
    optional(to, "reason", qw_json_get_text(error, "message", NULL));
    optional(to, "what to do", qw_json_get_text(error, "hint", NULL));
}

static void parties(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *all = qw_json_get(one, "parties");
    const char *label = "parties";
    if (qw_json_size(all))
        qw_text_add(to->out, "\n");
    const struct qw_json *p = qw_json_first(all);
    for (int shown = 0; p && shown < MOST_ENTRIES; p = qw_json_next(p), shown++, label = "") {
        struct qw_text text = {0};
        const char *message = qw_json_get_text(p, "message", "");
        qw_text_addf(&text, "%s: %s%s%s", qw_json_get_text(p, "name", "-"), qw_json_get_text(p, "status", "-"),
                     *message ? ". " : "", message);
        flush_line(to, label, &text);
    }
}

static void blind_spots(const struct screen *to, const struct qw_json *blind)
{
    const char *label = "blind to";
    const struct qw_json *b = qw_json_first(blind);
    for (int shown = 0; b && shown < MOST_ENTRIES; b = qw_json_next(b), shown++, label = "") {
        struct qw_text text = {0};
        const char *id = qw_json_text(b, "-"), *meaning = rp_blind_meaning(id);
        qw_text_addf(&text, "%s%s%s", id, *meaning ? ": " : "", meaning);
        flush_line(to, label, &text);
    }
    rest(to, blind);
}

/* What the counts rest on. */
static void qualify(const struct screen *to, const struct qw_json *one)
{
    struct qw_text text = {0};
    if (rp_add_selection(&text, one))
        flush_line(to, "judged only", &text);
    if (rp_add_level_note(&text, one))
        flush_line(to, "statistics", &text);
    if (rp_add_waived(&text, one))
        flush_line(to, "waived", &text);
}

static void coverage(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *cover = qw_json_get(one, "coverage");
    struct qw_text text = {0};
    if (!qw_json_is_object(cover))
        return;
    qw_text_addf(&text, "%s of %s places compared, %s missing, %s waived", rp_value(qw_json_get(cover, "compared")).text,
                 rp_value(qw_json_get(cover, "expected")).text, rp_value(qw_json_get(cover, "missing")).text,
                 rp_value(qw_json_get(cover, "waived")).text);
    qw_text_add(to->out, "\n");
    flush_line(to, "coverage", &text);
    qualify(to, one);
    blind_spots(to, qw_json_get(cover, "blind"));
}

static void noise(const struct screen *to, const struct qw_json *result, const struct qw_json *one)
{
    struct qw_text text = {0};
    const struct qw_json *largest = qw_json_get(one, "largest_ratio");
    const struct qw_json *multiple = qw_json_get(qw_json_get(result, "noise"), "multiple");
    if (qw_json_is_null(multiple))
        return;
    qw_text_addf(&text, "a value conforms up to %s times the noise floor", rp_number(multiple).text);
    if (qw_json_is_object(largest)) {
        qw_text_addf(&text, "; the largest seen is %s, at ", rp_number(qw_json_get(largest, "ratio")).text);
        rp_add_place(&text, largest);
    }
    flush_line(to, "noise", &text);
}

/* What ran: model, arithmetic, adapter. */
static void subject(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *model = qw_json_get(one, "model"), *adapter = qw_json_get(one, "adapter");
    struct qw_text text = {0};
    if (!qw_json_is_object(model))
        return;
    qw_text_addf(&text, "%s, %s layers, %s", qw_json_get_text(model, "class", "-"), rp_value(qw_json_get(model, "layers")).text,
                 qw_json_get_text(model, "dtype", "-"));
    if (qw_json_is_object(adapter))
        qw_text_addf(&text, "; %s, %s virtual tokens", qw_json_get_text(adapter, "peft_type", "-"),
                     rp_value(qw_json_get(adapter, "virtual_tokens")).text);
    flush_line(to, "model", &text);
}

static void versions(const struct screen *to, const struct qw_json *one)
{
    struct qw_text text = {0};
    const struct qw_json *v = qw_json_first(qw_json_get(one, "environment"));
    for (int shown = 0; v && shown < MOST_ENTRIES; v = qw_json_next(v), shown++)
        if (qw_json_is_text(v) || qw_json_is_number(v))
            qw_text_addf(&text, "%s%s %s", text.length ? ", " : "", qw_json_key(v), qw_json_text(v, rp_value(v).text));
    if (text.length)
        flush_line(to, "versions", &text);
}

static void next_steps(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *steps = qw_json_get(one, "next_steps");
    int number = 1;
    if (qw_json_size(steps))
        qw_text_add(to->out, "\n");
    for (const struct qw_json *s = qw_json_first(steps); s && number <= MOST_ENTRIES; s = qw_json_next(s), number++) {
        struct qw_text text = {0};
        const char *command = qw_json_get_text(s, "command", NULL);
        qw_text_addf(&text, "%d. %s", number, qw_json_get_text(s, "text", ""));
        flush_line(to, number == 1 ? "what to do" : "", &text);
        if (command) {
            qw_text_addf(to->out, "%*s$ ", RP_LABEL_WIDTH + 3, "");
            rp_escape_terminal(to->out, command);
            qw_text_add(to->out, "\n");
        }
    }
    rest(to, steps);
}

static void findings(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *all = qw_json_get(one, "findings"), *f = qw_json_first(all);
    const char *label = "findings";
    for (int shown = 0; f && shown < MOST_ENTRIES; f = qw_json_next(f), shown++, label = "") {
        struct qw_text text = {0};
        qw_text_addf(&text, "%s: ", qw_json_get_text(f, "severity", "note"));
        if (qw_json_is_text(qw_json_get(f, "site"))) {
            rp_add_place(&text, f);
            qw_text_add(&text, ": ");
        }
        qw_text_add(&text, qw_json_get_text(f, "message", qw_json_get_text(f, "id", "")));
        flush_line(to, label, &text);
    }
    rest(to, all);
}

/* The sites that fail by themselves, in execution order; those that only inherit are left to the page. */
static void failing_sites(const struct screen *to, const struct qw_json *one)
{
    enum { SHOWN = 20 };
    const char *label = "sites";
    int count = 0;
    for (const struct qw_json *s = qw_json_first(qw_json_get(one, "sites")); s; s = qw_json_next(s)) {
        struct qw_text text = {0};
        if (!rp_site_fails(s) || ++count > SHOWN)
            continue;
        rp_add_place(&text, s);
        qw_text_addf(&text, ": %s, ratio %s, isolated %s", qw_json_get_text(s, "status", ""),
                     rp_number(qw_json_get(s, "ratio")).text, rp_number(qw_json_get(s, "ratio_isolated")).text);
        flush_line(to, label, &text);
        label = "";
    }
    if (count > SHOWN)
        qw_text_addf(to->out, "%*sand %d more, see the other formats\n", RP_LABEL_WIDTH, "", count - SHOWN);
}

static void one_case(const struct screen *to, const struct qw_json *result, const struct qw_json *one)
{
    struct qw_text text = {0};
    if (rp_is_comparison(one)) {
        rp_terminal_compare(to->out, one, to->width, to->style->verbosity);
        return;
    }
    verdict(to, one);
    stop(to, one);
    cause(to, one);
    first_divergence(to, one);
    if (rp_add_consequence(&text, one))
        flush_line(to, "consequence", &text);
    parties(to, one);
    coverage(to, one);
    noise(to, result, one);
    subject(to, one);
    versions(to, one);
    if (to->style->verbosity > 0) {
        failing_sites(to, one);
        rp_terminal_worth(to->out, one, to->width);
        findings(to, one);
    }
    next_steps(to, one);
    qw_text_add(to->out, "\n");
    qw_text_free(&text);
}

static void details(const struct screen *to, const struct qw_json *result)
{
    bool run = qw_json_is_object(qw_json_get(result, "run"));
    for (const struct qw_json *c = qw_json_first(qw_json_get(result, "cases")); c; c = qw_json_next(c))
        if (run ? rp_needs_attention(c) && !rp_is_not_run(c) : rp_case_status(c)->shape != RP_SHAPE_GOOD) {
            qw_text_add(to->out, "----\n");
            one_case(to, result, c);
        }
}

/* A recording that was read with less protection than the program can give is worth a notice. */
static void shelter(const struct screen *to, const struct qw_json *result)
{
    struct qw_text text = {0};
    if (to->style->verbosity > 0 && rp_add_sandbox(&text, result))
        flush_line(to, "sandbox", &text);
    if (rp_add_unprotected(&text, result)) {
        char *missing = qw_text_take(&text);
        qw_text_addf(&text, "recordings were read without: %s", missing);
        flush_line(to, "notice", &text);
        free(missing);
    }
}

static void last_lines(const struct screen *to, const struct qw_json *result)
{
    struct qw_text text = {0};
    const struct qw_json *cases = qw_json_get(result, "cases"), *only = qw_json_first(cases);
    rp_add_counts(to->out, result);
    qw_text_add(to->out, "\n");
    if (only) {
        add_status(to, rp_overall_status(result));
        qw_text_add(to->out, "  ");
        if (!rp_add_whole_verdict(to->out, result))
            rp_escape_terminal(to->out, qw_json_get_text(only, "verdict", rp_case_status(only)->meaning));
        qw_text_add(to->out, "\n");
    }
    for (const struct qw_json *f = qw_json_first(to->style->files); f; f = qw_json_next(f)) {
        qw_text_add(to->out, "wrote  ");
        rp_escape_terminal(to->out, qw_json_text(f, ""));
        qw_text_add(to->out, "\n");
    }
    if (!rp_add_next_of_all(&text, result))
        qw_text_add(&text, "nothing to do");
    qw_text_add(to->out, "next   ");
    rp_escape_terminal(to->out, text.bytes);
    qw_text_add(to->out, "\n");
    qw_text_free(&text);
}

void rp_terminal(struct qw_text *out, const struct qw_json *result, const struct rp_terminal_style *style)
{
    struct screen to = {out, style, style->width > 0 ? style->width : 100};
    const struct qw_json *cases = qw_json_get(result, "cases");
    if (!qw_json_size(cases))
        qw_text_add(out, "This document holds no case: nothing was selected, or nothing was judged.\n");
    if (style->verbosity >= 0 && qw_json_size(cases) == 1)
        one_case(&to, result, qw_json_first(cases));
    else if (style->verbosity >= 0 && qw_json_size(cases) > 1)
        rp_terminal_table(out, result, style);
    if (style->verbosity > 0 && qw_json_size(cases) > 1)
        details(&to, result);
    if (style->verbosity >= 0)
        shelter(&to, result);
    last_lines(&to, result);
}
