/* Invariant: a worker that gives no whole frame is a CRASH or a TIMEOUT; nothing of half an answer is used. */
#include "harness/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "harness/worker/case.h"
#include "harness/worker/inspect.h"
#include "harness/worker/pair_case.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reference/model/arith.h"

#define FRAME_HEAD 12
#define MOST_ANSWER ((size_t)1 << 30)

/* ---- frames ---- */

static bool write_all(int fd, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, (const char *)bytes + done, size - done);
        if (put < 0 && errno != EINTR)
            return false;
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

static uint32_t checksum(const char *bytes, size_t size)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const unsigned char *)bytes, size);
}

static bool write_frame(int fd, const char *payload)
{
    uint32_t head[3] = {0, (uint32_t)strlen(payload), checksum(payload, strlen(payload))};
    memcpy(&head[0], "QCF1", 4);
    return write_all(fd, head, sizeof head) && write_all(fd, payload, head[1]);
}

/* The payload of a whole frame, or NULL. */
static struct qw_json *parse_frame(const struct qw_text *received)
{
    uint32_t head[3];
    struct qw_error error = {0};
    if (received->length < FRAME_HEAD || memcmp(received->bytes, "QCF1", 4))
        return NULL;
    memcpy(head, received->bytes, sizeof head);
    const char *payload = received->bytes + FRAME_HEAD;
    if (received->length != (size_t)FRAME_HEAD + head[1] || checksum(payload, head[1]) != head[2])
        return NULL;
    return qw_json_parse(payload, head[1], "answer", &error);
}

/* ---- the worker's side ---- */

/* A corrupt file must not cost a core dump, and a worker must not outlive its parent. */
static void confine(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static struct qw_json *answer_to(const struct qc_task *task)
{
#define TASK(name, function)       \
    if (!strcmp(task->what, name)) \
        return function(task);
#include "harness/worker/tasks.def"
#undef TASK
    return NULL;
}

int qc_worker_main(int count, char **arguments)
{
    struct qw_error error = {0};
    struct qc_task task;
    struct qw_json *json = count == 1 ? qw_json_parse(arguments[0], strlen(arguments[0]), "task", &error) : NULL;
    if (!json || !qc_task_read(&task, json))
        return 2;
    confine();
    struct qw_json *answer = qw_json_object(), *given = answer_to(&task);
    if (!given)
        return 2;
    qw_json_put(answer, "answer", given);
    qw_json_put_text(answer, "blas_core", qw_blas_core());
    char *payload = qw_json_print(answer, false);
    bool ok = write_frame(STDOUT_FILENO, payload);
    _exit(ok ? 0 : 74);
}

/* ---- the parent's side ---- */

struct worker {
    pid_t pid; /* 0: the slot is free */
    int task, pipe;
    double deadline;
    bool late;
    struct qw_text received;
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Only what a worker needs; above all no plug-ins for libhdf5 and one thread for the BLAS. */
static char **worker_environment(void)
{
    static char core[64];
    static char *environment[] = {"HDF5_PLUGIN_PRELOAD=::", "HDF5_USE_FILE_LOCKING=FALSE", "OPENBLAS_NUM_THREADS=1", "LC_ALL=C", core, NULL};
    const char *wanted = getenv("OPENBLAS_CORETYPE") ? getenv("OPENBLAS_CORETYPE") : qw_blas_core_wanted();
    snprintf(core, sizeof core, "%s%s", wanted ? "OPENBLAS_CORETYPE=" : "QCONFORM_WORKER=1", wanted ? wanted : "");
    return environment;
}

static pid_t spawn(const struct qc_task *task, int output)
{
    char *text = qc_task_print(task);
    const char *arguments[] = {"qconform", "worker", text, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, (char **)(uintptr_t)arguments, worker_environment()) != 0)
        pid = 0;
    posix_spawn_file_actions_destroy(&actions);
    free(text);
    return pid;
}

static bool start(struct worker *worker, const struct qc_task *task, int index, double seconds)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *worker = (struct worker){spawn(task, ends[1]), index, ends[0], seconds_now() + seconds, false, {0}};
    close(ends[1]);
    if (!worker->pid)
        close(ends[0]);
    return worker->pid != 0;
}

static struct qw_json *failed(const struct qc_task *task, const char *status, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static struct qw_json *failed(const struct qc_task *task, const char *status, const char *hint, const char *format, ...)
{
    struct qw_error error = {.kind = QW_ERROR_INPUT};
    va_list args;
    va_start(args, format);
    vsnprintf(error.message, sizeof error.message, format, args);
    va_end(args);
    snprintf(error.file, sizeof error.file, "%s", task->path);
    snprintf(error.hint, sizeof error.hint, "%s", hint);
    return qc_case_failed(task->path, status, &error);
}

/* What a worker that has ended gave. */
static struct qw_json *answer_of(struct worker *worker, const struct qc_task *task, double seconds, char *core)
{
    int status = 0;
    while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    struct qw_json *frame = parse_frame(&worker->received);
    if (frame) {
        snprintf(core, 32, "%s", qw_json_get_text(frame, "blas_core", ""));
        struct qw_json *answer = qw_json_copy(qw_json_get(frame, "answer"));
        qw_json_free(frame);
        return answer;
    }
    if (worker->late)
        return failed(task, "TIMEOUT", "", "the worker was stopped after %.0f seconds", seconds);
    if (WIFSIGNALED(status))
        return failed(task, "CRASH", "the file is damaged; copy it again from where it was recorded",
                      "the worker that read it died by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return failed(task, "CRASH", "", "the worker gave no whole answer (exit status %d)", WEXITSTATUS(status));
}

/* Takes what is there; true when the worker has closed its end. */
static bool take(struct worker *worker)
{
    char block[1 << 16];
    ssize_t got = read(worker->pipe, block, sizeof block);
    if (got > 0)
        qw_text_add_bytes(&worker->received, block, (size_t)got);
    if (worker->received.length > MOST_ANSWER)
        kill(worker->pid, SIGKILL);
    return got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

static void wait_for_workers(struct worker *workers, int jobs)
{
    struct pollfd *watched = QW_NEW_ARRAY(struct pollfd, jobs);
    for (int i = 0; i < jobs; i++)
        watched[i] = (struct pollfd){workers[i].pid ? workers[i].pipe : -1, POLLIN, 0};
    poll(watched, (nfds_t)jobs, 200);
    for (int i = 0; i < jobs; i++)
        if (workers[i].pid && !workers[i].late && seconds_now() > workers[i].deadline) {
            workers[i].late = true;
            kill(workers[i].pid, SIGKILL);
        }
    for (int i = 0; i < jobs; i++)
        if (!watched[i].revents)
            watched[i].fd = -1;
    for (int i = 0; i < jobs; i++)
        if (workers[i].pid && watched[i].fd >= 0 && take(&workers[i])) {
            close(workers[i].pipe);
            workers[i].pipe = -1;
        }
    free(watched);
}

void qc_workers_run(struct qw_json **answers, const struct qc_task *tasks, int count, int jobs, double seconds, char *core,
                    void (*done)(void *user, int index), void *user)
{
    struct worker *workers = QW_NEW_ARRAY(struct worker, jobs);
    int next = 0, running = 0;
    core[0] = 0;
    while (next < count || running > 0) {
        for (int i = 0; i < jobs && next < count; i++) {
            if (workers[i].pid)
                continue;
            if (start(&workers[i], &tasks[next], next, seconds))
                running++;
            else
                answers[next] = failed(&tasks[next], "CRASH", "", "no worker process could be started: %s", strerror(errno));
            next++;
        }
        wait_for_workers(workers, jobs);
        for (int i = 0; i < jobs; i++) {
            if (!workers[i].pid || workers[i].pipe >= 0)
                continue;
            answers[workers[i].task] = answer_of(&workers[i], &tasks[workers[i].task], seconds, core);
            if (done)
                done(user, workers[i].task);
            qw_text_free(&workers[i].received);
            workers[i].pid = 0;
            running--;
        }
    }
    free(workers);
}
