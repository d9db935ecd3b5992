/* Invariant: the free play sees nothing of the record but the call and the generated tokens. */
#include "harness/compare/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/coverage.h"
#include "harness/compare/held.h"
#include "harness/compare/isolated.h"
#include "harness/compare/light.h"
#include "harness/invariants/structure.h"
#include "reference/base/memory.h"

static const struct qc_step *recorded_step(const struct qc_judgement *judgement, int step)
{
    const struct qc_recording *recording = judgement->subject->recording;
    return step < recording->steps ? &recording->step[step] : NULL;
}

/* ---- the free view ---- */

static bool cache_is_known(const struct qw_cache *cache)
{
    for (int64_t i = 0; i < cache->layers; i++)
        if (cache->layer[i].length && !cache->layer[i].key)
            return false;
    return true;
}

int64_t qc_logits_rows(const struct qc_step *recorded, int64_t own, int64_t queries)
{
    const struct qc_tap *tap = recorded ? qc_step_tap(recorded, "lm_head") : NULL;
    int64_t rows = tap && qc_tap_shape(tap)->rank == 3 ? qc_tap_shape(tap)->dim[1] : 1;
    return rows == own || rows > queries || rows < 1 ? queries : rows;
}

int64_t qc_recorded_queries(const struct qc_step *recorded)
{
    const struct qw_tensor *ids = recorded ? recorded->input[QC_INPUT_IDS] : NULL;
    const struct qw_tensor *embeds = recorded ? recorded->input[QC_INPUTS_EMBEDS] : NULL;
    const struct qw_tensor *given = embeds ? embeds : ids;
    return given && given->shape.rank >= 2 ? given->shape.dim[1] : -1;
}

/* Without values only the lengths go on. */
static void advance_structure(struct qw_cache *cache, const struct qw_config *config, int64_t queries)
{
    for (int64_t i = 0; i < cache->layers; i++) {
        free(cache->layer[i].key);
        free(cache->layer[i].value);
        cache->layer[i] =
            (struct qw_cache_layer){config->kv_heads, cache->layer[i].length + queries, config->head_size, NULL, NULL, 0};
    }
}

/* The axis of the record's caches along which rows are joined under the rules. */
static int joined_axis(const struct qc_judgement *judgement)
{
    int sequence = judgement->subject->model.config.layout == QW_LAYOUT_BSKD ? 1 : 2;
    return judgement->rules.joins_along_heads ? 3 - sequence : sequence;
}

/* Whether the stop in this step is the join itself.  Along the heads it can be made where there are as many rows as
 * queries; then the scores are what raises. */
static bool join_is_refused(const struct qc_judgement *judgement, const struct qw_cache *cache, int64_t queries)
{
    return !judgement->rules.joins_along_heads || cache->layer[0].length != queries;
}

/* The first layer whose keys cannot be joined, or be of use once they are; -1: none. */
static int first_misfit(const struct qw_cache *cache, const struct qw_config *config, const struct qw_rules *rules)
{
    if (rules->joins_along_heads && qw_cache_length(cache) > 0)
        return 0;
    for (int layer = 0; layer < cache->layers; layer++)
        if (!qw_cache_joins(cache, layer, config->kv_heads, config->head_size))
            return layer;
    return -1;
}

/* Plays one step by value, or lets only the lengths go on where values are not known. */
static void play_step(struct qc_judgement *judgement, int step, struct qc_play *play, const struct qw_handover *handover,
                      int64_t rows)
{
    const struct qw_config *config = &judgement->subject->model.config;
    int misfit = first_misfit(&play->truth, config, &judgement->rules);
    if (misfit >= 0 && join_is_refused(judgement, &play->truth, handover->queries))
        judgement->refused_axis = joined_axis(judgement);
    if (misfit >= 0)
        judgement->stop = (struct qc_stop){true, step, misfit};
    play->alive = play->alive && cache_is_known(&play->truth) && (handover->input_ids || handover->inputs_embeds);
    if (play->alive && recorded_step(judgement, step)) {
        struct qc_replay replay = {judgement, step, false, handover, play, rows};
        qc_replay_run(&replay, &judgement->stop);
    } else {
        enum qw_short_mask mask = qw_mask_treatment(&judgement->rules, handover, qw_cache_length(&play->truth));
        if (mask == QW_SHORT_RAISES_IN_MODEL || (mask == QW_SHORT_RAISES_IN_ATTENTION && misfit < 0))
            judgement->stop = (struct qc_stop){true, step, mask == QW_SHORT_RAISES_IN_MODEL ? -1 : 0};
        play->alive = false;
        advance_structure(&play->truth, config, qw_rows_appended(&judgement->rules, handover->queries));
    }
}

/* Brings the caches of the other plays into the state in which this step hands them over. */
static void hand_over_to_plays(const struct qc_judgement *judgement, int step, struct qc_play *play)
{
    const struct qc_subject *subject = judgement->subject;
    for (int i = 0; i < play->plays; i++) {
        struct qw_handover twin = qw_protocol_hand_over(&play->played[i], &subject->call, &subject->adapter, &subject->model,
                                                        &judgement->rules, step);
        qw_handover_clear(&twin);
    }
}

/* Where a mask that hides nothing may stay away, and did, the model makes its own. */
static void leave_mask_away(struct qw_handover *handover, const struct qw_rules *rules, const struct qc_step *recorded)
{
    bool hides = false;
    for (int64_t i = 0; handover->mask && i < handover->batch * handover->mask_length; i++)
        hides = hides || handover->mask[i] == 0;
    if (hides || rules->unpadded_mask != QW_MASK_OPTIONAL || !recorded || recorded->input[QC_ATTENTION_MASK])
        return;
    free(handover->mask);
    handover->mask = NULL;
    handover->mask_length = 0;
}

/* Whether a light play was given up, so that there is nothing more to judge. */
static bool given_up(const struct qc_judgement *judgement) { return judgement->light && judgement->light->given_up; }

static void judge_freely(struct qc_judgement *judgement, int step, struct qc_play *play)
{
    const struct qc_subject *subject = judgement->subject;
    const struct qc_step *recorded = recorded_step(judgement, step);
    struct qw_handover handover = qw_protocol_hand_over(&play->truth, &subject->call, &subject->adapter, &subject->model,
                                                        &judgement->rules, step);
    hand_over_to_plays(judgement, step, play);
    int64_t past = qw_cache_length(&play->truth), own = qc_recorded_queries(recorded);
    int64_t rows = qc_logits_rows(recorded, own, handover.queries);
    struct qc_extents extents = {handover.queries, past, rows, handover.embeds};
    qc_judge_received(judgement, step, &handover);
    leave_mask_away(&handover, &judgement->rules, recorded);
    if (judgement->rules.take_rewritten)
        qc_held_take_rewritten(play, judgement, step);
    if (recorded)
        qc_held_let_go(play, subject, &recorded->before);
    qc_judge_before(judgement, step, &play->truth);
    if (judgement->light)
        qc_light_look_at_handed(judgement->light, &judgement->items, step);
    if (given_up(judgement)) {
        qw_handover_clear(&handover);
        return;
    }
    qc_judge_taps(judgement, step, &extents, false);
    int64_t after = past + qw_rows_appended(&judgement->rules, handover.queries);
    qc_judge_after(judgement, step, subject->call.use_cache ? after : -1, false);
    judgement->expected_lengths[step] = subject->call.use_cache ? after : 0;
    judgement->ends[step] = past + handover.queries;
    if (play->alive && recorded && qw_protocol_turn(&subject->call, step).first > 0)
        qc_held_compare_before(judgement, step, play);
    play_step(judgement, step, play, &handover, rows);
    if (play->alive && recorded && !judgement->stop.stopped && !given_up(judgement) && subject->call.use_cache)
        qc_held_compare_after(judgement, step, play, false);
    qw_handover_clear(&handover);
}

/* ---- the whole ---- */

/* Whether the exception says along which axis a join could not be made. */
static bool names_axis(long *axis, const struct qc_recording *recording)
{
    static const char join[] = "must match except in dimension ";
    const char *named = strstr(recording->exception_message, join);
    *axis = named ? strtol(named + strlen(join), NULL, 10) : -1;
    return named != NULL;
}

/* Whether the exception can be that of the stop: a join names the axis along which it cannot be made, and only a join does. */
static bool words_fit(const struct qc_judgement *judgement)
{
    const struct qc_recording *recording = judgement->subject->recording;
    long axis;
    if (names_axis(&axis, recording))
        return axis == judgement->refused_axis;
    return judgement->refused_axis < 0 || (!strcmp(recording->exception_type, "RuntimeError") &&
                                           !strstr(recording->exception_message, "must match the size of tensor"));
}

/* Whether the run raised in the module at which the play cannot go on. */
static bool raises_at_stop(const struct qc_judgement *judgement)
{
    const struct qc_recording *recording = judgement->subject->recording;
    const struct qc_stop *stop = &judgement->stop;
    const struct qw_family_row *family = &qw_family_rows[judgement->subject->model.config.family];
    char path[64];
    snprintf(path, sizeof path, "%s%d.%s", family->blocks, stop->layer, family->attention);
    bool there = stop->layer < 0 ? !strcmp(recording->raised_at, family->root)
                                 : !strncmp(recording->raised_at, path, strlen(path));
    return recording->raised && stop->stopped && stop->step == recording->steps - 1 && recording->step[stop->step].raised &&
           there && qc_taps_end_at(judgement, stop);
}

static void note_steps_beyond(struct qc_judgement *judgement, int first)
{
    for (int step = first; step < judgement->subject->recording->steps; step++) {
        struct qc_item *item = qc_items_at(&judgement->items, QW_SITE_INPUT_IDS, step, -1);
        item->recorded = item->free.looked = true;
        item->free.kind = QC_EXTRA;
    }
}

/* A raise is a difference of its own only when nothing before it differs. */
static void note_raise(struct qc_judgement *judgement)
{
    const struct qc_recording *recording = judgement->subject->recording;
    bool inside = recording->steps > 0 && recording->step[recording->steps - 1].raised;
    int step = recording->steps == 0 ? -1 : inside ? recording->steps - 1 : recording->steps;
    struct qc_item *item = qc_items_at(&judgement->items, QW_SITE_CALL, step, -1);
    item->recorded = item->free.looked = true;
    item->free.kind = QC_RAISED;
    item->expected = recording->steps == 0;
}

/* Where a step's logits conform in both views, nothing but rounding is left of what differs. */
static void settle_consequence(struct qc_judgement *judgement)
{
    for (int step = 0; step < judgement->steps; step++) {
        const struct qc_item *logits = qc_items_at(&judgement->items, QW_SITE_LM_HEAD, step, -1);
        judgement->consequence.step[step].conforms = logits->free.valued && !qc_item_fails(logits) &&
                                                     qc_item_status(logits) != QC_INHERITED;
    }
    qc_consequence_settle(&judgement->consequence, judgement->subject->recording->raised);
}

static void judge(struct qc_judgement *judgement, const struct qc_subject *subject, const struct qw_rules *rules, bool isolated,
                  struct qc_light *light)
{
    int recorded = subject->recording->steps, expected = (int)qw_protocol_steps(&subject->call);
    int played = subject->recording->raised && recorded < expected ? recorded : expected;
    int steps = recorded > played ? recorded : played;
    *judgement = (struct qc_judgement){.subject = subject, .light = light, .rules = *rules, .steps = steps, .refused_axis = -1};
    judgement->consequence = qc_consequence_make(steps);
    judgement->items = qc_items_make(steps + 1, (int)subject->model.config.layers);
    judgement->items.layout = subject->model.config.layout;
    judgement->expected_lengths = QW_NEW_ARRAY(int64_t, steps);
    judgement->ends = QW_NEW_ARRAY(int64_t, steps);
    struct qc_play play = qc_play_make(judgement);
    qc_judge_prompt(judgement);
    if (light)
        qc_light_look_at_handed(light, &judgement->items, 0);
    for (int step = 0; step < played && !given_up(judgement); step++) {
        if (!judgement->stop.stopped)
            judge_freely(judgement, step, &play);
        if (isolated && step < recorded && !given_up(judgement))
            qc_judge_isolated(judgement, step);
    }
    if (!given_up(judgement)) {
        qc_coverage_settle(judgement);
        settle_consequence(judgement);
    }
    judgement->values = play.alive || judgement->consequence.compared > 0;
    note_steps_beyond(judgement, played);
    bool there = raises_at_stop(judgement);
    judgement->raise_predicted = there && words_fit(judgement);
    long axis;
    judgement->raise_denied = there && names_axis(&axis, subject->recording) && !words_fit(judgement);
    if (subject->recording->raised && !judgement->raise_predicted)
        note_raise(judgement);
    qc_items_order(&judgement->items);
    qc_items_select(&judgement->items, &subject->selection);
    qc_play_clear(&play);
}

void qc_judge(struct qc_judgement *judgement, const struct qc_subject *subject, const struct qw_rules *rules, bool isolated)
{
    judge(judgement, subject, rules, isolated, NULL);
}

void qc_judge_lightly(struct qc_judgement *judgement, struct qc_light *light, const struct qc_subject *subject,
                      const struct qw_rules *rules, bool isolated)
{
    judge(judgement, subject, rules, isolated, light);
}

void qc_judgement_clear(struct qc_judgement *judgement)
{
    qc_items_clear(&judgement->items);
    qc_consequence_clear(&judgement->consequence);
    free(judgement->expected_lengths);
    free(judgement->ends);
    *judgement = (struct qc_judgement){0};
}

double qc_judgement_energy(const struct qc_judgement *judgement)
{
    double energy = 0;
    for (int i = 0; i < judgement->items.count; i++)
        energy += qc_item_energy(judgement->items.ordered[i]);
    return energy;
}

const struct qc_item *qc_judgement_first(const struct qc_judgement *judgement)
{
    const struct qc_item *inherited = NULL, *raised = NULL;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        if (item->free.kind == QC_RAISED)
            raised = item;
        else if (qc_item_fails(item))
            return item;
        else if (!inherited && qc_item_status(item) == QC_INHERITED)
            inherited = item;
    }
    return inherited ? inherited : raised;
}
