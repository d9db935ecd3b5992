/* Invariant: recordings are opened by workers only; this process sees their answers. */
#include <stdio.h>
#include <stdlib.h>

#include "harness/cli/cli.h"
#include "reference/base/memory.h"

#define SECONDS_PER_CASE 600.0

struct progress {
    const struct cli_options *options;
    const struct qc_task *tasks;
    int count, done;
};

static void show_progress(void *user, int index, const struct qw_json *answer)
{
    struct progress *progress = user;
    (void)answer;
    enum cli_progress how = progress->options->progress;
    progress->done++;
    if (how == CLI_PROGRESS_PLAIN)
        fprintf(stderr, "%d/%d %s\n", progress->done, progress->count, progress->tasks[index].path);
    if (how == CLI_PROGRESS_BAR && progress->count > 1)
        fprintf(stderr, "\r\033[Kjudged %d of %d%s", progress->done, progress->count,
                progress->done == progress->count ? "\r\033[K" : "");
}

int cli_run_tasks(const struct qc_task *tasks, int count, const struct cli_options *options)
{
    struct qw_json **cases = QW_NEW_ARRAY(struct qw_json *, count);
    struct progress progress = {options, tasks, count, 0};
    struct qc_workers workers = {.jobs = options->jobs, .seconds = SECONDS_PER_CASE, .done = show_progress, .user = &progress};
    cli_workers_run(cases, tasks, count, &workers, options);
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
    int code = cli_run_tasks(tasks, options->count, options);
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
    return cli_run_tasks(&task, 1, options);
}
