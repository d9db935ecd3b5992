/* Invariant: nothing here runs unless the process was started as a worker. */
#include "harness/worker/tests/stub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "harness/worker/frame.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

/* ---- attempts that a confined worker survives: each gives 0 or its errno ---- */

static int opened(int fd)
{
    int reason = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return reason;
}

static int outcome(long result) { return result < 0 ? errno : 0; }
static int listed(const char *folder)
{
    DIR *listing = opendir(folder);
    int reason = listing ? 0 : errno;
    if (listing) {
        errno = 0;
        reason = readdir(listing) ? 0 : errno;
        closedir(listing);
    }
    return reason;
}

static int created_by_openat2(const char *path)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_WRONLY | O_CREAT, 0600, 0};
    return opened((int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}

static int got_code_memory(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : 0;
}

static int raised_limit(void)
{
    struct rlimit more = {1 << 20, 1 << 20};
    return outcome(setrlimit(RLIMIT_FSIZE, &more));
}

static struct qw_json *try_everything(const struct qc_task *task)
{
    char *folder = qw_path_folder(task->path), *sibling = qw_format("%ssibling", folder), *fresh = qw_format("%sfresh", folder);
    char *parent = qw_format("/proc/%d/environ", (int)getppid());
    const struct {
        const char *what;
        int reason;
    } tries[] = {{"read its input", opened(open(task->path, O_RDONLY))},
                 {"ask for a name", outcome(access("/etc/passwd", F_OK))},
                 {"read /etc/passwd", opened(open("/etc/passwd", O_RDONLY))},
                 {"read a sibling", opened(open(sibling, O_RDONLY))},
                 {"read its parent", opened(open(parent, O_RDONLY))},
                 {"read itself", opened(open("/proc/self/maps", O_RDONLY))},
                 {"read a device", opened(open("/dev/zero", O_RDONLY))},
                 {"list the folder", listed(folder)},
                 {"list the root", listed("/")},
                 {"create in /tmp", opened(open("/tmp/qconform-fresh", O_WRONLY | O_CREAT, 0600))},
                 {"create beside its input", opened(open(fresh, O_WRONLY | O_CREAT, 0600))},
                 {"create here", opened(open("qconform-fresh", O_WRONLY | O_CREAT, 0600))},
                 {"create by openat2", created_by_openat2(fresh)},
                 {"write its input", opened(open(task->path, O_RDWR))},
                 {"truncate its input", outcome(truncate(task->path, 0))},
                 {"remove its input", outcome(unlink(task->path))},
                 {"rename its input", outcome(rename(task->path, fresh))},
                 {"link its input", outcome(link(task->path, fresh))},
                 {"make a link", outcome(symlink("/etc/passwd", fresh))},
                 {"make a folder", outcome(mkdir(fresh, 0700))},
                 {"change its mode", outcome(chmod(task->path, 0600))},
                 {"use an ioctl", outcome(ioctl(STDIN_FILENO, FIONREAD, &(int){0}))},
                 {"signal its parent", outcome(kill(getppid(), 0))},
                 {"signal a thread of its parent", outcome(syscall(SYS_tgkill, getppid(), getppid(), 0))},
                 {"raise a limit", raised_limit()},
                 {"be dumped", outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))},
                 {"make memory code", got_code_memory()},
                 {"hide a file in memory", opened(memfd_create("x", 0))},
                 {"write elsewhere", outcome(write(STDIN_FILENO, "x", 1))}};
    struct qw_json *answer = qw_json_object();
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        qw_json_put_int(answer, tries[i].what, tries[i].reason);
    free(folder);
    free(sibling);
    free(fresh);
    free(parent);
    return answer;
}

/* ---- libhdf5 without the checks of harness/recording ---- */

/* How many of the first bytes of the dataset are not zero; -1 when it cannot be opened or read. */
static int bytes_read(hid_t file, const char *path)
{
    unsigned char bytes[16] = {0};
    int count = 0;
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    if (dataset < 0 || H5Dread(dataset, H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) < 0)
        return -1;
    for (size_t i = 0; i < sizeof bytes; i++)
        count += bytes[i] != 0;
    H5Dclose(dataset);
    return count;
}

static struct qw_json *read_hdf5(const struct qc_task *task)
{
    struct qw_json *answer = qw_json_object();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fopen(task->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    static const char *const paths[] = {"/own", "/linked", "/stored", "/virtual"};
    for (size_t i = 0; file >= 0 && i < sizeof paths / sizeof *paths; i++)
        qw_json_put_int(answer, paths[i], bytes_read(file, paths[i]));
    H5Fclose(file);
    return answer;
}

/* ---- deeds that end a worker, or should ---- */

static struct qw_json *end_well(const struct qc_task *task)
{
    struct qw_json *answer = qw_json_object();
    qw_json_put_text(answer, "recording", task->path);
    qw_json_put_text(answer, "status", "PASS");
    return answer;
}

static void put_frame(uint32_t length, uint32_t checksum, const char *payload)
{
    uint32_t head[3] = {0, length, checksum};
    memcpy(head, "QCF1", 4);
    if (write(STDOUT_FILENO, head, sizeof head) < 0 || write(STDOUT_FILENO, payload, strlen(payload)) < 0)
        _exit(9);
}

static void flood(int fd, int64_t bytes)
{
    static char block[1 << 16];
    memset(block, 'x', sizeof block);
    for (int64_t done = 0; done < bytes;) {
        ssize_t put = write(fd, block, sizeof block);
        if (put < 0)
            _exit(9);
        done += put;
    }
}

static void use_memory(void)
{
    for (;;)
        qw_calloc(1 << 20, 64); /* address space alone: the machine is not burdened */
}

static void start_process(bool by_vfork)
{
    pid_t pid = by_vfork ? vfork() : fork();
    if (pid == 0)
        _exit(0);
}

static void start_program(void)
{
    char *const arguments[] = {(char *)(uintptr_t) "true", NULL};
    execv("/bin/true", arguments);
}

static void spin(void)
{
    for (volatile uint64_t i = 0;; i = i + 1)
        continue;
}

static void answer_twice(void)
{
    qc_frame_write(STDOUT_FILENO, "{\"answer\":{}}");
    qc_frame_write(STDOUT_FILENO, "{\"answer\":{}}");
    _exit(0);
}

static void answer_and_fail(void)
{
    qc_frame_write(STDOUT_FILENO, "{\"answer\":{\"status\":\"PASS\"}}");
    _exit(3);
}

static void ask_for_ever(void)
{
    qc_frame_write(STDOUT_FILENO, "{\"answer\":{\"needs\":{\"model\":\"../models\"}}}");
    _exit(0);
}

static struct qw_json *do_deed(const struct qc_task *task)
{
    const char *deed = task->selection.site;
#define DEED(name, ...)                                                                                                          \
    if (!strcmp(deed, name)) {                                                                                                   \
        __VA_ARGS__;                                                                                                             \
        return end_well(task);                                                                                                   \
    }
    DEED("nothing", (void)0)
    DEED("everything", return try_everything(task))
    DEED("hdf5", return read_hdf5(task))
    DEED("segv", raise(SIGSEGV))
    DEED("abort", abort())
    DEED("divide", raise(SIGFPE))
    DEED("be killed", raise(SIGKILL))
    DEED("memory", use_memory())
    DEED("spin", spin())
    DEED("sleep", sleep(100))
    DEED("close and sleep", close(STDOUT_FILENO); close(STDERR_FILENO); sleep(100))
    DEED("close and end", close(STDOUT_FILENO); _exit(0))
    DEED("exit 3", _exit(3))
    DEED("flood", flood(STDOUT_FILENO, 1 << 30))
    DEED("flood a frame", put_frame(1 << 20, 0, ""); flood(STDOUT_FILENO, 1 << 30))
    DEED("talk", flood(STDERR_FILENO, 32 << 20); fputs("\n\033[31mthe end\a\n", stderr); _exit(3))
    DEED("talk for ever", flood(STDERR_FILENO, INT64_MAX))
    DEED("half a head", if (write(STDOUT_FILENO, "QCF1\1", 5) == 5) _exit(0))
    DEED("half a frame", put_frame(100, 0, "{\"answer\""); _exit(0))
    DEED("wrong checksum", put_frame(2, 7, "{}"); _exit(0))
    DEED("4 GB", put_frame(UINT32_MAX, 0, "{"); sleep(100))
    DEED("no frame", if (write(STDOUT_FILENO, "hello world, no frame\n", 22) == 22) _exit(0))
    DEED("twice", answer_twice())
    DEED("no answer", qc_frame_write(STDOUT_FILENO, "[1]"); _exit(0))
    DEED("answer and fail", answer_and_fail())
    DEED("ask for ever", ask_for_ever())
    DEED("fork", start_process(false))
    DEED("vfork", start_process(true))
    DEED("execve", start_program())
    DEED("tcp", socket(AF_INET, SOCK_STREAM, 0))
    DEED("udp", socket(AF_INET6, SOCK_DGRAM, 0))
    DEED("unix", socket(AF_UNIX, SOCK_STREAM, 0))
    DEED("netlink", socket(AF_NETLINK, SOCK_RAW, 0))
    DEED("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0, 0}))
    DEED("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL))
    DEED("read another's memory", process_vm_readv(getppid(), NULL, 0, NULL, 0, 0))
    DEED("mount", mount("none", "/tmp", "tmpfs", 0, NULL))
    DEED("chroot", if (chroot("/")) return end_well(task))
    DEED("unshare", syscall(SYS_unshare, 0x10000000 /* a user namespace */))
    DEED("io_uring", syscall(SYS_io_uring_setup, 1, NULL))
    DEED("bpf", syscall(SYS_bpf, 0, NULL, 0))
#undef DEED
    return end_well(task);
}

/* ---- being the worker, and asking for one ---- */

__attribute__((constructor)) static void be_the_worker(int count, char **arguments)
{
    static const struct qc_task_kind kinds[] = {{"deed", do_deed}};
    if (count == 3 && !strcmp(arguments[1], "worker"))
        _exit(qc_worker_serve(kinds, 1, arguments[2]));
}

void stub_run(struct qw_json **answers, const char *const *deeds, int count, const char *path, struct qc_workers *workers)
{
    struct qc_task *tasks = QW_NEW_ARRAY(struct qc_task, count);
    for (int i = 0; i < count; i++) {
        tasks[i] = qc_task_of("deed", path);
        tasks[i].selection.site = deeds[i];
    }
    workers->jobs = workers->jobs ? workers->jobs : 1;
    workers->seconds = workers->seconds > 0 ? workers->seconds : 20;
    qc_workers_run(answers, tasks, count, workers);
    free(tasks);
}

struct qw_json *stub_do(const char *deed, const char *path)
{
    struct qw_json *answer = NULL;
    struct qc_workers workers = {0};
    stub_run(&answer, &deed, 1, path, &workers);
    qw_json_free(workers.sandbox);
    return answer;
}
