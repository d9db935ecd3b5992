/* The positions of padded batches: where tokens are numbered by the mask, where by their places, and in which era. */
#include "reference/protocol/tests/calls.h"

/* Row 0 is padded on the left, row 1 on the right. */
static const int64_t padded[] = {0, 1, 1, 1, 1, 0};

static struct qw_rules rules_of(const char *transformers, const char *peft)
{
    struct qw_setting setting = {0};
    qw_version_read(&setting.transformers, transformers);
    qw_version_read(&setting.peft, peft);
    return qw_rules_healthy(setting);
}

/* Holds the positions of `step`, [2,q], against those expected. */
static void expect(const struct qw_call *call, const struct qw_adapter *adapter, const struct qw_rules *rules, int step,
                   bool stated, const int64_t *positions)
{
    struct qw_model model = small_model(61);
    struct qw_cache cache = qw_cache_make(2, 2);
    for (int s = 0; s <= step; s++) {
        struct qw_handover handover = qw_protocol_hand_over(&cache, call, adapter, &model, rules, s);
        double *rows = QW_NEW_ARRAY(double, 2 * handover.queries * 2 * 4);
        for (int64_t layer = 0; layer < 2; layer++)
            qw_cache_append(&cache, layer, rows, rows, handover.queries, 2, 4);
        free(rows);
        for (int64_t i = 0; s == step && i < 2 * handover.queries; i++)
            cr_expect_eq(handover.position[i], positions[i], "step %d, index %lld: %lld", s, (long long)i,
                         (long long)handover.position[i]);
        cr_expect_eq(handover.states_positions, stated);
        qw_handover_clear(&handover);
    }
    qw_cache_clear(&cache);
    qw_model_clear(&model);
}

static struct qw_call padded_call(bool use_cache)
{
    struct qw_call call = call_of(use_cache);
    call.mask = padded;
    return call;
}

static const struct qw_adapter no_adapter = {0};

Test(positions, the_base_model_counts_the_mask_and_fills_padding_with_one_up_to_5_1)
{
    struct qw_call call = padded_call(true);
    struct qw_rules rules = rules_of("5.1.0", "0.18.1");
    expect(&call, &no_adapter, &rules, 0, true, (const int64_t[]){1, 0, 1, 0, 1, 1});
    expect(&call, &no_adapter, &rules, 1, true, (const int64_t[]){2, 2});
    expect(&call, &no_adapter, &rules, 2, true, (const int64_t[]){3, 3});
}

Test(positions, from_5_2_padding_is_zero_and_decode_goes_on_from_the_last_number)
{
    struct qw_call call = padded_call(true);
    struct qw_rules rules = rules_of("5.2.0", "0.18.1");
    expect(&call, &no_adapter, &rules, 0, true, (const int64_t[]){0, 0, 1, 0, 1, 0});
    expect(&call, &no_adapter, &rules, 1, true, (const int64_t[]){2, 1});
    expect(&call, &no_adapter, &rules, 2, true, (const int64_t[]){3, 2});
}

Test(positions, without_a_cache_the_numbers_are_the_same_as_with_one)
{
    struct qw_call call = padded_call(false);
    struct qw_rules before = rules_of("4.57.3", "0.18.1"), from = rules_of("5.4.0", "0.19.1");
    expect(&call, &no_adapter, &before, 2, true, (const int64_t[]){1, 0, 1, 2, 3, 0, 1, 1, 2, 3});
    expect(&call, &no_adapter, &from, 2, true, (const int64_t[]){0, 0, 1, 2, 3, 0, 1, 0, 1, 2});
}

Test(positions, a_prompt_goes_by_places_and_counts_padding)
{
    struct qw_call call = padded_call(true);
    struct qw_rules rules = rules_of("5.23.0", "0.21.2");
    struct qw_adapter prompt = drawn_prompt();
    expect(&call, &prompt, &rules, 0, false, (const int64_t[]){0, 1, 2, 3, 4, 0, 1, 2, 3, 4});
    expect(&call, &prompt, &rules, 1, false, (const int64_t[]){5, 5});
    qw_adapter_clear(&prompt);
}

Test(positions, behind_a_prefix_peft_0_19_counts_the_mask_and_0_18_places)
{
    struct qw_call call = padded_call(true);
    struct qw_rules before = rules_of("5.4.0", "0.18.1"), from = rules_of("5.4.0", "0.19.0");
    struct qw_adapter prefix = drawn_prefix();
    expect(&call, &prefix, &before, 0, false, (const int64_t[]){P, P + 1, P + 2, P, P + 1, P + 2});
    expect(&call, &prefix, &from, 0, true, (const int64_t[]){P, P, P + 1, P, P + 1, P});
    expect(&call, &prefix, &from, 1, true, (const int64_t[]){P + 2, P + 1});
    qw_adapter_clear(&prefix);
}

Test(positions, forward_goes_by_places_whatever_the_mask)
{
    struct qw_call call = {.use_cache = true, .batch = 2, .tokens = T, .input_ids = input_ids, .mask = padded};
    struct qw_rules rules = rules_of("5.23.0", "0.21.2");
    expect(&call, &no_adapter, &rules, 0, false, (const int64_t[]){0, 1, 2, 0, 1, 2});
}

Test(positions, a_call_pads_when_its_mask_hides_a_token)
{
    struct qw_call bare = call_of(true), call = padded_call(true);
    cr_expect(qw_call_pads(&call) && !qw_call_pads(&bare));
}

Test(positions, decode_that_starts_again_counts_from_nothing)
{
    struct qw_call call = call_of(true);
    struct qw_rules rules = rules_of("4.57.3", "0.18.1");
    struct qw_adapter prompt = drawn_prompt();
    qw_deviation_apply(&rules, QW_DEVIATION_POSITION_RESET);
    expect(&call, &prompt, &rules, 0, false, (const int64_t[]){0, 1, 2, 3, 4, 0, 1, 2, 3, 4});
    expect(&call, &prompt, &rules, 1, false, (const int64_t[]){0, 0});
    qw_adapter_clear(&prompt);
}

/* Chunks of two and one tokens: only the end of the prompt is numbered by the mask up to 5.1. */
Test(positions, chunks_before_the_last_go_by_places_up_to_5_1)
{
    static const struct qw_turn turns[] = {{.first = 0, .count = 2}, {.first = 2, .count = 1}, {.first = 3, .count = 1}};
    struct qw_call call = padded_call(true);
    call.turn = turns;
    call.turns = 3;
    struct qw_rules older = rules_of("4.57.3", "0.18.1"), newer = rules_of("5.4.0", "0.19.1");
    expect(&call, &no_adapter, &older, 0, true, (const int64_t[]){0, 1, 0, 1});
    expect(&call, &no_adapter, &older, 1, true, (const int64_t[]){1, 1});
    expect(&call, &no_adapter, &newer, 0, true, (const int64_t[]){0, 0, 0, 1});
    expect(&call, &no_adapter, &newer, 1, true, (const int64_t[]){1, 0});
}

/* Where the mask numbers the tokens, numbers by place are stated all the same; where places do, nothing changes. */
Test(positions, padding_may_be_counted_where_the_mask_numbers)
{
    struct qw_call call = padded_call(true);
    struct qw_rules rules = rules_of("5.4.0", "0.19.1");
    struct qw_adapter prefix = drawn_prefix(), prompt = drawn_prompt();
    qw_deviation_apply(&rules, QW_DEVIATION_PADDING_COUNTED);
    expect(&call, &no_adapter, &rules, 0, true, (const int64_t[]){0, 1, 2, 0, 1, 2});
    expect(&call, &no_adapter, &rules, 2, true, (const int64_t[]){4, 4});
    expect(&call, &prefix, &rules, 0, true, (const int64_t[]){P, P + 1, P + 2, P, P + 1, P + 2});
    expect(&call, &prefix, &rules, 1, true, (const int64_t[]){P + 3, P + 3});
    expect(&call, &prompt, &rules, 0, false, (const int64_t[]){0, 1, 2, 3, 4, 0, 1, 2, 3, 4});
    qw_adapter_clear(&prefix);
    qw_adapter_clear(&prompt);
}
