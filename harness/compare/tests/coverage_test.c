/* A pass is earned: what is counted, what is waived, and when too little is left. */
#include "harness/compare/coverage.h"

#include <criterion/criterion.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"

static void judged(struct shipped *run, const char *name)
{
    shipped_read(run, name);
    shipped_judge(run);
}

static const char *shortfall(const struct shipped *run)
{
    const char *hint;
    return qc_coverage_shortfall(&run->judgement, &hint);
}

Test(coverage, healthy_runs_earn_their_pass)
{
    static const char *const names[] = {SHIPPED_PROMPT, SHIPPED_FOLDER, SHIPPED_BASE, SHIPPED_PREFIX};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct shipped run;
        judged(&run, names[i]);
        struct qc_counts all = qc_coverage_count(&run.judgement, QC_ANY, QC_ANY);
        cr_expect_null(shortfall(&run), "%s: %s", names[i], shortfall(&run));
        cr_expect_eq(all.expected, all.compared + all.missing + all.waived);
        cr_expect_eq(all.expected, all.compared);
        cr_expect(!qc_blind_applies(QC_BLIND_constant, &run.judgement) && !qc_blind_applies(QC_BLIND_logits, &run.judgement));
        shipped_clear(&run);
    }
}

Test(coverage, counts_of_parties_and_steps_add_up)
{
    struct shipped run;
    judged(&run, SHIPPED_PREFIX);
    struct qc_counts all = qc_coverage_count(&run.judgement, QC_ANY, QC_ANY);
    int of_parties = 0, of_steps = 0;
    for (int party = 0; party < QW_PARTIES; party++)
        of_parties += qc_coverage_count(&run.judgement, party, QC_ANY).compared;
    for (int step = 0; step < run.judgement.steps; step++)
        of_steps += qc_coverage_count(&run.judgement, QC_ANY, step).compared;
    cr_expect_eq(of_parties, all.compared);
    cr_expect_eq(of_steps, all.compared);
    cr_expect(all.valued > 0 && all.valued < all.compared, "types and lengths are no numbers");
    shipped_clear(&run);
}

/* Takes every item of a kind out of what was compared. */
static void waive(struct shipped *run, int party, int step)
{
    for (int i = 0; i < run->judgement.items.count; i++) {
        struct qc_item *item = run->judgement.items.ordered[i];
        if ((party == QC_ANY || (int)qw_site_rows[item->site].party == party) && (step == QC_ANY || item->step == step))
            item->reason = "left out by this test";
    }
}

static void expect_shortfall(int party, int step, const char *words)
{
    struct shipped run;
    judged(&run, SHIPPED_PROMPT);
    waive(&run, party, step);
    const char *why = shortfall(&run);
    cr_expect(why && strstr(why, words), "%s", why ? why : "it passes");
    shipped_clear(&run);
}

Test(coverage, nothing_compared_is_no_pass) { expect_shortfall(QC_ANY, QC_ANY, "nothing of what a healthy run has"); }
Test(coverage, a_step_of_which_nothing_is_compared_is_no_pass) { expect_shortfall(QC_ANY, 3, "recorded step"); }
Test(coverage, a_party_of_which_nothing_is_compared_is_no_pass) { expect_shortfall(QW_CACHE, QC_ANY, "three parties"); }

Test(coverage, numbers_that_were_promised_and_not_compared_are_no_pass)
{
    struct shipped run;
    judged(&run, SHIPPED_PROMPT);
    for (int i = 0; i < run.judgement.items.count; i++)
        run.judgement.items.ordered[i]->free.valued = run.judgement.items.ordered[i]->isolated.valued = false;
    const char *why = shortfall(&run);
    cr_expect(why && strstr(why, "promises numbers"), "%s", why ? why : "it passes");
    shipped_clear(&run);
}

Test(coverage, what_lies_outside_a_selection_is_not_asked_for)
{
    struct shipped run;
    judged(&run, SHIPPED_PROMPT);
    waive(&run, QC_ANY, 3);
    run.subject.selection.first_step = run.subject.selection.last_step = 1;
    cr_expect_null(shortfall(&run));
    shipped_clear(&run);
}

/* A layer whose output is switched off gives zeros in the healthy play too: that it agrees shows nothing. */
Test(coverage, a_module_of_zeros_is_waived_and_named)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    const struct qw_tensor *weight = qw_tensors_find(&run.recording.model_weights.embedded,
                                                     "model.layers.1.mlp.down_proj.weight");
    cr_assert_not_null(weight);
    memset(weight->data, 0, (size_t)qw_shape_count(&weight->shape) * sizeof(float));
    for (int step = 0; step < run.recording.steps; step++) {
        struct qw_tensor *tap = shipped_tap(&run, step, "model.layers.1.mlp.down_proj");
        memset(tap->data, 0, (size_t)qw_shape_count(&tap->shape) * sizeof(float));
    }
    shipped_judge(&run);
    const struct qc_item *item = shipped_item(&run, QW_SITE_DOWN_PROJ, 0, 1);
    cr_expect_eq(qc_item_status(item), QC_WAIVED);
    cr_expect(qc_blind_applies(QC_BLIND_constant, &run.judgement));
    shipped_clear(&run);
}
