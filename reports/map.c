/* Invariant: every site falls into exactly one cell or is counted as left out, and a cell never looks better than the
 * worst of its sites. */
#include "reports/map.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reports/view.h"

/* --- one site --- */

static bool begins_with(const char *text, const char *start) { return !strncmp(text, start, strlen(start)); }

static const char *name_of(const struct qw_json *site) { return qw_json_get_text(site, "site", "-"); }

static int64_t layer_of(const struct qw_json *site) { return qw_json_get_int(site, "layer", -1); }

static int64_t step_of(const struct qw_json *site) { return qw_json_get_int(site, "step", -1); }

static double height_of(double ratio, double bound)
{
    return isnan(ratio) ? INFINITY : ratio > 0 ? log10(ratio / bound) : -INFINITY;
}

/* The site in one view; `key` is "ratio" or "ratio_isolated". */
static struct rp_cell cell_of(const struct qw_json *site, const char *key, double bound)
{
    const char *status = qw_json_get_text(site, "status", ""), *kind = qw_json_get_text(site, "kind", NULL);
    const struct qw_json *number = qw_json_get(site, key);
    double ratio = qw_json_real(number, NAN);
    bool isolated = strcmp(key, "ratio") != 0, valued = qw_json_is_number(number) || qw_json_is_text(number);
    bool unvalued = qw_json_is_null(qw_json_get(site, "ratio")) && qw_json_is_null(qw_json_get(site, "ratio_isolated"));
    bool differs = rp_site_fails(site) || (!isolated && !strcmp(status, "inherited"));
    char letter = rp_kind_letter(kind ? kind : status);
    struct rp_cell cell = {'.', ratio, height_of(ratio, bound)};
    if (differs && !isfinite(ratio) && letter)
        cell.letter = letter;
    else if (differs && unvalued)
        cell.letter = 'O';
    else if (unvalued && !strcmp(status, "conforms"))
        cell.letter = '=';
    else if (!valued)
        cell.letter = 0;
    return cell;
}

static int strength(const struct rp_cell *cell)
{
    return cell->letter == 0 ? 0 : cell->letter == '=' ? 1 : cell->letter == '.' ? 2 : 3;
}

static bool is_worse(const struct rp_cell *a, const struct rp_cell *b)
{
    if (strength(a) != strength(b))
        return strength(a) > strength(b);
    return a->letter == '.' && a->height > b->height;
}

enum rp_heat rp_heat_of(const struct rp_cell *cell)
{
    if (cell->letter != '.')
        return cell->letter == 0 ? RP_HEAT_BLANK : cell->letter == '=' ? RP_HEAT_EQUAL : RP_HEAT_STRUCTURE;
    double height = cell->height;
    return height <= 0 ? (isinf(height)  ? RP_HEAT_EQUAL
                          : height <= -1 ? RP_HEAT_LOW
                                         : RP_HEAT_NEAR)
                       : (height <= 1   ? RP_HEAT_OVER
                          : height <= 3 ? RP_HEAT_FAR
                                        : RP_HEAT_BEYOND);
}

/* --- rows and columns --- */

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts and leaves each number once; the count that remains. */
static int make_unique(int64_t *numbers, int count)
{
    int kept = 0;
    qsort(numbers, (size_t)count, sizeof *numbers, compare_numbers);
    for (int i = 0; i < count; i++)
        if (!kept || numbers[kept - 1] != numbers[i])
            numbers[kept++] = numbers[i];
    return kept;
}

/* The numbers that occur, gathered into at most `limit` bands. */
struct scale {
    int64_t *number;
    int count, group;
};

static struct scale make_scale(const struct qw_json *sites, int64_t (*number_of)(const struct qw_json *), int limit)
{
    struct scale scale = {QW_NEW_ARRAY(int64_t, qw_json_size(sites)), 0, 1};
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s))
        if (number_of(s) >= 0)
            scale.number[scale.count++] = number_of(s);
    scale.count = make_unique(scale.number, scale.count);
    scale.group = (scale.count + limit - 1) / limit;
    return scale;
}

/* Band of a number that is in the scale, or -1. */
static int find_band(const struct scale *scale, int64_t number)
{
    const int64_t *found = NULL;
    if (scale->count)
        found = bsearch(&number, scale->number, (size_t)scale->count, sizeof number, compare_numbers);
    return found ? (int)(found - scale->number) / scale->group : -1;
}

static void add_bands(struct rp_band *to, int *count, const struct scale *scale)
{
    for (int i = 0; i < scale->count; i += scale->group) {
        int last = i + scale->group < scale->count ? i + scale->group - 1 : scale->count - 1;
        to[(*count)++] = (struct rp_band){RP_BAND_NUMBER, scale->number[i], scale->number[last], NULL};
    }
}

/* Which part outside the layers a site belongs to; `behind`: a layer of the model has run in this step.  What belongs to
 * no step is handed over. */
static enum rp_band_kind part_of(const char *name, bool behind)
{
    static const char *const handed[] = {"adapter.", "received.", "cache_before."};
    for (size_t i = 0; i < sizeof handed / sizeof *handed; i++)
        if (!strcmp(name, "call") || begins_with(name, handed[i]))
            return RP_BAND_HANDED;
    if (begins_with(name, "cache_after."))
        return RP_BAND_KEPT;
    return behind ? RP_BAND_EXIT : RP_BAND_ENTRY;
}

static bool runs_in_layer(const struct qw_json *site) { return layer_of(site) >= 0 && !begins_with(name_of(site), "cache_"); }

/* --- filling --- */

static void put(struct rp_map *map, int row, int column, const struct qw_json *site, double bound)
{
    size_t at = (size_t)row * (size_t)map->columns + (size_t)column;
    struct rp_cell free_run = cell_of(site, "ratio", bound), isolated = cell_of(site, "ratio_isolated", bound);
    if (is_worse(&free_run, &map->free_run[at]))
        map->free_run[at] = free_run;
    if (is_worse(&isolated, &map->isolated[at]))
        map->isolated[at] = isolated;
}

static bool is_place(const struct qw_json *site, const struct qw_json *place)
{
    return qw_json_is_object(place) && step_of(site) == step_of(place) && layer_of(site) == layer_of(place) &&
           !strcmp(name_of(site), name_of(place));
}

static void allocate(struct rp_map *map)
{
    size_t cells = (size_t)map->rows * (size_t)map->columns;
    map->free_run = QW_NEW_ARRAY(struct rp_cell, cells);
    map->isolated = QW_NEW_ARRAY(struct rp_cell, cells);
    map->first_row = map->first_column = -1;
}

static void count_cells(struct rp_map *map)
{
    for (int i = 0; i < map->rows * map->columns; i++) {
        map->judged += map->free_run[i].letter != 0;
        map->over += rp_heat_of(&map->free_run[i]) > RP_HEAT_NEAR;
    }
}

static double usable(double bound) { return bound > 0 && isfinite(bound) ? bound : 1; }

/* Walks over the sites; calls `visit` with the part of each that lies outside the layers. */
static void each_part(struct rp_map *map, const struct qw_json *sites,
                      void (*visit)(struct rp_map *, const struct qw_json *, enum rp_band_kind, void *), void *extra)
{
    bool behind = false;
    int64_t step = -2;
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s)) {
        if (step_of(s) != step)
            behind = false;
        step = step_of(s);
        behind = behind || runs_in_layer(s);
        enum rp_band_kind outside = step < 0 ? RP_BAND_HANDED : part_of(name_of(s), behind);
        visit(map, s, layer_of(s) >= 0 ? RP_BAND_NUMBER : outside, extra);
    }
}

static void note_part(struct rp_map *map, const struct qw_json *site, enum rp_band_kind part, void *seen)
{
    (void)map;
    (void)site;
    ((bool *)seen)[part] = true;
}

struct steps_context {
    const struct scale *layers, *steps;
    const struct qw_json *first;
    double bound;
};

static int row_of_part(const struct rp_map *map, enum rp_band_kind part)
{
    int row = 0;
    while (row < map->rows && map->row[row].kind != part)
        row++;
    return row;
}

static void put_by_step(struct rp_map *map, const struct qw_json *site, enum rp_band_kind part, void *extra)
{
    const struct steps_context *context = extra;
    int row = row_of_part(map, part), column = 0;
    if (part == RP_BAND_NUMBER)
        row += find_band(context->layers, layer_of(site));
    if (step_of(site) >= 0)
        column = find_band(context->steps, step_of(site)) + (map->column[0].kind == RP_BAND_NONE);
    put(map, row, column, site, context->bound);
    if (map->first_row < 0 && is_place(site, context->first)) {
        map->first_row = row;
        map->first_column = column;
    }
}

static bool lacks_number(const struct qw_json *sites, int64_t (*number_of)(const struct qw_json *))
{
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s))
        if (number_of(s) < 0)
            return true;
    return false;
}

struct rp_map rp_map_of_steps(const struct qw_json *sites, const struct qw_json *first, double bound)
{
    static const enum rp_band_kind order[] = {RP_BAND_HANDED, RP_BAND_ENTRY, RP_BAND_NUMBER, RP_BAND_EXIT, RP_BAND_KEPT};
    struct scale layers = make_scale(sites, layer_of, RP_MAP_LAYERS), steps = make_scale(sites, step_of, RP_MAP_STEPS);
    bool seen[RP_BAND_SITE + 1] = {false};
    struct rp_map map = {.step = -1,
                         .row = QW_NEW_ARRAY(struct rp_band, RP_MAP_LAYERS + 4),
                         .column = QW_NEW_ARRAY(struct rp_band, RP_MAP_STEPS + 1)};
    each_part(&map, sites, note_part, seen);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (order[i] == RP_BAND_NUMBER)
            add_bands(map.row, &map.rows, &layers);
        else if (seen[order[i]])
            map.row[map.rows++] = (struct rp_band){.kind = order[i]};
    if (lacks_number(sites, step_of))
        map.column[map.columns++] = (struct rp_band){.kind = RP_BAND_NONE};
    add_bands(map.column, &map.columns, &steps);
    allocate(&map);
    struct steps_context context = {&layers, &steps, first, usable(bound)};
    each_part(&map, sites, put_by_step, &context);
    count_cells(&map);
    assert(map.rows <= RP_MAP_LAYERS + 4 && map.columns <= RP_MAP_STEPS + 1);
    free(layers.number);
    free(steps.number);
    return map;
}

/* --- sites by layers, in one step --- */

static int64_t choose_step(const struct qw_json *sites, const struct qw_json *first)
{
    const struct qw_json *largest = NULL;
    if (qw_json_get_int(first, "step", -1) >= 0)
        return qw_json_get_int(first, "step", -1);
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s)) {
        if (rp_site_fails(s) && step_of(s) >= 0)
            return step_of(s);
        if (step_of(s) >= 0 && (!largest || qw_json_get_real(s, "ratio", -1) > qw_json_get_real(largest, "ratio", -1)))
            largest = s;
    }
    return step_of(largest);
}

/* Row of a name, made when it is new; -1 when there is no room. */
static int row_of_name(struct rp_map *map, const char *name)
{
    for (int row = 0; row < map->rows; row++)
        if (!strcmp(map->row[row].name, name))
            return row;
    if (map->rows == RP_MAP_SITES)
        return -1;
    map->row[map->rows] = (struct rp_band){RP_BAND_SITE, 0, 0, name};
    return map->rows++;
}

static struct rp_map make_rows(const struct qw_json *sites, int64_t step, const struct scale *layers)
{
    struct rp_map map = {.step = step,
                         .row = QW_NEW_ARRAY(struct rp_band, RP_MAP_SITES),
                         .column = QW_NEW_ARRAY(struct rp_band, RP_MAP_COLUMNS + 1)};
    map.column[map.columns++] = (struct rp_band){.kind = RP_BAND_NONE};
    add_bands(map.column, &map.columns, layers);
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s))
        if (step_of(s) == step)
            map.left_out += row_of_name(&map, name_of(s)) < 0;
    allocate(&map);
    return map;
}

struct rp_map rp_map_of_step(const struct qw_json *sites, const struct qw_json *first, double bound)
{
    int64_t step = choose_step(sites, first);
    struct scale layers = make_scale(sites, layer_of, RP_MAP_COLUMNS);
    struct rp_map map = make_rows(sites, step, &layers);
    for (const struct qw_json *s = qw_json_first(sites); s; s = qw_json_next(s)) {
        int row = step_of(s) == step ? row_of_name(&map, name_of(s)) : -1;
        int column = layer_of(s) < 0 ? 0 : find_band(&layers, layer_of(s)) + 1;
        if (row < 0)
            continue;
        put(&map, row, column, s, usable(bound));
        if (map.first_row < 0 && is_place(s, first)) {
            map.first_row = row;
            map.first_column = column;
        }
    }
    count_cells(&map);
    free(layers.number);
    return map;
}

void rp_map_clear(struct rp_map *map)
{
    free(map->row);
    free(map->column);
    free(map->free_run);
    free(map->isolated);
    *map = (struct rp_map){0};
}

/* --- words --- */

void rp_add_band(struct qw_text *out, const struct rp_band *band, const char *unit)
{
    static const char *const parts[] = {
        [RP_BAND_HANDED] = "handed over", [RP_BAND_ENTRY] = "embedding", [RP_BAND_EXIT] = "head", [RP_BAND_KEPT] = "cache kept"};
    if (band->kind == RP_BAND_SITE)
        qw_text_add(out, band->name);
    else if (band->kind == RP_BAND_NONE)
        qw_text_addf(out, "no %s", unit);
    else if (band->kind != RP_BAND_NUMBER)
        qw_text_add(out, parts[band->kind]);
    else if (band->first == band->last)
        qw_text_addf(out, "%s %lld", unit, (long long)band->first);
    else
        qw_text_addf(out, "%ss %lld-%lld", unit, (long long)band->first, (long long)band->last);
}

/* Two digits; large numbers without a sign and zeros in the exponent, so that columns stay narrow. */
static void add_short(struct qw_text *out, double ratio)
{
    if (!(ratio >= 10) || isinf(ratio))
        qw_text_addf(out, "%.2g", ratio);
    else if (ratio < 99999)
        qw_text_addf(out, "%.0f", ratio);
    else
        qw_text_addf(out, "%.0fe%d", floor(ratio / pow(10, floor(log10(ratio)))), (int)floor(log10(ratio)));
}

void rp_add_cell_text(struct qw_text *out, const struct rp_cell *cell)
{
    if (cell->letter == '.' && isnan(cell->ratio))
        qw_text_add(out, "nan");
    else if (cell->letter == '.')
        add_short(out, cell->ratio);
    else if (cell->letter)
        qw_text_addf(out, "%c", cell->letter);
}
