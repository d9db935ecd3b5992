/* The protocol: what each step hands over, for the base model, a prompt and a prefix, with and without a cache. */
#include "reference/protocol/protocol.h"

#include "reference/protocol/tests/calls.h"

/* What a step must hand over. */
struct expected {
    int64_t past;         /* rows in the cache that is handed over */
    int64_t virtual_rows; /* embeddings of virtual tokens in front */
    int64_t first, fed;   /* ids: from this place of the row on, so many */
    bool embeds;
    int64_t mask_length; /* -1: none */
};

/* The token at place `at` of batch row `b`, of prompt and generated tokens together. */
static int64_t token_at(int64_t b, int64_t at) { return output_ids[b * (T + GENERATED) + at]; }

static void expect_ids(const struct qw_handover *handover, const struct expected *wanted)
{
    for (int64_t b = 0; b < 2; b++)
        for (int64_t t = 0; t < wanted->fed; t++)
            cr_expect_eq(handover->input_ids[b * wanted->fed + t], token_at(b, wanted->first + t));
    cr_expect(!handover->embeds && !handover->inputs_embeds);
}

static void expect_embeds(const struct qw_handover *handover, const struct expected *wanted, const struct qw_adapter *adapter,
                          const struct qw_model *model)
{
    cr_assert(handover->embeds && handover->inputs_embeds && !handover->input_ids);
    for (int64_t b = 0; b < 2; b++)
        for (int64_t i = 0; i < handover->queries; i++)
            for (int64_t k = 0; k < WIDTH; k++) {
                double element = i < P ? qw_tensor_at(adapter->table, i * WIDTH + k)
                                       : qw_tensor_at(model->embed, token_at(b, wanted->first + i - P) * WIDTH + k);
                cr_assert_eq(handover->inputs_embeds[(b * handover->queries + i) * WIDTH + k], element);
            }
}

static void expect_positions_and_origins(const struct qw_handover *handover, const struct expected *wanted)
{
    for (int64_t i = 0; i < 2 * handover->queries; i++)
        cr_expect_eq(handover->position[i], wanted->past + i % handover->queries, "past length + index");
    for (int64_t i = 0; i < handover->queries; i++) {
        int64_t token = wanted->first + i - wanted->virtual_rows;
        cr_expect_eq(handover->origin[i], i < wanted->virtual_rows ? QW_FROM_VIRTUAL
                                          : token < T              ? QW_FROM_PROMPT
                                                                   : QW_FROM_GENERATED);
    }
}

static void expect_mask(const struct qw_handover *handover, const struct expected *wanted)
{
    cr_expect_eq(handover->mask != NULL, wanted->mask_length >= 0);
    if (!handover->mask)
        return;
    cr_assert_eq(handover->mask_length, wanted->mask_length);
    for (int64_t i = 0; i < 2 * handover->mask_length; i++)
        cr_expect_eq(handover->mask[i], 1);
}

/* Walks the steps of a call as the model would, structure only: the cache grows by what each step feeds. */
static void expect_steps(const struct qw_call *call, const struct qw_adapter *adapter, const struct qw_rules *rules,
                         const struct expected *steps, int count)
{
    struct qw_model model = small_model(60);
    struct qw_cache cache = qw_cache_make(2, 2);
    cr_assert_eq(qw_protocol_steps(call), count);
    for (int step = 0; step < count; step++) {
        struct qw_handover handover = qw_protocol_hand_over(&cache, call, adapter, &model, rules, step);
        cr_assert_eq(handover.batch, 2);
        cr_assert_eq(handover.queries, steps[step].virtual_rows + steps[step].fed, "step %d", step);
        cr_assert_eq(qw_cache_length(&cache), steps[step].past, "step %d", step);
        if (steps[step].embeds)
            expect_embeds(&handover, &steps[step], adapter, &model);
        else
            expect_ids(&handover, &steps[step]);
        expect_positions_and_origins(&handover, &steps[step]);
        expect_mask(&handover, &steps[step]);
        double *rows = QW_NEW_ARRAY(double, 2 * handover.queries * 2 * 4);
        for (int64_t layer = 0; layer < 2; layer++)
            qw_cache_append(&cache, layer, rows, rows, handover.queries, 2, 4);
        free(rows);
        qw_handover_clear(&handover);
    }
    qw_cache_clear(&cache);
    qw_model_clear(&model);
}

static const struct qw_adapter no_adapter = {0};

/* ---- handover per step ---- */

Test(protocol, base_with_a_cache)
{
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    const struct expected steps[] = {{0, 0, 0, 3, false, 3}, {3, 0, 3, 1, false, 4}, {4, 0, 4, 1, false, 5}};
    expect_steps(&call, &no_adapter, &rules, steps, 3);
}

Test(protocol, base_without_a_cache)
{
    struct qw_call call = call_of(false);
    struct qw_rules rules = newest_rules();
    const struct expected steps[] = {{0, 0, 0, 3, false, 3}, {0, 0, 0, 4, false, 4}, {0, 0, 0, 5, false, 5}};
    expect_steps(&call, &no_adapter, &rules, steps, 3);
}

Test(protocol, prompt_with_a_cache)
{
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    struct qw_adapter prompt = drawn_prompt();
    const struct expected steps[] = {{0, P, 0, 3, true, 5}, {5, 0, 3, 1, false, 6}, {6, 0, 4, 1, false, 7}};
    expect_steps(&call, &prompt, &rules, steps, 3);
    qw_adapter_clear(&prompt);
}

Test(protocol, prompt_without_a_cache_is_injected_at_every_step)
{
    struct qw_call call = call_of(false);
    struct qw_rules rules = newest_rules();
    struct qw_adapter prompt = drawn_prompt();
    const struct expected steps[] = {{0, P, 0, 3, true, 5}, {0, P, 0, 4, true, 6}, {0, P, 0, 5, true, 7}};
    expect_steps(&call, &prompt, &rules, steps, 3);
    qw_adapter_clear(&prompt);
}

Test(protocol, prefix_with_a_cache)
{
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    struct qw_adapter prefix = drawn_prefix();
    const struct expected steps[] = {{P, 0, 0, 3, false, 5}, {5, 0, 3, 1, false, 6}, {6, 0, 4, 1, false, 7}};
    expect_steps(&call, &prefix, &rules, steps, 3);
    qw_adapter_clear(&prefix);
}

Test(protocol, prefix_without_a_cache_is_injected_at_every_step)
{
    struct qw_call call = call_of(false);
    struct qw_rules rules = newest_rules();
    struct qw_adapter prefix = drawn_prefix();
    const struct expected steps[] = {{P, 0, 0, 3, false, 5}, {P, 0, 0, 4, false, 6}, {P, 0, 0, 5, false, 7}};
    expect_steps(&call, &prefix, &rules, steps, 3);
    qw_adapter_clear(&prefix);
}

/* ---- the fault: nothing is injected, and the mask is extended all the same ---- */

Test(protocol, prompt_that_is_not_injected_leaves_the_base_model_and_a_mask_too_long)
{
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    struct qw_adapter prompt = drawn_prompt(), prefix = drawn_prefix();
    qw_deviation_apply(&rules, QW_DEVIATION_PROMPT_NOT_INJECTED);
    const struct expected steps[] = {{0, 0, 0, 3, false, 5}, {3, 0, 3, 1, false, 6}, {4, 0, 4, 1, false, 7}};
    expect_steps(&call, &prompt, &rules, steps, 3);
    expect_steps(&call, &prefix, &rules, steps, 3);
    qw_adapter_clear(&prompt);
    qw_adapter_clear(&prefix);
}

Test(protocol, without_a_cache_only_the_first_step_misses_the_prompt)
{
    struct qw_call call = call_of(false);
    struct qw_rules rules = newest_rules();
    struct qw_adapter prompt = drawn_prompt();
    qw_deviation_apply(&rules, QW_DEVIATION_PROMPT_NOT_INJECTED);
    const struct expected steps[] = {{0, 0, 0, 3, false, 5}, {0, P, 0, 4, true, 6}, {0, P, 0, 5, true, 7}};
    expect_steps(&call, &prompt, &rules, steps, 3);
    qw_adapter_clear(&prompt);
}

Test(protocol, mask_that_is_not_extended_covers_the_tokens_alone)
{
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    struct qw_adapter prompt = drawn_prompt();
    rules.extend_mask = false;
    const struct expected steps[] = {{0, P, 0, 3, true, 3}, {5, 0, 3, 1, false, 4}, {6, 0, 4, 1, false, 5}};
    expect_steps(&call, &prompt, &rules, steps, 3);
    qw_adapter_clear(&prompt);
}

/* ---- forward ---- */

Test(protocol, forward_is_one_step_without_a_mask_of_its_own)
{
    struct qw_call call = {.use_cache = true, .batch = 2, .tokens = T, .input_ids = input_ids};
    struct qw_rules rules = newest_rules();
    struct qw_adapter prompt = drawn_prompt(), prefix = drawn_prefix();
    const struct expected bare[] = {{0, 0, 0, 3, false, -1}}, prompted[] = {{0, P, 0, 3, true, -1}},
                          prefixed[] = {{P, 0, 0, 3, false, -1}};
    expect_steps(&call, &no_adapter, &rules, bare, 1);
    expect_steps(&call, &prompt, &rules, prompted, 1);
    expect_steps(&call, &prefix, &rules, prefixed, 1);
    qw_adapter_clear(&prompt);
    qw_adapter_clear(&prefix);
}

Test(protocol, number_of_steps)
{
    struct qw_call call = call_of(true);
    cr_assert_eq(qw_protocol_steps(&call), 3);
    call.generated = 0;
    cr_assert_eq(qw_protocol_steps(&call), 1, "a generate() that stops at once has called the model");
    call = (struct qw_call){.generate = false, .generated = 5};
    cr_assert_eq(qw_protocol_steps(&call), 1);
}

/* ---- the caller's mask ---- */

Test(protocol, callers_mask_stands_behind_the_virtual_tokens)
{
    const int64_t mask[] = {0, 1, 1, 1, 1, 0};
    const double wanted[] = {1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1};
    struct qw_call call = call_of(true);
    call.mask = mask;
    struct qw_rules rules = newest_rules();
    struct qw_model model = small_model(61);
    struct qw_adapter prompt = drawn_prompt();
    struct qw_cache cache = qw_cache_make(2, 2);
    struct qw_handover first = qw_protocol_hand_over(&cache, &call, &prompt, &model, &rules, 0);
    struct qw_handover second = qw_protocol_hand_over(&cache, &call, &prompt, &model, &rules, 1);
    cr_assert(first.mask_length == 5 && second.mask_length == 6);
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 6; i++) {
            cr_expect_eq(second.mask[b * 6 + i], wanted[b * 6 + i]);
            if (i < 5)
                cr_expect_eq(first.mask[b * 5 + i], wanted[b * 6 + i]);
        }
    call.generate = false;
    struct qw_handover forward = qw_protocol_hand_over(&cache, &call, &prompt, &model, &rules, 0);
    cr_assert_not_null(forward.mask, "a mask that the caller gives is handed over by forward() too");
    qw_handover_clear(&first);
    qw_handover_clear(&second);
    qw_handover_clear(&forward);
    qw_cache_clear(&cache);
    qw_adapter_clear(&prompt);
    qw_model_clear(&model);
}

/* ---- the prefix in the cache ---- */

Test(protocol, prefix_fills_every_layer_for_every_batch_row)
{
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    struct qw_model model = small_model(62);
    struct qw_adapter prefix = drawn_prefix();
    struct qw_cache cache = qw_cache_make(2, 2);
    struct qw_handover handover = qw_protocol_hand_over(&cache, &call, &prefix, &model, &rules, 0);
    for (int64_t layer = 0; layer < 2; layer++) {
        const struct qw_cache_layer *held = &cache.layer[layer];
        cr_assert(held->heads == 2 && held->length == P && held->head_size == 4);
        for (int64_t at = 0; at < 2 * 2 * P * 4; at++) {
            int64_t head = at / (P * 4) % 2, p = at / 4 % P, i = at % 4;
            cr_assert_eq(held->key[at], qw_tensor_at(prefix.table, p * 32 + ((2 * layer) * 2 + head) * 4 + i));
            cr_assert_eq(held->value[at], qw_tensor_at(prefix.table, p * 32 + ((2 * layer + 1) * 2 + head) * 4 + i));
        }
    }
    cr_assert(cache.origins == P && cache.origin[0] == QW_FROM_VIRTUAL && cache.origin[P - 1] == QW_FROM_VIRTUAL);
    qw_handover_clear(&handover);
    qw_cache_clear(&cache);
    qw_adapter_clear(&prefix);
    qw_model_clear(&model);
}

Test(protocol, without_weights_the_structure_is_handed_over)
{
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    struct qw_model bare = {.config = small_config};
    struct qw_adapter prompt = drawn_prompt(), prefix = {.kind = QW_ADAPTER_KEYS_VALUES, .virtual_tokens = P};
    struct qw_cache cache = qw_cache_make(2, 2);
    struct qw_handover handover = qw_protocol_hand_over(&cache, &call, &prompt, &bare, &rules, 0);
    cr_assert(handover.embeds && handover.inputs_embeds == NULL && handover.input_ids == NULL && handover.queries == P + T);
    qw_handover_clear(&handover);
    handover = qw_protocol_hand_over(&cache, &call, &prefix, &bare, &rules, 0);
    cr_assert(qw_cache_length(&cache) == P && cache.layer[1].heads == 2 && cache.layer[1].key == NULL);
    qw_handover_clear(&handover);
    qw_cache_clear(&cache);
    qw_adapter_clear(&prompt);
}

/* ---- whole calls ---- */

/* A call that is played: its steps' last logits, one row per step. */
struct told {
    double *logits;
    int64_t vocab, steps;
    int64_t origins;
    enum qw_origin origin[64];
    int stopped;
};

static struct told tell(const struct qw_model *model, const struct qw_adapter *adapter, const struct qw_call *call,
                        struct qw_rules rules)
{
    struct told told = {.vocab = model->config.vocab, .steps = qw_protocol_steps(call)};
    struct play play = play_make(model, &qw_f64, call->batch);
    told.logits = QW_NEW_ARRAY(double, told.steps *told.vocab);
    play.rules = rules;
    for (int64_t step = 0; step < told.steps && play.stopped < 0; step++) {
        struct qw_handover handover = qw_protocol_hand_over(&play.cache, call, adapter, model, &rules, step);
        play_call(&play, &handover, 1);
        if (play.stopped < 0)
            memcpy(told.logits + step * told.vocab, logits_of(&play), sizeof(double) * (size_t)told.vocab);
        qw_handover_clear(&handover);
    }
    told.stopped = play.stopped;
    told.origins = play.cache.origins;
    for (int64_t i = 0; i < told.origins && i < 64; i++)
        told.origin[i] = play.cache.origin[i];
    play_clear(&play);
    return told;
}

static const int64_t tiny_input[] = {46, 40, 25, 69, 64, 14, 92};
enum { TINY_T = 7, TINY_N = 5, TINY_P = 4 };

static struct qw_adapter read_adapter(const char *folder, enum qw_adapter_kind kind)
{
    struct qw_adapter adapter = {.kind = kind, .virtual_tokens = TINY_P};
    struct qw_error error = {0};
    cr_assert(qw_adapter_read_folder(&adapter, folder, "", &error), "%s", error.message);
    return adapter;
}

static struct qw_call tiny_call(const int64_t *output, bool use_cache)
{
    return (struct qw_call){.generate = true,
                            .use_cache = use_cache,
                            .batch = 1,
                            .tokens = TINY_T,
                            .generated = TINY_N,
                            .input_ids = tiny_input,
                            .output_ids = output};
}

/* The tokens of a real run are fed one after the other: at each step the largest logit must be the token that the real
 * run chose. */
static void expect_tokens(const struct qw_model *model, const struct qw_adapter *adapter, struct qw_rules rules, bool use_cache,
                          const int64_t generated[TINY_N])
{
    int64_t output[TINY_T + TINY_N];
    memcpy(output, tiny_input, sizeof tiny_input);
    memcpy(output + TINY_T, generated, TINY_N * sizeof *generated);
    struct qw_call call = tiny_call(output, use_cache);
    struct told told = tell(model, adapter, &call, rules);
    for (int64_t step = 0; step < TINY_N; step++) {
        int64_t best = 0;
        for (int64_t i = 0; i < told.vocab; i++)
            if (told.logits[step * told.vocab + i] > told.logits[step * told.vocab + best])
                best = i;
        cr_expect_eq(best, generated[step], "step %lld: %lld", (long long)step, (long long)best);
    }
    free(told.logits);
}

/* Tokens that transformers and PEFT generated; fixtures/README.md lists them. */
static const int64_t base_tokens[] = {84, 38, 38, 8, 49}, prompt_tokens[] = {22, 25, 4, 57, 56},
                     prefix_tokens[] = {42, 9, 83, 64, 35};

Test(protocol, plays_choose_the_tokens_of_the_real_runs)
{
    struct qw_model model = read_model(TINY);
    struct qw_adapter prompt = read_adapter("fixtures/adapters/qwen2-tiny-prompt", QW_ADAPTER_EMBEDS);
    struct qw_adapter prefix = read_adapter("fixtures/adapters/qwen2-tiny-prefix", QW_ADAPTER_KEYS_VALUES);
    for (int use_cache = 0; use_cache < 2; use_cache++) {
        expect_tokens(&model, &no_adapter, newest_rules(), use_cache, base_tokens);
        expect_tokens(&model, &prompt, newest_rules(), use_cache, prompt_tokens);
        expect_tokens(&model, &prefix, newest_rules(), use_cache, prefix_tokens);
    }
    qw_adapter_clear(&prompt);
    qw_adapter_clear(&prefix);
    qw_model_clear(&model);
}

Test(protocol, play_that_injects_nothing_chooses_the_tokens_of_the_base_model)
{
    struct qw_model model = read_model(TINY);
    struct qw_adapter prompt = read_adapter("fixtures/adapters/qwen2-tiny-prompt", QW_ADAPTER_EMBEDS);
    struct qw_adapter prefix = read_adapter("fixtures/adapters/qwen2-tiny-prefix", QW_ADAPTER_KEYS_VALUES);
    struct qw_rules rules = newest_rules();
    qw_deviation_apply(&rules, QW_DEVIATION_PROMPT_NOT_INJECTED);
    expect_tokens(&model, &prompt, rules, true, base_tokens);
    expect_tokens(&model, &prefix, rules, true, base_tokens);
    qw_adapter_clear(&prompt);
    qw_adapter_clear(&prefix);
    qw_model_clear(&model);
}

/* The call whose prompt is `extra` tokens and then the tiny input, with tokens generated by nobody in particular. */
static const int64_t extra[] = {3, 99, 41, 12}, longer[] = {3, 99, 41, 12, 46, 40, 25, 69, 64, 14, 92, 22, 25, 4, 57, 56};

static void expect_as_hard_prompt(const struct qw_model *model, const struct qw_adapter *adapter, bool use_cache)
{
    struct qw_call hard = {.generate = true,
                           .use_cache = use_cache,
                           .batch = 1,
                           .tokens = TINY_P + TINY_T,
                           .generated = TINY_N,
                           .input_ids = longer,
                           .output_ids = longer};
    struct qw_call soft = tiny_call(longer + TINY_P, use_cache);
    struct told wanted = tell(model, &no_adapter, &hard, newest_rules()), got = tell(model, adapter, &soft, newest_rules());
    double far = distance(got.logits, wanted.logits, TINY_N * wanted.vocab);
    cr_expect_leq(far, 1e-12, "apart by %g of the rms", far);
    free(wanted.logits);
    free(got.logits);
}

Test(protocol, virtual_tokens_that_are_real_embeddings_equal_a_hard_prompt)
{
    struct qw_model model = read_model(TINY);
    struct qw_adapter adapter = {.kind = QW_ADAPTER_EMBEDS, .virtual_tokens = TINY_P};
    struct qw_error error = {0};
    double rows[TINY_P * 48];
    for (int p = 0; p < TINY_P; p++)
        qw_tensor_read(rows + p * 48, model.embed, extra[p] * 48, 48);
    qw_tensors_add(&adapter.tensors, "prompt_embeddings", float_tensor(rows, qw_shape_of(2, (int64_t)TINY_P, (int64_t)48)));
    cr_assert(qw_adapter_bind(&adapter, &error));
    expect_as_hard_prompt(&model, &adapter, true);
    expect_as_hard_prompt(&model, &adapter, false);
    qw_adapter_clear(&adapter);
    qw_model_clear(&model);
}

/* The table of a prefix, in float64, whose rows are the keys and values that `extra` leaves in the cache. */
static struct qw_tensor *captured_prefix(const struct qw_model *model)
{
    const struct qw_config *c = &model->config;
    int64_t columns = 2 * c->layers * c->kv_heads * c->head_size;
    struct qw_shape shape = qw_shape_of(2, (int64_t)TINY_P, columns);
    struct qw_tensor *table = qw_tensor_make(QW_F64, &shape);
    struct play play = play_make(model, &qw_f64, 1);
    play_ids(&play, extra, 1, TINY_P);
    for (int64_t at = 0; at < TINY_P * columns; at++) {
        int64_t p = at / columns, i = at % c->head_size, head = at / c->head_size % c->kv_heads;
        int64_t half = at % columns / (c->head_size * c->kv_heads) % 2, layer = at % columns / (2 * c->head_size * c->kv_heads);
        const struct qw_cache_layer *held = &play.cache.layer[layer];
        ((double *)table->data)[at] = (half ? held->value : held->key)[(head * TINY_P + p) * c->head_size + i];
    }
    play_clear(&play);
    return table;
}

Test(protocol, prefix_captured_from_a_prompt_equals_that_prompt)
{
    struct qw_model model = read_model(TINY);
    struct qw_adapter adapter = {.kind = QW_ADAPTER_KEYS_VALUES, .virtual_tokens = TINY_P};
    struct qw_error error = {0};
    qw_tensors_add(&adapter.tensors, "prompt_embeddings", captured_prefix(&model));
    cr_assert(qw_adapter_bind(&adapter, &error));
    expect_as_hard_prompt(&model, &adapter, true);
    expect_as_hard_prompt(&model, &adapter, false);
    qw_adapter_clear(&adapter);
    qw_model_clear(&model);
}

Test(protocol, cache_or_no_cache_makes_no_difference)
{
    struct qw_model model = read_model(TINY);
    struct qw_adapter prompt = read_adapter("fixtures/adapters/qwen2-tiny-prompt", QW_ADAPTER_EMBEDS);
    struct qw_adapter prefix = read_adapter("fixtures/adapters/qwen2-tiny-prefix", QW_ADAPTER_KEYS_VALUES);
    const struct qw_adapter *adapters[] = {&no_adapter, &prompt, &prefix};
    for (int i = 0; i < 3; i++) {
        struct qw_call with = tiny_call(longer + TINY_P, true), without = tiny_call(longer + TINY_P, false);
        struct told a = tell(&model, adapters[i], &with, newest_rules()), b = tell(&model, adapters[i], &without, newest_rules());
        cr_expect_leq(distance(a.logits, b.logits, TINY_N * a.vocab), 1e-12, "adapter %d", i);
        free(a.logits);
        free(b.logits);
    }
    qw_adapter_clear(&prompt);
    qw_adapter_clear(&prefix);
    qw_model_clear(&model);
}

Test(protocol, every_row_of_the_cache_knows_where_it_came_from)
{
    struct qw_model model = read_model(TINY);
    struct qw_adapter prompt = read_adapter("fixtures/adapters/qwen2-tiny-prompt", QW_ADAPTER_EMBEDS);
    struct qw_adapter prefix = read_adapter("fixtures/adapters/qwen2-tiny-prefix", QW_ADAPTER_KEYS_VALUES);
    const struct qw_adapter *adapters[] = {&no_adapter, &prompt, &prefix};
    for (int i = 0; i < 3; i++)
        for (int use_cache = 0; use_cache < 2; use_cache++) {
            struct qw_call call = tiny_call(longer + TINY_P, use_cache);
            struct told told = tell(&model, adapters[i], &call, newest_rules());
            int64_t virtual_rows = i ? TINY_P : 0;
            cr_assert_eq(told.origins, virtual_rows + TINY_T + TINY_N - 1);
            for (int64_t row = 0; row < told.origins; row++)
                cr_expect_eq(told.origin[row], row < virtual_rows            ? QW_FROM_VIRTUAL
                                               : row < virtual_rows + TINY_T ? QW_FROM_PROMPT
                                                                             : QW_FROM_GENERATED);
            free(told.logits);
        }
    qw_adapter_clear(&prompt);
    qw_adapter_clear(&prefix);
    qw_model_clear(&model);
}

Test(protocol, prefix_of_query_heads_stops_at_the_first_layer)
{
    struct qw_model model = read_model(TINY);
    struct qw_adapter wide = read_adapter("fixtures/adapters/qwen2-tiny-prefix-query-heads", QW_ADAPTER_KEYS_VALUES);
    struct qw_rules rules = newest_rules();
    struct qw_call call = tiny_call(longer + TINY_P, true);
    qw_deviation_apply(&rules, QW_DEVIATION_PREFIX_QUERY_HEADS);
    struct told told = tell(&model, &wide, &call, rules);
    cr_assert_eq(told.stopped, 0);
    free(told.logits);
    qw_adapter_clear(&wide);
    qw_model_clear(&model);
}

Test(protocol, a_step_that_looks_back_beyond_the_known_tokens_feeds_none)
{
    static const int64_t proposed[2] = {1, 2};
    const struct qw_turn beyond[] = {{.count = T}, {.first = T + GENERATED + 40, .count = 1, .ids = proposed}};
    struct qw_call call = call_of(true);
    struct qw_adapter adapter = drawn_prompt();
    struct qw_cache cache = qw_cache_make(2, 2);
    struct qw_model model = {.config = {.layers = 2, .hidden = WIDTH}};
    struct qw_rules rules = qw_rules_healthy(qw_setting_newest());
    rules.refeed = true;
    call.turn = beyond;
    call.turns = 2;
    struct qw_handover handover = qw_protocol_hand_over(&cache, &call, &adapter, &model, &rules, 1);
    cr_expect_null(handover.input_ids);
    cr_expect_eq(handover.queries, T + GENERATED + 41);
    qw_handover_clear(&handover);
    qw_cache_clear(&cache);
    qw_adapter_clear(&adapter);
}
