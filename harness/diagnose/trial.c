/* Invariant: nothing is explained by a play that contradicts the hand-over, or by a floor so wide that it hides the fault. */
#include "harness/diagnose/trial.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "harness/compare/light.h"
#include "harness/diagnose/everywhere.h"

static const struct qc_item *twin_of(const struct qc_item *item, const struct qc_judgement *deviated)
{
    return qc_items_at((struct qc_items *)(uintptr_t)&deviated->items, item->site, item->step, item->layer);
}

/* Recorded and judged in the base, but the deviated play stops before it, where the run itself went on. */
static bool unreached(const struct qc_item *item, const struct qc_judgement *deviated)
{
    const struct qc_item *twin = twin_of(item, deviated);
    bool silent = !twin->free.looked || (item->free.valued && !twin->free.valued && twin->free.kind == QC_KIND_NONE);
    return deviated->stop.stopped && !deviated->raise_predicted && item->recorded && item->free.looked && silent;
}

/* What is left of a site that conforms to the deviated play: nothing, unless the base conforms within that play's floor as
 * well.  Such a floor tells nothing, and only what the error itself has lost counts. */
static double hidden_energy(const struct qc_item *item, const struct qc_judgement *deviated)
{
    bool apart = qc_item_fails_apart(item);
    const struct qc_item *twin = twin_of(item, deviated);
    if (qw_rules_widen(&deviated->rules))
        return 0; /* has to show everywhere instead (harness/diagnose/everywhere.h) */
    const struct qc_view *view = apart ? &item->isolated : &item->free, *other = apart ? &twin->isolated : &twin->free;
    if (view->kind != QC_VALUE || !other->valued || other->kind != QC_KIND_NONE || !(view->difference.rms > 0) ||
        !(other->difference.floor > 0) || !qc_conforms(view->difference.max_abs / other->difference.floor))
        return 0;
    double lost = other->difference.rms / view->difference.rms;
    return qc_item_energy(item) * fmin(1, lost * lost);
}

/* How many of the sites that differ from the base agree with the deviated play. */
static void count_reproduced(struct qc_hypothesis *hypothesis, const struct qc_judgement *base,
                             const struct qc_judgement *deviated)
{
    hypothesis->sites = hypothesis->reproduced = 0;
    for (int i = 0; i < base->items.count; i++) {
        const struct qc_item *item = base->items.ordered[i];
        if (qc_item_energy(item) == 0)
            continue;
        bool agrees = qc_item_energy(twin_of(item, deviated)) == 0 && !unreached(item, deviated);
        hypothesis->sites++;
        hypothesis->reproduced += agrees && hidden_energy(item, deviated) <= (1 - QC_NAMED_FROM) * qc_item_energy(item);
    }
}

/* E(record, deviated play): what was recorded beyond the place where the play stops is a difference of one unit each. */
static double energy_left(const struct qc_judgement *base, const struct qc_judgement *deviated)
{
    double energy = qc_judgement_energy(deviated);
    for (int i = 0; i < base->items.count; i++) {
        energy += unreached(base->items.ordered[i], deviated);
        energy += hidden_energy(base->items.ordered[i], deviated);
    }
    return energy;
}

/* Sites whose content is integers, structure or copies (a prefix): a play gives them exactly or it does not. */
static bool is_handover_fact(const struct qc_item *item, const struct qw_call *call)
{
    enum qw_place place = qw_site_rows[item->site].place;
    bool copied = place == QW_BEFORE && qw_protocol_turn(call, item->step).first == 0;
    return place == QW_RECEIVED || copied || item->site == QW_SITE_BEFORE_TYPE || item->site == QW_SITE_BEFORE_LENGTH;
}

static void note_against(struct qc_hypothesis *hypothesis, enum qc_given_up why, enum qw_site site, int step, int layer)
{
    hypothesis->given_up = why;
    hypothesis->ruled_out = why == QC_CONTRADICTS;
    hypothesis->against = site;
    hypothesis->against_step = step;
    hypothesis->against_layer = layer;
    hypothesis->explained = 0;
}

/* The first fact of the hand-over that the base has right and the deviated play wrong. */
static void rule_out(struct qc_hypothesis *hypothesis, const struct qc_judgement *base, const struct qc_judgement *deviated)
{
    for (int i = 0; i < base->items.count && !hypothesis->ruled_out; i++) {
        const struct qc_item *item = base->items.ordered[i], *twin = twin_of(item, deviated);
        bool right = item->recorded && item->free.looked && item->free.kind == QC_KIND_NONE;
        bool wrong = twin->free.looked && twin->free.kind != QC_KIND_NONE;
        bool by_value = item->site == QW_SITE_INPUTS_EMBEDS && twin->free.kind == QC_VALUE;
        if (is_handover_fact(item, &base->subject->call) && right && wrong && !by_value)
            note_against(hypothesis, QC_CONTRADICTS, item->site, item->step, item->layer);
    }
}

/* ---- raises ---- */

/* Whether nothing but a raise differs from the base. */
static bool only_raised(const struct qc_judgement *base)
{
    for (int i = 0; i < base->items.count; i++)
        if (qc_item_energy(base->items.ordered[i]) > 0 && base->items.ordered[i]->free.kind != QC_RAISED)
            return false;
    return true;
}

/* A place at which much can go wrong proves nothing by itself: there the exception must be one that the cause raises. */
static bool proves_raise(const struct qc_hypothesis *hypothesis, const struct qc_judgement *base)
{
    return !only_raised(base) || !qc_cause_has_signature(hypothesis->cause) || qc_cause_signed(hypothesis->cause, base->subject);
}

/* Whether the run raised between two steps, in the library's own code, as the cause is known to come to, and its play
 * reproduces all that differs before, which is something: nothing is left but the raise. */
static bool raise_follows(const struct qc_hypothesis *hypothesis, const struct qc_judgement *base, double left)
{
    const struct qc_recording *recording = base->subject->recording;
    bool between = recording->raised && recording->steps > 0 && !recording->step[recording->steps - 1].raised;
    return between && !only_raised(base) && left <= 1 && qc_cause_signed(hypothesis->cause, base->subject);
}

/* ---- the three stages ---- */

/* Whether the deviated play stops where the run, by its own word, came to its end. */
static bool is_stop_denied(const struct qc_judgement *deviated)
{
    return deviated->stop.stopped && !deviated->subject->recording->raised;
}

/* How much of what differs from the base the deviated play explains. */
static void score(struct qc_hypothesis *hypothesis, const struct qc_trial *trial, const struct qc_judgement *deviated)
{
    double energy = deviated->light ? trial->light_energy : trial->energy;
    double after = energy_left(trial->base, deviated);
    bool comes_to_raise = raise_follows(hypothesis, trial->base, after);
    hypothesis->left = after - comes_to_raise;
    hypothesis->explained = energy > 0 ? fmax(0, 1 - hypothesis->left / energy) : 0;
    count_reproduced(hypothesis, trial->base, deviated);
    hypothesis->reproduced += comes_to_raise;
    hypothesis->suffices = hypothesis->reproduced == hypothesis->sites && qc_judgement_energy(deviated) - comes_to_raise <= 0;
    hypothesis->leaves_first = qc_item_energy(twin_of(trial->first, deviated)) >
                               (1 - QC_NAMED_FROM) * qc_item_energy(trial->first);
    rule_out(hypothesis, trial->base, deviated);
    bool follows = qc_cause_party(hypothesis->cause) == QW_MODEL && hypothesis->leaves_first;
    bool hides = qw_rules_widen(&deviated->rules) && !qc_shows_everywhere(trial->base, deviated);
    if (is_stop_denied(deviated) || deviated->raise_denied ||
        (deviated->raise_predicted && !proves_raise(hypothesis, trial->base)) || follows || hides)
        hypothesis->explained = hypothesis->reproduced = 0;
}

/* Whether structure tells what stands at a place: numbers of embeddings and of caches it does not know. */
static bool is_told_by_structure(const struct qc_item *item)
{
    enum qc_kind kind = item->free.looked ? item->free.kind : QC_KIND_NONE;
    bool known = qw_site_rows[item->site].place == QW_RECEIVED && item->site != QW_SITE_INPUTS_EMBEDS;
    return kind != QC_KIND_NONE && kind != QC_RAISED && (kind != QC_VALUE || known);
}

/* Whether the deviation leaves the first divergence as it is, as far as structure tells. */
static bool leaves_structure(const struct qc_trial *trial, const struct qc_judgement *handed)
{
    const struct qc_item *twin = twin_of(trial->first, handed);
    return is_told_by_structure(trial->first) && qw_site_rows[trial->first->site].place != QW_ADAPTER && twin->free.looked &&
           twin->free.kind != QC_KIND_NONE;
}

/* Holds what rules would hand over against the record: gives the energy of what differs in structure. */
static double look_at_structure(struct qc_hypothesis *hypothesis, struct qc_light *light, const struct qc_trial *trial,
                                const struct qw_rules *rules)
{
    struct qc_subject bare = *trial->base->subject;
    struct qc_light structure = *light;
    struct qc_judgement handed;
    bare.model.has_weights = false;
    qc_judge_lightly(&handed, &structure, &bare, rules, false);
    light->given_up = structure.given_up;
    light->leaves_first = structure.given_up || leaves_structure(trial, &handed);
    if (hypothesis && !light->given_up)
        rule_out(hypothesis, trial->base, &handed);
    double energy = qc_judgement_energy(&handed);
    qc_judgement_clear(&handed);
    return energy;
}

/* False when structure already speaks against the deviation.  What one of the model is handed is what the base is handed. */
static bool may_be_played(struct qc_hypothesis *hypothesis, struct qc_light *light, const struct qc_trial *trial,
                          const struct qw_rules *rules)
{
    light->must_mend = qc_cause_party(hypothesis->cause) == QW_MODEL;
    light->spent = light->must_mend ? trial->structure_energy : look_at_structure(hypothesis, light, trial, rules);
    bool leaves = light->must_mend ? trial->first_is_handed
                                   : light->given_up || (light->leaves_first && light->spent > light->most_leaving);
    if (!hypothesis->given_up && leaves)
        note_against(hypothesis, QC_LEAVES, trial->first->site, trial->first->step, trial->first->layer);
    return !hypothesis->given_up;
}

static void count_sites(struct qc_hypothesis *hypothesis, const struct qc_judgement *base)
{
    for (int i = 0; i < base->items.count; i++)
        hypothesis->sites += qc_item_energy(base->items.ordered[i]) > 0;
}

void qc_trial_screen(struct qc_hypothesis *hypothesis, const struct qc_trial *trial, double enough)
{
    struct qw_rules rules = trial->base->rules;
    struct qc_light light = {.base = trial->base,
                             .first = trial->first,
                             .most = trial->light_energy,
                             .most_leaving = (1 - enough) * trial->light_energy,
                             .forgives = trial->forgives};
    struct qc_judgement deviated;
    *hypothesis = (struct qc_hypothesis){.cause = hypothesis->cause, .value = hypothesis->value, .against_layer = -1};
    count_sites(hypothesis, trial->base);
    qc_hypothesis_apply(&rules, hypothesis);
    if (!may_be_played(hypothesis, &light, trial, &rules))
        return;
    bool widens = qw_rules_widen(&rules);
    if (!trial->base->subject->model.has_weights || widens) {
        if (!widens || qc_may_show_everywhere(trial->base))
            qc_trial_play(hypothesis, trial);
        return;
    }
    qc_judge_lightly(&deviated, &light, trial->base->subject, &rules, trial->apart);
    if (light.given_up)
        note_against(hypothesis, light.given_up, light.against, light.against_step, light.against_layer);
    else
        score(hypothesis, trial, &deviated);
    qc_judgement_clear(&deviated);
}

void qc_trial_play(struct qc_hypothesis *hypothesis, const struct qc_trial *trial)
{
    struct qw_rules rules = trial->base->rules;
    struct qc_judgement deviated;
    qc_hypothesis_apply(&rules, hypothesis);
    qc_judge(&deviated, trial->base->subject, &rules, trial->apart || qw_rules_widen(&rules));
    hypothesis->given_up = QC_PLAYED;
    score(hypothesis, trial, &deviated);
    hypothesis->complete = true;
    qc_judgement_clear(&deviated);
}

/* ---- what is tried on ---- */

static double energy_of_light_play(const struct qc_trial *trial)
{
    struct qc_light light = {.base = trial->base,
                             .first = trial->first,
                             .most = (double)INFINITY,
                             .most_leaving = (double)INFINITY};
    struct qc_judgement played;
    qc_judge_lightly(&played, &light, trial->base->subject, &trial->base->rules, trial->apart);
    double energy = light.given_up ? trial->energy : energy_left(trial->base, &played);
    qc_judgement_clear(&played);
    return energy;
}

/* Whether the model is handed that place as it is: PEFT's part, and a cache that no step before has left. */
static bool is_handed_as_it_is(const struct qc_item *item, const struct qw_call *call)
{
    enum qw_place place = qw_site_rows[item->site].place;
    bool filled = place == QW_BEFORE && item->step >= 0 && qw_protocol_turn(call, item->step).first == 0;
    return place == QW_ADAPTER || place == QW_RECEIVED || filled;
}

/* The first divergence that a play could explain: a tap that the producer never writes is none. */
static const struct qc_item *first_of(const struct qc_judgement *base)
{
    const struct qc_item *first = qc_judgement_first(base);
    for (int i = 0; first && first->untapped && i < base->items.count; i++) {
        const struct qc_item *item = base->items.ordered[i];
        if (qc_item_fails(item) && !item->untapped)
            return item;
    }
    return first;
}

struct qc_trial qc_trial_of(const struct qc_judgement *base)
{
    struct qc_trial trial = {.base = base, .first = first_of(base), .energy = qc_judgement_energy(base)};
    for (int i = 0; i < base->items.count; i++)
        trial.apart = trial.apart || qc_item_fails_apart(base->items.ordered[i]);
    bool plays = trial.first && base->subject->model.has_weights; /* a base that leaves nothing has nothing to be weighed */
    trial.light_energy = plays ? energy_of_light_play(&trial) : trial.energy;
    if (trial.first) {
        struct qc_light light = {.base = base, .first = trial.first};
        trial.structure_energy = look_at_structure(NULL, &light, &trial, &base->rules);
        trial.first_is_handed = is_handed_as_it_is(trial.first, &base->subject->call);
    }
    return trial;
}

bool qc_trial_handover_differs(const struct qc_trial *trial)
{
    bool differs = trial->base->subject->recording->raised;
    for (int i = 0; i < trial->base->items.count && !differs; i++) {
        const struct qc_item *item = trial->base->items.ordered[i];
        differs = qc_is_handed(qw_site_rows[item->site].place) && qc_item_fails(item) && qc_item_energy(item) > 0;
    }
    return differs;
}
