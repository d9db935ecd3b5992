/* What each step is to feed, out of recordings that say no more of their steps than ids, positions and cache lengths. */
#include "harness/compare/call.h"

#include <criterion/criterion.h>
#include <string.h>

#include "harness/invariants/ledger.h"
#include "reference/base/memory.h"

enum { MOST = 6, T = 5 };

/* A recording in the making: a prompt of 1 2 3 4 5. */
struct run {
    struct qc_recording recording;
    struct qc_subject subject;
    struct qc_step step[MOST];
    struct qw_error error;
};

static struct qw_tensor *integers(int64_t B, int64_t n, const int64_t *values)
{
    struct qw_shape shape = qw_shape_of(2, B, n);
    struct qw_tensor *tensor = qw_tensor_make(QW_I64, &shape);
    memcpy(tensor->data, values, sizeof *values * (size_t)(B * n));
    return tensor;
}

static struct run run_of(const char *kind, const char *kwargs)
{
    static const int64_t prompt[T] = {1, 2, 3, 4, 5};
    struct run run = {0};
    run.recording.call_kind = (char *)(uintptr_t)kind;
    run.recording.use_cache = true;
    run.recording.call_kwargs = qw_json_parse(kwargs, strlen(kwargs), "", &run.error);
    run.recording.input_ids = integers(1, T, prompt);
    return run;
}

/* The next step was handed `held` rows of cache, and `count` ids, or as many embeddings when `ids` is NULL. */
static void add_step(struct run *run, int64_t held, int64_t count, const int64_t *ids)
{
    struct qc_step *step = &run->step[run->recording.steps++];
    struct qw_shape embeds = qw_shape_of(3, (int64_t)1, count, (int64_t)4);
    step->before.present = true;
    step->before.length = held;
    step->input[ids ? QC_INPUT_IDS : QC_INPUTS_EMBEDS] = ids ? integers(1, count, ids) : qw_tensor_structure(QW_F32, &embeds);
}

static void make(struct run *run, enum qw_adapter_kind kind, int64_t virtual_tokens)
{
    run->recording.step = run->step;
    run->recording.has_adapter = kind != QW_ADAPTER_NONE;
    run->subject.recording = &run->recording;
    run->subject.adapter.kind = kind;
    run->subject.adapter.virtual_tokens = virtual_tokens;
    cr_assert(qc_call_make(&run->subject.call, &run->recording, &run->subject.model, &run->subject.adapter, &run->error), "%s",
              run->error.message);
}

static void clear(struct run *run)
{
    qc_call_clear(&run->subject.call);
    qw_json_free(run->recording.call_kwargs);
    qw_tensor_free(run->recording.input_ids);
    qw_tensor_free(run->recording.output_ids);
    for (int s = 0; s < run->recording.steps; s++)
        for (int i = 0; i < QC_INPUTS; i++)
            qw_tensor_free(run->step[s].input[i]);
}

static void expect_turn(const struct run *run, int step, int64_t first, int64_t count)
{
    struct qw_turn turn = qw_protocol_turn(&run->subject.call, step);
    cr_expect(turn.first == first && turn.count == count, "step %d: %lld from %lld on", step, (long long)turn.count,
              (long long)turn.first);
}

static void expect_entry(const struct run *run, int step, enum qc_entry entry, const char *words)
{
    char *said = qc_ledger_words(&run->subject, step);
    cr_expect_eq(qc_ledger_entry(&run->subject, step), entry, "step %d %s", step, said);
    cr_expect_str_eq(said, words);
    free(said);
}

static const int64_t one[] = {6}, two[] = {7}, whole[] = {1, 2, 3, 4, 5, 6}, other[] = {9, 8, 7};

/* ---- loops ---- */

Test(call, a_loop_goes_on_with_the_cache)
{
    struct run run = run_of("loop", "{}");
    add_step(&run, 0, T, whole);
    add_step(&run, 5, 1, one);
    add_step(&run, 6, 1, two);
    make(&run, QW_ADAPTER_NONE, 0);
    cr_expect_eq(qw_protocol_steps(&run.subject.call), 3);
    expect_turn(&run, 0, 0, 5);
    expect_turn(&run, 1, 5, 1);
    expect_turn(&run, 2, 6, 1);
    cr_expect_null(qc_ledger_text(&run.subject));
    clear(&run);
}

Test(call, a_loop_without_a_cache_starts_again_at_each_step)
{
    struct run run = run_of("loop", "{}");
    run.recording.use_cache = false;
    add_step(&run, 0, T, whole);
    add_step(&run, 0, 6, whole);
    make(&run, QW_ADAPTER_NONE, 0);
    expect_turn(&run, 1, 0, 6);
    cr_expect_null(qc_ledger_text(&run.subject));
    clear(&run);
}

Test(call, calls_that_have_nothing_to_do_with_each_other_start_again)
{
    struct run run = run_of("loop", "{}");
    add_step(&run, 0, T, whole);
    add_step(&run, 0, 3, other);
    make(&run, QW_ADAPTER_NONE, 0);
    expect_turn(&run, 1, 0, 3);
    cr_expect_null(qc_ledger_text(&run.subject));
    clear(&run);
}

Test(call, a_single_token_without_the_cache_was_to_go_on)
{
    struct run run = run_of("loop", "{}");
    add_step(&run, 0, T, whole);
    add_step(&run, 0, 1, one);
    make(&run, QW_ADAPTER_NONE, 0);
    expect_turn(&run, 1, 5, 1);
    clear(&run);
}

Test(call, a_loop_whose_batch_changes_is_skipped)
{
    static const int64_t rows[] = {1, 2};
    struct run run = run_of("loop", "{}");
    add_step(&run, 0, T, whole);
    add_step(&run, 0, 1, one);
    qw_tensor_free(run.step[1].input[QC_INPUT_IDS]);
    run.step[1].input[QC_INPUT_IDS] = integers(2, 1, rows);
    run.recording.step = run.step;
    cr_assert_not(qc_call_make(&run.subject.call, &run.recording, &run.subject.model, &run.subject.adapter, &run.error));
    cr_expect_eq(run.error.kind, QW_ERROR_UNSUPPORTED);
    clear(&run);
}

/* ---- other ways ---- */

Test(call, chunks_follow_from_their_size)
{
    static const int64_t output[] = {1, 2, 3, 4, 5, 6, 7};
    struct run run = run_of("generate", "{\"prefill_chunk_size\": 2}");
    run.recording.output_ids = integers(1, 7, output);
    make(&run, QW_ADAPTER_NONE, 0);
    cr_assert_eq(qw_protocol_steps(&run.subject.call), 4);
    expect_turn(&run, 0, 0, 2);
    expect_turn(&run, 1, 2, 2);
    expect_turn(&run, 2, 4, 1);
    expect_turn(&run, 3, 5, 1);
    clear(&run);
}

Test(call, candidates_go_on_from_what_was_accepted)
{
    static const int64_t output[] = {1, 2, 3, 4, 5, 6, 7, 8}, first[] = {1, 2, 3, 4, 5, 6, 9}, next[] = {7, 8};
    struct run run = run_of("generate", "{\"prompt_lookup_num_tokens\": 2}");
    run.recording.output_ids = integers(1, 8, output);
    add_step(&run, 0, 7, first);
    add_step(&run, 6, 2, next);
    make(&run, QW_ADAPTER_NONE, 0);
    expect_turn(&run, 0, 0, 7);
    expect_turn(&run, 1, 6, 2);
    cr_expect_null(qc_ledger_text(&run.subject));
    clear(&run);
}

Test(call, candidates_that_do_not_begin_with_the_next_token_leave_it_out)
{
    static const int64_t output[] = {1, 2, 3, 4, 5, 6, 7, 8}, first[] = {1, 2, 3, 4, 5, 6}, next[] = {9};
    struct run run = run_of("generate", "{\"assistant_model\": \"small\"}");
    run.recording.output_ids = integers(1, 8, output);
    add_step(&run, 0, 6, first);
    add_step(&run, 6, 1, next);
    make(&run, QW_ADAPTER_NONE, 0);
    expect_turn(&run, 1, 6, 2);
    expect_entry(&run, 1, QC_ENTRY_TRIMMED, "feeds only the last of tokens 6-7: the model never sees token 6");
    clear(&run);
}

Test(call, beams_are_rows_of_the_batch)
{
    static const int64_t both[] = {6, 7};
    struct run run = run_of("generate", "{\"num_beams\": 2}");
    add_step(&run, 0, T, whole);
    add_step(&run, 5, 1, one);
    qw_tensor_free(run.step[1].input[QC_INPUT_IDS]);
    run.step[1].input[QC_INPUT_IDS] = integers(2, 1, both);
    make(&run, QW_ADAPTER_NONE, 0);
    struct qw_turn turn = qw_protocol_turn(&run.subject.call, 1);
    cr_assert_eq(run.subject.call.batch, 2);
    cr_assert(turn.first == 5 && turn.count == 1 && turn.ids);
    cr_expect(turn.ids[0] == 6 && turn.ids[1] == 7);
    clear(&run);
}

/* ---- the ledger, from structure alone ---- */

Test(ledger, tokens_that_are_fed_again)
{
    static const int64_t output[] = {1, 2, 3, 4, 5, 6, 7};
    struct run run = run_of("generate", "{}");
    run.recording.output_ids = integers(1, 7, output);
    add_step(&run, 0, T + 4, NULL);
    add_step(&run, T + 4, 6, whole);
    make(&run, QW_ADAPTER_EMBEDS, 4);
    expect_entry(&run, 0, QC_ENTRY_IN_ORDER, "feeds tokens 0-4, as it should");
    expect_entry(&run, 1, QC_ENTRY_AGAIN, "feeds tokens 0-4 again, they are in the cache already; only token 5 should be fed");
    cr_expect_str_eq(qc_entry_cause(QC_ENTRY_AGAIN), "prompt-refed");
    char *text = qc_ledger_text(&run.subject);
    cr_expect_str_eq(text, "step 1 feeds tokens 0-4 again, they are in the cache already; only token 5 should be fed. "
                           "Steps in order: 0.");
    free(text);
    clear(&run);
}

Test(ledger, virtual_tokens_that_are_injected_again)
{
    struct run run = run_of("loop", "{}");
    add_step(&run, 0, T + 4, NULL);
    add_step(&run, T + 4, 5, NULL);
    make(&run, QW_ADAPTER_EMBEDS, 4);
    expect_entry(&run, 1, QC_ENTRY_REINJECTED, "feeds the 4 virtual tokens again before token 5");
    cr_expect_str_eq(qc_entry_cause(QC_ENTRY_REINJECTED), "prompt-reinjected");
    clear(&run);
}

Test(ledger, a_prefix_in_the_place_of_the_cache)
{
    struct run run = run_of("loop", "{}");
    add_step(&run, 4, T, whole);
    add_step(&run, 4, 1, one);
    make(&run, QW_ADAPTER_KEYS_VALUES, 4);
    expect_entry(&run, 1, QC_ENTRY_REINJECTED, "has the prefix in the place of the cache: tokens 0-4 are lost");
    clear(&run);
}

Test(ledger, a_chunk_of_which_only_the_last_token_is_fed)
{
    static const int64_t last[] = {4};
    struct run run = run_of("generate", "{\"prefill_chunk_size\": 2}");
    add_step(&run, 0, 6, NULL);
    add_step(&run, 6, 1, last);
    make(&run, QW_ADAPTER_EMBEDS, 4);
    expect_entry(&run, 1, QC_ENTRY_TRIMMED, "feeds only the last of tokens 2-3: the model never sees token 2");
    cr_expect_str_eq(qc_entry_cause(QC_ENTRY_TRIMMED), "tokens-trimmed");
    clear(&run);
}

Test(ledger, a_step_without_its_virtual_tokens_beside_one_that_has_them)
{
    struct run run = run_of("generate", "{}");
    run.recording.use_cache = false;
    add_step(&run, 0, T, whole);
    add_step(&run, 0, 10, NULL);
    make(&run, QW_ADAPTER_EMBEDS, 4);
    char *text = qc_ledger_text(&run.subject);
    cr_expect_str_eq(text, "step 0 feeds tokens 0-4 without the 4 virtual tokens in front. Steps in order: 1.");
    free(text);
    clear(&run);
}

Test(ledger, other_tokens_than_those_of_the_sequence)
{
    static const int64_t output[] = {1, 2, 3, 4, 5, 6, 7};
    struct run run = run_of("generate", "{}");
    run.recording.output_ids = integers(1, 7, output);
    add_step(&run, 0, T, whole);
    add_step(&run, T, 1, two);
    make(&run, QW_ADAPTER_NONE, 0);
    expect_entry(&run, 1, QC_ENTRY_OTHER_TOKENS, "feeds other ids than those of token 5");
    cr_expect_null(qc_entry_cause(QC_ENTRY_OTHER_TOKENS));
    clear(&run);
}

/* ---- the mask that was not given ---- */

static const struct {
    const char *kind, *kwargs, *config;
    bool made;
} unmasked[] = {
    {"generate", "{\"pad_token_id\": 1}", "{}", true},
    {"generate", "{}", "{\"pad_token_id\": 1, \"eos_token_id\": 2}", true},
    {"generate", "{\"pad_token_id\": 9}", "{\"pad_token_id\": 1}", false},
    {"generate", "{\"pad_token_id\": 1, \"eos_token_id\": 1}", "{}", false},
    {"generate", "{\"pad_token_id\": 1, \"eos_token_id\": [2, 1]}", "{}", false},
    {"generate", "{}", "{}", false},
    {"forward", "{\"pad_token_id\": 1}", "{}", false},
};

Test(call, generate_hides_padding_that_can_be_told_from_text)
{
    for (size_t i = 0; i < sizeof unmasked / sizeof *unmasked; i++) {
        struct run run = run_of(unmasked[i].kind, unmasked[i].kwargs);
        run.recording.model_config = qw_json_parse(unmasked[i].config, strlen(unmasked[i].config), "", &run.error);
        make(&run, QW_ADAPTER_NONE, 0);
        const int64_t *mask = run.subject.call.mask;
        cr_expect_eq(mask != NULL, unmasked[i].made, "%s, %s", unmasked[i].kwargs, unmasked[i].config);
        for (int t = 0; mask && t < T; t++)
            cr_expect_eq(mask[t], t > 0, "token %d", t);
        qw_json_free(run.recording.model_config);
        clear(&run);
    }
}

/* The positions that a forward() is to use which was given some, and whose model got these. */
static const int64_t *given_positions(struct run *run, const char *peft, enum qw_adapter_kind kind, const int64_t *received)
{
    static const int64_t prompt[T] = {1, 2, 3, 4, 5};
    *run = run_of("forward", "{\"position_ids\": \"<tensor>\"}");
    run->recording.environment = qw_json_object();
    qw_json_put_text(run->recording.environment, "peft", peft);
    add_step(run, 3, T, prompt);
    run->step[0].input[QC_POSITION_IDS] = integers(1, T, received);
    make(run, kind, 3);
    qw_json_free(run->recording.environment);
    return qw_protocol_turn(&run->subject.call, 0).position;
}

Test(call, takes_the_callers_positions_where_they_reach_the_model)
{
    static const int64_t after[T] = {3, 3, 3, 4, 5}, before[T] = {0, 0, 0, 1, 2};
    static const struct {
        const char *peft;
        enum qw_adapter_kind kind;
        const int64_t *received;
        bool taken;
    } runs[] = {
        {"0.18.1", QW_ADAPTER_NONE, before, true},        {"0.19.1", QW_ADAPTER_KEYS_VALUES, after, true},
        {"0.18.1", QW_ADAPTER_KEYS_VALUES, after, false}, {"0.19.1", QW_ADAPTER_KEYS_VALUES, before, false},
        {"0.19.1", QW_ADAPTER_EMBEDS, after, false},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct run run;
        const int64_t *position = given_positions(&run, runs[i].peft, runs[i].kind, runs[i].received);
        cr_expect_eq(position != NULL, runs[i].taken, "run %zu", i);
        cr_expect(!position || !memcmp(position, runs[i].received, sizeof(int64_t) * T), "run %zu", i);
        clear(&run);
    }
}

/* The positions that a generate() of the base model is to use at its second step, whose model got `count` of these there. */
static const int64_t *generated_positions(struct run *run, int64_t count, const int64_t *received)
{
    static const int64_t before[T] = {0, 0, 0, 1, 2}, output[] = {1, 2, 3, 4, 5, 6, 7};
    *run = run_of("generate", "{\"position_ids\": \"<tensor>\"}");
    run->recording.output_ids = integers(1, T + 2, output);
    add_step(run, 0, T, output);
    add_step(run, T, 1, one);
    run->step[0].input[QC_POSITION_IDS] = integers(1, T, before);
    run->step[1].input[QC_POSITION_IDS] = integers(1, count, received);
    run->recording.step = run->step;
    run->subject.recording = &run->recording;
    run->subject.adapter.kind = QW_ADAPTER_NONE;
    qc_call_make(&run->subject.call, &run->recording, &run->subject.model, &run->subject.adapter, &run->error);
    return qw_protocol_turn(&run->subject.call, 1).position;
}

Test(call, takes_positions_that_a_generate_goes_on_with)
{
    static const int64_t received[] = {2};
    struct run run;
    const int64_t *position = generated_positions(&run, 1, received);
    cr_assert_eq(run.error.kind, QW_ERROR_NONE);
    cr_assert_not_null(position);
    cr_expect_eq(position[0], 2);
    expect_turn(&run, 1, T, 1);
    clear(&run);
}

Test(call, does_not_cover_a_generate_that_hands_all_positions_over_again)
{
    static const int64_t received[T] = {0, 0, 0, 1, 2};
    struct run run;
    generated_positions(&run, T, received);
    cr_expect_eq(run.error.kind, QW_ERROR_UNSUPPORTED);
    clear(&run);
}
