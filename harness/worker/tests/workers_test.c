/* Whatever a worker does, the run goes on: one status per case, nothing left behind. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/worker/tests/stub.h"

#define PATH "fixtures/recordings/qwen2-prompt-tf4.44.2-peft0.13.2.h5"

TestSuite(workers, .timeout = 120);

static const char *status_of(const struct qw_json *answer) { return qw_json_get_text(answer, "status", ""); }
static const char *words_of(const struct qw_json *answer) { return qw_json_get_text(answer, "verdict", ""); }

static int open_descriptors(void)
{
    int count = 0;
    DIR *listing = opendir("/proc/self/fd");
    while (readdir(listing))
        count++;
    closedir(listing);
    return count;
}

static void no_child_is_left(void)
{
    cr_expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "a worker was not waited for");
}

static void gives(const char *deed, const char *status, const char *words)
{
    struct qw_json *answer = stub_do(deed, PATH);
    cr_expect_str_eq(status_of(answer), status, "%s: %s, expected %s", deed, status_of(answer), status);
    cr_expect(strstr(words_of(answer), words), "%s: \"%s\" lacks \"%s\"", deed, words_of(answer), words);
    cr_expect_str_eq(qw_json_get_text(answer, "recording", ""), PATH, "%s", deed);
    qw_json_free(answer);
    no_child_is_left();
}

Test(workers, a_worker_that_dies_is_a_crash_with_its_signal)
{
    gives("abort", "CRASH", "died by signal 6");
    gives("be killed", "CRASH", "was killed (signal 9); something outside did that");
#ifdef __SANITIZE_ADDRESS__ /* takes these two for itself, and its report must come through */
    gives("segv", "CRASH", "AddressSanitizer: SEGV");
    gives("divide", "CRASH", "AddressSanitizer: FPE");
#else
    gives("segv", "CRASH", "died by signal 11");
    gives("divide", "CRASH", "died by signal 8");
#endif
}

Test(workers, a_worker_without_a_whole_answer_is_a_crash)
{
    gives("exit 3", "CRASH", "exit status 3");
    gives("close and end", "CRASH", "no whole answer");
    gives("half a head", "CRASH", "no whole answer");
    gives("half a frame", "CRASH", "no whole answer");
    gives("wrong checksum", "CRASH", "no whole answer");
    gives("no answer", "CRASH", "no whole answer");
    gives("answer and fail", "CRASH", "exit status 3");
}

Test(workers, bytes_that_can_become_no_frame_end_the_worker_at_once)
{
    gives("no frame", "CRASH", "other bytes, or too many");
    gives("twice", "CRASH", "other bytes, or too many");
    gives("4 GB", "CRASH", "other bytes, or too many");
}

static void clear(struct qw_json **answers, int count, struct qc_workers *workers)
{
    for (int i = 0; i < count; i++)
        qw_json_free(answers[i]);
    qw_json_free(workers->sandbox);
}

Test(workers, a_flood_costs_no_memory)
{
    struct rusage before, after;
    struct qw_json *answer = NULL;
    struct qc_workers workers = {.most_answer = 1 << 20};
    getrusage(RUSAGE_SELF, &before);
    gives("flood", "CRASH", "other bytes, or too many");
    stub_run(&answer, (const char *const[]){"flood a frame"}, 1, PATH, &workers);
    cr_expect_str_eq(status_of(answer), "CRASH");
    cr_expect(strstr(words_of(answer), "too many"));
    clear(&answer, 1, &workers);
    gives("talk", "CRASH", "exit status 3");
    getrusage(RUSAGE_SELF, &after);
    cr_expect_lt(after.ru_maxrss - before.ru_maxrss, 16 << 10, "%ld KiB", after.ru_maxrss - before.ru_maxrss);
}

Test(workers, the_cap_on_an_answer_holds_for_a_whole_frame_too)
{
    struct qw_json *answer = NULL;
    struct qc_workers workers = {.most_answer = 16};
    stub_run(&answer, (const char *const[]){"nothing"}, 1, PATH, &workers);
    cr_expect_str_eq(status_of(answer), "CRASH");
    clear(&answer, 1, &workers);
    gives("nothing", "PASS", "");
}

Test(workers, last_words_are_shown_in_printable_characters)
{
    struct qw_json *answer = stub_do("talk", PATH);
    cr_expect(strstr(words_of(answer), "\\x1b[31mthe end\\x07"), "%s", words_of(answer));
    for (const char *c = words_of(answer); *c; c++)
        cr_assert(*c >= 32 && *c < 127);
    cr_expect_lt(strlen(words_of(answer)), 1600);
    qw_json_free(answer);
}

Test(workers, a_worker_that_takes_too_long_is_a_timeout)
{
    static const char *const deeds[] = {"sleep", "spin", "close and sleep", "talk for ever", "nothing"};
    struct qw_json *answers[5];
    struct qc_workers workers = {.jobs = 5, .seconds = 1.5};
    stub_run(answers, deeds, 5, PATH, &workers);
    for (int i = 0; i < 4; i++) {
        cr_expect_str_eq(status_of(answers[i]), "TIMEOUT", "%s: %s", deeds[i], words_of(answers[i]));
        cr_expect(strstr(words_of(answers[i]), "after 1.5 seconds"), "%s", words_of(answers[i]));
    }
    cr_expect_str_eq(status_of(answers[4]), "PASS", "%s", words_of(answers[4]));
    clear(answers, 5, &workers);
    no_child_is_left();
}

Test(workers, a_worker_out_of_memory_says_so)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the address space of a sanitized worker is not limited");
#endif
    gives("memory", "CRASH", "out of memory");
}

Test(workers, others_are_untouched_and_keep_their_order)
{
    static const char *const deeds[] = {"nothing", "segv", "nothing",      "flood",  "exit 3",
                                        "nothing", "4 GB", "half a frame", "nothing"};
    enum { COUNT = sizeof deeds / sizeof *deeds };
    for (int jobs = 1; jobs <= 16; jobs *= 4) {
        struct qw_json *answers[COUNT];
        struct qc_workers workers = {.jobs = jobs};
        int before = open_descriptors();
        stub_run(answers, deeds, COUNT, PATH, &workers);
        for (int i = 0; i < COUNT; i++) {
            cr_expect_str_eq(status_of(answers[i]), strcmp(deeds[i], "nothing") ? "CRASH" : "PASS", "%d jobs, %s", jobs,
                             deeds[i]);
        }
        clear(answers, COUNT, &workers);
        cr_expect_eq(open_descriptors(), before);
        no_child_is_left();
    }
}

Test(workers, a_worker_that_asks_twice_is_refused) { gives("ask for ever", "ERROR", "was changed while it was read"); }

/* Leaves this process exactly `more` descriptors that it can still open. */
static void limit_descriptors(int more)
{
    int last = open("/dev/null", O_RDONLY);
    struct rlimit limit = {(rlim_t)last + 32, (rlim_t)last + 32};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int next; (next = open("/dev/null", O_RDONLY)) >= 0;)
        last = next;
    for (int i = 0; i < more; i++)
        close(last - i);
}

Test(workers, few_descriptors_mean_fewer_workers_at_once)
{
    static const char *const deeds[] = {"nothing", "nothing", "nothing", "nothing", "nothing"};
    struct qw_json *answers[5];
    struct qc_workers workers = {.jobs = 5};
    limit_descriptors(6);
    stub_run(answers, deeds, 5, PATH, &workers);
    for (int i = 0; i < 5; i++)
        cr_expect_str_eq(status_of(answers[i]), "PASS", "%s", words_of(answers[i]));
    clear(answers, 5, &workers);
}

Test(workers, without_descriptors_every_case_says_why)
{
    static const char *const deeds[] = {"nothing", "nothing"};
    struct qw_json *answers[2];
    struct qc_workers workers = {.jobs = 2};
    limit_descriptors(1);
    stub_run(answers, deeds, 2, PATH, &workers);
    for (int i = 0; i < 2; i++) {
        cr_expect_str_eq(status_of(answers[i]), "CRASH");
        cr_expect(strstr(words_of(answers[i]), "Too many open files"), "%s", words_of(answers[i]));
    }
    clear(answers, 2, &workers);
}

Test(workers, without_processes_every_case_says_why)
{
    struct rlimit none = {0, 0};
    if (geteuid() == 0) /* whom the limit does not bind */
        cr_assert_eq(setuid(65534), 0);
    cr_assert_eq(setrlimit(RLIMIT_NPROC, &none), 0);
    gives("nothing", "CRASH", "no worker process could be started: Resource temporarily unavailable");
}

static void on_alarm(int number) { (void)number; }

Test(workers, interrupted_calls_change_nothing)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    struct qw_json *good = stub_do("nothing", PATH), *bad = stub_do("segv", PATH);
    setitimer(ITIMER_REAL, &never, NULL);
    cr_expect_str_eq(status_of(good), "PASS", "%s", words_of(good));
    cr_expect_str_eq(status_of(bad), "CRASH");
    qw_json_free(good);
    qw_json_free(bad);
    no_child_is_left();
}

/* The first child of a process, once it has one. */
static pid_t child_of(pid_t parent)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    for (int tries = 0; tries < 1000; tries++) {
        int child = 0;
        FILE *file = fopen(path, "r");
        int got = file ? fscanf(file, "%d", &child) : 0;
        if (file)
            fclose(file);
        if (got == 1)
            return child;
        usleep(10000);
    }
    return -1;
}

Test(workers, a_worker_dies_with_its_parent)
{
    int status = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    pid_t parent = fork();
    if (parent == 0) {
        qw_json_free(stub_do("sleep", PATH));
        _exit(0);
    }
    pid_t worker = child_of(parent);
    cr_assert_gt(worker, 0);
    kill(parent, SIGKILL);
    waitpid(parent, &status, 0);
    cr_assert_eq(waitpid(worker, &status, 0), worker);
    cr_expect(WIFSIGNALED(status) || WEXITSTATUS(status) == 1, "status %d", status);
}

/* What was seen of a run, and when it is to stop. */
struct seen {
    int started, done, most; /* `most`: done ones after which the run is stopped */
    char order[16];          /* 's' and 'd' */
};

static void see_start(void *user, int index)
{
    struct seen *seen = user;
    (void)index;
    seen->order[seen->started + seen->done] = 's';
    seen->started++;
}

static void see_end(void *user, int index, struct qw_json *answer)
{
    struct seen *seen = user;
    (void)index;
    cr_expect(*status_of(answer), "a task that is done has its answer");
    seen->order[seen->started + seen->done] = 'd';
    seen->done++;
}

static bool is_enough(void *user) { return ((const struct seen *)user)->done >= ((const struct seen *)user)->most; }

Test(workers, each_task_is_told_of_as_it_starts_and_ends)
{
    struct qw_json *answers[3];
    struct seen seen = {.most = 100};
    struct qc_workers workers = {.jobs = 1, .started = see_start, .done = see_end, .stop = is_enough, .user = &seen};
    stub_run(answers, (const char *const[]){"nothing", "segv", "nothing"}, 3, PATH, &workers);
    cr_expect_str_eq(seen.order, "sdsdsd");
    clear(answers, 3, &workers);
}

Test(workers, a_stop_ends_what_runs_and_starts_nothing_more)
{
    struct qw_json *answers[4] = {NULL};
    struct seen seen = {.most = 1};
    struct qc_workers workers = {.jobs = 2, .started = see_start, .done = see_end, .stop = is_enough, .user = &seen};
    int before = open_descriptors();
    stub_run(answers, (const char *const[]){"sleep", "nothing", "sleep", "nothing"}, 4, PATH, &workers);
    cr_expect_not(answers[0]);
    cr_expect_str_eq(status_of(answers[1]), "PASS");
    cr_expect_not(answers[2]);
    cr_expect_not(answers[3]);
    cr_expect_eq(seen.started, 2);
    clear(answers, 4, &workers);
    no_child_is_left();
    cr_expect_eq(open_descriptors(), before);
}

static bool is_held_up_once(void *user)
{
    int *looks = user;
    if (++*looks == 2)
        usleep(3500000);
    return false;
}

Test(workers, time_in_which_this_process_is_held_up_is_not_the_workers)
{
    struct qw_json *answer = NULL;
    int looks = 0;
    struct qc_workers workers = {.jobs = 1, .seconds = 2, .stop = is_held_up_once, .user = &looks};
    stub_run(&answer, (const char *const[]){"sleep"}, 1, PATH, &workers);
    cr_expect_str_eq(status_of(answer), "TIMEOUT", "the limit holds all the same");
    clear(&answer, 1, &workers);
    looks = 0;
    stub_run(&answer, (const char *const[]){"nothing"}, 1, PATH, &workers);
    cr_expect_str_eq(status_of(answer), "PASS", "%s", words_of(answer));
    clear(&answer, 1, &workers);
}

Test(workers, a_task_has_a_limit_of_its_own)
{
    struct qc_task tasks[2] = {qc_task_of("deed", PATH), qc_task_of("deed", PATH)};
    struct qw_json *answers[2];
    struct qc_workers workers = {.jobs = 2, .seconds = 20};
    tasks[0].selection.site = "sleep";
    tasks[0].limit = 0.5;
    tasks[1].selection.site = "nothing";
    qc_workers_run(answers, tasks, 2, &workers);
    cr_expect_str_eq(status_of(answers[0]), "TIMEOUT");
    cr_expect(strstr(words_of(answers[0]), "after 0.5 seconds"), "%s", words_of(answers[0]));
    cr_expect_str_eq(status_of(answers[1]), "PASS");
    clear(answers, 2, &workers);
}
