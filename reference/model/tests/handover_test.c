/* What is in front of the tokens, by what must hold of it whatever the weights: embeddings that are handed over, and a cache
 * that is filled already. */
#include "reference/model/forward.h"

#include "reference/model/tests/small.h"

static const int64_t prompt[] = {46, 40, 25, 69, 64, 14, 92, 3, 77, 51};
enum { N = sizeof prompt / sizeof *prompt };

Test(handover, embeddings_handed_over_equal_their_ids)
{
    struct qw_model model = read_model(TINY);
    int64_t d = model.config.hidden;
    struct play by_ids = play_make(&model, &qw_f64, 1), by_values = play_make(&model, &qw_f64, 1);
    play_ids(&by_ids, prompt, 1, N);
    struct qw_handover handover = hand_over_ids(prompt, 1, N, 0);
    free(handover.input_ids);
    handover.input_ids = NULL;
    handover.embeds = true;
    handover.inputs_embeds = qw_memdup(seen(&by_ids, QW_SITE_EMBED, -1), (size_t)(N * d), sizeof(double));
    play_call(&by_values, &handover, N);
    cr_assert_arr_eq(logits_of(&by_values), logits_of(&by_ids), sizeof(double) * (size_t)(N * model.config.vocab));
    cr_assert_null(find_sight(&by_values, QW_SITE_EMBED, -1), "the embedding module is not called");
    qw_handover_clear(&handover);
    play_clear(&by_ids);
    play_clear(&by_values);
    qw_model_clear(&model);
}

Test(handover, prefix_captured_from_tokens_equals_those_tokens)
{
    enum { P = 4 };
    struct qw_model model = read_model(TINY);
    const struct qw_config *c = &model.config;
    struct play whole = play_make(&model, &qw_f64, 1), first = play_make(&model, &qw_f64, 1),
                prefixed = play_make(&model, &qw_f64, 1);
    play_ids(&whole, prompt, 1, N);
    play_ids(&first, prompt, 1, P);
    for (int64_t layer = 0; layer < c->layers; layer++)
        qw_cache_fill(&prefixed.cache, layer, first.cache.layer[layer].key, first.cache.layer[layer].value, c->kv_heads, P,
                      c->head_size);
    play_ids(&prefixed, prompt + P, 1, N - P);
    expect_same(logits_of(&prefixed), logits_of(&whole) + P * c->vocab, (N - P) * c->vocab, "logits");
    play_clear(&whole);
    play_clear(&first);
    play_clear(&prefixed);
    qw_model_clear(&model);
}

static void fill_with_zeros(const struct qw_tensor *weight)
{
    memset(((struct qw_tensor *)(uintptr_t)weight)->data, 0, sizeof(float) * (size_t)qw_shape_count(&weight->shape));
}

/* Queries of zero see all keys alike: attention is the mean of the prefix's values and the token's own. */
Test(handover, prefix_takes_part_in_attention_and_stays_as_it_is)
{
    enum { K = 2, P = 3, D = 4, H = 6 };
    struct qw_model model = small_model(9);
    const int64_t id[] = {4};
    uint64_t state = 12;
    double *keys = draw_many(&state, K * P * D), *values = draw_many(&state, K * P * D), mean[H * D] = {0}, y[12];
    struct play play = play_make(&model, &qw_f64, 1);
    for (int64_t layer = 0; layer < 2; layer++) {
        fill_with_zeros(model.layer[layer].q_weight);
        fill_with_zeros(model.layer[layer].q_bias);
        qw_cache_fill(&play.cache, layer, keys, values, K, P, D);
    }
    play_ids(&play, id, 1, 1);
    const double *v = seen(&play, QW_SITE_V_PROJ, 0);
    for (int h = 0; h < H; h++)
        for (int i = 0; i < D; i++) {
            const double *column = values + h / 3 * P * D + i;
            mean[h * D + i] = (column[0] + column[D] + column[2 * D] + v[h / 3 * D + i]) / 4;
        }
    product(y, mean, model.layer[0].o_weight, NULL, 1);
    expect_same(seen(&play, QW_SITE_O_PROJ, 0), y, 12, "o of the mean");
    const struct qw_cache_layer *held = &play.cache.layer[1];
    for (int h = 0; h < K; h++) {
        cr_expect_arr_eq(held->key + h * (P + 1) * D, keys + h * P * D, P * D * sizeof *keys, "keys of a prefix are not turned");
        cr_expect_arr_eq(held->value + h * (P + 1) * D, values + h * P * D, P * D * sizeof *values);
    }
    free(keys);
    free(values);
    play_clear(&play);
    qw_model_clear(&model);
}

/* Blocks that are not given the cache: the last row sees all of its own keys, as without a prefix, and the mask, made for
 * P more keys and cut, lets earlier rows see as many too far. */
Test(handover, a_withheld_cache_is_not_seen_and_the_future_is)
{
    enum { K = 2, P = 2, D = 4, T = 3 };
    struct qw_model model = small_model(9);
    const int64_t ids[] = {4, 7, 1};
    uint64_t state = 12;
    double *rows = draw_many(&state, K * P * D);
    for (int raises = 0; raises < 2; raises++) {
        struct play bare = play_make(&model, &qw_f64, 1), play = play_make(&model, &qw_f64, 1);
        struct qw_handover far = hand_over_ids(ids, 1, T, P), withheld = hand_over_ids(ids, 1, T, P);
        play_call(&bare, &far, T);
        withheld.withheld = true;
        play.rules.wide_mask_raises = raises;
        for (int64_t layer = 0; layer < 2; layer++)
            qw_cache_fill(&play.cache, layer, rows, rows, K, P, D);
        if (raises) {
            cr_expect_eq(qw_mask_treatment(&play.rules, &withheld, P), QW_SHORT_RAISES_IN_ATTENTION);
        } else {
            play_call(&play, &withheld, T);
            const double *o = seen(&play, QW_SITE_O_PROJ, 0), *plain = seen(&bare, QW_SITE_O_PROJ, 0);
            expect_same(o + 2 * 12, plain + 2 * 12, 12, "the last row");
            cr_expect(distance(o, plain, 12) > 1e-3, "the first row sees what comes");
            cr_expect_eq(play.cache.layer[0].length, T);
        }
        qw_handover_clear(&far);
        qw_handover_clear(&withheld);
        play_clear(&bare);
        play_clear(&play);
    }
    free(rows);
    qw_model_clear(&model);
}

Test(handover, cache_of_other_heads_stops_in_the_first_layer)
{
    struct qw_model model = small_model(10);
    const int64_t ids[] = {3, 1};
    double rows[6 * 3 * 4] = {0};
    struct play play = play_make(&model, &qw_f64, 1);
    for (int64_t layer = 0; layer < 2; layer++)
        qw_cache_fill(&play.cache, layer, rows, rows, 6, 3, 4);
    play_ids(&play, ids, 1, 2);
    cr_assert_eq(play.stopped, 0);
    cr_assert(find_sight(&play, QW_SITE_V_PROJ, 0) != NULL, "the projections were computed before the join");
    cr_assert_null(find_sight(&play, QW_SITE_O_PROJ, 0));
    cr_assert_null(find_sight(&play, QW_SITE_LM_HEAD, -1));
    cr_assert(play.cache.layer[0].length == 3 && play.cache.layer[0].heads == 6, "the cache is as it was");
    play_clear(&play);
    qw_model_clear(&model);
}

Test(handover, cache_without_values_stops_too)
{
    struct qw_model model = small_model(11);
    const int64_t ids[] = {3, 1};
    struct play play = play_make(&model, &qw_f64, 1);
    for (int64_t layer = 0; layer < 2; layer++)
        qw_cache_fill(&play.cache, layer, NULL, NULL, 2, 3, 4);
    play_ids(&play, ids, 1, 2);
    cr_assert_eq(play.stopped, 0);
    play_clear(&play);
    qw_model_clear(&model);
}

/* A recording may hold such a cache; the mask is made for the length of layer 0. */
Test(handover, layer_of_another_length_stops_there)
{
    struct qw_model model = small_model(12);
    const int64_t ids[] = {3, 1};
    double *rows = QW_NEW_ARRAY(double, 2 * 5000 * 4);
    struct play play = play_make(&model, &qw_f64, 1);
    qw_cache_fill(&play.cache, 0, rows, rows, 2, 3, 4);
    qw_cache_fill(&play.cache, 1, rows, rows, 2, 5000, 4);
    play_ids(&play, ids, 1, 2);
    cr_assert_eq(play.stopped, 1);
    free(rows);
    play_clear(&play);
    qw_model_clear(&model);
}
