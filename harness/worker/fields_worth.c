/* Invariant: counts are taken over the judged items, so that the parts of a case agree. */
#include "harness/worker/fields.h"

#include <math.h>
#include <stdlib.h>

#include "harness/compare/coverage.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

/* Largest ratio of the isolated view: what the model makes of what it was really given. */
const struct qc_item *qc_largest_item(const struct qc_judgement *judgement, bool isolated_only)
{
    const struct qc_item *largest = NULL;
    double ratio = -1;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        const struct qc_view *views[] = {&item->isolated, &item->free};
        for (int v = 0; v < (isolated_only ? 1 : 2); v++)
            if (views[v]->valued && views[v]->difference.ratio > ratio) {
                ratio = views[v]->difference.ratio;
                largest = item;
            }
    }
    return largest;
}

double qc_largest_ratio(const struct qc_item *item, bool isolated_only)
{
    double free_ratio = item->free.valued && !isolated_only ? item->free.difference.ratio : -1;
    return fmax(free_ratio, item->isolated.valued ? item->isolated.difference.ratio : -1);
}

int qc_party_count(const struct qc_judgement *judgement, enum qw_party party, enum qc_status status)
{
    int count = 0;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        bool wanted = status == QC_DIFFERS ? qc_item_fails(item) : qc_item_status(item) == status;
        count += wanted && qw_site_rows[item->site].party == party && item->free.kind != QC_RAISED;
    }
    return count;
}

/* ---- parties, coverage, consequence ---- */

static const char *party_title(enum qw_party party)
{
    static const char *const titles[QW_PARTIES] = {"PEFT's part: what the base model is handed",
                                                   "Qwen's part: from the hand-over to the logits",
                                                   "The cache's part: what is kept from step to step"};
    return titles[party];
}

static int party_items(const struct qc_judgement *judgement, enum qw_party party)
{
    int count = 0;
    for (int i = 0; i < judgement->items.count; i++)
        count += qw_site_rows[judgement->items.ordered[i]->site].party == party &&
                 judgement->items.ordered[i]->free.kind != QC_RAISED;
    return count;
}

/* A run that raised although nothing differed before: outside the model's forward the libraries around it raised, which
 * is the protocol's part, inside it the model's. */
static bool raised_unprovoked(const struct qc_case_view *view, enum qw_party party)
{
    const struct qc_item *first = qc_judgement_first(view->judgement);
    bool inside = view->recording->raised_at && view->recording->raised_at[0];
    return first && qc_item_view(first)->kind == QC_RAISED && party == (inside ? QW_MODEL : QW_PROTOCOL);
}

static char *party_message(const struct qc_case_view *view, enum qw_party party, int items, int own, int inherited)
{
    if (raised_unprovoked(view, party))
        return qw_format("It raised %s; %s.", view->recording->exception_type,
                         items ? "what was recorded before conforms" : "the base model was never called");
    if (items == 0)
        return qw_strdup("Nothing of it was recorded.");
    if (own)
        return qw_format("%d of %d sites differ from the healthy play.", own, items);
    if (inherited)
        return qw_format("Right on what it was really given; %d of %d sites differ from the healthy run because their inputs do.",
                         inherited, items);
    return qw_format("All %d sites conform.", items);
}

/* Whether a second cause, besides that of an earlier party, is the party's own. */
static bool is_second_at(const struct qc_case_view *view, enum qw_party party)
{
    const struct qc_diagnosis *diagnosis = view->diagnosis;
    return diagnosis && diagnosis->named && diagnosis->second.cause && qc_cause_party(diagnosis->second.cause) == party;
}

void qc_put_parties(struct qw_json *json, const struct qc_case_view *view)
{
    struct qw_json *parties = qw_json_put(json, "parties", qw_json_array());
    bool blamed = false;
    for (enum qw_party party = 0; party < QW_PARTIES; party++) {
        int items = party_items(view->judgement, party), own = qc_party_count(view->judgement, party, QC_DIFFERS);
        int inherited = qc_party_count(view->judgement, party, QC_INHERITED);
        bool guilty = own > 0 || raised_unprovoked(view, party);
        struct qw_json *entry = qw_json_add(parties, qw_json_object());
        qw_json_put_text(entry, "name", qw_party_name(party));
        qw_json_put_text(entry, "title", party_title(party));
        qw_json_put_text(entry, "status",
                         guilty       ? (blamed && !is_second_at(view, party) ? "consequence" : "at fault")
                         : items == 0 ? "not judged"
                         : inherited  ? "consequence"
                                      : "conforms");
        qc_put_owned(entry, "message", party_message(view, party, items, own, inherited));
        blamed = blamed || guilty;
    }
}

static void put_counts(struct qw_json *json, const struct qc_counts *counts)
{
    qw_json_put_int(json, "expected", counts->expected);
    qw_json_put_int(json, "compared", counts->compared);
    qw_json_put_int(json, "missing", counts->missing);
    qw_json_put_int(json, "waived", counts->waived);
    qw_json_put_int(json, "by_value", counts->valued);
}

/* One row for each party and step of which something is expected. */
static void put_ledger(struct qw_json *json, const struct qc_judgement *judgement)
{
    struct qw_json *ledger = qw_json_put(json, "ledger", qw_json_array());
    for (int step = -1; step < judgement->items.steps; step++)
        for (enum qw_party party = 0; party < QW_PARTIES; party++) {
            struct qc_counts counts = qc_coverage_count(judgement, (int)party, step);
            if (!counts.expected)
                continue;
            struct qw_json *row = qw_json_add(ledger, qw_json_object());
            qc_put_index(row, "step", step);
            qw_json_put_text(row, "party", qw_party_name(party));
            put_counts(row, &counts);
        }
}

void qc_put_coverage(struct qw_json *json, const struct qc_case_view *view)
{
    struct qc_counts counts = qc_coverage_count(view->judgement, QC_ANY, QC_ANY);
    struct qw_json *coverage = qw_json_put(json, "coverage", qw_json_object());
    put_counts(coverage, &counts);
    struct qw_json *blind = qw_json_put(coverage, "blind", qw_json_array());
    for (enum qc_blind spot = 0; spot < QC_BLINDS; spot++)
        if (qc_blind_applies(spot, view->judgement))
            qw_json_add_text(blind, qc_blind_id(spot));
    qw_json_put_bool(coverage, "earned", !view->shortfall);
    put_ledger(coverage, view->judgement);
}

static void put_weighed(struct qw_json *steps, const struct qc_weighed *weighed, int step)
{
    struct qw_json *row = qw_json_add(steps, qw_json_object());
    qw_json_put_int(row, "step", step);
    qw_json_put_real(row, "margin", weighed->margin);
    qw_json_put_real(row, "error", weighed->error);
    qw_json_put_real(row, "kl", weighed->kl);
    qw_json_put_bool(row, "conforms", weighed->conforms);
    qw_json_put_bool(row, "top1_agrees", qc_weighed_agrees(weighed));
    qc_put_index(row, "expected_token", (int)weighed->expected);
    qc_put_index(row, "observed_token", (int)weighed->observed);
}

void qc_put_consequence(struct qw_json *json, const struct qc_case_view *view)
{
    const struct qc_consequence *consequence = &view->judgement->consequence;
    if (!view->diagnosis || !consequence->compared) {
        qw_json_put_null(json, "consequence");
        return;
    }
    struct qw_json *out = qw_json_put(json, "consequence", qw_json_object());
    qc_put_index(out, "first_token_flip", consequence->first_flip);
    qw_json_put_real(out, "top1_agreement", (double)consequence->agreed / consequence->compared);
    qw_json_put_real(out, "kl", consequence->largest_kl);
    qw_json_put_int(out, "steps_compared", consequence->compared);
    qw_json_put_text(out, "says", qc_consequence_id(consequence->says));
    struct qw_json *steps = qw_json_put(out, "steps", qw_json_array());
    for (int step = 0; step < consequence->steps; step++)
        if (consequence->step[step].known)
            put_weighed(steps, &consequence->step[step], step);
}

void qc_put_cache_lengths(struct qw_json *json, const struct qc_case_view *view)
{
    struct qw_json *lengths = qw_json_put(json, "cache_lengths", qw_json_array());
    for (int step = 0; step < view->judgement->steps; step++) {
        struct qw_json *entry = qw_json_add(lengths, qw_json_object());
        const struct qc_cache *after = step < view->recording->steps ? &view->recording->step[step].after : NULL;
        qw_json_put_int(entry, "step", step);
        qw_json_put_int(entry, "expected", view->judgement->expected_lengths[step]);
        if (after && after->present && after->length >= 0)
            qw_json_put_int(entry, "observed", after->length);
        else
            qw_json_put_null(entry, "observed");
    }
}

void qc_put_largest(struct qw_json *json, const struct qc_case_view *view)
{
    bool isolated_only = view->diagnosis != NULL;
    const struct qc_item *largest = qc_largest_item(view->judgement, isolated_only);
    if (!largest) {
        qw_json_put_null(json, "largest_ratio");
        return;
    }
    struct qw_json *out = qw_json_put(json, "largest_ratio", qw_json_object());
    qw_json_put_real(out, "ratio", qc_largest_ratio(largest, isolated_only));
    qc_put_index(out, "step", largest->step);
    qc_put_index(out, "layer", largest->layer);
    qw_json_put_text(out, "site", qw_site_rows[largest->site].name);
}
