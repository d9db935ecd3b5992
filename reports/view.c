/* Invariant: the same field is worded the same way in every format. */
#include "reports/view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct rp_status statuses[] = {
    {"PASS", '+', RP_SHAPE_GOOD, RP_OUTCOME_PASSED, true, "everything that was compared conforms"},
    {"FAIL", 'x', RP_SHAPE_BAD, RP_OUTCOME_FAILED, true, "the recording differs from the healthy run, in structure or in value"},
    {"XFAIL", '~', RP_SHAPE_CHANGED, RP_OUTCOME_KNOWN, true, "a failure that the baseline expects, with the expected cause"},
    {"XPASS", '^', RP_SHAPE_CHANGED, RP_OUTCOME_STALE, true,
     "the case conforms although the baseline expects a failure: it is stale"},
    {"CHANGED", '#', RP_SHAPE_BAD, RP_OUTCOME_FAILED, true,
     "a failure was expected, but this one has another cause; counts as a failure"},
    {"ERROR", '!', RP_SHAPE_BROKEN, RP_OUTCOME_UNDECIDED, false,
     "the input could not be read or contradicts itself, so nothing was decided"},
    {"SKIP", '-', RP_SHAPE_NONE, RP_OUTCOME_SKIPPED, false, "outside what is covered; the reason is given"},
    {"TIMEOUT", '!', RP_SHAPE_BROKEN, RP_OUTCOME_UNDECIDED, false, "the worker did not finish in time"},
    {"CRASH", '!', RP_SHAPE_BROKEN, RP_OUTCOME_UNDECIDED, false, "the worker died; the other cases are complete"},
    {"NOTRUN", '-', RP_SHAPE_NONE, RP_OUTCOME_UNDECIDED, false, "selected, but not started"},
};
#define STATUS_COUNT (sizeof statuses / sizeof *statuses)

const struct rp_status *rp_status_at(size_t index) { return index < STATUS_COUNT ? &statuses[index] : NULL; }

const struct rp_status *rp_status_find(const char *word)
{
    for (size_t i = 0; i < STATUS_COUNT; i++)
        if (!strcmp(word, statuses[i].word))
            return &statuses[i];
    return &statuses[STATUS_COUNT - 1];
}

const struct rp_status *rp_case_status(const struct qw_json *one) { return rp_status_find(qw_json_get_text(one, "status", "")); }

static struct rp_word real_word(const struct qw_json *node, int digits)
{
    struct rp_word word = {"-"};
    double number = qw_json_real(node, 0);
    if (!qw_json_is_number(node) && isfinite(number)) /* null, or a text that is no number */
        return word;
    if (isnan(number))
        strcpy(word.text, "nan");
    else
        snprintf(word.text, sizeof word.text, "%.*g", digits, number);
    return word;
}

struct rp_word rp_number(const struct qw_json *node) { return real_word(node, 3); }
struct rp_word rp_value(const struct qw_json *node) { return real_word(node, 9); }

struct rp_word rp_share(const struct qw_json *node)
{
    struct rp_word word = {"-"};
    double share = qw_json_real(node, NAN);
    if (isfinite(share))
        snprintf(word.text, sizeof word.text, "%.6g %%", floor(share * 1e4 + 1e-6) / 100);
    return word;
}

void rp_add_list(struct qw_text *out, const struct qw_json *list)
{
    if (!qw_json_is_array(list)) {
        qw_text_add(out, "-");
        return;
    }
    enum { MOST = 64 };
    const char *before = "[";
    int count = 0;
    for (const struct qw_json *n = qw_json_first(list); n && count <= MOST; n = qw_json_next(n), count++) {
        qw_text_addf(out, "%s%s", before, count < MOST ? rp_value(n).text : "...");
        before = ", ";
    }
    qw_text_add(out, *before == '[' ? "[]" : "]");
}

void rp_add_value(struct qw_text *out, const struct qw_json *node)
{
    if (qw_json_is_array(node))
        rp_add_list(out, node);
    else if (qw_json_is_text(node) || qw_json_is_number(node) || qw_json_is_null(node))
        qw_text_add(out, qw_json_text(node, rp_value(node).text));
    else
        qw_text_add(out, qw_json_bool(node, false) ? "yes" : "no");
}

void rp_add_place(struct qw_text *out, const struct qw_json *node)
{
    const struct qw_json *step = qw_json_get(node, "step");
    const struct qw_json *layer = qw_json_get(node, "layer");
    if (!qw_json_is_object(node)) {
        qw_text_add(out, "-");
        return;
    }
    if (qw_json_is_number(step))
        qw_text_addf(out, "step %s, ", rp_value(step).text);
    if (qw_json_is_number(layer))
        qw_text_addf(out, "layer %s, ", rp_value(layer).text);
    qw_text_add(out, qw_json_get_text(node, "site", "?"));
}

void rp_add_versions(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *environment = qw_json_get(one, "environment");
    const char *transformers = qw_json_get_text(environment, "transformers", NULL);
    const char *peft = qw_json_get_text(environment, "peft", NULL);
    qw_text_add(out, transformers ? transformers : peft ? "?" : "-");
    if (transformers || peft) {
        qw_text_add(out, " x ");
        qw_text_add(out, peft ? peft : "?");
    }
}

static void add_clause(struct qw_text *out, size_t start, const char *clause)
{
    if (out->length > start)
        qw_text_add(out, "; ");
    qw_text_add(out, clause);
}

/* One field of the consequence, in words where we have them. */
static void add_consequence(struct qw_text *out, size_t start, const struct qw_json *field, const char *says)
{
    const char *key = qw_json_key(field);
    struct qw_text clause = {0};
    if (!strcmp(key, "first_token_flip") && qw_json_is_null(field))
        qw_text_add(&clause, says ? says : "no generated token changes");
    else if (!strcmp(key, "first_token_flip"))
        qw_text_addf(&clause, "the generated text changes from token %s on", rp_value(field).text);
    else if (!strcmp(key, "top1_agreement") && qw_json_is_number(field))
        qw_text_addf(&clause, "the most likely token is the same at %s of the places", rp_share(field).text);
    else if (!strcmp(key, "kl") && !qw_json_is_null(field))
        qw_text_addf(&clause, "the predictions differ by a KL divergence of %s", rp_number(field).text);
    else if (!strcmp(key, "steps_compared"))
        qw_text_addf(&clause, "compared over %s steps", rp_value(field).text);
    else if (strcmp(key, "says") != 0 && (qw_json_is_text(field) || qw_json_is_number(field)))
        qw_text_addf(&clause, "%s %s", key, qw_json_text(field, rp_number(field).text));
    if (clause.length)
        add_clause(out, start, clause.bytes);
    qw_text_free(&clause);
}

bool rp_add_consequence(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *consequence = qw_json_get(one, "consequence");
    const char *says = rp_says_meaning(qw_json_get_text(consequence, "says", ""));
    enum { MOST = 4000 };
    size_t start = out->length;
    if (qw_json_is_text(consequence))
        qw_text_add(out, qw_json_text(consequence, ""));
    else if (qw_json_is_object(consequence))
        for (const struct qw_json *f = qw_json_first(consequence); f && out->length < start + MOST; f = qw_json_next(f))
            add_consequence(out, start, f, *says ? says : NULL);
    return out->length > start;
}

void rp_add_word(struct qw_text *out, const char *word)
{
    const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-";
    if (*word && word[strspn(word, plain)] == 0) {
        qw_text_add(out, word);
        return;
    }
    qw_text_add(out, "'");
    for (const char *c = word; *c; c++)
        if (*c == '\'')
            qw_text_add(out, "'\\''");
        else
            qw_text_add_bytes(out, c, 1);
    qw_text_add(out, "'");
}

/* A file in a command line, which no program takes for an option. */
static void add_argument(struct qw_text *out, const char *path)
{
    char *word = qw_format("%s%s", path[0] == '-' ? "./" : "", path);
    rp_add_word(out, word);
    free(word);
}

static const char *step_command(const struct qw_json *one)
{
    for (const struct qw_json *s = qw_json_first(qw_json_get(one, "next_steps")); s; s = qw_json_next(s))
        if (qw_json_get_text(s, "command", NULL))
            return qw_json_get_text(s, "command", NULL);
    return NULL;
}

bool rp_is_comparison(const struct qw_json *one) { return !strcmp(qw_json_get_text(one, "mode", ""), "compare"); }

bool rp_add_next_command(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *cause = qw_json_get(one, "cause");
    const char *recording = qw_json_get_text(one, "recording", "");
    const char *unread = qw_json_get_text(qw_json_get(one, "error"), "file", "");
    const char *command = step_command(one);
    if (command) {
        qw_text_add(out, command);
    } else if (rp_case_status(one)->shape == RP_SHAPE_GOOD || !*recording) {
        return false;
    } else if (rp_is_comparison(one) && *unread) {
        qw_text_add(out, "qconform inspect ");
        add_argument(out, unread);
    } else if (rp_is_comparison(one)) {
        qw_text_add(out, "qconform diagnose ");
        add_argument(out, recording);
        qw_text_add(out, " ");
        add_argument(out, qw_json_get_text(qw_json_get(one, "other"), "recording", ""));
    } else if (rp_is_named(cause)) {
        qw_text_add(out, "qconform explain ");
        add_argument(out, qw_json_get_text(cause, "id", ""));
    } else {
        qw_text_add(out, rp_case_status(one)->judged ? "qconform diagnose -v " : "qconform inspect ");
        add_argument(out, recording);
    }
    return true;
}

bool rp_add_rerun(struct qw_text *out, const struct qw_json *one)
{
    const char *suite = qw_json_get_text(one, "suite", ""), *recording = qw_json_get_text(one, "recording", "");
    if (!*suite && !*recording)
        return false;
    qw_text_add(out, *suite ? "qconform run " : rp_is_comparison(one) ? "qconform compare " : "qconform diagnose ");
    add_argument(out, *suite ? suite : recording);
    qw_text_add(out, " ");
    if (*suite) {
        add_argument(out, qw_json_get_text(one, "id", ""));
        qw_text_add(out, " --out qconform-again"); /* what the whole run left stays */
    } else if (rp_is_comparison(one))
        add_argument(out, qw_json_get_text(qw_json_get(one, "other"), "recording", ""));
    else
        out->bytes[--out->length] = 0;
    return true;
}

/* The command of the document once more, without what ended it. */
static bool add_resume(struct qw_text *out, const struct qw_json *result)
{
    const struct qw_json *word = qw_json_first(qw_json_get(result, "command"));
    const char *verb = qw_json_text(word ? qw_json_next(word) : NULL, "");
    if (strcmp(verb, "run") != 0)
        return false;
    for (; word; word = qw_json_next(word))
        if (strcmp(qw_json_text(word, ""), "--resume") != 0 && strncmp(qw_json_text(word, ""), "--fail-fast", 11) != 0) {
            rp_add_word(out, qw_json_text(word, ""));
            qw_text_add(out, " ");
        }
    qw_text_add(out, "--resume");
    return true;
}

/* What the first case that was not run says of itself. */
static bool add_hint(struct qw_text *out, const struct qw_json *cases)
{
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c)) {
        const char *hint = qw_json_get_text(qw_json_get(c, "error"), "hint", "");
        if (rp_case_status(c) == rp_status_find("NOTRUN") && *hint)
            return qw_text_add(out, hint), true;
    }
    return false;
}

bool rp_add_next_of_all(struct qw_text *out, const struct qw_json *result)
{
    const struct qw_json *cases = qw_json_get(result, "cases");
    const struct rp_status *worst = rp_overall_status(result);
    bool cut = rp_is_interrupted(result) || worst == rp_status_find("NOTRUN");
    if (cut && qw_json_size(cases) && (add_resume(out, result) || add_hint(out, cases)))
        return true;
    if (qw_json_size(cases) == 1)
        return rp_add_next_command(out, qw_json_first(cases));
    bool done = worst->outcome == RP_OUTCOME_PASSED || worst->outcome == RP_OUTCOME_KNOWN;
    for (const struct qw_json *c = qw_json_first(cases); c && !done; c = qw_json_next(c))
        if (rp_case_status(c) == worst && *qw_json_get_text(c, "recording", "")) {
            qw_text_add(out, worst->judged ? "qconform diagnose " : "qconform inspect ");
            add_argument(out, qw_json_get_text(c, "recording", ""));
            return true;
        }
    return false;
}

bool rp_is_named(const struct qw_json *cause)
{
    const char *id = qw_json_get_text(cause, "id", "");
    return *id && strcmp(id, "unclassified") != 0;
}

void rp_add_explained(struct qw_text *out, const struct qw_json *cause)
{
    const struct qw_json *alone = qw_json_get(cause, "alone");
    if (!qw_json_is_null(alone))
        qw_text_addf(out, "explains %s by itself, and together with the other ", rp_share(alone).text);
    else
        qw_text_add(out, "explains ");
    qw_text_addf(out, "%s of the divergence", rp_share(qw_json_get(cause, "explained")).text);
}

bool rp_add_fitting(struct qw_text *out, const struct qw_json *cause)
{
    const struct qw_json *parameter = qw_json_get(cause, "parameter");
    const char *variant = qw_json_get_text(cause, "variant", NULL);
    if (variant)
        qw_text_add(out, variant);
    else if (!qw_json_is_null(parameter))
        qw_text_add(out, rp_value(parameter).text);
    return variant || !qw_json_is_null(parameter);
}

const struct qw_json *rp_case_cause(const struct qw_json *one)
{
    return rp_is_comparison(one) ? NULL : qw_json_get(one, "cause");
}

void rp_add_cause_ids(struct qw_text *out, const struct qw_json *one)
{
    const struct qw_json *cause = qw_json_first(rp_case_cause(one) ? qw_json_get(one, "causes") : NULL);
    qw_text_add(out, qw_json_get_text(cause ? cause : rp_case_cause(one), "id", "-"));
    for (cause = cause ? qw_json_next(cause) : NULL; cause; cause = qw_json_next(cause))
        qw_text_addf(out, " + %s", qw_json_get_text(cause, "id", ""));
}

bool rp_is_nothing(const struct qw_json *side)
{
    return qw_json_is_null(qw_json_get(side, "shape")) && qw_json_is_null(qw_json_get(side, "dtype")) &&
           qw_json_is_null(qw_json_get(side, "value"));
}

bool rp_site_fails(const struct qw_json *site)
{
    const char *status = qw_json_get_text(site, "status", "");
    return !strcmp(status, "differs") || !strcmp(status, "missing") || !strcmp(status, "extra");
}
