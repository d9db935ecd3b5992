/* Invariant: the document depends on the suites, the baseline and what the workers give, not on how many of them there
 * are, in which order they end, or how often the run was cut short. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/cli/progress.h"
#include "harness/cli/run_show.h"
#include "harness/suite/baseline.h"
#include "harness/suite/journal.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reports/escape.h"

struct run {
    const struct cli_options *options;
    struct qc_plan plan;
    struct qc_journal *journal;
    struct cli_meter *meter;
    struct qc_suite_case **mine; /* of this shard, in the order of the plan */
    struct qw_json **cases;      /* what they gave; NULL: nothing yet */
    int count;
    int *place;                 /* of each task among them */
    int settled, failures, cut; /* cases from the first on that are there; which of them failed; --fail-fast: what is left */
    struct qc_workers workers;
    bool told;
    struct qw_error broken; /* why the journal ended */
};

/* ---- signals ---- */

static volatile sig_atomic_t caught, asked;

/* The first one ends the run in order; another one ends the process. */
static void catch (int number)
{
    caught = number;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

static void ask(int number)
{
    (void)number;
    asked = 1;
}

/* Whoever started the program and had a signal ignored wants it ignored. */
static void listen_to(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

static enum qc_exit ended(void) { return caught == SIGINT ? QC_EXIT_INTERRUPTED : caught ? QC_EXIT_TERMINATED : QC_EXIT_OK; }

/* ---- cases ---- */

/* What the suite and the baseline say of it. */
static void complete(struct qw_json *result, const struct qc_suite_case *one)
{
    qc_plan_describe(result, one);
    qc_baseline_apply(result, one->expected);
}

/* Counts failures in the order of the plan, whichever ended first: --fail-fast cuts at the same case every time. */
static void settle(struct run *run)
{
    int most = run->options->run.fail_fast;
    while (run->cut == run->count && run->settled < run->count && run->cases[run->settled]) {
        run->failures += cli_is_failure(run->cases[run->settled++]);
        if (most && run->failures >= most)
            run->cut = run->settled;
    }
}

static void take_what_is_there(struct run *run)
{
    for (int i = 0; i < run->count; i++) {
        const struct qc_suite_case *one = run->mine[i];
        bool sound = one->problem.kind == QW_ERROR_NONE;
        run->cases[i] = sound ? qc_journal_find(run->journal, one) : qc_plan_problem(one);
        if (!run->cases[i])
            continue;
        complete(run->cases[i], one);
        if (sound)
            cli_meter_pass(run->meter, one->bytes, run->cases[i]);
        else
            cli_meter_end(run->meter, one->id, one->bytes, run->cases[i]);
    }
    settle(run);
}

static struct qc_task task_of(const struct qc_suite_case *one)
{
    struct qc_task task = qc_task_of("judge", one->recording);
    task.id = one->id;
    task.places.model = one->model;
    task.places.adapter = one->adapter;
    task.selection = one->selection;
    task.limit = one->limit;
    return task;
}

/* ---- while it runs ---- */

static void see_start(void *user, int index)
{
    struct run *run = user;
    const struct qc_suite_case *one = run->mine[run->place[index]];
    qc_journal_start(run->journal, one, &run->broken);
    cli_meter_start(run->meter, one->id);
}

static void see_end(void *user, int index, struct qw_json *answer)
{
    struct run *run = user;
    const struct qc_suite_case *one = run->mine[run->place[index]];
    if (run->workers.core[0] && !run->told)
        run->told = qc_journal_told(run->journal, run->workers.core, run->workers.sandbox, &run->broken);
    if (!qc_journal_end(run->journal, one, answer, &run->broken))
        return;
    complete(answer, one);
    run->cases[run->place[index]] = answer;
    cli_meter_end(run->meter, one->id, one->bytes, answer);
    settle(run);
}

static bool is_over(void *user)
{
    struct run *run = user;
    cli_meter_tick(run->meter);
    if (asked)
        cli_meter_tell(run->meter);
    asked = 0;
    return caught || run->broken.kind != QW_ERROR_NONE || run->settled >= run->cut;
}

/* What the workers of this run told of themselves, or those of an earlier one. */
static void remember_workers(struct run *run)
{
    const struct qw_json *line = qc_journal_workers(run->journal), *sandbox = qw_json_get(line, "sandbox");
    if (run->workers.core[0] || !line)
        return;
    snprintf(run->workers.core, sizeof run->workers.core, "%s", qw_json_get_text(line, "blas_core", ""));
    run->workers.sandbox = sandbox ? qw_json_copy(sandbox) : NULL;
}

/* Gives the cases that are not there to workers.  What counts lies in run->cases after. */
static void judge(struct run *run)
{
    struct qc_task *tasks = QW_NEW_ARRAY(struct qc_task, run->count);
    struct qw_json **answers = QW_NEW_ARRAY(struct qw_json *, run->count);
    int count = 0;
    run->place = QW_NEW_ARRAY(int, run->count);
    for (int i = 0; i < run->cut; i++)
        if (!run->cases[i]) {
            run->place[count] = i;
            tasks[count++] = task_of(run->mine[i]);
        }
    run->workers = (struct qc_workers){.jobs = run->options->jobs,
                                       .seconds = CLI_SECONDS_PER_CASE,
                                       .started = see_start,
                                       .done = see_end,
                                       .stop = is_over,
                                       .user = run};
    listen_to(SIGINT, catch);
    listen_to(SIGTERM, catch);
    listen_to(SIGUSR1, ask);
    cli_workers_run(answers, tasks, count, &run->workers, run->options);
    listen_to(SIGINT, SIG_DFL);
    listen_to(SIGTERM, SIG_DFL);
    for (int i = 0; i < count; i++)
        if (answers[i] != run->cases[run->place[i]])
            qw_json_free(answers[i]);
    remember_workers(run);
    free(answers);
    free(tasks);
}

/* ---- the end ---- */

static const char *why_not_run(const struct run *run)
{
    if (run->broken.kind != QW_ERROR_NONE)
        return "the journal could not be written";
    return caught ? "the run was interrupted" : "--fail-fast had seen enough failures";
}

/* Cases that nobody judged, and those that --fail-fast leaves out. */
static int fill_with_not_run(struct run *run)
{
    int left = 0;
    for (int i = 0; i < run->count; i++) {
        if (run->cases[i] && i < run->cut)
            continue;
        qw_json_free(run->cases[i]);
        run->cases[i] = qc_plan_not_run(run->mine[i], why_not_run(run));
        complete(run->cases[i], run->mine[i]);
        left++;
    }
    return left;
}

static bool write_json(struct qw_json *written, const char *path, const struct qw_json *document)
{
    struct qw_error error = {0};
    char *text = qw_json_print(document, true);
    bool ok = qw_file_write(path, text, strlen(text), &error);
    free(text);
    if (ok)
        qw_json_add_text(written, path);
    else
        cli_complain_error(&error);
    return ok;
}

/* A baseline of half a run would call the other half's failures new. */
static bool write_baseline(struct qw_json *written, const char *path, const struct qw_json *document, int left)
{
    if (left)
        return cli_complain(QC_EXIT_OUTPUT, "%s: not written: %d cases were not judged; go on with --resume first", path, left),
               false;
    struct qw_json *baseline = qc_baseline_make(document);
    bool ok = write_json(written, path, baseline);
    qw_json_free(baseline);
    return ok;
}

static int finish(struct run *run, const char *folder)
{
    int left = fill_with_not_run(run);
    struct qc_document about = {run->options->argc, run->options->argv, qc_document_tool(&run->workers),
                                qw_json_copy(run->plan.run), ended()};
    struct qw_json *document = qc_document_make(run->cases, run->count, &about);
    struct cli_options options = *run->options;
    struct qw_json *written = qw_json_array();
    char *path = qw_format("%s/result.json", folder);
    bool ok = run->broken.kind == QW_ERROR_NONE;
    if (!ok)
        cli_complain_error(&run->broken);
    ok = write_json(written, path, document) && ok;
    if (options.run.write_baseline)
        ok = write_baseline(written, options.run.write_baseline, document, left) && ok;
    options.written = written;
    int code = (int)qc_document_exit(document), shown = cli_show(document, &options, (enum qc_exit)code);
    if (left)
        cli_complain(QC_EXIT_OK, "%d of %d cases were not judged; the same command with --resume goes on", left, run->count);
    if (!caught && (!ok || shown == QC_EXIT_OUTPUT))
        code = QC_EXIT_OUTPUT;
    qw_json_free(written);
    qw_json_free(document);
    free(path);
    return code;
}

/* ---- the whole ---- */

static void show_notices(const struct qw_json *notices, const struct cli_options *options)
{
    for (const struct qw_json *text = qw_json_first(notices); text && options->verbosity >= 0; text = qw_json_next(text)) {
        struct qw_text line = {0};
        rp_escape_terminal(&line, qw_json_text(text, ""));
        fprintf(stderr, "qconform: notice: %s\n", line.bytes ? line.bytes : "");
        qw_text_free(&line);
    }
}

static void set_limits(struct qc_plan *plan, double limit)
{
    for (int i = 0; i < plan->count; i++)
        if (plan->cases[i]->limit <= 0)
            plan->cases[i]->limit = limit > 0 ? limit : CLI_SECONDS_PER_CASE;
}

static char *folder_of(const struct cli_run *asked_for)
{
    if (!asked_for->shards)
        return qw_strdup(asked_for->out);
    return qw_format("%s/shard-%d-of-%d", asked_for->out, asked_for->shard, asked_for->shards);
}

static int64_t select_mine(struct run *run)
{
    int64_t bytes = 0;
    run->mine = QW_NEW_ARRAY(struct qc_suite_case *, run->plan.count);
    for (int i = 0; i < run->plan.count; i++)
        if (qc_plan_is_mine(&run->plan, i)) {
            run->mine[run->count++] = run->plan.cases[i];
            bytes += run->plan.cases[i]->bytes;
        }
    run->cases = QW_NEW_ARRAY(struct qw_json *, run->count);
    run->cut = run->count;
    return bytes;
}

/* A result of before is none of this run, should it end without one. */
static void remove_old_result(const char *folder)
{
    char *path = qw_format("%s/result.json", folder);
    unlink(path);
    free(path);
}

static int run_all(struct run *run, const char *folder)
{
    struct qw_error error = {0};
    run->journal = qc_journal_open(folder, &run->plan, run->options->run.resume, &error);
    if (!run->journal)
        return cli_complain_error(&error);
    remove_old_result(folder);
    int64_t bytes = select_mine(run);
    run->meter = cli_meter_open(run->options, run->count, bytes, true);
    take_what_is_there(run);
    show_notices(qc_journal_notices(run->journal), run->options);
    judge(run);
    cli_meter_close(run->meter);
    int code = finish(run, folder);
    qc_journal_close(run->journal);
    qw_json_free(run->workers.sandbox);
    free(run->place);
    free(run->cases);
    free(run->mine);
    return code;
}

static int show_plan(const struct run *run, const char *folder)
{
    struct qw_error error = {0};
    int judged = 0;
    if (run->options->run.list)
        return cli_run_list(&run->plan, run->options);
    if (run->options->run.resume && !qc_journal_peek(&judged, folder, &run->plan, &error))
        return cli_complain_error(&error);
    return cli_run_dry(&run->plan, run->options, judged);
}

int cli_run(const struct cli_options *options)
{
    struct run run = {.options = options};
    struct qw_error error = {0};
    const struct qc_plan_wanted wanted = {.operands = options->operand,
                                          .count = options->count,
                                          .filter = options->filter,
                                          .baseline = options->run.baseline,
                                          .shard = options->run.shard,
                                          .shards = options->run.shards};
    if (!qc_plan_make(&run.plan, &wanted, &error)) {
        qc_plan_clear(&run.plan);
        return cli_complain_error(&error);
    }
    char *folder = folder_of(&options->run);
    set_limits(&run.plan, options->run.timeout);
    show_notices(run.plan.notices, options);
    int code = options->run.list || options->run.dry_run ? show_plan(&run, folder) : run_all(&run, folder);
    qc_plan_clear(&run.plan);
    free(folder);
    return code;
}
