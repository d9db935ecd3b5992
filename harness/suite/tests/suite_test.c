/* Suites: what is read, and that every mistake is one case, with its place and what to do. */
#include "harness/suite/suite.h"

#include "harness/suite/tests/folder.h"

static struct qc_suites read_suites(const char *path)
{
    struct qc_suites suites = {0};
    struct qw_error error = {0};
    cr_expect(qc_suites_read(&suites, path, &error), "%s", error.message);
    return suites;
}

Test(suite, a_case_has_what_its_block_says)
{
    char *folder = folder_enter();
    folder_put("fixtures/r.h5", "12345");
    folder_put("weights/config.json", "{}");
    folder_put_suite("suites/a/suite.json", "\"recordings\": \"../../fixtures\", \"baseline\": \"known.json\",",
                     "{\"id\": \"a/b-1.0_x+y\", \"requirement\": \"r\", \"source\": \"s\", \"recording\": \"r.h5\", \"steps\": "
                     "\"2-\", \"layers\": \"1\", \"site\": \"self_attn.*\", \"precision\": \"f64\", \"timeout\": \"1.5m\", "
                     "\"tags\": [\"quick\", \"cpu\"], \"model\": \"../../weights\"}");
    struct qc_suites suites = read_suites("suites");
    const struct qc_suite_case *one = suites.cases;
    cr_assert_eq(suites.count, 1);
    cr_expect_eq((int)one->problem.kind, QW_ERROR_NONE, "%s", one->problem.message);
    cr_expect_str_eq(one->id, "a/b-1.0_x+y");
    cr_expect_str_eq(one->suite, "suites/a/suite.json");
    cr_expect_str_eq(one->recording, "fixtures/r.h5");
    cr_expect_str_eq(one->model, "weights");
    cr_expect_null(one->adapter);
    cr_expect(one->selection.first_step == 2 && one->selection.last_step > 1000000);
    cr_expect(one->selection.first_layer == 1 && one->selection.last_layer == 1);
    cr_expect_str_eq(one->selection.site, "self_attn.*");
    cr_expect_str_eq(one->selection.precision, "f64");
    cr_expect_eq(one->limit, 90);
    cr_expect_eq(one->bytes, 5);
    cr_expect(one->tag_count == 2 && !strcmp(one->tags[1], "cpu"));
    cr_expect_str_eq(suites.files[0].baseline, "suites/a/known.json");
    cr_expect_str_eq(qw_json_get_text(qw_json_first(suites.told), "title", ""), "t");
    cr_expect_eq(qw_json_get_int(qw_json_first(suites.told), "cases", 0), 1);
    qc_suites_clear(&suites);
    folder_leave(folder);
}

/* A block that is wrong beside two that are not. */
static void expect_problem(const char *block, const char *id, const char *place, const char *message)
{
    char *blocks = qw_format("%s, %s, %s", BLOCK("first", ""), block, BLOCK("last", ""));
    folder_put_suite("suite.json", "", blocks);
    struct qc_suites suites = read_suites("suite.json");
    const struct qc_suite_case *one = &suites.cases[1];
    cr_assert_eq(suites.count, 3, "%s: %d cases", block, suites.count);
    cr_expect(!suites.cases[0].problem.kind && !suites.cases[2].problem.kind, "%s spoils another", block);
    cr_expect_eq((int)one->problem.kind, QW_ERROR_INPUT, "%s", block);
    cr_expect_str_eq(one->id, id);
    cr_expect_str_eq(one->problem.file, "suite.json");
    cr_expect_str_eq(one->problem.place, place);
    cr_expect(strstr(one->problem.message, message), "\"%s\" is not in \"%s\"", message, one->problem.message);
    cr_expect(*one->problem.hint, "%s: no hint", block);
    qc_suites_clear(&suites);
    free(blocks);
}

Test(suite, every_mistake_is_told_with_its_place_and_spoils_no_other_case)
{
    static const struct {
        const char *block, *id, *place, *message;
    } bad[] = {
        {"7", "suite.json#cases[1]", "cases[1]", "the number 7 where an object is due"},
        {"{}", "suite.json#cases[1]", "cases[1]", "lacks the fields id, requirement, source, recording"},
        {"{\"id\": \"a\", \"requirement\": \"r\", \"source\": \"s\"}", "a", "cases[1]", "lacks the field recording"},
        {"{\"id\": \"a\", \"requirement\": \"r\", \"source\": \"s\", \"recoding\": \"x.h5\"}", "a", "cases[1]",
         "a field \"recoding\", which has no meaning here (did you mean recording?)"},
        {BLOCK("a b", ""), "suite.json#cases[1]", "cases[1].id", "\"a b\", which does not fit"},
        {BLOCK("a//b", ""), "suite.json#cases[1]", "cases[1].id", "does not fit"},
        {BLOCK("first", ""), "suite.json#cases[1]", "cases[1].id", "the id first is that of a case in suite.json already"},
        {BLOCK("a", ", \"steps\": \"3-1\""), "a", "cases[1].steps", "\"3-1\" is no range"},
        {BLOCK("a", ", \"steps\": \"all\""), "a", "cases[1].steps", "does not fit"},
        {BLOCK("a", ", \"layers\": 1"), "a", "cases[1].layers", "the number 1 where a text is due"},
        {BLOCK("a", ", \"timeout\": \"0s\""), "a", "cases[1].timeout", "no time above 0"},
        {BLOCK("a", ", \"timeout\": \"999h\""), "a", "cases[1].timeout", "up to a week"},
        {BLOCK("a", ", \"timeout\": \"5\""), "a", "cases[1].timeout", "does not fit"},
        {BLOCK("a", ", \"precision\": \"f16\""), "a", "cases[1].precision", "one of auto, f32, f64"},
        {BLOCK("a", ", \"tags\": [\"x\", \"a b\"]"), "a", "cases[1].tags[1]", "does not fit"},
        {BLOCK("a", ", \"model\": \"nowhere\""), "a", "cases[1].model", "there is no folder nowhere"},
        {BLOCK("a", ", \"adapter\": \"x.h5\""), "a", "cases[1].adapter", "there is no folder x.h5"},
        {"{\"id\": \"a\", \"requirement\": \"r\\u001b[1m\", \"source\": \"s\", \"recording\": \"x.h5\"}", "a",
         "cases[1].requirement", "the control character U+001B"},
        {"{\"id\": \"a\", \"requirement\": \"\", \"source\": \"s\", \"recording\": \"x.h5\"}", "a", "cases[1].requirement",
         "a longer text"},
        {"{\"id\": \"a\", \"requirement\": \"r\", \"source\": \"s\", \"recording\": \"y.h5\"}", "a", "cases[1].recording",
         "there is no file y.h5 (did you mean x.h5?)"},
        {"{\"id\": \"a\", \"requirement\": \"r\", \"source\": \"s\", \"recording\": \".\"}", "a", "cases[1].recording",
         "is a folder"},
        {"{\"id\": \"a\", \"requirement\": \"r\", \"source\": \"s\", \"recording\": \"pipe\"}", "a", "cases[1].recording",
         "not a regular file"},
    };
    char *folder = folder_enter();
    folder_put("x.h5", "x");
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_problem(bad[i].block, bad[i].id, bad[i].place, bad[i].message);
    folder_leave(folder);
}

/* A file that is wrong as a whole, and how many of its cases are read nevertheless. */
static void expect_file_problem(const char *text, const char *place, const char *message, int cases)
{
    folder_put("odd.json", text);
    struct qc_suites suites = read_suites("odd.json");
    const struct qc_suite_case *one = suites.cases;
    cr_assert_eq(suites.count, 1 + cases, "%s: %d cases", text, suites.count);
    cr_expect_str_eq(one->id, "odd.json#");
    cr_expect_str_eq(one->problem.place, place);
    cr_expect(strstr(one->problem.message, message), "\"%s\" is not in \"%s\"", message, one->problem.message);
    cr_expect(*one->problem.hint, "%s: no hint", text);
    for (int i = 1; i < suites.count; i++)
        cr_expect_not(suites.cases[i].problem.kind, "%s", suites.cases[i].problem.message);
    cr_expect_eq(qw_json_size(suites.told), 1);
    qc_suites_clear(&suites);
}

Test(suite, a_file_that_is_wrong_as_a_whole_is_one_case)
{
#define HEAD "{\"schema\": \"qconform-suite/1\", "
    static const char one[] = "\"cases\": [" BLOCK("a", "") "]}";
    char *no_title = qw_format(HEAD "%s", one), *odd = qw_format(HEAD "\"title\": \"t\", \"recording\": \".\", %s", one);
    char *folder = folder_enter();
    folder_put("x.h5", "x");
    expect_file_problem("", "", "not valid JSON", 0);
    expect_file_problem("{\"schema\": \"qconform-suite/1\",", "", "line 1, column", 0);
    expect_file_problem("\x89HDF\r\n", "", "is an HDF5 file", 0);
    expect_file_problem("[]", "schema", "names no schema", 0);
    expect_file_problem("{\"schema\": \"qconform-suite/2\", \"cases\": [1]}", "schema", "this program reads qconform-suite/1", 0);
    expect_file_problem("{\"schema\": \"qconform-baseline/1\"}", "schema", "not a suite", 0);
    expect_file_problem(HEAD "\"title\": \"t\"}", "", "lacks the field cases", 0);
    expect_file_problem(HEAD "\"title\": \"t\", \"cases\": []}", "cases", "a longer list", 0);
    expect_file_problem(HEAD "\"title\": \"t\", \"cases\": {\"a\": 1}}", "cases", "an object where a list is due", 0);
    expect_file_problem(HEAD "\"title\": \"t\", \"recordings\": 3, \"cases\": [1]}", "recordings", "a text is due", 0);
    expect_file_problem(no_title, "", "lacks the field title", 1);
    expect_file_problem(odd, "", "a field \"recording\", which has no meaning here (did you mean recordings?)", 1);
    free(no_title);
    free(odd);
    folder_leave(folder);
}

Test(suite, a_folder_is_searched_by_name_whatever_else_lies_in_it)
{
    char *folder = folder_enter();
    folder_put("x.h5", "x");
    folder_put("s/b.suite.json", "");
    folder_put("s/a/suite.json", "");
    folder_put("s/a/c/suite.json", "");
    folder_put("s/a/baseline.json", "{}");
    folder_put("s/suite.schema.json", "{}");
    folder_put("s/a/.hidden.suite.json", "");
    folder_put("s/.git/suite.json", "");
    cr_assert_eq(symlink("..", "s/a/round"), 0);
    cr_assert_eq(symlink("../a/suite.json", "s/a/again.suite.json"), 0);
    struct qc_suites suites = read_suites("s");
    static const char *const files[] = {"s/a/again.suite.json", "s/a/c/suite.json", "s/b.suite.json"};
    cr_assert_eq(suites.file_count, 3);
    for (int i = 0; i < 3; i++)
        cr_expect_str_eq(suites.files[i].path, files[i]);
    qc_suites_clear(&suites);
    folder_leave(folder);
}

Test(suite, what_is_given_twice_is_read_once)
{
    char *folder = folder_enter();
    struct qc_suites suites = {0};
    struct qw_error error = {0};
    folder_put("x.h5", "x");
    folder_put_suite("a/suite.json", "\"recordings\": \"..\",", BLOCK("one", ""));
    cr_assert_eq(symlink("a", "b"), 0);
    cr_expect(qc_suites_read(&suites, "a", &error) && qc_suites_read(&suites, "./a/suite.json", &error) &&
              qc_suites_read(&suites, "b/../a", &error) && qc_suites_read(&suites, "b", &error));
    cr_expect_eq(suites.count, 1);
    cr_expect_eq(suites.file_count, 1);
    qc_suites_clear(&suites);
    folder_leave(folder);
}

Test(suite, no_suite_is_an_error_that_says_what_one_is_called)
{
    char *folder = folder_enter();
    struct qc_suites suites = {0};
    struct qw_error none = {0}, empty = {0};
    cr_assert_eq(mkdir("s", 0777), 0);
    cr_expect_not(qc_suites_read(&suites, "nowhere", &none));
    cr_expect_not(qc_suites_read(&suites, "s", &empty));
    cr_expect_str_eq(none.file, "nowhere");
    cr_expect(strstr(empty.hint, "suite.json"));
    qc_suites_clear(&suites);
    folder_leave(folder);
}

static void expect_path(const char *path, const char *expected)
{
    folder_put_suite(path, "\"recordings\": \"../r\",", BLOCK("a", ""));
    struct qc_suites suites = read_suites(path);
    cr_expect_str_eq(suites.cases[0].recording, expected);
    qc_suites_clear(&suites);
}

Test(suite, a_path_is_shortened_only_where_that_names_the_same_file)
{
    char *folder = folder_enter();
    folder_put("r/x.h5", "1");
    folder_put("far/r/x.h5", "22");
    folder_put("far/s/keep", "");
    cr_assert_eq(symlink("far/s", "link"), 0);
    expect_path("s/suite.json", "r/x.h5");
    expect_path("./s//t/../suite.json", "r/x.h5");
    expect_path("link/suite.json", "link/../r/x.h5");
    char *absolute = qw_format("%s/s/suite.json", folder), *expected = qw_format("%s/r/x.h5", folder);
    expect_path(absolute, expected);
    free(absolute);
    free(expected);
    folder_leave(folder);
}

Test(suite, the_digest_of_a_case_follows_from_what_it_asks_for_alone)
{
    char *folder = folder_enter();
    folder_put("x.h5", "x");
    folder_put("s/x.h5", "x");
    folder_put_suite("suite.json", "", BLOCK("a", ", \"steps\": \"0\""));
    folder_put_suite("s/suite.json", "",
                     "{\"steps\": \"0\", \"recording\": \"x.h5\", \"requirement\": \"r\", \"source\": \"s\", \"id\": \"a\"}");
    folder_put_suite("other.json", "", BLOCK("a", ", \"steps\": \"1\""));
    struct qc_suites one = read_suites("suite.json"), moved = read_suites("s"), other = read_suites("other.json");
    cr_expect_str_eq(one.cases->digest, moved.cases->digest);
    cr_expect_str_neq(one.cases->digest, other.cases->digest);
    qc_suites_clear(&one);
    qc_suites_clear(&moved);
    qc_suites_clear(&other);
    folder_leave(folder);
}
