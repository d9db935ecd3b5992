/* Items: their order, what two views say together, and which failure comes first. */
#include <criterion/criterion.h>

#include "harness/compare/judge.h"
#include "reference/base/memory.h"

static struct qc_item seen(bool free_looked, enum qc_kind free_kind, bool isolated_looked, enum qc_kind isolated_kind)
{
    struct qc_item item = {.site = QW_SITE_Q_PROJ};
    item.free.looked = free_looked;
    item.free.kind = free_kind;
    item.isolated.looked = isolated_looked;
    item.isolated.kind = isolated_kind;
    return item;
}

static void expect_status(struct qc_item item, enum qc_status status, bool fails)
{
    cr_expect_eq(qc_item_status(&item), status, "%s, not %s", qc_status_name(qc_item_status(&item)), qc_status_name(status));
    cr_expect_eq(qc_item_fails(&item), fails);
}

Test(items, what_two_views_say_together)
{
    expect_status(seen(false, QC_KIND_NONE, false, QC_KIND_NONE), QC_UNJUDGED, false);
    expect_status(seen(true, QC_KIND_NONE, false, QC_KIND_NONE), QC_CONFORMS, false);
    expect_status(seen(false, QC_KIND_NONE, true, QC_KIND_NONE), QC_CONFORMS, false);
    expect_status(seen(true, QC_KIND_NONE, true, QC_KIND_NONE), QC_CONFORMS, false);
    expect_status(seen(true, QC_VALUE, false, QC_KIND_NONE), QC_DIFFERS, true);
    expect_status(seen(false, QC_KIND_NONE, true, QC_VALUE), QC_DIFFERS, true);
    expect_status(seen(true, QC_KIND_NONE, true, QC_VALUE), QC_DIFFERS, true);
    expect_status(seen(true, QC_VALUE, true, QC_NONFINITE), QC_DIFFERS, true);
    expect_status(seen(true, QC_VALUE, true, QC_KIND_NONE), QC_INHERITED, false);
    expect_status(seen(true, QC_SHAPE, true, QC_KIND_NONE), QC_INHERITED, false);
    expect_status(seen(true, QC_MISSING, false, QC_KIND_NONE), QC_MISSES, true);
    expect_status(seen(true, QC_MISSING, true, QC_MISSING), QC_MISSES, true);
    expect_status(seen(true, QC_EXTRA, false, QC_KIND_NONE), QC_EXTRANEOUS, true);
    expect_status(seen(true, QC_NONFINITE, false, QC_KIND_NONE), QC_DIFFERS, true);
}

Test(items, a_reason_waives)
{
    struct qc_item item = seen(true, QC_VALUE, false, QC_KIND_NONE);
    item.reason = "sampled";
    expect_status(item, QC_WAIVED, false);
    cr_expect_eq(qc_item_energy(&item), 0);
}

Test(items, the_view_that_decides)
{
    struct qc_item both = seen(true, QC_VALUE, true, QC_NONFINITE), inherited = seen(true, QC_VALUE, true, QC_KIND_NONE);
    struct qc_item alone = seen(false, QC_KIND_NONE, true, QC_VALUE);
    cr_expect_eq(qc_item_view(&both), &both.isolated);
    cr_expect_eq(qc_item_view(&inherited), &inherited.free);
    cr_expect_eq(qc_item_view(&alone), &alone.isolated);
}

/* Energy is that of the free view, unless what was computed fails in the isolated one alone. */
Test(items, energy)
{
    struct qc_item value = seen(true, QC_VALUE, true, QC_KIND_NONE), shape = seen(true, QC_SHAPE, false, QC_KIND_NONE);
    struct qc_item conforming = seen(true, QC_KIND_NONE, true, QC_VALUE), unseen = seen(false, QC_VALUE, false, QC_KIND_NONE);
    value.free.difference.energy = 0.25;
    conforming.free.difference.energy = conforming.isolated.difference.energy = 0.5;
    cr_expect_eq(qc_item_energy(&value), 0.25);
    cr_expect_eq(qc_item_energy(&shape), 1);
    conforming.site = QW_SITE_INPUTS_EMBEDS;
    cr_expect_eq(qc_item_energy(&conforming), 0, "what is handed over is not computed");
    conforming.site = QW_SITE_Q_PROJ;
    cr_expect(qc_item_fails_apart(&conforming) && qc_item_energy(&conforming) == 0.5);
    cr_expect_not(qc_item_fails_apart(&value));
    cr_expect_eq(qc_item_energy(&unseen), 0);
}

Test(items, the_names_of_kinds)
{
    static const char *const names[] = {"missing",      "extra",       "rank",     "shape",     "dtype", "layout", "cache-type",
                                        "cache-length", "mask-length", "position", "nonfinite", "value", "raised"};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        cr_expect_str_eq(qc_kind_name((enum qc_kind)(i + 1)), names[i]);
    cr_expect_eq(QC_KINDS, 14);
    cr_expect_str_eq(qc_status_name(QC_INHERITED), "inherited");
    cr_expect_str_eq(qc_status_name(QC_MISSES), "missing");
    cr_expect_str_eq(qc_status_name(QC_WAIVED), "waived");
}

/* ---- order ---- */

static void look(struct qc_items *items, enum qw_site site, int step, int layer, enum qc_kind kind)
{
    struct qc_item *item = qc_items_at(items, site, step, layer);
    item->free.looked = true;
    item->free.kind = kind;
}

/* Put in from back to front; the order is: step, hand-over, cache handed in, head, blocks, tail, cache handed out. */
Test(items, in_the_order_of_the_first_divergence)
{
    static const struct {
        enum qw_site site;
        int step, layer;
    } expected[] = {{QW_SITE_CALL, -1, -1},          {QW_SITE_ADAPTER_PROMPT, 0, -1}, {QW_SITE_INPUT_IDS, 0, -1},
                    {QW_SITE_INPUTS_EMBEDS, 0, -1},  {QW_SITE_ATTENTION_MASK, 0, -1}, {QW_SITE_POSITION_IDS, 0, -1},
                    {QW_SITE_CACHE_POSITION, 0, -1}, {QW_SITE_BEFORE_TYPE, 0, -1},    {QW_SITE_BEFORE_LENGTH, 0, -1},
                    {QW_SITE_BEFORE_KEY, 0, 0},      {QW_SITE_BEFORE_VALUE, 0, 0},    {QW_SITE_BEFORE_KEY, 0, 1},
                    {QW_SITE_EMBED, 0, -1},          {QW_SITE_ROTARY_COS, 0, -1},     {QW_SITE_INPUT_NORM, 0, 0},
                    {QW_SITE_K_PROJ, 0, 0},          {QW_SITE_OUTPUT, 0, 0},          {QW_SITE_INPUT_NORM, 0, 1},
                    {QW_SITE_OUTPUT, 0, 1},          {QW_SITE_NORM, 0, -1},           {QW_SITE_LM_HEAD, 0, -1},
                    {QW_SITE_AFTER_TYPE, 0, -1},     {QW_SITE_AFTER_LENGTH, 0, -1},   {QW_SITE_AFTER_KEY, 0, 1},
                    {QW_SITE_INPUT_IDS, 1, -1},      {QW_SITE_BEFORE_KEY, 1, 0},      {QW_SITE_AFTER_VALUE, 1, 1}};
    const int count = (int)(sizeof expected / sizeof *expected);
    struct qc_items items = qc_items_make(2, 2);
    for (int i = count - 1; i >= 0; i--)
        look(&items, expected[i].site, expected[i].step, expected[i].layer, QC_KIND_NONE);
    qc_items_at(&items, QW_SITE_UP_PROJ, 1, 1);
    qc_items_order(&items);
    cr_assert_eq(items.count, count, "an item that nobody looked at is not listed");
    for (int i = 0; i < count; i++)
        cr_expect(items.ordered[i]->site == expected[i].site && items.ordered[i]->step == expected[i].step &&
                      items.ordered[i]->layer == expected[i].layer,
                  "place %d is %s of step %d", i, qw_site_rows[items.ordered[i]->site].name, items.ordered[i]->step);
    qc_items_clear(&items);
}

Test(items, a_place_has_one_item)
{
    struct qc_items items = qc_items_make(3, 2);
    struct qc_item *one = qc_items_at(&items, QW_SITE_Q_PROJ, 2, 1), *other = qc_items_at(&items, QW_SITE_Q_PROJ, 1, 1);
    cr_expect_neq(one, other);
    cr_expect_eq(qc_items_at(&items, QW_SITE_Q_PROJ, 2, 1), one);
    cr_expect(one->step == 2 && one->layer == 1 && one->site == QW_SITE_Q_PROJ);
    qc_items_clear(&items);
}

/* ---- the first divergence ---- */

static struct qc_judgement judged(void) { return (struct qc_judgement){.items = qc_items_make(3, 1)}; }

static void inherit(struct qc_items *items, enum qw_site site, int step)
{
    look(items, site, step, -1, QC_VALUE);
    qc_items_at(items, site, step, -1)->isolated.looked = true;
}

Test(items, nothing_differs)
{
    struct qc_judgement judgement = judged();
    look(&judgement.items, QW_SITE_LM_HEAD, 0, -1, QC_KIND_NONE);
    qc_items_order(&judgement.items);
    cr_expect_null(qc_judgement_first(&judgement));
    cr_expect_eq(qc_judgement_energy(&judgement), 0);
    qc_judgement_clear(&judgement);
}

Test(items, own_failures_come_before_inherited_ones)
{
    struct qc_judgement judgement = judged();
    inherit(&judgement.items, QW_SITE_NORM, 0);
    look(&judgement.items, QW_SITE_LM_HEAD, 1, -1, QC_VALUE);
    look(&judgement.items, QW_SITE_CALL, 2, -1, QC_RAISED);
    qc_items_order(&judgement.items);
    const struct qc_item *first = qc_judgement_first(&judgement);
    cr_assert_not_null(first);
    cr_expect(first->site == QW_SITE_LM_HEAD && first->step == 1);
    qc_judgement_clear(&judgement);
}

Test(items, an_inherited_failure_comes_before_a_raise)
{
    struct qc_judgement judgement = judged();
    look(&judgement.items, QW_SITE_CALL, 0, -1, QC_RAISED);
    inherit(&judgement.items, QW_SITE_NORM, 1);
    inherit(&judgement.items, QW_SITE_LM_HEAD, 1);
    qc_items_order(&judgement.items);
    cr_assert_not_null(qc_judgement_first(&judgement));
    cr_expect_eq(qc_judgement_first(&judgement)->site, QW_SITE_NORM);
    qc_judgement_clear(&judgement);
}

Test(items, a_raise_alone_is_the_first)
{
    struct qc_judgement judgement = judged();
    look(&judgement.items, QW_SITE_INPUT_IDS, 0, -1, QC_KIND_NONE);
    look(&judgement.items, QW_SITE_CALL, -1, -1, QC_RAISED);
    qc_items_order(&judgement.items);
    cr_assert_not_null(qc_judgement_first(&judgement));
    cr_expect_eq(qc_judgement_first(&judgement)->free.kind, QC_RAISED);
    cr_expect_eq(qc_judgement_energy(&judgement), 1);
    qc_judgement_clear(&judgement);
}

/* ---- selection ---- */

Test(items, what_lies_outside_a_selection_is_not_ordered)
{
    struct qc_items items = qc_items_make(3, 2);
    struct qc_selection selection = qc_selection_all();
    look(&items, QW_SITE_INPUT_IDS, 0, -1, QC_KIND_NONE);
    look(&items, QW_SITE_Q_PROJ, 0, 1, QC_VALUE);
    look(&items, QW_SITE_Q_PROJ, 1, 0, QC_VALUE);
    look(&items, QW_SITE_BEFORE_KEY, 1, 1, QC_KIND_NONE);
    qc_items_order(&items);
    qc_items_select(&items, &selection);
    cr_assert_eq(items.count, 4, "everything is selected");
    selection.first_layer = selection.last_layer = 1;
    qc_items_select(&items, &selection);
    cr_assert_eq(items.count, 2, "what lies outside the blocks belongs to no layer");
    cr_expect(items.ordered[0]->site == QW_SITE_Q_PROJ && items.ordered[1]->site == QW_SITE_BEFORE_KEY);
    selection.site = "cache_*";
    qc_items_select(&items, &selection);
    cr_assert_eq(items.count, 1);
    cr_expect_eq(items.ordered[0]->site, QW_SITE_BEFORE_KEY);
    qc_items_clear(&items);
}
