/* Plots as SVG, drawn by one gnuplot process that lives as long as the plotter.
 *
 * Only numbers and our own constants go into the process: no text of a
 * recording can reach its script.  A plotter that fails once (missing, died,
 * too slow, output that is not what was asked) refuses from then on, and the
 * report goes without plots. */
#ifndef RP_PLOT_H
#define RP_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference/base/text.h"
#include "reports/map.h"

struct rp_plotter;

/* Starts gnuplot as found in PATH; NULL when that is not possible.  Until it is closed SIGPIPE is ignored in this
 * process.  Close with rp_plotter_close (NULL is fine). */
struct rp_plotter *rp_plotter_open(void);
void rp_plotter_close(struct rp_plotter *plotter);

/* What a reader who does not see the plot gets, and what keeps ids apart in a page with several plots. */
struct rp_plot_label {
    const char *id;          /* prefix of every id in the SVG: letters, digits and hyphens */
    const char *title;       /* what the plot shows */
    const char *description; /* what can be seen in it */
};

/* Divergence over execution order.  Heights are log10(ratio / bound): 0 is at the bound, NaN where there is none. */
struct rp_divergence_plot {
    size_t count;
    const double *place;    /* [count] place in execution order, rising */
    const double *free_run; /* [count] */
    const double *isolated; /* [count] */
    const double *no_ratio; /* [count] a height where the structure differs or the ratio is infinite, else NaN */
    size_t step_count;
    const double *step_start; /* [step_count] place of the first site of each step */
    const int64_t *step;      /* [step_count] number of the step */
    double first;             /* place of the first divergence, or NaN */
    double low, high;         /* limits of the height */
};

/* Tokens in the cache after each step. */
struct rp_cache_plot {
    size_t count;
    const double *step;     /* [count] */
    const double *expected; /* [count] NaN where unknown */
    const double *observed; /* [count] NaN where not recorded */
};

/* Append one <svg> element, or append nothing and return false (`plotter` may be NULL). */
bool rp_plot_divergence(struct rp_plotter *plotter, struct qw_text *out, const struct rp_plot_label *label,
                        const struct rp_divergence_plot *plot);
bool rp_plot_cache(struct rp_plotter *plotter, struct qw_text *out, const struct rp_plot_label *label,
                   const struct rp_cache_plot *plot);
bool rp_plot_map(struct rp_plotter *plotter, struct qw_text *out, const struct rp_plot_label *label, const struct rp_map *map);

/* For the files that write scripts: runs one that draws one plot. */
bool rp_plot_run(struct rp_plotter *plotter, struct qw_text *out, const struct rp_plot_label *label,
                 const struct qw_text *script);

#endif
