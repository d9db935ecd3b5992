/* Margins, grafts and the ledger: what -v and the page show of them, and what they make of numbers that are none. */
#include "reports/terminal_worth.h"

#include "reports/html.h"
#include "reports/tests/documents.h"
#include "reports/view.h"

static const char document[] =
    "{\"schema\": \"qconform-result/1\", \"noise\": {\"multiple\": 5}, \"cases\": [{\"id\": \"a\", \"status\": \"FAIL\", "
    "\"verdict\": \"v\", \"consequence\": {\"first_token_flip\": 1, \"top1_agreement\": 0.5, \"kl\": 0.25, \"says\": \"flips\", "
    "\"steps\": [{\"step\": 0, \"margin\": 2, \"error\": 0.5, \"kl\": 0, \"conforms\": true, \"top1_agrees\": true, "
    "\"expected_token\": 7, \"observed_token\": 7}, {\"step\": 1, \"margin\": 2, \"error\": \"inf\", \"kl\": \"inf\", "
    "\"conforms\": false, \"top1_agrees\": false, \"expected_token\": 8, \"observed_token\": null}]}, "
    "\"coverage\": {\"expected\": 3, \"compared\": 2, \"missing\": 1, \"waived\": 0, \"blind\": [], \"ledger\": [{\"step\": 0, "
    "\"party\": \"<model>\", \"expected\": 3, \"compared\": 2, \"missing\": 1, \"waived\": 0, \"by_value\": 1}]}, "
    "\"sites\": [{\"step\": 1, \"layer\": 0, \"site\": \"<output>\", \"status\": \"differs\", \"ratio\": 9, "
    "\"ratio_isolated\": 8, \"grafted\": {\"kl\": 0.125, \"change\": \"nan\", \"top1_agrees\": false}}]}]}";

Test(worth, the_terminal_says_what_each_step_and_tensor_is_worth)
{
    struct qw_json *result = parse_document(document);
    struct qw_text out = {0};
    rp_terminal_worth(&out, qw_json_first(qw_json_get(result, "cases")), 200);
    static const char *const lines[] = {"margins     step 0: margin 2, error 0.5, KL 0, token 7 stays\n",
                                        "step 1: margin 2, error inf, KL inf, token - where 8 is expected\n",
                                        "it changes the logits by nan times their noise floor, KL 0.125, another token\n",
                                        "ledger      step 0, <model>: 2 of 3 compared, 1 by value, 1 missing, 0 waived\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect(strstr(out.bytes, lines[i]), "%s is not in\n%s", lines[i], out.bytes);
    qw_text_free(&out);
    qw_json_free(result);
}

Test(worth, the_page_draws_a_meter_only_of_numbers)
{
    struct qw_json *result = parse_document(document);
    struct qw_text out = {0};
    rp_html(&out, result);
    cr_expect_eq(count_of(out.bytes, "<meter"), 1);
    cr_expect(strstr(out.bytes, "value=\"0.250\""));
    cr_expect(strstr(out.bytes, "&lt;output&gt;") && strstr(out.bytes, "&lt;model&gt;") && !strstr(out.bytes, "<output>"));
    cr_expect(strstr(out.bytes, "What it does to the tokens") && strstr(out.bytes, "The ledger"));
    qw_text_free(&out);
    qw_json_free(result);
}

/* A run of many steps fills no screen. */
Test(worth, long_lists_are_cut_and_say_so)
{
    struct qw_json *one = qw_json_object();
    struct qw_json *ledger = qw_json_put(qw_json_put(one, "coverage", qw_json_object()), "ledger", qw_json_array());
    for (int step = 0; step < 50; step++)
        qw_json_put_int(qw_json_add(ledger, qw_json_object()), "step", step);
    struct qw_text out = {0};
    rp_terminal_worth(&out, one, 100);
    cr_expect_eq(count_of(out.bytes, "\n"), 21);
    cr_expect(strstr(out.bytes, "and 30 more"));
    qw_text_free(&out);
    qw_json_free(one);
}

Test(worth, each_consequence_has_words)
{
    static const char *const says[] = {"none", "cannot-flip", "could-flip", "flips", "raises", "unknown"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        cr_expect(*rp_says_meaning(says[i]), "%s", says[i]);
    cr_expect_str_eq(rp_says_meaning("else"), "");
}
