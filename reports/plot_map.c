/* Invariant: the script holds this file's words, single letters of our own and numbers; no text of a document. */
#include "reports/plot.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* Fills of the heats, as numbers 0xRRGGBB: cividis, whose dark half conforms and whose light half does not; and a
 * purple that is on neither side of it for differences of structure. */
static const int fills[RP_HEATS] = {
    [RP_HEAT_EQUAL] = 0x00204d, [RP_HEAT_LOW] = 0x2f456c,    [RP_HEAT_NEAR] = 0x575d6d,      [RP_HEAT_OVER] = 0xb7a467,
    [RP_HEAT_FAR] = 0xd9c350,   [RP_HEAT_BEYOND] = 0xffea46, [RP_HEAT_STRUCTURE] = 0xd795b8,
};

enum { WIDTH = 960, PANEL = 400, MARKED_COLUMNS = 25 }; /* beyond so many columns only runs of equal cells are told apart */

static double row_height(const struct rp_map *map) { return fmin(fmax(520.0 / map->rows, 8), 26); }

/* Where the second grid begins: behind the first and a gap.  A single one leaves its place empty. */
static double offset_of(const struct rp_map *map) { return map->columns + fmax(1, 0.08 * map->columns); }

static int views_of(const struct rp_map *map) { return map->one_view ? 1 : 2; }

static bool is_dense(const struct rp_map *map) { return map->columns > MARKED_COLUMNS; }

static bool look_alike(const struct rp_cell *a, const struct rp_cell *b)
{
    return rp_heat_of(a) == rp_heat_of(b) && a->letter == b->letter;
}

/* Last column of the cells that are drawn as one box with the cell at `column`. */
static int end_of_run(const struct rp_map *map, const struct rp_cell *row, int column)
{
    int end = column;
    while (is_dense(map) && end + 1 < map->columns && look_alike(&row[end + 1], &row[column]))
        end++;
    return end;
}

static void add_boxes(struct qw_text *script, const struct rp_map *map, const struct rp_cell *cells, double offset)
{
    double gap = is_dense(map) ? 0 : 0.04;
    for (int row = 0; row < map->rows; row++)
        for (int from = 0, to; from < map->columns; from = to + 1) {
            const struct rp_cell *line = cells + (size_t)row * (size_t)map->columns;
            to = end_of_run(map, line, from);
            if (rp_heat_of(&line[from]) != RP_HEAT_BLANK)
                qw_text_addf(script, "%.6g %d %.6g %.6g %.6g %.6g %d\n", offset + from + 1, row + 1, offset + from + 0.5 + gap,
                             offset + to + 1.5 - gap, row + 0.5 + gap, row + 1.5 - gap, fills[rp_heat_of(&line[from])]);
        }
}

/* What is written in a cell: its letter, or beyond the bound the powers of ten by which it is. */
static bool add_mark_text(struct qw_text *script, const struct rp_cell *cell, double x, int y)
{
    if (rp_heat_of(cell) <= RP_HEAT_NEAR)
        return false;
    if (cell->letter != '.')
        qw_text_addf(script, "%.6g %d %c\n", x, y, cell->letter);
    else if (isinf(cell->height))
        qw_text_addf(script, "%.6g %d \xE2\x88\x9E\n", x, y);
    else
        qw_text_addf(script, "%.6g %d +%d\n", x, y, (int)cell->height);
    return true;
}

static bool add_marks(struct qw_text *script, const struct rp_map *map, const struct rp_cell *cells, double offset)
{
    bool any = false;
    for (int row = 0; row < map->rows; row++)
        for (int from = 0, to; from < map->columns; from = to + 1) {
            const struct rp_cell *line = cells + (size_t)row * (size_t)map->columns;
            to = end_of_run(map, line, from);
            bool room = !is_dense(map) || (to - from >= 2 && rp_heat_of(&line[from]) == RP_HEAT_STRUCTURE);
            any |= room && add_mark_text(script, &line[from], offset + 0.5 * (from + to) + 1, row + 1);
        }
    return any;
}

/* The number of a band, or where several share one the first of them; the parts outside have words. */
static void add_row_tics(struct qw_text *script, const struct rp_map *map)
{
    int every = map->rows / 45 + 1;
    const char *before = map->rows > 40 ? "set ytics font ',8' (" : "set ytics (";
    for (int row = 0; row < map->rows; row++) {
        bool number = map->row[row].kind == RP_BAND_NUMBER;
        assert(map->row[row].kind != RP_BAND_SITE);
        if (number && map->row[row].first != 0 && row % every)
            continue;
        qw_text_addf(script, "%s'", before);
        rp_add_band(script, &map->row[row], "layer");
        qw_text_addf(script, "' %d", row + 1);
        before = ", ";
    }
    qw_text_add(script, ")\n");
}

static void add_column_tics(struct qw_text *script, const struct rp_map *map, double offset, bool again)
{
    int every = map->columns / 10 + 1;
    const char *before = again ? "set xtics add (" : "set xtics (";
    for (int column = 0; column < map->columns; column += every) {
        const struct rp_band *band = &map->column[column];
        if (band->kind == RP_BAND_NUMBER)
            qw_text_addf(script, "%s'%lld' %.6g", before, (long long)band->first, offset + column + 1);
        else
            qw_text_addf(script, "%s'none' %.6g", before, offset + column + 1);
        before = ", ";
    }
    qw_text_add(script, ")\n");
}

static void add_frame(struct qw_text *script, const struct rp_map *map)
{
    double offset = offset_of(map);
    qw_text_addf(script, "reset session\nset terminal svg size %d,%d dynamic noenhanced font 'sans-serif,14'\n", WIDTH,
                 (int)(row_height(map) * map->rows) + 100);
    qw_text_add(script, "set encoding utf8\nunset border\nunset key\nset tics scale 0\nset lmargin 13\nset rmargin 2\n"
                        "set tmargin 2.2\nset bmargin 3.2\nset xlabel 'step (forward call)' offset 0,0.3\n");
    qw_text_addf(script, "set xrange [0.4:%.6g]\nset yrange [%.6g:0.4]\n", offset + map->columns + 0.6, map->rows + 0.6);
    if (!map->one_view)
        qw_text_addf(script,
                     "set label 'free-running' at 0.5,graph 1 left offset 0,0.7\n"
                     "set label 'isolated' at %.6g,graph 1 left offset 0,0.7\n",
                     offset + 0.5);
    add_row_tics(script, map);
    for (int i = 0; i < views_of(map); i++)
        add_column_tics(script, map, i * offset, i > 0);
    for (int i = 0; map->first_row >= 0 && i < views_of(map); i++)
        qw_text_addf(script,
                     "set object %d rectangle from %.6g,%.6g to %.6g,%.6g front fillstyle empty border lc rgb "
                     "'#d4006a' lw 3\n",
                     i + 1, i * offset + map->first_column + 0.5, map->first_row + 0.5, i * offset + map->first_column + 1.5,
                     map->first_row + 1.5);
}

bool rp_plot_map(struct rp_plotter *plotter, struct qw_text *out, const struct rp_plot_label *label, const struct rp_map *map)
{
    const struct rp_cell *const cells[] = {map->free_run, map->isolated};
    struct qw_text script = {0};
    bool marked = false;
    if (!map->judged)
        return false;
    double cell = PANEL / (double)map->columns;
    int font = (int)fmax(7, fmin(12, fmin(0.6 * row_height(map), is_dense(map) ? 12 : 0.55 * cell)));
    add_frame(&script, map);
    qw_text_add(&script, "$cells << EOD\n");
    for (int i = 0; i < views_of(map); i++)
        add_boxes(&script, map, cells[i], i * offset_of(map));
    qw_text_add(&script, "EOD\n$marks << EOD\n");
    for (int i = 0; i < views_of(map); i++)
        marked |= add_marks(&script, map, cells[i], i * offset_of(map));
    qw_text_add(&script, "EOD\nplot $cells using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid noborder lc rgb variable");
    if (marked)
        qw_text_addf(&script, ", $marks using 1:2:3 with labels font ',%d' tc rgb '#111111'", font);
    qw_text_add(&script, "\nunset output\n");
    bool drawn = rp_plot_run(plotter, out, label, &script);
    qw_text_free(&script);
    return drawn;
}
