/* Inputs: regular files only, names that a file gives never lead out of its folder, nothing waits. */
#include "reference/base/input.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reference/base/file.h"
#include "reference/base/text.h"

static char folder[64];

static void make_folder(void)
{
    strcpy(folder, "/tmp/qconform-input-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    char *command = qw_format("rm -r %s", folder);
    cr_assert_eq(system(command), 0);
    free(command);
}

TestSuite(input, .init = make_folder, .fini = remove_folder, .timeout = 20);

static char *path_of(const char *name) { return qw_format("%s/%s", folder, name); }

static void put_file(const char *name, const char *content)
{
    struct qw_error error = {0};
    char *path = path_of(name);
    cr_assert(qw_file_write(path, content, strlen(content), &error), "%s", error.message);
    free(path);
}

static void put_folder(const char *name)
{
    char *path = path_of(name);
    cr_assert_eq(mkdir(path, 0700), 0);
    free(path);
}

static void put_link(const char *name, const char *to)
{
    char *path = path_of(name);
    cr_assert_eq(symlink(to, path), 0);
    free(path);
}

/* The content of `name` as a file of folder/`sub` names it, or NULL. */
static char *read_beneath(const char *sub, const char *name, struct qw_error *error)
{
    struct qw_input input;
    char *bytes = NULL, *path = path_of(sub);
    bool ok = qw_input_open_beneath(&input, path, name, error) && qw_input_read_all(&bytes, &input, 100, error);
    cr_expect_eq(ok, error->kind == QW_ERROR_NONE);
    qw_input_close(&input);
    free(path);
    return bytes;
}

static void expect_read(const char *sub, const char *name, const char *content)
{
    struct qw_error error = {0};
    char *bytes = read_beneath(sub, name, &error);
    cr_expect(bytes && !strcmp(bytes, content), "%s: %s", name, error.message);
    free(bytes);
}

static void expect_refused(const char *sub, const char *name, const char *words)
{
    struct qw_error error = {0};
    cr_expect_null(read_beneath(sub, name, &error), "%s was read", name);
    cr_expect(error.kind == QW_ERROR_INPUT && strstr(error.message, words), "%s: %s", name, error.message);
    cr_expect(error.hint[0]);
}

Test(input, plain_names_are_opened_in_their_folder)
{
    put_file("a", "inside");
    expect_read("", "a", "inside");
    expect_refused("", "b", "No such file");
}

Test(input, names_with_ways_in_them_are_refused)
{
    static const char *const names[] = {"", ".", "..", "/etc/hostname", "../a", "sub/a", "./a", "a/", "/"};
    put_folder("sub");
    put_file("sub/a", "x");
    put_file("a", "x");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_refused("sub", names[i], "no plain file name");
}

Test(input, links_stay_inside_the_folder)
{
    put_folder("sub");
    put_file("sub/a", "inside");
    put_file("outside", "outside");
    put_link("sub/near", "a");
    put_link("sub/far", "../outside");
    put_link("sub/absolute", "/etc/hostname");
    put_link("sub/chain", "far");
    put_link("sub/loop", "loop");
    put_link("sub/magic", "/proc/self/exe");
    expect_read("sub", "near", "inside");
    expect_refused("sub", "far", "leads out");
    expect_refused("sub", "absolute", "leads out");
    expect_refused("sub", "chain", "leads out");
    expect_refused("sub", "loop", "leads out");
    expect_refused("sub", "magic", "leads out");
}

/* As huggingface_hub lays a repository out: the snapshot holds links, the files lie in blobs. */
Test(input, snapshots_of_a_cache_reach_its_blobs_and_no_further)
{
    put_folder("repository");
    put_folder("repository/blobs");
    put_folder("repository/snapshots");
    put_folder("repository/snapshots/0123");
    put_file("repository/blobs/ab", "blob");
    put_file("outside", "outside");
    put_link("repository/snapshots/0123/good", "../../blobs/ab");
    put_link("repository/snapshots/0123/bad", "../../../outside");
    put_link("alias", "repository/snapshots/0123");
    expect_read("repository/snapshots/0123", "good", "blob");
    expect_read("repository/snapshots/0123/", "good", "blob");
    expect_read("alias", "good", "blob");
    expect_refused("repository/snapshots/0123", "bad", "leads out");
}

Test(input, what_is_no_regular_file_is_refused_at_once)
{
    char *pipe = path_of("pipe");
    cr_assert_eq(mkfifo(pipe, 0600), 0);
    put_folder("folder");
    expect_refused("", "pipe", "not a regular file");
    expect_refused("", "folder", "not a regular file");
    expect_refused("/../../dev", "null", "not a regular file");
    free(pipe);
}

Test(input, a_person_may_name_a_link_to_anywhere)
{
    put_folder("sub");
    put_file("outside", "outside");
    put_link("sub/far", "../outside");
    struct qw_input input;
    struct qw_error error = {0};
    char *path = path_of("sub/far"), bytes[3] = "";
    cr_assert(qw_input_open(&input, path, &error) && qw_input_read(bytes, &input, 3, 2, &error), "%s", error.message);
    cr_expect_str_eq(bytes, "si");
    qw_input_close(&input);
    free(path);
}

Test(input, reading_beyond_the_end_is_refused)
{
    static const struct {
        int64_t from;
        size_t count;
        bool there;
    } rows[] = {{0, 6, true},  {6, 0, true},   {5, 1, true},          {0, 7, false},       {6, 1, false},
                {7, 0, false}, {-1, 1, false}, {INT64_MAX, 1, false}, {1, SIZE_MAX, false}};
    struct qw_input input, memory = qw_input_of_bytes("inside", 6);
    struct qw_error none = {0};
    char *path = path_of("a"), bytes[8];
    put_file("a", "inside");
    cr_assert(qw_input_open(&input, path, &none));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct qw_error one = {0}, two = {0};
        cr_expect_eq(qw_input_read(bytes, &input, rows[i].from, rows[i].count, &one), rows[i].there);
        cr_expect_eq(qw_input_read(bytes, &memory, rows[i].from, rows[i].count, &two), rows[i].there);
        cr_expect(rows[i].there || (!strcmp(one.file, path) && one.message[0]));
    }
    qw_input_close(&input);
    free(path);
}

Test(input, a_file_that_changes_is_noticed)
{
    struct qw_input input;
    struct qw_error error = {0};
    char *path = path_of("a"), bytes[8];
    put_file("a", "inside");
    cr_assert(qw_input_open(&input, path, &error) && qw_input_unchanged(&input, &error));
    cr_assert_eq(truncate(path, 2), 0);
    cr_expect_not(qw_input_read(bytes, &input, 0, 6, &error));
    cr_expect(strstr(error.message, "cut short"), "%s", error.message);
    error = (struct qw_error){0};
    cr_expect_not(qw_input_unchanged(&input, &error));
    cr_expect(strstr(error.message, "changed"), "%s", error.message);
    qw_input_close(&input);
    free(path);
}
