/* What a confined worker tries is denied, piece by piece and all together. */
#include <criterion/criterion.h>
#include <errno.h>
#include <hdf5.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/recording/tests/made.h"
#include "harness/worker/sandbox.h"
#include "harness/worker/tests/stub.h"
#include "reference/base/file.h"

TestSuite(sandbox, .init = made_begin, .fini = made_end, .timeout = 120);

/* Version of Landlock in this kernel; a test that needs more is skipped. */
static void needs_landlock(int version)
{
    long found = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (found < version)
        cr_skip_test("this kernel has no Landlock of version %d", version);
}

/* From here on this process and what it starts find a kernel that lacks the calls. */
static void take_away(const int *calls, size_t count)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), calls[i], 0), 0);
    cr_assert_eq(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0)),
                 0);
    cr_assert_eq(seccomp_load(filter), 0);
    seccomp_release(filter);
}

static void without_landlock(void) { take_away((const int[]){SCMP_SYS(landlock_create_ruleset)}, 1); }
static void without_seccomp(void) { take_away((const int[]){SCMP_SYS(seccomp)}, 1); }

/* A recording with a neighbour. */
static const char *make_input(char path[256])
{
    struct qw_error error = {0};
    char sibling[256];
    made_path(path, "input.h5");
    cr_assert(qw_file_write(path, "input", 5, &error));
    cr_assert(qw_file_write(made_path(sibling, "sibling"), "secret", 6, &error));
    return path;
}

/* Every attempt but the names that are listed (NULL-terminated) must have failed for want of permission. */
static void all_denied_but(const struct qw_json *tries, const char *const *allowed)
{
    cr_assert_gt(qw_json_size(tries), 20);
    for (const struct qw_json *each = qw_json_first(tries); each; each = qw_json_next(each)) {
        int64_t reason = qw_json_int(each, -1);
        bool may = false;
        for (const char *const *name = allowed; *name; name++)
            may = may || !strcmp(*name, qw_json_key(each));
        bool denied = reason == EACCES || reason == EPERM || reason == EXDEV || reason == EROFS;
        cr_expect(may ? reason == 0 : denied, "%s: %s", qw_json_key(each), strerror((int)reason));
    }
}

static void input_is_whole(const char *path)
{
    struct stat info;
    char fresh[256];
    cr_expect(stat(path, &info) == 0 && info.st_size == 5 && (info.st_mode & 0777) == 0644, "the input was changed");
    cr_expect_neq(access(made_path(fresh, "fresh"), F_OK), 0);
    cr_expect_neq(access("/tmp/qconform-fresh", F_OK), 0);
    cr_expect_neq(access("qconform-fresh", F_OK), 0);
}

Test(sandbox, nothing_but_the_input_can_be_read_and_nothing_changed)
{
    char path[256];
    needs_landlock(1);
    struct qw_json *tries = stub_do("everything", make_input(path));
    all_denied_but(tries, (const char *const[]){"read its input", "ask for a name", NULL});
    qw_json_free(tries);
    input_is_whole(path);
}

Test(sandbox, sockets_processes_and_programs_end_the_worker)
{
    static const char *const deeds[] = {"tcp",   "udp",    "unix",    "netlink",  "socketpair",
                                        "fork",  "vfork",  "execve",  "ptrace",   "read another's memory",
                                        "mount", "chroot", "unshare", "io_uring", "bpf"};
    enum { COUNT = sizeof deeds / sizeof *deeds };
    struct qw_json *answers[COUNT];
    struct qc_workers workers = {.jobs = 2};
    char path[256];
    stub_run(answers, deeds, COUNT, make_input(path), &workers);
    for (int i = 0; i < COUNT; i++) {
        cr_expect_str_eq(qw_json_get_text(answers[i], "status", ""), "CRASH", "%s", deeds[i]);
        cr_expect(strstr(qw_json_get_text(answers[i], "verdict", ""), "open a socket or to start a process"), "%s", deeds[i]);
        qw_json_free(answers[i]);
    }
    qw_json_free(workers.sandbox);
}

/* ---- one piece without the other ---- */

static struct qw_json *do_reporting(struct qw_json **sandbox, const char *deed, const char *path)
{
    struct qw_json *answer = NULL;
    struct qc_workers workers = {0};
    stub_run(&answer, &deed, 1, path, &workers);
    *sandbox = workers.sandbox;
    return answer;
}

static void lacks(const struct qw_json *sandbox, const char *piece)
{
    const struct qw_json *missing = qw_json_get(sandbox, "missing");
    for (int i = 0; qc_sandbox_piece_at(i); i++) {
        const char *name = qc_sandbox_piece_at(i)->name;
        cr_expect_eq(qc_sandbox_has(sandbox, qc_sandbox_piece_at(i)), !piece || strcmp(name, piece), "%s", name);
    }
    cr_expect_eq(qw_json_size(missing), piece ? 1 : 0);
    if (piece)
        cr_expect_eq(strncmp(qw_json_text(qw_json_first(missing), ""), piece, strlen(piece)), 0);
}

Test(sandbox, all_pieces_are_reported)
{
    char path[256];
    struct qw_json *sandbox;
    needs_landlock(1);
    qw_json_free(do_reporting(&sandbox, "nothing", make_input(path)));
    lacks(sandbox, NULL);
    qw_json_free(sandbox);
}

Test(sandbox, without_landlock_nothing_can_be_written_still)
{
    static const char *const reading[] = {"read its input", "ask for a name", "read /etc/passwd",
                                          "read a sibling", "read a device",  NULL};
    char path[256];
    struct qw_json *sandbox;
    make_input(path);
    without_landlock();
    struct qw_json *tries = do_reporting(&sandbox, "everything", path);
    lacks(sandbox, "landlock");
    /* as root; who is not cannot read another process anyway, and openat2 is then as on a kernel without it */
    for (const struct qw_json *each = qw_json_first(tries); each; each = qw_json_next(each)) {
        const char *what = qw_json_key(each);
        int64_t reason = qw_json_int(each, -1);
        if (!strcmp(what, "read its parent") || !strcmp(what, "read itself"))
            continue;
        bool may = false;
        for (const char *const *name = reading; *name; name++)
            may = may || !strcmp(*name, what);
        cr_expect(may ? reason == 0 : reason == EPERM || (!strcmp(what, "create by openat2") && reason == ENOSYS), "%s: %s", what,
                  strerror((int)reason));
    }
    input_is_whole(path);
    qw_json_free(tries);
    qw_json_free(sandbox);
}

Test(sandbox, without_seccomp_no_other_file_can_be_opened_still)
{
    static const char *const denied[] = {"read /etc/passwd", "read a sibling",    "read its parent",
                                         "read itself",      "read a device",     "list the folder",
                                         "list the root",    "create in /tmp",    "create beside its input",
                                         "create here",      "create by openat2", "write its input",
                                         "remove its input", "rename its input",  "link its input",
                                         "make a link",      "make a folder"};
    char path[256];
    struct qw_json *sandbox;
    needs_landlock(3);
    make_input(path);
    without_seccomp();
    struct qw_json *tries = do_reporting(&sandbox, "everything", path);
    lacks(sandbox, "seccomp");
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
        int64_t reason = qw_json_get_int(tries, denied[i], 0);
        cr_expect(reason == EACCES || reason == EXDEV, "%s: %s", denied[i], strerror((int)reason));
    }
    cr_expect_eq(qw_json_get_int(tries, "truncate its input", 0), EACCES);
    cr_expect_eq(qw_json_get_int(tries, "read its input", -1), 0);
    qw_json_free(tries);
    qw_json_free(sandbox);
}

Test(sandbox, since_version_6_landlock_alone_keeps_signals_in)
{
    char path[256];
    struct qw_json *sandbox;
    needs_landlock(6);
    make_input(path);
    without_seccomp();
    struct qw_json *tries = do_reporting(&sandbox, "everything", path);
    cr_expect_eq(qw_json_get_int(tries, "signal its parent", 0), EPERM);
    qw_json_free(tries);
    qw_json_free(sandbox);
}

Test(sandbox, a_kernel_that_does_not_tell_that_a_process_ended_is_asked)
{
    char path[256];
    make_input(path);
    take_away((const int[]){SCMP_SYS(pidfd_open)}, 1);
    struct qw_json *good = stub_do("nothing", path), *bad = stub_do("close and end", path);
    cr_expect_str_eq(qw_json_get_text(good, "status", ""), "PASS");
    cr_expect_str_eq(qw_json_get_text(bad, "status", ""), "CRASH");
    qw_json_free(good);
    qw_json_free(bad);
}

/* ---- libhdf5 without our checks ---- */

#define EXTENT 16

/* A file with data of its own, and the same named in three ways that lead to another file. */
static const char *make_hostile(char path[256], char other[256])
{
    const unsigned char data[EXTENT] = "sixteen letters";
    hsize_t extent = EXTENT;
    hid_t space = H5Screate_simple(1, &extent, NULL);
    hid_t target = H5Fcreate(made_path(other, "target.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t file = H5Fcreate(made_path(path, "hostile.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t own[2] = {H5Dcreate2(target, "x", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                    H5Dcreate2(file, "own", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)};
    for (int i = 0; i < 2; i++) {
        H5Dwrite(own[i], H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
        H5Dclose(own[i]);
    }
    H5Lcreate_external(other, "/x", file, "linked", H5P_DEFAULT, H5P_DEFAULT);
    hid_t stored = H5Pcreate(H5P_DATASET_CREATE), mapped = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(stored, "/etc/passwd", 0, EXTENT);
    H5Pset_virtual(mapped, space, other, "/x", space);
    H5Dclose(H5Dcreate2(file, "stored", H5T_STD_U8LE, space, H5P_DEFAULT, stored, H5P_DEFAULT));
    H5Dclose(H5Dcreate2(file, "virtual", H5T_STD_U8LE, space, H5P_DEFAULT, mapped, H5P_DEFAULT));
    H5Pclose(stored);
    H5Pclose(mapped);
    H5Fclose(file);
    H5Fclose(target);
    H5Sclose(space);
    return path;
}

Test(sandbox, libhdf5_itself_cannot_be_led_to_another_file)
{
    char path[256], other[256];
    needs_landlock(1);
    struct qw_json *answer = stub_do("hdf5", make_hostile(path, other));
    cr_expect_eq(qw_json_get_int(answer, "/own", -2), EXTENT - 1);
    cr_expect_eq(qw_json_get_int(answer, "/linked", -2), -1);
    cr_expect_eq(qw_json_get_int(answer, "/stored", -2), -1);
    cr_expect_leq(qw_json_get_int(answer, "/virtual", 16), 0, "libhdf5 gives zeros for what it cannot open");
    qw_json_free(answer);
}

Test(sandbox, libhdf5_would_be_led_there_without_it)
{
    char path[256], other[256];
    make_hostile(path, other);
    without_landlock();
    struct qw_json *answer = stub_do("hdf5", path);
    cr_expect_eq(qw_json_get_int(answer, "/linked", -2), EXTENT - 1);
    cr_expect_gt(qw_json_get_int(answer, "/stored", -2), 0);
    cr_expect_eq(qw_json_get_int(answer, "/virtual", -2), EXTENT - 1);
    qw_json_free(answer);
}
