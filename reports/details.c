/* Invariant: each detail is one line without control characters, at most RP_DETAIL_LIMIT and the words of its cut long. */
#include "reports/details.h"

#include <string.h>

#include "reports/escape.h"
#include "reports/notes.h"
#include "reports/view.h"

static bool add_text(struct qw_text *out, const char *text)
{
    if (*text)
        qw_text_add(out, text);
    return *text != 0;
}

static bool add_verdict(struct qw_text *out, const struct qw_json *one)
{
    return add_text(out, qw_json_get_text(one, "verdict", rp_case_status(one)->meaning));
}

/* "a + b, confidence high, explains 99.99 % of the divergence. What it is called" */
static bool add_cause(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *cause = rp_case_cause(one);
    if (!qw_json_is_object(cause))
        return false;
    rp_add_cause_ids(out, one);
    if (rp_is_named(cause)) {
        qw_text_addf(out, ", confidence %s, ", qw_json_get_text(cause, "confidence", "-"));
        rp_add_explained(out, cause);
    }
    const char *title = qw_json_get_text(cause, "title", "");
    qw_text_addf(out, "%s%s", *title ? ". " : "", title);
    return true;
}

static bool add_known(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *known = qw_json_get(one, "expected"), *place = qw_json_get(known, "first_divergence");
    const char *why = qw_json_get_text(known, "why", ""), *source = qw_json_get_text(known, "source", "");
    if (!qw_json_is_object(known))
        return false;
    const struct qw_json *cause = qw_json_first(qw_json_get(known, "causes"));
    for (const char *before = ""; cause; cause = qw_json_next(cause), before = " + ")
        qw_text_addf(out, "%s%s", before, qw_json_text(cause, "-"));
    if (qw_json_is_object(place)) {
        qw_text_add(out, ", first at ");
        rp_add_place(out, place);
    }
    qw_text_addf(out, "%s%s%s%s%s", *why ? ". " : "", why, *source ? " (" : "", source, *source ? ")" : "");
    return true;
}

/* "step 0, layer 1, cache_before.key (shape: …); 812 times the noise floor; virtual token 0 of 8" */
static bool add_first(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *found = qw_json_get(one, "first_divergence"), *ratio = qw_json_get(found, "ratio");
    const char *kind = qw_json_get_text(found, "kind", ""), *position = qw_json_get_text(found, "position", "");
    struct qw_text layout = {0};
    if (!qw_json_is_object(found))
        return false;
    rp_add_place(out, found);
    const char *meaning = rp_is_comparison(one) ? rp_kind_between(kind) : rp_kind_meaning(kind);
    qw_text_addf(out, " (%s%s%s)", kind, *meaning ? ": " : "", meaning);
    if (!qw_json_is_null(ratio))
        qw_text_addf(out, "; %s times the noise floor", rp_number(ratio).text);
    if (rp_add_layout(&layout, found))
        qw_text_addf(out, "; %s", layout.bytes);
    if (qw_json_is_array(qw_json_get(found, "index"))) {
        qw_text_add(out, "; at index ");
        rp_add_list(out, qw_json_get(found, "index"));
    }
    qw_text_addf(out, "%s%s", *position ? "; " : "", position);
    qw_text_free(&layout);
    return true;
}

static void add_side(struct qw_text *out, const struct qw_json *side)
{
    const struct qw_json *shape = qw_json_get(side, "shape"), *value = qw_json_get(side, "value");
    const char *dtype = qw_json_get_text(side, "dtype", "");
    if (qw_json_is_array(shape))
        rp_add_list(out, shape);
    qw_text_addf(out, "%s%s", *dtype && qw_json_is_array(shape) ? " " : "", dtype);
    if (!qw_json_is_null(value))
        qw_text_addf(out, "%svalue %s", *dtype || qw_json_is_array(shape) ? " " : "", qw_json_text(value, rp_value(value).text));
    qw_text_add(out, rp_is_nothing(side) ? "nothing" : "");
}

/* "expected [1, 15, 16] float32, observed nothing" */
static bool add_sides(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *found = qw_json_get(one, "first_divergence");
    const struct qw_json *expected = qw_json_get(found, "expected"), *observed = qw_json_get(found, "observed");
    if (rp_is_nothing(expected) && rp_is_nothing(observed))
        return false;
    qw_text_add(out, rp_is_comparison(one) ? "A " : "expected ");
    add_side(out, expected);
    qw_text_add(out, rp_is_comparison(one) ? ", B " : ", observed ");
    add_side(out, observed);
    return true;
}

static bool add_raised(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *call = qw_json_get(one, "call");
    if (!qw_json_get_text(call, "exception_type", NULL))
        return false;
    qw_text_addf(out, "%s: %s", qw_json_get_text(call, "exception_type", ""), qw_json_get_text(call, "exception_message", ""));
    return true;
}

/* "file: place: reason; what to do" */
static bool add_error(struct qw_text *out, const struct qw_json *one)
{
    static const char *const fields[] = {"file", "place", "message", "hint"}, *const before[] = {"", ": ", ": ", "; "};
    const struct qw_json *error = qw_json_get(one, "error");
    size_t start = out->length;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *text = qw_json_get_text(error, fields[i], "");
        if (*text)
            qw_text_addf(out, "%s%s", out->length > start ? before[i] : "", text);
    }
    return out->length > start;
}

static bool add_requirement(struct qw_text *out, const struct qw_json *one)
{
    return add_text(out, qw_json_get_text(one, "requirement", ""));
}

static bool add_source(struct qw_text *out, const struct qw_json *one)
{
    return add_text(out, qw_json_get_text(one, "source", ""));
}

static bool add_remedy(struct qw_text *out, const struct qw_json *one)
{
    return add_text(out, qw_json_get_text(rp_case_cause(one), "remedy", ""));
}

static const struct rp_detail details[] = {
    {"message", "verdict", false, add_verdict}, {"cause", "cause", false, add_cause},
    {"known", "baseline", false, add_known},    {"first", "first divergence", false, add_first},
    {"sides", "there", false, add_sides},       {"raised", "raised", false, add_raised},
    {"error", "reason", false, add_error},      {"requirement", "requirement", false, add_requirement},
    {"source", "source", false, add_source},    {"remedy", "remedy", false, add_remedy},
    {"rerun", "run again", true, rp_add_rerun},
};

const struct rp_detail *rp_detail_at(size_t index) { return index < sizeof details / sizeof *details ? &details[index] : NULL; }

const struct rp_detail *rp_detail_find(const char *key)
{
    size_t i = 0;
    while (i < sizeof details / sizeof *details && strcmp(details[i].key, key) != 0)
        i++;
    return rp_detail_at(i);
}

bool rp_add_detail(struct qw_text *out, const struct rp_detail *detail, const struct qw_json *one)
{
    struct qw_text text = {0};
    bool any = detail->add(&text, one) && text.length;
    if (any)
        rp_escape_line(out, text.bytes, RP_DETAIL_LIMIT);
    qw_text_free(&text);
    return any;
}
