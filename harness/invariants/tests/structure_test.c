/* Structure: what is there, of which shape, type, length and position; one thing of a healthy recording is changed and
 * the judge must point at it. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "harness/diagnose/diagnose.h"
#include "harness/invariants/structure.h"
#include "reference/base/memory.h"

static struct shipped run_of(const char *name)
{
    struct shipped run;
    shipped_read(&run, name);
    return run;
}

/* Judges, expects the first divergence, and lets go. */
static void expect(struct shipped *run, int step, int layer, enum qw_site site, enum qc_kind kind)
{
    shipped_judge(run);
    shipped_expect_first(run, step, layer, site, kind);
    shipped_clear(run);
}

static void replace(struct qw_tensor **tensor, struct qw_tensor *with)
{
    qw_tensor_free(*tensor);
    *tensor = with;
}

/* The first `columns` of a [1, n] tensor. */
static struct qw_tensor *shortened(const struct qw_tensor *tensor, int64_t columns)
{
    struct qw_shape shape = qw_shape_of(2, (int64_t)1, columns);
    struct qw_tensor *copy = qw_tensor_structure(tensor->dtype, &shape);
    copy->data = qw_memdup(tensor->data, (size_t)columns, qw_dtype_bytes(tensor->dtype));
    return copy;
}

/* ---- taps ---- */

Test(structure, a_missing_tap)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_remove_tap(&run, 1, "model.layers.1.mlp.gate_proj");
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 1, 1, QW_SITE_GATE_PROJ, QC_MISSING);
    cr_expect_eq(qc_item_status(first), QC_MISSES);
    cr_expect_not(first->recorded);
    cr_expect(first->expected);
    cr_expect_eq(shipped_failures(&run), 1);
    shipped_clear(&run);
}

Test(structure, missing_logits)
{
    struct shipped run = run_of(SHIPPED_BASE);
    shipped_remove_tap(&run, 4, "lm_head");
    expect(&run, 4, -1, QW_SITE_LM_HEAD, QC_MISSING);
}

/* The adapter embeds the first step itself: a tap of the embedding there is one too many. */
Test(structure, an_embedding_where_the_adapter_embeds)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qc_step *step = &run.recording.step[0];
    struct qw_shape shape = qw_shape_of(3, (int64_t)1, (int64_t)7, (int64_t)48);
    step->tap = qw_realloc(step->tap, (size_t)step->taps + 1, sizeof *step->tap);
    step->tap[step->taps++] = (struct qc_tap){.path = qw_strdup("model.embed_tokens"), .tensor = qw_tensor_make(QW_F32, &shape)};
    expect(&run, 0, -1, QW_SITE_EMBED, QC_EXTRA);
}

Test(structure, a_tap_of_another_dtype)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor *tap = shipped_tap(&run, 0, "model.layers.0.self_attn.v_proj");
    struct qw_tensor *half = qw_tensor_make(QW_F16, &tap->shape);
    free(tap->data);
    *tap = *half;
    free(half);
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 0, 0, QW_SITE_V_PROJ, QC_DTYPE);
    cr_expect_str_eq(first->dtype, "float16");
    shipped_clear(&run);
}

Test(structure, a_tap_of_another_shape)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor *tap = shipped_tap(&run, 0, "model.layers.0.self_attn.q_proj");
    tap->shape.dim[1] = 48;
    tap->shape.dim[2] = 11;
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 0, 0, QW_SITE_Q_PROJ, QC_SHAPE);
    cr_expect(first->observed_shape.dim[1] == 48 && qc_item_view(first)->expected_shape.dim[1] == 11);
    shipped_clear(&run);
}

Test(structure, a_tap_of_another_rank)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor *tap = shipped_tap(&run, 2, "model.norm");
    tap->shape = qw_shape_of(2, (int64_t)1, (int64_t)48);
    expect(&run, 2, -1, QW_SITE_NORM, QC_RANK);
}

/* A tap of a module that the reference does not know is no difference. */
Test(structure, a_tap_of_an_unknown_module)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qc_step *step = &run.recording.step[0];
    struct qw_shape shape = qw_shape_of(1, (int64_t)3);
    step->tap = qw_realloc(step->tap, (size_t)step->taps + 1, sizeof *step->tap);
    step->tap[step->taps++] =
        (struct qc_tap){.path = qw_strdup("model.layers.0.extra"), .tensor = qw_tensor_make(QW_F32, &shape), .order = 99};
    shipped_judge(&run);
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_clear(&run);
}

/* ---- steps ---- */

/* The last step once more. */
static void add_step(struct shipped *run, int64_t token)
{
    struct qc_recording *recording = &run->recording;
    struct qw_shape shape = qw_shape_of(2, (int64_t)1, (int64_t)1);
    recording->step = qw_realloc(recording->step, (size_t)recording->steps + 1, sizeof *recording->step);
    recording->step[recording->steps] = (struct qc_step){.input[QC_INPUT_IDS] = qw_tensor_make(QW_I64, &shape)};
    shipped_integers(recording->step[recording->steps++].input[QC_INPUT_IDS])[0] = token;
}

Test(structure, a_step_too_many)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    add_step(&run, 3);
    expect(&run, 5, -1, QW_SITE_INPUT_IDS, QC_EXTRA);
}

Test(structure, a_step_too_few)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    run.recording.steps--;
    shipped_judge(&run);
    shipped_expect_first(&run, 4, -1, QW_SITE_INPUT_IDS, QC_MISSING);
    cr_expect_eq(run.judgement.steps, 5);
    run.recording.steps++;
    shipped_clear(&run);
}

Test(structure, nothing_reached_the_model)
{
    struct shipped run = run_of(SHIPPED_BASE);
    int steps = run.recording.steps;
    run.recording.steps = 0;
    shipped_judge(&run);
    shipped_expect_first(&run, 0, -1, QW_SITE_INPUT_IDS, QC_MISSING);
    run.recording.steps = steps;
    shipped_clear(&run);
}

/* ---- what is handed over ---- */

Test(structure, a_token_that_was_not_generated)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    int64_t *fed = shipped_integers(run.recording.step[3].input[QC_INPUT_IDS]);
    double was = (double)fed[0];
    fed[0] = (fed[0] + 1) % 101;
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 3, -1, QW_SITE_INPUT_IDS, QC_VALUE);
    cr_expect_eq(first->free.difference.expected, was);
    cr_expect_eq(first->free.difference.observed, (double)fed[0]);
    shipped_clear(&run);
}

Test(structure, the_prompt_is_fed_again)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_shape shape = qw_shape_of(2, (int64_t)1, (int64_t)8);
    replace(&run.recording.step[1].input[QC_INPUT_IDS], qw_tensor_make(QW_I64, &shape));
    expect(&run, 1, -1, QW_SITE_INPUT_IDS, QC_SHAPE);
}

Test(structure, ids_instead_of_embeddings)
{
    struct shipped run = run_of(SHIPPED_BARE);
    expect(&run, 0, -1, QW_SITE_INPUTS_EMBEDS, QC_MISSING);
}

Test(structure, a_mask_one_too_short)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor **mask = &run.recording.step[2].input[QC_ATTENTION_MASK];
    replace(mask, shortened(*mask, 12));
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 2, -1, QW_SITE_ATTENTION_MASK, QC_MASK_LENGTH);
    cr_expect(first->observed_shape.dim[1] == 12 && first->free.expected_shape.dim[1] == 13);
    shipped_clear(&run);
}

Test(structure, a_mask_without_the_virtual_tokens)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor **mask = &run.recording.step[0].input[QC_ATTENTION_MASK];
    replace(mask, shortened(*mask, 7));
    expect(&run, 0, -1, QW_SITE_ATTENTION_MASK, QC_MASK_LENGTH);
}

Test(structure, a_mask_that_hides_a_virtual_token)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_floats(run.recording.step[0].input[QC_ATTENTION_MASK])[1] = 0;
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 0, -1, QW_SITE_ATTENTION_MASK, QC_VALUE);
    cr_expect_eq(first->free.difference.index, 1);
    shipped_clear(&run);
}

Test(structure, a_missing_mask_of_an_era_that_hands_one_over)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    replace(&run.recording.step[1].input[QC_ATTENTION_MASK], NULL);
    expect(&run, 1, -1, QW_SITE_ATTENTION_MASK, QC_MISSING);
}

/* The newest era hands over no mask when nothing is padded; one that is all ones is no difference, another one is. */
Test(structure, a_mask_where_none_is_needed)
{
    struct shipped run = run_of("qwen2-prompt-tf5.23.0-peft0.21.2.h5");
    struct qw_shape shape = qw_shape_of(2, (int64_t)1, (int64_t)11);
    struct qw_tensor *mask = qw_tensor_make(QW_I64, &shape);
    for (int i = 0; i < 11; i++)
        shipped_integers(mask)[i] = 1;
    cr_assert_null(run.recording.step[0].input[QC_ATTENTION_MASK]);
    run.recording.step[0].input[QC_ATTENTION_MASK] = mask;
    shipped_judge(&run);
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_forget(&run);
    shipped_integers(mask)[4] = 0;
    expect(&run, 0, -1, QW_SITE_ATTENTION_MASK, QC_VALUE);
}

Test(structure, positions_that_are_shifted)
{
    struct shipped run = run_of(SHIPPED_BASE);
    int64_t *positions = shipped_integers(run.recording.step[0].input[QC_POSITION_IDS]);
    for (int i = 0; i < 7; i++)
        positions[i] += 4;
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 0, -1, QW_SITE_POSITION_IDS, QC_POSITION);
    cr_expect(first->free.difference.expected == 0 && first->free.difference.observed == 4);
    shipped_clear(&run);
}

Test(structure, positions_that_start_again_at_decode)
{
    struct shipped run = run_of(SHIPPED_BASE);
    shipped_integers(run.recording.step[2].input[QC_POSITION_IDS])[0] = 0;
    expect(&run, 2, -1, QW_SITE_POSITION_IDS, QC_POSITION);
}

/* No position_ids in any step; cache_position then stands for them. */
static void forget_positions(struct shipped *run)
{
    for (int step = 0; step < run->recording.steps; step++) {
        qw_tensor_free(run->recording.step[step].input[QC_POSITION_IDS]);
        run->recording.step[step].input[QC_POSITION_IDS] = NULL;
    }
}

Test(structure, positions_may_stay_away_where_the_model_finds_the_same)
{
    struct shipped run = run_of(SHIPPED_BASE);
    forget_positions(&run);
    shipped_judge(&run);
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_clear(&run);
}

Test(structure, positions_that_stay_away_where_the_batch_is_padded)
{
    struct shipped run = run_of(SHIPPED_BASE);
    forget_positions(&run);
    shipped_integers(run.recording.attention_mask)[0] = 0;
    for (int step = 0; step < run.recording.steps; step++)
        shipped_integers(run.recording.step[step].input[QC_ATTENTION_MASK])[0] = 0;
    expect(&run, 0, -1, QW_SITE_POSITION_IDS, QC_MISSING);
}

Test(structure, a_cache_position_that_is_off_by_one)
{
    struct shipped run = run_of(SHIPPED_BASE);
    shipped_integers(run.recording.step[1].input[QC_CACHE_POSITION])[0] = 8;
    expect(&run, 1, -1, QW_SITE_CACHE_POSITION, QC_POSITION);
}

/* The hand-over is judged in its order: ids before positions, positions before caches. */
Test(structure, the_first_of_several_differences)
{
    struct shipped run = run_of(SHIPPED_BASE);
    shipped_integers(run.recording.step[1].input[QC_CACHE_POSITION])[0] = 8;
    shipped_integers(run.recording.step[1].input[QC_POSITION_IDS])[0] = 8;
    run.recording.step[1].before.length = 3;
    expect(&run, 1, -1, QW_SITE_POSITION_IDS, QC_POSITION);
}

/* ---- caches ---- */

Test(structure, a_cache_that_lies_about_its_length)
{
    struct shipped run = run_of(SHIPPED_BASE);
    run.recording.step[1].before.length = 6;
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 1, -1, QW_SITE_BEFORE_LENGTH, QC_CACHE_LENGTH);
    cr_expect(qc_item_view(first)->difference.expected == 7 && qc_item_view(first)->difference.observed == 6);
    shipped_clear(&run);
}

Test(structure, a_cache_that_grew_twice)
{
    struct shipped run = run_of(SHIPPED_BASE);
    run.recording.step[1].after.length = 9;
    expect(&run, 1, -1, QW_SITE_AFTER_LENGTH, QC_CACHE_LENGTH);
}

/* Since 4.48 the model takes no tuples; before, it did. */
Test(structure, a_tuple_where_a_cache_object_is_required)
{
    struct shipped run = run_of(SHIPPED_FOLDER);
    shipped_text(&run.recording.step[1].before.type, "tuple");
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 1, -1, QW_SITE_BEFORE_TYPE, QC_CACHE_TYPE);
    cr_expect_str_eq(first->observed_text, "tuple");
    cr_expect_str_eq(first->expected_text, "DynamicCache");
    shipped_clear(&run);
}

Test(structure, a_tuple_where_tuples_are_taken)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_text(&run.recording.step[1].before.type, "tuple");
    shipped_judge(&run);
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_clear(&run);
}

Test(structure, no_cache_where_one_is_due)
{
    struct shipped run = run_of(SHIPPED_BASE);
    shipped_text(&run.recording.step[3].before.type, "NoneType");
    expect(&run, 3, -1, QW_SITE_BEFORE_TYPE, QC_CACHE_TYPE);
}

Test(structure, a_cache_that_was_not_recorded)
{
    struct shipped run = run_of(SHIPPED_BASE);
    run.recording.step[2].after.present = false;
    expect(&run, 2, -1, QW_SITE_AFTER_TYPE, QC_MISSING);
}

Test(structure, a_layer_without_its_keys)
{
    struct shipped run = run_of(SHIPPED_BASE);
    replace(&run.recording.step[2].before.layer[1].key, NULL);
    expect(&run, 2, 1, QW_SITE_BEFORE_KEY, QC_MISSING);
}

/* [1, 2, 4, 8] recorded as [1, 4, 2, 8]: heads and sequence swapped. */
Test(structure, a_prefix_with_two_axes_swapped)
{
    struct shipped run = run_of(SHIPPED_PREFIX);
    struct qw_tensor *key = run.recording.step[0].before.layer[0].key;
    key->shape.dim[1] = 4;
    key->shape.dim[2] = 2;
    expect(&run, 0, 0, QW_SITE_BEFORE_KEY, QC_SHAPE);
}

Test(structure, keys_of_another_rank)
{
    struct shipped run = run_of(SHIPPED_PREFIX);
    run.recording.step[0].before.layer[0].value->shape = qw_shape_of(3, (int64_t)2, (int64_t)4, (int64_t)8);
    expect(&run, 0, 0, QW_SITE_BEFORE_VALUE, QC_RANK);
}

Test(structure, rows_in_a_cache_that_should_be_empty)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qc_cache *before = &run.recording.step[0].before;
    struct qw_shape shape = qw_shape_of(4, (int64_t)1, (int64_t)2, (int64_t)4, (int64_t)8);
    before->layer = qw_realloc(before->layer, 1, sizeof *before->layer);
    before->layer[0] = (struct qc_cache_layer){.key = qw_tensor_make(QW_F32, &shape), .value = qw_tensor_make(QW_F32, &shape)};
    before->layers = 1;
    expect(&run, 0, 0, QW_SITE_BEFORE_KEY, QC_EXTRA);
}

/* The same numbers kept wider than the model computes: a difference of structure, whatever the values. */
Test(structure, a_prefix_of_another_dtype)
{
    struct shipped run = run_of(SHIPPED_PREFIX);
    struct qw_tensor *key = run.recording.step[0].before.layer[1].key;
    double *values = qw_tensor_doubles(key);
    free(key->data);
    key->data = values;
    key->dtype = QW_F64;
    expect(&run, 0, 1, QW_SITE_BEFORE_KEY, QC_DTYPE);
}

Test(structure, embeddings_of_another_dtype)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor *embeds = run.recording.step[0].input[QC_INPUTS_EMBEDS];
    double *values = qw_tensor_doubles(embeds);
    free(embeds->data);
    embeds->data = values;
    embeds->dtype = QW_F64;
    expect(&run, 0, -1, QW_SITE_INPUTS_EMBEDS, QC_DTYPE);
}

Test(structure, how_many_rows_a_cache_has)
{
    struct qw_shape shape = qw_shape_of(4, (int64_t)1, (int64_t)2, (int64_t)5, (int64_t)8);
    struct qw_tensor *key = qw_tensor_structure(QW_F32, &shape);
    struct qc_cache_layer layer = {.key = key};
    struct qc_cache absent = {.length = 3}, stated = {.present = true, .length = 3, .layers = 1, .layer = &layer};
    struct qc_cache derived = {.present = true, .length = -1, .layers = 1, .layer = &layer},
                    empty = {.present = true, .length = -1};
    cr_expect_eq(qc_cache_rows(&absent), 0);
    cr_expect_eq(qc_cache_rows(&stated), 3, "what the cache says of itself comes first");
    cr_expect_eq(qc_cache_rows(&derived), 5);
    cr_expect_eq(qc_cache_rows(&empty), 0);
    qw_tensor_free(key);
}

/* ---- the adapter ---- */

Test(structure, a_prompt_of_another_length)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    run.recording.adapter_prompt->shape.dim[1] = 3;
    expect(&run, 0, -1, QW_SITE_ADAPTER_PROMPT, QC_SHAPE);
}

Test(structure, a_prefix_for_the_query_heads)
{
    struct shipped run = run_of(SHIPPED_QUERY_HEADS);
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, 0, -1, QW_SITE_ADAPTER_PROMPT, QC_SHAPE);
    cr_expect_eq(first->observed_shape.dim[3], 6);
    cr_expect_eq(first->free.expected_shape.dim[3], 2);
    shipped_clear(&run);
}

/* ---- raises ---- */

/* Everything up to the raise is healthy: the raise itself is the difference, and nothing explains it. */
static void unexplained_raise(int kept, bool inside)
{
    struct shipped run = run_of(SHIPPED_BASE);
    run.recording.raised = true;
    shipped_text(&run.recording.exception_type, "RuntimeError");
    shipped_text(&run.recording.exception_message, "the machine caught fire");
    shipped_text(&run.recording.raised_at, inside ? "model.layers.2.mlp" : "");
    replace(&run.recording.output_ids, NULL);
    if (inside) {
        run.recording.step[kept - 1].raised = true;
        run.recording.step[kept - 1].after.present = false;
        shipped_remove_tap(&run, kept - 1, "lm_head");
        shipped_remove_tap(&run, kept - 1, "model.norm");
        shipped_remove_tap(&run, kept - 1, "model.layers.2");
    }
    int steps = run.recording.steps;
    run.recording.steps = kept;
    shipped_judge(&run);
    const struct qc_item *first = shipped_expect_first(&run, inside ? kept - 1 : kept ? kept : -1, -1, QW_SITE_CALL, QC_RAISED);
    cr_expect_eq(shipped_failures(&run), 1, "only the raise fails");
    cr_expect_not(run.judgement.raise_predicted);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect_not(diagnosis.named, "%s explains %g", diagnosis.ranked[0].cause->id, diagnosis.ranked[0].explained);
    cr_expect_eq(first->step < 0, kept == 0);
    qc_diagnosis_clear(&diagnosis);
    run.recording.steps = steps;
    shipped_clear(&run);
}

Test(structure, a_raise_that_nothing_predicts_inside_a_step) { unexplained_raise(3, true); }
Test(structure, a_raise_that_nothing_predicts_between_steps) { unexplained_raise(2, false); }
Test(structure, a_raise_that_nothing_predicts_before_the_first_step) { unexplained_raise(0, false); }

/* A raise behind another difference is its consequence: the difference is named. */
Test(structure, a_raise_behind_a_difference)
{
    struct shipped run = run_of(SHIPPED_BASE);
    run.recording.raised = true;
    shipped_text(&run.recording.exception_type, "IndexError");
    replace(&run.recording.output_ids, NULL);
    shipped_integers(run.recording.step[0].input[QC_POSITION_IDS])[6] = 600;
    expect(&run, 0, -1, QW_SITE_POSITION_IDS, QC_POSITION);
}

/* The play under the query heads' rule stops where the run did: the raise is predicted. */
Test(structure, a_raise_that_the_play_predicts)
{
    struct shipped run = run_of(SHIPPED_QUERY_HEADS);
    struct qw_rules rules;
    cr_assert(shipped_subject(&run));
    rules = run.subject.rules;
    qw_deviation_apply(&rules, QW_DEVIATION_PREFIX_QUERY_HEADS);
    qc_judge(&run.judgement, &run.subject, &rules, false);
    cr_expect(run.judgement.stop.stopped && run.judgement.stop.step == 0 && run.judgement.stop.layer == 0);
    cr_expect(run.judgement.raise_predicted);
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_clear(&run);
}

/* … but not when the run says that it raised elsewhere. */
Test(structure, a_raise_elsewhere_is_not_predicted)
{
    struct shipped run = run_of(SHIPPED_QUERY_HEADS);
    shipped_text(&run.recording.raised_at, "model.layers.1.self_attn");
    cr_assert(shipped_subject(&run));
    struct qw_rules rules = run.subject.rules;
    qw_deviation_apply(&rules, QW_DEVIATION_PREFIX_QUERY_HEADS);
    qc_judge(&run.judgement, &run.subject, &rules, false);
    cr_expect_not(run.judgement.raise_predicted);
    shipped_clear(&run);
}
