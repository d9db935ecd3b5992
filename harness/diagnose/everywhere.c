/* Invariant: only tensors that both judgements compared by value, each on its own inputs, are counted. */
#include "harness/diagnose/everywhere.h"

#include <stdint.h>

#define WIDENED     4.0   /* times as wide as the healthy floor */
#define OF_ITS_SIZE 0.125 /* of the deviation's own floor */

static const struct qc_view *own_view(const struct qc_judgement *judgement, const struct qc_item *at)
{
    return &qc_items_at((struct qc_items *)(uintptr_t)&judgement->items, at->site, at->step, at->layer)->isolated;
}

static bool is_widened(const struct qc_view *healthy, const struct qc_view *deviated)
{
    return healthy->valued && deviated->valued && healthy->difference.floor > 0 &&
           deviated->difference.floor >= WIDENED * healthy->difference.floor;
}

bool qc_shows_everywhere(const struct qc_judgement *healthy, const struct qc_judgement *deviated)
{
    int widened = 0, shown = 0;
    for (int i = 0; i < healthy->items.count; i++) {
        const struct qc_item *item = healthy->items.ordered[i];
        const struct qc_view *before = own_view(healthy, item), *after = own_view(deviated, item);
        if (!is_widened(before, after))
            continue;
        widened++;
        shown += before->difference.ratio > 1 && after->difference.ratio >= OF_ITS_SIZE;
    }
    return widened > 0 && 10 * shown >= 9 * widened;
}

bool qc_may_show_everywhere(const struct qc_judgement *healthy)
{
    int sums = 0, beyond = 0;
    for (int i = 0; i < healthy->items.count; i++) {
        const struct qc_item *item = healthy->items.ordered[i];
        const struct qc_view *view = &item->isolated;
        bool summed = qw_site_rows[item->site].party == QW_MODEL && view->valued && view->difference.floor > 0;
        sums += summed;
        beyond += summed && view->difference.ratio > 1;
    }
    return beyond > 0 && 2 * beyond >= sums;
}
