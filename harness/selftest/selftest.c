/* Invariant: every cause that is asked for has one entry, in the order of the catalogue. */
#include "harness/selftest/selftest.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "harness/selftest/pairs.h"
#include "harness/selftest/relations.h"
#include "harness/selftest/stand_in.h"
#include "harness/worker/case.h"

#define READ_BUDGET ((int64_t)16 << 30)

static void put_value(struct qw_json *json, const char *number, const char *words, const struct qw_value *value)
{
    if (value && value->words[0])
        qw_json_put_text(json, words, value->words);
    else if (value)
        qw_json_put_real(json, number, value->number);
}

static void put_planting(struct qw_json *json, const struct qc_planting *planting)
{
    qw_json_put_text(json, "outcome", qc_outcome_name(planting->outcome));
    qw_json_put_text(json, "named", planting->named ? planting->named->id : NULL);
    qw_json_put_real(json, "explained", planting->explained);
    qw_json_put_text(json, "reason", planting->reason);
    put_value(json, "parameter", "variant", planting->value);
    if (planting->as != planting->value)
        put_value(json, "named_parameter", "named_variant", planting->as);
}

/* Plants a cause with each of its values; its entry is that of the worst, and the others stand beside it. */
static enum qc_outcome add_cause(struct qw_json *planted, const struct qc_bed *bed, const struct qc_cause_row *cause)
{
    enum qw_deviation deviation = 0;
    int values = qc_cause_deviation(&deviation, cause) ? qw_deviation_values(deviation) : 0, count = values ? values : 1;
    struct qw_json *json = qw_json_add(planted, qw_json_object()), *all = values > 1 ? qw_json_array() : NULL;
    struct qc_planting worst = qc_plant(bed, cause, values ? qw_deviation_value(deviation, 0) : NULL);
    if (all)
        put_planting(qw_json_add(all, qw_json_object()), &worst);
    for (int i = 1; i < count; i++) {
        struct qc_planting next = qc_plant(bed, cause, qw_deviation_value(deviation, i));
        put_planting(qw_json_add(all, qw_json_object()), &next);
        if (next.outcome > worst.outcome) {
            free(worst.reason);
            worst = next;
        } else {
            free(next.reason);
        }
    }
    qw_json_put_text(json, "id", cause->id);
    put_planting(json, &worst);
    if (all)
        qw_json_put(json, "values", all);
    free(worst.reason);
    return worst.outcome;
}

/* ---- two at once ---- */

static bool is_named(const struct qw_json *row) { return !strcmp(qw_json_get_text(row, "outcome", ""), "named"); }

/* False where the cause by itself, with some value, is not named. */
static bool take_named(struct qc_planted *out, const struct qw_json *planted, const struct qc_cause_row *cause)
{
    enum qw_deviation deviation;
    int index = 0;
    const struct qw_json *row = qw_json_first(planted);
    while (row && strcmp(qw_json_get_text(row, "id", ""), cause->id))
        row = qw_json_next(row);
    const struct qw_json *value = qw_json_first(qw_json_get(row, "values"));
    for (; value && !is_named(value); index++)
        value = qw_json_next(value);
    bool valued = qc_cause_deviation(&deviation, cause) && qw_deviation_values(deviation) > 0;
    *out = (struct qc_planted){cause, valued && is_named(row) ? qw_deviation_value(deviation, index) : NULL};
    return is_named(row);
}

static void put_pair(struct qw_json *json, const struct qc_pair_planting *pair)
{
    struct qw_json *ids = qw_json_put(json, "ids", qw_json_array());
    for (int i = 0; i < 2; i++)
        qw_json_add_text(ids, pair->planted[i].cause->id);
    qw_json_put_text(json, "outcome", qc_outcome_name(pair->outcome));
    struct qw_json *named = qw_json_put(json, "named", qw_json_array());
    for (int i = 0; i < 2 && pair->named[i]; i++)
        qw_json_add_text(named, pair->named[i]->id);
    qw_json_put_real(json, "explained", pair->explained);
    qw_json_put_text(json, "reason", pair->reason);
}

/* Those of which each by itself is named here. */
static void add_pairs(struct qw_json *document, const struct qc_bed *bed, const struct qw_json *planted)
{
    const struct qc_cause_row *pair[2];
    struct qc_planted both[2];
    struct qw_json *pairs = qw_json_put(document, "pairs", qw_json_array());
    for (int i = 0; qc_pair_at(pair, i); i++) {
        if (!take_named(&both[0], planted, pair[0]) || !take_named(&both[1], planted, pair[1]))
            continue;
        struct qc_pair_planting planting = qc_plant_pair(bed, both);
        put_pair(qw_json_add(pairs, qw_json_object()), &planting);
        free(planting.reason);
    }
}

/* ---- the document ---- */

static struct qw_json *document_of(const struct qc_task *task, const struct qc_bed *bed)
{
    struct qw_json *json = qw_json_object();
    int count[QC_OUTCOMES] = {0};
    qw_json_put_text(json, "schema", "qconform-selftest/1");
    qw_json_put_text(json, "recording", task->path);
    struct qw_json *planted = qw_json_put(json, "planted", qw_json_array());
    for (int i = 0; i < qc_cause_count(); i++)
        if (!task->filter || !fnmatch(task->filter, qc_cause_at(i)->id, 0))
            count[add_cause(planted, bed, qc_cause_at(i))]++;
    struct qw_json *summary = qw_json_put(json, "summary", qw_json_object());
    for (int i = 0; i < QC_OUTCOMES; i++)
        qw_json_put_int(summary, qc_outcome_name((enum qc_outcome)i), count[i]);
    if (task->pairs > 0)
        add_pairs(json, bed, planted);
    return json;
}

static struct qw_json *plant_all(const struct qc_task *task, const struct qc_subject *subject, bool values)
{
    struct qw_error error = {0};
    struct qc_bed bed;
    struct qw_json *json;
    qc_bed_make(&bed, subject, &task->places, values);
    if (bed.unfit) {
        qw_fail(&error, QW_ERROR_INPUT, "", "diagnose the recording first; if it passes, report this", "%s", bed.unfit);
        qw_error_in_file(&error, task->path);
        json = qc_case_undecided(qc_task_id(task), task->path, subject->recording, "FAIL", &error);
    } else {
        json = document_of(task, &bed);
        if (values)
            qw_json_put(json, "relations", qc_relations_check(bed.form.subject));
    }
    qc_bed_clear(&bed);
    return json;
}

/* Without the weights: by structure alone, which follows from no number. */
static struct qw_json *plant_structure(const struct qc_task *task, const struct qc_subject *subject)
{
    struct qc_stand_in stand_in;
    struct qw_error error = {0};
    struct qw_json *json;
    if (qc_stand_in_make(&stand_in, subject, &error)) {
        json = plant_all(task, &stand_in.subject, false);
    } else {
        qw_error_in_file(&error, task->path);
        json = qc_case_undecided(qc_task_id(task), task->path, subject->recording, "SKIP", &error);
    }
    qc_stand_in_clear(&stand_in);
    return json;
}

struct qw_json *qc_selftest(const struct qc_task *task)
{
    struct qc_recording recording = {0};
    struct qc_subject subject = {0};
    struct qw_error error = {0};
    bool made = qc_recording_read(&recording, task->path, READ_BUDGET, &error) &&
                qc_subject_make(&subject, &recording, &task->places, &error);
    struct qw_json *json = made ? (subject.model.has_weights ? plant_all(task, &subject, true) : plant_structure(task, &subject))
                           : subject.needs.model || subject.needs.adapter
                               ? qc_task_needs(&subject.needs)
                               : qc_case_undecided(qc_task_id(task), task->path, &recording,
                                                   error.kind == QW_ERROR_UNSUPPORTED ? "SKIP" : "ERROR", &error);
    qc_subject_clear(&subject);
    qc_recording_clear(&recording);
    return json;
}
