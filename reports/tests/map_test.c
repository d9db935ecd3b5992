/* The error map: which cell a site falls into, what is the worst, and that the grid stays bounded. */
#include "reports/map.h"
#include "reports/plot.h"
#include "reports/tests/documents.h"

#include <math.h>

static void add_site(struct qw_json *sites, int step, int layer, const char *name, const char *status, const char *kind,
                     double ratio)
{
    struct qw_json *site = qw_json_add(sites, qw_json_object());
    if (step >= 0)
        qw_json_put_int(site, "step", step);
    if (layer >= 0)
        qw_json_put_int(site, "layer", layer);
    qw_json_put_text(site, "site", name);
    qw_json_put_text(site, "status", status);
    qw_json_put_text(site, "kind", kind);
    if (isnan(ratio))
        qw_json_put_null(site, "ratio");
    else
        qw_json_put_real(site, "ratio", ratio);
}

static struct qw_json *small_run(void)
{
    struct qw_json *sites = qw_json_array();
    add_site(sites, -1, -1, "call", "conforms", NULL, NAN);
    for (int step = 0; step < 2; step++) {
        add_site(sites, step, -1, "received.input_ids", "conforms", NULL, 0);
        add_site(sites, step, 0, "cache_before.key", "conforms", NULL, 0);
        add_site(sites, step, -1, "model.embed_tokens", "conforms", NULL, 0.2);
        add_site(sites, step, 0, "self_attn.q_proj", "conforms", NULL, 0.7);
        add_site(sites, step, 0, "output", "differs", "value", step ? 80 : 2);
        add_site(sites, step, 2, "output", "inherited", step ? "shape" : "value", step ? NAN : INFINITY);
        add_site(sites, step, -1, "lm_head", "waived", NULL, NAN);
        add_site(sites, step, 2, "cache_after.key", "conforms", NULL, 0);
        add_site(sites, step, -1, "cache_after.length", "conforms", NULL, NAN);
    }
    return sites;
}

static void expect_band(const struct rp_band *band, const char *unit, const char *wanted)
{
    struct qw_text text = {0};
    rp_add_band(&text, band, unit);
    cr_expect_str_eq(text.bytes, wanted);
    qw_text_free(&text);
}

static void expect_cell(const struct rp_cell *cell, enum rp_heat heat, const char *wanted)
{
    struct qw_text text = {0};
    rp_add_cell_text(&text, cell);
    cr_expect_eq(rp_heat_of(cell), heat, "%s: heat %d, not %d", wanted, (int)rp_heat_of(cell), (int)heat);
    cr_expect_str_eq(text.bytes ? text.bytes : "", wanted);
    qw_text_free(&text);
}

Test(map, rows_are_the_parts_in_their_order_and_the_layers_between)
{
    static const char *const rows[] = {"handed over", "embedding", "layer 0", "layer 2", "head", "cache kept"};
    struct qw_json *sites = small_run();
    struct rp_map map = rp_map_of_steps(sites, NULL, 5);
    cr_assert_eq(map.rows, 6);
    cr_assert_eq(map.columns, 3);
    for (int i = 0; i < 6; i++)
        expect_band(&map.row[i], "layer", rows[i]);
    expect_band(&map.column[0], "step", "no step");
    expect_band(&map.column[2], "step", "step 1");
    rp_map_clear(&map);
    qw_json_free(sites);
}

Test(map, a_cell_is_the_worst_of_its_sites)
{
    struct qw_json *sites = small_run();
    struct rp_map map = rp_map_of_steps(sites, NULL, 5);
    expect_cell(&map.free_run[0], RP_HEAT_EQUAL, "=");
    expect_cell(&map.free_run[2 * 3 + 1], RP_HEAT_NEAR, "2");
    expect_cell(&map.free_run[2 * 3 + 2], RP_HEAT_FAR, "80");
    expect_cell(&map.free_run[3 * 3 + 1], RP_HEAT_BEYOND, "inf");
    expect_cell(&map.free_run[3 * 3 + 2], RP_HEAT_STRUCTURE, "S");
    expect_cell(&map.free_run[4 * 3 + 1], RP_HEAT_BLANK, "");
    expect_cell(&map.isolated[3 * 3 + 1], RP_HEAT_BLANK, "");
    cr_expect_eq(map.over, 3);
    cr_expect_eq(map.judged, 11);
    rp_map_clear(&map);
    qw_json_free(sites);
}

Test(map, the_first_divergence_has_its_cell_in_both_grids)
{
    struct qw_json *sites = small_run();
    struct qw_json *first = parse_document("{\"step\": 1, \"layer\": 0, \"site\": \"output\"}");
    struct rp_map map = rp_map_of_steps(sites, first, 5), step = rp_map_of_step(sites, first, 5);
    cr_expect_eq(map.first_row, 2);
    cr_expect_eq(map.first_column, 2);
    cr_expect_eq(step.step, 1);
    cr_assert(step.first_row >= 0);
    expect_band(&step.row[step.first_row], "", "output");
    expect_band(&step.column[step.first_column], "layer", "layer 0");
    rp_map_clear(&map);
    rp_map_clear(&step);
    qw_json_free(first);
    qw_json_free(sites);
}

Test(map, without_a_divergence_the_step_of_the_largest_ratio_is_shown)
{
    struct qw_json *sites = qw_json_array();
    add_site(sites, 0, 0, "output", "conforms", NULL, 0.5);
    add_site(sites, 4, 0, "output", "conforms", NULL, 1.5);
    add_site(sites, 7, 0, "output", "conforms", NULL, 0.7);
    struct rp_map map = rp_map_of_step(sites, NULL, 5);
    cr_expect_eq(map.step, 4);
    rp_map_clear(&map);
    qw_json_free(sites);
}

Test(map, many_layers_and_steps_share_rows_and_columns_and_none_is_lost)
{
    struct qw_json *sites = qw_json_array();
    for (int step = 0; step < 400; step++)
        for (int layer = 0; layer < 200; layer += 1 + (step != 173) * 37)
            add_site(sites, step, layer, "output", step == 173 && layer == 111 ? "differs" : "conforms", "value",
                     step == 173 && layer == 111 ? 1e9 : 0.5);
    struct rp_map map = rp_map_of_steps(sites, NULL, 5);
    cr_expect(map.rows <= RP_MAP_LAYERS && map.columns <= RP_MAP_STEPS);
    cr_expect_eq(map.over, 1, "the one loud site must be seen");
    cr_expect_eq(map.row[map.rows - 1].last, 199);
    cr_expect_eq(map.column[map.columns - 1].last, 399);
    rp_map_clear(&map);
    qw_json_free(sites);
}

Test(map, more_names_than_rows_are_counted)
{
    struct qw_json *sites = qw_json_array();
    for (int i = 0; i < 100; i++) {
        char *name = qw_format("site%d", i);
        add_site(sites, 0, 0, name, "conforms", NULL, 0.5);
        free(name);
    }
    struct rp_map map = rp_map_of_step(sites, NULL, 5);
    cr_expect_eq(map.rows, RP_MAP_SITES);
    cr_expect_eq(map.left_out, 100 - RP_MAP_SITES);
    rp_map_clear(&map);
    qw_json_free(sites);
}

Test(map, odd_numbers_do_no_harm)
{
    struct qw_json *sites = parse_document(
        "[{\"step\": -5, \"layer\": -7, \"site\": 3}, {\"step\": 9007199254740991, \"layer\": 1e300, "
        "\"ratio\": \"nan\", \"status\": \"differs\"}, {\"step\": 1.5}, 7, null, \"x\", [1], "
        "{\"step\": 0, \"layer\": 9007199254740991, \"ratio\": -3, \"status\": \"odd\"}]");
    struct rp_map map = rp_map_of_steps(sites, sites, -1), step = rp_map_of_step(sites, sites, 0);
    struct rp_plotter *plotter = rp_plotter_open();
    struct qw_text out = {0};
    struct rp_plot_label label = {"p", "t", "d"};
    cr_expect(map.rows * map.columns > 0);
    cr_expect(!plotter || rp_plot_map(plotter, &out, &label, &map));
    qw_text_free(&out);
    rp_plotter_close(plotter);
    rp_map_clear(&map);
    rp_map_clear(&step);
    qw_json_free(sites);
}

Test(map, the_drawing_has_as_many_boxes_as_judged_cells)
{
    struct rp_plotter *plotter = rp_plotter_open();
    if (!plotter)
        cr_skip("gnuplot is not installed");
    struct qw_json *sites = small_run();
    struct rp_map map = rp_map_of_steps(sites, NULL, 5);
    struct qw_text out = {0};
    struct rp_plot_label label = {"p", "title", "description"};
    map.one_view = true;
    cr_assert(rp_plot_map(plotter, &out, &label, &map));
    cr_expect_eq(count_of(out.bytes, "<polygon"), (size_t)map.judged);
    cr_expect(strstr(out.bytes, "layer 2"));
    qw_text_free(&out);
    rp_plotter_close(plotter);
    rp_map_clear(&map);
    qw_json_free(sites);
}
