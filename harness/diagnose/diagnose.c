/* Invariant: a cause is named only for what it reproduces; below one half there is no name. */
#include "harness/diagnose/diagnose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/diagnose/everywhere.h"
#include "reference/base/memory.h"

#define NAMED_FROM  0.5 /* below: unclassified */
#define HIGH_FROM   0.99
#define MEDIUM_FROM 0.9
#define HIGH_LEAD   0.2 /* lead over the runner-up */

static const struct qc_item *twin_of(const struct qc_item *item, const struct qc_judgement *deviated)
{
    return qc_items_at((struct qc_items *)(uintptr_t)&deviated->items, item->site, item->step, item->layer);
}

/* Recorded and judged in the healthy play, but the deviated play stops before it, where the run itself went on. */
static bool unreached(const struct qc_item *item, const struct qc_judgement *deviated)
{
    const struct qc_item *twin = twin_of(item, deviated);
    bool silent = !twin->free.looked || (item->free.valued && !twin->free.valued && twin->free.kind == QC_KIND_NONE);
    return deviated->stop.stopped && !deviated->raise_predicted && item->recorded && item->free.looked && silent;
}

/* How many of the sites that differ from the healthy play agree with the deviated one. */
static void count_reproduced(struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy,
                             const struct qc_judgement *deviated)
{
    for (int i = 0; i < healthy->items.count; i++) {
        const struct qc_item *item = healthy->items.ordered[i];
        if (qc_item_energy(item) == 0)
            continue;
        const struct qc_item *twin = twin_of(item, deviated);
        hypothesis->sites++;
        hypothesis->reproduced += qc_item_energy(twin) == 0 && !unreached(item, deviated);
    }
}

/* What was recorded beyond the place where the deviated play stops is a difference, each of one unit. */
static double unreached_energy(const struct qc_judgement *healthy, const struct qc_judgement *deviated)
{
    double energy = 0;
    for (int i = 0; i < healthy->items.count; i++)
        energy += unreached(healthy->items.ordered[i], deviated);
    return energy;
}

/* Sites whose content is integers, structure or copies (a prefix): a play gives them exactly or it does not. */
static bool is_handover_fact(const struct qc_item *item, const struct qw_call *call)
{
    enum qw_place place = qw_site_rows[item->site].place;
    bool copied = place == QW_BEFORE && qw_protocol_turn(call, item->step).first == 0;
    return place == QW_RECEIVED || copied || item->site == QW_SITE_BEFORE_TYPE || item->site == QW_SITE_BEFORE_LENGTH;
}

/* The first fact of the hand-over that the healthy play has right and the deviated one wrong. */
static void rule_out(struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy, const struct qc_judgement *deviated)
{
    for (int i = 0; i < healthy->items.count && !hypothesis->ruled_out; i++) {
        const struct qc_item *item = healthy->items.ordered[i], *twin = twin_of(item, deviated);
        bool right = item->recorded && item->free.looked && item->free.kind == QC_KIND_NONE;
        bool wrong = twin->free.looked && twin->free.kind != QC_KIND_NONE;
        bool by_value = item->site == QW_SITE_INPUTS_EMBEDS && twin->free.kind == QC_VALUE;
        if (!is_handover_fact(item, &healthy->subject->call) || !right || !wrong || by_value)
            continue;
        hypothesis->ruled_out = true;
        hypothesis->against = item->site;
        hypothesis->against_step = item->step;
        hypothesis->explained = 0;
    }
}

/* Whether nothing but a raise differs from the healthy play. */
static bool only_raised(const struct qc_judgement *healthy)
{
    for (int i = 0; i < healthy->items.count; i++)
        if (qc_item_energy(healthy->items.ordered[i]) > 0 && healthy->items.ordered[i]->free.kind != QC_RAISED)
            return false;
    return true;
}

/* A place at which much can go wrong proves nothing by itself: there the exception must be one that the cause raises. */
static bool proves_raise(const struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy)
{
    return !only_raised(healthy) || !qc_cause_has_signature(hypothesis->cause) ||
           qc_cause_signed(hypothesis->cause, healthy->subject);
}

bool qc_hypothesis_apply(struct qw_rules *rules, const struct qc_hypothesis *hypothesis)
{
    enum qw_deviation deviation;
    if (!qc_cause_deviation(&deviation, hypothesis->cause))
        return false;
    qw_deviation_apply_value(rules, deviation, hypothesis->value ? hypothesis->value->number : 0);
    return true;
}

/* Whether something shows in the isolated view alone: then a play has to be looked at in both. */
static bool fails_apart(const struct qc_judgement *healthy)
{
    for (int i = 0; i < healthy->items.count; i++)
        if (qc_item_fails_apart(healthy->items.ordered[i]))
            return true;
    return false;
}

/* Whether the run raised between two steps, in the library's own code, as the cause is known to come to, and its play
 * reproduces all that differs before, which is something: nothing is left but the raise. */
static bool raise_follows(const struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy, double left)
{
    const struct qc_recording *recording = healthy->subject->recording;
    bool between = recording->raised && recording->steps > 0 && !recording->step[recording->steps - 1].raised;
    return between && !only_raised(healthy) && left <= 1 && qc_cause_signed(hypothesis->cause, healthy->subject);
}

/* Holds what the deviation would hand over against the record, which takes no play: false when that rules it out. */
static bool may_be_played(struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy)
{
    struct qc_subject bare = *healthy->subject;
    struct qw_rules rules = bare.rules;
    struct qc_judgement handed;
    bare.model.has_weights = false;
    qc_hypothesis_apply(&rules, hypothesis);
    qc_judge(&handed, &bare, &rules, false);
    rule_out(hypothesis, healthy, &handed);
    qc_judgement_clear(&handed);
    for (int i = 0; i < healthy->items.count; i++)
        hypothesis->sites += hypothesis->ruled_out && qc_item_energy(healthy->items.ordered[i]) > 0;
    return !hypothesis->ruled_out;
}

/* A deviation of the model has to account for the first thing that differs: it follows from no other. */
static bool sets_first_right(const struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy,
                             const struct qc_judgement *deviated)
{
    enum qw_deviation deviation;
    const struct qc_item *first = qc_judgement_first(healthy);
    bool of_model = qc_cause_deviation(&deviation, hypothesis->cause) && qw_deviation_party(deviation) == QW_MODEL;
    return !of_model || !first || (qc_item_energy(twin_of(first, deviated)) == 0 && !unreached(first, deviated));
}

static void play_hypothesis(struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy)
{
    struct qw_rules rules = healthy->subject->rules;
    struct qc_judgement deviated;
    if (!may_be_played(hypothesis, healthy))
        return;
    qc_hypothesis_apply(&rules, hypothesis);
    qc_judge(&deviated, healthy->subject, &rules, fails_apart(healthy) || qw_rules_widen(&rules));
    double before = qc_judgement_energy(healthy), after = qc_judgement_energy(&deviated) + unreached_energy(healthy, &deviated);
    bool comes_to_raise = raise_follows(hypothesis, healthy, after);
    hypothesis->explained = before > 0 ? fmax(0, 1 - (after - comes_to_raise) / before) : 0;
    count_reproduced(hypothesis, healthy, &deviated);
    hypothesis->reproduced += comes_to_raise;
    rule_out(hypothesis, healthy, &deviated);
    if (deviated.raise_denied || (deviated.raise_predicted && !proves_raise(hypothesis, healthy)) ||
        !sets_first_right(hypothesis, healthy, &deviated) || (qw_rules_widen(&rules) && !qc_shows_everywhere(healthy, &deviated)))
        hypothesis->explained = hypothesis->reproduced = 0;
    qc_judgement_clear(&deviated);
}

/* Whether anything that PEFT's part hands over differs from the healthy play. */
static bool handover_differs(const struct qc_judgement *healthy)
{
    for (int i = 0; i < healthy->items.count; i++)
        if (qw_site_rows[healthy->items.ordered[i]->site].party == QW_PROTOCOL && qc_item_energy(healthy->items.ordered[i]) > 0)
            return true;
    return false;
}

/* Plays the deviation with each of its values and keeps the one that explains most.  Those of PEFT's part need not be tried
 * where what it handed over is right. */
static void try_deviation(struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy, enum qw_deviation deviation)
{
    int values = qw_deviation_values(deviation);
    if (!values) {
        play_hypothesis(hypothesis, healthy);
        return;
    }
    if (qw_deviation_party(deviation) == QW_PROTOCOL && !handover_differs(healthy))
        return;
    for (int i = 0; i < values && hypothesis->explained < HIGH_FROM; i++) {
        struct qc_hypothesis one = {.cause = hypothesis->cause, .value = qw_deviation_value(deviation, i)};
        play_hypothesis(&one, healthy);
        if (i == 0 || one.explained > hypothesis->explained)
            *hypothesis = one;
    }
}

/* Whether the exception accounts for a difference: the raise itself, and what its row says comes before it. */
static bool accounts_for(const struct qc_raise_row *raise, const struct qc_item *item)
{
    char name[96];
    int length = snprintf(name, sizeof name, "%s:%s", qw_site_rows[item->site].name, qc_kind_name(item->free.kind));
    const char *found = item->free.kind == QC_RAISED ? NULL : strstr(raise->differences, name);
    return item->free.kind == QC_RAISED || (found && (found[length] == ' ' || !found[length]));
}

/* The share of the differing structural facts that the exception accounts for, where that beats the play. */
static void try_signature(struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy, const struct qc_raise_row *raise)
{
    int sites = 0, reproduced = 0;
    for (int i = 0; i < healthy->items.count; i++) {
        const struct qc_item *item = healthy->items.ordered[i];
        sites += qc_item_energy(item) > 0;
        reproduced += qc_item_energy(item) > 0 && accounts_for(raise, item);
    }
    double explained = sites ? (double)reproduced / sites : 0;
    if (explained <= hypothesis->explained)
        return;
    *hypothesis = (struct qc_hypothesis){.cause = hypothesis->cause, .explained = explained, .by_signature = true};
    hypothesis->sites = sites;
    hypothesis->reproduced = reproduced;
}

static void try_cause(struct qc_hypothesis *hypothesis, const struct qc_judgement *healthy)
{
    enum qw_deviation deviation;
    const struct qc_raise_row *raise = qc_cause_raise(hypothesis->cause);
    if (qc_cause_deviation(&deviation, hypothesis->cause))
        try_deviation(hypothesis, healthy, deviation);
    bool corroborated = qc_cause_signed(hypothesis->cause, healthy->subject);
    if (corroborated && raise)
        try_signature(hypothesis, healthy, raise);
    hypothesis->corroborated = corroborated;
}

static bool can_be_tried(const struct qc_cause_row *cause, const struct qc_recording *recording)
{
    enum qw_deviation deviation;
    return qc_cause_deviation(&deviation, cause) || (recording->raised && qc_cause_raise(cause));
}

/* Whether two hypotheses explain the same and the exception, if there was one, speaks for neither alone. */
static bool same_evidence(const struct qc_hypothesis *a, const struct qc_hypothesis *b)
{
    return a->explained == b->explained && a->corroborated == b->corroborated;
}

static bool better(const struct qc_hypothesis *a, const struct qc_hypothesis *b)
{
    return a->explained > b->explained || (a->explained == b->explained && a->corroborated && !b->corroborated);
}

/* Best first; a stable order for equal ones. */
static void rank(struct qc_hypothesis *ranked, int count)
{
    for (int i = 1; i < count; i++)
        for (int j = i; j > 0 && better(&ranked[j], &ranked[j - 1]); j--) {
            struct qc_hypothesis swap = ranked[j];
            ranked[j] = ranked[j - 1];
            ranked[j - 1] = swap;
        }
}

static enum qc_confidence confidence_of(const struct qc_diagnosis *diagnosis, const struct qc_subject *subject)
{
    const struct qc_hypothesis *best = &diagnosis->ranked[0];
    int next = 1 + diagnosis->equivalent;
    double runner_up = next < diagnosis->count ? diagnosis->ranked[next].explained : 0;
    if (best->by_signature)
        return qc_cause_known(best->cause, subject) ? QC_MEDIUM : QC_LOW;
    if (best->explained >= HIGH_FROM && best->explained - runner_up >= HIGH_LEAD)
        return QC_HIGH;
    return best->explained >= MEDIUM_FROM ? QC_MEDIUM : QC_LOW;
}

struct qc_diagnosis qc_diagnose(const struct qc_judgement *healthy)
{
    struct qc_diagnosis diagnosis = {0};
    diagnosis.ranked = QW_NEW_ARRAY(struct qc_hypothesis, qc_cause_count());
    for (int i = 0; i < qc_cause_count(); i++) {
        struct qc_hypothesis *next = &diagnosis.ranked[diagnosis.count];
        if (!can_be_tried(qc_cause_at(i), healthy->subject->recording))
            continue;
        next->cause = qc_cause_at(i);
        try_cause(next, healthy);
        diagnosis.count++;
    }
    rank(diagnosis.ranked, diagnosis.count);
    diagnosis.named = diagnosis.count > 0 && diagnosis.ranked[0].explained >= NAMED_FROM;
    while (diagnosis.named && diagnosis.equivalent + 1 < diagnosis.count &&
           same_evidence(&diagnosis.ranked[diagnosis.equivalent + 1], &diagnosis.ranked[0]))
        diagnosis.equivalent++;
    diagnosis.confidence = diagnosis.named ? confidence_of(&diagnosis, healthy->subject) : QC_LOW;
    return diagnosis;
}

void qc_diagnosis_clear(struct qc_diagnosis *diagnosis)
{
    free(diagnosis->ranked);
    *diagnosis = (struct qc_diagnosis){0};
}
