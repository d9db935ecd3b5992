/* Invariant: what is expected never turns a failure of another kind, or nothing decided, into something good. */
#include "harness/suite/baseline.h"

#include <stdlib.h>
#include <string.h>

#include "harness/diagnose/causes.h"
#include "reference/base/file.h"
#include "reference/base/guess.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reports/check.h"
#include "reports/view.h"

#define BUDGET  ((size_t)16 << 20)
#define UNNAMED "unclassified"

/* ---- reading ---- */

static bool check_cause(const char *id, int entry, int index, struct qw_error *error)
{
    if (!strcmp(id, UNNAMED) || qc_cause_find(id))
        return true;
    struct qw_guess guess = qw_guess_for(id);
    for (int i = 0; i < qc_cause_count(); i++)
        qw_guess_offer(&guess, qc_cause_at(i)->id);
    char *place = qw_format("cases[%d].causes[%d]", entry, index);
    qw_fail(error, QW_ERROR_INPUT, place, "qconform list causes prints them; \"" UNNAMED "\" is a failure that none explains",
            "there is no cause \"%s\"%s", id, qw_guess_text(&guess, ""));
    free(place);
    return false;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(qw_json_get_text(*(const struct qw_json *const *)a, "id", ""),
                  qw_json_get_text(*(const struct qw_json *const *)b, "id", ""));
}

/* The children of a list, sorted by their ids; free with free(). */
static const struct qw_json **sorted(const struct qw_json *list)
{
    int count = 0;
    const struct qw_json **all = QW_NEW_ARRAY(const struct qw_json *, qw_json_size(list));
    for (const struct qw_json *e = qw_json_first(list); e; e = qw_json_next(e))
        all[count++] = e;
    qsort(all, (size_t)count, sizeof *all, by_id);
    return all;
}

static bool check_ids(const struct qw_json *entries, struct qw_error *error)
{
    const struct qw_json **all = sorted(entries), *twice = NULL;
    int count = qw_json_size(entries);
    for (int i = 1; i < count && !twice; i++)
        if (by_id(&all[i - 1], &all[i]) == 0)
            twice = all[i];
    if (twice)
        qw_fail(error, QW_ERROR_INPUT, "cases", "keep one of them; a case that fails for several causes names all of them in one",
                "there are two entries of %s", qw_json_get_text(twice, "id", ""));
    free(all);
    return !twice;
}

static bool check(const struct qw_json *baseline, struct qw_error *error)
{
    int entry = 0;
    if (!rp_check_as(baseline, RP_BASELINE, NULL, error) || !check_ids(qw_json_get(baseline, "cases"), error))
        return false;
    for (const struct qw_json *e = qw_json_first(qw_json_get(baseline, "cases")); e; e = qw_json_next(e), entry++) {
        int index = 0;
        for (const struct qw_json *c = qw_json_first(qw_json_get(e, "causes")); c; c = qw_json_next(c), index++)
            if (!check_cause(qw_json_text(c, ""), entry, index, error))
                return false;
    }
    return true;
}

struct qw_json *qc_baseline_read(char sha256[QW_SHA256_HEX], const char *path, struct qw_error *error)
{
    static const struct qw_json_limits limits = {16, 1 << 20, false};
    struct qw_json *baseline = NULL;
    char *bytes = NULL;
    size_t size = 0;
    sha256[0] = 0;
    if (qw_file_read(&bytes, &size, path, BUDGET, error)) {
        qw_sha256(sha256, bytes, size);
        baseline = qw_json_parse_within(bytes, size, &limits, "", error);
    }
    if (baseline && !check(baseline, error)) {
        qw_json_free(baseline);
        baseline = NULL;
    }
    qw_error_in_file(error, path);
    free(bytes);
    return baseline;
}

const struct qw_json *qc_baseline_find(const struct qw_json *baseline, const char *id)
{
    const struct qw_json *entry = qw_json_first(qw_json_get(baseline, "cases"));
    while (entry && strcmp(qw_json_get_text(entry, "id", ""), id) != 0)
        entry = qw_json_next(entry);
    return entry;
}

/* ---- comparing ---- */

/* The ids of the causes of an entry (texts) or of a case (objects, and "cause" alone where there is no list). */
static struct qw_json *causes_of(const struct qw_json *node)
{
    struct qw_json *ids = qw_json_array();
    for (const struct qw_json *c = qw_json_first(qw_json_get(node, "causes")); c; c = qw_json_next(c))
        qw_json_add_text(ids, qw_json_text(c, qw_json_get_text(c, "id", UNNAMED)));
    const char *only = qw_json_get_text(qw_json_get(node, "cause"), "id", NULL);
    if (!qw_json_size(ids) && only)
        qw_json_add_text(ids, only);
    return ids;
}

static bool has(const struct qw_json *texts, const char *text)
{
    for (const struct qw_json *t = qw_json_first(texts); t; t = qw_json_next(t))
        if (!strcmp(qw_json_text(t, ""), text))
            return true;
    return false;
}

static bool is_part(const struct qw_json *some, const struct qw_json *all)
{
    for (const struct qw_json *t = qw_json_first(some); t; t = qw_json_next(t))
        if (!has(all, qw_json_text(t, "")))
            return false;
    return true;
}

static bool same_causes(const struct qw_json *one, const struct qw_json *entry)
{
    struct qw_json *found = causes_of(one), *expected = causes_of(entry);
    bool same = is_part(found, expected) && is_part(expected, found);
    qw_json_free(found);
    qw_json_free(expected);
    return same;
}

static bool same_place(const struct qw_json *one, const struct qw_json *entry)
{
    const struct qw_json *found = qw_json_get(one, "first_divergence"), *expected = qw_json_get(entry, "first_divergence");
    return !expected || (!qw_json_is_null(found) && qw_json_get_int(found, "step", -1) == qw_json_get_int(expected, "step", -1) &&
                         qw_json_get_int(found, "layer", -1) == qw_json_get_int(expected, "layer", -1) &&
                         !strcmp(qw_json_get_text(found, "site", ""), qw_json_get_text(expected, "site", "")));
}

char *qc_baseline_words(const struct qw_json *entry)
{
    struct qw_text out = {0};
    struct qw_json *causes = causes_of(entry);
    for (const struct qw_json *c = qw_json_first(causes); c; c = qw_json_next(c))
        qw_text_addf(&out, "%s%s", out.length ? " and " : "", qw_json_text(c, ""));
    const struct qw_json *place = qw_json_get(entry, "first_divergence");
    if (!qw_json_is_null(place)) {
        qw_text_add(&out, " at ");
        rp_add_place(&out, place);
    }
    qw_json_free(causes);
    return qw_text_take(&out);
}

/* ---- applying ---- */

static struct qw_json *expectation(const struct qw_json *entry)
{
    struct qw_json *expected = qw_json_object();
    for (const struct qw_json *f = qw_json_first(entry); f; f = qw_json_next(f))
        if (strcmp(qw_json_key(f), "id") != 0)
            qw_json_put(expected, qw_json_key(f), qw_json_copy(f));
    return expected;
}

/* The new status, and what the verdict says of it first. */
static void become(struct qw_json *one, const char *status, char *words)
{
    char *verdict = qw_format("%s %s", words, qw_json_get_text(one, "verdict", ""));
    qw_json_set_text(one, "status", status);
    qw_json_set_text(one, "verdict", verdict);
    free(verdict);
    free(words);
}

void qc_baseline_apply(struct qw_json *one, const struct qw_json *entry)
{
    const char *status = qw_json_get_text(one, "status", "");
    bool failed = !strcmp(status, "FAIL"), passed = !strcmp(status, "PASS"), skipped = !strcmp(status, "SKIP");
    if (!entry) {
        qw_json_set_text(one, "expected", NULL);
        return;
    }
    char *expected = qc_baseline_words(entry), *found = qc_baseline_words(one);
    if (failed && same_causes(one, entry) && same_place(one, entry))
        qw_json_set_text(one, "status", "XFAIL");
    else if (failed)
        become(one, "CHANGED", qw_format("Fails in another way than the baseline expects: %s, not %s.", found, expected));
    else if (passed)
        become(one, "XPASS", qw_format("Passes, although the baseline expects %s: take its entry out.", expected));
    else if (skipped)
        become(one, "CHANGED", qw_format("Is not judged any more, although the baseline expects %s.", expected));
    qw_json_set(one, "expected", expectation(entry));
    free(expected);
    free(found);
}

/* ---- making ---- */

static void put_place(struct qw_json *entry, const struct qw_json *found)
{
    static const char *const keys[] = {"step", "layer", "site"};
    if (qw_json_is_null(found))
        return;
    struct qw_json *place = qw_json_put(entry, "first_divergence", qw_json_object());
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        qw_json_put(place, keys[i], qw_json_copy(qw_json_get(found, keys[i])));
}

/* The entry of a case that failed with a cause. */
static struct qw_json *failure(const struct qw_json *one)
{
    static const char *const kept[] = {"why", "source"};
    struct qw_json *entry = qw_json_object();
    qw_json_put_text(entry, "id", qw_json_get_text(one, "id", ""));
    qw_json_put(entry, "causes", causes_of(one));
    put_place(entry, qw_json_get(one, "first_divergence"));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *text = qw_json_get_text(qw_json_get(one, "expected"), kept[i], NULL);
        if (text)
            qw_json_put_text(entry, kept[i], text);
    }
    return entry;
}

/* The entry as it was. */
static struct qw_json *known(const struct qw_json *one)
{
    struct qw_json *entry = qw_json_object();
    qw_json_put_text(entry, "id", qw_json_get_text(one, "id", ""));
    for (const struct qw_json *f = qw_json_first(qw_json_get(one, "expected")); f; f = qw_json_next(f))
        qw_json_put(entry, qw_json_key(f), qw_json_copy(f));
    return entry;
}

static bool is_one_of(const char *status, const char *words)
{
    const char *at = strstr(words, status);
    return *status && at && (at == words || at[-1] == ' ') && (!at[strlen(status)] || at[strlen(status)] == ' ');
}

static struct qw_json *entry_of(const struct qw_json *one)
{
    const char *status = qw_json_get_text(one, "status", "");
    struct qw_json *causes = causes_of(one);
    bool named = qw_json_size(causes) > 0, expected = qw_json_is_object(qw_json_get(one, "expected"));
    qw_json_free(causes);
    if (is_one_of(status, "FAIL XFAIL CHANGED") && named)
        return failure(one);
    return expected && strcmp(status, "XPASS") != 0 && strcmp(status, "PASS") != 0 ? known(one) : NULL;
}

struct qw_json *qc_baseline_make(const struct qw_json *document)
{
    const struct qw_json *cases = qw_json_get(document, "cases"), **all = sorted(cases);
    struct qw_json *baseline = qw_json_object();
    int count = qw_json_size(cases);
    qw_json_put_text(baseline, "schema", RP_BASELINE);
    struct qw_json *entries = qw_json_put(baseline, "cases", qw_json_array());
    for (int i = 0; i < count; i++) {
        struct qw_json *entry = entry_of(all[i]);
        if (entry)
            qw_json_add(entries, entry);
    }
    free(all);
    return baseline;
}
