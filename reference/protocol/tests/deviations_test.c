/* Deviations of the hand-over: positions, masks and prefixes that depart from the healthy ones. */
#include "reference/protocol/tests/calls.h"

/* Positions of a prompt of T behind P virtual tokens, and of the step after it, under an offset rule. */
static void expect_offset(const struct qw_adapter *adapter, int offset, int64_t step)
{
    struct qw_model model = small_model(40);
    struct qw_cache cache = qw_cache_make(model.config.layers, 2);
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    rules.virtual_offset = offset;
    if (step > 0)
        for (int64_t layer = 0; layer < model.config.layers; layer++)
            qw_cache_fill(&cache, layer, NULL, NULL, 2, P + T + step - 1, 4);
    struct qw_handover handover = qw_protocol_hand_over(&cache, &call, adapter, &model, &rules, step);
    for (int64_t i = 0; i < handover.queries; i++) {
        int64_t place = handover.first_slot + i;
        cr_expect_eq(handover.position[i], place < P ? place : place - P + offset * P, "offset %d, place %d", offset, (int)place);
    }
    qw_handover_clear(&handover);
    qw_cache_clear(&cache);
    qw_model_clear(&model);
}

Test(deviations, real_tokens_start_at_a_multiple_of_the_virtual_ones)
{
    struct qw_adapter prompt = drawn_prompt(), prefix = drawn_prefix();
    for (int offset = 0; offset <= 2; offset++)
        for (int64_t step = 0; step < 2; step++) {
            expect_offset(&prompt, offset, step);
            expect_offset(&prefix, offset, step);
        }
    qw_adapter_clear(&prompt);
    qw_adapter_clear(&prefix);
}

Test(deviations, base_model_knows_no_offset)
{
    struct qw_model model = small_model(40);
    struct qw_cache cache = qw_cache_make(model.config.layers, 2);
    struct qw_adapter none = {0};
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    rules.virtual_offset = 2;
    struct qw_handover handover = qw_protocol_hand_over(&cache, &call, &none, &model, &rules, 0);
    for (int64_t i = 0; i < T; i++)
        cr_expect_eq(handover.position[i], i);
    qw_handover_clear(&handover);
    qw_cache_clear(&cache);
    qw_model_clear(&model);
}

Test(deviations, mask_may_hide_the_virtual_tokens_alone)
{
    struct qw_model model = small_model(40);
    struct qw_cache cache = qw_cache_make(model.config.layers, 2);
    struct qw_adapter prompt = drawn_prompt();
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    qw_deviation_apply(&rules, QW_DEVIATION_MASK_HIDES_PROMPT);
    struct qw_handover handover = qw_protocol_hand_over(&cache, &call, &prompt, &model, &rules, 0);
    cr_assert_eq(handover.mask_length, P + T);
    for (int64_t i = 0; i < 2 * (P + T); i++)
        cr_expect_eq(handover.mask[i], i % (P + T) < P ? 0 : 1);
    qw_handover_clear(&handover);
    qw_cache_clear(&cache);
    qw_adapter_clear(&prompt);
    qw_model_clear(&model);
}

/* Hands over `step` with a cache of `length` rows, none of them known. */
static struct qw_handover handed(const struct qw_call *call, const struct qw_adapter *adapter, const struct qw_rules *rules,
                                 struct qw_cache *cache, int64_t length, int64_t step)
{
    struct qw_model model = small_model(40);
    *cache = qw_cache_make(model.config.layers, 2);
    for (int64_t layer = 0; layer < model.config.layers; layer++)
        qw_cache_fill(cache, layer, NULL, NULL, 2, length, 4);
    struct qw_handover handover = qw_protocol_hand_over(cache, call, adapter, &model, rules, step);
    qw_model_clear(&model);
    return handover;
}

Test(deviations, mask_may_be_shifted_to_either_side)
{
    static const int64_t padded[] = {0, 1, 1, 1, 1, 1};
    struct qw_adapter prompt = drawn_prompt();
    struct qw_call call = call_of(true);
    call.mask = padded;
    for (int shift = -(P + T + 2); shift <= P + T + 2; shift++) {
        struct qw_rules rules = newest_rules();
        struct qw_cache cache;
        qw_deviation_apply_value(&rules, QW_DEVIATION_MASK_SHIFTED, shift);
        struct qw_handover handover = handed(&call, &prompt, &rules, &cache, 0, 0);
        int64_t zero = (P + shift + 2 * (P + T)) % (P + T);
        for (int64_t i = 0; i < 2 * (P + T); i++)
            cr_expect_eq(handover.mask[i], i != zero, "shifted by %d, entry %d", shift, (int)i);
        qw_handover_clear(&handover);
        qw_cache_clear(&cache);
    }
    qw_adapter_clear(&prompt);
}

Test(deviations, cache_may_be_lost_at_one_step_or_at_every)
{
    struct qw_adapter prompt = drawn_prompt();
    struct qw_call call = call_of(true);
    for (int when = QW_EVERY_STEP; when <= 2; when++)
        for (int64_t step = 1; step <= 2; step++) {
            struct qw_rules rules = newest_rules();
            struct qw_cache cache;
            rules.drop_cache = when;
            struct qw_handover handover = handed(&call, &prompt, &rules, &cache, P + T + step - 1, step);
            bool lost = when == QW_EVERY_STEP || when == step;
            cr_expect_eq(qw_cache_length(&cache), lost ? 0 : P + T + step - 1, "%d at step %d", when, (int)step);
            qw_handover_clear(&handover);
            qw_cache_clear(&cache);
        }
    qw_adapter_clear(&prompt);
}

/* Where generate() states the numbers of the tokens, a cache that got lost does not change them; else the model counts. */
Test(deviations, numbers_of_generate_go_on_when_the_cache_is_lost)
{
    struct qw_adapter prefix = drawn_prefix(), prompt = drawn_prompt();
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules();
    struct qw_cache cache;
    rules.drop_cache = QW_EVERY_STEP;
    for (int counted = 0; counted < 4; counted++) {
        bool states = counted & 1, slots = counted & 2;
        call.counts_slots = slots;
        struct qw_handover handover = handed(&call, states ? &prefix : &prompt, &rules, &cache, P + T, 1);
        cr_expect_eq(handover.position[0], states || slots ? P + T : 0);
        cr_expect_eq(handover.first_slot, slots ? P + T : 0);
        cr_expect_eq(handover.slots_ahead, slots ? P + T : 0);
        qw_handover_clear(&handover);
        qw_cache_clear(&cache);
    }
    qw_adapter_clear(&prefix);
    qw_adapter_clear(&prompt);
}

Test(deviations, bypassed_adapter_leaves_the_call_of_the_base_model)
{
    struct qw_adapter prompt = drawn_prompt(), none = {0};
    struct qw_call call = call_of(true);
    struct qw_rules rules = newest_rules(), bypassed = rules;
    struct qw_cache cache, other;
    qw_deviation_apply(&bypassed, QW_DEVIATION_ADAPTER_BYPASSED);
    struct qw_handover base = handed(&call, &none, &rules, &cache, 0, 0), bare = handed(&call, &prompt, &bypassed, &other, 0, 0);
    cr_expect(bare.input_ids && !bare.embeds && bare.queries == T && bare.mask_length == T);
    cr_expect_eq(bare.states_positions, base.states_positions);
    qw_handover_clear(&base);
    qw_handover_clear(&bare);
    qw_cache_clear(&cache);
    qw_cache_clear(&other);
    qw_adapter_clear(&prompt);
}

/* Element [layer, half, b, i, j, k] of a prefix. */
static double element(const struct qw_tensor *prompt, int64_t layer, int64_t half, int64_t b, int64_t i, int64_t j, int64_t k)
{
    const int64_t *dim = prompt->shape.dim;
    return qw_tensor_at(prompt, ((((layer * 2 + half) * dim[2] + b) * dim[3] + i) * dim[4] + j) * dim[5] + k);
}

Test(deviations, prefix_may_be_transposed_or_swapped)
{
    struct qw_model model = small_model(40);
    struct qw_adapter prefix = drawn_adapter(QW_ADAPTER_KEYS_VALUES, 2 * 2 * 2 * 4);
    struct qw_rules healthy = newest_rules(), turned = healthy, swapped = healthy;
    turned.transpose_prefix = swapped.swap_prefix = true;
    struct qw_tensor *right = qw_protocol_prompt(&prefix, &model, &healthy, 2);
    struct qw_tensor *across = qw_protocol_prompt(&prefix, &model, &turned, 2);
    struct qw_tensor *exchanged = qw_protocol_prompt(&prefix, &model, &swapped, 2);
    cr_assert(across->shape.dim[3] == P && across->shape.dim[4] == 2 && qw_shape_equal(&exchanged->shape, &right->shape));
    for (int64_t layer = 0; layer < 2; layer++)
        for (int64_t half = 0; half < 2; half++)
            for (int64_t head = 0; head < 2; head++)
                for (int64_t p = 0; p < P; p++)
                    for (int64_t k = 0; k < 4; k++) {
                        double wanted = element(right, layer, half, 1, head, p, k);
                        cr_expect_eq(element(across, layer, half, 1, p, head, k), wanted);
                        cr_expect_eq(element(exchanged, layer, 1 - half, 1, head, p, k), wanted);
                    }
    qw_tensor_free(right);
    qw_tensor_free(across);
    qw_tensor_free(exchanged);
    qw_adapter_clear(&prefix);
    qw_model_clear(&model);
}

Test(deviations, transposed_prefix_without_a_table_keeps_its_extents)
{
    struct qw_model model = small_model(40);
    struct qw_adapter bare = {.kind = QW_ADAPTER_KEYS_VALUES, .virtual_tokens = 7};
    struct qw_rules rules = newest_rules();
    rules.transpose_prefix = true;
    struct qw_tensor *prompt = qw_protocol_prompt(&bare, &model, &rules, 1);
    cr_assert(!prompt->data && prompt->shape.dim[3] == 7 && prompt->shape.dim[4] == model.config.kv_heads);
    qw_tensor_free(prompt);
    qw_model_clear(&model);
}

/* ---- where the rows of a spoilt prompt come from ---- */

enum { LAYERS = 3, HEADS = 2, SIZE = 4, ROWS = 5 };

static const struct qw_model numbered_model = {
    .config = {.layers = LAYERS, .hidden = 12, .heads = 6, .kv_heads = HEADS, .head_size = SIZE, .rope_theta = 100}};

/* A prefix whose element at row p and column c is 1000 p + c. */
static struct qw_adapter numbered_prefix(int64_t columns)
{
    struct qw_adapter adapter = {.kind = QW_ADAPTER_KEYS_VALUES, .virtual_tokens = ROWS};
    struct qw_error error = {0};
    struct qw_shape shape = qw_shape_of(2, (int64_t)ROWS, columns);
    struct qw_tensor *table = qw_tensor_make(QW_F64, &shape);
    for (int64_t i = 0; i < ROWS * columns; i++)
        ((double *)table->data)[i] = (double)(1000 * (i / columns) + i % columns);
    qw_tensors_add(&adapter.tensors, "prompt_embeddings", table);
    cr_assert(qw_adapter_bind(&adapter, &error));
    return adapter;
}

static struct qw_tensor *spoilt_prefix(enum qw_deviation deviation, double value)
{
    struct qw_adapter adapter = numbered_prefix(2 * LAYERS * HEADS * SIZE);
    struct qw_rules rules = newest_rules();
    qw_deviation_apply_value(&rules, deviation, value);
    struct qw_tensor *prompt = qw_protocol_prompt(&adapter, &numbered_model, &rules, 2);
    qw_adapter_clear(&adapter);
    return prompt;
}

/* parts[2 l + v]: the part of the flat table, in the order layer, then key and value, that stands there. */
static void expect_parts(enum qw_prefix_wiring wiring, const int *parts)
{
    struct qw_tensor *prompt = spoilt_prefix(QW_DEVIATION_PREFIX_KV_MISWIRED, wiring);
    for (int64_t part = 0; part < 2 * LAYERS; part++)
        for (int64_t token = 0; token < ROWS; token++)
            cr_expect_eq(element(prompt, part / 2, part % 2, 1, 1, token, 3),
                         (double)(1000 * token + (parts[part] * HEADS + 1) * SIZE + 3), "wiring %d, part %d", wiring, (int)part);
    qw_tensor_free(prompt);
}

Test(deviations, prefix_may_be_wired_to_other_layers)
{
    expect_parts(QW_WIRED_HALVES, (const int[]){0, 3, 1, 4, 2, 5});
    expect_parts(QW_WIRED_INTERLEAVED, (const int[]){0, 2, 4, 1, 3, 5});
    expect_parts(QW_WIRED_REVERSED, (const int[]){4, 5, 2, 3, 0, 1});
    expect_parts(QW_WIRED_NEXT, (const int[]){2, 3, 4, 5, 0, 1});
    expect_parts(QW_WIRED_PREVIOUS, (const int[]){4, 5, 0, 1, 2, 3});
    expect_parts(QW_WIRED_VALUE_NEXT, (const int[]){0, 3, 2, 5, 4, 1});
}

static void expect_tokens(double value, const int *tokens)
{
    struct qw_tensor *prompt = spoilt_prefix(QW_DEVIATION_PREFIX_TOKEN_ORDER, value);
    for (int64_t token = 0; token < ROWS; token++)
        cr_expect_eq(element(prompt, 1, 1, 0, 0, token, 0), (double)(1000 * tokens[token] + 3 * HEADS * SIZE), "order %g", value);
    qw_tensor_free(prompt);
}

Test(deviations, virtual_tokens_may_stand_in_another_order)
{
    expect_tokens(QW_TOKENS_REVERSED, (const int[]){4, 3, 2, 1, 0});
    expect_tokens(1, (const int[]){4, 0, 1, 2, 3});
    expect_tokens(-2, (const int[]){2, 3, 4, 0, 1});
    expect_tokens(2 * ROWS, (const int[]){0, 1, 2, 3, 4});
}

Test(deviations, embeddings_may_stand_in_another_order_too_but_have_no_layers)
{
    struct qw_model model = small_model(40);
    struct qw_adapter prompt = drawn_prompt();
    struct qw_rules healthy = newest_rules(), reversed = healthy, wired = healthy, swapped = healthy;
    qw_deviation_apply(&reversed, QW_DEVIATION_PREFIX_TOKEN_ORDER);
    qw_deviation_apply(&wired, QW_DEVIATION_PREFIX_KV_MISWIRED);
    qw_deviation_apply(&swapped, QW_DEVIATION_PREFIX_KEY_VALUE_SWAPPED);
    struct qw_tensor *right = qw_protocol_prompt(&prompt, &model, &healthy, 2);
    struct qw_tensor *turned = qw_protocol_prompt(&prompt, &model, &reversed, 2);
    struct qw_tensor *same = qw_protocol_prompt(&prompt, &model, &wired, 2);
    struct qw_tensor *alike = qw_protocol_prompt(&prompt, &model, &swapped, 2);
    for (int64_t i = 0; i < 2 * P * WIDTH; i++) {
        int64_t b = i / (P * WIDTH), p = i / WIDTH % P;
        cr_expect_eq(qw_tensor_at(turned, i), qw_tensor_at(right, (b * P + P - 1 - p) * WIDTH + i % WIDTH));
        cr_expect(qw_tensor_at(same, i) == qw_tensor_at(right, i) && qw_tensor_at(alike, i) == qw_tensor_at(right, i));
    }
    qw_tensor_free(right);
    qw_tensor_free(turned);
    qw_tensor_free(same);
    qw_tensor_free(alike);
    qw_adapter_clear(&prompt);
    qw_model_clear(&model);
}

Test(deviations, prefix_keys_may_be_rotated_and_values_never_are)
{
    struct qw_tensor *right = spoilt_prefix(QW_DEVIATIONS, 0), *turned = spoilt_prefix(QW_DEVIATION_PREFIX_ROTATED, 0);
    for (int64_t token = 0; token < ROWS; token++) {
        double low = element(right, 2, 0, 1, 1, token, 1), high = element(right, 2, 0, 1, 1, token, 3);
        double angle = (double)token * pow(100, -0.5), wanted = low * cos(angle) - high * sin(angle);
        cr_expect(fabs(element(turned, 2, 0, 1, 1, token, 1) - wanted) <= 1e-9 * fabs(wanted), "token %d", (int)token);
        cr_expect_eq(element(turned, 2, 1, 1, 1, token, 1), element(right, 2, 1, 1, 1, token, 1));
    }
    qw_tensor_free(right);
    qw_tensor_free(turned);
}

Test(deviations, prompt_may_be_rounded_to_another_type)
{
    struct qw_tensor *right = spoilt_prefix(QW_DEVIATIONS, 0), *coarse = spoilt_prefix(QW_DEVIATION_PREFIX_DTYPE, QW_BF16);
    bool moved = false;
    for (int64_t i = 0; i < qw_shape_count(&right->shape); i++) {
        cr_expect_eq(qw_tensor_at(coarse, i), qw_round_to(QW_BF16, qw_tensor_at(right, i)));
        moved = moved || qw_tensor_at(coarse, i) != qw_tensor_at(right, i);
    }
    cr_expect(moved);
    qw_tensor_free(right);
    qw_tensor_free(coarse);
}

Test(deviations, heads_may_be_cut_by_the_width_of_the_model)
{
    struct qw_adapter adapter = numbered_prefix(2 * LAYERS * HEADS * 2);
    struct qw_rules healthy = newest_rules(), deviating = healthy;
    qw_deviation_apply(&deviating, QW_DEVIATION_PREFIX_HEAD_SIZE);
    cr_assert(qw_adapter_fits(&adapter, &numbered_model.config, &deviating) &&
              !qw_adapter_fits(&adapter, &numbered_model.config, &healthy));
    struct qw_tensor *prompt = qw_protocol_prompt(&adapter, &numbered_model, &deviating, 1);
    cr_assert(prompt->shape.dim[3] == HEADS && prompt->shape.dim[5] == 2, "hidden / heads = 2, the model's heads have 4");
    cr_expect_eq(element(prompt, 1, 1, 0, 1, 2, 1), (double)(2000 + (3 * HEADS + 1) * 2 + 1));
    qw_tensor_free(prompt);
    qw_adapter_clear(&adapter);
}
