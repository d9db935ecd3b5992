/* Invariant: recordings are opened by workers only; this process sees their answers. */
#include <stdio.h>
#include <stdlib.h>

#include "harness/cli/cli.h"
#include "reference/base/memory.h"

#define SECONDS_PER_CASE 600.0

struct progress {
    const struct cli_options *options;
    int done;
};

static void show_progress(void *user, int index)
{
    struct progress *progress = user;
    const struct cli_options *options = progress->options;
    progress->done++;
    if (options->progress == CLI_PROGRESS_PLAIN)
        fprintf(stderr, "%d/%d %s\n", progress->done, options->count, options->operand[index]);
    if (options->progress == CLI_PROGRESS_BAR && options->count > 1)
        fprintf(stderr, "\r\033[Kjudged %d of %d%s", progress->done, options->count, progress->done == options->count ? "\r\033[K" : "");
}

int cli_diagnose(const struct cli_options *options)
{
    if (options->count < 1)
        return cli_complain(QC_EXIT_USAGE, "name at least one recording; see qconform help diagnose");
    struct qc_task *tasks = QW_NEW_ARRAY(struct qc_task, options->count);
    struct qw_json **cases = QW_NEW_ARRAY(struct qw_json *, options->count);
    for (int i = 0; i < options->count; i++) {
        tasks[i] = qc_task_of("judge", options->operand[i]);
        tasks[i].places = (struct qc_places){.model = options->model, .adapter = options->adapter};
    }
    struct progress progress = {options, 0};
    struct qc_workers workers = {.jobs = options->jobs, .seconds = SECONDS_PER_CASE, .done = show_progress, .user = &progress};
    cli_workers_run(cases, tasks, options->count, &workers, options);
    struct qw_json *document = qc_document_make(cases, options->count, options->argc, options->argv, &workers);
    qw_json_free(workers.sandbox);
    int code = cli_show(document, options, qc_document_exit(document));
    qw_json_free(document);
    free(cases);
    free(tasks);
    return code;
}
