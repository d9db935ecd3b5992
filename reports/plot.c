/* Invariant: what is written to gnuplot consists of this file's constants and of finite numbers; what is read back is
 * used only when it ends as a complete SVG within the limits of size and time. */
#include "reports/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reference/base/memory.h"
#include "reports/svg.h"

enum { TIME_LIMIT_MS = 10000, CPU_LIMIT_S = 60 };
#define SIZE_LIMIT ((size_t)8 << 20)

struct rp_plotter {
    pid_t child;
    int to, from; /* its stdin and stdout; -1 once it has failed */
    struct sigaction old_pipe_action;
};

/* --- the process --- */

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The child's end of the environment: nothing of ours but the way to programs. */
static bool spawn(pid_t *child, int input, int output)
{
    char path[4096] = "PATH=/usr/local/bin:/usr/bin:/bin";
    const char *own = getenv("PATH");
    if (own && strlen(own) < sizeof path - 6)
        snprintf(path + 5, sizeof path - 5, "%s", own);
    char *environment[] = {path, (char[]){"LC_ALL=C"}, (char[]){"HOME=/nonexistent"}, NULL};
    char *arguments[] = {(char[]){"gnuplot"}, (char[]){"-d"}, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int failure = posix_spawnp(child, "gnuplot", &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return !failure;
}

static bool start(struct rp_plotter *plotter)
{
    int input[2] = {-1, -1}, output[2] = {-1, -1};
    bool started = !pipe2(input, O_CLOEXEC) && !pipe2(output, O_CLOEXEC) && spawn(&plotter->child, input[0], output[1]);
    close_if_open(&input[0]);
    close_if_open(&output[1]);
    plotter->to = input[1];
    plotter->from = output[0];
    if (!started)
        return false;
    struct rlimit limit = {CPU_LIMIT_S, CPU_LIMIT_S};
    prlimit(plotter->child, RLIMIT_CPU, &limit, NULL);
    return !fcntl(plotter->to, F_SETFL, O_NONBLOCK) && !fcntl(plotter->from, F_SETFL, O_NONBLOCK);
}

struct rp_plotter *rp_plotter_open(void)
{
    struct rp_plotter *plotter = QW_NEW(struct rp_plotter);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &plotter->old_pipe_action);
    plotter->to = plotter->from = -1;
    if (start(plotter))
        return plotter;
    rp_plotter_close(plotter);
    return NULL;
}

/* Ends the process: whatever it was asked for has been read, or is no longer wanted. */
static void stop(struct rp_plotter *plotter)
{
    close_if_open(&plotter->to);
    close_if_open(&plotter->from);
    if (plotter->child <= 0)
        return;
    kill(plotter->child, SIGKILL);
    while (waitpid(plotter->child, NULL, 0) < 0 && errno == EINTR)
        ;
    plotter->child = 0;
}

void rp_plotter_close(struct rp_plotter *plotter)
{
    if (!plotter)
        return;
    stop(plotter);
    sigaction(SIGPIPE, &plotter->old_pipe_action, NULL);
    free(plotter);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The drawing ends with its closing tag and at least one line feed. */
static bool is_complete(const struct qw_text *svg)
{
    static const char tag[] = "</svg>";
    size_t end = svg->length, size = sizeof tag - 1;
    while (end && svg->bytes[end - 1] == '\n')
        end--;
    return end < svg->length && end >= size && !memcmp(svg->bytes + end - size, tag, size);
}

/* One round of writing what is left of the script and reading what is there; false when the pipe broke. */
static bool exchange(struct rp_plotter *plotter, const struct qw_text *script, size_t *sent, struct qw_text *svg)
{
    char block[65536];
    if (*sent < script->length) {
        ssize_t count = write(plotter->to, script->bytes + *sent, script->length - *sent);
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        *sent += count > 0 ? (size_t)count : 0;
    }
    ssize_t count = read(plotter->from, block, sizeof block);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    if (count > 0)
        qw_text_add_bytes(svg, block, (size_t)count);
    return svg->length <= SIZE_LIMIT;
}

static bool converse(struct rp_plotter *plotter, const struct qw_text *script, struct qw_text *svg)
{
    size_t sent = 0;
    int64_t deadline = now_ms() + TIME_LIMIT_MS;
    while (sent < script->length || !is_complete(svg)) {
        int64_t left = deadline - now_ms();
        struct pollfd ends[2] = {{plotter->from, POLLIN, 0}, {sent < script->length ? plotter->to : -1, POLLOUT, 0}};
        if (left <= 0 || (poll(ends, 2, (int)left) < 0 && errno != EINTR))
            return false;
        if (!exchange(plotter, script, &sent, svg))
            return false;
    }
    return true;
}

bool rp_plot_run(struct rp_plotter *plotter, struct qw_text *out, const struct rp_plot_label *label, const struct qw_text *script)
{
    struct qw_text svg = {0};
    bool drawn = plotter && plotter->to >= 0 && converse(plotter, script, &svg) && rp_svg_embed(out, svg.bytes, label);
    if (plotter && !drawn)
        stop(plotter);
    qw_text_free(&svg);
    return drawn;
}

/* --- scripts --- */

static void add_settings(struct qw_text *script, int width, int height)
{
    qw_text_addf(script, "reset session\nset terminal svg size %d,%d dynamic noenhanced font 'sans-serif,14'\n", width, height);
    qw_text_add(script, "set border 3\nset tics nomirror out\nset key outside below center horizontal samplen 2\n"
                        "set lmargin 9\nset rmargin 3\nset tmargin 2\nset bmargin 6\n");
}

/* A data block of the pairs whose second number is finite; true when it has any. */
static bool add_block(struct qw_text *script, const char *name, const double *x, const double *y, size_t count)
{
    size_t added = 0;
    qw_text_addf(script, "$%s << EOD\n", name);
    for (size_t i = 0; i < count; i++)
        if (isfinite(x[i]) && isfinite(y[i])) {
            qw_text_addf(script, "%.6g %.6g\n", x[i], y[i]);
            added++;
        }
    qw_text_add(script, "EOD\n");
    return added > 0;
}

/* Borders between steps, at most about twenty of them labelled. */
static void add_steps(struct qw_text *script, const struct rp_divergence_plot *plot)
{
    size_t every = plot->step_count / 20 + 1, drawn = plot->step_count / 200 + 1;
    bool crowded = plot->step_count > 8;
    if (crowded)
        qw_text_add(script, "set label 'step' at graph 0,graph 1.035 right offset character -1,0\n");
    for (size_t i = 0; i < plot->step_count; i++) {
        double x = plot->step_start[i] - 0.5;
        if (i % drawn && i % every)
            continue;
        qw_text_addf(script, "set arrow from %.6g,graph 0 to %.6g,graph 1 nohead back lc rgb '#7f7f7f' dt 3\n", x, x);
        if (i % every == 0)
            qw_text_addf(script, "set label '%s%lld' at %.6g,graph 1.035 left front\n", crowded ? "" : "step ",
                         (long long)plot->step[i], x);
    }
}

static void add_first(struct qw_text *script, const struct rp_divergence_plot *plot)
{
    double last = plot->place[plot->count - 1], start = plot->place[0];
    bool right = plot->first - start > 0.7 * (last - start);
    if (!isfinite(plot->first))
        return;
    qw_text_addf(script, "set arrow from %.6g,graph 0 to %.6g,graph 1 nohead back lw 2 lc rgb '#cc79a7'\n", plot->first,
                 plot->first);
    qw_text_addf(script,
                 "set label 'first divergence' at %.6g,graph 0.86 %s offset character %s,0 front "
                 "tc rgb '#cc79a7'\n",
                 plot->first, right ? "right" : "left", right ? "-0.6" : "0.6");
}

/* A decade per tick, named by the ratio itself, so that no logarithm has to be read. */
static void add_decades(struct qw_text *script, double low, double high)
{
    int every = high - low > 12 ? 3 : high - low > 7 ? 2 : 1;
    qw_text_add(script, "set ytics (0 0");
    for (int i = (int)ceil(low); i <= (int)floor(high); i++)
        if (i % every == 0)
            qw_text_addf(script, ", '%s%d' %d", i > 0 ? "+" : "", i, i);
    qw_text_add(script, ")\n");
}

/* The isolated points above the bound once more: drawn larger, since one of them is where a fault begins. */
static bool add_loud(struct qw_text *script, const struct rp_divergence_plot *plot)
{
    double *loud = QW_NEW_ARRAY(double, plot->count);
    for (size_t i = 0; i < plot->count; i++)
        loud[i] = plot->isolated[i] > 0 ? plot->isolated[i] : NAN;
    bool any = add_block(script, "loud", plot->place, loud, plot->count);
    free(loud);
    return any;
}

bool rp_plot_divergence(struct rp_plotter *plotter, struct qw_text *out, const struct rp_plot_label *label,
                        const struct rp_divergence_plot *plot)
{
    struct qw_text script = {0};
    if (!plot->count)
        return false;
    add_settings(&script, 960, 420);
    qw_text_add(&script, "set xlabel 'place in execution order (number of the site)'\n"
                         "set ylabel 'log10 (error / bound)'\n");
    qw_text_addf(&script, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\n", plot->place[0] - 0.7,
                 plot->place[plot->count - 1] + 0.7, plot->low, plot->high);
    add_decades(&script, plot->low, plot->high);
    add_steps(&script, plot);
    add_first(&script, plot);
    bool has_free = add_block(&script, "free", plot->place, plot->free_run, plot->count);
    bool has_isolated = add_block(&script, "isolated", plot->place, plot->isolated, plot->count);
    bool has_none = add_block(&script, "none", plot->place, plot->no_ratio, plot->count);
    double size = plot->count > 400 ? 0.25 : plot->count > 150 ? 0.4 : 0.55;
    bool has_loud = add_loud(&script, plot);
    qw_text_add(&script, "plot 0 with lines lw 1.5 dt 2 lc rgb 'black' title 'bound'");
    if (has_free)
        qw_text_addf(&script, ", $free with linespoints lw 1 pt 7 ps %.6g lc rgb '#0072b2' title 'free-running'", size);
    if (has_isolated)
        qw_text_addf(&script, ", $isolated with points lw 1.6 pt 4 ps %.6g lc rgb '#d55e00' title 'isolated'", size);
    if (has_loud)
        qw_text_add(&script, ", $loud with points lw 2 pt 4 ps 0.9 lc rgb '#d55e00' notitle");
    if (has_none)
        qw_text_add(&script, ", $none with points lw 2 pt 2 ps 0.9 lc rgb '#cc79a7' "
                             "title 'no finite ratio'");
    qw_text_add(&script, "\nunset output\n");
    bool drawn = rp_plot_run(plotter, out, label, &script);
    qw_text_free(&script);
    return drawn;
}

static double highest(const double *values, size_t count, double least)
{
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]) && values[i] > least)
            least = values[i];
    return least;
}

/* A data block that draws each value as a line one step wide; true when it has any. */
static bool add_levels(struct qw_text *script, const char *name, const double *step, const double *level, size_t count)
{
    size_t added = 0;
    qw_text_addf(script, "$%s << EOD\n", name);
    for (size_t i = 0; i < count; i++)
        if (isfinite(step[i]) && isfinite(level[i])) {
            qw_text_addf(script, "%.6g %.6g\n%.6g %.6g\n", step[i] - 0.5, level[i], step[i] + 0.5, level[i]);
            added++;
        } else {
            qw_text_add(script, "\n");
        }
    qw_text_add(script, "EOD\n");
    return added > 0;
}

/* Names a line at its right end, with its last value. */
static void add_end_label(struct qw_text *script, const char *name, const char *color, double value, double x, double y)
{
    if (isfinite(value) && isfinite(x) && isfinite(y))
        qw_text_addf(script, "set label '%s: %.6g' at %.6g,%.6g left offset character 0.8,0 tc rgb '%s'\n", name, value, x, y,
                     color);
}

static void add_end_labels(struct qw_text *script, const struct rp_cache_plot *plot, double high)
{
    size_t last = plot->count - 1;
    double x = plot->step[last] + 0.5, expected = plot->expected[last], observed = plot->observed[last];
    double apart = fabs(expected - observed) < 0.07 * high ? 0.035 * high : 0;
    bool above = expected >= observed;
    add_end_label(script, "expected", "#0072b2", expected, x, expected + (above ? apart : -apart));
    add_end_label(script, "observed", "#d55e00", observed, x, observed + (above ? -apart : apart));
}

bool rp_plot_cache(struct rp_plotter *plotter, struct qw_text *out, const struct rp_plot_label *label,
                   const struct rp_cache_plot *plot)
{
    struct qw_text script = {0};
    if (!plot->count)
        return false;
    double high = highest(plot->observed, plot->count, highest(plot->expected, plot->count, 1));
    bool labelled = isfinite(plot->expected[plot->count - 1]) && isfinite(plot->observed[plot->count - 1]);
    add_settings(&script, 960, labelled ? 290 : 330);
    qw_text_add(&script, labelled ? "unset key\nset bmargin 4\n" : "");
    qw_text_add(&script, "set rmargin 16\nset tmargin 1\nset xlabel 'step (forward call)'\n"
                         "set ylabel 'tokens in the cache'\n");
    qw_text_addf(&script, "set xrange [%.6g:%.6g]\nset yrange [0:%.6g]\nset xtics %d\n", plot->step[0] - 0.6,
                 plot->step[plot->count - 1] + 0.6, high * 1.15, (int)(plot->count / 20) + 1);
    add_end_labels(&script, plot, high);
    bool has_expected = add_levels(&script, "expected", plot->step, plot->expected, plot->count);
    bool has_observed = add_levels(&script, "observed", plot->step, plot->observed, plot->count);
    if (has_observed)
        qw_text_add(&script, "plot $observed with lines lw 2.5 lc rgb '#d55e00' title 'observed'");
    if (has_expected)
        qw_text_addf(&script, "%s $expected with lines lw 2.5 dt 2 lc rgb '#0072b2' title 'expected'",
                     has_observed ? "," : "plot");
    qw_text_add(&script, "\nunset output\n");
    bool drawn = (has_expected || has_observed) && rp_plot_run(plotter, out, label, &script);
    qw_text_free(&script);
    return drawn;
}
