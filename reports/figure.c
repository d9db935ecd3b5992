/* Invariant: a figure always has its numbers as a table, whether or not it could be drawn. */
#include "reports/markup.h"
#include "reports/notes.h"
#include "reports/page.h"
#include "reports/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

enum { POINT_LIMIT = 1000 }; /* more sites than this are drawn as the largest of each group of neighbours */

/* The divergence plot with its storage, and what its caption says. */
struct profile {
    struct rp_divergence_plot plot;
    double *place, *free_run, *isolated, *no_ratio, *step_start;
    int64_t *step;
    int sites, group; /* sites in all, and how many stand behind one point */
    int over, without_ratio, at_floor;
    char *first_name; /* place of the first divergence; NULL when there is none */
};

static double *nan_array(size_t count)
{
    double *values = QW_NEW_ARRAY(double, count);
    for (size_t i = 0; i < count; i++)
        values[i] = NAN;
    return values;
}

static bool same_number(const struct qw_json *a, const struct qw_json *b, const char *key)
{
    return qw_json_get_int(a, key, -1) == qw_json_get_int(b, key, -1);
}

static bool same_place(const struct qw_json *a, const struct qw_json *b)
{
    return same_number(a, b, "step") && same_number(a, b, "layer") &&
           !strcmp(qw_json_get_text(a, "site", "?"), qw_json_get_text(b, "site", "-"));
}

/* Place of the first divergence among the sites (from 1); the first failing site when it is not listed; NaN if none. */
static double find_first(const struct qw_json *one)
{
    const struct qw_json *found = qw_json_get(one, "first_divergence");
    double failing = NAN;
    int place = 1;
    for (const struct qw_json *s = qw_json_first(qw_json_get(one, "sites")); s; s = qw_json_next(s), place++) {
        if (qw_json_is_object(found) && same_place(s, found))
            return place;
        if (isnan(failing) && rp_site_fails(s))
            failing = place;
    }
    return failing;
}

static double height(const struct qw_json *ratio, double multiple)
{
    double value = qw_json_real(ratio, NAN);
    if (qw_json_is_null(ratio) || isnan(value) || isinf(value))
        return NAN;
    return value > 0 ? log10(value / multiple) : -INFINITY;
}

static bool lacks_ratio(const struct qw_json *site)
{
    bool differs = rp_site_fails(site) || !strcmp(qw_json_get_text(site, "status", ""), "inherited");
    double ratio = qw_json_get_real(site, "ratio", NAN), isolated = qw_json_get_real(site, "ratio_isolated", 0);
    return (differs && isnan(ratio)) || isinf(ratio) || isinf(isolated) || isnan(isolated);
}

static void keep_largest(double *kept, double value)
{
    if (!isnan(value) && !(*kept >= value))
        *kept = value;
}

static void add_step(struct profile *to, int64_t step, double place)
{
    size_t count = to->plot.step_count;
    if (step < 0 || (count && to->step[count - 1] == step))
        return;
    to->step[count] = step;
    to->step_start[count] = place;
    to->plot.step_count++;
}

static void fill(struct profile *to, const struct qw_json *sites, double multiple)
{
    int place = 0;
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s), place++) {
        size_t at = (size_t)(place / to->group);
        double free_run = height(qw_json_get(s, "ratio"), multiple);
        if (isnan(to->place[at]))
            to->place[at] = place + 1;
        keep_largest(&to->free_run[at], free_run);
        keep_largest(&to->isolated[at], height(qw_json_get(s, "ratio_isolated"), multiple));
        if (lacks_ratio(s))
            to->no_ratio[at] = INFINITY;
        to->over += free_run > 0;
        to->without_ratio += lacks_ratio(s);
        to->at_floor += isinf(free_run) != 0;
        add_step(to, qw_json_get_int(s, "step", -1), place + 1);
    }
}

/* Sets the limits, then moves what lies outside to them: equal bits to the bottom, no ratio to the top. */
static void bound_heights(struct profile *to)
{
    double low = -2, high = 1;
    for (size_t i = 0; i < to->plot.count; i++) {
        double values[2] = {to->free_run[i], to->isolated[i]};
        for (int k = 0; k < 2; k++)
            if (isfinite(values[k])) {
                low = fmin(low, values[k]);
                high = fmax(high, values[k]);
            }
    }
    low = fmax(floor(low), -8) - 1;
    high = fmin(ceil(high), 300) + 0.6;
    to->plot.low = low - 0.3;
    to->plot.high = high + 0.4;
    for (size_t i = 0; i < to->plot.count; i++) {
        to->free_run[i] = isnan(to->free_run[i]) ? NAN : fmax(to->free_run[i], low);
        to->isolated[i] = isnan(to->isolated[i]) ? NAN : fmax(to->isolated[i], low);
        to->no_ratio[i] = isnan(to->no_ratio[i]) ? NAN : high;
    }
}

static struct profile make_profile(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *sites = qw_json_get(one, "sites");
    double multiple = qw_json_get_real(qw_json_get(page->result, "noise"), "multiple", 1);
    struct profile made = {.sites = qw_json_size(sites)};
    struct qw_text first = {0};
    made.group = made.sites ? (made.sites + POINT_LIMIT - 1) / POINT_LIMIT : 1;
    size_t count = made.sites ? (size_t)((made.sites - 1) / made.group + 1) : 0;
    made.place = nan_array(count);
    made.free_run = nan_array(count);
    made.isolated = nan_array(count);
    made.no_ratio = nan_array(count);
    made.step_start = nan_array((size_t)made.sites);
    made.step = QW_NEW_ARRAY(int64_t, made.sites);
    made.plot.count = count;
    fill(&made, sites, multiple > 0 && isfinite(multiple) ? multiple : 1);
    bound_heights(&made);
    if (qw_json_is_object(qw_json_get(one, "first_divergence")))
        rp_add_place(&first, qw_json_get(one, "first_divergence"));
    made.first_name = first.bytes;
    made.plot.first = find_first(one);
    made.plot.place = made.place;
    made.plot.free_run = made.free_run;
    made.plot.isolated = made.isolated;
    made.plot.no_ratio = made.no_ratio;
    made.plot.step_start = made.step_start;
    made.plot.step = made.step;
    return made;
}

static void free_profile(struct profile *profile)
{
    free(profile->place);
    free(profile->free_run);
    free(profile->isolated);
    free(profile->no_ratio);
    free(profile->step_start);
    free(profile->step);
    free(profile->first_name);
}

void rp_open_figure(struct rp_page *page, const char *id, const char *title, const struct qw_text *drawing)
{
    rp_markup(page->out, "<figure id=\"%r%r\"><figcaption><strong>%t</strong></figcaption>\n", page->prefix, id, title);
    if (drawing->length)
        rp_markup(page->out, "<div class=\"scroll plot\" role=\"region\" aria-label=\"%a\" tabindex=\"0\">\n%r</div>\n", title,
                  drawing->bytes);
    else if (page->plots_left > 0)
        qw_text_add(page->out, "<p class=\"slot\">gnuplot not found: plot omitted; the numbers are in the table "
                               "below</p>\n");
    else
        qw_text_add(page->out, "<p class=\"slot\">No plot: this page already has as many as it may hold; "
                               "the numbers are in the table below</p>\n");
    page->plots_left--;
}

static void describe(struct qw_text *out, const struct profile *profile, const char *multiple)
{
    qw_text_addf(out,
                 "Each point is a site, in the order in which it ran. Height is the power of ten by which its "
                 "error exceeds the bound of %s times the noise floor: 0 is at the bound, +2 is a hundred times "
                 "over it.",
                 multiple);
    if (profile->over)
        qw_text_addf(out, " Of %d sites, %d exceed the bound in the free-running view.", profile->sites, profile->over);
    if (profile->without_ratio)
        qw_text_addf(out,
                     " %d sites have no finite ratio, because their structure differs or copied data is not "
                     "equal; they are marked at the top.",
                     profile->without_ratio);
    if (!profile->over && !profile->without_ratio)
        qw_text_addf(out, " All %d sites stay under the bound.", profile->sites);
    if (profile->first_name)
        qw_text_addf(out, " The first divergence is at %s.", profile->first_name);
    if (profile->at_floor)
        qw_text_addf(out, " %d sites are equal to the last bit; they are drawn at the lower edge.", profile->at_floor);
    if (profile->group > 1)
        qw_text_addf(out,
                     " Each point stands for %d neighbouring sites and shows the largest of "
                     "them.",
                     profile->group);
}

/* Per step: how many sites there are, and how many of them are over the bound or lack a ratio. */
static void step_table(struct rp_page *page, const struct qw_json *sites)
{
    static const char *const columns[] = {"Step", "Sites", "Failing", "Largest ratio", "At", NULL};
    qw_text_add(page->out, "<details><summary>Numbers per step</summary>\n");
    rp_open_table(page, "numbers", "Divergence per step", columns);
    const struct qw_json *s = qw_json_first(sites);
    for (int rows = 0; s && rows < RP_STEP_ROWS; rows++) {
        int count = 0, failing = 0;
        const struct qw_json *first = s, *worst = s;
        for (; s && same_number(s, first, "step"); s = qw_json_next(s), count++) {
            failing += rp_site_fails(s);
            if (qw_json_get_real(s, "ratio", -1) > qw_json_get_real(worst, "ratio", -1))
                worst = s;
        }
        struct qw_text place = {0};
        rp_add_place(&place, worst);
        rp_markup(page->out,
                  "<tr><th scope=\"row\">%t</th><td class=\"n\">%d</td><td class=\"n\">%d</td>"
                  "<td class=\"n\">%t</td><td>%t</td></tr>\n",
                  rp_value(qw_json_get(first, "step")).text, count, failing, rp_number(qw_json_get(worst, "ratio")).text,
                  place.bytes);
        qw_text_free(&place);
    }
    rp_close_table(page);
    if (s)
        qw_text_add(page->out, "<p>… and more steps; the result document has them all</p>\n");
    qw_text_add(page->out, "</details>\n");
}

static void divergence_figure(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *sites = qw_json_get(one, "sites");
    if (!qw_json_size(sites))
        return;
    struct profile profile = make_profile(page, one);
    struct qw_text drawing = {0}, description = {0}, id = {0};
    const char *title = profile.over || profile.without_ratio ? "Divergence over execution order"
                                                              : "No divergence over execution order";
    describe(&description, &profile, rp_number(qw_json_get(qw_json_get(page->result, "noise"), "multiple")).text);
    qw_text_addf(&id, "%splot-divergence", page->prefix);
    struct rp_plot_label label = {id.bytes, title, description.bytes};
    if (page->plots_left > 0)
        rp_plot_divergence(page->plotter, &drawing, &label, &profile.plot);
    rp_open_figure(page, "divergence", title, &drawing);
    rp_markup(page->out, "<p class=\"small\">%t</p>\n", description.bytes);
    step_table(page, sites);
    qw_text_add(page->out, "</figure>\n");
    qw_text_free(&drawing);
    qw_text_free(&description);
    qw_text_free(&id);
    free_profile(&profile);
}

struct lengths {
    struct rp_cache_plot plot;
    double *step, *expected, *observed;
    int differing;
};

/* Of more steps than POINT_LIMIT the first are drawn. */
static struct lengths make_lengths(const struct qw_json *list)
{
    int all = qw_json_size(list);
    size_t count = (size_t)(all < POINT_LIMIT ? all : POINT_LIMIT), i = 0;
    struct lengths made = {.step = nan_array(count), .expected = nan_array(count), .observed = nan_array(count)};
    for (const struct qw_json *l = qw_json_first(list); l && i < count; l = qw_json_next(l), i++) {
        made.step[i] = qw_json_get_real(l, "step", (double)i);
        made.expected[i] = qw_json_get_real(l, "expected", NAN);
        made.observed[i] = qw_json_get_real(l, "observed", NAN);
        made.differing += !(made.expected[i] <= made.observed[i] && made.expected[i] >= made.observed[i]);
    }
    made.plot = (struct rp_cache_plot){count, made.step, made.expected, made.observed};
    return made;
}

static void length_table(struct rp_page *page, const struct qw_json *list)
{
    static const char *const columns[] = {"Step", "Expected", "Observed", NULL};
    qw_text_add(page->out, "<details><summary>Numbers</summary>\n");
    rp_open_table(page, "numbers", "Tokens in the cache after each step", columns);
    const struct qw_json *l = qw_json_first(list);
    for (int rows = 0; l && rows < RP_STEP_ROWS; l = qw_json_next(l), rows++)
        rp_markup(page->out, "<tr><th scope=\"row\">%t</th><td class=\"n\">%t</td><td class=\"n\">%t</td></tr>\n",
                  rp_value(qw_json_get(l, "step")).text, rp_value(qw_json_get(l, "expected")).text,
                  rp_value(qw_json_get(l, "observed")).text);
    rp_close_table(page);
    rp_add_rest(page, "<p>", qw_json_size(list) - RP_STEP_ROWS, "</p>");
    qw_text_add(page->out, "</details>\n");
}

static void cache_figure(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *list = qw_json_get(one, "cache_lengths");
    if (!qw_json_size(list))
        return;
    struct lengths lengths = make_lengths(list);
    struct qw_text drawing = {0}, description = {0}, id = {0};
    const char *title = lengths.differing ? "Cache length per step: observed and expected differ"
                                          : "Cache length per step: as expected";
    qw_text_addf(&description,
                 "Tokens in the cache after each forward call. %d of %d steps differ from what is "
                 "expected or were not recorded.",
                 lengths.differing, (int)lengths.plot.count);
    qw_text_addf(&id, "%splot-cache", page->prefix);
    struct rp_plot_label label = {id.bytes, title, description.bytes};
    if (page->plots_left > 0)
        rp_plot_cache(page->plotter, &drawing, &label, &lengths.plot);
    rp_open_figure(page, "cache-length", title, &drawing);
    rp_markup(page->out, "<p class=\"small\">%t</p>\n", description.bytes);
    length_table(page, list);
    qw_text_add(page->out, "</figure>\n");
    qw_text_free(&drawing);
    qw_text_free(&description);
    qw_text_free(&id);
    free(lengths.step);
    free(lengths.expected);
    free(lengths.observed);
}

void rp_html_figures(struct rp_page *page, const struct qw_json *one)
{
    if (!qw_json_size(qw_json_get(one, "sites")) && !qw_json_size(qw_json_get(one, "cache_lengths")))
        return;
    rp_open_card(page, "wide", "plots", "Plots");
    if (!rp_is_bitwise(one))
        divergence_figure(page, one);
    rp_html_map(page, one);
    cache_figure(page, one);
    qw_text_add(page->out, "</section>\n");
}
