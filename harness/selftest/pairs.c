/* Invariant: what is hidden is found by the play of the other one alone, not by what the diagnosis says. */
#include "harness/selftest/pairs.h"

#include <stdlib.h>

#include "harness/selftest/judged.h"
#include "harness/selftest/same.h"
#include "harness/selftest/scribe.h"
#include "reference/base/text.h"

bool qc_pair_at(const struct qc_cause_row *pair[2], int index)
{
    static const char *const rows[][2] = {
#define PAIR(one, other) {one, other},
#include "harness/selftest/pairs.def"
#undef PAIR
    };
    if (index >= (int)(sizeof rows / sizeof *rows))
        return false;
    for (int i = 0; i < 2; i++)
        pair[i] = qc_cause_find(rows[index][i]);
    return true;
}

static void apply(struct qw_rules *rules, const struct qc_planted *planted)
{
    qc_hypothesis_apply(rules, &(struct qc_hypothesis){.cause = planted->cause, .value = planted->value});
}

/* Whether the record is what the cause alone gives, up to the noise bound. */
static bool is_of_one(const struct qc_subject *subject, const struct qc_planted *planted)
{
    struct qw_rules rules = subject->rules;
    struct qc_judgement under;
    apply(&rules, planted);
    qc_judge(&under, subject, &rules, true);
    bool all = qc_judgement_energy(&under) <= 0 && !under.raise_denied;
    qc_judgement_clear(&under);
    return all;
}

/* Both in any order. */
static bool names_both(const struct qc_pair_planting *pair)
{
    return (pair->named[0] == pair->planted[0].cause && pair->named[1] == pair->planted[1].cause) ||
           (pair->named[0] == pair->planted[1].cause && pair->named[1] == pair->planted[0].cause);
}

static bool is_planted(const struct qc_pair_planting *pair, const struct qc_cause_row *named)
{
    return !named || named == pair->planted[0].cause || named == pair->planted[1].cause;
}

/* What was named, of a record in which both show (hidden -1), or one of them does not. */
static void weigh(struct qc_pair_planting *pair, int hidden)
{
    if (hidden < 0 && names_both(pair)) {
        pair->outcome = QC_PLANT_NAMED;
    } else if (hidden >= 0 && pair->named[0] && pair->named[0] == pair->planted[1 - hidden].cause && !pair->named[1]) {
        pair->outcome = QC_PLANT_BLIND;
        pair->reason = qw_format("%s is hidden: the record is that of %s alone", pair->planted[hidden].cause->id,
                                 pair->planted[1 - hidden].cause->id);
    } else if (is_planted(pair, pair->named[0]) && is_planted(pair, pair->named[1])) {
        pair->outcome = QC_PLANT_MISSED;
        pair->reason = qw_format("%s is not named with it, though the record is not that of one alone",
                                 pair->planted[pair->named[0] == pair->planted[0].cause].cause->id);
    } else {
        pair->outcome = QC_PLANT_MISNAMED;
        pair->reason = qw_format("another cause explains it better");
    }
}

static void diagnose(struct qc_pair_planting *pair, const struct qc_judgement *judgement)
{
    struct qc_diagnosis diagnosis = qc_diagnose(judgement);
    if (diagnosis.named) {
        pair->named[0] = diagnosis.ranked[0].cause;
        pair->named[1] = diagnosis.second.cause;
        pair->explained = diagnosis.together;
    }
    qc_diagnosis_clear(&diagnosis);
}

static void name_record(struct qc_pair_planting *pair, const struct qc_refit *form, const struct qc_recording *record,
                        bool values)
{
    struct qc_judged judged;
    qc_judged_make(&judged, form, record, values);
    pair->outcome = QC_PLANT_MISSED;
    if (!judged.made) {
        pair->reason = qw_format("the record is refused: %s", judged.error.message);
    } else if (!qc_judgement_first(&judged.judgement)) {
        pair->reason = qw_format("it passes");
    } else {
        int hidden = is_of_one(&judged.subject, &pair->planted[0]) ? 1 : is_of_one(&judged.subject, &pair->planted[1]) ? 0 : -1;
        diagnose(pair, &judged.judgement);
        weigh(pair, hidden);
    }
    qc_judged_clear(&judged);
}

struct qc_pair_planting qc_plant_pair(const struct qc_bed *bed, const struct qc_planted pair[2])
{
    struct qc_pair_planting planting = {.planted = {pair[0], pair[1]}};
    struct qw_rules rules = bed->form.subject->rules;
    struct qc_recording record;
    struct qc_refit form;
    apply(&rules, &pair[0]);
    apply(&rules, &pair[1]);
    qc_refit_make(&form, bed->form.subject, &bed->form.places, &rules);
    if (qc_scribe_write(&record, form.subject, &rules)) {
        name_record(&planting, &form, &record, bed->values);
    } else {
        planting.outcome = QC_PLANT_BLIND;
        planting.reason = qw_format("which tokens the run would feed is not known");
    }
    qc_scribe_clear(&record);
    qc_refit_clear(&form);
    return planting;
}
