/* Invariant: a test asks the judge about a written record, never the scribe itself. */
#include "harness/selftest/scribe.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "harness/selftest/same.h"

/* A shipped run and what the scribe makes of it under given rules. */
struct copied {
    struct shipped run;
    struct qc_recording written;
    struct qc_subject subject;
    struct qc_judgement judgement;
};

static void copy(struct copied *copied, const char *name, enum qw_deviation deviation)
{
    struct qc_places as_it_says = {0};
    struct qw_error error = {0};
    shipped_read(&copied->run, name);
    cr_assert(shipped_subject(&copied->run), "%s: %s", name, copied->run.error.message);
    struct qw_rules rules = copied->run.subject.rules;
    if (deviation != QW_DEVIATIONS)
        qw_deviation_apply(&rules, deviation);
    cr_assert(qc_scribe_write(&copied->written, &copied->run.subject, &rules));
    cr_assert(qc_subject_make_beside(&copied->subject, &copied->run.subject, &copied->written, &as_it_says, &error), "%s: %s",
              name, error.message);
    qc_judge(&copied->judgement, &copied->subject, &copied->subject.rules, true);
}

static void forget(struct copied *copied)
{
    qc_judgement_clear(&copied->judgement);
    qc_subject_clear(&copied->subject);
    qc_scribe_clear(&copied->written);
    shipped_clear(&copied->run);
}

/* Every family, adapter, level, element type, way of calling, and kind of cache. */
static const struct named {
    char name[80];
} healthy[] = {
    {"qwen2-prompt-tf4.44.2-peft0.13.2.h5"},
    {"qwen2-base-tf4.57.3.h5"},
    {"qwen2-prefix-tf4.46.3-peft0.14.0.h5"},
    {"qwen3-prefix-left-tf5.15.0-peft0.20.0.h5"},
    {"qwen-v1-prompt-bfloat16-d4efd21-tf4.37.2-peft0.8.2.h5"},
    {"qwen-v1-prefix-permuted-e08ed08-tf4.37.2-peft0.8.2.h5"},
    {"qwen2.5-prompt-float16-tf4.46.3-peft0.14.0.h5"},
    {"qwen2.5-base-window-tf5.23.0-peft0.21.2.h5"},
    {"qwen2.5-base-lookup-tf4.57.3-peft0.18.1.h5"},
    {"qwen2.5-base-chunked-tf5.23.0-peft0.21.2.h5"},
    {"qwen2.5-base-beams-tf4.57.3-peft0.18.1.h5"},
    {"qwen2.5-ptuning-encoder-tf4.46.3-peft0.14.0.h5"},
    {"qwen2.5-prefix-projected-tf4.57.3-peft0.18.1.h5"},
    {"qwen1.5-base-static-tf4.57.3-peft0.18.1.h5"},
    {"qwen1.5-base-loop-tf4.57.3-peft0.18.1.h5"},
    {"qwen1.5-prefix-training-tf4.57.3-peft0.18.1.h5"},
    {"qwen2-prompt-no-cache-tf4.46.3-peft0.14.0.h5"},
};

ParameterizedTestParameters(scribe, a_healthy_record_passes)
{
    return cr_make_param_array(const struct named, (void *)(uintptr_t)healthy, sizeof healthy / sizeof *healthy);
}

ParameterizedTest(const struct named *name, scribe, a_healthy_record_passes)
{
    struct copied copied;
    copy(&copied, name->name, QW_DEVIATIONS);
    const struct qc_item *first = qc_judgement_first(&copied.judgement);
    if (first)
        cr_expect_fail("%s: step %d, layer %d, %s is %s", name->name, first->step, first->layer, qw_site_rows[first->site].name,
                       qc_kind_name(qc_item_view(first)->kind));
    cr_expect_eq(copied.written.steps, copied.run.recording.steps);
    cr_expect(copied.judgement.values);
    forget(&copied);
}

Test(scribe, a_faulty_recording_gives_a_healthy_record_too)
{
    struct copied copied;
    copy(&copied, SHIPPED_BARE, QW_DEVIATIONS);
    cr_expect_null(qc_judgement_first(&copied.judgement));
    forget(&copied);
}

Test(scribe, equal_rules_give_equal_records)
{
    struct copied one, other;
    copy(&one, SHIPPED_PROMPT, QW_DEVIATIONS);
    copy(&other, SHIPPED_PROMPT, QW_DEVIATIONS);
    cr_expect_eq(qc_records_apart(&one.written, &other.written, NULL), QC_APART_NOWHERE);
    forget(&one);
    forget(&other);
}

Test(scribe, a_record_is_not_one_of_the_plays_of_the_judge)
{
    struct copied copied;
    copy(&copied, SHIPPED_BASE, QW_DEVIATIONS);
    int off = 0;
    for (int i = 0; i < copied.judgement.items.count; i++)
        off += copied.judgement.items.ordered[i]->isolated.difference.ratio > 0;
    cr_expect_gt(off, 10);
    forget(&copied);
}

Test(scribe, a_deviation_is_found_where_it_is)
{
    struct copied copied;
    copy(&copied, SHIPPED_PROMPT, QW_DEVIATION_PROMPT_NOT_INJECTED);
    const struct qc_item *first = qc_judgement_first(&copied.judgement);
    cr_assert_not_null(first);
    cr_expect(first->site == QW_SITE_INPUTS_EMBEDS && first->step == 0 && first->free.kind == QC_MISSING);
    forget(&copied);
}

Test(scribe, a_play_that_cannot_go_on_is_a_run_that_raised_there)
{
    struct copied copied;
    copy(&copied, "qwen-v1-prefix-permuted-e08ed08-tf4.37.2-peft0.8.2.h5", QW_DEVIATION_PREFIX_LAYOUT_TRANSPOSED);
    cr_expect(copied.written.raised && copied.written.steps == 1 && copied.written.step[0].raised);
    cr_expect_str_eq(copied.written.raised_at, "transformer.h.0.attn");
    cr_expect_str_eq(copied.written.exception_message, "Sizes of tensors must match except in dimension 1.");
    cr_expect_not(copied.written.step[0].after.present);
    cr_expect_null(qc_step_tap(&copied.written.step[0], "transformer.h.0.attn.c_proj"));
    cr_expect_not_null(qc_step_tap(&copied.written.step[0], "transformer.h.0.attn.c_attn"));
    forget(&copied);
}

Test(scribe, rows_that_change_later_differ_from_what_the_step_before_left)
{
    struct copied copied;
    copy(&copied, SHIPPED_PREFIX, QW_DEVIATION_CACHE_REWRITTEN);
    const struct qc_step *step = copied.written.step;
    const struct qw_tensor *left = step[0].after.layer[0].key, *taken = step[1].before.layer[0].key;
    cr_expect_eq(qw_tensor_at(left, 0), -qw_tensor_at(taken, 0));
    cr_expect_eq(qw_tensor_at(left, qw_shape_count(&left->shape) - 1), qw_tensor_at(taken, qw_shape_count(&taken->shape) - 1));
    forget(&copied);
}

static void copy_at_level(struct copied *copied, enum qc_level level)
{
    shipped_read(&copied->run, SHIPPED_PROMPT);
    copied->run.recording.level = level;
    cr_assert(shipped_subject(&copied->run));
    cr_assert(qc_scribe_write(&copied->written, &copied->run.subject, &copied->run.subject.rules));
}

static void forget_level(struct copied *copied)
{
    qc_scribe_clear(&copied->written);
    shipped_clear(&copied->run);
}

Test(scribe, a_record_of_shapes_keeps_no_elements_but_integers)
{
    struct copied copied;
    copy_at_level(&copied, QC_LEVEL_SHAPES);
    const struct qc_step *step = copied.written.step;
    cr_expect_null(step[0].input[QC_INPUTS_EMBEDS]->data);
    cr_expect_null(qc_step_tap(step, "lm_head")->tensor->data);
    cr_expect_null(qc_step_tap(step, "lm_head")->tensor->stats);
    cr_expect_null(step[0].after.layer[0].key->data);
    cr_expect_not_null(step[0].input[QC_ATTENTION_MASK]->data);
    forget_level(&copied);
}

Test(scribe, a_record_of_statistics_keeps_those)
{
    struct copied copied;
    copy_at_level(&copied, QC_LEVEL_STATS);
    const struct qw_tensor *logits = qc_step_tap(copied.written.step, "lm_head")->tensor;
    cr_assert_null(logits->data);
    cr_assert_not_null(logits->stats);
    cr_expect(logits->stats->min < logits->stats->mean && logits->stats->mean < logits->stats->max && logits->stats->rms > 0);
    cr_expect_eq(strlen(logits->stats->sha256), 64);
    forget_level(&copied);
}

Test(scribe, a_record_of_blocks_keeps_no_other_taps)
{
    struct copied copied;
    copy_at_level(&copied, QC_LEVEL_BLOCKS);
    cr_expect_not_null(qc_step_tap(copied.written.step, "model.layers.0"));
    cr_expect_null(qc_step_tap(copied.written.step, "model.layers.0.self_attn.q_proj"));
    forget_level(&copied);
}
