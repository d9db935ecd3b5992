/* Invariant: a cause is named only for what it reproduces; below one half there is no name. */
#include "harness/diagnose/diagnose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/diagnose/trial.h"
#include "reference/base/memory.h"

#define HIGH_FROM   0.99
#define MEDIUM_FROM 0.9
#define HIGH_LEAD   0.2 /* lead over the runner-up */
#define FIRSTS      3   /* hypotheses to which a second is looked for */

bool qc_hypothesis_apply(struct qw_rules *rules, const struct qc_hypothesis *hypothesis)
{
    enum qw_deviation deviation;
    if (!qc_cause_deviation(&deviation, hypothesis->cause))
        return false;
    qw_deviation_apply_value(rules, deviation, hypothesis->value ? hypothesis->value->number : 0);
    return true;
}

void qc_diagnosis_apply(struct qw_rules *rules, const struct qc_diagnosis *diagnosis)
{
    qc_hypothesis_apply(rules, &diagnosis->ranked[0]);
    if (diagnosis->second.cause)
        qc_hypothesis_apply(rules, &diagnosis->second);
}

/* ---- one cause ---- */

/* Screens the deviation with each of its values and keeps the one that explains most (qc_trial_screen).  Those of PEFT's part
 * need not be tried where what is handed over is right: they would change it, or nothing. */
static void screen_deviation(struct qc_hypothesis *hypothesis, const struct qc_trial *trial, enum qw_deviation deviation,
                             double enough)
{
    int values = qw_deviation_values(deviation);
    if (qw_deviation_party(deviation) == QW_PROTOCOL && !qc_trial_handover_differs(trial))
        return;
    for (int i = 0; i < (values ? values : 1); i++) {
        struct qc_hypothesis one = {.cause = hypothesis->cause, .value = qw_deviation_value(deviation, i)};
        qc_trial_screen(&one, trial, enough);
        bool tells_less = one.explained == hypothesis->explained && one.given_up == QC_LEAVES;
        if (i == 0 || one.explained > hypothesis->explained || tells_less)
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

static void try_cause(struct qc_hypothesis *hypothesis, const struct qc_trial *trial)
{
    enum qw_deviation deviation;
    const struct qc_subject *subject = trial->base->subject;
    const struct qc_raise_row *raise = qc_cause_raise(hypothesis->cause);
    hypothesis->against_layer = -1;
    if (qc_cause_deviation(&deviation, hypothesis->cause))
        screen_deviation(hypothesis, trial, deviation, 1);
    bool corroborated = qc_cause_signed(hypothesis->cause, subject);
    if (corroborated && raise)
        try_signature(hypothesis, trial->base, raise);
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

/* Plays completely whatever explains as much as the best, until the best is among what was played. */
static void refine(struct qc_diagnosis *diagnosis, const struct qc_trial *trial)
{
    for (int i = 0; i < diagnosis->count;) {
        rank(diagnosis->ranked, diagnosis->count);
        double enough = fmax(QC_NAMED_FROM, diagnosis->ranked[0].explained - (1 - HIGH_FROM));
        for (i = 0; i < diagnosis->count; i++) {
            struct qc_hypothesis *next = &diagnosis->ranked[i];
            if (next->complete || next->by_signature || next->explained < enough)
                continue;
            qc_trial_play(next, trial);
            break;
        }
    }
}

/* A light play tells neighbouring values from each other only roughly: where the best does not reproduce everything, its
 * other values are played completely. */
static void settle_value(struct qc_diagnosis *diagnosis, const struct qc_trial *trial)
{
    enum qw_deviation deviation;
    struct qc_hypothesis *best = diagnosis->ranked;
    bool open = diagnosis->count && best->complete && best->value && !best->suffices && best->explained >= MEDIUM_FROM;
    if (!open || !qc_cause_deviation(&deviation, best->cause))
        return;
    for (int i = 0; i < qw_deviation_values(deviation) && !best->suffices; i++) {
        struct qc_hypothesis other = {.cause = best->cause, .value = qw_deviation_value(deviation, i), .against_layer = -1};
        other.corroborated = best->corroborated;
        if (other.value != best->value)
            qc_trial_play(&other, trial);
        if (other.explained > best->explained)
            *best = other;
    }
}

/* Where nothing that mends the first divergence explains everything, what leaves it as it is may still explain the rest. */
static void screen_what_leaves_first(struct qc_diagnosis *diagnosis, const struct qc_trial *trial)
{
    for (int i = 0; i < diagnosis->count; i++) {
        enum qw_deviation deviation;
        struct qc_hypothesis *next = &diagnosis->ranked[i];
        bool corroborated = next->corroborated;
        if (next->given_up != QC_LEAVES || !qc_cause_deviation(&deviation, next->cause))
            continue;
        screen_deviation(next, trial, deviation, 0);
        next->corroborated = corroborated;
    }
}

/* Where nothing has a name, what contradicts the record in values may still explain most of it. */
static void screen_what_contradicts(struct qc_diagnosis *diagnosis, const struct qc_trial *trial)
{
    struct qc_trial other = *trial;
    other.forgives = true;
    for (int i = 0; i < diagnosis->count; i++) {
        enum qw_deviation deviation;
        struct qc_hypothesis again = diagnosis->ranked[i];
        if (again.given_up != QC_CONTRADICTS || !qc_cause_deviation(&deviation, again.cause))
            continue;
        screen_deviation(&again, &other, deviation, QC_NAMED_FROM);
        again.corroborated = diagnosis->ranked[i].corroborated;
        if (again.explained >= QC_NAMED_FROM)
            diagnosis->ranked[i] = again;
    }
}

/* ---- two at once ---- */

/* The one that explains most of what remains under `first`, of causes other than it; its cause is NULL when none explains
 * half. */
static struct qc_hypothesis find_second(const struct qc_diagnosis *diagnosis, const struct qc_hypothesis *first,
                                        const struct qc_trial *remains)
{
    struct qc_hypothesis best = {0};
    for (int i = 0; i < diagnosis->count; i++) {
        enum qw_deviation deviation;
        struct qc_hypothesis next = {.cause = diagnosis->ranked[i].cause, .against_layer = -1};
        if (next.cause == first->cause || !qc_cause_deviation(&deviation, next.cause))
            continue;
        screen_deviation(&next, remains, deviation, QC_NAMED_FROM);
        if (next.explained >= QC_NAMED_FROM && next.explained > best.explained)
            best = next;
    }
    if (best.cause)
        qc_trial_play(&best, remains);
    return best.explained >= QC_NAMED_FROM ? best : (struct qc_hypothesis){0};
}

/* Plays a hypothesis on top of other rules than the base's, and holds it against what differs from the base. */
static void play_on_top(struct qc_hypothesis *hypothesis, const struct qw_rules *rules, const struct qc_trial *trial)
{
    struct qc_judgement base = *trial->base;
    struct qc_trial other = *trial;
    base.rules = *rules;
    other.base = &base;
    qc_trial_play(hypothesis, &other);
}

/* Looks for what `first` leaves: true when a second explains half of that, and `first` half of what the second leaves.
 * `second` is then what it is by itself, `both` what the two are together. */
static bool try_pair(struct qc_hypothesis *second, struct qc_hypothesis *both, const struct qc_diagnosis *diagnosis,
                     const struct qc_hypothesis *first, const struct qc_trial *trial)
{
    struct qw_rules rules = trial->base->rules;
    struct qc_judgement under;
    qc_hypothesis_apply(&rules, first);
    qc_judge(&under, trial->base->subject, &rules, trial->apart);
    struct qc_trial remains = qc_trial_of(&under);
    *second = remains.first ? find_second(diagnosis, first, &remains) : (struct qc_hypothesis){0};
    qc_judgement_clear(&under);
    if (!second->cause)
        return false;
    *second = *both = (struct qc_hypothesis){.cause = second->cause, .value = second->value, .against_layer = -1};
    qc_trial_play(second, trial);
    play_on_top(both, &rules, trial);
    return both->left <= (1 - QC_NAMED_FROM) * fmin(first->left, second->left) && both->reproduced > first->reproduced &&
           both->reproduced > second->reproduced;
}

/* Puts one of the ranked before all others, which keep their order. */
static void put_first(struct qc_diagnosis *diagnosis, int index)
{
    struct qc_hypothesis chosen = diagnosis->ranked[index];
    for (int i = index; i > 0; i--)
        diagnosis->ranked[i] = diagnosis->ranked[i - 1];
    diagnosis->ranked[0] = chosen;
}

/* Whether a second may be looked for to it: it is played, and mends the first divergence or explains most of the rest. */
static bool may_be_first(const struct qc_hypothesis *hypothesis)
{
    double least = hypothesis->leaves_first ? QC_NAMED_FROM : 0;
    return hypothesis->explained > 0 && hypothesis->explained >= least && !hypothesis->by_signature && !hypothesis->given_up;
}

/* Of two that are needed together the one that mends the first divergence comes first. */
static void order_two(struct qc_diagnosis *diagnosis, int chosen)
{
    int other = 0;
    while (diagnosis->ranked[other].cause != diagnosis->second.cause)
        other++;
    if (diagnosis->ranked[chosen].leaves_first && !diagnosis->second.leaves_first) {
        struct qc_hypothesis second = diagnosis->second;
        diagnosis->second = diagnosis->ranked[chosen];
        diagnosis->ranked[other] = second;
        chosen = other;
    }
    put_first(diagnosis, chosen);
}

/* Where the best leaves something: the two that explain most together. */
static void look_for_two(struct qc_diagnosis *diagnosis, const struct qc_trial *trial)
{
    const struct qc_hypothesis *best = diagnosis->ranked;
    int tried = 0, chosen = -1;
    if (!diagnosis->count || best->by_signature || (best->complete && best->suffices))
        return;
    for (int i = 0; i < diagnosis->count && tried < FIRSTS; i++) {
        struct qc_hypothesis *first = &diagnosis->ranked[i], second, both;
        if (!may_be_first(first))
            continue;
        tried++;
        if (!first->complete)
            qc_trial_play(first, trial);
        if (!may_be_first(first) || !try_pair(&second, &both, diagnosis, first, trial) || both.explained <= diagnosis->together)
            continue;
        diagnosis->second = second;
        diagnosis->together = both.explained;
        diagnosis->reproduced_together = both.reproduced;
        chosen = i;
    }
    if (chosen >= 0)
        order_two(diagnosis, chosen);
}

/* ---- the whole ---- */

const struct qc_hypothesis *qc_diagnosis_runner_up(const struct qc_diagnosis *diagnosis)
{
    int next = 1 + diagnosis->equivalent;
    while (next < diagnosis->count && diagnosis->ranked[next].cause == diagnosis->second.cause)
        next++;
    return next < diagnosis->count ? &diagnosis->ranked[next] : NULL;
}

static enum qc_confidence confidence_of(const struct qc_diagnosis *diagnosis, const struct qc_subject *subject)
{
    const struct qc_hypothesis *best = &diagnosis->ranked[0], *next = qc_diagnosis_runner_up(diagnosis);
    double runner_up = next ? next->explained : 0;
    if (best->by_signature)
        return qc_cause_known(best->cause, subject) ? QC_MEDIUM : QC_LOW;
    if (diagnosis->together >= HIGH_FROM && diagnosis->together - runner_up >= HIGH_LEAD)
        return QC_HIGH;
    return diagnosis->together >= MEDIUM_FROM ? QC_MEDIUM : QC_LOW;
}

/* How many behind the best the evidence cannot tell from it. */
static int count_equivalent(const struct qc_diagnosis *diagnosis)
{
    int count = 0;
    while (count + 1 < diagnosis->count && diagnosis->ranked[count + 1].cause != diagnosis->second.cause &&
           same_evidence(&diagnosis->ranked[count + 1], &diagnosis->ranked[0]))
        count++;
    return count;
}

struct qc_diagnosis qc_diagnose(const struct qc_judgement *healthy)
{
    struct qc_diagnosis diagnosis = {0};
    struct qc_trial trial = qc_trial_of(healthy);
    diagnosis.ranked = QW_NEW_ARRAY(struct qc_hypothesis, qc_cause_count());
    for (int i = 0; i < qc_cause_count(); i++) {
        struct qc_hypothesis *next = &diagnosis.ranked[diagnosis.count];
        if (!can_be_tried(qc_cause_at(i), healthy->subject->recording))
            continue;
        next->cause = qc_cause_at(i);
        try_cause(next, &trial);
        diagnosis.count++;
    }
    refine(&diagnosis, &trial);
    if (diagnosis.count && diagnosis.ranked[0].explained < HIGH_FROM) {
        screen_what_leaves_first(&diagnosis, &trial);
        refine(&diagnosis, &trial);
    }
    if (diagnosis.count && diagnosis.ranked[0].explained < QC_NAMED_FROM) {
        screen_what_contradicts(&diagnosis, &trial);
        refine(&diagnosis, &trial);
    }
    settle_value(&diagnosis, &trial);
    diagnosis.together = diagnosis.count ? diagnosis.ranked[0].explained : 0;
    look_for_two(&diagnosis, &trial);
    diagnosis.named = diagnosis.together >= QC_NAMED_FROM;
    diagnosis.equivalent = diagnosis.named ? count_equivalent(&diagnosis) : 0;
    diagnosis.confidence = diagnosis.named ? confidence_of(&diagnosis, healthy->subject) : QC_LOW;
    return diagnosis;
}

void qc_diagnosis_clear(struct qc_diagnosis *diagnosis)
{
    free(diagnosis->ranked);
    *diagnosis = (struct qc_diagnosis){0};
}
