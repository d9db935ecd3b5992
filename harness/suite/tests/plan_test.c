/* Plans: which cases are selected, what is expected of them, and that nothing else changes the plan. */
#include "harness/suite/plan.h"

#include "harness/suite/tests/folder.h"

/* Two suites, one of them with a baseline, and a mistake. */
static char *enter_with_suites(void)
{
    char *folder = folder_enter();
    folder_put("r/x.h5", "x");
    folder_put_suite("suites/a/suite.json", "\"recordings\": \"../../r\", \"baseline\": \"known.json\",",
                     BLOCK("prompt/one", ", \"tags\": [\"quick\"]") "," BLOCK("prompt/two", "") "," BLOCK("prefix/one", ""));
    folder_put_suite("suites/b.suite.json", "\"recordings\": \"../r\",",
                     "{\"id\": \"late/one\", \"requirement\": \"two words\", \"source\": \"https://x.org\", \"recording\": "
                     "\"x.h5\"}, {\"id\": \"late/odd\"}, {\"id\": 3}");
    folder_put("suites/a/known.json", "{\"schema\": \"qconform-baseline/1\", \"cases\": [{\"id\": \"prompt/two\", \"causes\": "
                                      "[\"prompt-not-injected\"]}, {\"id\": \"prompt/tow\", \"causes\": [\"unclassified\"]}]}");
    return folder;
}

static bool make(struct qc_plan *plan, struct qw_error *error, char *words, const char *filter, const char *baseline)
{
    char *operands[8], *copy = qw_format("%s", words), *rest = NULL;
    int count = 0;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        operands[count++] = word;
    struct qc_plan_wanted wanted = {operands, count, filter, baseline, 0, 0};
    *error = (struct qw_error){0};
    bool ok = qc_plan_make(plan, &wanted, error);
    free(copy);
    return ok;
}

static char *ids_of(const struct qc_plan *plan)
{
    struct qw_text ids = {0};
    for (int i = 0; i < plan->count; i++)
        qw_text_addf(&ids, "%s%s", i ? " " : "", plan->cases[i]->id);
    return qw_text_take(&ids);
}

static void expect_cases(const char *operands, const char *filter, const char *expected)
{
    struct qc_plan plan;
    struct qw_error error;
    char *words = qw_format("%s", operands);
    cr_assert(make(&plan, &error, words, filter, NULL), "%s, %s: %s", operands, filter, error.message);
    char *ids = ids_of(&plan);
    cr_expect_str_eq(ids, expected, "%s, %s: %s", operands, filter, ids);
    cr_expect_eq(qw_json_size(qw_json_get(plan.run, "cases")), plan.count);
    free(ids);
    free(words);
    qc_plan_clear(&plan);
}

#define ALL "prompt/one prompt/two prefix/one late/one late/odd suites/b.suite.json#cases[2]"

Test(plan, operands_are_suites_folders_and_globs_on_ids)
{
    char *folder = enter_with_suites();
    expect_cases("", NULL, ALL);
    expect_cases("suites", NULL, ALL);
    expect_cases("suites/b.suite.json suites/a", NULL,
                 "late/one late/odd suites/b.suite.json#cases[2] prompt/one prompt/two prefix/one");
    expect_cases("suites/a", NULL, "prompt/one prompt/two prefix/one");
    expect_cases("suites/a pro*", NULL, "prompt/one prompt/two");
    expect_cases("p*o?e", NULL, "prompt/one prefix/one suites/b.suite.json#cases[2]");
    expect_cases("suites/a prompt/one prefix/*", NULL, "prompt/one prefix/one");
    folder_leave(folder);
}

/* What cannot be understood is there whatever is asked of it but its id. */
#define ODD "late/odd suites/b.suite.json#cases[2]"

Test(plan, a_filter_has_terms_that_must_all_hold)
{
    char *folder = enter_with_suites();
    expect_cases("suites", "", ALL);
    expect_cases("suites", "prompt/*", "prompt/one prompt/two suites/b.suite.json#cases[2]");
    expect_cases("suites", "!prompt/*  !id=late/*", "prefix/one suites/b.suite.json#cases[2]");
    expect_cases("suites", "tag=quick", "prompt/one " ODD);
    expect_cases("suites/a", "!tag=quick", "prompt/two prefix/one");
    expect_cases("suites/a", "cause=prompt-*", "prompt/two");
    expect_cases("suites/a", "!cause=*", "prompt/one prefix/one");
    expect_cases("suites", "suite=*/b.*", "late/one " ODD);
    expect_cases("suites", "requirement=two?words", "late/one " ODD);
    expect_cases("suites", "source=https://*", "late/one " ODD);
    expect_cases("suites/a", "recording=*x.h5 prompt/one", "prompt/one");
    expect_cases("suites/a", "nothing", "");
    folder_leave(folder);
}

static void expect_refusal(const char *operands, const char *filter, const char *file, const char *message)
{
    struct qc_plan plan;
    struct qw_error error;
    char *words = qw_format("%s", operands);
    cr_expect_not(make(&plan, &error, words, filter, NULL), "%s, %s", operands, filter);
    cr_expect_str_eq(error.file, file);
    cr_expect(strstr(error.message, message), "\"%s\" is not in \"%s\"", message, error.message);
    cr_expect(*error.hint);
    free(words);
    qc_plan_clear(&plan);
}

Test(plan, what_cannot_be_meant_is_refused_with_the_nearest)
{
    char *folder = enter_with_suites();
    expect_refusal("suites prompt/oen", NULL, "prompt/oen", "fits the id of no case (did you mean prompt/one?)");
    expect_refusal("suites/aa", NULL, "suites/aa", "(did you mean a?)");
    expect_refusal("r", NULL, "r", "no suite in the folder");
    expect_refusal("suites", "tags=quick", "--filter", "there is no key \"tags\" (did you mean tag?)");
    expect_refusal("suites", "tag=", "--filter", "there is no glob");
    expect_refusal("suites", "a !", "--filter", "there is no glob");
    cr_assert_eq(chdir("r"), 0);
    expect_refusal("", NULL, "", "no suite is named, and there is no folder \"suites\" here");
    expect_refusal("y.h5", NULL, "y.h5", "no file or folder of that name (did you mean x.h5?)");
    folder_leave(folder);
}

Test(plan, a_failure_is_expected_where_its_suite_or_the_command_line_says_so)
{
    char *folder = enter_with_suites(), suites[] = "suites";
    struct qc_plan theirs, none, other;
    struct qw_error error;
    folder_put("other.json", "{\"schema\": \"qconform-baseline/1\", \"cases\": [{\"id\": \"late/one\", \"causes\": "
                             "[\"unclassified\"]}]}");
    cr_assert(make(&theirs, &error, suites, NULL, NULL) && make(&none, &error, suites, NULL, "none") &&
              make(&other, &error, suites, NULL, "other.json"));
    cr_expect(!theirs.cases[0]->expected && theirs.cases[1]->expected && !theirs.cases[3]->expected);
    cr_expect(!none.cases[1]->expected && qw_json_size(none.baselines) == 0 && qw_json_size(none.notices) == 0);
    cr_expect(!other.cases[1]->expected && other.cases[3]->expected && qw_json_size(other.baselines) == 1);
    cr_assert_eq(qw_json_size(theirs.notices), 1);
    cr_expect(strstr(qw_json_text(qw_json_first(theirs.notices), ""), "prompt/tow (did you mean prompt/two?)"));
    cr_expect_str_eq(theirs.digest, other.digest);
    qc_plan_clear(&theirs);
    qc_plan_clear(&none);
    qc_plan_clear(&other);
    folder_leave(folder);
}

Test(plan, a_baseline_that_cannot_be_read_is_a_case_and_costs_no_other)
{
    char *folder = enter_with_suites(), suites[] = "suites/a prompt/*";
    struct qc_plan sound, broken;
    struct qw_error error;
    cr_assert(make(&sound, &error, suites, NULL, NULL));
    folder_put("suites/a/known.json", "{}");
    cr_assert(make(&broken, &error, suites, NULL, NULL));
    char *ids = ids_of(&broken);
    cr_expect_str_eq(ids, "prompt/one prompt/two suites/a/known.json");
    cr_expect_str_eq(broken.cases[2]->problem.file, "suites/a/known.json");
    cr_expect_str_eq(sound.digest, broken.digest);
    struct qw_json *one = qc_plan_problem(broken.cases[2]);
    cr_expect_str_eq(qw_json_get_text(one, "status", ""), "ERROR");
    cr_expect(qw_json_get(one, "suite") && qw_json_is_null(qw_json_get(one, "suite")));
    qw_json_free(one);
    free(ids);
    qc_plan_clear(&sound);
    qc_plan_clear(&broken);
    folder_leave(folder);
}

Test(plan, each_case_is_in_one_shard_and_the_shard_changes_nothing_else)
{
    char *folder = enter_with_suites(), word[] = "suites", *operands[] = {word};
    int taken[6] = {0};
    char *run[3] = {0};
    for (int shard = 1; shard <= 4; shard++) {
        struct qc_plan plan;
        struct qw_error error = {0};
        const struct qc_plan_wanted wanted = {operands, 1, NULL, NULL, shard, 4};
        cr_assert(qc_plan_make(&plan, &wanted, &error));
        cr_assert_eq(plan.count, 6);
        for (int i = 0; i < plan.count; i++)
            taken[i] += qc_plan_is_mine(&plan, i);
        cr_expect_eq(qw_json_get_int(qw_json_get(plan.run, "shard"), "index", 0), shard);
        char *ids = qw_json_print(qw_json_get(plan.run, "cases"), false);
        cr_expect(!run[0] || (!strcmp(run[0], plan.digest) && !strcmp(run[1], ids)));
        run[0] = run[0] ? run[0] : strdup(plan.digest);
        run[1] = run[1] ? (free(ids), run[1]) : ids;
        qc_plan_clear(&plan);
    }
    for (int i = 0; i < 6; i++)
        cr_expect_eq(taken[i], 1, "case %d is in %d shards", i, taken[i]);
    free(run[0]);
    free(run[1]);
    folder_leave(folder);
}

Test(plan, a_case_that_was_not_run_has_all_that_its_suite_says)
{
    char *folder = enter_with_suites(), suites[] = "suites late/one";
    struct qc_plan plan;
    struct qw_error error;
    cr_assert(make(&plan, &error, suites, NULL, NULL));
    struct qw_json *one = qc_plan_not_run(plan.cases[0], "the run was interrupted");
    cr_expect_str_eq(qw_json_get_text(one, "status", ""), "NOTRUN");
    cr_expect_str_eq(qw_json_get_text(one, "id", ""), "late/one");
    cr_expect_str_eq(qw_json_get_text(one, "verdict", ""), "the run was interrupted");
    cr_expect_str_eq(qw_json_get_text(one, "requirement", ""), "two words");
    cr_expect_str_eq(qw_json_get_text(one, "suite", ""), "suites/b.suite.json");
    cr_expect_str_eq(qw_json_get_text(one, "recording", ""), "r/x.h5");
    qw_json_free(one);
    qc_plan_clear(&plan);
    folder_leave(folder);
}
