/* Invariant: recordings are opened by workers only; this process sees their answers. */
#include <stdlib.h>
#include <sys/stat.h>

#include "harness/cli/progress.h"
#include "reference/base/memory.h"

static int64_t bytes_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_size : 0;
}

struct play {
    const struct qc_task *tasks;
    struct cli_meter *meter;
};

static void see_start(void *user, int index)
{
    const struct play *play = user;
    cli_meter_start(play->meter, play->tasks[index].path);
}

static void see_end(void *user, int index, struct qw_json *answer)
{
    const struct play *play = user;
    cli_meter_end(play->meter, play->tasks[index].path, bytes_of(play->tasks[index].path), answer);
}

static bool see_time(void *user)
{
    const struct play *play = user;
    cli_meter_tick(play->meter);
    return false;
}

/* Runs tasks in workers, shows the result document and gives the exit code. */
static int run_tasks(const struct qc_task *tasks, int count, const struct cli_options *options)
{
    struct qw_json **cases = QW_NEW_ARRAY(struct qw_json *, count);
    int64_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += bytes_of(tasks[i].path);
    struct play play = {tasks, cli_meter_open(options, count, bytes, false)};
    struct qc_workers workers = {.jobs = options->jobs,
                                 .seconds = CLI_SECONDS_PER_CASE,
                                 .started = see_start,
                                 .done = see_end,
                                 .stop = see_time,
                                 .user = &play};
    cli_workers_run(cases, tasks, count, &workers, options);
    cli_meter_close(play.meter);
    struct qc_document about = {options->argc, options->argv, qc_document_tool(&workers), NULL, QC_EXIT_OK};
    struct qw_json *document = qc_document_make(cases, count, &about);
    qw_json_free(workers.sandbox);
    int code = cli_show(document, options, qc_document_exit(document));
    qw_json_free(document);
    free(cases);
    return code;
}

int cli_diagnose(const struct cli_options *options)
{
    if (options->count < 1)
        return cli_complain(QC_EXIT_USAGE, "name at least one recording; see qconform help diagnose");
    struct qc_task *tasks = QW_NEW_ARRAY(struct qc_task, options->count);
    for (int i = 0; i < options->count; i++) {
        tasks[i] = qc_task_of("judge", options->operand[i]);
        tasks[i].places = options->places;
        tasks[i].selection = options->selection;
    }
    int code = run_tasks(tasks, options->count, options);
    free(tasks);
    return code;
}

int cli_compare(const struct cli_options *options)
{
    if (options->count != 2)
        return cli_complain(QC_EXIT_USAGE, "name two recordings; see qconform help compare");
    struct qc_task task = qc_task_of("compare", options->operand[0]);
    task.other = options->operand[1];
    task.places = options->places;
    task.selection = options->selection;
    task.floor = options->floor;
    if (!options->floor && (options->places.model || options->places.adapter || options->selection.precision))
        return cli_complain(QC_EXIT_USAGE, "--model, --adapter and --precision say how the noise floor is found: add --floor");
    return run_tasks(&task, 1, options);
}
