/* Invariant: A is the expected side and B the observed one, everywhere. */
#include "harness/worker/pair_fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"

#define MOST_FINDINGS 60

/* ---- what was recorded ---- */

void qc_pair_put_subject(struct qw_json *json, const struct qc_recording *recording)
{
    struct qw_json *model = qw_json_put(json, "model", qw_json_object());
    qw_json_put_text(model, "class", recording->model_class);
    qw_json_put_text(model, "dtype", recording->model_dtype);
    qw_json_put_int(model, "layers", qw_json_get_int(recording->model_config, "num_hidden_layers", 0));
    if (!recording->has_adapter) {
        qw_json_put_null(json, "adapter");
        return;
    }
    struct qw_json *adapter = qw_json_put(json, "adapter", qw_json_object());
    qw_json_put_text(adapter, "peft_type", recording->peft_type);
    qw_json_put_int(adapter, "virtual_tokens", qw_json_get_int(recording->adapter_config, "num_virtual_tokens", 0));
}

void qc_pair_put_other(struct qw_json *json, const char *path, const struct qc_recording *recording)
{
    struct qw_json *other = qw_json_put(json, "other", qw_json_object());
    bool read = recording->environment != NULL;
    qw_json_put_text(other, "recording", path);
    qw_json_put_text(other, "recording_sha256", recording->sha256[0] ? recording->sha256 : NULL);
    qw_json_put(other, "environment", read ? qw_json_copy(recording->environment) : qw_json_object());
    if (read) {
        qc_pair_put_subject(other, recording);
        return;
    }
    qw_json_put_null(other, "model");
    qw_json_put_null(other, "adapter");
}

void qc_pair_put_context(struct qw_json *json, const struct qc_pair *pair)
{
    struct qw_json *context = qw_json_put(json, "context", qw_json_array());
    for (int i = 0; i < pair->facts; i++) {
        struct qw_json *fact = qw_json_add(context, qw_json_object());
        qw_json_put_text(fact, "name", pair->fact[i].name);
        qw_json_put_text(fact, "a", pair->fact[i].a);
        qw_json_put_text(fact, "b", pair->fact[i].b);
        qw_json_put_bool(fact, "equal", !strcmp(pair->fact[i].a, pair->fact[i].b));
    }
}

static struct qw_json *token_rows(const struct qc_recording *recording, int64_t rows)
{
    struct qw_json *out = qw_json_array();
    for (int64_t row = 0; row < rows; row++) {
        const int64_t *token = NULL;
        int64_t count = qc_pair_tokens(&token, recording, row);
        struct qw_json *list = qw_json_add(out, qw_json_array());
        for (int64_t i = 0; i < count; i++)
            qw_json_add_int(list, token[i]);
    }
    return out;
}

void qc_pair_put_tokens(struct qw_json *json, const struct qc_pair *pair)
{
    const struct qw_tensor *a = pair->a->output_ids, *b = pair->b->output_ids;
    if (!a || !b || !pair->a->input_ids || !pair->b->input_ids) {
        qw_json_put_null(json, "tokens");
        return;
    }
    struct qw_json *out = qw_json_put(json, "tokens", qw_json_object());
    qw_json_put(out, "a", token_rows(pair->a, a->shape.dim[0]));
    qw_json_put(out, "b", token_rows(pair->b, b->shape.dim[0]));
    struct qw_json *first = qw_json_put(out, "first", qw_json_array());
    for (int64_t row = 0; row < a->shape.dim[0] && row < b->shape.dim[0]; row++) {
        const int64_t *ours = NULL, *theirs = NULL;
        int64_t n = qc_pair_tokens(&ours, pair->a, row), m = qc_pair_tokens(&theirs, pair->b, row), i = 0;
        while (i < n && i < m && ours[i] == theirs[i])
            i++;
        qw_json_add_int(first, i < n || i < m ? i : -1);
    }
}

/* ---- where they part ---- */

static void put_place(struct qw_json *json, const struct qc_pair_place *place)
{
    qc_put_index(json, "step", place->step);
    qc_put_index(json, "layer", place->layer);
    qw_json_put_text(json, "site", place->site);
}

static void put_side(struct qw_json *json, const char *key, const struct qc_pair_place *place, bool observed)
{
    const struct qc_pair_side *side = observed ? &place->b : &place->a;
    struct qw_json *out = qw_json_put(json, key, qw_json_object());
    struct qw_json *shape = side->shaped ? qw_json_put(out, "shape", qw_json_array()) : NULL;
    for (int i = 0; shape && i < side->shape.rank; i++)
        qw_json_add_int(shape, side->shape.dim[i]);
    if (!shape)
        qw_json_put_null(out, "shape");
    qw_json_put_text(out, "dtype", side->dtype);
    if (side->text)
        qw_json_put_text(out, "value", side->text);
    else if (place->valued && place->kind != QC_KIND_NONE)
        qw_json_put_real(out, "value", observed ? place->difference.observed : place->difference.expected);
    else
        qw_json_put_null(out, "value");
}

static void put_element(struct qw_json *json, const struct qc_pair_place *place)
{
    int64_t index[QW_MAX_RANK];
    if (place->valued && place->a.shaped && place->difference.index >= 0) {
        struct qw_json *array = qw_json_put(json, "index", qw_json_array());
        qw_shape_unravel(index, &place->a.shape, place->difference.index);
        for (int i = 0; i < place->a.shape.rank; i++)
            qw_json_add_int(array, index[i]);
    } else {
        qw_json_put_null(json, "index");
    }
    qw_json_put_null(json, "position");
    if (place->valued)
        qw_json_put_real(json, "ratio", place->difference.ratio);
    else
        qw_json_put_null(json, "ratio");
}

static void put_last_good(struct qw_json *json, const struct qc_pair *pair, const struct qc_pair_place *first)
{
    const struct qc_pair_place *good = NULL;
    for (const struct qc_pair_place *place = pair->place; first && place < first; place++)
        if (!place->reason && place->kind == QC_KIND_NONE)
            good = place;
    if (good)
        put_place(qw_json_put(json, "last_good", qw_json_object()), good);
    else
        qw_json_put_null(json, "last_good");
}

static const char *party_of(const struct qc_pair_place *place)
{
    bool model = place->where == QW_HEAD || place->where == QW_BLOCK || place->where == QW_TAIL;
    return qw_party_name(place->where == QW_AFTER ? QW_CACHE : model ? QW_MODEL : QW_PROTOCOL);
}

void qc_pair_put_first(struct qw_json *json, const struct qc_pair *pair)
{
    const struct qc_pair_place *place = qc_pair_first(pair);
    if (place) {
        struct qw_json *first = qw_json_put(json, "first_divergence", qw_json_object());
        put_place(first, place);
        qw_json_put_text(first, "party", party_of(place));
        qw_json_put_text(first, "kind", qc_kind_name(place->kind));
        qw_json_put_null(first, "permutation");
        put_side(first, "expected", place, false);
        put_side(first, "observed", place, true);
        put_element(first, place);
        qc_put_owned(first, "text", qc_pair_place_text(place));
    } else {
        qw_json_put_null(json, "first_divergence");
    }
    put_last_good(json, pair, place);
}

static void put_range(struct qw_json *json, const char *key, int first, int last)
{
    if (first < 0) {
        qw_json_put_null(json, key);
        return;
    }
    struct qw_json *range = qw_json_put(json, key, qw_json_array());
    qw_json_add_int(range, first);
    qw_json_add_int(range, last);
}

/* "cache_before.key" with "cache_before.value": what the places of a group have in common in their names. */
static char *group_name(const struct qc_pair_group *group)
{
    bool cache = (group->first->where == QW_BEFORE || group->first->where == QW_AFTER) && group->first->layer >= 0;
    if (cache)
        return qw_format("cache_%s.key, value", group->first->where == QW_BEFORE ? "before" : "after");
    return qw_strdup(group->modules ? "modules" : group->first->site);
}

void qc_pair_put_differences(struct qw_json *json, const struct qc_pair *pair)
{
    struct qw_json *differences = qw_json_put(json, "differences", qw_json_array());
    for (int i = 0; i < pair->groups; i++) {
        const struct qc_pair_group *group = &pair->group[i];
        struct qw_json *out = qw_json_add(differences, qw_json_object());
        put_range(out, "steps", group->first_step, group->last_step);
        put_range(out, "layers", group->first_layer, group->last_layer);
        qc_put_owned(out, "site", group_name(group));
        qw_json_put_text(out, "kind", qc_kind_name(group->first->kind));
        qw_json_put_int(out, "count", group->count);
        qw_json_put_int(out, "of", group->of);
        if (group->max_abs > 0)
            qw_json_put_real(out, "max_abs", group->max_abs);
        else
            qw_json_put_null(out, "max_abs");
        qc_put_owned(out, "text", qc_pair_group_text(group));
    }
}

/* ---- findings, sites, counts ---- */

static void add_finding(struct qw_json *findings, const char *id, const char *severity, const struct qc_pair_place *place,
                        char *message)
{
    qc_add_finding(findings, id, severity, place ? place->step : -1, place ? place->layer : -1, place ? place->site : NULL,
                   message);
}

/* One note for each reason for which places were not compared, at the first of them. */
static void add_reasons(struct qw_json *findings, const struct qc_pair *pair)
{
    struct {
        const struct qc_pair_place *first;
        int count;
    } reasons[16] = {0};
    for (int i = 0; i < pair->places; i++)
        for (size_t k = 0; pair->place[i].reason && k < sizeof reasons / sizeof *reasons; k++) {
            if (reasons[k].first && reasons[k].first->reason != pair->place[i].reason)
                continue;
            reasons[k].first = reasons[k].first ? reasons[k].first : &pair->place[i];
            reasons[k].count++;
            break;
        }
    for (size_t k = 0; k < sizeof reasons / sizeof *reasons && reasons[k].first; k++)
        add_finding(findings, "not-compared", "note", reasons[k].first,
                    qw_format("%d place%s not compared: %s.", reasons[k].count,
                              reasons[k].count == 1 ? " was" : "s from here on were", reasons[k].first->reason));
}

void qc_pair_put_findings(struct qw_json *json, const struct qc_pair *pair, const struct qc_selection *selection)
{
    struct qw_json *findings = qw_json_put(json, "findings", qw_json_array());
    char *only = qc_selection_text(selection);
    for (int i = 0; i < pair->groups && i < MOST_FINDINGS; i++)
        add_finding(findings, qc_kind_name(pair->group[i].first->kind), "error", pair->group[i].first,
                    qc_pair_group_text(&pair->group[i]));
    if (pair->groups > MOST_FINDINGS)
        add_finding(findings, "more", "note", NULL,
                    qw_format("%d more groups of differences; the list of sites has them all.", pair->groups - MOST_FINDINGS));
    for (int i = 0; i < pair->facts; i++)
        if (strcmp(pair->fact[i].a, pair->fact[i].b))
            add_finding(findings, "context", "note", NULL,
                        qw_format("%s: %s | %s", pair->fact[i].name, pair->fact[i].a, pair->fact[i].b));
    add_reasons(findings, pair);
    if (pair->unvalued)
        add_finding(findings, "values", "note", NULL,
                    qw_format("%d tensors were compared by structure only: one of the recordings keeps no values of them.",
                              pair->unvalued));
    if (only[0])
        add_finding(findings, "selection", "note", NULL,
                    qw_format("Compared only: %s; what lies outside was neither judged nor counted.", only));
    free(only);
}

static void put_size(struct qw_json *site, const char *key, double size)
{
    if (isnan(size))
        qw_json_put_null(site, key);
    else
        qw_json_put_real(site, key, size);
}

static const char *status_of(const struct qc_pair_place *place)
{
    if (place->reason)
        return qc_status_name(QC_WAIVED);
    switch (place->kind) {
    case QC_KIND_NONE: return qc_status_name(QC_CONFORMS);
    case QC_MISSING: return qc_status_name(QC_MISSES);
    case QC_EXTRA: return qc_status_name(QC_EXTRANEOUS);
    default: return qc_status_name(QC_DIFFERS);
    }
}

void qc_pair_put_sites(struct qw_json *json, const struct qc_pair *pair)
{
    struct qw_json *sites = qw_json_put(json, "sites", qw_json_array());
    for (int i = 0; i < pair->places; i++) {
        const struct qc_pair_place *place = &pair->place[i];
        struct qw_json *site = qw_json_add(sites, qw_json_object());
        put_place(site, place);
        qw_json_put_text(site, "party", party_of(place));
        qw_json_put_text(site, "status", status_of(place));
        qw_json_put_text(site, "kind", place->kind == QC_KIND_NONE ? NULL : qc_kind_name(place->kind));
        if (place->valued)
            qw_json_put_real(site, "ratio", place->difference.ratio);
        else
            qw_json_put_null(site, "ratio");
        qw_json_put_null(site, "ratio_isolated");
        if (place->valued) {
            put_size(site, "max_abs", place->difference.max_abs);
            put_size(site, "rms", place->difference.rms);
            put_size(site, "ulp", place->difference.ulp);
        }
        if (place->reason)
            qw_json_put_text(site, "reason", place->reason);
    }
}

void qc_pair_put_coverage(struct qw_json *json, const struct qc_pair *pair)
{
    struct qc_pair_counts counts = qc_pair_count(pair);
    struct qw_json *coverage = qw_json_put(json, "coverage", qw_json_object());
    qw_json_put_int(coverage, "expected", pair->places);
    qw_json_put_int(coverage, "compared", counts.compared);
    qw_json_put_int(coverage, "missing", counts.missing);
    qw_json_put_int(coverage, "waived", counts.waived);
    struct qw_json *blind = qw_json_put(coverage, "blind", qw_json_array());
    if (pair->unvalued)
        qw_json_add_text(blind, "values");
}

static void put_length(struct qw_json *entry, const char *key, const struct qc_recording *recording, int step)
{
    bool known = step < recording->steps && recording->step[step].after.present;
    qc_put_index(entry, key, known ? (int)recording->step[step].after.length : -1);
}

void qc_pair_put_cache_lengths(struct qw_json *json, const struct qc_pair *pair)
{
    struct qw_json *lengths = qw_json_put(json, "cache_lengths", qw_json_array());
    for (int step = 0; step < pair->a->steps || step < pair->b->steps; step++) {
        struct qw_json *entry = qw_json_add(lengths, qw_json_object());
        qw_json_put_int(entry, "step", step);
        put_length(entry, "expected", pair->a, step);
        put_length(entry, "observed", pair->b, step);
    }
}

void qc_pair_put_largest(struct qw_json *json, const struct qc_pair *pair)
{
    const struct qc_pair_place *largest = NULL;
    for (int i = 0; i < pair->places; i++) {
        const struct qc_pair_place *place = &pair->place[i];
        bool counts = !place->reason && place->valued && place->where != QW_CALL;
        if (counts && (!largest || place->difference.ratio > largest->difference.ratio))
            largest = place;
    }
    if (!largest) {
        qw_json_put_null(json, "largest_ratio");
        return;
    }
    struct qw_json *out = qw_json_put(json, "largest_ratio", qw_json_object());
    qw_json_put_real(out, "ratio", largest->difference.ratio);
    put_place(out, largest);
}

void qc_pair_put_cause(struct qw_json *json, const struct qc_pair *pair)
{
    struct qw_json *causes = qw_json_array();
    const struct qc_pair_place *first = qc_pair_first(pair);
    if (first) {
        struct qw_json *cause = qc_cause_unclassified("compare names no cause", NULL,
                                                      "Judge both recordings against the reference: qconform diagnose says "
                                                      "which of them departs from a healthy run, and why.",
                                                      party_of(first));
        qw_json_add(causes, qw_json_copy(cause));
        qw_json_put(json, "cause", cause);
    } else {
        qw_json_put_null(json, "cause");
    }
    qw_json_put(json, "causes", causes);
}
