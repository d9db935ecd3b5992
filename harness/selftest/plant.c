/* Invariant: the record is made under the deviation alone, and judged by the way of every other recording. */
#include "harness/selftest/plant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/selftest/judged.h"
#include "harness/selftest/same.h"
#include "harness/selftest/scribe.h"
#include "reference/base/text.h"

const char *qc_outcome_name(enum qc_outcome outcome)
{
    static const char *const names[QC_OUTCOMES] = {"blind", "named", "equivalent", "missed", "misnamed"};
    return names[outcome];
}

const char *qc_equivalence(const char *planted, const char *named)
{
    static const struct {
        const char *planted, *named, *reason;
    } rows[] = {
#define EQUIVALENT(planted, named, reason) {planted, named, reason},
#include "harness/selftest/equivalences.def"
#undef EQUIVALENT
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].planted, planted) && !strcmp(rows[i].named, named))
            return rows[i].reason;
    return NULL;
}

/* ---- the bed ---- */

void qc_bed_make(struct qc_bed *bed, const struct qc_subject *subject, const struct qc_places *places, bool values)
{
    struct qc_judged judged;
    bed->unfit = NULL;
    bed->values = values;
    qc_refit_make(&bed->form, subject, places, &subject->rules);
    qc_scribe_write(&bed->healthy, bed->form.subject, &subject->rules);
    qc_judged_make(&judged, &bed->form, &bed->healthy, bed->values);
    if (!judged.made)
        bed->unfit = "the record of a healthy run of it, as the reference writes it, cannot be judged";
    else if (qc_judgement_first(&judged.judgement))
        bed->unfit = "the record of a healthy run of it, as the reference writes it, does not pass";
    qc_judged_clear(&judged);
}

void qc_bed_clear(struct qc_bed *bed)
{
    qc_scribe_clear(&bed->healthy);
    qc_refit_clear(&bed->form);
}

/* ---- what cannot be seen ---- */

static void add_word(struct qw_text *out, bool say, const char *word)
{
    if (say)
        qw_text_addf(out, "%s%s", out->length ? ", " : "", word);
}

/* What the call lacks, of all that faults need to show. */
static char *lacks(const struct qc_subject *subject)
{
    const struct qc_recording *recording = subject->recording;
    const struct qw_config *config = &subject->model.config;
    const struct qw_adapter *adapter = &subject->adapter;
    struct qw_text out = {0};
    bool padded = qw_call_pads(&subject->call);
    add_word(&out, adapter->kind == QW_ADAPTER_NONE, "no adapter");
    add_word(&out, adapter->kind == QW_ADAPTER_EMBEDS, "no prefix");
    add_word(&out, adapter->kind == QW_ADAPTER_KEYS_VALUES, "no virtual token among the embeddings");
    add_word(&out, adapter->kind != QW_ADAPTER_NONE && !adapter->unprojected && !adapter->twice, "no encoder");
    add_word(&out, qw_protocol_steps(&subject->call) < 2, "one step");
    add_word(&out, !subject->call.use_cache, "no cache");
    add_word(&out, !padded, "no padding");
    add_word(&out, config->heads == config->kv_heads, "as many key/value heads as query heads");
    add_word(&out, !subject->call.recomputes, "no gradient checkpointing");
    add_word(&out, recording->level < QC_LEVEL_BLOCKS, "values not kept");
    return qw_text_take(&out);
}

static void be_blind(struct qc_planting *planting, const struct qc_subject *subject, const char *why)
{
    char *words = lacks(subject);
    planting->outcome = QC_PLANT_BLIND;
    planting->reason = words[0] ? qw_format("%s (of this call: %s)", why, words) : qw_format("%s", why);
    free(words);
}

/* What the judge saw of the tensors in which a record differs from the healthy one. */
struct seen {
    const struct qc_judgement *judgement;
    double largest;                /* ratio */
    enum qw_site site;             /* the first that was not compared by value … */
    int step, layer, not_compared; /* … its place, and how many */
};

static const struct qc_item *item_of(const struct qc_judgement *judgement, enum qw_site site, int step, int layer)
{
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        if (item->site == site && item->step == step && item->layer == layer)
            return item;
    }
    return NULL;
}

static void see(void *user, enum qw_site site, int step, int layer)
{
    struct seen *seen = user;
    const struct qc_item *item = item_of(seen->judgement, site, step, layer);
    bool compared = item && !item->reason && (item->free.valued || item->isolated.valued);
    if (compared) {
        seen->largest = fmax(seen->largest, fmax(item->free.difference.ratio, item->isolated.difference.ratio));
    } else if (!seen->not_compared++) {
        seen->site = site;
        seen->step = step;
        seen->layer = layer;
    }
}

/* The judge lets the record pass: was there anything to see? */
static void pass(struct qc_planting *planting, const struct qc_bed *bed, const struct qc_recording *record,
                 const struct qc_judgement *judgement)
{
    struct seen seen = {.judgement = judgement};
    struct qc_apart_listener listener = {see, &seen};
    planting->outcome = QC_PLANT_MISSED;
    if (qc_records_apart(&bed->healthy, record, &listener) == QC_APART_STRUCTURE) {
        planting->reason = qw_format("the record has another structure, and passes");
    } else if (seen.not_compared) {
        planting->reason = qw_format("the record passes although %s of step %d, layer %d is another, and was not compared",
                                     qw_site_rows[seen.site].name, seen.step, seen.layer);
    } else {
        char *why = qw_format("it moves numbers by less than the noise bound: to %.2g times the floor, the bound is %g times",
                              seen.largest, QC_NOISE_MULTIPLE);
        be_blind(planting, bed->form.subject, why);
        free(why);
    }
}

/* ---- the name ---- */

static bool same_value(const struct qw_value *a, const struct qw_value *b)
{
    return a == b || (a && b && a->number == b->number);
}

/* Whether the record is what the cause gives with the value that was named, too, up to the noise bound. */
static bool values_agree(const struct qc_judgement *judgement, const struct qc_hypothesis *named)
{
    struct qw_rules rules = judgement->subject->rules;
    struct qc_judgement under;
    qc_hypothesis_apply(&rules, named);
    qc_judge(&under, judgement->subject, &rules, true);
    bool agree = qc_judgement_energy(&under) <= 0 && !under.raise_denied;
    qc_judgement_clear(&under);
    return agree;
}

static bool is_listed(const struct qc_diagnosis *diagnosis, const struct qc_cause_row *cause)
{
    for (int i = 0; i <= diagnosis->equivalent && i < diagnosis->count; i++)
        if (diagnosis->ranked[i].cause == cause)
            return true;
    return false;
}

/* Whether nothing but a raise differs, and that with an exception that the cause is not known for. */
static bool proves_nothing(const struct qc_cause_row *cause, const struct qc_judgement *judgement)
{
    for (int i = 0; i < judgement->items.count; i++)
        if (qc_item_energy(judgement->items.ordered[i]) > 0 && judgement->items.ordered[i]->free.kind != QC_RAISED)
            return false;
    return judgement->subject->recording->raised && qc_cause_has_signature(cause) && !qc_cause_signed(cause, judgement->subject);
}

/* It differs, and has no name: there must be nothing to tell it by. */
static void stay_unnamed(struct qc_planting *planting, const struct qc_bed *bed, const struct qc_judgement *judgement)
{
    const struct qc_recording *record = judgement->subject->recording;
    if (proves_nothing(planting->cause, judgement)) {
        be_blind(planting, bed->form.subject, "all that differs is a raise, and not with an exception that it is known for");
    } else if (record->level < QC_LEVEL_BLOCKS && qc_records_apart(&bed->healthy, record, NULL) == QC_APART_VALUES) {
        be_blind(planting, bed->form.subject, "numbers alone differ, and were not kept: it fails, and no cause can be told");
    } else {
        planting->outcome = QC_PLANT_MISSED;
        planting->reason = qw_format("it differs, and stays unclassified");
    }
}

static void take_name(struct qc_planting *planting, const struct qc_judgement *judgement, const struct qc_diagnosis *diagnosis)
{
    const struct qc_hypothesis *best = diagnosis->ranked;
    planting->outcome = QC_PLANT_MISNAMED;
    planting->named = best->cause;
    planting->as = best->value;
    planting->explained = best->explained;
    const char *why = qc_equivalence(planting->cause->id, best->cause->id);
    if (diagnosis->second.cause) {
        planting->reason = qw_format("%s is named with it", diagnosis->second.cause->id);
    } else if (best->cause == planting->cause && same_value(best->value, planting->value)) {
        planting->outcome = QC_PLANT_NAMED;
    } else if (best->cause == planting->cause && values_agree(judgement, best)) {
        planting->outcome = QC_PLANT_NAMED;
        planting->reason = qw_format("the record is that of the value that is named as well, up to the noise bound");
    } else if (best->cause == planting->cause) {
        planting->reason = qw_format("named with another value");
    } else if (!is_listed(diagnosis, planting->cause)) {
        planting->reason = qw_format("another cause explains it better");
    } else if (why) {
        planting->outcome = QC_PLANT_EQUIVALENT;
        planting->reason = qw_format("%s", why);
    } else {
        planting->reason = qw_format("both explain it alike, which harness/selftest/equivalences.def does not account for");
    }
}

/* ---- one planting ---- */

/* A run that raised has the exception that its cause is known to raise, if one is known.  What a join says that cannot be
 * made is told by the play. */
static void raise_as_known(struct qc_recording *record, const struct qc_subject *form, const struct qc_cause_row *cause)
{
    const struct qc_signature_row *row;
    for (int i = 0; record->raised && (row = qc_signature_at(i)); i++)
        if (!strcmp(row->id, cause->id) && !strstr(row->message, "except in dimension")) {
            char *message = qc_cause_text(row->message, cause, form);
            qc_scribe_raise(record, row->exception, message, row->traceback);
            free(message);
            return;
        }
}

static void name_record(struct qc_planting *planting, const struct qc_bed *bed, const struct qc_refit *form,
                        const struct qc_recording *record)
{
    struct qc_judged judged;
    qc_judged_make(&judged, form, record, bed->values);
    if (!judged.made) {
        planting->outcome = QC_PLANT_MISSED;
        planting->reason = qw_format("the record is refused: %s", judged.error.message);
    } else if (!qc_judgement_first(&judged.judgement)) {
        pass(planting, bed, record, &judged.judgement);
    } else {
        struct qc_diagnosis diagnosis = qc_diagnose(&judged.judgement);
        if (diagnosis.named)
            take_name(planting, &judged.judgement, &diagnosis);
        else
            stay_unnamed(planting, bed, &judged.judgement);
        qc_diagnosis_clear(&diagnosis);
    }
    qc_judged_clear(&judged);
}

/* The deviation has rules; a prefix that they cannot cut is one that fits them, as the adapter of such a run does. */
static void plant(struct qc_planting *planting, const struct qc_bed *bed, const struct qw_rules *rules)
{
    struct qc_recording record;
    struct qc_refit form;
    qc_refit_make(&form, bed->form.subject, &bed->form.places, rules);
    bool known = qc_scribe_write(&record, form.subject, rules);
    raise_as_known(&record, form.subject, planting->cause);
    if (!known)
        be_blind(planting, form.subject, "which tokens the run would feed is not known");
    else if (qc_records_apart(&bed->healthy, &record, NULL) == QC_APART_NOWHERE)
        be_blind(planting, form.subject, "all that is kept of the run would be that of the healthy one, bit for bit");
    else
        name_record(planting, bed, &form, &record);
    qc_scribe_clear(&record);
    qc_refit_clear(&form);
}

struct qc_planting qc_plant(const struct qc_bed *bed, const struct qc_cause_row *cause, const struct qw_value *value)
{
    struct qc_planting planting = {.cause = cause, .value = value};
    struct qw_rules rules = bed->form.subject->rules;
    enum qw_deviation deviation;
    if (qc_cause_deviation(&deviation, cause)) {
        qw_deviation_apply_value(&rules, deviation, value ? value->number : 0);
        plant(&planting, bed, &rules);
    } else {
        planting.outcome = QC_PLANT_BLIND;
        planting.reason = qw_format("%s", qc_cause_raise(cause) ? "no play gives it: it is known by the exception that it raises"
                                                                : "no play gives it: one recording alone does not show it");
    }
    return planting;
}
