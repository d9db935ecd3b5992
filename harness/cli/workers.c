/* Invariant: a run whose workers are not fully confined says so, once. */
#include <stdio.h>

#include "harness/cli/cli.h"

void cli_workers_run(struct qw_json **answers, const struct qc_task *tasks, int count, struct qc_workers *workers,
                     const struct cli_options *options)
{
    qc_workers_run(answers, tasks, count, workers);
    const struct qw_json *missing = qw_json_get(workers->sandbox, "missing");
    for (const struct qw_json *piece = qw_json_first(missing); piece && options->verbosity >= 0; piece = qw_json_next(piece))
        fprintf(stderr, "qconform: notice: recordings are read without %s; see qconform doctor\n", qw_json_text(piece, ""));
}
