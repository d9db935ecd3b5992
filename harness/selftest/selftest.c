/* Invariant: every cause of the catalogue has one entry, in the order of the catalogue. */
#include "harness/selftest/selftest.h"

#include <stdlib.h>
#include <string.h>

#include "harness/selftest/plant.h"
#include "harness/worker/case.h"
#include "reference/base/file.h"

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

static struct qw_json *document_of(const struct qc_recording *recording, const struct qc_bed *bed)
{
    struct qw_json *json = qw_json_object();
    int count[QC_OUTCOMES] = {0};
    qw_json_put_text(json, "schema", "qconform-selftest/1");
    qw_json_put_text(json, "recording", recording->path);
    struct qw_json *planted = qw_json_put(json, "planted", qw_json_array());
    for (int i = 0; i < qc_cause_count(); i++)
        count[add_cause(planted, bed, qc_cause_at(i))]++;
    struct qw_json *summary = qw_json_put(json, "summary", qw_json_object());
    for (int i = 0; i < QC_OUTCOMES; i++)
        qw_json_put_int(summary, qc_outcome_name((enum qc_outcome)i), count[i]);
    return json;
}

static struct qw_json *plant_all(const struct qc_task *task, const struct qc_subject *subject)
{
    struct qw_error error = {0};
    const struct qc_recording *recording = subject->recording;
    if (!subject->model.has_weights) {
        qw_fail(&error, QW_ERROR_UNSUPPORTED, "/model/weights", "give them: --model DIR --adapter DIR",
                "the weights were not kept, so that nothing can be played");
        qw_error_in_file(&error, recording->path);
        return qc_case_undecided(qw_path_base(task->path), task->path, recording, "SKIP", &error);
    }
    struct qc_bed bed;
    struct qw_json *json;
    qc_bed_make(&bed, subject, &task->places);
    if (bed.unfit) {
        qw_fail(&error, QW_ERROR_INPUT, "", "diagnose the recording first; if it passes, report this", "%s", bed.unfit);
        qw_error_in_file(&error, recording->path);
        json = qc_case_undecided(qw_path_base(task->path), task->path, recording, "FAIL", &error);
    } else {
        json = document_of(recording, &bed);
    }
    qc_bed_clear(&bed);
    return json;
}

struct qw_json *qc_selftest(const struct qc_task *task)
{
    struct qc_recording recording = {0};
    struct qc_subject subject = {0};
    struct qw_error error = {0};
    bool made = qc_recording_read(&recording, task->path, READ_BUDGET, &error) &&
                qc_subject_make(&subject, &recording, &task->places, &error);
    struct qw_json *json = made ? plant_all(task, &subject)
                           : subject.needs.model || subject.needs.adapter
                               ? qc_task_needs(&subject.needs)
                               : qc_case_undecided(qw_path_base(task->path), task->path, &recording,
                                                   error.kind == QW_ERROR_UNSUPPORTED ? "SKIP" : "ERROR", &error);
    qc_subject_clear(&subject);
    qc_recording_clear(&recording);
    return json;
}
