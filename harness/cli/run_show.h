/* What `run` shows of a plan without judging anything; both give the exit code. */
#ifndef CLI_RUN_SHOW_H
#define CLI_RUN_SHOW_H

#include "harness/cli/cli.h"
#include "harness/suite/plan.h"

int cli_run_list(const struct qc_plan *plan, const struct cli_options *options);

/* `judged_already`: how many of its cases the journal has. */
int cli_run_dry(const struct qc_plan *plan, const struct cli_options *options, int judged_already);

#endif
