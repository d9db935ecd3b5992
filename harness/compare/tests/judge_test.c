/* Values: one number of a healthy recording is changed, and the judge must point at it. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "reference/base/memory.h"

static struct shipped run_of(const char *name)
{
    struct shipped run;
    shipped_read(&run, name);
    return run;
}

/* ---- healthy ---- */

Test(judge, healthy_runs_conform_with_room_to_spare)
{
    static const char *const names[] = {SHIPPED_PROMPT, SHIPPED_FOLDER, SHIPPED_BASE, SHIPPED_PREFIX};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct shipped run = run_of(names[n]);
        shipped_judge(&run);
        cr_expect_null(qc_judgement_first(&run.judgement), "%s", names[n]);
        cr_expect_eq(qc_judgement_energy(&run.judgement), 0);
        cr_expect(run.judgement.values);
        cr_expect_eq(run.judgement.consequence.compared, 5);
        cr_expect_eq(run.judgement.consequence.agreed, 5);
        cr_expect_lt(run.judgement.consequence.largest_kl, 1e-9);
        for (int i = 0; i < run.judgement.items.count; i++) {
            const struct qc_item *item = run.judgement.items.ordered[i];
            cr_expect(!item->free.valued || item->free.difference.ratio < QC_NOISE_MULTIPLE / 2, "%s of step %d: %g",
                      qw_site_rows[item->site].name, item->step, item->free.difference.ratio);
        }
        shipped_clear(&run);
    }
}

/* A prompt of 4 and 7 tokens, then one token a step; the prefix fills the cache instead. */
Test(judge, lengths_of_a_healthy_play)
{
    struct shipped run = run_of(SHIPPED_PREFIX);
    shipped_judge(&run);
    cr_assert_eq(run.judgement.steps, 5);
    for (int step = 0; step < 5; step++)
        cr_expect_eq(run.judgement.expected_lengths[step], 11 + step);
    shipped_clear(&run);
}

/* ---- one tap ---- */

/* Changes one element by a share of itself and expects the first divergence there. */
static void tap_differs(int step, int layer, enum qw_site site, const char *path)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor *tap = shipped_tap(&run, step, path);
    float *values = shipped_floats(tap);
    int64_t worst = 0, count = qw_shape_count(&tap->shape);
    for (int64_t i = 0; i < count; i++)
        worst = fabsf(values[i]) > fabsf(values[worst]) ? i : worst;
    double was = values[worst];
    values[worst] *= 1.001F;
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, step, layer, site, QC_VALUE);
    cr_expect_eq(qc_item_view(first)->difference.index, worst);
    cr_expect(fabs(qc_item_view(first)->difference.expected - was) < 1e-4 * fabs(was));
    cr_expect_eq(qc_item_view(first)->difference.observed, values[worst]);
    cr_expect_eq(qc_item_status(first), QC_DIFFERS);
    for (int i = 0; i < run.judgement.items.count; i++) {
        const struct qc_item *item = run.judgement.items.ordered[i];
        cr_expect(!qc_item_fails(item) || item->step == step, "%s of step %d", qw_site_rows[item->site].name, item->step);
    }
    shipped_clear(&run);
}

Test(judge, a_key_projection_of_the_first_step) { tap_differs(0, 1, QW_SITE_K_PROJ, "model.layers.1.self_attn.k_proj"); }
Test(judge, a_key_projection_of_a_decode_step) { tap_differs(3, 2, QW_SITE_K_PROJ, "model.layers.2.self_attn.k_proj"); }
Test(judge, the_logits_of_a_decode_step) { tap_differs(4, -1, QW_SITE_LM_HEAD, "lm_head"); }
Test(judge, an_embedding_of_a_decode_step) { tap_differs(2, -1, QW_SITE_EMBED, "model.embed_tokens"); }

/* Nobody but the users of a changed key is touched: the join of the same layer, and what the cache holds of it. */
Test(judge, a_changed_key_spreads_to_its_users_only)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    float *values = shipped_floats(shipped_tap(&run, 2, "model.layers.1.self_attn.k_proj"));
    values[3] += 0.05F;
    shipped_judge(&run);
    shipped_expect_first(&run, 2, 1, QW_SITE_K_PROJ, QC_VALUE);
    cr_expect_geq(shipped_failures(&run), 2);
    for (int i = 0; i < run.judgement.items.count; i++) {
        const struct qc_item *item = run.judgement.items.ordered[i];
        bool user = item->step == 2 && item->layer == 1 &&
                    (item->site == QW_SITE_K_PROJ || item->site == QW_SITE_O_PROJ || item->site == QW_SITE_AFTER_KEY);
        cr_expect(user || !qc_item_fails(item), "%s of step %d, layer %d", qw_site_rows[item->site].name, item->step,
                  item->layer);
    }
    shipped_clear(&run);
}

/* Logits have no users: exactly one place fails. */
Test(judge, changed_logits_spread_to_nobody)
{
    struct shipped run = run_of(SHIPPED_BASE);
    shipped_floats(shipped_tap(&run, 1, "lm_head"))[50] += 0.01F;
    shipped_judge(&run);
    shipped_expect_first(&run, 1, -1, QW_SITE_LM_HEAD, QC_VALUE);
    cr_expect_eq(shipped_failures(&run), 1);
    shipped_clear(&run);
}

/* Of two changes the one that was computed first is named. */
Test(judge, the_earlier_of_two_changes)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_floats(shipped_tap(&run, 0, "model.layers.0.self_attn.q_proj"))[0] += 0.1F;
    shipped_floats(shipped_tap(&run, 0, "model.layers.0.input_layernorm"))[0] += 0.1F;
    shipped_judge(&run);
    shipped_expect_first(&run, 0, 0, QW_SITE_INPUT_NORM, QC_VALUE);
    shipped_clear(&run);
}

Test(judge, a_nan_is_not_finite)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_floats(shipped_tap(&run, 1, "model.layers.0.mlp.up_proj"))[7] = NAN;
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 1, 0, QW_SITE_UP_PROJ, QC_NONFINITE);
    cr_expect_eq(qc_item_view(first)->difference.index, 7);
    shipped_clear(&run);
}

Test(judge, an_infinity_in_the_logits_is_not_finite)
{
    struct shipped run = run_of(SHIPPED_BASE);
    shipped_floats(shipped_tap(&run, 4, "lm_head"))[100] = -INFINITY;
    shipped_judge(&run);
    shipped_expect_first(&run, 4, -1, QW_SITE_LM_HEAD, QC_NONFINITE);
    shipped_clear(&run);
}

/* All zeros where the healthy play has none. */
Test(judge, zeros_do_not_pass)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor *tap = shipped_tap(&run, 0, "model.layers.2.mlp.down_proj");
    memset(tap->data, 0, (size_t)qw_shape_count(&tap->shape) * 4);
    shipped_judge(&run);
    shipped_expect_first(&run, 0, 2, QW_SITE_DOWN_PROJ, QC_VALUE);
    shipped_clear(&run);
}

/* ---- the bound ---- */

struct bound {
    enum qw_site site;
    int layer;
    int64_t index;
    double expected, step; /* the truth there, and twice the bound */
};

/* Every tap of a step that is compared by value in the isolated view, with a floor to stay under. */
static int bounds_of(struct bound *bounds, const char *name, int step)
{
    int count = 0;
    struct shipped run = run_of(name);
    shipped_judge(&run);
    for (int i = 0; i < run.judgement.items.count; i++) {
        const struct qc_item *item = run.judgement.items.ordered[i];
        enum qw_place place = qw_site_rows[item->site].place;
        const struct qc_difference *found = &item->isolated.difference;
        if (item->step != step || (place != QW_HEAD && place != QW_BLOCK && place != QW_TAIL) || !item->isolated.valued ||
            found->ratio == 0)
            continue;
        double floor = found->max_abs / found->ratio;
        bounds[count++] = (struct bound){item->site, item->layer, found->index, found->expected, 2 * QC_NOISE_MULTIPLE * floor};
    }
    shipped_clear(&run);
    return count;
}

/* Twice the bound is found where it was put, whatever the module. */
static void twice_the_bound(const char *name, int step)
{
    struct bound bounds[128];
    int count = bounds_of(bounds, name, step);
    cr_assert_gt(count, 30, "%d taps with a floor", count);
    struct shipped run = run_of(name);
    for (int i = 0; i < count; i++) {
        char path[160];
        qw_site_path(path, sizeof path, QW_FAMILY_QWEN2, bounds[i].site, bounds[i].layer);
        float *value = &shipped_floats(shipped_tap(&run, step, path))[bounds[i].index], was = *value;
        *value = (float)(bounds[i].expected + bounds[i].step);
        shipped_judge(&run);
        const struct qc_item *first = shipped_expect_first(&run, step, bounds[i].layer, bounds[i].site, QC_VALUE);
        double ratio = first->isolated.difference.ratio;
        cr_expect(ratio > 1.4 * QC_NOISE_MULTIPLE && ratio < 2.6 * QC_NOISE_MULTIPLE, "%s: %g", path, ratio);
        *value = (float)(bounds[i].expected + bounds[i].step / 4);
        shipped_forget(&run);
        shipped_judge(&run);
        const struct qc_item *below = shipped_item(&run, bounds[i].site, step, bounds[i].layer);
        cr_expect(below && below->isolated.kind == QC_KIND_NONE, "%s: half the bound must conform", path);
        *value = was;
        shipped_forget(&run);
    }
    shipped_clear(&run);
}

Test(judge, twice_the_bound_in_the_first_step, .timeout = 120) { twice_the_bound(SHIPPED_PROMPT, 0); }
Test(judge, twice_the_bound_in_a_decode_step, .timeout = 120) { twice_the_bound(SHIPPED_FOLDER, 3); }
Test(judge, twice_the_bound_behind_a_prefix, .timeout = 120) { twice_the_bound(SHIPPED_PREFIX, 1); }

/* ---- what is copied has no floor: one unit in the last place is too much ---- */

static void nudge(float *value) { *value = nextafterf(*value, INFINITY); }

Test(judge, an_injected_embedding_is_copied)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    nudge(&shipped_floats(run.recording.step[0].input[QC_INPUTS_EMBEDS])[2 * 48 + 5]);
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 0, -1, QW_SITE_INPUTS_EMBEDS, QC_VALUE);
    cr_expect_eq(first->free.difference.index, 2 * 48 + 5);
    cr_expect(isinf(first->free.difference.ratio));
    shipped_clear(&run);
}

Test(judge, an_embedded_token_is_copied)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    nudge(&shipped_floats(shipped_tap(&run, 3, "model.embed_tokens"))[47]);
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 3, -1, QW_SITE_EMBED, QC_VALUE);
    cr_expect(isinf(first->isolated.difference.ratio));
    shipped_clear(&run);
}

Test(judge, what_the_adapter_hands_over_is_copied)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    nudge(&shipped_floats(run.recording.adapter_prompt)[0]);
    shipped_judge(&run);
    shipped_expect_first(&run, 0, -1, QW_SITE_ADAPTER_PROMPT, QC_VALUE);
    cr_expect_eq(shipped_failures(&run), 1);
    shipped_clear(&run);
}

Test(judge, a_prefix_in_the_cache_is_copied)
{
    struct shipped run = run_of(SHIPPED_PREFIX);
    nudge(&shipped_floats(run.recording.step[0].before.layer[1].key)[9]);
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 0, 1, QW_SITE_BEFORE_KEY, QC_VALUE);
    cr_expect_eq(first->free.difference.index, 9);
    shipped_clear(&run);
}

Test(judge, a_prefix_value_in_the_cache_is_copied)
{
    struct shipped run = run_of(SHIPPED_PREFIX);
    nudge(&shipped_floats(run.recording.step[0].before.layer[2].value)[0]);
    shipped_judge(&run);
    shipped_expect_first(&run, 0, 2, QW_SITE_BEFORE_VALUE, QC_VALUE);
    shipped_clear(&run);
}

/* Between the steps nobody computes. */
Test(judge, a_cache_is_handed_back_as_it_was)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    nudge(&shipped_floats(run.recording.step[2].before.layer[0].key)[17]);
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 2, 0, QW_SITE_BEFORE_KEY, QC_VALUE);
    cr_expect_eq(first->isolated.difference.index, 17);
    shipped_clear(&run);
}

/* Row 4 of head 1 of what step 1 hands out was there before it: [1, 2, 12, 8]. */
Test(judge, rows_that_were_there_come_back_as_they_were)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    nudge(&shipped_floats(run.recording.step[1].after.layer[1].value)[(12 + 4) * 8 + 3]);
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 1, 1, QW_SITE_AFTER_VALUE, QC_VALUE);
    cr_expect_eq(first->isolated.difference.index, (12 + 4) * 8 + 3);
    shipped_clear(&run);
}

/* The row that step 1 appends is computed: one unit in the last place may be, a thousandth may not. */
Test(judge, a_new_row_of_the_cache_has_a_floor)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    float *appended = &shipped_floats(run.recording.step[4].after.layer[1].key)[(15 + 14) * 8];
    nudge(appended);
    shipped_judge(&run);
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_forget(&run);
    *appended += 0.01F;
    shipped_judge(&run);
    shipped_expect_first(&run, 4, 1, QW_SITE_AFTER_KEY, QC_VALUE);
    shipped_clear(&run);
}

/* ---- what it does to the tokens ---- */

Test(judge, a_flipped_token)
{
    struct shipped run = run_of(SHIPPED_BASE);
    struct qw_tensor *logits = shipped_tap(&run, 2, "lm_head");
    float *values = shipped_floats(logits);
    int64_t best = 0;
    for (int64_t i = 1; i < 101; i++)
        best = values[i] > values[best] ? i : best;
    values[(best + 1) % 101] = values[best] + 1;
    shipped_judge(&run);
    cr_expect_eq(run.judgement.consequence.compared, 5);
    cr_expect_eq(run.judgement.consequence.agreed, 4);
    cr_expect_eq(run.judgement.consequence.first_flip, 2);
    cr_expect_gt(run.judgement.consequence.largest_kl, 0.01);
    shipped_clear(&run);
}

/* A change that leaves the order of the logits alone is no consequence for the tokens. */
Test(judge, a_difference_without_consequence)
{
    struct shipped run = run_of(SHIPPED_BASE);
    float *values = shipped_floats(shipped_tap(&run, 2, "lm_head"));
    int64_t least = 0;
    for (int64_t i = 1; i < 101; i++)
        least = values[i] < values[least] ? i : least;
    values[least] -= 1;
    shipped_judge(&run);
    shipped_expect_first(&run, 2, -1, QW_SITE_LM_HEAD, QC_VALUE);
    cr_expect_eq(run.judgement.consequence.first_flip, -1);
    cr_expect_eq(run.judgement.consequence.agreed, 5);
    shipped_clear(&run);
}

/* ---- without weights ---- */

Test(judge, without_weights_only_structure_is_judged)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    qw_tensors_clear(&run.recording.model_weights.embedded);
    shipped_floats(shipped_tap(&run, 1, "lm_head"))[0] += 1;
    shipped_judge(&run);
    cr_expect_null(qc_judgement_first(&run.judgement));
    cr_expect_not(run.judgement.values);
    shipped_forget(&run);
    shipped_tap(&run, 1, "lm_head")->shape.dim[2] = 100;
    shipped_judge(&run);
    shipped_expect_first(&run, 1, -1, QW_SITE_LM_HEAD, QC_SHAPE);
    shipped_clear(&run);
}
