/* What is said of all cases together: counts, one sentence, the next command. */
#include "reports/tests/documents.h"
#include "reports/view.h"

/* `made` says how many cases of which status there are: "PASS 2 XFAIL 1". */
static struct qw_json *document_of(const char *made, const char *exit_name, const char *command)
{
    struct qw_json *document = qw_json_object(), *words = qw_json_put(document, "command", qw_json_array());
    struct qw_json *cases = qw_json_put(document, "cases", qw_json_array()),
                   *end = qw_json_put(document, "exit", qw_json_object());
    char status[16], word[64];
    int count, length;
    for (; sscanf(command, "%63s%n", word, &length) == 1; command += length)
        qw_json_add_text(words, word);
    for (; sscanf(made, "%15s %d%n", status, &count, &length) == 2; made += length)
        for (int i = 0; i < count; i++) {
            struct qw_json *one = qw_json_add(cases, qw_json_object());
            qw_json_put_text(one, "status", status);
            qw_json_put_text(one, "recording", "a b.h5");
        }
    qw_json_put_text(end, "name", exit_name);
    return document;
}

static void expect_verdict(const char *made, const char *exit_name, const char *verdict)
{
    struct qw_json *document = document_of(made, exit_name, "qconform run suites");
    struct qw_text text = {0};
    cr_expect_eq(rp_add_whole_verdict(&text, document), *verdict != 0, "%s", made);
    cr_expect_str_eq(text.bytes ? text.bytes : "", verdict);
    qw_text_free(&text);
    qw_json_free(document);
}

Test(whole, one_sentence_says_the_worst_first_and_leaves_nothing_out)
{
    expect_verdict("", "nothing", "");
    expect_verdict("FAIL 1", "diverged", "");
    expect_verdict("PASS 3", "ok", "Conforms: all 3 cases pass.");
    expect_verdict("PASS 2 XFAIL 3", "ok", "Conforms: 2 of 5 cases pass, 3 fail as the baseline expects.");
    expect_verdict("PASS 2 SKIP 1", "ok", "Conforms: 2 of 3 cases pass, 1 was skipped.");
    expect_verdict("XFAIL 2", "ok", "As expected: 0 of 2 cases pass, 2 fail as the baseline expects.");
    expect_verdict("SKIP 2", "nothing", "Nothing was judged: 2 of 2 cases were skipped.");
    expect_verdict("PASS 1 XPASS 1", "unexpected-pass",
                   "The baseline is stale: 1 of 2 cases pass although it expects a failure.");
    expect_verdict("PASS 1 ERROR 1 CRASH 1 TIMEOUT 1", "inconclusive", "Not decided: 3 of 4 cases ended without a verdict.");
    expect_verdict("PASS 1 NOTRUN 2", "interrupted", "Interrupted. Not complete: 2 of 3 cases were not run.");
    expect_verdict("FAIL 1 CHANGED 1 XFAIL 1 XPASS 1 ERROR 1 NOTRUN 1 SKIP 1", "diverged",
                   "Does not conform: 2 of 7 cases fail (1 in another way than the baseline expects), 1 fails as the baseline "
                   "expects, 1 passes although the baseline expects a failure, 1 ended without a verdict, 1 was not run, 1 was "
                   "skipped.");
}

static void expect_next(const char *made, const char *exit_name, const char *command, const char *next)
{
    struct qw_json *document = document_of(made, exit_name, command);
    struct qw_text text = {0};
    cr_expect_eq(rp_add_next_of_all(&text, document), *next != 0, "%s", made);
    cr_expect_str_eq(text.bytes ? text.bytes : "", next);
    qw_text_free(&text);
    qw_json_free(document);
}

Test(whole, what_comes_next_goes_on_with_a_run_or_tells_the_worst_case_in_full)
{
    expect_next("PASS 2 XFAIL 2", "ok", "qconform run suites", "");
    expect_next("XFAIL 2", "ok", "qconform run suites", "");
    expect_next("PASS 2 FAIL 2", "diverged", "qconform run suites", "qconform diagnose 'a b.h5'");
    expect_next("FAIL 1 NOTRUN 2", "interrupted", "qconform run suites --resume -j2", "qconform run suites -j2 --resume");
    expect_next("PASS 1 NOTRUN 2", "inconclusive", "qconform run 'x --fail-fast=2", "qconform run ''\\''x' --resume");
    expect_next("FAIL 1 NOTRUN 2", "diverged", "qconform run suites --fail-fast", "qconform diagnose 'a b.h5'");
    expect_next("PASS 1 NOTRUN 1", "inconclusive", "qconform merge a b", "qconform inspect 'a b.h5'");
}
