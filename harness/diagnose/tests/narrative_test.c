/* The words: the place, the token, the verdict in one sentence. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "harness/diagnose/narrative.h"

static void says(char *text, const char *words)
{
    cr_expect(strstr(text, words) != NULL, "\"%s\" should say \"%s\"", text, words);
    free(text);
}

static void is(char *text, const char *words)
{
    cr_assert_not_null(text, "nothing is said, \"%s\" is expected", words);
    cr_expect_str_eq(text, words);
    free(text);
}

/* Changes one element of a tap and gives the words for the token that it belongs to. */
static char *token_of(const char *name, int step, const char *path, int64_t index)
{
    struct shipped run;
    shipped_read(&run, name);
    shipped_floats(shipped_tap(&run, step, path))[index] += 1;
    shipped_judge(&run);
    const struct qc_item *first = qc_judgement_first(&run.judgement);
    cr_assert_not_null(first);
    char *text = qc_position_text(first, &run.judgement);
    shipped_clear(&run);
    return text;
}

/* Four virtual tokens, seven of the prompt; then one generated token a step. */
Test(narrative, which_token_a_tap_belongs_to)
{
    is(token_of(SHIPPED_PROMPT, 0, "model.layers.0.self_attn.k_proj", 2 * 16), "virtual token 2 of 4");
    is(token_of(SHIPPED_PROMPT, 0, "model.layers.0.self_attn.k_proj", 4 * 16), "prompt token 0 of 7");
    is(token_of(SHIPPED_PROMPT, 0, "model.layers.0.self_attn.k_proj", 10 * 16 + 15), "prompt token 6 of 7");
    is(token_of(SHIPPED_PROMPT, 1, "model.layers.2.mlp.up_proj", 0), "generated token 0");
    is(token_of(SHIPPED_PROMPT, 4, "lm_head", 9), "generated token 3");
    is(token_of(SHIPPED_BASE, 0, "model.layers.0.self_attn.k_proj", 0), "prompt token 0 of 7");
}

/* Behind a prefix the taps hold the prompt alone. */
Test(narrative, which_token_behind_a_prefix)
{
    is(token_of(SHIPPED_PREFIX, 0, "model.layers.0.self_attn.k_proj", 0), "prompt token 0 of 7");
}

/* Logits of the last position only: their row 0 is the last token of the prompt. */
Test(narrative, which_token_of_kept_logits) { is(token_of(SHIPPED_FOLDER, 0, "lm_head", 5), "prompt token 6 of 7"); }

Test(narrative, which_row_of_a_cache)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PREFIX);
    shipped_floats(run.recording.step[0].before.layer[0].key)[(4 + 1) * 8] += 1; /* head 1, row 1 of [1, 2, 4, 8] */
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 0, 0, QW_SITE_BEFORE_KEY, QC_VALUE);
    is(qc_position_text(first, &run.judgement), "virtual token 1 of 4");
    shipped_clear(&run);
}

Test(narrative, no_token_where_none_is_meant)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BARE);
    shipped_judge(&run);
    cr_expect_null(qc_position_text(qc_judgement_first(&run.judgement), &run.judgement), "a missing tensor has no elements");
    shipped_clear(&run);
}

Test(narrative, places)
{
    struct qc_item item = {.site = QW_SITE_Q_PROJ, .step = 2, .layer = 1};
    says(qc_place_text(&item), "step 2, layer 1");
    item.layer = -1;
    is(qc_place_text(&item), "step 2");
    item.step = -1;
    says(qc_place_text(&item), "before the first step");
}

/* A raise inside the model has the name of the module that raised. */
Test(narrative, the_site_of_a_raise)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_QUERY_HEADS);
    struct qc_item item = {.site = QW_SITE_CALL, .step = 0, .layer = -1};
    item.free.looked = true;
    item.free.kind = QC_RAISED;
    is(qc_site_name(&item, &run.recording), "self_attn");
    cr_expect_eq(qc_site_layer(&item, &run.recording), 0);
    shipped_text(&run.recording.raised_at, "model.layers.2");
    is(qc_site_name(&item, &run.recording), "output");
    cr_expect_eq(qc_site_layer(&item, &run.recording), 2);
    shipped_text(&run.recording.raised_at, "model.norm");
    is(qc_site_name(&item, &run.recording), "model.norm");
    cr_expect_eq(qc_site_layer(&item, &run.recording), -1);
    item.step = -1;
    is(qc_site_name(&item, &run.recording), "call");
    shipped_clear(&run);
}

/* ---- differences ---- */

static char *difference(struct shipped *run)
{
    shipped_judge(run);
    const struct qc_item *first = qc_judgement_first(&run->judgement);
    cr_assert_not_null(first);
    char *text = qc_difference_text(first, &run->recording);
    shipped_clear(run);
    return text;
}

Test(narrative, a_value)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    shipped_floats(shipped_tap(&run, 0, "lm_head"))[3] = 123;
    char *text = difference(&run);
    cr_expect(strstr(text, "lm_head holds 123 where "), "%s", text);
    says(text, "times the noise floor");
}

Test(narrative, a_length)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    run.recording.step[1].before.length = 6;
    says(difference(&run), "cache_before.length is 6 where 7 is expected");
}

Test(narrative, a_position)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    shipped_integers(run.recording.step[1].input[QC_POSITION_IDS])[0] = 0;
    says(difference(&run), "position 0 where 7 is expected");
}

Test(narrative, a_type)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    shipped_text(&run.recording.step[1].before.type, "tuple");
    says(difference(&run), "tuple where DynamicCache is expected");
}

Test(narrative, a_shape)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_QUERY_HEADS);
    char *text = difference(&run);
    cr_expect(strstr(text, "[3, 2, 1, 6, 4, 8]"), "%s", text);
    says(text, "[3, 2, 1, 2, 4, 8]");
}

Test(narrative, a_number_that_is_none)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    shipped_floats(shipped_tap(&run, 2, "model.norm"))[3] = (float)(0.0 / 0.0);
    says(difference(&run), "not finite");
}

/* ---- verdicts ---- */

static char *verdict(const char *name)
{
    struct shipped run;
    shipped_read(&run, name);
    shipped_judge(&run);
    bool failed = qc_judgement_first(&run.judgement) != NULL;
    struct qc_diagnosis diagnosis = {0};
    if (failed)
        diagnosis = qc_diagnose(&run.judgement);
    char *text = qc_verdict_text(&run.judgement, failed ? &diagnosis : NULL);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
    return text;
}

/* What, where first, why, what to do; the remedy is not cut inside a version. */
Test(narrative, the_verdict_of_a_missing_prompt)
{
    char *text = verdict(SHIPPED_BARE);
    cr_expect(strstr(text, "The trained prompt never reached the model"), "%s", text);
    cr_expect(strstr(text, "step 0, received.inputs_embeds is missing"), "%s", text);
    cr_expect(strstr(text, "transformers 4.44.2"), "%s", text);
    cr_expect(strstr(text, "Upgrade PEFT to 0.13.0 or later"), "%s", text);
    cr_expect_eq(text[strlen(text) - 1], '.', "%s", text);
    cr_expect_null(strchr(text, '\n'));
    free(text);
}

Test(narrative, the_verdict_of_a_call_that_reached_nothing)
{
    char *text = verdict(SHIPPED_EMPTY_CACHE);
    cr_expect(strstr(text, "KeyError"), "%s", text);
    says(text, "before the first step");
}

Test(narrative, the_verdict_of_a_healthy_run)
{
    char *text = verdict(SHIPPED_PROMPT);
    cr_expect_eq(strncmp(text, "Conforms", 8), 0, "%s", text);
    says(text, "5 steps");
}

Test(narrative, the_same_judgement_gives_the_same_words)
{
    char *once = verdict(SHIPPED_BARE_PREFIX), *again = verdict(SHIPPED_BARE_PREFIX);
    cr_expect_str_eq(once, again);
    free(once);
    free(again);
}

/* ---- which steps are right ---- */

static char *right_steps(const char *name, int step, int second)
{
    struct shipped run;
    shipped_read(&run, name);
    for (int i = 0; i < 2; i++)
        if ((i ? second : step) >= 0)
            shipped_floats(run.recording.step[i ? second : step].input[QC_ATTENTION_MASK])[0] = 0;
    shipped_judge(&run);
    char *text = qc_right_steps_text(&run.judgement);
    shipped_clear(&run);
    return text;
}

Test(narrative, steps_that_were_handed_the_right_things)
{
    is(right_steps(SHIPPED_PROMPT, 0, -1), "steps 1-4");
    is(right_steps(SHIPPED_PROMPT, 2, -1), "steps 0-1, 3-4");
    is(right_steps(SHIPPED_PROMPT, 1, 3), "steps 0, 2, 4");
}

/* Nothing is said of a healthy run, nor where no step is right. */
Test(narrative, no_word_on_steps_that_are_all_alike)
{
    cr_expect_null(right_steps(SHIPPED_PROMPT, -1, -1));
    cr_expect_null(right_steps(SHIPPED_BARE_PREFIX, -1, -1));
}
