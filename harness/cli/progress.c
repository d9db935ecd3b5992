/* Invariant: no byte of a recording or a suite reaches the terminal but escaped, and nothing here decides anything. */
#include "harness/cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "reference/base/memory.h"
#include "reports/escape.h"

#define SILENCE   30.0 /* seconds without a line, behind which one says what runs */
#define REDRAW    0.1
#define ETA_AFTER 3.0
#define CELLS     20

struct running {
    char *id;
    double since;
};

struct cli_meter {
    enum cli_progress how;
    bool unattended;
    int count, done, failures;
    int64_t bytes, bytes_done, bytes_judged; /* of all, of those that are done, of those that were judged here */
    double begun, spoke;
    struct running *running;
    int running_count, room;
    bool drawn;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

bool cli_is_failure(const struct qw_json *result)
{
    return cli_choose("FAIL|CHANGED|ERROR|CRASH|TIMEOUT", qw_json_get_text(result, "status", "")) >= 0;
}

static enum cli_progress chosen(const struct cli_options *options, int count, bool unattended)
{
    if (options->verbosity < 0)
        return CLI_PROGRESS_NONE;
    if (options->progress != CLI_PROGRESS_AUTO)
        return options->progress;
    if (isatty(STDERR_FILENO))
        return count > 1 ? CLI_PROGRESS_BAR : CLI_PROGRESS_NONE;
    return unattended ? CLI_PROGRESS_PLAIN : CLI_PROGRESS_NONE;
}

struct cli_meter *cli_meter_open(const struct cli_options *options, int count, int64_t bytes, bool unattended)
{
    struct cli_meter *meter = QW_NEW(struct cli_meter);
    *meter = (struct cli_meter){.how = chosen(options, count, unattended),
                                .unattended = unattended,
                                .count = count,
                                .bytes = bytes,
                                .begun = now(),
                                .spoke = now()};
    return meter;
}

/* ---- what is shown ---- */

/* Takes the bar off the screen and shows a line. */
static void show_line(struct cli_meter *meter, const struct qw_text *line)
{
    fprintf(stderr, "%s%s\n", meter->drawn ? "\r\033[K" : "", line->bytes ? line->bytes : "");
    meter->drawn = false;
    meter->spoke = now();
}

static void add_running(struct qw_text *out, const struct cli_meter *meter)
{
    for (int i = 0; i < meter->running_count; i++) {
        qw_text_add(out, i ? ", " : "");
        rp_escape_terminal(out, meter->running[i].id);
        qw_text_addf(out, " (%.0fs)", now() - meter->running[i].since);
    }
}

void cli_meter_tell(struct cli_meter *meter)
{
    struct qw_text line = {0};
    qw_text_addf(&line, "qconform: %d of %d judged; running: ", meter->done, meter->count);
    if (meter->running_count)
        add_running(&line, meter);
    else
        qw_text_add(&line, "nothing");
    show_line(meter, &line);
    qw_text_free(&line);
}

static void add_time(struct qw_text *out, double seconds)
{
    long whole = (long)(seconds + 0.5), hours = whole / 3600;
    if (hours)
        qw_text_addf(out, "%ld:%02ld:%02ld", hours, whole / 60 % 60, whole % 60);
    else
        qw_text_addf(out, "%ld:%02ld", whole / 60, whole % 60);
}

/* "2.0/3.1 GiB", in the unit that fits the second. */
static void add_bytes(struct qw_text *out, int64_t part, int64_t whole)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double unit = 1;
    size_t index = 0;
    for (; (double)whole >= 1024 * unit && index + 1 < sizeof units / sizeof *units; index++)
        unit *= 1024;
    qw_text_addf(out, "%.*f/%.*f %s", index > 0, (double)part / unit, index > 0, (double)whole / unit, units[index]);
}

static void add_eta(struct qw_text *out, const struct cli_meter *meter)
{
    double elapsed = now() - meter->begun;
    if (elapsed < ETA_AFTER || !meter->bytes_judged)
        return;
    qw_text_add(out, "  ETA ");
    add_time(out, elapsed * (double)(meter->bytes - meter->bytes_done) / (double)meter->bytes_judged);
}

static size_t width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col - 1U : 79;
}

/* As much of the text as a line holds, if every character takes one column. */
static size_t fitting(const struct qw_text *text)
{
    size_t columns = 0, i = 0, most = width();
    for (uint32_t code; i < text->length && columns < most; columns++)
        i += rp_decode(&code, text->bytes + i);
    return i;
}

static void draw(struct cli_meter *meter)
{
    struct qw_text line = {0};
    int filled = meter->bytes ? (int)(CELLS * (double)meter->bytes_done / (double)meter->bytes) : 0;
    qw_text_add(&line, "[");
    for (int i = 0; i < CELLS; i++)
        qw_text_add(&line, i < filled ? "#" : "-");
    qw_text_addf(&line, "]  %d/%d", meter->done, meter->count);
    if (meter->bytes) {
        qw_text_add(&line, "  ");
        add_bytes(&line, meter->bytes_done, meter->bytes);
        add_eta(&line, meter);
    }
    if (meter->failures)
        qw_text_addf(&line, "  FAIL %d", meter->failures);
    if (meter->running_count) {
        qw_text_add(&line, "  running: ");
        add_running(&line, meter);
    }
    fprintf(stderr, "\r\033[K%.*s", (int)fitting(&line), line.bytes);
    qw_text_free(&line);
    meter->drawn = true;
    meter->spoke = now();
}

void cli_meter_tick(struct cli_meter *meter)
{
    double silent = now() - meter->spoke;
    if (meter->how == CLI_PROGRESS_BAR && silent >= REDRAW)
        draw(meter);
    if (meter->how == CLI_PROGRESS_PLAIN && silent >= SILENCE && meter->running_count)
        cli_meter_tell(meter);
}

/* ---- what happens ---- */

static int find_running(const struct cli_meter *meter, const char *id)
{
    for (int i = 0; i < meter->running_count; i++)
        if (!strcmp(meter->running[i].id, id))
            return i;
    return -1;
}

void cli_meter_start(struct cli_meter *meter, const char *id)
{
    if (find_running(meter, id) >= 0)
        return;
    if (meter->running_count == meter->room) {
        meter->room = 2 * meter->room + 4;
        meter->running = qw_realloc(meter->running, (size_t)meter->room, sizeof *meter->running);
    }
    meter->running[meter->running_count++] = (struct running){qw_strdup(id), now()};
}

/* How long it ran. */
static double stop_running(struct cli_meter *meter, const char *id)
{
    int index = find_running(meter, id);
    if (index < 0)
        return 0;
    double seconds = now() - meter->running[index].since;
    free(meter->running[index].id);
    memmove(&meter->running[index], &meter->running[index + 1],
            (size_t)(--meter->running_count - index) * sizeof *meter->running);
    return seconds;
}

/* The cause where one is all that has to be said, the verdict where nothing was decided or not what was expected. */
static const char *remark(const struct qw_json *result)
{
    switch (cli_choose("PASS|XPASS|FAIL|XFAIL", qw_json_get_text(result, "status", ""))) {
    case 0:
    case 1: return "";
    case 2:
    case 3: return qw_json_get_text(qw_json_get(result, "cause"), "id", "");
    default: return qw_json_get_text(result, "verdict", "");
    }
}

static void show_case(struct cli_meter *meter, const char *id, const struct qw_json *result, double seconds)
{
    struct qw_text line = {0};
    int digits = snprintf(NULL, 0, "%d", meter->count);
    qw_text_addf(&line, "[%*d/%d] %-7s ", digits, meter->done, meter->count, qw_json_get_text(result, "status", ""));
    rp_escape_terminal(&line, id);
    qw_text_addf(&line, "  %.1fs%s", seconds, remark(result)[0] ? "  " : "");
    rp_escape_terminal(&line, remark(result));
    show_line(meter, &line);
    qw_text_free(&line);
}

void cli_meter_pass(struct cli_meter *meter, int64_t bytes, const struct qw_json *result)
{
    meter->done++;
    meter->bytes_done += bytes;
    meter->failures += cli_is_failure(result);
}

void cli_meter_end(struct cli_meter *meter, const char *id, int64_t bytes, const struct qw_json *result)
{
    double seconds = stop_running(meter, id);
    cli_meter_pass(meter, bytes, result);
    meter->bytes_judged += bytes;
    bool bar = meter->how == CLI_PROGRESS_BAR;
    if (meter->how == CLI_PROGRESS_PLAIN || (bar && meter->unattended && cli_is_failure(result)))
        show_case(meter, id, result, seconds);
}

void cli_meter_close(struct cli_meter *meter)
{
    if (meter->drawn)
        fputs("\r\033[K", stderr);
    for (int i = 0; i < meter->running_count; i++)
        free(meter->running[i].id);
    free(meter->running);
    free(meter);
}
