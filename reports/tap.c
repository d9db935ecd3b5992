/* Invariant: every line begins with words of ours, and no text of the document holds a line feed or an unescaped "#". */
#include "reports/tap.h"

#include <string.h>

#include "reports/details.h"
#include "reports/escape.h"
#include "reports/view.h"

enum { MOST_NAME = 1000 }; /* bytes of a description, and of a reason */

static const struct point {
    bool ok;
    const char *directive, *severity;
} points[] = {
    [RP_OUTCOME_PASSED] = {true, NULL, NULL},     [RP_OUTCOME_FAILED] = {false, NULL, "fail"},
    [RP_OUTCOME_KNOWN] = {false, "TODO", "todo"}, [RP_OUTCOME_STALE] = {false, NULL, "xpass"},
    [RP_OUTCOME_SKIPPED] = {true, "SKIP", NULL},  [RP_OUTCOME_UNDECIDED] = {false, NULL, "error"},
};

/* `text` with a backslash before each of the characters in `special`, behind what a terminal needs. */
static void add_escaped(struct qw_text *out, const char *text, const char *special)
{
    struct qw_text shown = {0};
    rp_escape_line(&shown, text, MOST_NAME);
    for (const char *at = shown.bytes ? shown.bytes : ""; *at; at++) {
        qw_text_add(out, strchr(special, *at) ? "\\" : "");
        qw_text_add_bytes(out, at, 1);
    }
    qw_text_free(&shown);
}

/* " # TODO prompt-not-injected", " # SKIP the verdict". */
static void add_directive(struct qw_text *out, const struct qw_json *one, const struct point *point)
{
    struct qw_text reason = {0};
    qw_text_addf(out, " # %s ", point->directive);
    if (rp_case_status(one)->outcome == RP_OUTCOME_KNOWN)
        rp_add_cause_ids(&reason, one);
    else
        qw_text_add(&reason, qw_json_get_text(one, "verdict", ""));
    add_escaped(out, reason.bytes, "\\#");
    qw_text_free(&reason);
}

static void add_yaml(struct qw_text *out, const struct qw_json *one, const struct point *point)
{
    qw_text_addf(out, "  ---\n  status: %s\n  severity: %s\n", rp_case_status(one)->word, point->severity);
    for (size_t i = 0; rp_detail_at(i); i++) {
        struct qw_text text = {0};
        if (rp_add_detail(&text, rp_detail_at(i), one)) {
            qw_text_addf(out, "  %s: \"", rp_detail_at(i)->key);
            add_escaped(out, text.bytes, "\\\"");
            qw_text_add(out, "\"\n");
        }
        qw_text_free(&text);
    }
    qw_text_add(out, "  ...\n");
}

static void add_point(struct qw_text *out, const struct qw_json *one, int number)
{
    const struct point *point = &points[rp_case_status(one)->outcome];
    const char *id = qw_json_get_text(one, "id", "");
    qw_text_addf(out, "%sok %d - ", point->ok ? "" : "not ", number);
    add_escaped(out, *id ? id : "unnamed", "\\#");
    if (point->directive)
        add_directive(out, one, point);
    qw_text_add(out, "\n");
    if (point->severity)
        add_yaml(out, one, point);
}

static void add_stream(struct qw_text *out, const struct qw_json *result, int version)
{
    const struct qw_json *cases = qw_json_get(result, "cases");
    bool bug = !strcmp(qw_json_get_text(qw_json_get(result, "exit"), "name", ""), "internal");
    struct qw_text verdict = {0};
    int count = qw_json_size(cases), number = 0;
    qw_text_addf(out, "TAP version %d\n1..%d%s\n# ", version, count,
                 count ? "" : " # SKIP no case was selected, or none was judged");
    rp_add_counts(out, result);
    qw_text_add(out, "\n");
    if (rp_add_whole_verdict(&verdict, result))
        qw_text_addf(out, "# %s\n", verdict.bytes);
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        add_point(out, c, ++number);
    if (bug || rp_is_interrupted(result))
        qw_text_addf(out, "Bail out! %s\n", bug ? "a bug in qconform ended the run" : "the run was interrupted");
    qw_text_free(&verdict);
}

void rp_tap13(struct qw_text *out, const struct qw_json *result) { add_stream(out, result, 13); }

void rp_tap14(struct qw_text *out, const struct qw_json *result) { add_stream(out, result, 14); }
