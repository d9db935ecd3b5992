/* Progress on stderr: what was judged, what runs, how long it may still take.
 *
 * A bar on a terminal, a line for each finished case elsewhere (and, while nothing
 * finishes, what runs every 30 seconds); nothing when it is to be quiet. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdint.h>

#include "harness/cli/cli.h"

struct cli_meter;

/* For `count` cases whose recordings have `bytes` together.  `unattended`: there are lines where stderr is no terminal,
 * unless --progress says otherwise, and beside a bar each unexpected failure has a line.  Release with cli_meter_close,
 * which takes the bar off the screen. */
struct cli_meter *cli_meter_open(const struct cli_options *options, int count, int64_t bytes, bool unattended);
void cli_meter_close(struct cli_meter *meter);

/* A case that needed no judging, one that a worker gets, and one that ended (with its case of the result). */
void cli_meter_pass(struct cli_meter *meter, int64_t bytes, const struct qw_json *result);
void cli_meter_start(struct cli_meter *meter, const char *id);
void cli_meter_end(struct cli_meter *meter, const char *id, int64_t bytes, const struct qw_json *result);

/* To be called several times a second. */
void cli_meter_tick(struct cli_meter *meter);
/* Says what runs, whatever --progress is. */
void cli_meter_tell(struct cli_meter *meter);

/* Whether the case failed and nobody expected that: FAIL, CHANGED, ERROR, CRASH, TIMEOUT. */
bool cli_is_failure(const struct qw_json *result);

#endif
