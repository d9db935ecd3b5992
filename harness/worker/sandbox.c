/* Invariant: a confined process cannot undo or widen its confinement. */
#include "harness/worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reference/base/text.h"

#define COUNT(table) (sizeof table / sizeof *table)

/* ---- limits ---- */

/* Address space: libhdf5 asks for any amount when a length in the file is damaged.  What an honest recording needs
 * grows with its inputs (plays are held in float64, several at a time); the base is what small inputs may unfold to.
 * Far below it OpenBLAS spins instead of failing: under 256 MiB it never ends.  The shadow memory of AddressSanitizer
 * does not fit under any such limit. */
#define MEMORY_BASE     ((rlim_t)2 << 30)
#define MEMORY_PER_BYTE 64

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOW_MEMORY 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOW_MEMORY 1
#endif

static rlim_t memory_for(int64_t bytes)
{
#ifdef SHADOW_MEMORY
    (void)bytes;
    return RLIM_INFINITY;
#else
    rlim_t needed;
    if (__builtin_mul_overflow((rlim_t)bytes, (rlim_t)MEMORY_PER_BYTE, &needed) || needed > RLIM_INFINITY / 2)
        return RLIM_INFINITY;
    return MEMORY_BASE + needed;
#endif
}

static bool limit(int resource, rlim_t most)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
        return false;
    if (now.rlim_max < most)
        most = now.rlim_max;
    struct rlimit wanted = {most, most};
    return setrlimit((__rlimit_resource_t)resource, &wanted) == 0;
}

/* RLIMIT_NPROC counts all processes of the user, so that 0 forbids every fork of this one; it does not bind root, whom
 * the filter of system calls stops. */
static bool set_limits(const struct qc_grants *grants, int64_t seconds)
{
    const struct {
        int resource;
        rlim_t most;
    } limits[] = {{RLIMIT_CORE, 0},
                  {RLIMIT_FSIZE, 0},
                  {RLIMIT_NOFILE, 64 + (rlim_t)grants->count}, /* every shard of a checkpoint may be open */
                  {RLIMIT_NPROC, 0},
                  {RLIMIT_CPU, seconds > 0 ? (rlim_t)seconds + 1 : RLIM_INFINITY},
                  {RLIMIT_AS, memory_for(grants->bytes)}};
    bool all = true;
    for (size_t i = 0; i < COUNT(limits); i++)
        all = limit(limits[i].resource, limits[i].most) && all;
    return all;
}

/* ---- Landlock ---- */

/* The kernel's structure at its newest: the header of an older system has only its first field.  A kernel that knows
 * fewer fields takes the rest as long as it is zero. */
struct ruleset {
    uint64_t files, network, scope;
};

/* What is forbidden unless granted, by the version of the interface that knows it. */
static const struct {
    int version;
    struct ruleset forbidden;
} versions[] = {
    {1, {.files = (1 << 13) - 1}}, /* execute, write, read, list, remove, make … */
    {2, {.files = 1 << 13}},       /* link and rename into another folder */
    {3, {.files = 1 << 14}},       /* truncate */
    {4, {.network = 3}},           /* bind and connect TCP */
    {5, {.files = 1 << 15}},       /* ioctl of devices */
    {6, {.scope = 3}},             /* abstract Unix sockets and signals to processes outside */
};
#define NEWEST_VERSION 7 /* adds nothing but control over the kernel's log */

static void grant(int ruleset, const struct qc_grant *item)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = item->folder ? LANDLOCK_ACCESS_FS_READ_DIR
                                                                             : LANDLOCK_ACCESS_FS_READ_FILE};
    rule.parent_fd = open(item->path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

static int restrict_files(const struct qc_grants *grants)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset wanted = {0};
    if (version < 1)
        return 0;
    for (size_t i = 0; i < COUNT(versions); i++)
        if (versions[i].version <= version) {
            wanted.files |= versions[i].forbidden.files;
            wanted.network |= versions[i].forbidden.network;
            wanted.scope |= versions[i].forbidden.scope;
        }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &wanted, sizeof wanted, 0);
    if (ruleset < 0)
        return 0;
    for (int i = 0; i < grants->count; i++)
        grant(ruleset, &grants->item[i]);
    bool done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return !done ? 0 : version < NEWEST_VERSION ? (int)version : NEWEST_VERSION;
}

/* ---- seccomp ---- */

/* What a reader does between its start and its answer, and what the C library, libhdf5, OpenBLAS and the sanitizers do
 * below it.  Everything else fails with EPERM. */
static const int reader_calls[] = {SCMP_SYS(read),
                                   SCMP_SYS(pread64),
                                   SCMP_SYS(readv),
                                   SCMP_SYS(preadv),
                                   SCMP_SYS(lseek),
                                   SCMP_SYS(close),
                                   SCMP_SYS(fstat),
                                   SCMP_SYS(newfstatat),
                                   SCMP_SYS(statx),
                                   SCMP_SYS(stat),
                                   SCMP_SYS(lstat),
                                   SCMP_SYS(access),
                                   SCMP_SYS(faccessat),
                                   SCMP_SYS(faccessat2),
                                   SCMP_SYS(getcwd),
                                   SCMP_SYS(readlink),
                                   SCMP_SYS(readlinkat),
                                   SCMP_SYS(fadvise64),
                                   SCMP_SYS(brk),
                                   SCMP_SYS(munmap),
                                   SCMP_SYS(mremap),
                                   SCMP_SYS(madvise),
                                   SCMP_SYS(mbind),
                                   SCMP_SYS(get_mempolicy),
                                   SCMP_SYS(sysinfo),
                                   SCMP_SYS(uname),
                                   SCMP_SYS(getrusage),
                                   SCMP_SYS(getpid),
                                   SCMP_SYS(gettid),
                                   SCMP_SYS(getppid),
                                   SCMP_SYS(getuid),
                                   SCMP_SYS(geteuid),
                                   SCMP_SYS(getgid),
                                   SCMP_SYS(getegid),
                                   SCMP_SYS(futex),
                                   SCMP_SYS(sched_yield),
                                   SCMP_SYS(sched_getaffinity),
                                   SCMP_SYS(getcpu),
                                   SCMP_SYS(set_robust_list),
                                   SCMP_SYS(rseq),
                                   SCMP_SYS(membarrier),
                                   SCMP_SYS(clock_gettime),
                                   SCMP_SYS(clock_getres),
                                   SCMP_SYS(clock_nanosleep),
                                   SCMP_SYS(nanosleep),
                                   SCMP_SYS(gettimeofday),
                                   SCMP_SYS(setitimer),
                                   SCMP_SYS(getrandom),
                                   SCMP_SYS(rt_sigaction),
                                   SCMP_SYS(rt_sigprocmask),
                                   SCMP_SYS(rt_sigreturn),
                                   SCMP_SYS(sigaltstack),
                                   SCMP_SYS(restart_syscall),
                                   SCMP_SYS(exit),
                                   SCMP_SYS(exit_group)};

/* What no reader ever does: who tries has taken the worker over, and the worker ends. */
static const int hostile_calls[] = {SCMP_SYS(socket),
                                    SCMP_SYS(socketpair),
                                    SCMP_SYS(connect),
                                    SCMP_SYS(bind),
                                    SCMP_SYS(listen),
                                    SCMP_SYS(execve),
                                    SCMP_SYS(execveat),
                                    SCMP_SYS(fork),
                                    SCMP_SYS(vfork),
                                    SCMP_SYS(clone),
                                    SCMP_SYS(clone3),
                                    SCMP_SYS(ptrace),
                                    SCMP_SYS(process_vm_readv),
                                    SCMP_SYS(process_vm_writev),
                                    SCMP_SYS(pidfd_getfd),
                                    SCMP_SYS(mount),
                                    SCMP_SYS(umount2),
                                    SCMP_SYS(pivot_root),
                                    SCMP_SYS(chroot),
                                    SCMP_SYS(unshare),
                                    SCMP_SYS(setns),
                                    SCMP_SYS(bpf),
                                    SCMP_SYS(perf_event_open),
                                    SCMP_SYS(io_uring_setup),
                                    SCMP_SYS(userfaultfd),
                                    SCMP_SYS(keyctl),
                                    SCMP_SYS(init_module),
                                    SCMP_SYS(finit_module),
                                    SCMP_SYS(kexec_load),
                                    SCMP_SYS(reboot)};

#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND)

static bool add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++)
        all = seccomp_rule_add(filter, action, calls[i], 0) == 0 && all;
    return all;
}

/* Calls that depend on what they are given: nothing is opened for writing, no memory becomes code, answers go to the
 * two pipes, a signal only to itself (abort), limits are only asked for. */
static bool add_conditions(scmp_filter_ctx filter)
{
    const struct {
        int call;
        struct scmp_arg_cmp condition;
    } conditions[] = {{SCMP_SYS(open), SCMP_A1(SCMP_CMP_MASKED_EQ, WRITING, 0)},
                      {SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, WRITING, 0)},
                      {SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
                      {SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
                      {SCMP_SYS(write), SCMP_A0(SCMP_CMP_EQ, STDOUT_FILENO, 0)},
                      {SCMP_SYS(write), SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO, 0)},
                      {SCMP_SYS(writev), SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO, 0)},
                      {SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_GETFL, 0)},
                      {SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_GETFD, 0)},
                      {SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_SETFD, 0)},
                      {SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0)},
                      {SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0, 0)},
                      {SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)}};
    bool all = true;
    for (size_t i = 0; i < COUNT(conditions); i++)
        all = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, conditions[i].call, 1, &conditions[i].condition) == 0 && all;
    return all;
}

/* Two calls that are answered as on a kernel without them: locks, which libhdf5 then does without; and openat2, which
 * hides its flags from the filter, unless Landlock judges it. */
static bool filter_calls(bool landlock)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return false;
    bool ok = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
              add_calls(filter, SCMP_ACT_ALLOW, reader_calls, COUNT(reader_calls)) &&
              add_calls(filter, SCMP_ACT_KILL_PROCESS, hostile_calls, COUNT(hostile_calls)) && add_conditions(filter) &&
              seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(flock), 0) == 0 &&
              seccomp_rule_add(filter, landlock ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0) == 0 &&
              seccomp_load(filter) == 0;
    seccomp_release(filter);
    return ok;
}

/* ---- the whole ---- */

void qc_sandbox_enter(struct qc_sandbox *sandbox, const struct qc_grants *grants, int64_t seconds)
{
    closefrom(STDERR_FILENO + 1);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    bool no_new_privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    *sandbox = (struct qc_sandbox){.limits = set_limits(grants, seconds)};
    if (!no_new_privileges)
        return;
    sandbox->landlock = restrict_files(grants);
    sandbox->seccomp = filter_calls(sandbox->landlock > 0);
}

static const struct qc_sandbox_piece pieces[] = {
    {"landlock", "a worker could read files that it was not given",
     "use Linux 5.13 or later with landlock in its list of security modules (lsm=landlock,…)"},
    {"seccomp", "a worker could open sockets and start programs",
     "use a kernel with CONFIG_SECCOMP_FILTER; in a container, let the seccomp call through"},
    {"limits", "a worker could take memory and processor time without bound", "let setrlimit lower the limits of a process"},
};

const struct qc_sandbox_piece *qc_sandbox_piece_at(int index)
{
    return index >= 0 && index < (int)COUNT(pieces) ? &pieces[index] : NULL;
}

bool qc_sandbox_has(const struct qw_json *json, const struct qc_sandbox_piece *piece)
{
    return qw_json_get_bool(json, piece->name, false) || qw_json_get_int(json, piece->name, 0) > 0;
}

struct qw_json *qc_sandbox_json(const struct qc_sandbox *sandbox)
{
    struct qw_json *json = qw_json_object();
    qw_json_put_int(json, "landlock", sandbox->landlock);
    qw_json_put_bool(json, "seccomp", sandbox->seccomp);
    qw_json_put_bool(json, "limits", sandbox->limits);
    struct qw_json *missing = qw_json_put(json, "missing", qw_json_array());
    for (const struct qc_sandbox_piece *piece = pieces; piece < pieces + COUNT(pieces); piece++)
        if (!qc_sandbox_has(json, piece)) {
            struct qw_text words = {0};
            qw_text_addf(&words, "%s: %s", piece->name, piece->without);
            qw_json_add_text(missing, words.bytes);
            qw_text_free(&words);
        }
    return json;
}
