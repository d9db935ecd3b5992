/* Invariant: the outcome of a planting depends on the record and on what the judge says of it, on nothing else. */
#include "harness/selftest/plant.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "harness/selftest/same.h"
#include "harness/selftest/scribe.h"

struct ground {
    struct shipped run;
    struct qc_places as_it_says;
    struct qc_bed bed;
};

static void prepare(struct ground *ground, const char *name)
{
    *ground = (struct ground){0};
    shipped_read(&ground->run, name);
    cr_assert(shipped_subject(&ground->run));
    qc_bed_make(&ground->bed, &ground->run.subject, &ground->as_it_says, true);
    cr_assert_null(ground->bed.unfit);
}

static void clear(struct ground *ground)
{
    qc_bed_clear(&ground->bed);
    shipped_clear(&ground->run);
}

static void expect(struct ground *ground, const char *cause, const struct qw_value *value, enum qc_outcome outcome,
                   const char *named)
{
    struct qc_planting planting = qc_plant(&ground->bed, qc_cause_find(cause), value);
    cr_expect_eq(planting.outcome, outcome, "%s is %s: %s", cause, qc_outcome_name(planting.outcome), planting.reason);
    cr_expect(named ? planting.named && !strcmp(planting.named->id, named) : !planting.named);
    cr_expect(outcome == QC_PLANT_NAMED || planting.reason, "%s: %s without a reason", cause, qc_outcome_name(outcome));
    free(planting.reason);
}

Test(plant, what_differs_is_named)
{
    struct ground ground;
    prepare(&ground, SHIPPED_PROMPT);
    expect(&ground, "prompt-not-injected", NULL, QC_PLANT_NAMED, "prompt-not-injected");
    clear(&ground);
}

Test(plant, what_changes_no_bit_is_blind)
{
    struct ground ground;
    prepare(&ground, SHIPPED_PROMPT);
    expect(&ground, "prefix-key-value-swapped", NULL, QC_PLANT_BLIND, NULL);
    expect(&ground, "sliding-window-misapplied", qw_deviation_value(QW_DEVIATION_SLIDING_WINDOW_MISAPPLIED, 0), QC_PLANT_BLIND,
           NULL);
    clear(&ground);
}

Test(plant, what_no_play_gives_is_blind)
{
    struct ground ground;
    prepare(&ground, SHIPPED_PROMPT);
    expect(&ground, "cache-api-removed", NULL, QC_PLANT_BLIND, NULL);
    clear(&ground);
}

Test(plant, what_lies_below_the_noise_is_blind)
{
    struct ground ground;
    prepare(&ground, "qwen2.5-prompt-bfloat16-tf4.46.3-peft0.14.0.h5");
    expect(&ground, "rope-in-model-dtype", NULL, QC_PLANT_BLIND, NULL);
    clear(&ground);
}

/* A judge that looks at a part of the record only stands for one that overlooks the rest. */
Test(plant, what_the_judge_overlooks_in_structure_is_missed)
{
    struct ground ground;
    prepare(&ground, SHIPPED_PROMPT);
    ground.run.subject.selection.site = "adapter.prompt";
    expect(&ground, "position-offset-doubled", NULL, QC_PLANT_MISSED, NULL);
    clear(&ground);
}

Test(plant, what_the_judge_overlooks_in_values_is_missed)
{
    struct ground ground;
    prepare(&ground, "qwen2.5-base-window-tf5.23.0-peft0.21.2.h5");
    ground.run.subject.selection.site = "model.embed_tokens";
    expect(&ground, "sliding-window-misapplied", qw_deviation_value(QW_DEVIATION_SLIDING_WINDOW_MISAPPLIED, 0), QC_PLANT_MISSED,
           NULL);
    clear(&ground);
}

Test(plant, what_the_same_record_shows_is_equivalent_where_the_table_says_why)
{
    struct ground ground;
    prepare(&ground, "qwen1.5-prompt-loop-tf4.46.3-peft0.14.0.h5");
    expect(&ground, "adapter-bypassed", NULL, QC_PLANT_EQUIVALENT, "prompt-not-injected");
    clear(&ground);
    cr_expect_not_null(qc_equivalence("adapter-bypassed", "prompt-not-injected"));
    cr_expect_null(qc_equivalence("prompt-not-injected", "adapter-bypassed"));
    cr_expect_null(qc_equivalence("prefix-noncausal", "mask-shifted"));
}

Test(plant, a_fault_of_the_adapters_file_is_planted_with_such_a_file)
{
    struct ground ground;
    prepare(&ground, SHIPPED_PREFIX);
    expect(&ground, "prefix-query-heads", NULL, QC_PLANT_NAMED, "prefix-query-heads");
    clear(&ground);
}

Test(plant, a_recording_whose_adapter_does_not_fit_gives_a_bed_too)
{
    struct ground ground;
    prepare(&ground, SHIPPED_QUERY_HEADS);
    cr_expect(ground.bed.form.made);
    expect(&ground, "prefix-key-value-swapped", NULL, QC_PLANT_NAMED, "prefix-key-value-swapped");
    clear(&ground);
}

Test(plant, a_prompt_that_assisted_decoding_never_saw_is_named)
{
    struct ground ground;
    prepare(&ground, "qwen2.5-prompt-lookup-tf4.57.3-peft0.18.1.h5");
    expect(&ground, "prompt-not-injected", NULL, QC_PLANT_NAMED, "prompt-not-injected");
    clear(&ground);
}

/* ---- records side by side ---- */

struct told {
    int count;
    enum qw_site site;
    int step, layer;
};

static void tell(void *user, enum qw_site site, int step, int layer)
{
    struct told *told = user;
    *told = (struct told){told->count + 1, site, step, layer};
}

Test(same, a_number_that_changed_is_told_with_its_place)
{
    struct ground ground;
    struct told told = {0};
    struct qc_recording copy;
    prepare(&ground, SHIPPED_PROMPT);
    cr_assert(qc_scribe_write(&copy, &ground.run.subject, &ground.run.subject.rules));
    cr_expect_eq(qc_records_apart(&ground.bed.healthy, &copy, NULL), QC_APART_NOWHERE);
    shipped_floats(copy.step[2].before.layer[1].value)[3] += 1;
    cr_expect_eq(qc_records_apart(&ground.bed.healthy, &copy, &(struct qc_apart_listener){tell, &told}), QC_APART_VALUES);
    cr_expect(told.count == 1 && told.site == QW_SITE_BEFORE_VALUE && told.step == 2 && told.layer == 1);
    shipped_integers(copy.step[0].input[QC_ATTENTION_MASK])[0] = 0;
    cr_expect_eq(qc_records_apart(&ground.bed.healthy, &copy, NULL), QC_APART_STRUCTURE);
    qc_scribe_clear(&copy);
    clear(&ground);
}
