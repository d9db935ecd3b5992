/* Plots: what goes to gnuplot, what comes back, and that a gnuplot that misbehaves costs only the plot. */
#include "reports/plot.h"
#include "reports/html.h"
#include "reports/svg.h"
#include "reports/tests/documents.h"

#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct rp_plot_label label = {"p1", "A <title>", "What & why"};

static bool draw_cache(struct rp_plotter *plotter, struct qw_text *out)
{
    static const double step[3] = {0, 1, 2}, expected[3] = {15, 16, 17}, observed[3] = {7, NAN, 9};
    struct rp_cache_plot plot = {3, step, expected, observed};
    return rp_plot_cache(plotter, out, &label, &plot);
}

Test(plot, many_plots_come_from_one_process)
{
    struct rp_plotter *plotter = rp_plotter_open();
    if (!plotter)
        cr_skip("gnuplot is not installed");
    struct qw_text first = {0}, next = {0};
    cr_assert(draw_cache(plotter, &first));
    for (int i = 0; i < 20; i++) {
        cr_assert(draw_cache(plotter, &next));
        cr_expect_str_eq(first.bytes, next.bytes);
        qw_text_free(&next);
    }
    cr_expect(strstr(first.bytes, "<title id=\"p1-title\">A &lt;title&gt;</title>"));
    cr_expect(strstr(first.bytes, "<desc id=\"p1-desc\">What &amp; why</desc>"));
    cr_expect_null(strstr(first.bytes, "black"));
    cr_expect_null(strstr(first.bytes, "<?xml"));
    qw_text_free(&first);
    rp_plotter_close(plotter);
}

Test(plot, nothing_to_draw_is_no_plot)
{
    static const double step[1] = {0}, unknown[1] = {NAN};
    struct rp_plotter *plotter = rp_plotter_open();
    struct qw_text out = {0};
    struct rp_cache_plot empty = {0}, blank = {1, step, unknown, unknown};
    struct rp_divergence_plot none = {0};
    cr_expect(!rp_plot_cache(plotter, &out, &label, &empty));
    cr_expect(!rp_plot_cache(plotter, &out, &label, &blank));
    cr_expect(!rp_plot_divergence(plotter, &out, &label, &none));
    cr_expect_eq(out.length, 0);
    rp_plotter_close(plotter);
}

Test(plot, missing_gnuplot_is_no_plotter)
{
    setenv("PATH", "/nonexistent", 1);
    struct qw_text out = {0};
    struct rp_plotter *plotter = rp_plotter_open();
    cr_expect_null(plotter);
    cr_expect(!draw_cache(plotter, &out));
    rp_plotter_close(plotter);
}

/* Puts a stand-in for gnuplot first in PATH; the folder's name is left in `folder`. */
static void stand_in(char folder[64], const char *script)
{
    strcpy(folder, "/tmp/qconform-plot-XXXXXX");
    cr_assert(mkdtemp(folder));
    char *path = qw_format("%s/gnuplot", folder), *all = qw_format("%s:/usr/bin:/bin", folder);
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fprintf(file, "#!/bin/sh\ncd %s || exit 1\n%s\n", folder, script);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, 0700), 0);
    setenv("PATH", all, 1);
    free(path);
    free(all);
}

static void remove_stand_in(const char *folder)
{
    static const char *const names[] = {"gnuplot", "dump"};
    for (size_t i = 0; i < 2; i++) {
        char *path = qw_format("%s/%s", folder, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(folder);
}

Test(plot, a_gnuplot_that_misbehaves_costs_only_the_plot)
{
    static const char *const scripts[] = {
        "exit 127",
        "exec <&-; exit 0",
        "echo '<svg>'; exit 0",
        "read line; echo '<svg viewBox=\"0 0 1 1\"><g id=\"gnuplot_canvas\"></svg><script>alert(1)</script></svg>'; cat > /dev/null",
        "read line; echo '</svg>'; cat > /dev/null",
        "exec yes '<svg'",
        "kill -9 $$",
    };
    struct qw_json *document = load_document("failing");
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        char folder[64];
        struct qw_text page = {0};
        stand_in(folder, scripts[i]);
        rp_html(&page, document);
        cr_expect_eq(count_of(page.bytes, "gnuplot not found: plot omitted"), 3, "%s", scripts[i]);
        cr_expect_null(strstr(page.bytes, "alert(1)"));
        cr_expect(strstr(page.bytes, "</html>\n"));
        qw_text_free(&page);
        remove_stand_in(folder);
    }
    qw_json_free(document);
}

Test(plot, the_signal_disposition_is_put_back)
{
    struct sigaction before, after;
    sigaction(SIGPIPE, NULL, &before);
    rp_plotter_close(rp_plotter_open());
    sigaction(SIGPIPE, NULL, &after);
    cr_expect_eq(before.sa_handler, after.sa_handler);
}

/* What gnuplot is told holds no text of the document. */
Test(plot, no_text_of_the_document_reaches_the_script)
{
    char folder[64], *dump = NULL;
    size_t size = 0;
    struct qw_error error = {0};
    struct qw_json *document = load_document("failing"), *marked = with_texts(document, "MARK`x`", false);
    struct qw_text page = {0};
    stand_in(folder, "while read line; do echo \"$line\" >> dump; test \"$line\" = 'unset output' && exit 0; done");
    rp_html(&page, marked);
    char *path = qw_format("%s/dump", folder);
    cr_assert(qw_file_read(&dump, &size, path, (size_t)1 << 20, &error), "%s", error.message);
    cr_expect(strstr(dump, "set terminal svg"));
    cr_expect_null(strstr(dump, "MARK"));
    cr_expect_null(strchr(dump, '`'));
    cr_expect_null(strstr(dump, "nan"));
    cr_expect_null(strstr(dump, "inf"));
    remove_stand_in(folder);
    free(path);
    free(dump);
    qw_text_free(&page);
    qw_json_free(marked);
    qw_json_free(document);
}

Test(svg, only_a_plain_drawing_is_embedded)
{
    static const char *const refused[] = {
        "",
        "<svg></svg>",
        "<svg viewBox=\"0 0 1 1\"><g id=\"gnuplot_canvas\"></g>",
        "<svg viewBox=\"0 0 1 1\"><g id=\"gnuplot_canvas\"><script>x</script></g></svg>",
        "<svg viewBox=\"0 0 1 1\" onload=\"x\"><g id=\"gnuplot_canvas\"></g></svg>",
        "<svg viewBox=\"0 0 x\"><g id=\"gnuplot_canvas\"></g></svg>",
        "<svg viewBox=\"0 0 1 1\"><g id=\"gnuplot_canvas\"><use href='http://x'/></g></svg>",
    };
    struct qw_text out = {0};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_expect(!rp_svg_embed(&out, refused[i], &label), "%s", refused[i]);
    cr_expect_eq(out.length, 0);
    cr_assert(rp_svg_embed(&out,
                           "<?xml?><svg viewBox=\"0 0 9 9\"><g id=\"gnuplot_canvas\"><use href='#a' id='b' "
                           "fill=\"black\"/></g></svg>\n",
                           &label));
    cr_expect(strstr(out.bytes, "<g id=\"p1-gnuplot_canvas\"><use href='#p1-a' id='p1-b' fill=\"currentColor\"/></g></svg>"));
    qw_text_free(&out);
}
