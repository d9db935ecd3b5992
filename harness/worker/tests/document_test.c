/* The result document: counts, and the exit code for every combination of statuses. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/noise.h"
#include "harness/worker/document.h"

/* A document of cases with the statuses in `words`, separated by spaces. */
static struct qw_json *document_of(const char *words)
{
    struct qw_json *cases[16];
    int count = 0;
    char copy[256], *rest = NULL, *arguments[] = {"/usr/bin/qconform", "diagnose", "a b.h5"};
    strcpy(copy, words);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        cases[count] = qw_json_object();
        qw_json_put_text(cases[count++], "status", word);
    }
    struct qc_workers workers = {.jobs = 2, .core = "Haswell"};
    return qc_document_make(cases, count, &(struct qc_document){3, arguments, qc_document_tool(&workers), NULL, QC_EXIT_OK});
}

static void expect_exit(const char *statuses, int code, const char *name)
{
    struct qw_json *document = document_of(statuses);
    const struct qw_json *json = qw_json_get(document, "exit");
    cr_expect_eq(qw_json_get_int(json, "code", -1), code, "%s: exit %d, not %d", statuses, (int)qw_json_get_int(json, "code", -1),
                 code);
    cr_expect_str_eq(qw_json_get_text(json, "name", ""), name, "%s", statuses);
    cr_expect_eq((int)qc_document_exit(document), code);
    qw_json_free(document);
}

Test(document, one_status_alone)
{
    expect_exit("PASS", 0, "ok");
    expect_exit("FAIL", 1, "diverged");
    expect_exit("ERROR", 3, "bad-input");
    expect_exit("SKIP", 4, "nothing");
    expect_exit("XFAIL", 0, "ok");
    expect_exit("XPASS", 6, "unexpected-pass");
    expect_exit("CHANGED", 1, "diverged");
    expect_exit("TIMEOUT", 5, "inconclusive");
    expect_exit("CRASH", 5, "inconclusive");
    expect_exit("NOTRUN", 5, "inconclusive");
    expect_exit("", 4, "nothing");
}

Test(document, several_of_one_status)
{
    expect_exit("PASS PASS PASS", 0, "ok");
    expect_exit("ERROR ERROR", 3, "bad-input");
    expect_exit("SKIP SKIP", 4, "nothing");
    expect_exit("CRASH CRASH", 5, "inconclusive");
}

/* A failure is a failure, whatever else could not be decided. */
Test(document, a_failure_among_others)
{
    static const char *const others[] = {"PASS", "ERROR", "SKIP", "XFAIL", "XPASS", "TIMEOUT", "CRASH", "NOTRUN", "CHANGED"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char words[64] = "FAIL ";
        strcat(words, others[i]);
        expect_exit(words, 1, "diverged");
        strcat(words, " PASS FAIL");
        expect_exit(words + 5, 1, "diverged");
    }
}

Test(document, an_error_among_others)
{
    expect_exit("ERROR PASS", 5, "inconclusive");
    expect_exit("PASS ERROR", 5, "inconclusive");
    expect_exit("ERROR XFAIL", 5, "inconclusive");
    expect_exit("ERROR XPASS", 5, "inconclusive");
    expect_exit("ERROR CRASH", 5, "inconclusive");
    expect_exit("ERROR TIMEOUT PASS", 5, "inconclusive");
}

Test(document, a_loss_among_others)
{
    expect_exit("CRASH PASS", 5, "inconclusive");
    expect_exit("TIMEOUT PASS SKIP", 5, "inconclusive");
    expect_exit("NOTRUN XPASS", 5, "inconclusive");
    expect_exit("CRASH SKIP", 5, "inconclusive");
}

Test(document, skips_and_expectations)
{
    expect_exit("SKIP PASS", 0, "ok");
    expect_exit("SKIP XFAIL", 0, "ok");
    expect_exit("XFAIL PASS", 0, "ok");
    expect_exit("XPASS PASS", 6, "unexpected-pass");
    expect_exit("XPASS SKIP", 6, "unexpected-pass");
    expect_exit("XPASS XFAIL", 6, "unexpected-pass");
}

Test(document, counts)
{
    static const char *const statuses[] = {"PASS",  "FAIL",    "ERROR",   "SKIP",  "XFAIL",
                                           "XPASS", "CHANGED", "TIMEOUT", "CRASH", "NOTRUN"};
    static const int counts[] = {3, 1, 2, 0, 0, 0, 0, 1, 0, 0};
    struct qw_json *document = document_of("PASS ERROR PASS FAIL TIMEOUT ERROR PASS");
    const struct qw_json *summary = qw_json_get(document, "summary");
    cr_expect_eq(qw_json_size(summary), 10);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(qw_json_get_int(summary, statuses[i], -1), counts[i], "%s", statuses[i]);
    cr_expect_eq(qw_json_size(qw_json_get(document, "cases")), 7);
    cr_expect_str_eq(qw_json_get_text(qw_json_first(qw_json_get(document, "cases")), "status", ""), "PASS");
    qw_json_free(document);
}

Test(document, head)
{
    struct qw_json *document = document_of("PASS");
    cr_expect_str_eq(qw_json_get_text(document, "schema", ""), "qconform-result/1");
    const struct qw_json *tool = qw_json_get(document, "tool"), *noise = qw_json_get(document, "noise");
    cr_expect_str_eq(qw_json_get_text(tool, "name", ""), "qconform");
    cr_expect(qw_json_get_text(tool, "version", "")[0]);
    cr_expect(qw_json_get_text(tool, "blas", "")[0]);
    cr_expect_str_eq(qw_json_get_text(tool, "blas_core", ""), "Haswell");
    cr_expect_eq(qw_json_get_int(tool, "threads", 0), 2);
    cr_expect_eq(qw_json_get_real(noise, "multiple", 0), QC_NOISE_MULTIPLE);
    cr_expect(qw_json_get_text(noise, "basis", "")[0]);
    const struct qw_json *command = qw_json_get(document, "command");
    cr_expect_eq(qw_json_size(command), 3);
    cr_expect_str_eq(qw_json_text(qw_json_first(command), ""), "qconform", "not where the program happens to lie");
    cr_expect_str_eq(qw_json_text(qw_json_next(qw_json_next(qw_json_first(command))), ""), "a b.h5");
    qw_json_free(document);
}

Test(document, the_epoch_fixes_the_time)
{
    setenv("SOURCE_DATE_EPOCH", "1767225600", 1);
    char *stamp = qc_timestamp();
    cr_expect_str_eq(stamp, "2026-01-01T00:00:00Z");
    free(stamp);
    setenv("SOURCE_DATE_EPOCH", "0", 1);
    struct qw_json *once = document_of("PASS FAIL"), *again = document_of("PASS FAIL");
    char *first = qw_json_print(once, true), *second = qw_json_print(again, true);
    cr_expect_str_eq(qw_json_get_text(once, "created", ""), "1970-01-01T00:00:00Z");
    cr_expect_str_eq(first, second);
    free(first);
    free(second);
    qw_json_free(once);
    qw_json_free(again);
}

Test(document, a_document_without_an_exit_is_a_bug)
{
    struct qw_json *empty = qw_json_object();
    cr_expect_eq((int)qc_document_exit(empty), 70);
    qw_json_free(empty);
}
