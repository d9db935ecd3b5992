/* Invariant: every text of the document passes rp_escape_terminal; lists are cut so that the whole fits one screen. */
#include "reports/terminal_compare.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reports/columns.h"
#include "reports/escape.h"
#include "reports/view.h"

enum { MOST_GROUPS = 15, MOST_FACTS = 8, MOST_ROWS = 2, LONG_VALUE = 60 };

struct screen {
    struct qw_text *out;
    int width, verbosity;
};

/* Prints what `text` holds under a label and empties it. */
static void flush(const struct screen *to, const char *label, struct qw_text *text)
{
    char *bytes = qw_text_take(text);
    rp_add_paragraph(to->out, label, bytes, to->width);
    free(bytes);
}

static void rest(const struct screen *to, int hidden, const char *what)
{
    if (hidden > 0)
        qw_text_addf(to->out, "%*s… and %d more %s (-v shows them)\n", RP_LABEL_WIDTH, "", hidden, what);
}

/* `text` in at most `width` columns, its end left away where it is longer. */
static void add_head(struct qw_text *out, const char *text, size_t width)
{
    struct qw_text shown = {0};
    uint32_t code;
    rp_escape_terminal(&shown, text);
    const char *at = shown.bytes ? shown.bytes : "", *begin = at;
    bool fits = rp_columns(at) <= width;
    for (size_t column = 1; *at && (fits || column < width); column++)
        at += rp_decode(&code, at);
    qw_text_add_bytes(out, begin, (size_t)(at - begin));
    qw_text_add(out, fits ? "" : "…");
    qw_text_free(&shown);
}

/* ---- the two runs ---- */

/* "label        left                   right" */
static void two_columns(const struct screen *to, size_t label_width, const char *label, const char *left, const char *right)
{
    rp_add_cell(to->out, label, label_width - 1);
    qw_text_add(to->out, " ");
    size_t width = ((size_t)to->width - label_width - 3) / 2;
    rp_add_cell(to->out, *left ? left : "-", width);
    qw_text_add(to->out, "   ");
    add_head(to->out, *right ? right : "-", to->verbosity > 0 ? SIZE_MAX : width);
    qw_text_add(to->out, "\n");
}

/* The widest name of a fact that differs, within bounds. */
static size_t label_width_of(const struct qw_json *context)
{
    size_t widest = RP_LABEL_WIDTH;
    for (const struct qw_json *f = qw_json_first(context); f; f = qw_json_next(f)) {
        size_t width = rp_columns(qw_json_get_text(f, "name", "")) + 1;
        if (!qw_json_get_bool(f, "equal", false) && width > widest)
            widest = width < 24 ? width : 24;
    }
    return widest;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What differs line by line, what agrees in one paragraph. */
static void facts(const struct screen *to, const struct qw_json *one)
{
    struct qw_text same = {0};
    int shown = 0;
    const struct qw_json *other = qw_json_get(one, "other");
    size_t label = label_width_of(qw_json_get(one, "context"));
    two_columns(to, label, "", "A", "B");
    two_columns(to, label, "recording", base_name(qw_json_get_text(one, "recording", "")),
                base_name(qw_json_get_text(other, "recording", "")));
    for (const struct qw_json *f = qw_json_first(qw_json_get(one, "context")); f; f = qw_json_next(f)) {
        const char *name = qw_json_get_text(f, "name", ""), *a = qw_json_get_text(f, "a", "");
        if (!qw_json_get_bool(f, "equal", false) && (++shown <= MOST_FACTS || to->verbosity > 0))
            two_columns(to, label, name, a, qw_json_get_text(f, "b", ""));
        bool brief = !strchr(name, ' ') && strlen(a) < LONG_VALUE;
        if (qw_json_get_bool(f, "equal", false) && *a && (to->verbosity > 0 || brief))
            qw_text_addf(&same, "%s%s %s", same.length ? ", " : "", name, a);
    }
    if (to->verbosity <= 0)
        rest(to, shown - MOST_FACTS, "facts that differ");
    if (same.length)
        flush(to, "identical", &same);
}

/* ---- where they part ---- */

static void first(const struct screen *to, const struct qw_json *one)
{
    struct qw_text text = {0};
    const struct qw_json *found = qw_json_get(one, "first_divergence"), *good = qw_json_get(one, "last_good");
    if (!qw_json_is_object(found))
        return;
    qw_text_add(to->out, "\n");
    rp_add_place(&text, found);
    qw_text_addf(&text, " (%s): %s", qw_json_get_text(found, "kind", ""), qw_json_get_text(found, "text", ""));
    flush(to, "parts at", &text);
    if (!qw_json_is_object(good))
        return;
    rp_add_place(&text, good);
    flush(to, "last equal", &text);
}

/* "steps 0-4", "layers 1", or nothing */
static void add_range(struct qw_text *out, const char *name, const struct qw_json *range)
{
    const struct qw_json *from = qw_json_first(range), *to = from ? qw_json_next(from) : NULL;
    if (!to)
        return;
    long long low = (long long)qw_json_int(from, 0), high = (long long)qw_json_int(to, 0);
    qw_text_addf(out, low == high ? "%s%s %lld" : "%s%ss %lld-%lld", out->length ? ", " : "", name, low, high);
}

static void difference(const struct screen *to, const struct qw_json *d)
{
    struct qw_text where = {0}, what = {0};
    size_t room = to->verbosity > 0 ? SIZE_MAX : to->width > 70 ? (size_t)to->width - 49 : 21;
    add_range(&where, "step", qw_json_get(d, "steps"));
    add_range(&where, "layer", qw_json_get(d, "layers"));
    qw_text_add(&what, qw_json_get_text(d, "text", ""));
    if (qw_json_get_int(d, "of", 1) > 1 && !qw_json_is_null(qw_json_get(d, "max_abs")))
        qw_text_addf(&what, ", max %s", rp_number(qw_json_get(d, "max_abs")).text);
    qw_text_add(to->out, "  ");
    rp_add_cell(to->out, where.length ? where.bytes : "call", 22);
    qw_text_add(to->out, " ");
    rp_add_cell(to->out, qw_json_get_text(d, "site", "?"), 23);
    qw_text_add(to->out, " ");
    add_head(to->out, what.bytes, room);
    qw_text_add(to->out, "\n");
    qw_text_free(&where);
    qw_text_free(&what);
}

static void differences(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *all = qw_json_get(one, "differences");
    int shown = 0;
    if (qw_json_size(all))
        qw_text_add(to->out, "\ndifferences\n");
    for (const struct qw_json *d = qw_json_first(all); d; d = qw_json_next(d))
        if (++shown <= MOST_GROUPS || to->verbosity > 0)
            difference(to, d);
    if (to->verbosity <= 0)
        rest(to, shown - MOST_GROUPS, "groups of differences");
}

/* ---- tokens and counts ---- */

static void add_tokens(struct qw_text *out, const struct qw_json *row)
{
    for (const struct qw_json *t = qw_json_first(row); t; t = qw_json_next(t))
        qw_text_addf(out, " %lld", (long long)qw_json_int(t, 0));
}

static void tokens(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *all = qw_json_get(one, "tokens"), *b = qw_json_first(qw_json_get(all, "b"));
    const struct qw_json *where = qw_json_first(qw_json_get(all, "first"));
    int row = 0;
    if (qw_json_size(qw_json_get(all, "a")))
        qw_text_add(to->out, "\n");
    for (const struct qw_json *a = qw_json_first(qw_json_get(all, "a")); a && b && where; a = qw_json_next(a), row++) {
        struct qw_text text = {0};
        long long first_other = (long long)qw_json_int(where, -1);
        if (row < MOST_ROWS || to->verbosity > 0) {
            qw_text_add(&text, first_other < 0 ? "A, B" : "A");
            add_tokens(&text, a);
            flush(to, row ? "" : "tokens", &text);
        }
        if (first_other >= 0 && (row < MOST_ROWS || to->verbosity > 0)) {
            qw_text_add(&text, "B");
            add_tokens(&text, b);
            qw_text_addf(&text, " (another from generated token %lld on)", first_other);
            flush(to, "", &text);
        }
        b = qw_json_next(b);
        where = qw_json_next(where);
    }
    if (to->verbosity <= 0)
        rest(to, row - MOST_ROWS, "rows of the batch");
}

static void counts(const struct screen *to, const struct qw_json *one)
{
    struct qw_text text = {0};
    const struct qw_json *coverage = qw_json_get(one, "coverage"), *largest = qw_json_get(one, "largest_ratio");
    qw_text_addf(&text, "%s of %s places; %s only in one, %s not compared", rp_value(qw_json_get(coverage, "compared")).text,
                 rp_value(qw_json_get(coverage, "expected")).text, rp_value(qw_json_get(coverage, "missing")).text,
                 rp_value(qw_json_get(coverage, "waived")).text);
    flush(to, "compared", &text);
    if (qw_json_get_bool(one, "floor", false) && qw_json_is_object(largest)) {
        qw_text_addf(&text, "the largest difference is %s times the noise floor, at ",
                     rp_number(qw_json_get(largest, "ratio")).text);
        rp_add_place(&text, largest);
        flush(to, "noise", &text);
    }
}

/* Notes beside the facts, which stand above: why something was not compared. */
static void notes(const struct screen *to, const struct qw_json *one)
{
    const char *label = "note";
    for (const struct qw_json *f = qw_json_first(qw_json_get(one, "findings")); f; f = qw_json_next(f)) {
        const char *id = qw_json_get_text(f, "id", ""), *place = qw_json_get_text(f, "site", NULL);
        struct qw_text text = {0};
        if (strcmp(qw_json_get_text(f, "severity", ""), "note") || !strcmp(id, "context") || !strcmp(id, "more"))
            continue;
        if (place) {
            rp_add_place(&text, f);
            qw_text_add(&text, ": ");
        }
        qw_text_add(&text, qw_json_get_text(f, "message", ""));
        flush(to, label, &text);
        label = "";
    }
}

/* Why nothing was decided. */
static void error(const struct screen *to, const struct qw_json *one)
{
    const struct qw_json *why = qw_json_get(one, "error");
    if (!qw_json_is_object(why))
        return;
    qw_text_add(to->out, "\n");
    rp_add_paragraph(to->out, "reason", qw_json_get_text(why, "message", ""), to->width);
    if (*qw_json_get_text(why, "hint", ""))
        rp_add_paragraph(to->out, "what to do", qw_json_get_text(why, "hint", ""), to->width);
}

void rp_terminal_compare(struct qw_text *out, const struct qw_json *one, int width, int verbosity)
{
    struct screen to = {out, width, verbosity};
    facts(&to, one);
    error(&to, one);
    first(&to, one);
    differences(&to, one);
    tokens(&to, one);
    if (!qw_json_is_object(qw_json_get(one, "error")))
        counts(&to, one);
    notes(&to, one);
    qw_text_add(out, "\n");
}
