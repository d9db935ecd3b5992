/* Invariant: a note never softens a verdict; it says how much the verdict rests on. */
#include "reports/notes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reports/view.h"

static void add_separator(struct qw_text *out, size_t start, const char *separator)
{
    if (out->length > start)
        qw_text_add(out, separator);
}

/* "steps 0 to 4" of an array of two numbers. */
static void add_range(struct qw_text *out, size_t start, const char *unit, const struct qw_json *range)
{
    const struct qw_json *first = qw_json_first(range), *last = first ? qw_json_next(first) : NULL;
    if (!qw_json_is_array(range) || !first)
        return;
    add_separator(out, start, ", ");
    if (!last || qw_json_int(first, -1) == qw_json_int(last, -2))
        qw_text_addf(out, "%s %s", unit, rp_value(first).text);
    else
        qw_text_addf(out, "%ss %s to %s", unit, rp_value(first).text, rp_value(last).text);
}

bool rp_add_selection(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *selection = qw_json_get(one, "selection");
    const char *site = qw_json_get_text(selection, "site", NULL), *precision = qw_json_get_text(selection, "precision", NULL);
    size_t start = out->length;
    add_range(out, start, "step", qw_json_get(selection, "steps"));
    add_range(out, start, "layer", qw_json_get(selection, "layers"));
    if (site) {
        add_separator(out, start, ", ");
        qw_text_addf(out, "sites matching %s", site);
    }
    if (precision) {
        add_separator(out, start, ", ");
        qw_text_addf(out, "as a run in %s", precision);
    }
    return out->length > start;
}

bool rp_add_level_note(struct qw_text *out, const struct qw_json *one)
{
    const char *level = qw_json_get_text(qw_json_get(one, "recorder"), "level", "");
    if (strcmp(level, "stats") != 0)
        return false;
    qw_text_add(out, "values were judged by their statistics (smallest, largest, mean, rms), not element by element: "
                     "the recording is of level stats");
    return true;
}

/* --- waived --- */

enum { MOST_REASONS = 10 };

struct reason {
    const char *text;
    int count;
};

static void count_reason(struct reason *reasons, int *kinds, const char *text)
{
    int at = 0;
    while (at < *kinds && strcmp(reasons[at].text, text) != 0)
        at++;
    if (at == *kinds && at < MOST_REASONS)
        reasons[(*kinds)++] = (struct reason){text, 0};
    if (at < MOST_REASONS)
        reasons[at].count++;
}

bool rp_add_waived(struct qw_text *out, const struct qw_json *one)
{
    struct reason reasons[MOST_REASONS];
    int kinds = 0;
    size_t start = out->length;
    for (const struct qw_json *s = qw_json_first(qw_json_get(one, "sites")); s; s = qw_json_next(s))
        if (!strcmp(qw_json_get_text(s, "status", ""), "waived"))
            count_reason(reasons, &kinds, qw_json_get_text(s, "reason", "no reason was given"));
    for (int i = 0; i < kinds; i++) {
        add_separator(out, start, "; ");
        qw_text_addf(out, "%d %s: %s", reasons[i].count, reasons[i].count == 1 ? "time" : "times", reasons[i].text);
    }
    return kinds > 0;
}

/* --- sandbox --- */

bool rp_add_sandbox(struct qw_text *out, const struct qw_json *result)
{
    const struct qw_json *sandbox = qw_json_get(qw_json_get(result, "tool"), "sandbox");
    const struct qw_json *landlock = qw_json_get(sandbox, "landlock");
    size_t start = out->length;
    if (!qw_json_is_object(sandbox))
        return false;
    if (qw_json_real(landlock, 0) > 0)
        qw_text_addf(out, "Landlock %s", rp_value(landlock).text);
    if (qw_json_get_bool(sandbox, "seccomp", false)) {
        add_separator(out, start, ", ");
        qw_text_add(out, "seccomp");
    }
    if (qw_json_get_bool(sandbox, "limits", false)) {
        add_separator(out, start, ", ");
        qw_text_add(out, "limits of memory and time");
    }
    if (out->length == start)
        qw_text_add(out, "none");
    return true;
}

bool rp_add_unprotected(struct qw_text *out, const struct qw_json *result)
{
    const struct qw_json *missing = qw_json_get(qw_json_get(qw_json_get(result, "tool"), "sandbox"), "missing");
    size_t start = out->length;
    int count = 0;
    for (const struct qw_json *m = qw_json_first(missing); m && count < MOST_REASONS; m = qw_json_next(m), count++) {
        add_separator(out, start, "; ");
        qw_text_add(out, qw_json_text(m, "?"));
    }
    return count > 0;
}

/* --- layout --- */

const char *rp_axis_meaning(const struct qw_json *found, int axis)
{
    const struct qw_json *name = qw_json_first(qw_json_get(found, "axes"));
    while (name && axis-- > 0)
        name = qw_json_next(name);
    return qw_json_text(name, "axis");
}

/* The two axes that are exchanged while the others stay; false for anything else. */
static bool find_swap(int swap[2], const struct qw_json *permutation)
{
    int axis = 0, moved = 0;
    for (const struct qw_json *p = qw_json_first(permutation); p; p = qw_json_next(p), axis++)
        if (qw_json_int(p, -1) != axis && moved++ < 2)
            swap[moved - 1] = axis;
    return moved == 2;
}

bool rp_add_layout(struct qw_text *out, const struct qw_json *found)
{
    const struct qw_json *permutation = qw_json_get(found, "permutation");
    int swap[2] = {0, 0};
    if (!qw_json_size(permutation))
        return false;
    if (find_swap(swap, permutation) && qw_json_size(qw_json_get(found, "axes")))
        qw_text_addf(out, "%s and %s are swapped: axes ", rp_axis_meaning(found, swap[0]), rp_axis_meaning(found, swap[1]));
    else
        qw_text_add(out, "the axes stand in another order: ");
    rp_add_list(out, permutation);
    return true;
}

const struct qw_json *rp_finding(const struct qw_json *one, const char *id)
{
    const struct qw_json *f = qw_json_first(qw_json_get(one, "findings"));
    while (f && strcmp(qw_json_get_text(f, "id", ""), id) != 0)
        f = qw_json_next(f);
    return f;
}

bool rp_is_bitwise(const struct qw_json *one)
{
    const struct qw_json *floor = qw_json_get(one, "floor");
    if (!rp_is_comparison(one) || floor)
        return rp_is_comparison(one) && !qw_json_bool(floor, false);
    for (const struct qw_json *s = qw_json_first(qw_json_get(one, "sites")); s; s = qw_json_next(s)) {
        double ratio = qw_json_get_real(s, "ratio", 0);
        if (isfinite(ratio) && ratio > 0)
            return false;
    }
    return true;
}
