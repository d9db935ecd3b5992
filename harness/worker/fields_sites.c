/* Invariant: every judged place is listed once, in the order of the first divergence. */
#include "harness/worker/fields.h"

#include <stdlib.h>
#include <string.h>

#include "harness/invariants/ledger.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

#define MOST_FINDINGS 60

/* ---- findings and sites ---- */

struct qw_json *qc_add_finding(struct qw_json *findings, const char *id, const char *severity, int step, int layer,
                               const char *site, char *message)
{
    struct qw_json *finding = qw_json_add(findings, qw_json_object());
    qw_json_put_text(finding, "id", id);
    qw_json_put_text(finding, "severity", severity);
    qc_put_index(finding, "step", step);
    qc_put_index(finding, "layer", layer);
    qw_json_put_text(finding, "site", site);
    qc_put_owned(finding, "message", message);
    return finding;
}

/* A finding on the case as a whole. */
static void add_note(struct qw_json *findings, const char *id, char *message)
{
    qc_add_finding(findings, id, "note", -1, -1, NULL, message);
}

static void add_item_findings(struct qw_json *findings, const struct qc_case_view *view)
{
    int failing = 0;
    for (int i = 0; i < view->judgement->items.count; i++) {
        const struct qc_item *item = view->judgement->items.ordered[i];
        if (!qc_item_fails(item) || failing++ >= MOST_FINDINGS)
            continue;
        struct qw_json *finding = qc_add_finding(findings, qc_kind_name(qc_item_view(item)->kind), "error", item->step,
                                                 item->layer, qw_site_rows[item->site].name,
                                                 qc_difference_text(item, view->recording));
        if (qc_item_view(item)->kind == QC_LAYOUT)
            qc_put_permutation(finding, qc_item_view(item));
        if (qc_item_view(item)->transform.id)
            qc_add_finding(findings, "transform", "note", item->step, item->layer, qw_site_rows[item->site].name,
                           qc_transform_text(&qc_item_view(item)->transform));
    }
    if (failing > MOST_FINDINGS)
        add_note(findings, "more", qw_format("%d more sites differ; the list of sites has them all.", failing - MOST_FINDINGS));
}

static int unjudged_taps(const struct qc_case_view *view)
{
    int taps = 0, judged = 0;
    for (int step = 0; step < view->recording->steps; step++)
        taps += view->recording->step[step].taps;
    for (int i = 0; i < view->judgement->items.count; i++) {
        const struct qc_item *item = view->judgement->items.ordered[i];
        enum qw_place place = qw_site_rows[item->site].place;
        judged += item->recorded && (place == QW_HEAD || place == QW_BLOCK || place == QW_TAIL);
    }
    return taps - judged;
}

static void add_selection(struct qw_json *findings, const struct qc_selection *selection)
{
    char *text = qc_selection_text(selection);
    if (text[0])
        add_note(findings, "selection", qw_format("Judged only: %s; what lies outside was neither judged nor counted.", text));
    if (selection->precision)
        add_note(findings, "precision",
                 qw_format("The run was taken to have computed in %s, as --precision says.",
                           strcmp(selection->precision, "f64") ? "float32" : "float64"));
    free(text);
}

static char *hypothesis_text(const struct qc_hypothesis *hypothesis, int rank)
{
    static const char *const why[] = {
        [QC_CONTRADICTS] = "it would have given another %s at step %d%s, where the record is as in a healthy run",
        [QC_LEAVES] = "it does not give the %s of step %d%s that was recorded, where the record first differs",
        [QC_EXCEEDS] = "by %s of step %d%s more differs from it than from a healthy run"};
    if (hypothesis->given_up) {
        int layer = hypothesis->against_layer;
        char *in = layer < 0 ? qw_strdup("") : qw_format(", layer %d", layer), *text = NULL;
        char *because = qw_format(why[hypothesis->given_up], qw_site_rows[hypothesis->against].name, hypothesis->against_step,
                                  in);
        text = qw_format("%d. %s is ruled out: %s.", rank, hypothesis->cause->id, because);
        free(in);
        free(because);
        return text;
    }
    return qw_format("%d. %s explains %.4g of the divergence.", rank, hypothesis->cause->id, hypothesis->explained);
}

void qc_put_findings(struct qw_json *json, const struct qc_case_view *view)
{
    struct qw_json *findings = qw_json_put(json, "findings", qw_json_array());
    add_selection(findings, &view->subject->selection);
    if (qc_subject_products_text(view->subject))
        add_note(findings, "products", qw_strdup(qc_subject_products_text(view->subject)));
    add_item_findings(findings, view);
    for (int i = 0; view->diagnosis && i < view->diagnosis->count; i++)
        add_note(findings, "hypothesis", hypothesis_text(&view->diagnosis->ranked[i], i + 1));
    char *ledger = qc_ledger_text(view->subject);
    if (ledger)
        add_note(findings, "ledger", qw_format("The tokens that were fed: %s", ledger));
    free(ledger);
    if (view->recording->raised)
        add_note(findings, "raised",
                 qw_format("The run raised %s: %s", view->recording->exception_type, view->recording->exception_message));
    if (view->subject->newer)
        add_note(findings, "newer-versions",
                 qw_strdup("The recorded versions are newer than those that the rules were measured with; "
                           "the newest known rules were used."));
    if (view->diagnosis && !view->judgement->consequence.compared)
        add_note(findings, "consequence", qc_consequence_text(&view->judgement->consequence, view->recording->raised));
    int others = unjudged_taps(view);
    if (others > 0 && qc_selection_is_all(&view->subject->selection))
        add_note(findings, "unjudged-taps",
                 qw_format("%d recorded taps belong to no site of the reference and were not judged.", others));
}

static void put_ratio(struct qw_json *site, const char *key, const struct qc_view *view)
{
    if (view->valued)
        qw_json_put_real(site, key, view->difference.ratio);
    else
        qw_json_put_null(site, key);
}

static void put_graft(struct qw_json *site, const struct qc_graft *graft)
{
    if (!graft || !graft->played)
        return;
    struct qw_json *grafted = qw_json_put(site, "grafted", qw_json_object());
    qw_json_put_real(grafted, "kl", graft->kl);
    qw_json_put_real(grafted, "change", graft->change);
    qw_json_put_bool(grafted, "top1_agrees", graft->top1_agrees);
}

/* By what its ratio was divided, where it was. */
static void put_floor(struct qw_json *site, const char *key, const struct qc_view *view)
{
    if (view->valued)
        qw_json_put_real(site, key, view->difference.floor);
}

void qc_put_sites(struct qw_json *json, const struct qc_case_view *view)
{
    struct qw_json *sites = qw_json_put(json, "sites", qw_json_array());
    for (int i = 0; i < view->judgement->items.count; i++) {
        const struct qc_item *item = view->judgement->items.ordered[i];
        const struct qc_view *how = item->free.valued ? &item->free : &item->isolated;
        enum qc_kind kind = qc_item_view(item)->kind;
        struct qw_json *site = qw_json_add(sites, qw_json_object());
        qc_put_index(site, "step", item->step);
        qc_put_index(site, "layer", qc_site_layer(item, view->recording));
        qc_put_owned(site, "site", qc_site_name(item, view->recording));
        qw_json_put_text(site, "party", qw_party_name(qw_site_rows[item->site].party));
        qw_json_put_text(site, "status", qc_status_name(qc_item_status(item)));
        qw_json_put_text(site, "kind", kind == QC_KIND_NONE ? NULL : qc_kind_name(kind));
        put_ratio(site, "ratio", &item->free);
        put_ratio(site, "ratio_isolated", &item->isolated);
        put_floor(site, "floor", &item->free);
        put_floor(site, "floor_isolated", &item->isolated);
        if (how->valued) {
            qw_json_put_real(site, "max_abs", how->difference.max_abs);
            qw_json_put_real(site, "rms", how->difference.rms);
            qw_json_put_real(site, "ulp", how->difference.ulp);
        }
        put_graft(site, qc_grafts_at(view->grafts, item->site, item->step, item->layer));
        if (item->reason)
            qw_json_put_text(site, "reason", item->reason);
    }
}
