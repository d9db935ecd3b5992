/* Invariant: every cell of the error map stands in a table too, in words that need no colour. */
#include "reports/markup.h"
#include "reports/notes.h"
#include "reports/page.h"
#include "reports/view.h"

#include <stdlib.h>
#include <string.h>

static double bound_of(const struct rp_page *page) { return qw_json_get_real(qw_json_get(page->result, "noise"), "multiple", 1); }

/* --- the legend --- */

static void legend_entry(struct rp_page *page, enum rp_heat heat, const char *class, const char *text)
{
    rp_markup(page->out,
              "<li class=\"%r\"><svg class=\"swatch h%d\" viewBox=\"0 0 20 20\" aria-hidden=\"true\">"
              "<rect width=\"20\" height=\"20\"/></svg> %t</li>\n",
              class, (int)heat, text);
}

static void legend(struct rp_page *page, bool outlined, bool bitwise)
{
    qw_text_add(page->out, "<ul class=\"legend\">\n");
    legend_entry(page, RP_HEAT_EQUAL, "", "equal bits or structure");
    if (!bitwise) {
        legend_entry(page, RP_HEAT_LOW, "", "up to a tenth of the bound");
        legend_entry(page, RP_HEAT_NEAR, "", "up to the bound");
        legend_entry(page, RP_HEAT_OVER, "mark", "beyond the bound, up to 10 times");
        legend_entry(page, RP_HEAT_FAR, "", "up to 1000 times");
    }
    legend_entry(page, RP_HEAT_BEYOND, "", bitwise ? "bits differ" : "more, or infinite");
    legend_entry(page, RP_HEAT_STRUCTURE, "", "structure differs");
    legend_entry(page, RP_HEAT_BLANK, "", "not judged");
    if (outlined)
        qw_text_add(page->out, "<li><svg class=\"swatch\" viewBox=\"0 0 20 20\" aria-hidden=\"true\"><rect class=\"edge\" "
                               "width=\"20\" height=\"20\"/></svg> first divergence</li>\n");
    qw_text_add(page->out, "</ul>\n");
}

static void note_letters(bool seen[128], const struct rp_map *map)
{
    for (int i = 0; i < map->rows * map->columns; i++) {
        seen[(unsigned char)map->free_run[i].letter & 127] = true;
        seen[(unsigned char)map->isolated[i].letter & 127] = true;
    }
}

/* "Letters: M missing, S shape." of those that occur. */
static void letters(struct rp_page *page, const struct rp_map *by_steps, const struct rp_map *by_layers)
{
    bool seen[128] = {false};
    const char *before = "<p class=\"small\">Letters: ";
    note_letters(seen, by_steps);
    note_letters(seen, by_layers);
    for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"; *c; c++)
        if (seen[(int)*c]) {
            char word[2] = {*c, 0};
            rp_markup(page->out, "%r%t %t", before, word, rp_letter_kind(*c));
            before = ", ";
        }
    qw_text_add(page->out, *before == ',' ? ".</p>\n" : "");
}

/* --- tables --- */

static void head_row(struct rp_page *page, const struct rp_map *map, const char *corner, const char *unit)
{
    rp_markup(page->out, "<thead><tr><th scope=\"col\">%t</th>", corner);
    for (int column = 0; column < map->columns; column++) {
        struct qw_text name = {0};
        rp_add_band(&name, &map->column[column], unit);
        const char *text = map->column[column].kind == RP_BAND_NUMBER ? strchr(name.bytes, ' ') + 1 : name.bytes;
        rp_markup(page->out, "<th scope=\"col\">%t</th>", text);
        qw_text_free(&name);
    }
    qw_text_add(page->out, "</tr></thead><tbody>\n");
}

/* `other` is the second view, written behind the first; NULL for one view. */
static void table_cell(struct rp_page *page, const struct rp_cell *cell, const struct rp_cell *other, bool first)
{
    struct qw_text text = {0};
    rp_add_cell_text(&text, cell);
    if (other && (cell->letter || other->letter)) {
        qw_text_add(&text, cell->letter ? " / " : "- / ");
        rp_add_cell_text(&text, other);
        qw_text_add(&text, other->letter ? "" : "-");
    }
    if (rp_heat_of(cell) == RP_HEAT_BLANK)
        rp_markup(page->out, "<td>%t</td>", text.bytes);
    else
        rp_markup(page->out, "<td class=\"h%d%r\">%t</td>", (int)rp_heat_of(cell), first ? " first" : "", text.bytes);
    qw_text_free(&text);
}

static bool has_room(struct rp_page *page, const struct rp_map *map)
{
    bool room = page->cells_left >= map->rows * map->columns;
    if (room)
        page->cells_left -= map->rows * map->columns;
    else
        qw_text_add(page->out, "<p>No table: this page already has as many cells as it may hold; the result document has "
                               "all numbers.</p>\n");
    return room;
}

static void table(struct rp_page *page, const struct rp_map *map, const char *caption, const char *row_unit,
                  const struct rp_cell *cells, const struct rp_cell *other)
{
    const char *column_unit = strcmp(row_unit, "layer") ? "layer" : "step";
    if (!has_room(page, map))
        return;
    rp_markup(page->out,
              "<div class=\"scroll\" role=\"region\" aria-label=\"%a\" tabindex=\"0\">\n<table class=\"map\">"
              "<caption>%t</caption>\n",
              caption, caption);
    head_row(page, map, column_unit, column_unit);
    for (int row = 0; row < map->rows; row++) {
        struct qw_text name = {0};
        rp_add_band(&name, &map->row[row], row_unit);
        rp_markup(page->out, "<tr><th scope=\"row\">%t</th>", name.bytes);
        for (int column = 0; column < map->columns; column++) {
            int at = row * map->columns + column;
            table_cell(page, &cells[at], other ? &other[at] : NULL, row == map->first_row && column == map->first_column);
        }
        qw_text_add(page->out, "</tr>\n");
        qw_text_free(&name);
    }
    rp_close_table(page);
}

/* --- the figure --- */

static bool groups(const struct rp_band *bands, int count)
{
    for (int i = 0; i < count; i++)
        if (bands[i].kind == RP_BAND_NUMBER && bands[i].first != bands[i].last)
            return true;
    return false;
}

static void describe(struct qw_text *out, const struct rp_map *map, const char *bound, bool bitwise)
{
    if (bitwise)
        qw_text_add(out, "Each cell is the worst site of a layer in a step: equal, or different in a bit or in structure. "
                         "There is one view, since no reference was played.");
    else
        qw_text_addf(out,
                     "Each cell is the worst site of a layer in a step: its error divided by the noise floor, coloured by "
                     "how that compares with the bound of %s. A number in a cell says by how many powers of ten it is "
                     "beyond the bound.",
                     bound);
    if (!map->one_view)
        qw_text_add(out, " Free-running shows an error and what follows from it, isolated only where one arises.");
    if (groups(map->row, map->rows))
        qw_text_add(out, " Several neighbouring layers share a row.");
    if (groups(map->column, map->columns))
        qw_text_add(out, " Several neighbouring steps share a column.");
}

/* The sites of one step by layer, one view open and the other folded: opening one closes the other. */
static void step_tables(struct rp_page *page, const struct rp_map *map)
{
    static const char *const views[] = {"free-running", "isolated"};
    const struct rp_cell *const cells[] = {map->free_run, map->isolated};
    for (int view = 0; view < (map->one_view ? 1 : 2); view++) {
        char *title = qw_format("Step %lld by site and layer%s%s", (long long)map->step, map->one_view ? "" : ", ",
                                map->one_view ? "" : views[view]);
        rp_markup(page->out, "<details name=\"%rstep-map\"%r><summary>%t</summary>\n", page->prefix,
                  view || !map->over ? "" : " open", title);
        table(page, map, title, "", cells[view], NULL);
        rp_add_rest(page, "<p>", map->left_out, "</p>");
        qw_text_add(page->out, "</details>\n");
        free(title);
    }
}

static char *title_of(const struct rp_map *map, bool bitwise)
{
    if (bitwise)
        return map->over ? qw_format("Map of differences: %d of %d cells differ", map->over, map->judged)
                         : qw_format("Map of differences: all %d cells are equal", map->judged);
    return map->over ? qw_format("Error map: %d of %d cells are beyond the bound", map->over, map->judged)
                     : qw_format("Error map: all %d cells are within the bound", map->judged);
}

static void figure(struct rp_page *page, const struct rp_map *by_steps, const struct rp_map *by_layers, bool bitwise)
{
    struct qw_text drawing = {0}, description = {0}, id = {0};
    char *title = title_of(by_steps, bitwise);
    describe(&description, by_steps, rp_number(qw_json_get(qw_json_get(page->result, "noise"), "multiple")).text, bitwise);
    qw_text_addf(&id, "%splot-map", page->prefix);
    struct rp_plot_label label = {id.bytes, title, description.bytes};
    if (page->plots_left > 0)
        rp_plot_map(page->plotter, &drawing, &label, by_steps);
    rp_open_figure(page, "map", title, &drawing);
    legend(page, by_steps->first_row >= 0, bitwise);
    letters(page, by_steps, by_layers);
    rp_markup(page->out, "<p class=\"small\">%t</p>\n", description.bytes);
    qw_text_add(page->out, "<details><summary>Numbers per layer and step</summary>\n");
    if (by_steps->one_view)
        table(page, by_steps, "Worst difference per layer and step", "layer", by_steps->free_run, NULL);
    else
        table(page, by_steps, "Largest ratio per layer and step: free-running / isolated", "layer", by_steps->free_run,
              by_steps->isolated);
    qw_text_add(page->out, "</details>\n");
    if (by_layers->rows && by_layers->step >= 0)
        step_tables(page, by_layers);
    qw_text_add(page->out, "</figure>\n");
    qw_text_free(&drawing);
    qw_text_free(&description);
    qw_text_free(&id);
    free(title);
}

void rp_html_map(struct rp_page *page, const struct qw_json *one)
{
    const struct qw_json *sites = qw_json_get(one, "sites"), *first = qw_json_get(one, "first_divergence");
    if (!qw_json_size(sites))
        return;
    struct rp_map by_steps = rp_map_of_steps(sites, first, bound_of(page));
    struct rp_map by_layers = rp_map_of_step(sites, first, bound_of(page));
    by_steps.one_view = by_layers.one_view = rp_is_comparison(one);
    if (by_steps.judged > 1)
        figure(page, &by_steps, &by_layers, rp_is_bitwise(one));
    rp_map_clear(&by_steps);
    rp_map_clear(&by_layers);
}
