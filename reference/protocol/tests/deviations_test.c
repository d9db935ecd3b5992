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
    struct qw_tensor *right = qw_protocol_prompt(&prefix, &model.config, &healthy, 2);
    struct qw_tensor *across = qw_protocol_prompt(&prefix, &model.config, &turned, 2);
    struct qw_tensor *exchanged = qw_protocol_prompt(&prefix, &model.config, &swapped, 2);
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
    struct qw_tensor *prompt = qw_protocol_prompt(&bare, &model.config, &rules, 1);
    cr_assert(!prompt->data && prompt->shape.dim[3] == 7 && prompt->shape.dim[4] == model.config.kv_heads);
    qw_tensor_free(prompt);
    qw_model_clear(&model);
}
