/* Invariant: of the same results the same one is chosen, in whatever order they come, and joining what was joined adds
 * nothing. */
#include "harness/suite/merge_cases.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reports/escape.h"

#define DISAGREE "results-disagree"

/* From the one that says least to the worst; from PASS on something was decided. */
static const char *const ranks[] = {"NOTRUN", "ERROR", "TIMEOUT", "CRASH", "PASS", "XFAIL", "SKIP", "XPASS", "CHANGED", "FAIL"};
enum { DECIDED = 4, RANKS = sizeof ranks / sizeof *ranks };

static int rank_of(const struct qw_json *one)
{
    int rank = 0;
    while (rank < RANKS - 1 && strcmp(ranks[rank], qw_json_get_text(one, "status", "")) != 0)
        rank++;
    return rank;
}

/* Texts in their order, each once. */
struct words {
    char **word;
    int count;
};

/* Takes the word. */
static void words_add(struct words *words, char *word)
{
    int at = 0;
    while (at < words->count && strcmp(words->word[at], word) < 0)
        at++;
    if (at < words->count && !strcmp(words->word[at], word)) {
        free(word);
        return;
    }
    words->word = qw_realloc(words->word, (size_t)words->count + 1, sizeof *words->word);
    memmove(words->word + at + 1, words->word + at, (size_t)(words->count - at) * sizeof *words->word);
    words->word[at] = word;
    words->count++;
}

static void words_clear(struct words *words)
{
    for (int i = 0; i < words->count; i++)
        free(words->word[i]);
    free(words->word);
}

/* --- cases --- */

static bool same_text(const struct qw_json *a, const struct qw_json *b, const char *key)
{
    return !strcmp(qw_json_get_text(a, key, ""), qw_json_get_text(b, key, ""));
}

static bool same_print(const struct qw_json *a, const struct qw_json *b, const char *key)
{
    const struct qw_json *x = qw_json_get(a, key), *y = qw_json_get(b, key);
    if (qw_json_is_null(x) || qw_json_is_null(y))
        return qw_json_is_null(x) && qw_json_is_null(y);
    char *s = qw_json_print(x, false), *t = qw_json_print(y, false);
    bool same = !strcmp(s, t);
    free(s);
    free(t);
    return same;
}

/* What could not be read has no digest: it is known by its path. */
static bool same_recording(const struct qw_json *a, const struct qw_json *b)
{
    return same_text(a, b, "recording_sha256") &&
           (qw_json_is_text(qw_json_get(a, "recording_sha256")) || same_text(a, b, "recording"));
}

bool qc_merge_is_same_case(const struct qw_json *a, const struct qw_json *b)
{
    const struct qw_json *x = qw_json_get(a, "other"), *y = qw_json_get(b, "other");
    return same_text(a, b, "id") && same_recording(a, b) && same_text(a, b, "mode") && same_recording(x, y) &&
           same_print(a, b, "selection") && same_print(a, b, "floor");
}

bool qc_merge_agree(const struct qc_merge_one *found, int count, struct qw_error *error)
{
    const struct qc_merge_one *first = NULL;
    for (const struct qc_merge_one *one = found; one < found + count; one++) {
        const char *hash = qw_json_get_text(one->result, "recording_sha256", NULL);
        if (!hash || rank_of(one->result) < DECIDED)
            continue;
        if (!first)
            first = one;
        if (strcmp(hash, qw_json_get_text(first->result, "recording_sha256", "")) != 0) {
            struct qw_text id = {0};
            rp_escape_terminal(&id, qw_json_get_text(one->result, "id", ""));
            qw_fail(error, QW_ERROR_INPUT, id.bytes,
                    "leave out the result of the wrong recording, or judge that case again with the same file in all places",
                    "was judged on another recording (SHA-256 %.12s...) than in %.200s (%.12s...)", hash, first->path,
                    qw_json_get_text(first->result, "recording_sha256", ""));
            qw_text_free(&id);
            qw_error_in_file(error, one->path);
            return false;
        }
    }
    return true;
}

/* "FAIL (prompt-not-injected, rope-base-wrong)": what two decided results must have in common. */
static char *words_of(const struct qw_json *one)
{
    struct qw_text text = {0};
    const struct qw_json *cause = qw_json_first(qw_json_get(one, "causes"));
    qw_text_add(&text, ranks[rank_of(one)]);
    for (const char *before = " ("; cause; cause = qw_json_next(cause), before = ", ")
        qw_text_addf(&text, "%s%s%s", before, qw_json_get_text(cause, "id", ""), qw_json_next(cause) ? "" : ")");
    return qw_text_take(&text);
}

/* Above 0 when `a` is to stand for both. */
static int order(const struct qw_json *a, const struct qw_json *b)
{
    if (rank_of(a) != rank_of(b))
        return rank_of(a) - rank_of(b);
    char *x = words_of(a), *y = words_of(b), *s = qw_json_print(a, false), *t = qw_json_print(b, false);
    int result = strcmp(x, y) ? strcmp(y, x) : strcmp(t, s);
    free(x);
    free(y);
    free(s);
    free(t);
    return result;
}

static bool is_disagreement(const struct qw_json *finding) { return !strcmp(qw_json_get_text(finding, "id", ""), DISAGREE); }

/* What else is said of the case, now or when some of these results were joined before. */
static struct words other_words(const struct qw_json *best, const struct qc_merge_one *found, int count)
{
    struct words words = {0};
    char *mine = words_of(best);
    for (int i = 0; i < count; i++) {
        char *word = words_of(found[i].result);
        if (rank_of(found[i].result) >= DECIDED && strcmp(word, mine) != 0)
            words_add(&words, qw_format("another result of this case says %s; the worse one is kept", word));
        free(word);
        const struct qw_json *f = qw_json_first(qw_json_get(found[i].result, "findings"));
        for (; f; f = qw_json_next(f))
            if (is_disagreement(f))
                words_add(&words, qw_strdup(qw_json_get_text(f, "message", "")));
    }
    free(mine);
    return words;
}

static struct qw_json *findings_with(const struct qw_json *old, const struct words *words)
{
    struct qw_json *all = qw_json_array();
    for (int i = 0; i < words->count; i++) {
        struct qw_json *finding = qw_json_add(all, qw_json_object());
        qw_json_put_text(finding, "id", DISAGREE);
        qw_json_put_text(finding, "severity", "error");
        qw_json_put_null(finding, "step");
        qw_json_put_null(finding, "layer");
        qw_json_put_null(finding, "site");
        qw_json_put_text(finding, "message", words->word[i]);
    }
    for (const struct qw_json *f = qw_json_first(old); f; f = qw_json_next(f))
        if (!is_disagreement(f))
            qw_json_add(all, qw_json_copy(f));
    return all;
}

struct qw_json *qc_merge_choose(const struct qc_merge_one *found, int count)
{
    const struct qw_json *best = found[0].result;
    for (int i = 1; i < count; i++)
        best = order(found[i].result, best) > 0 ? found[i].result : best;
    struct words words = count > 1 ? other_words(best, found, count) : (struct words){0};
    struct qw_json *chosen = qw_json_copy(best);
    if (words.count)
        qw_json_set(chosen, "findings", findings_with(qw_json_get(best, "findings"), &words));
    words_clear(&words);
    return chosen;
}

/* --- the program and its machines --- */

/* The distinct texts of that field, each of which may be such a list already. */
static void put_distinct(struct qw_json *tool, const char *key, const struct qc_merge_part *parts, int count)
{
    struct words words = {0};
    struct qw_text text = {0};
    for (int i = 0; i < count; i++) {
        const char *at = qw_json_get_text(qw_json_get(parts[i].document, "tool"), key, "");
        for (const char *end; (end = strstr(at, ", ")); at = end + 2)
            words_add(&words, qw_format("%.*s", (int)(end - at), at));
        words_add(&words, qw_strdup(at));
    }
    for (int i = 0; i < words.count; i++)
        qw_text_addf(&text, "%s%s", i ? ", " : "", words.word[i]);
    qw_json_put_text(tool, key, text.bytes ? text.bytes : "");
    qw_text_free(&text);
    words_clear(&words);
}

static void words_add_all(struct words *words, const struct qw_json *texts)
{
    for (const struct qw_json *text = qw_json_first(texts); text; text = qw_json_next(text))
        words_add(words, qw_strdup(qw_json_text(text, "")));
}

static int64_t version_in_force(const struct qw_json *field) { return qw_json_int(field, qw_json_bool(field, false)); }

/* What two groups of workers both had; what either missed. */
static struct qw_json *both_sandboxes(const struct qw_json *a, const struct qw_json *b)
{
    struct qw_json *both = qw_json_object();
    struct words missing = {0};
    for (const struct qw_json *field = qw_json_first(a); field; field = qw_json_next(field)) {
        const struct qw_json *other = qw_json_get(b, qw_json_key(field));
        int64_t mine = version_in_force(field), theirs = version_in_force(other);
        if (qw_json_is_bool(field) && qw_json_is_bool(other))
            qw_json_put_bool(both, qw_json_key(field), mine && theirs);
        else if (!qw_json_is_array(field))
            qw_json_put_int(both, qw_json_key(field), mine < theirs ? mine : theirs);
    }
    words_add_all(&missing, qw_json_get(a, "missing"));
    words_add_all(&missing, qw_json_get(b, "missing"));
    struct qw_json *list = qw_json_put(both, "missing", qw_json_array());
    for (int i = 0; i < missing.count; i++)
        qw_json_add_text(list, missing.word[i]);
    words_clear(&missing);
    return both;
}

/* A part without a sandbox had no worker that answered, and says nothing of them. */
static struct qw_json *joined_sandbox(const struct qc_merge_part *parts, int count)
{
    const struct qw_json *first = NULL;
    struct qw_json *joined = NULL;
    for (int i = 0; i < count; i++) {
        const struct qw_json *tool = qw_json_get(parts[i].document, "tool"), *sandbox = qw_json_get(tool, "sandbox");
        if (!qw_json_is_object(sandbox))
            continue;
        if (!first) {
            first = tool;
            joined = qw_json_copy(sandbox);
        } else if (!same_print(first, tool, "sandbox")) {
            struct qw_json *both = both_sandboxes(joined, sandbox);
            qw_json_free(joined);
            joined = both;
        }
    }
    return joined;
}

struct qw_json *qc_merge_tools(const struct qc_merge_part *parts, int count)
{
    struct qw_json *tool = qw_json_object(), *sandbox = joined_sandbox(parts, count);
    int64_t threads = 1;
    for (int i = 0; i < count; i++) {
        int64_t mine = qw_json_get_int(qw_json_get(parts[i].document, "tool"), "threads", 1);
        threads = mine > threads ? mine : threads;
    }
    qw_json_put_text(tool, "name", "qconform");
    qw_json_put_text(tool, "version", QC_VERSION);
    put_distinct(tool, "blas", parts, count);
    put_distinct(tool, "blas_core", parts, count);
    qw_json_put_int(tool, "threads", threads);
    if (sandbox)
        qw_json_put(tool, "sandbox", sandbox);
    else
        qw_json_put_null(tool, "sandbox");
    return tool;
}
