/* Files: a reader that takes regular files only, a writer that leaves the old file or the whole new one. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reference/base/file.h"
#include "reference/base/text.h"

static char folder[64];

static void make_folder(void)
{
    strcpy(folder, "/tmp/qconform-file-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static int entries(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.' || (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."));
    closedir(dir);
    return count;
}

static void remove_folder(void)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *path = qw_format("%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            remove(path);
        free(path);
    }
    closedir(dir);
    rmdir(folder);
}

TestSuite(file, .init = make_folder, .fini = remove_folder, .timeout = 20);

static char *in_folder(const char *name) { return qw_format("%s/%s", folder, name); }

static void write_text(const char *path, const char *text)
{
    struct qw_error error = {0};
    cr_assert(qw_file_write(path, text, strlen(text), &error), "%s", error.message);
}

static void expect_content(const char *path, const char *text)
{
    struct qw_error error = {0};
    char *bytes = NULL;
    size_t size = 0;
    cr_assert(qw_file_read(&bytes, &size, path, 1 << 20, &error), "%s", error.message);
    cr_assert_eq(size, strlen(text));
    cr_assert_str_eq(bytes, text);
    free(bytes);
}

static void expect_unreadable(const char *path, size_t budget)
{
    struct qw_error error = {0};
    char *bytes = NULL;
    size_t size = 0;
    cr_expect_not(qw_file_read(&bytes, &size, path, budget, &error), "%s was read", path);
    cr_expect_null(bytes);
    cr_expect_eq(error.kind, QW_ERROR_INPUT);
    cr_expect_str_eq(error.file, path);
}

static void expect_unwritable(const char *path, const char *bytes, size_t size)
{
    struct qw_error error = {0};
    cr_expect_not(qw_file_write(path, bytes, size, &error), "%s was written", path);
    cr_expect_eq(error.kind, QW_ERROR_OUTPUT);
    cr_expect_str_eq(error.file, path);
}

Test(file, writes_reads_and_leaves_nothing_else)
{
    char *path = in_folder("result.json");
    write_text(path, "first");
    expect_content(path, "first");
    write_text(path, "second, longer");
    expect_content(path, "second, longer");
    write_text(path, "");
    expect_content(path, "");
    cr_assert_eq(entries(), 1);
    free(path);
}

Test(file, reads_bytes_with_nul_and_terminates_them)
{
    char *path = in_folder("bytes"), *bytes = NULL;
    size_t size = 0;
    struct qw_error error = {0};
    cr_assert(qw_file_write(path, "a\0b", 3, &error));
    cr_assert(qw_file_read(&bytes, &size, path, 3, &error));
    cr_assert_eq(size, 3);
    cr_assert_arr_eq(bytes, "a\0b", 4);
    free(bytes);
    free(path);
}

Test(file, budget_is_kept)
{
    char *path = in_folder("five");
    write_text(path, "12345");
    expect_unreadable(path, 4);
    free(path);
}

Test(file, refuses_to_read_what_is_not_a_regular_file)
{
    char *pipe_path = in_folder("pipe"), *absent = in_folder("absent");
    cr_assert_eq(mkfifo(pipe_path, 0600), 0);
    expect_unreadable(pipe_path, 100); /* and does not wait for a writer */
    expect_unreadable(folder, 100);
    expect_unreadable("/dev/zero", 100);
    expect_unreadable(absent, 100);
    free(pipe_path);
    free(absent);
}

Test(file, full_device_is_an_output_error) { expect_unwritable("/dev/full", "text", 4); }

Test(file, folder_that_is_not_there_or_is_the_target_is_an_output_error)
{
    char *path = in_folder("no/such/file");
    expect_unwritable(path, "text", 4);
    expect_unwritable(folder, "text", 4);
    cr_assert_eq(entries(), 0);
    free(path);
}

Test(file, failing_write_keeps_the_old_file_and_no_temporary_one)
{
    char *path = in_folder("report.html"), big[4096];
    memset(big, 'x', sizeof big);
    write_text(path, "old");
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {100, 100};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect_unwritable(path, big, sizeof big);
    expect_content(path, "old");
    cr_assert_eq(entries(), 1);
    free(path);
}

Test(file, dash_is_standard_output_and_stays_open)
{
    int ends[2];
    char got[16] = "";
    cr_assert_eq(pipe(ends), 0);
    int kept = dup(STDOUT_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    struct qw_error error = {0};
    bool first = qw_file_write("-", "one ", 4, &error), second = qw_file_write("-", "two", 3, &error);
    dup2(kept, STDOUT_FILENO);
    close(ends[1]);
    cr_assert(first && second);
    cr_assert_eq(read(ends[0], got, sizeof got - 1), 7);
    cr_assert_str_eq(got, "one two");
}

static void expect_path(char *got, const char *wanted)
{
    cr_expect_str_eq(got, wanted);
    free(got);
}

Test(file, paths_are_taken_apart_and_joined)
{
    cr_assert_str_eq(qw_path_base("a/b/c.h5"), "c.h5");
    cr_assert_str_eq(qw_path_base("c.h5"), "c.h5");
    cr_assert_str_eq(qw_path_base("a/"), "");
    expect_path(qw_path_folder("a/b/c.h5"), "a/b/");
    expect_path(qw_path_folder("/c.h5"), "/");
    expect_path(qw_path_folder("c.h5"), "");
    expect_path(qw_path_join("a/b/", "../m"), "a/b/../m");
    expect_path(qw_path_join("", "m"), "m");
    expect_path(qw_path_join("a/b/", "/m"), "/m");
}
