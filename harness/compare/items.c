/* Invariant: an item belongs to exactly one place; a view that was not looked at says nothing. */
#include "harness/compare/items.h"

#include <stdlib.h>

#include "reference/base/memory.h"

static const char *const kind_names[QC_KINDS] = {"",         "missing",   "extra",      "rank",         "shape",
                                                 "dtype",    "layout",    "cache-type", "cache-length", "mask-length",
                                                 "position", "nonfinite", "value",      "raised"};
static const char *const status_names[] = {"unjudged", "conforms", "differs", "inherited", "missing", "extra", "waived"};

const char *qc_kind_name(enum qc_kind kind) { return kind_names[kind]; }
const char *qc_status_name(enum qc_status status) { return status_names[status]; }

static size_t places(int steps, int layers) { return (size_t)(steps + 1) * (size_t)(layers + 1) * QW_SITES; }

struct qc_items qc_items_make(int steps, int layers)
{
    size_t count = places(steps, layers);
    return (struct qc_items){.steps = steps, .layers = layers, .table = QW_NEW_ARRAY(struct qc_item *, count)};
}

void qc_items_clear(struct qc_items *items)
{
    for (size_t i = 0; items->table && i < places(items->steps, items->layers); i++)
        free(items->table[i]);
    free(items->table);
    free(items->ordered);
    *items = (struct qc_items){0};
}

struct qc_item *qc_items_at(struct qc_items *items, enum qw_site site, int step, int layer)
{
    size_t row = (size_t)(step + 1) * (size_t)(items->layers + 1) + (size_t)(layer + 1);
    struct qc_item **item = &items->table[row * QW_SITES + site];
    if (!*item) {
        *item = QW_NEW(struct qc_item);
        **item = (struct qc_item){.site = site, .step = step, .layer = layer, .layout = items->layout};
    }
    return *item;
}

static int compare_places(const void *a, const void *b)
{
    const struct qc_item *x = *(struct qc_item *const *)a, *y = *(struct qc_item *const *)b;
    int by_step = x->step - y->step, by_layer = x->layer - y->layer;
    int by_place = (int)qw_site_rows[x->site].place - (int)qw_site_rows[y->site].place;
    return by_step ? by_step : by_place ? by_place : by_layer ? by_layer : (int)x->site - (int)y->site;
}

void qc_items_order(struct qc_items *items)
{
    size_t count = places(items->steps, items->layers);
    free(items->ordered);
    items->ordered = QW_NEW_ARRAY(struct qc_item *, count);
    items->count = 0;
    for (size_t i = 0; i < count; i++)
        if (items->table[i] && qc_item_status(items->table[i]) != QC_UNJUDGED)
            items->ordered[items->count++] = items->table[i];
    qsort(items->ordered, (size_t)items->count, sizeof *items->ordered, compare_places);
}

void qc_items_select(struct qc_items *items, const struct qc_selection *selection)
{
    int kept = 0;
    for (int i = 0; i < items->count; i++) {
        const struct qc_item *item = items->ordered[i];
        if (qc_selection_has(selection, item->step, item->layer, qw_site_rows[item->site].name))
            items->ordered[kept++] = items->ordered[i];
    }
    items->count = kept;
}

bool qc_view_open(const struct qc_view *view) { return view->looked && view->kind == QC_KIND_NONE; }

void qc_view_note(struct qc_view *view, const struct qc_difference *difference, enum qc_kind kind)
{
    view->valued = true;
    view->difference = *difference;
    if (!qc_conforms(difference->ratio))
        view->kind = difference->nonfinite ? QC_NONFINITE : kind;
}

enum qc_status qc_item_status(const struct qc_item *item)
{
    const struct qc_view *view = qc_item_view(item);
    if (item->reason)
        return QC_WAIVED;
    if (!view->looked)
        return QC_UNJUDGED;
    if (view->kind == QC_KIND_NONE)
        return QC_CONFORMS;
    if (view == &item->free && item->isolated.looked)
        return QC_INHERITED;
    return view->kind == QC_MISSING ? QC_MISSES : view->kind == QC_EXTRA ? QC_EXTRANEOUS : QC_DIFFERS;
}

const struct qc_view *qc_item_view(const struct qc_item *item)
{
    bool isolated_fails = item->isolated.looked && item->isolated.kind != QC_KIND_NONE;
    return isolated_fails || !item->free.looked ? &item->isolated : &item->free;
}

bool qc_item_fails(const struct qc_item *item)
{
    enum qc_status status = qc_item_status(item);
    return status == QC_DIFFERS || status == QC_MISSES || status == QC_EXTRANEOUS;
}

static bool view_fails(const struct qc_view *view) { return view->looked && view->kind != QC_KIND_NONE; }

bool qc_item_fails_apart(const struct qc_item *item)
{
    bool computed = qw_site_rows[item->site].party != QW_PROTOCOL;
    return computed && !item->reason && !view_fails(&item->free) && view_fails(&item->isolated);
}

double qc_item_energy(const struct qc_item *item)
{
    const struct qc_view *view = qc_item_fails_apart(item) ? &item->isolated : &item->free;
    if (!view_fails(view) || item->reason || item->untapped)
        return 0;
    bool sized = view->kind == QC_VALUE || (view->kind == QC_LAYOUT && view->valued);
    return sized ? view->difference.energy : 1;
}
