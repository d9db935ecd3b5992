/* Invariant: a worker that gives no whole frame is a CRASH or a TIMEOUT; nothing of half an answer is used, and every
 * worker that was started is waited for. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/worker/case.h"
#include "harness/worker/frame.h"
#include "harness/worker/grants.h"
#include "harness/worker/worker.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reference/model/arith.h"

#define MOST_ANSWER ((size_t)256 << 20)
#define MOST_WORDS  ((size_t)64 << 10) /* of what a worker writes to stderr, its end is kept */
#define PIPE_BLOCKS 32                 /* of 64 KiB: more than a pipe holds, should something else keep it filled */
#define TICK        200                /* milliseconds between looks at the clock */
#define SHORT_TICK  5                  /* where the kernel does not tell that a process has ended */
#define PAUSE       1.0                /* seconds beyond a tick in which this process did nothing: it was stopped, or waited */

enum { ANSWER, WORDS, PIPES };

struct worker {
    pid_t pid; /* 0: the slot is free */
    int task, turn;
    int end; /* readable when the process has ended; -1: this kernel does not tell */
    int pipe[PIPES];
    struct qw_text received[PIPES];
    double deadline;
    bool late, odd; /* stopped: too long, or its answer can become no frame */
    char *named_model, *named_adapter;
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- starting ---- */

static char *variable(const char *name, const char *value) { return value ? qw_format("%s=%s", name, value) : NULL; }

/* Only what a worker needs; above all no plug-ins for libhdf5 and one thread for the BLAS.  Where the person's libraries
 * are and what the person asked of a sanitizer holds for the worker too. */
static char **worker_environment(void)
{
    static const char *const fixed[] = {"HDF5_PLUGIN_PRELOAD=::", "HDF5_USE_FILE_LOCKING=FALSE", "OPENBLAS_NUM_THREADS=1",
                                        "LC_ALL=C"};
    static const char *const kept[] = {"LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS"};
    enum { FIXED = sizeof fixed / sizeof *fixed, KEPT = sizeof kept / sizeof *kept };
    char **environment = QW_NEW_ARRAY(char *, FIXED + KEPT + 2);
    int count = 0;
    for (int i = 0; i < FIXED; i++)
        environment[count++] = qw_strdup(fixed[i]);
    for (int i = 0; i < KEPT; i++)
        if ((environment[count] = variable(kept[i], getenv(kept[i]))))
            count++;
    const char *core = getenv("OPENBLAS_CORETYPE");
    environment[count] = variable("OPENBLAS_CORETYPE", core ? core : qw_blas_core_wanted());
    return environment;
}

static void environment_free(char **environment)
{
    for (int i = 0; environment[i]; i++)
        free(environment[i]);
    free(environment);
}

/* Signals as a program finds them that was started from a shell, whatever this process has done with them; but those that
 * a terminal or a scheduler sends to every process of a run wait: what they mean for a worker, this process decides. */
static void reset_signals(posix_spawnattr_t *attributes)
{
    static const int shared[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    sigset_t waiting, all;
    sigemptyset(&waiting);
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        sigaddset(&waiting, shared[i]);
    sigfillset(&all);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setsigmask(attributes, &waiting);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* 0, or the reason as an errno. */
static int spawn(pid_t *pid, const struct qc_task *task, const int outputs[PIPES])
{
    char *text = qc_task_print(task), **environment = worker_environment();
    const char *arguments[] = {"qconform", "worker", text, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    reset_signals(&attributes);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, outputs[ANSWER], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, outputs[WORDS], STDERR_FILENO);
    int reason = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, (char **)(uintptr_t)arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    environment_free(environment);
    free(text);
    return reason;
}

/* A pipe whose reading end does not wait and is not inherited. */
static int open_pipe(int *reading, int *writing)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *reading = ends[0];
    *writing = ends[1];
    return 0;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Starts a worker on `task` in the slot; 0, or the reason as an errno with the slot as it was. */
static int start(struct worker *worker, const struct qc_task *task)
{
    struct qc_task own = *task;
    int outputs[PIPES] = {-1, -1}, reason = 0;
    own.places.named_model = worker->named_model;
    own.places.named_adapter = worker->named_adapter;
    own.parent = (int)getpid();
    double left = worker->deadline - seconds_now();
    own.seconds = left > 1 ? (int)left : 1;
    for (int i = 0; !reason && i < PIPES; i++)
        reason = open_pipe(&worker->pipe[i], &outputs[i]);
    if (!reason)
        reason = spawn(&worker->pid, &own, outputs);
    for (int i = 0; i < PIPES; i++) {
        close_one(&outputs[i]);
        if (reason)
            close_one(&worker->pipe[i]);
    }
    if (reason)
        worker->pid = 0;
    else
        worker->end = pidfd_open(worker->pid, 0);
    return reason;
}

/* ---- watching ---- */

static void stop(const struct worker *worker) { kill(worker->pid, SIGKILL); }

static void keep_end(struct qw_text *text, size_t most)
{
    if (text->length <= 2 * most)
        return;
    memmove(text->bytes, text->bytes + text->length - most, most + 1);
    text->length = most;
}

/* Takes one block of what is there, and closes the pipe when nothing more will come.  Whether there may be more. */
static bool take(struct worker *worker, int which, size_t most)
{
    char block[1 << 16];
    struct qw_text *text = &worker->received[which];
    if (worker->pipe[which] < 0 || worker->odd)
        return false;
    ssize_t got = read(worker->pipe[which], block, sizeof block);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return errno == EINTR;
    if (got <= 0) {
        close_one(&worker->pipe[which]);
        return false;
    }
    qw_text_add_bytes(text, block, (size_t)got);
    if (which == WORDS)
        keep_end(text, MOST_WORDS);
    else
        worker->odd = !qc_frame_possible(text->bytes, text->length, most);
    return true;
}

static void stop_if_due(struct worker *worker)
{
    bool late = seconds_now() > worker->deadline;
    if (worker->odd || (late && !worker->late))
        stop(worker);
    worker->late = worker->late || late;
}

/* Time that passed while nobody could look (a stopped job, a slow disk) is not the workers'. */
static void forgive_pause(struct worker *workers, int jobs, double *looked)
{
    double now = seconds_now(), pause = now - *looked - 1e-3 * TICK;
    for (int i = 0; i < jobs && pause > PAUSE; i++)
        workers[i].deadline += pause;
    *looked = now;
}

static void watch(struct worker *workers, int jobs, size_t most, double *looked)
{
    enum { EACH = PIPES + 1 };
    struct pollfd *watched = QW_NEW_ARRAY(struct pollfd, EACH * jobs);
    int tick = TICK;
    for (int i = 0; i < jobs; i++) {
        const struct worker *worker = &workers[i];
        bool runs = worker->pid != 0;
        for (int p = 0; p < PIPES; p++)
            watched[EACH * i + p] = (struct pollfd){runs && !worker->odd ? worker->pipe[p] : -1, POLLIN, 0};
        watched[EACH * i + PIPES] = (struct pollfd){runs ? worker->end : -1, POLLIN, 0};
        if (runs && worker->end < 0 && worker->pipe[ANSWER] < 0)
            tick = SHORT_TICK;
    }
    poll(watched, EACH * (nfds_t)jobs, tick);
    for (int i = 0; i < jobs; i++)
        for (int p = 0; p < PIPES; p++)
            if (watched[EACH * i + p].revents)
                take(&workers[i], p, most);
    forgive_pause(workers, jobs, looked);
    for (int i = 0; i < jobs; i++)
        if (workers[i].pid)
            stop_if_due(&workers[i]);
    free(watched);
}

/* Whether the worker has ended; what it had written is then all there. */
static bool has_ended(int *status, struct worker *worker, size_t most)
{
    *status = 0;
    pid_t ended = waitpid(worker->pid, status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return false;
    for (int p = 0; p < PIPES; p++) {
        for (int blocks = 0; blocks < PIPE_BLOCKS && take(worker, p, most); blocks++)
            continue;
        close_one(&worker->pipe[p]);
    }
    close_one(&worker->end);
    return true;
}

/* ---- what a worker gave ---- */

static double seconds_of(const struct qc_task *task, const struct qc_workers *workers)
{
    return task->limit > 0 ? task->limit : workers->seconds;
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
    return qc_case_failed(task, status, &error);
}

/* The last lines of what it wrote to stderr, in printable characters: "; its last words: …", or "". */
static void last_words(char *out, size_t size, const struct qw_text *words)
{
    size_t from, end = words->length, lines = 0, used;
    while (end > 0 && words->bytes[end - 1] == '\n')
        end--;
    for (from = end; from > 0 && end - from < size / 5 && (words->bytes[from - 1] != '\n' || ++lines < 3); from--)
        continue;
    used = (size_t)snprintf(out, size, "%s", end > from ? "; its last words: " : "");
    for (size_t i = from; i < end && used + 5 < size; i++) {
        unsigned char c = (unsigned char)words->bytes[i];
        used += (size_t)snprintf(out + used, size - used, c == '\n' ? " | " : c < 32 || c > 126 ? "\\x%02x" : "%c", c);
    }
}

static struct qw_json *crash(const struct worker *worker, const struct qc_task *task, int status)
{
    char words[800];
    last_words(words, sizeof words, &worker->received[WORDS]);
    if (worker->odd)
        return failed(task, "CRASH", "do not trust the file",
                      "the worker that read it gave no answer but other bytes, or too many%s", words);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return failed(task, "CRASH", "do not trust the file: reading it never needs that",
                      "the worker that read it was stopped: it tried to open a socket or to start a process%s", words);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return failed(task, "CRASH", "something outside did that, mostly for memory: give fewer --jobs, or free some",
                      "the worker that read it was killed (signal 9)%s", words);
    if (WIFSIGNALED(status))
        return failed(task, "CRASH", "the file is damaged; copy it again from where it was recorded",
                      "the worker that read it died by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)), words);
    return failed(task, "CRASH", "see qconform doctor", "the worker gave no whole answer (exit status %d)%s", WEXITSTATUS(status),
                  words);
}

/* The answer of a worker that has ended; what the workers say of themselves goes to `workers`. */
static struct qw_json *answer_of(const struct worker *worker, const struct qc_task *task, int status, struct qc_workers *workers)
{
    if (worker->late || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU))
        return failed(task, "TIMEOUT",
                      task->limit > 0 ? "give it longer: --timeout, or \"timeout\" in its block of the suite" : "",
                      "the worker was stopped after %g seconds", seconds_of(task, workers));
    const struct qw_text *received = &worker->received[ANSWER];
    struct qw_json *frame = worker->odd || status ? NULL : qc_frame_parse(received->bytes, received->length);
    struct qw_json *answer = NULL;
    if (qw_json_is_object(qw_json_get(frame, "answer"))) {
        answer = qw_json_copy(qw_json_get(frame, "answer"));
        snprintf(workers->core, sizeof workers->core, "%s", qw_json_get_text(frame, "blas_core", ""));
        if (!workers->sandbox && qw_json_is_object(qw_json_get(frame, "sandbox")))
            workers->sandbox = qw_json_copy(qw_json_get(frame, "sandbox"));
    }
    qw_json_free(frame);
    return answer ? answer : crash(worker, task, status);
}

/* ---- the second turn ---- */

static char *named(const struct qw_json *needs, const char *what, struct qw_error *error)
{
    const char *name = qw_json_get_text(needs, what, NULL);
    char place[64], option[64];
    snprintf(place, sizeof place, "/%s@weights", what);
    snprintf(option, sizeof option, "--%s", what);
    return name && qc_named_folder_check(name, place, option, error) ? qw_strdup(name) : NULL;
}

/* The answer as it stands, or NULL when a second worker has been started that may open what the first one asked for. */
static struct qw_json *grant_needs(struct worker *worker, const struct qc_task *task, struct qw_json *answer)
{
    const struct qw_json *needs = qw_json_get(answer, "needs");
    struct qw_error error = {0};
    if (!needs)
        return answer;
    if (worker->turn++)
        qw_fail(&error, QW_ERROR_INPUT, "", "wait until it is complete", "was changed while it was read");
    if (error.kind == QW_ERROR_NONE)
        worker->named_model = named(needs, "model", &error);
    if (error.kind == QW_ERROR_NONE)
        worker->named_adapter = named(needs, "adapter", &error);
    qw_json_free(answer);
    if (error.kind != QW_ERROR_NONE) {
        qw_error_in_file(&error, task->path);
        return qc_case_failed(task, "ERROR", &error);
    }
    for (int p = 0; p < PIPES; p++)
        qw_text_free(&worker->received[p]);
    int reason = start(worker, task);
    return reason ? failed(task, "CRASH", "", "no second worker process could be started: %s", strerror(reason)) : NULL;
}

static void release(struct worker *worker)
{
    for (int p = 0; p < PIPES; p++)
        qw_text_free(&worker->received[p]);
    free(worker->named_model);
    free(worker->named_adapter);
    *worker = (struct worker){.end = -1, .pipe = {-1, -1}};
}

/* ---- the run ---- */

/* True when the slot is free again. */
static bool collect(struct qw_json **answers, struct worker *worker, const struct qc_task *tasks, struct qc_workers *workers)
{
    int status, index = worker->task;
    if (!worker->pid || !has_ended(&status, worker, workers->most_answer))
        return false;
    worker->pid = 0;
    answers[index] = grant_needs(worker, &tasks[index], answer_of(worker, &tasks[index], status, workers));
    if (!answers[index])
        return false;
    if (workers->done)
        workers->done(workers->user, index, answers[index]);
    release(worker);
    return true;
}

/* Ends what runs; its answers stay NULL. */
static void abandon(struct worker *slots, int jobs)
{
    for (int i = 0; i < jobs; i++) {
        if (!slots[i].pid)
            continue;
        stop(&slots[i]);
        while (waitpid(slots[i].pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        for (int p = 0; p < PIPES; p++)
            close_one(&slots[i].pipe[p]);
        close_one(&slots[i].end);
        release(&slots[i]);
    }
}

/* Whether a start that failed is worth another try once a running worker has ended. */
static bool may_pass(int reason) { return reason == EMFILE || reason == ENFILE || reason == EAGAIN || reason == ENOMEM; }

void qc_workers_run(struct qw_json **answers, const struct qc_task *tasks, int count, struct qc_workers *workers)
{
    struct worker *slots = QW_NEW_ARRAY(struct worker, workers->jobs);
    int next = 0, running = 0;
    double looked = seconds_now();
    workers->core[0] = 0;
    workers->sandbox = NULL;
    workers->most_answer = workers->most_answer ? workers->most_answer : MOST_ANSWER;
    for (int i = 0; i < workers->jobs; i++)
        release(&slots[i]);
    while ((next < count || running > 0) && !(workers->stop && workers->stop(workers->user))) {
        for (int i = 0; i < workers->jobs && next < count; i++) {
            if (slots[i].pid)
                continue;
            slots[i].task = next;
            if (workers->started)
                workers->started(workers->user, next);
            slots[i].deadline = seconds_now() + seconds_of(&tasks[next], workers);
            int reason = start(&slots[i], &tasks[next]);
            if (reason && running && may_pass(reason))
                break;
            running += !reason;
            if (reason)
                answers[next] = failed(&tasks[next], "CRASH", "free some memory, processes or descriptors, or give fewer --jobs",
                                       "no worker process could be started: %s", strerror(reason));
            if (reason && workers->done)
                workers->done(workers->user, next, answers[next]);
            next++;
        }
        if (running)
            watch(slots, workers->jobs, workers->most_answer, &looked);
        for (int i = 0; i < workers->jobs; i++)
            running -= collect(answers, &slots[i], tasks, workers);
    }
    abandon(slots, workers->jobs);
    free(slots);
}
