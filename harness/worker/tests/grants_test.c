/* Which files a worker may open, by who named them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/recording/tests/made.h"
#include "harness/worker/grants.h"
#include "reference/base/file.h"

TestSuite(grants, .init = made_begin, .fini = made_end);

static void put_file(const char *name, const char *text)
{
    char path[256];
    struct qw_error error = {0};
    cr_assert(qw_file_write(made_path(path, name), text, strlen(text), &error), "%s", error.message);
}

static void put_folder(const char *name)
{
    char path[256];
    cr_assert_eq(mkdir(made_path(path, name), 0700), 0);
}

static void put_link(const char *name, const char *target)
{
    char path[256];
    cr_assert_eq(symlink(target, made_path(path, name)), 0);
}

/* A recording beside a folder of weights. */
static struct qc_task task_with_folder(char path[256])
{
    put_file("run.h5", "12345");
    put_folder("model");
    put_file("model/config.json", "{}");
    put_file("model/model-00001-of-00001.safetensors", "123");
    put_file("model/modeling.py", "");
    put_file("model/.hidden.json", "");
    put_file("secret", "secret");
    struct qc_task task = qc_task_of("judge", made_path(path, "run.h5"));
    return task;
}

static bool has(const struct qc_grants *grants, const char *name)
{
    char path[256], whole[4096], there[4096];
    cr_assert_not_null(realpath(made_path(path, name), whole));
    for (int i = 0; i < grants->count; i++)
        if (realpath(grants->item[i].path, there) && !strcmp(there, whole))
            return true;
    return false;
}

static struct qc_grants granted(const struct qc_task *task)
{
    struct qc_grants grants;
    struct qw_error error = {0};
    cr_assert(qc_grants_make(&grants, task, &error), "%s", error.message);
    return grants;
}

static void refused(const struct qc_task *task, const char *file, const char *hint)
{
    struct qc_grants grants;
    struct qw_error error = {0};
    cr_expect_not(qc_grants_make(&grants, task, &error));
    cr_expect(strstr(error.file, file), "%s", error.file);
    cr_expect(strstr(error.message, "leaves the folder"), "%s", error.message);
    cr_expect(strstr(error.hint, hint), "%s", error.hint);
    qc_grants_clear(&grants);
}

Test(grants, a_recording_alone_opens_itself_and_nothing_else)
{
    char path[256];
    struct qc_task task = task_with_folder(path);
    struct qc_grants grants = granted(&task);
    cr_expect_eq(grants.count, 1);
    cr_expect(has(&grants, "run.h5"));
    cr_expect_eq(grants.bytes, 5);
    qc_grants_clear(&grants);
}

Test(grants, a_second_recording_is_opened_too)
{
    char path[256], other[256];
    struct qc_task task = task_with_folder(path);
    task.other = made_path(other, "secret");
    struct qc_grants grants = granted(&task);
    cr_expect_eq(grants.count, 2);
    cr_expect_eq(grants.bytes, 11);
    qc_grants_clear(&grants);
}

Test(grants, of_a_folder_only_what_a_checkpoint_has)
{
    char path[256], folder[256];
    struct qc_task task = task_with_folder(path);
    task.places.named_model = "model";
    for (int turn = 0; turn < 2; turn++) {
        struct qc_grants grants = granted(&task);
        cr_expect_eq(grants.count, 4);
        cr_expect(has(&grants, "model") && has(&grants, "model/config.json"));
        cr_expect(has(&grants, "model/model-00001-of-00001.safetensors"));
        cr_expect_not(has(&grants, "model/modeling.py"));
        cr_expect_not(has(&grants, "model/.hidden.json"));
        cr_expect_eq(grants.bytes, 5 + 2 + 3);
        qc_grants_clear(&grants);
        task.places.model = made_path(folder, "model");
    }
}

Test(grants, the_folder_that_the_person_names_wins)
{
    char path[256], folder[256];
    struct qc_task task = task_with_folder(path);
    put_folder("other");
    task.places.named_adapter = "model";
    task.places.adapter = made_path(folder, "other");
    struct qc_grants grants = granted(&task);
    cr_expect(has(&grants, "other"));
    cr_expect_not(has(&grants, "model"));
    qc_grants_clear(&grants);
}

Test(grants, a_link_out_of_a_named_folder_is_refused_unless_the_person_names_it)
{
    char path[256], folder[256];
    struct qc_task task = task_with_folder(path);
    put_link("model/index.json", "../secret");
    task.places.named_model = "model";
    refused(&task, "model/index.json", "--model DIR");
    task.places.named_model = NULL;
    task.places.named_adapter = "./model";
    refused(&task, "model/index.json", "--adapter DIR");
    task.places.adapter = made_path(folder, "model");
    struct qc_grants grants = granted(&task);
    cr_expect(has(&grants, "secret"));
    qc_grants_clear(&grants);
}

Test(grants, a_link_within_a_named_folder_is_followed)
{
    char path[256];
    struct qc_task task = task_with_folder(path);
    put_link("model/model.safetensors", "model-00001-of-00001.safetensors");
    task.places.named_model = "model";
    struct qc_grants grants = granted(&task);
    cr_expect_eq(grants.count, 5);
    qc_grants_clear(&grants);
}

Test(grants, a_snapshot_of_a_download_cache_leads_to_its_blobs_and_no_further)
{
    char path[256];
    struct qc_task task = task_with_folder(path);
    put_folder("models--x");
    put_folder("models--x/blobs");
    put_folder("models--x/snapshots");
    put_folder("models--x/snapshots/1");
    put_file("models--x/blobs/abc", "weights");
    put_link("models--x/snapshots/1/model.safetensors", "../../blobs/abc");
    task.places.named_model = "models--x/snapshots/1";
    struct qc_grants grants = granted(&task);
    cr_expect(has(&grants, "models--x/blobs/abc"));
    qc_grants_clear(&grants);
    put_link("models--x/blobs/out", "../../secret");
    put_link("models--x/snapshots/1/config.json", "../../blobs/out");
    refused(&task, "config.json", "--model DIR");
}

Test(grants, what_is_not_there_has_no_grant)
{
    char path[256];
    struct qc_task task = task_with_folder(path);
    task.path = "none.h5";
    task.places.named_model = "nowhere";
    struct qc_grants grants = granted(&task);
    cr_expect_eq(grants.count, 0);
    qc_grants_clear(&grants);
    put_link("model/dangling.json", "nowhere");
    task.path = made_path(path, "run.h5");
    task.places.named_model = "model";
    grants = granted(&task);
    cr_expect_eq(grants.count, 4);
    qc_grants_clear(&grants);
}

Test(grants, a_pipe_has_a_grant_so_that_it_can_be_refused_by_name)
{
    char path[256], pipe[256];
    struct qc_task task = task_with_folder(path);
    cr_assert_eq(mkfifo(made_path(pipe, "model/model.safetensors"), 0600), 0);
    put_link("model/device.safetensors", "/dev/zero");
    task.places.model = made_path(pipe, "model");
    struct qc_grants grants = granted(&task);
    cr_expect(has(&grants, "model/model.safetensors"));
    cr_expect_not(has(&grants, "model/device.safetensors"));
    qc_grants_clear(&grants);
}

Test(grants, names_inside_a_recording_are_relative_and_plain)
{
    char name[5000];
    static const char *const bad[] = {"", "/etc", "a\nb", "\x1b[31m", "a\x7f"};
    static const char *const good[] = {"model", "../models/qwen2-tiny", "./x", "Modelle für Qwen", ".."};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct qw_error error = {0};
        cr_expect(qc_named_folder_check(good[i], "/model@weights", "--model", &error), "%s", good[i]);
    }
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 0;
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        struct qw_error error = {0};
        bool last = i == sizeof bad / sizeof *bad;
        cr_expect_not(qc_named_folder_check(last ? name : bad[i], "/model@weights", "--model", &error), "%zu", i);
        cr_expect_str_eq(error.place, "/model@weights");
        cr_expect(strstr(error.hint, "--model DIR") && error.message[0]);
    }
}
