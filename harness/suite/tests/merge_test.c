/* Joining: whatever is lost, doubled or given in another order, the document is that of the whole run, or says what is not
 * there. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/noise.h"
#include "harness/suite/merge.h"
#include "harness/worker/case.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reports/check.h"

enum { CASES = 100 };

static struct qw_json *a_cause(const char *id)
{
    struct qw_json *cause = qw_json_object();
    qw_json_put_text(cause, "id", id);
    qw_json_put_text(cause, "title", "made up");
    qw_json_put_text(cause, "confidence", "high");
    qw_json_put_int(cause, "explained", 1);
    qw_json_put(cause, "against", qw_json_array());
    qw_json_put_null(cause, "runner_up");
    qw_json_put(cause, "equivalent", qw_json_array());
    qw_json_put_null(cause, "parameter");
    qw_json_put(cause, "upstream", qw_json_array());
    qw_json_put_null(cause, "fixed_in");
    qw_json_put_text(cause, "remedy", "none");
    return cause;
}

static struct qw_json *a_case(int number, const char *status, const char *cause)
{
    struct qw_error error = {0};
    char *id = qw_format("group/case-%d", number);
    qw_fail(&error, QW_ERROR_INPUT, "", "", "made up");
    struct qw_json *one = qc_case_undecided(id, "run.h5", NULL, status, &error), *whole = qw_json_object();
    for (const struct qw_json *f = qw_json_first(one); f; f = qw_json_next(f)) {
        struct qw_json *put = qw_json_put(whole, qw_json_key(f), qw_json_copy(f));
        if (!strcmp(qw_json_key(f), "causes") && cause)
            qw_json_add(put, a_cause(cause));
    }
    qw_json_put_real(qw_json_put(whole, "timing", qw_json_object()), "seconds", 0.5);
    qw_json_free(one);
    free(id);
    return whole;
}

static struct qw_json *a_tool(const char *core)
{
    struct qc_workers workers = {.jobs = 2};
    strcpy(workers.core, core);
    return qc_document_tool(&workers);
}

static struct qw_json *a_run(int shard, int shards, const char *digest, const char *baseline)
{
    struct qw_json *run = qw_json_object();
    struct qw_json *suite = qw_json_add(qw_json_put(run, "suites", qw_json_array()), qw_json_object());
    qw_json_put_text(suite, "file", "suites/suite.json");
    qw_json_put_text(suite, "title", "made up");
    qw_json_put_text(suite, "sha256", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    qw_json_put_int(suite, "cases", CASES);
    struct qw_json *known = qw_json_put(run, "baselines", qw_json_array());
    if (baseline) {
        known = qw_json_add(known, qw_json_object());
        qw_json_put_text(known, "file", "baseline.json");
        qw_json_put_text(known, "sha256", baseline);
        qw_json_put_int(known, "cases", 1);
    }
    qw_json_put(run, "globs", qw_json_array());
    qw_json_put_null(run, "filter");
    if (shards) {
        struct qw_json *part = qw_json_put(run, "shard", qw_json_object());
        qw_json_put_int(part, "index", shard);
        qw_json_put_int(part, "count", shards);
    } else {
        qw_json_put_null(run, "shard");
    }
    qw_json_put_text(run, "digest", digest);
    struct qw_json *ids = qw_json_put(run, "cases", qw_json_array());
    for (int i = 0; i < CASES; i++) {
        char *id = qw_format("group/case-%d", i);
        qw_json_add_text(ids, id);
        free(id);
    }
    return run;
}

#define DIGEST "00000000000000000000000000000000000000000000000000000000000000aa"
#define OTHER  "00000000000000000000000000000000000000000000000000000000000000bb"

/* What case `i` of the made-up run gives. */
static const char *status_of(int i) { return i % 7 == 3 ? "XFAIL" : i % 10 == 9 ? "SKIP" : "PASS"; }

/* A shard of the made-up run; 0 of 0 is all of it. */
static struct qw_json *a_shard(int shard, int shards)
{
    struct qw_json *cases[CASES];
    int count = 0;
    for (int i = 0; i < CASES; i++)
        if (!shards || i % shards == shard - 1)
            cases[count++] = a_case(i, status_of(i), i % 7 == 3 ? "some-cause" : NULL);
    struct qc_document about = {.tool = a_tool("Haswell"), .run = a_run(shard, shards, DIGEST, NULL)};
    return qc_document_make(cases, count, &about);
}

/* One case in a document without a run, or, with `run`, of shard 1 of CASES. */
static struct qw_json *alone(struct qw_json *one, bool run, const char *core)
{
    struct qc_document about = {.tool = a_tool(core), .run = run ? a_run(1, CASES, DIGEST, NULL) : NULL};
    return qc_document_make(&one, 1, &about);
}

/* Joins and frees the documents.  `why` gets the refusal, `said` the notices, if asked for; both to be freed. */
static struct qw_json *joined(struct qw_json **documents, int count, char **why, char **said)
{
    struct qc_merge_part *parts = QW_NEW_ARRAY(struct qc_merge_part, count);
    struct qw_json *notices = qw_json_array();
    struct qw_error error = {0};
    static char *command[] = {"qconform", "merge"};
    struct qc_document about = {.argc = 2, .argv = command};
    char words[2400];
    for (int i = 0; i < count; i++)
        parts[i] = (struct qc_merge_part){i ? "later.json" : "first.json", documents[i]};
    struct qw_json *document = qc_merge(parts, count, &about, notices, &error);
    qw_error_text(words, sizeof words, &error);
    if (why)
        *why = qw_strdup(words);
    if (said)
        *said = qw_json_print(notices, false);
    if (document)
        cr_expect(rp_check(document, &error), "%s: %s", error.place, error.message);
    else
        cr_expect(why, "%s", words);
    for (int i = 0; i < count; i++)
        qw_json_free(documents[i]);
    qw_json_free(notices);
    free(parts);
    return document;
}

/* The document as text, freed, without what no two runs have in common. */
static char *text_of(struct qw_json *document)
{
    struct qw_json *rest = qw_json_object();
    for (const struct qw_json *f = qw_json_first(document); f; f = qw_json_next(f))
        if (strcmp(qw_json_key(f), "created") != 0 && strcmp(qw_json_key(f), "command") != 0)
            qw_json_put(rest, qw_json_key(f), qw_json_copy(f));
    char *text = qw_json_print(rest, false);
    qw_json_free(rest);
    qw_json_free(document);
    return text;
}

static void expect_same(struct qw_json *document, struct qw_json *due, const char *what, int number)
{
    char *got = text_of(document), *wanted = text_of(due);
    cr_expect_str_eq(got, wanted, "%s %d", what, number);
    free(got);
    free(wanted);
}

static void expect_refused(struct qw_json **documents, int count, const char *words)
{
    char *why = NULL;
    struct qw_json *document = joined(documents, count, &why, NULL);
    cr_expect(!document && strstr(why, words), "\"%s\" is not in: %s", words, why);
    qw_json_free(document);
    free(why);
}

static int count_of(const struct qw_json *document, const char *status)
{
    return (int)qw_json_get_int(qw_json_get(document, "summary"), status, -1);
}

Test(suite_merge, any_number_of_shards_gives_the_whole_run)
{
    for (int shards = 1; shards <= 64; shards += shards < 8 ? 1 : 7) {
        struct qw_json *parts[64];
        for (int s = 0; s < shards; s++)
            parts[s] = a_shard(s + 1, shards);
        char *said = NULL;
        struct qw_json *document = joined(parts, shards, NULL, &said);
        cr_expect_str_eq(said, "[]\n");
        free(said);
        expect_same(document, a_shard(0, 0), "shards:", shards);
    }
}

Test(suite_merge, more_shards_than_cases_leave_nothing_out)
{
    struct qw_json *parts[CASES + 20];
    for (int s = 0; s < CASES + 20; s++)
        parts[s] = a_shard(s + 1, CASES + 20);
    expect_same(joined(parts, CASES + 20, NULL, NULL), a_shard(0, 0), "shards:", CASES + 20);
}

Test(suite_merge, order_and_repetition_change_nothing)
{
    struct qw_json *backwards[] = {a_shard(3, 3), a_shard(1, 3), a_shard(2, 3)};
    expect_same(joined(backwards, 3, NULL, NULL), a_shard(0, 0), "backwards", 0);
    struct qw_json *twice[] = {a_shard(3, 3), a_shard(1, 3), a_shard(3, 3), a_shard(2, 3), a_shard(1, 3)};
    expect_same(joined(twice, 5, NULL, NULL), a_shard(0, 0), "twice", 0);
    struct qw_json *whole[] = {a_shard(0, 0), a_shard(2, 3)};
    expect_same(joined(whole, 2, NULL, NULL), a_shard(0, 0), "whole and a shard", 0);
}

Test(suite_merge, each_shard_that_is_not_there_is_named)
{
    for (int lost = 1; lost <= 64; lost++) {
        struct qw_json *parts[63];
        for (int s = 1, at = 0; s <= 64; s++)
            if (s != lost)
                parts[at++] = a_shard(s, 64);
        char *said = NULL, *due = qw_format("missing of 64 shards: %d\"", lost), *shard = qw_format("shard %d of 64", lost);
        struct qw_json *document = joined(parts, 63, NULL, &said);
        int cases = (CASES - lost) / 64 + 1;
        const struct qw_json *one = qw_json_first(qw_json_get(document, "cases"));
        for (int i = 1; i < lost; i++)
            one = qw_json_next(one);
        cr_expect(strstr(said, due), "%s is not in %s", due, said);
        cr_expect_eq(count_of(document, "NOTRUN"), cases);
        cr_expect_eq(qc_document_exit(document), QC_EXIT_INCONCLUSIVE);
        cr_expect_str_eq(qw_json_get_text(one, "status", ""), "NOTRUN");
        cr_expect(strstr(qw_json_get_text(one, "verdict", ""), shard), "%s", qw_json_get_text(one, "verdict", ""));
        struct qw_json *late[] = {document, a_shard(lost, 64)};
        expect_same(joined(late, 2, NULL, NULL), a_shard(0, 0), "late shard", lost);
        free(said);
        free(due);
        free(shard);
    }
}

Test(suite_merge, joining_again_what_was_joined_in_part_changes_nothing)
{
    struct qw_json *parts[] = {a_shard(1, 4), a_shard(4, 4)};
    struct qw_json *first = joined(parts, 2, NULL, NULL), *due = qw_json_copy(first);
    expect_same(joined(&first, 1, NULL, NULL), due, "alone", 0);
    struct qw_json *one[] = {a_shard(1, 4), a_shard(4, 4)}, *half = joined(one, 2, NULL, NULL);
    struct qw_json *again[] = {a_shard(2, 4), half, a_shard(1, 4), a_shard(3, 4)};
    expect_same(joined(again, 4, NULL, NULL), a_shard(0, 0), "in two steps", 0);
}

Test(suite_merge, shards_of_two_ways_to_cut_are_joined)
{
    struct qw_json *parts[] = {a_shard(1, 2), a_shard(2, 4), a_shard(4, 4)};
    expect_same(joined(parts, 3, NULL, NULL), a_shard(0, 0), "halves and quarters", 0);
    struct qw_json *fewer[] = {a_shard(1, 2), a_shard(2, 4)};
    char *said = NULL;
    struct qw_json *document = joined(fewer, 2, NULL, &said);
    cr_expect(strstr(said, "25 of 100 cases are NOTRUN: no result has them\""), "%s", said);
    qw_json_free(document);
    free(said);
}

Test(suite_merge, a_shard_that_lost_cases_is_named)
{
    struct qw_json *cases[] = {a_case(0, "PASS", NULL), a_case(4, "PASS", NULL)};
    struct qc_document about = {.tool = a_tool("Haswell"), .run = a_run(1, 2, DIGEST, NULL)};
    struct qw_json *parts[] = {qc_document_make(cases, 2, &about), a_shard(2, 2)};
    char *said = NULL;
    struct qw_json *document = joined(parts, 2, NULL, &said);
    cr_expect(strstr(said, "48 of 100 cases are NOTRUN: no result has them; missing of 2 shards: 1 (in part)"), "%s", said);
    cr_expect_eq(count_of(document, "NOTRUN"), 48);
    qw_json_free(document);
    free(said);
}

Test(suite_merge, what_belongs_to_another_run_is_refused)
{
    struct qc_document about = {.tool = a_tool("Haswell"), .run = a_run(2, 2, OTHER, NULL)};
    struct qw_json *digest[] = {a_shard(1, 2), qc_document_make(NULL, 0, &about)};
    expect_refused(digest, 2, "later.json: run.digest: is of another run of these suites than first.json");
    about = (struct qc_document){.tool = a_tool("Haswell"), .run = a_run(2, 2, DIGEST, OTHER)};
    struct qw_json *baseline[] = {a_shard(1, 2), qc_document_make(NULL, 0, &about)};
    expect_refused(baseline, 2, "later.json: run.baselines: was held against another baseline than first.json");
    struct qw_json *kind[] = {a_shard(1, 2), alone(a_case(0, "PASS", NULL), false, "Haswell")};
    expect_refused(kind, 2, "later.json: run: is of no run of suites");
    struct qw_json *other_kind[] = {alone(a_case(0, "PASS", NULL), false, "Haswell"), a_shard(1, 2)};
    expect_refused(other_kind, 2, "later.json: run: is of a run of suites");
}

Test(suite_merge, what_no_run_wrote_is_refused)
{
    struct qw_json *one = a_case(1, "PASS", NULL);
    struct qw_json *swapped[] = {a_shard(2, 2), alone(one, true, "Haswell")};
    expect_refused(swapped, 2, "has the case \"group/case-1\", which is none of this part of the run");
    struct qw_json *cases[] = {a_case(0, "PASS", NULL), a_case(0, "PASS", NULL)};
    struct qc_document about = {.tool = a_tool("Haswell"), .run = a_run(1, 2, DIGEST, NULL)};
    struct qw_json *doubled[] = {qc_document_make(cases, 2, &about)};
    expect_refused(doubled, 1, "first.json: cases: has the case \"group/case-0\"");
    about = (struct qc_document){.tool = a_tool("Haswell"), .run = a_run(3, 2, DIGEST, NULL)};
    struct qw_json *beyond[] = {qc_document_make(NULL, 0, &about)};
    expect_refused(beyond, 1, "first.json: run.shard: is a part that no run has");
}

/* A copy of the document with another text in the place of `old`. */
static struct qw_json *with(struct qw_json *document, const char *old, const char *new)
{
    char *text = qw_json_print(document, false), *at = strstr(text, old);
    cr_assert(at);
    char *changed = qw_format("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    struct qw_error error = {0};
    struct qw_json *copy = qw_json_parse(changed, strlen(changed), "", &error);
    cr_assert(copy, "%s", error.message);
    free(text);
    free(changed);
    qw_json_free(document);
    return copy;
}

Test(suite_merge, another_program_or_bound_is_refused)
{
    struct qw_json *newer[] = {a_shard(1, 2), with(a_shard(2, 2), "\"version\":\"" QC_VERSION, "\"version\":\"9.9.9")};
    expect_refused(newer, 2, "later.json: tool.version: was written by version 9.9.9 of the program, and this is " QC_VERSION);
    struct qw_json *bound[] = {a_shard(1, 2), with(a_shard(2, 2), "\"multiple\":", "\"multiple\":1")};
    expect_refused(bound, 2, "times the noise floor");
}

/* The only case of several results of it, in both orders, and joined once more with the last of them. */
static struct qw_json *chosen(struct qw_json *a, struct qw_json *b)
{
    struct qw_json *there[] = {alone(qw_json_copy(a), true, "Haswell"), alone(qw_json_copy(b), true, "Haswell")};
    struct qw_json *back[] = {alone(qw_json_copy(b), true, "Haswell"), alone(a, true, "Haswell")};
    struct qw_json *first = joined(there, 2, NULL, NULL), *copy = qw_json_copy(first);
    expect_same(joined(back, 2, NULL, NULL), copy, "back", 0);
    struct qw_json *again[] = {first, alone(b, true, "Haswell")}, *due = qw_json_copy(first);
    struct qw_json *last = joined(again, 2, NULL, NULL);
    expect_same(qw_json_copy(last), due, "again", 0);
    return last;
}

Test(suite_merge, a_decided_result_stands_before_an_undecided_one)
{
    static const char *const undecided[] = {"NOTRUN", "ERROR", "TIMEOUT", "CRASH"};
    static const char *const decided[] = {"PASS", "XFAIL", "SKIP", "XPASS", "CHANGED", "FAIL"};
    for (size_t u = 0; u < 4; u++)
        for (size_t d = 0; d < 6; d++) {
            struct qw_json *document = chosen(a_case(0, undecided[u], NULL), a_case(0, decided[d], NULL));
            const struct qw_json *one = qw_json_first(qw_json_get(document, "cases"));
            cr_expect_str_eq(qw_json_get_text(one, "status", ""), decided[d], "beside %s", undecided[u]);
            cr_expect_eq(qw_json_size(qw_json_get(one, "findings")), 0);
            qw_json_free(document);
        }
}

Test(suite_merge, where_two_results_disagree_the_worse_is_kept_and_says_so)
{
    struct qw_json *document = chosen(a_case(0, "PASS", NULL), a_case(0, "FAIL", "some-cause"));
    const struct qw_json *one = qw_json_first(qw_json_get(document, "cases")), *found = qw_json_get(one, "findings");
    cr_expect_str_eq(qw_json_get_text(one, "status", ""), "FAIL");
    cr_expect_eq(qw_json_size(found), 1);
    cr_expect_str_eq(qw_json_get_text(qw_json_first(found), "message", ""),
                     "another result of this case says PASS; the worse one is kept");
    struct qw_json *more[] = {document, alone(a_case(0, "FAIL", "other-cause"), true, "Haswell")};
    struct qw_json *last = joined(more, 2, NULL, NULL);
    found = qw_json_get(qw_json_first(qw_json_get(last, "cases")), "findings");
    cr_expect_eq(qw_json_size(found), 2);
    cr_expect(strstr(qw_json_get_text(qw_json_first(found), "message", ""), "says FAIL (some-cause)"));
    qw_json_free(last);
}

/* A case that was judged on the recording with that digest. */
static struct qw_json *judged_on(const char *digit, const char *status)
{
    char hash[65], *null = "\"recording_sha256\":null", *put;
    memset(hash, *digit, 64);
    hash[64] = 0;
    put = qw_format("\"recording_sha256\":\"%s\"", hash);
    struct qw_json *one = with(a_case(0, status, NULL), null, put);
    free(put);
    return one;
}

Test(suite_merge, a_case_is_of_one_recording)
{
    struct qw_json *two[] = {alone(judged_on("a", "PASS"), true, "Haswell"), alone(judged_on("b", "PASS"), true, "Haswell")};
    expect_refused(two, 2,
                   "later.json: group/case-0: was judged on another recording (SHA-256 bbbbbbbbbbbb...) than in first.json");
    struct qw_json *mended[] = {alone(judged_on("a", "ERROR"), true, "Haswell"), alone(judged_on("b", "PASS"), true, "Haswell")};
    struct qw_json *document = joined(mended, 2, NULL, NULL);
    cr_expect_eq(count_of(document, "PASS"), 1);
    qw_json_free(document);
}

Test(suite_merge, results_of_no_run_stand_one_after_the_other)
{
    struct qw_json *parts[] = {alone(a_case(5, "PASS", NULL), false, "Haswell"), alone(a_case(2, "PASS", NULL), false, "Haswell"),
                               alone(a_case(5, "PASS", NULL), false, "Haswell"), alone(judged_on("a", "PASS"), false, "Haswell"),
                               alone(judged_on("b", "FAIL"), false, "Haswell"),  alone(judged_on("a", "PASS"), false, "Haswell")};
    struct qw_json *document = joined(parts, 6, NULL, NULL);
    const struct qw_json *one = qw_json_first(qw_json_get(document, "cases"));
    cr_expect_eq(qw_json_size(qw_json_get(document, "cases")), 4);
    cr_expect_str_eq(qw_json_get_text(one, "id", ""), "group/case-5");
    cr_expect_eq(count_of(document, "FAIL"), 1);
    cr_expect_eq(qc_document_exit(document), QC_EXIT_DIVERGED);
    cr_expect_null(qw_json_get(document, "run"));
    qw_json_free(document);
}

Test(suite_merge, the_machines_of_all_parts_are_named)
{
    struct qw_json *parts[] = {with(alone(a_case(1, "PASS", NULL), false, "SkylakeX"), "\"sandbox\":null",
                                    "\"sandbox\":{\"landlock\":4,\"seccomp\":true,\"limits\":true,\"missing\":[\"x: y\"]}"),
                               with(alone(a_case(2, "PASS", NULL), false, "Haswell"), "\"sandbox\":null",
                                    "\"sandbox\":{\"landlock\":null,\"seccomp\":true,\"limits\":false,\"missing\":[\"a: b\"]}"),
                               alone(a_case(3, "PASS", NULL), false, "Haswell")};
    struct qw_json *copies[] = {qw_json_copy(parts[2]), qw_json_copy(parts[1]), qw_json_copy(parts[0])};
    struct qw_json *there = joined(parts, 3, NULL, NULL), *back = joined(copies, 3, NULL, NULL);
    char *text = qw_json_print(qw_json_get(there, "tool"), false), *other = qw_json_print(qw_json_get(back, "tool"), false);
    cr_expect(strstr(text, "\"blas_core\":\"Haswell, SkylakeX\""), "%s", text);
    cr_expect(strstr(text, "{\"landlock\":0,\"seccomp\":true,\"limits\":false,\"missing\":[\"a: b\",\"x: y\"]}"), "%s", text);
    cr_expect_str_eq(text, other);
    free(text);
    free(other);
    qw_json_free(there);
    qw_json_free(back);
}
