/* Invariant: a play that is given up has not been judged beyond the place where it was. */
#include "harness/compare/light.h"

#include <math.h>
#include <stdint.h>

static void give_up(struct qc_light *light, enum qc_given_up why, const struct qc_item *item)
{
    light->given_up = why;
    light->against = item->site;
    light->against_step = item->step;
    light->against_layer = item->layer;
}

static bool same_place(const struct qc_item *a, const struct qc_item *b)
{
    return a->site == b->site && a->step == b->step && a->layer == b->layer;
}

/* The play itself lies up to one floor from the truth. */
static bool conforms_lightly(const struct qc_difference *found) { return qc_conforms(found->ratio - 1); }

void qc_light_weigh(struct qc_light *light, struct qc_difference *found, const struct qc_item *item, bool isolated)
{
    const struct qc_item *twin = qc_items_at((struct qc_items *)(uintptr_t)&light->base->items, item->site, item->step,
                                             item->layer);
    const struct qc_view *view = isolated ? &twin->isolated : &twin->free;
    bool apart = qc_item_fails_apart(twin);
    if (view->valued && view->difference.floor > 0 && !found->nonfinite) {
        found->floor = view->difference.floor;
        found->ratio = found->max_abs / found->floor;
        if (conforms_lightly(found)) {
            found->ratio = fmin(found->ratio, QC_NOISE_MULTIPLE);
            found->energy = 0;
        }
    }
    bool right = qc_conforms(found->ratio);
    if (isolated == apart)
        light->spent += found->energy;
    if (light->given_up || right || twin->reason)
        return;
    if (view->valued && view->kind == QC_KIND_NONE && !light->forgives)
        give_up(light, QC_CONTRADICTS, item);
    else if (light->spent > light->most)
        give_up(light, QC_EXCEEDS, item);
    bool at_first = view->valued && isolated == apart && same_place(light->first, item);
    bool mends_nothing = at_first && light->must_mend && 2 * found->energy > qc_item_energy(twin);
    light->leaves_first = light->leaves_first || at_first;
    if (!light->given_up && light->leaves_first && (mends_nothing || light->spent > light->most_leaving))
        give_up(light, QC_LEAVES, light->first);
}

bool qc_is_handed(enum qw_place place) { return place == QW_ADAPTER || place == QW_RECEIVED || place == QW_BEFORE; }

void qc_light_look_at_handed(struct qc_light *light, const struct qc_items *items, int step)
{
    const struct qc_item *first = light->first;
    if (!first || first->step != step || !qc_is_handed(qw_site_rows[first->site].place))
        return;
    const struct qc_view *view = &qc_items_at((struct qc_items *)(uintptr_t)items, first->site, step, first->layer)->free;
    if (!view->looked || view->kind == QC_KIND_NONE)
        return;
    light->leaves_first = true;
    if (light->most_leaving <= 0)
        give_up(light, QC_LEAVES, first);
}
