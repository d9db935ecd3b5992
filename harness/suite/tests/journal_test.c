/* What a journal has counted is there again, whatever happened to its end; what happened elsewhere is never overlooked. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/suite/journal.h"
#include "harness/suite/lines.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

#define CASES 4

TestSuite(journal, .timeout = 120);

/* A folder with CASES recordings, which may be any files, and a plan of them. */
struct scene {
    char folder[64], *path;
    struct qc_suite_case all[CASES], *cases[CASES];
    struct qc_plan plan;
};

static void touch(const char *path, const char *bytes)
{
    struct qw_error error = {0};
    cr_assert(qw_file_write(path, bytes, strlen(bytes), &error), "%s", error.message);
}

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){0};
    strcpy(scene->folder, "/tmp/qconform-journal-XXXXXX");
    cr_assert(mkdtemp(scene->folder));
    scene->path = qw_format("%s/out/journal.jsonl", scene->folder);
    scene->plan = (struct qc_plan){.cases = scene->cases, .count = CASES};
    strcpy(scene->plan.digest, "a digest");
    for (int i = 0; i < CASES; i++) {
        scene->all[i].id = qw_format("case/%d", i);
        scene->all[i].recording = qw_format("%s/%d.h5", scene->folder, i);
        scene->all[i].limit = 600;
        scene->cases[i] = &scene->all[i];
        touch(scene->all[i].recording, "a recording");
    }
}

static void close_scene(struct scene *scene)
{
    char *command = qw_format("rm -rf '%s'", scene->folder);
    cr_expect_eq(system(command), 0);
    for (int i = 0; i < CASES; i++) {
        free(scene->all[i].id);
        free(scene->all[i].recording);
    }
    free(command);
    free(scene->path);
}

static struct qc_journal *open_journal(const struct scene *scene, bool resume, struct qw_error *error)
{
    char *out = qw_format("%s/out", scene->folder);
    *error = (struct qw_error){0};
    struct qc_journal *journal = qc_journal_open(out, &scene->plan, resume, error);
    free(out);
    return journal;
}

static struct qc_journal *must_open(const struct scene *scene, bool resume)
{
    struct qw_error error;
    struct qc_journal *journal = open_journal(scene, resume, &error);
    cr_assert(journal, "%s", error.message);
    return journal;
}

static void refuses(const struct scene *scene, const char *words, const char *hint)
{
    struct qw_error error;
    cr_assert_null(open_journal(scene, true, &error), "%s", words);
    cr_expect(strstr(error.message, words), "\"%s\" lacks \"%s\"", error.message, words);
    cr_expect(strstr(error.hint, hint), "\"%s\" lacks \"%s\"", error.hint, hint);
    cr_expect_str_eq(error.file, scene->path);
}

static bool judge(struct qc_journal *journal, const struct qc_suite_case *one, const char *status)
{
    struct qw_error error = {0};
    struct qw_json *result = qw_json_object();
    qw_json_put_text(result, "id", one->id);
    qw_json_put_text(result, "status", status);
    bool ok = qc_journal_start(journal, one, &error) && qc_journal_end(journal, one, result, &error);
    qw_json_free(result);
    cr_expect(ok || error.kind == QW_ERROR_OUTPUT);
    return ok;
}

static bool has(struct qc_journal *journal, const struct qc_suite_case *one, const char *status)
{
    struct qw_json *found = qc_journal_find(journal, one);
    bool same = found && !strcmp(qw_json_get_text(found, "status", ""), status);
    qw_json_free(found);
    return same;
}

static bool told_of(const struct qc_journal *journal, const char *words)
{
    const struct qw_json *notices = qc_journal_notices(journal);
    for (const struct qw_json *text = qw_json_first(notices); text; text = qw_json_next(text))
        if (strstr(qw_json_text(text, ""), words))
            return true;
    return false;
}

/* A journal of three cases that ended and one that did not; gives its bytes. */
static char *three_of_four(const struct scene *scene, size_t *size)
{
    struct qw_error error = {0};
    struct qc_journal *journal = must_open(scene, false);
    char *bytes;
    for (int i = 0; i < 3; i++)
        cr_assert(judge(journal, &scene->all[i], "PASS"));
    cr_assert(qc_journal_start(journal, &scene->all[3], &error));
    qc_journal_close(journal);
    cr_assert(qw_file_read(&bytes, size, scene->path, 1 << 20, &error));
    return bytes;
}

static void put_back(const struct scene *scene, const char *bytes, size_t size)
{
    int fd = open(scene->path, O_WRONLY | O_TRUNC);
    cr_assert(write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static size_t lines_in(const char *bytes, size_t size)
{
    size_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += bytes[i] == '\n';
    return lines;
}

Test(journal, what_ended_is_found_again_and_what_was_under_way_is_named)
{
    struct scene scene;
    size_t size;
    open_scene(&scene);
    free(three_of_four(&scene, &size));
    struct qc_journal *journal = must_open(&scene, true);
    for (int i = 0; i < 3; i++)
        cr_expect(has(journal, &scene.all[i], "PASS"));
    cr_expect_null(qc_journal_find(journal, &scene.all[3]));
    cr_expect(told_of(journal, "while it judged case/3"));
    cr_expect(judge(journal, &scene.all[3], "FAIL"));
    qc_journal_close(journal);
    journal = must_open(&scene, true);
    cr_expect(has(journal, &scene.all[3], "FAIL"));
    cr_expect_eq(qw_json_size(qc_journal_notices(journal)), 0);
    qc_journal_close(journal);
    close_scene(&scene);
}

Test(journal, cut_anywhere_it_has_every_case_whose_line_is_whole)
{
    struct scene scene;
    size_t size;
    open_scene(&scene);
    char *bytes = three_of_four(&scene, &size);
    for (size_t cut = 0; cut <= size; cut++) {
        put_back(&scene, bytes, cut);
        struct qc_journal *journal = must_open(&scene, true);
        size_t lines = lines_in(bytes, cut); /* begin, start, end, start, end, start, end, start */
        for (size_t i = 0; i < 3; i++)
            cr_assert_eq(has(journal, &scene.all[i], "PASS"), lines >= 3 + 2 * i, "cut at %zu", cut);
        cr_assert_eq(told_of(journal, "cut short"), lines > 0 && bytes[cut - 1] != '\n', "cut at %zu", cut);
        cr_assert(judge(journal, &scene.all[3], "PASS"));
        qc_journal_close(journal);
        journal = must_open(&scene, true);
        cr_assert(has(journal, &scene.all[3], "PASS"), "cut at %zu", cut);
        qc_journal_close(journal);
    }
    free(bytes);
    close_scene(&scene);
}

Test(journal, a_bit_that_flips_in_the_last_line_drops_it)
{
    struct scene scene;
    size_t size, last;
    open_scene(&scene);
    free(three_of_four(&scene, &size));
    struct qc_journal *whole = must_open(&scene, true);
    cr_assert(judge(whole, &scene.all[3], "PASS"));
    qc_journal_close(whole);
    struct qw_error error = {0};
    char *bytes;
    cr_assert(qw_file_read(&bytes, &size, scene.path, 1 << 20, &error));
    for (last = size - 1; bytes[last - 1] != '\n'; last--)
        continue;
    for (size_t bit = 8 * last; bit < 8 * size; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        put_back(&scene, bytes, size);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        struct qc_journal *journal = must_open(&scene, true);
        cr_assert(has(journal, &scene.all[2], "PASS") && !has(journal, &scene.all[3], "PASS"), "bit %zu", bit);
        qc_journal_close(journal);
    }
    free(bytes);
    close_scene(&scene);
}

Test(journal, a_bit_that_flips_before_the_last_line_is_refused_and_left_as_it_is)
{
    struct scene scene;
    size_t size, after;
    open_scene(&scene);
    char *bytes = three_of_four(&scene, &size), *now;
    size_t last = size - 1;
    while (bytes[last - 1] != '\n')
        last--;
    for (size_t bit = 0; bit < 8 * (last - 1); bit++) { /* without its line feed, the two last lines are one broken one */
        struct qw_error error = {0};
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        put_back(&scene, bytes, size);
        refuses(&scene, "is damaged at line", "leave out --resume");
        if (bit % 61 == 0) {
            cr_assert(qw_file_read(&now, &after, scene.path, 1 << 20, &error));
            cr_assert(after == size && !memcmp(now, bytes, size), "bit %zu", bit);
            free(now);
        }
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    free(bytes);
    close_scene(&scene);
}

Test(journal, a_line_that_is_missing_or_there_twice_is_damage)
{
    struct scene scene;
    size_t size;
    open_scene(&scene);
    char *bytes = three_of_four(&scene, &size), *second = strchr(bytes, '\n') + 1, *third = strchr(second, '\n') + 1;
    struct qw_text text = {0};
    qw_text_add_bytes(&text, bytes, (size_t)(second - bytes));
    qw_text_add(&text, third);
    put_back(&scene, text.bytes, text.length);
    refuses(&scene, "is damaged at line 2", "leave out --resume");
    qw_text_free(&text);
    qw_text_add_bytes(&text, bytes, (size_t)(third - bytes));
    qw_text_add(&text, second);
    put_back(&scene, text.bytes, text.length);
    refuses(&scene, "is damaged at line 3", "leave out --resume");
    qw_text_free(&text);
    free(bytes);
    close_scene(&scene);
}

Test(journal, another_plan_or_shard_is_refused_and_a_new_run_replaces_it)
{
    struct scene scene;
    size_t size;
    open_scene(&scene);
    free(three_of_four(&scene, &size));
    strcpy(scene.plan.digest, "another");
    refuses(&scene, "belongs to another run", "give the same suites");
    strcpy(scene.plan.digest, "a digest");
    scene.plan.shard = 1, scene.plan.shards = 2;
    refuses(&scene, "belongs to another shard", "--shard");
    scene.plan.shard = scene.plan.shards = 0;
    struct qc_journal *journal = must_open(&scene, false);
    cr_expect(told_of(journal, "an unfinished run (3 of 4 cases judged) is replaced"));
    cr_expect_null(qc_journal_find(journal, &scene.all[0]));
    qc_journal_close(journal);
    close_scene(&scene);
}

/* Puts "program" of the first line to another value, its checksum mended. */
Test(journal, another_program_is_refused)
{
    struct scene scene;
    size_t size;
    open_scene(&scene);
    char *bytes = three_of_four(&scene, &size), *end = strchr(bytes, '\n') + 1;
    static const char *const bound[][2] = {{"program", "another build"},
                                           {"version", "another version"},
                                           {"schema", "another format"}};
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++) {
        struct qw_error error = {0};
        struct qw_json *first = qc_line_parse(bytes, (size_t)(end - bytes)), *changed = qw_json_object();
        qw_json_put_text(changed, bound[i][0], "x");
        for (const struct qw_json *field = qw_json_first(first); field; field = qw_json_next(field))
            if (strcmp(qw_json_key(field), bound[i][0]))
                qw_json_put(changed, qw_json_key(field), qw_json_copy(field));
        put_back(&scene, "", 0);
        int fd = open(scene.path, O_WRONLY | O_APPEND);
        cr_assert(qc_line_append(fd, changed, &error));
        cr_assert(write(fd, end, strlen(end)) > 0);
        close(fd);
        refuses(&scene, bound[i][1], "leave out --resume");
        qw_json_free(first);
        qw_json_free(changed);
    }
    free(bytes);
    close_scene(&scene);
}

Test(journal, a_recording_that_changed_is_judged_again)
{
    struct scene scene;
    size_t size;
    open_scene(&scene);
    free(three_of_four(&scene, &size));
    touch(scene.all[0].recording, "another recording");
    touch(scene.all[1].recording, "a Recording"); /* of the same length */
    struct qc_journal *journal = must_open(&scene, true);
    cr_expect_null(qc_journal_find(journal, &scene.all[0]));
    cr_expect_null(qc_journal_find(journal, &scene.all[1]));
    cr_expect(told_of(journal, "0.h5: has changed") && told_of(journal, "1.h5: has changed"));
    cr_expect(has(journal, &scene.all[2], "PASS"));
    qc_journal_close(journal);
    close_scene(&scene);
}

Test(journal, what_ran_out_of_time_is_judged_again_only_with_another_limit)
{
    struct scene scene;
    open_scene(&scene);
    struct qc_journal *journal = must_open(&scene, false);
    cr_assert(judge(journal, &scene.all[0], "TIMEOUT") && judge(journal, &scene.all[1], "CRASH"));
    qc_journal_close(journal);
    journal = must_open(&scene, true);
    cr_expect(has(journal, &scene.all[0], "TIMEOUT"));
    scene.all[0].limit = scene.all[1].limit = 1200;
    cr_expect_null(qc_journal_find(journal, &scene.all[0]));
    cr_expect(has(journal, &scene.all[1], "CRASH"));
    qc_journal_close(journal);
    close_scene(&scene);
}

Test(journal, a_second_run_in_the_folder_is_refused_and_disturbs_nothing)
{
    struct scene scene;
    struct qw_error error;
    char words[64];
    open_scene(&scene);
    struct qc_journal *first = must_open(&scene, false);
    cr_assert(judge(first, &scene.all[0], "PASS"));
    snprintf(words, sizeof words, "process %d on ", (int)getpid());
    refuses(&scene, words, "another --out");
    cr_assert_null(open_journal(&scene, false, &error));
    cr_expect_eq(error.kind, QW_ERROR_OUTPUT);
    cr_expect(judge(first, &scene.all[1], "PASS"));
    qc_journal_close(first);
    first = must_open(&scene, true);
    cr_expect(has(first, &scene.all[0], "PASS") && has(first, &scene.all[1], "PASS"));
    qc_journal_close(first);
    close_scene(&scene);
}

Test(journal, a_lock_that_a_killed_run_leaves_for_an_instant_is_waited_for)
{
    struct scene scene;
    open_scene(&scene);
    struct qc_journal *journal = must_open(&scene, false);
    cr_assert(judge(journal, &scene.all[0], "PASS"));
    pid_t child = fork(); /* which holds what this process had open */
    if (child == 0) {
        usleep(200000);
        _exit(0);
    }
    qc_journal_close(journal);
    journal = must_open(&scene, true);
    cr_expect(has(journal, &scene.all[0], "PASS"));
    qc_journal_close(journal);
    cr_expect_eq(waitpid(child, NULL, 0), child);
    close_scene(&scene);
}

Test(journal, what_does_not_fit_on_the_disk_does_not_count)
{
    struct scene scene;
    size_t size;
    open_scene(&scene);
    free(three_of_four(&scene, &size));
    signal(SIGXFSZ, SIG_IGN);
    for (size_t room = size + 150; room < size + 700; room += 7) {
        const struct rlimit tight = {room, RLIM_INFINITY}, open_again = {RLIM_INFINITY, RLIM_INFINITY};
        free(three_of_four(&scene, &size));
        struct qc_journal *journal = must_open(&scene, true);
        setrlimit(RLIMIT_FSIZE, &tight);
        bool counted = judge(journal, &scene.all[3], "PASS");
        setrlimit(RLIMIT_FSIZE, &open_again);
        cr_assert_eq(judge(journal, &scene.all[2], "PASS"), counted, "something was written behind a lost line");
        qc_journal_close(journal);
        journal = must_open(&scene, true);
        cr_assert_eq(has(journal, &scene.all[3], "PASS"), counted, "%zu bytes", room - size);
        cr_assert(has(journal, &scene.all[2], "PASS"));
        qc_journal_close(journal);
    }
    close_scene(&scene);
}

Test(journal, a_folder_that_cannot_be_made_or_written_is_said)
{
    struct scene scene;
    struct qw_error error = {0};
    open_scene(&scene);
    char *below = qw_format("%s/out/deeper", scene.all[0].recording), *odd = qw_format("%s/odd", scene.folder);
    cr_expect_null(qc_journal_open(below, &scene.plan, false, &error));
    cr_expect(error.kind == QW_ERROR_OUTPUT && strstr(error.message, "cannot be made") && error.hint[0], "%s", error.message);
    char *taken = qw_format("%s/journal.jsonl/", odd);
    cr_assert(qw_folder_make(taken, &(struct qw_error){0}));
    error = (struct qw_error){0};
    cr_expect_null(qc_journal_open(odd, &scene.plan, false, &error));
    cr_expect(error.kind == QW_ERROR_OUTPUT && strstr(error.message, "cannot be opened") && error.hint[0], "%s", error.message);
    free(taken);
    free(odd);
    free(below);
    close_scene(&scene);
}

Test(journal, a_look_counts_what_a_resumed_run_would_find_and_writes_nothing)
{
    struct scene scene;
    struct qw_error error = {0};
    size_t size, after;
    int judged = -1;
    open_scene(&scene);
    char *out = qw_format("%s/out", scene.folder), *bytes;
    cr_expect(qc_journal_peek(&judged, out, &scene.plan, &error) && judged == 0);
    cr_expect_neq(access(out, F_OK), 0, "a look made the folder");
    free(three_of_four(&scene, &size));
    touch(scene.all[0].recording, "another recording");
    cr_expect(qc_journal_peek(&judged, out, &scene.plan, &error));
    cr_expect_eq(judged, 2);
    cr_assert(qw_file_read(&bytes, &after, scene.path, 1 << 20, &error));
    cr_expect_eq(after, size);
    strcpy(scene.plan.digest, "another");
    cr_expect_not(qc_journal_peek(&judged, out, &scene.plan, &error));
    free(bytes);
    free(out);
    close_scene(&scene);
}

Test(journal, what_workers_told_is_kept)
{
    struct scene scene;
    struct qw_error error = {0};
    open_scene(&scene);
    struct qc_journal *journal = must_open(&scene, false);
    struct qw_json *sandbox = qw_json_object();
    qw_json_put_int(sandbox, "landlock", 7);
    cr_expect_null(qc_journal_workers(journal));
    cr_assert(qc_journal_told(journal, "Zen", sandbox, &error));
    qc_journal_close(journal);
    journal = must_open(&scene, true);
    cr_expect_str_eq(qw_json_get_text(qc_journal_workers(journal), "blas_core", ""), "Zen");
    cr_expect_eq(qw_json_get_int(qw_json_get(qc_journal_workers(journal), "sandbox"), "landlock", 0), 7);
    qw_json_free(sandbox);
    qc_journal_close(journal);
    close_scene(&scene);
}
