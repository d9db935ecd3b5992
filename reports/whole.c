/* Invariant: what is said of all cases together follows from their statuses and from the field "exit" alone. */
#include <string.h>

#include "reports/view.h"

static bool is_of(const struct qw_json *one, const char *suite)
{
    return !suite || !strcmp(qw_json_get_text(one, "suite", ""), suite);
}

static int count_status(const struct qw_json *result, const struct rp_status *status, const char *suite)
{
    int count = 0;
    for (const struct qw_json *c = qw_json_first(qw_json_get(result, "cases")); c; c = qw_json_next(c))
        count += rp_case_status(c) == status && is_of(c, suite);
    return count;
}

const struct rp_status *rp_overall_status(const struct qw_json *result)
{
    static const char *const worst_first[] = {"FAIL",   "CHANGED", "ERROR", "CRASH", "TIMEOUT",
                                              "NOTRUN", "XPASS",   "PASS",  "XFAIL", "SKIP"};
    for (size_t i = 0; i < sizeof worst_first / sizeof *worst_first; i++)
        if (count_status(result, rp_status_find(worst_first[i]), NULL))
            return rp_status_find(worst_first[i]);
    return rp_status_find("NOTRUN");
}

static int add_group(struct qw_text *out, const struct qw_json *result, const char *suite, bool judged)
{
    struct qw_text list = {0};
    const struct rp_status *status;
    int total = 0;
    for (size_t i = 0; (status = rp_status_at(i)); i++) {
        int count = status->judged == judged ? count_status(result, status, suite) : 0;
        if (count)
            qw_text_addf(&list, "%s%d %s", total ? ", " : "", count, status->word);
        total += count;
    }
    if (total || judged)
        qw_text_addf(out, "%d %s%s%s", total, judged ? "judged" : "not judged", total ? ": " : "", total ? list.bytes : "");
    qw_text_free(&list);
    return total;
}

void rp_add_counts_of(struct qw_text *out, const struct qw_json *result, const char *suite)
{
    struct qw_text rest = {0};
    add_group(out, result, suite, true);
    if (add_group(&rest, result, suite, false))
        qw_text_addf(out, "; %s", rest.bytes);
    qw_text_free(&rest);
}

void rp_add_counts(struct qw_text *out, const struct qw_json *result) { rp_add_counts_of(out, result, NULL); }

bool rp_needs_attention(const struct qw_json *one)
{
    enum rp_outcome outcome = rp_case_status(one)->outcome;
    return outcome == RP_OUTCOME_FAILED || outcome == RP_OUTCOME_STALE || outcome == RP_OUTCOME_UNDECIDED;
}

bool rp_is_interrupted(const struct qw_json *result)
{
    return !strcmp(qw_json_get_text(qw_json_get(result, "exit"), "name", ""), "interrupted");
}

bool rp_is_not_run(const struct qw_json *one) { return rp_case_status(one) == rp_status_find("NOTRUN"); }

struct tally {
    int all, passed, failed, changed, known, stale, skipped, undecided, not_run;
};

static struct tally tally(const struct qw_json *result)
{
    struct tally t = {0};
    const struct rp_status *changed = rp_status_find("CHANGED");
    for (const struct qw_json *c = qw_json_first(qw_json_get(result, "cases")); c; c = qw_json_next(c)) {
        enum rp_outcome outcome = rp_case_status(c)->outcome;
        t.all++;
        t.passed += outcome == RP_OUTCOME_PASSED;
        t.failed += outcome == RP_OUTCOME_FAILED;
        t.changed += rp_case_status(c) == changed;
        t.known += outcome == RP_OUTCOME_KNOWN;
        t.stale += outcome == RP_OUTCOME_STALE;
        t.skipped += outcome == RP_OUTCOME_SKIPPED;
        t.not_run += rp_is_not_run(c);
        t.undecided += outcome == RP_OUTCOME_UNDECIDED && !rp_is_not_run(c);
    }
    return t;
}

/* The worst first, with what of the tally it has told set to 0. */
static void add_head(struct qw_text *out, struct tally *t)
{
    if (t->failed) {
        qw_text_addf(out, "Does not conform: %d of %d cases fail%s", t->failed, t->all, t->failed == 1 ? "s" : "");
        if (t->changed)
            qw_text_addf(out, " (%d in another way than the baseline expects)", t->changed);
    } else if (t->undecided) {
        qw_text_addf(out, "Not decided: %d of %d cases ended without a verdict", t->undecided, t->all);
        t->undecided = 0;
    } else if (t->not_run) {
        qw_text_addf(out, "Not complete: %d of %d cases were not run", t->not_run, t->all);
        t->not_run = 0;
    } else if (t->stale) {
        qw_text_addf(out, "The baseline is stale: %d of %d cases pass although it expects a failure", t->stale, t->all);
        t->stale = 0;
    } else if (t->passed == t->all) {
        qw_text_addf(out, "Conforms: all %d cases pass", t->all);
    } else if (t->passed || t->known) {
        qw_text_addf(out, "%s: %d of %d cases pass", t->passed ? "Conforms" : "As expected", t->passed, t->all);
    } else {
        qw_text_addf(out, "Nothing was judged: %d of %d cases were skipped", t->skipped, t->all);
        t->skipped = 0;
    }
}

bool rp_add_whole_verdict(struct qw_text *out, const struct qw_json *result)
{
    struct tally t = tally(result);
    if (t.all < 2)
        return false;
    qw_text_add(out, rp_is_interrupted(result) ? "Interrupted. " : "");
    add_head(out, &t);
    const struct {
        int count;
        const char *one, *several;
    } rest[] = {{t.known, "fails as the baseline expects", "fail as the baseline expects"},
                {t.stale, "passes although the baseline expects a failure", "pass although the baseline expects a failure"},
                {t.undecided, "ended without a verdict", "ended without a verdict"},
                {t.not_run, "was not run", "were not run"},
                {t.skipped, "was skipped", "were skipped"}};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (rest[i].count)
            qw_text_addf(out, ", %d %s", rest[i].count, rest[i].count == 1 ? rest[i].one : rest[i].several);
    qw_text_add(out, ".");
    return true;
}
