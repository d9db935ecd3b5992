/* What is screened away, where, and that two causes at once are both found. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "harness/diagnose/trial.h"

static struct qc_hypothesis of(const char *id, int value)
{
    enum qw_deviation deviation;
    struct qc_hypothesis hypothesis = {.cause = qc_cause_find(id), .against_layer = -1};
    cr_assert(hypothesis.cause && qc_cause_deviation(&deviation, hypothesis.cause), "%s", id);
    hypothesis.value = qw_deviation_value(deviation, value);
    return hypothesis;
}

/* One number of step 1 is wrong: everything before it is as in the healthy play. */
static void read_with_a_wrong_number(struct shipped *run)
{
    shipped_read(run, SHIPPED_PROMPT);
    shipped_floats(shipped_tap(run, 1, "model.layers.1.mlp.up_proj"))[0] += 1;
    shipped_judge(run);
}

/* ---- screening ---- */

Test(trial, values_that_contradict_the_record_are_given_up_where_they_do)
{
    struct shipped run;
    read_with_a_wrong_number(&run);
    struct qc_trial trial = qc_trial_of(&run.judgement);
    struct qc_hypothesis reversed = of("prefix-token-order", 0);
    qc_trial_screen(&reversed, &trial, 0);
    cr_expect_eq(reversed.given_up, QC_CONTRADICTS);
    cr_expect(reversed.ruled_out && reversed.explained == 0 && !reversed.complete);
    cr_expect_eq(reversed.against_step, 0);
    cr_expect_eq(reversed.against_layer, 0, "the first block already makes something else of other virtual tokens");
    cr_expect_eq(reversed.against, QW_SITE_INPUT_NORM);
    shipped_clear(&run);
}

Test(trial, structure_that_contradicts_the_record_takes_no_play)
{
    struct shipped run;
    read_with_a_wrong_number(&run);
    struct qc_trial trial = qc_trial_of(&run.judgement);
    struct qc_hypothesis bare = of("prompt-not-injected", 0);
    qc_trial_screen(&bare, &trial, 0);
    cr_expect_eq(bare.given_up, QC_CONTRADICTS);
    enum qw_place place = qw_site_rows[bare.against].place;
    cr_expect(place == QW_RECEIVED || place == QW_BEFORE, "%s of step %d", qw_site_rows[bare.against].name, bare.against_step);
    shipped_clear(&run);
}

Test(trial, a_base_that_leaves_nothing_has_no_first_divergence_and_no_energy)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    shipped_judge(&run);
    struct qc_trial trial = qc_trial_of(&run.judgement);
    cr_expect_null(trial.first);
    cr_expect(trial.energy == 0 && trial.light_energy == 0);
    shipped_clear(&run);
}

Test(trial, what_changes_nothing_explains_exactly_nothing)
{
    struct shipped run;
    read_with_a_wrong_number(&run);
    struct qc_trial trial = qc_trial_of(&run.judgement);
    struct qc_hypothesis idle = of("cache-rewritten", 0);
    qc_trial_screen(&idle, &trial, 0);
    cr_expect_eq(idle.given_up, QC_PLAYED, "it contradicts nothing");
    cr_expect(idle.explained == 0 && idle.leaves_first);
    qc_trial_screen(&idle, &trial, 0.9);
    cr_expect_eq(idle.given_up, QC_LEAVES, "the first divergence is all that there is");
    cr_expect(idle.against == QW_SITE_UP_PROJ && idle.against_step == 1 && idle.against_layer == 1);
    shipped_clear(&run);
}

Test(trial, a_deviation_of_the_model_is_given_up_where_it_leaves_the_first_divergence)
{
    struct shipped run;
    read_with_a_wrong_number(&run);
    struct qc_trial trial = qc_trial_of(&run.judgement);
    struct qc_hypothesis idle = of("rope-in-model-dtype", 0);
    qc_trial_screen(&idle, &trial, 0);
    cr_expect_eq(idle.given_up, QC_LEAVES);
    cr_expect(idle.explained == 0 && idle.against == QW_SITE_UP_PROJ && idle.against_step == 1 && idle.against_layer == 1);
    shipped_clear(&run);
}

Test(trial, a_light_play_tells_nearly_what_the_complete_one_tells)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BARE);
    shipped_judge(&run);
    struct qc_trial trial = qc_trial_of(&run.judgement);
    struct qc_hypothesis bare = of("prompt-not-injected", 0);
    qc_trial_screen(&bare, &trial, 0.5);
    cr_expect(!bare.given_up && !bare.complete && !bare.leaves_first);
    cr_expect_gt(bare.explained, 0.9999);
    qc_trial_play(&bare, &trial);
    cr_expect(bare.complete && bare.explained == 1 && bare.left == 0 && bare.reproduced == bare.sites);
    shipped_clear(&run);
}

/* ---- two at once ---- */

/* A mask of ones that is too short is ignored there; cutting it takes nothing else from the record. */
static void shorten_masks(struct shipped *run, int64_t by)
{
    for (int step = 0; step < run->recording.steps; step++) {
        struct qw_tensor *mask = run->recording.step[step].input[QC_ATTENTION_MASK];
        cr_assert(mask && mask->shape.rank == 2 && mask->shape.dim[0] == 1);
        mask->shape.dim[1] -= by;
    }
}

Test(trial, two_causes_are_both_named_and_the_one_that_shows_first_comes_first)
{
    struct shipped run;
    shipped_read(&run, "qwen2-prompt-offset-missing-tf4.46.3-peft0.14.0.h5");
    cr_assert(shipped_subject(&run));
    shorten_masks(&run, run.subject.adapter.virtual_tokens);
    qc_judge(&run.judgement, &run.subject, &run.subject.rules, true);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_assert(diagnosis.named && diagnosis.second.cause, "%s alone, %g", diagnosis.ranked[0].cause->id, diagnosis.together);
    cr_expect_str_eq(diagnosis.ranked[0].cause->id, "mask-not-extended");
    cr_expect_str_eq(diagnosis.second.cause->id, "position-offset-missing");
    cr_expect_eq(diagnosis.together, 1);
    cr_expect(diagnosis.ranked[0].explained < 1 && diagnosis.second.explained < 1, "%g and %g alone",
              diagnosis.ranked[0].explained, diagnosis.second.explained);
    cr_expect_eq(diagnosis.reproduced_together, diagnosis.ranked[0].sites);
    cr_expect_eq(diagnosis.confidence, QC_HIGH);
    const struct qc_hypothesis *next = qc_diagnosis_runner_up(&diagnosis);
    cr_expect(next && next->cause != diagnosis.second.cause && next->cause != diagnosis.ranked[0].cause);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

/* One that explains everything is not joined by another, and what no second explains stays open. */
Test(trial, a_second_cause_must_earn_its_place)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BARE);
    shipped_judge(&run);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect(diagnosis.named && !diagnosis.second.cause && diagnosis.together == 1);
    qc_diagnosis_clear(&diagnosis);
    shipped_forget(&run);
    shipped_floats(shipped_tap(&run, 3, "model.layers.0.mlp.act_fn"))[0] += 1;
    shipped_judge(&run);
    diagnosis = qc_diagnose(&run.judgement);
    cr_expect(diagnosis.named && !diagnosis.second.cause && diagnosis.together < 1);
    cr_expect_str_eq(diagnosis.ranked[0].cause->id, "prompt-not-injected");
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}

/* ---- what is in no row ---- */

Test(trial, one_head_scaled_by_a_hundredth_is_located_and_unclassified)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    cr_assert(shipped_subject(&run));
    const struct qw_config *config = &run.subject.model.config;
    struct qw_tensor *weight = (struct qw_tensor *)(uintptr_t)run.subject.model.layer[1].q_weight;
    for (int64_t i = 0; i < config->head_size * config->hidden; i++)
        shipped_floats(weight)[i] *= 1.01F;
    qc_judge(&run.judgement, &run.subject, &run.subject.rules, true);
    shipped_expect_first(&run, 0, 1, QW_SITE_Q_PROJ, QC_VALUE);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect_not(diagnosis.named, "%s explains %g", diagnosis.ranked[0].cause->id, diagnosis.together);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}
