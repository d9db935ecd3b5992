/* Invariant: what is counted here was decided elsewhere, but for numbers that cannot be anyone's. */
#include "harness/compare/coverage.h"

#include <math.h>
#include <stdlib.h>

#include "harness/compare/recorded.h"
#include "harness/invariants/structure.h"

/* ---- the ledger ---- */

static bool is_valued(const struct qc_item *item) { return item->free.valued || item->isolated.valued; }

struct qc_counts qc_coverage_count(const struct qc_judgement *judgement, int party, int step)
{
    struct qc_counts counts = {0};
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        if (!item->expected || (party != QC_ANY && (int)qw_site_rows[item->site].party != party) ||
            (step != QC_ANY && item->step != step))
            continue;
        counts.expected++;
        counts.waived += item->reason != NULL;
        counts.missing += !item->reason && !item->recorded;
        counts.compared += !item->reason && item->recorded;
        counts.valued += !item->reason && item->recorded && is_valued(item);
    }
    return counts;
}

/* ---- numbers that say nothing ---- */

/* Whether the site holds numbers that a model computed or an adapter learned.  Rotary tables are neither, and may be ones
 * and zeros throughout: at position 0. */
static bool holds_numbers(enum qw_site site)
{
    switch (qw_site_rows[site].place) {
    case QW_HEAD: return site == QW_SITE_EMBED || site == QW_SITE_WTE || site == QW_SITE_DROP;
    case QW_BLOCK: return site != QW_SITE_TABLE_COS && site != QW_SITE_TABLE_SIN;
    case QW_TAIL: return true;
    default:
        return site == QW_SITE_ADAPTER_PROMPT || site == QW_SITE_INPUTS_EMBEDS || site == QW_SITE_BEFORE_KEY ||
               site == QW_SITE_BEFORE_VALUE || site == QW_SITE_AFTER_KEY || site == QW_SITE_AFTER_VALUE;
    }
}

/* Rows that the cache of the item's place holds; 1 for what is no cache. */
static int64_t rows_held(const struct qc_judgement *judgement, const struct qc_item *item)
{
    enum qw_place place = qw_site_rows[item->site].place;
    if (place != QW_BEFORE && place != QW_AFTER)
        return 1;
    const struct qc_step *step = &judgement->subject->recording->step[item->step];
    return qc_cache_rows(place == QW_BEFORE ? &step->before : &step->after);
}

/* Whether the tensor is known to be one number throughout. */
static bool is_constant(double *number, const struct qw_tensor *tensor)
{
    int64_t count = qw_shape_count(&tensor->shape);
    if (count < 2 || (!tensor->data && !tensor->stats))
        return false;
    if (!tensor->data) {
        *number = tensor->stats->min;
        return tensor->stats->min == tensor->stats->max && tensor->stats->nan + tensor->stats->inf == 0;
    }
    *number = qw_tensor_at(tensor, 0);
    for (int64_t i = 1; i < count; i++)
        if (qw_tensor_at(tensor, i) != *number)
            return false;
    return true;
}

static void note_constant(struct qc_item *item, double number)
{
    const struct qc_difference found = {.ratio = (double)INFINITY,
                                        .max_abs = (double)NAN,
                                        .rms = (double)NAN,
                                        .ulp = (double)NAN,
                                        .energy = 1,
                                        .index = -1,
                                        .expected = (double)NAN,
                                        .observed = number};
    struct qc_view *views[] = {&item->free, &item->isolated};
    for (int i = 0; i < 2; i++)
        if (views[i]->looked)
            qc_view_note(views[i], &found, QC_VALUE);
    item->expected_text = "numbers that differ";
    item->observed_text = number == 0 ? "zero throughout" : "one number throughout";
}

/* What no play was held against must at least look like numbers. */
static void look_at_unvalued(const struct qc_judgement *judgement, struct qc_item *item)
{
    const struct qw_tensor *tensor = qc_recorded_tensor(judgement->subject, item->site, item->step, item->layer);
    double number;
    if (tensor && rows_held(judgement, item) > 0 && is_constant(&number, tensor))
        note_constant(item, number);
}

/* Whether in each view that has numbers those of the play are one throughout. */
static bool is_vacuous(const struct qc_item *item)
{
    return (!item->free.valued || item->free.difference.constant) &&
           (!item->isolated.valued || item->isolated.difference.constant);
}

void qc_coverage_settle(struct qc_judgement *judgement)
{
    const struct qc_items *items = &judgement->items;
    size_t count = (size_t)(items->steps + 1) * (size_t)(items->layers + 1) * QW_SITES;
    for (size_t i = 0; i < count; i++) {
        struct qc_item *item = items->table[i];
        if (!item || !holds_numbers(item->site) || item->step < 0 || qc_item_status(item) != QC_CONFORMS)
            continue;
        if (!is_valued(item))
            look_at_unvalued(judgement, item);
        else if (is_vacuous(item))
            item->reason = "the healthy play is one number throughout here: to agree with it shows nothing";
    }
}

/* ---- is it enough? ---- */

static bool is_waived_as_constant(const struct qc_item *item)
{
    return item->reason && is_valued(item) && is_vacuous(item) && holds_numbers(item->site);
}

/* Whether logits were compared, and all of them with one number. */
static bool logits_are_constant(const struct qc_judgement *judgement)
{
    int constant = 0;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        if (item->site != QW_SITE_LM_HEAD || !is_valued(item))
            continue;
        if (!is_waived_as_constant(item))
            return false;
        constant++;
    }
    return constant > 0;
}

static bool promises_numbers(const struct qc_judgement *judgement)
{
    return judgement->values && judgement->subject->recording->level >= QC_LEVEL_STATS;
}

const char *qc_coverage_shortfall(const struct qc_judgement *judgement, const char **hint)
{
    const struct qc_recording *recording = judgement->subject->recording;
    *hint = "record the run again, whole, with the level that it is to be judged at";
    if (!qc_selection_is_all(&judgement->subject->selection))
        return NULL;
    if (!qc_coverage_count(judgement, QC_ANY, QC_ANY).compared)
        return "nothing of what a healthy run has was compared";
    for (int step = 0; step < recording->steps; step++)
        if (!qc_coverage_count(judgement, QC_ANY, step).compared)
            return "of at least one recorded step nothing was compared";
    for (int party = 0; party < QW_PARTIES; party++) {
        struct qc_counts counts = qc_coverage_count(judgement, party, QC_ANY);
        if (counts.expected && !counts.compared)
            return "of one of the three parties everything was waived";
    }
    if (logits_are_constant(judgement)) {
        *hint = "embed the weights that the run had: with these, whose logits are one number throughout, no fault could show";
        return "the model's weights let everything agree: the healthy play's own logits are one number throughout";
    }
    if (promises_numbers(judgement) && !qc_coverage_count(judgement, QW_MODEL, QC_ANY).valued)
        return "the record promises numbers, but none that the model computed could be compared";
    return NULL;
}
