/* The forward pass, by what must hold of it whatever the weights: plays that must be equal, and values that must follow
 * from others. */
#include "reference/model/forward.h"

#include "reference/model/tests/small.h"

static const int64_t prompt[] = {46, 40, 25, 69, 64, 14, 92, 3, 77, 51};
enum { N = sizeof prompt / sizeof *prompt };

static void expect_apart(const double *a, const double *b, int64_t count, const char *what)
{
    cr_expect_gt(distance(a, b, count), 1e-3, "%s: nothing changed", what);
}

/* ---- the same tokens in several ways ---- */

Test(forward, prefill_equals_decoding_step_by_step)
{
    struct qw_model model = read_model(TINY);
    int64_t V = model.config.vocab;
    struct play whole = play_make(&model, &qw_f64, 1), steps = play_make(&model, &qw_f64, 1);
    play_ids(&whole, prompt, 1, N);
    for (int64_t t = 0; t < N; t++) {
        play_ids(&steps, prompt + t, 1, 1);
        expect_same(logits_of(&steps), logits_of(&whole) + t * V, V, "logits");
    }
    for (int64_t layer = 0; layer < model.config.layers; layer++) {
        int64_t count = N * model.config.kv_heads * model.config.head_size;
        cr_assert_eq(steps.cache.layer[layer].length, N);
        expect_same(steps.cache.layer[layer].key, whole.cache.layer[layer].key, count, "keys");
        expect_same(steps.cache.layer[layer].value, whole.cache.layer[layer].value, count, "values");
    }
    play_clear(&whole);
    play_clear(&steps);
    qw_model_clear(&model);
}

Test(forward, prefill_may_be_cut_anywhere)
{
    struct qw_model model = read_model(TINY);
    int64_t V = model.config.vocab;
    struct play whole = play_make(&model, &qw_f64, 1);
    play_ids(&whole, prompt, 1, N);
    for (int64_t cut = 1; cut < N; cut++) {
        struct play parts = play_make(&model, &qw_f64, 1);
        play_ids(&parts, prompt, 1, cut);
        play_ids(&parts, prompt + cut, 1, N - cut);
        expect_same(logits_of(&parts), logits_of(&whole) + cut * V, (N - cut) * V, "logits");
        play_clear(&parts);
    }
    play_clear(&whole);
    qw_model_clear(&model);
}

Test(forward, batch_row_alone_equals_the_row_in_its_batch)
{
    enum { B = 3, Q = 4 };
    struct qw_model model = read_model(TINY);
    int64_t V = model.config.vocab;
    const int64_t ids[B * Q] = {5, 9, 2, 100, 0, 1, 2, 3, 77, 77, 4, 50};
    struct play all = play_make(&model, &qw_f64, B);
    play_ids(&all, ids, B, Q);
    for (int64_t b = 0; b < B; b++) {
        struct play alone = play_make(&model, &qw_f64, 1);
        play_ids(&alone, ids + b * Q, 1, Q);
        expect_same(logits_of(&all) + b * Q * V, logits_of(&alone), Q * V, "logits");
        play_clear(&alone);
    }
    play_clear(&all);
    qw_model_clear(&model);
}

Test(forward, decoding_in_a_batch_equals_decoding_alone)
{
    struct qw_model model = small_model(3);
    int64_t V = model.config.vocab;
    const int64_t first[] = {1, 2, 3, 9, 8, 7}, next[] = {4, 6};
    struct play both = play_make(&model, &qw_f64, 2);
    play_ids(&both, first, 2, 3);
    play_ids(&both, next, 2, 1);
    for (int64_t b = 0; b < 2; b++) {
        struct play alone = play_make(&model, &qw_f64, 1);
        play_ids(&alone, first + 3 * b, 1, 3);
        play_ids(&alone, next + b, 1, 1);
        expect_same(logits_of(&both) + b * V, logits_of(&alone), V, "logits");
        play_clear(&alone);
    }
    play_clear(&both);
    qw_model_clear(&model);
}

/* ---- who sees what ---- */

Test(forward, later_tokens_do_not_reach_earlier_logits)
{
    struct qw_model model = read_model(TINY);
    int64_t V = model.config.vocab, other[N];
    memcpy(other, prompt, sizeof other);
    other[N - 3] = 8;
    struct play a = play_make(&model, &qw_f64, 1), b = play_make(&model, &qw_f64, 1);
    play_ids(&a, prompt, 1, N);
    play_ids(&b, other, 1, N);
    cr_assert_arr_eq(logits_of(&a), logits_of(&b), sizeof(double) * (size_t)((N - 3) * V));
    expect_apart(logits_of(&a) + (N - 3) * V, logits_of(&b) + (N - 3) * V, V, "the token's own logits");
    expect_apart(logits_of(&a) + (N - 1) * V, logits_of(&b) + (N - 1) * V, V, "the logits behind it");
    play_clear(&a);
    play_clear(&b);
    qw_model_clear(&model);
}

/* Plays the prompt behind `pads` other tokens that the mask hides. */
static void play_padded(struct play *play, int64_t pads)
{
    int64_t ids[N + 8];
    double mask[N + 8];
    for (int64_t i = 0; i < pads + N; i++) {
        ids[i] = i < pads ? 7 + i : prompt[i - pads];
        mask[i] = i >= pads;
    }
    struct qw_handover handover = hand_over_ids(ids, 1, pads + N, 0);
    handover.mask = qw_memdup(mask, (size_t)(pads + N), sizeof *mask);
    handover.mask_length = pads + N;
    play_call(play, &handover, N);
    qw_handover_clear(&handover);
}

/* Scores depend on distances alone, so tokens that nobody sees only shift the others. */
Test(forward, hidden_tokens_in_front_only_shift_positions)
{
    struct qw_model model = read_model(TINY);
    struct play bare = play_make(&model, &qw_f64, 1);
    play_ids(&bare, prompt, 1, N);
    for (int64_t pads = 1; pads <= 8; pads++) {
        struct play padded = play_make(&model, &qw_f64, 1);
        play_padded(&padded, pads);
        expect_same(logits_of(&padded), logits_of(&bare), N * model.config.vocab, "logits");
        play_clear(&padded);
    }
    play_clear(&bare);
    qw_model_clear(&model);
}

Test(forward, positions_matter_by_distance)
{
    struct qw_model model = read_model(TINY);
    struct play near = play_make(&model, &qw_f64, 1), far = play_make(&model, &qw_f64, 1), torn = play_make(&model, &qw_f64, 1);
    struct qw_handover handover = hand_over_ids(prompt, 1, N, 0);
    play_call(&near, &handover, 1);
    for (int i = 0; i < N; i++)
        handover.position[i] += 20;
    play_call(&far, &handover, 1);
    handover.position[0] -= 5;
    play_call(&torn, &handover, 1);
    expect_same(logits_of(&far), logits_of(&near), model.config.vocab, "all shifted alike");
    expect_apart(logits_of(&torn), logits_of(&near), model.config.vocab, "one shifted alone");
    qw_handover_clear(&handover);
    play_clear(&near);
    play_clear(&far);
    play_clear(&torn);
    qw_model_clear(&model);
}

static void play_masked(struct play *play, int64_t length, double value)
{
    struct qw_handover handover = hand_over_ids(prompt, 1, N, 0);
    handover.mask = QW_NEW_ARRAY(double, length);
    handover.mask_length = length;
    for (int64_t i = 0; i < length; i++)
        handover.mask[i] = value;
    play_call(play, &handover, N);
    qw_handover_clear(&handover);
}

Test(forward, mask_of_ones_is_no_mask_however_long_and_where_short_ones_are_ignored)
{
    struct qw_model model = read_model(TINY);
    size_t bytes = sizeof(double) * (size_t)(N * model.config.vocab);
    struct play bare = play_make(&model, &qw_f64, 1);
    play_ids(&bare, prompt, 1, N);
    for (int64_t length = 1; length <= N + 4; length++) {
        struct play masked = play_make(&model, &qw_f64, 1);
        masked.rules.short_mask = QW_SHORT_IGNORED;
        play_masked(&masked, length, 1);
        cr_expect_arr_eq(logits_of(&masked), logits_of(&bare), bytes, "length %lld", (long long)length);
        play_clear(&masked);
    }
    play_clear(&bare);
    qw_model_clear(&model);
}

/* A short mask that hides the last keys is the long one with zeros for them. */
Test(forward, short_mask_may_hide_the_last_keys)
{
    struct qw_model model = read_model(TINY);
    struct play padded = play_make(&model, &qw_f64, 1), small = play_make(&model, &qw_f64, 1),
                bare = play_make(&model, &qw_f64, 1);
    struct qw_handover handover = hand_over_ids(prompt, 1, N, 0);
    handover.mask = QW_NEW_ARRAY(double, N);
    handover.mask_length = N;
    for (int64_t i = 0; i < N - 2; i++)
        handover.mask[i] = 1;
    play_call(&padded, &handover, N);
    small.rules.short_mask = QW_SHORT_HIDES_LAST;
    play_masked(&small, N - 2, 1);
    play_ids(&bare, prompt, 1, N);
    cr_expect_arr_eq(logits_of(&small), logits_of(&padded), sizeof(double) * (size_t)(N * model.config.vocab));
    expect_apart(logits_of(&small) + (N - 1) * model.config.vocab, logits_of(&bare) + (N - 1) * model.config.vocab,
                 model.config.vocab, "the last row saw keys that are hidden now");
    qw_handover_clear(&handover);
    play_clear(&padded);
    play_clear(&small);
    play_clear(&bare);
    qw_model_clear(&model);
}

Test(forward, short_mask_stops_the_model_where_its_era_raises)
{
    static const struct {
        enum qw_short_mask first, past;
        bool enters, passes; /* of a first call with a short mask of ones */
    } rows[] = {{QW_SHORT_RAISES_IN_MODEL, QW_SHORT_IGNORED, false, false},
                {QW_SHORT_RAISES_IN_ATTENTION, QW_SHORT_IGNORED, true, false},
                {QW_SHORT_IGNORED, QW_SHORT_RAISES_IN_MODEL, true, true}};
    struct qw_model model = read_model(TINY);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct qw_rules rules = newest_rules();
        struct qw_cache cache = qw_cache_make(model.config.layers, 1);
        struct qw_handover handover = hand_over_ids(prompt, 1, N, 0);
        double ones[] = {1, 1};
        rules.short_mask = rows[i].first;
        rules.short_mask_past = rows[i].past;
        handover.mask = ones;
        handover.mask_length = 2;
        struct qw_pass pass = qw_pass_begin(&model, &qw_f64, &rules, &handover, &cache, (struct qw_tap){NULL, NULL});
        cr_expect_eq(qw_pass_enters_blocks(&pass), rows[i].enters);
        cr_expect_eq(rows[i].enters && qw_pass_block(&pass, 0), rows[i].passes);
        ones[1] = 0; /* a mask that hides something is looked at as behind a filled cache */
        cr_expect_eq(qw_mask_treatment(&rules, &handover, 0), rows[i].past);
        qw_pass_clear(&pass);
        handover.mask = NULL;
        qw_handover_clear(&handover);
        qw_cache_clear(&cache);
    }
    qw_model_clear(&model);
}

/* The older eras look cos and sin up in a table that is as long as the cache. */
Test(forward, position_beyond_the_table_stops_the_model)
{
    struct qw_model model = read_model(TINY);
    for (int era = 0; era < 2; era++) {
        struct qw_rules rules = newest_rules();
        struct qw_cache cache = qw_cache_make(model.config.layers, 1);
        struct qw_handover handover = hand_over_ids(prompt, 1, N, 0);
        rules.rotary_in_attention = era == 0;
        handover.position[N - 1] = N;
        struct qw_pass pass = qw_pass_begin(&model, &qw_f64, &rules, &handover, &cache, (struct qw_tap){NULL, NULL});
        cr_expect_eq(qw_pass_block(&pass, 0), era == 1);
        qw_pass_clear(&pass);
        qw_handover_clear(&handover);
        qw_cache_clear(&cache);
    }
    qw_model_clear(&model);
}

/* With everything hidden every row averages all values, the later ones included: o_proj is the same for all rows. */
Test(forward, rows_that_see_nothing_all_see_the_same)
{
    struct qw_model model = read_model(TINY);
    struct play play = play_make(&model, &qw_f64, 1);
    play.rules.blind_row = QW_BLIND_UNIFORM;
    int64_t d = model.config.hidden;
    play_masked(&play, N, 0);
    const double *o = seen(&play, QW_SITE_O_PROJ, 0);
    for (int64_t t = 1; t < N; t++)
        cr_expect_arr_eq(o + t * d, o, sizeof *o * (size_t)d, "row %lld", (long long)t);
    play_clear(&play);
    qw_model_clear(&model);
}

/* ---- what follows from what ---- */

Test(forward, block_adds_attention_and_then_the_feed_forward)
{
    struct qw_model model = read_model(TINY);
    struct play play = play_make(&model, &qw_f64, 1);
    play_ids(&play, prompt, 1, N);
    const double *before = seen(&play, QW_SITE_EMBED, -1);
    for (int layer = 0; layer < model.config.layers; layer++) {
        const double *o = seen(&play, QW_SITE_O_PROJ, layer), *down = seen(&play, QW_SITE_DOWN_PROJ, layer);
        const double *after = seen(&play, QW_SITE_OUTPUT, layer);
        for (int64_t i = 0; i < N * model.config.hidden; i++)
            cr_assert_eq(after[i], before[i] + o[i] + down[i], "layer %d", layer);
        before = after;
    }
    play_clear(&play);
    qw_model_clear(&model);
}

Test(forward, projections_take_their_norm_and_their_bias)
{
    struct qw_model model = small_model(5);
    const struct qw_layer_weights *w = &model.layer[1];
    const int64_t ids[] = {3, 1, 16};
    double y[3 * 24];
    struct play play = play_make(&model, &qw_f64, 1);
    play_ids(&play, ids, 1, 3);
    const double *x = seen(&play, QW_SITE_INPUT_NORM, 1), *z = seen(&play, QW_SITE_POST_NORM, 1);
    product(y, x, w->q_weight, w->q_bias, 3);
    expect_same(seen(&play, QW_SITE_Q_PROJ, 1), y, 3 * 24, "q");
    product(y, x, w->k_weight, w->k_bias, 3);
    expect_same(seen(&play, QW_SITE_K_PROJ, 1), y, 3 * 8, "k");
    product(y, x, w->v_weight, w->v_bias, 3);
    expect_same(seen(&play, QW_SITE_V_PROJ, 1), y, 3 * 8, "v");
    product(y, z, w->gate_weight, NULL, 3);
    const double *activated = seen(&play, QW_SITE_ACT_FN, 1), *up = seen(&play, QW_SITE_UP_PROJ, 1);
    double gated[3 * 10];
    for (int i = 0; i < 3 * 10; i++) {
        gated[i] = activated[i] * up[i];
        y[i] = y[i] * (0.5 + 0.5 * tanh(y[i] / 2)); /* the logistic function in another form */
    }
    expect_same(activated, y, 3 * 10, "silu of the gate");
    product(y, gated, w->down_weight, NULL, 3);
    expect_same(seen(&play, QW_SITE_DOWN_PROJ, 1), y, 3 * 12, "down");
    product(y, seen(&play, QW_SITE_NORM, -1), model.head, NULL, 3);
    expect_same(logits_of(&play), y, 3 * 17, "logits");
    play_clear(&play);
    qw_model_clear(&model);
}

Test(forward, norms_are_applied_before_what_they_serve)
{
    struct qw_model model = small_model(6);
    const int64_t ids[] = {3, 1, 16};
    struct play play = play_make(&model, &qw_f64, 1);
    play_ids(&play, ids, 1, 3);
    const double *x = seen(&play, QW_SITE_EMBED, -1), *y = seen(&play, QW_SITE_INPUT_NORM, 0);
    const double *last = seen(&play, QW_SITE_OUTPUT, 1), *normed = seen(&play, QW_SITE_NORM, -1);
    for (int64_t i = 0; i < 3 * 12; i++) {
        double first = rms_of(x + i / 12 * 12, 12), end = rms_of(last + i / 12 * 12, 12);
        double wanted = qw_tensor_at(model.layer[0].input_norm, i % 12) * x[i] / sqrt(first * first + 1e-6);
        cr_expect_leq(fabs(y[i] - wanted), 1e-14 * fabs(wanted));
        wanted = qw_tensor_at(model.norm, i % 12) * last[i] / sqrt(end * end + 1e-6);
        cr_expect_leq(fabs(normed[i] - wanted), 1e-14 * fabs(wanted));
    }
    play_clear(&play);
    qw_model_clear(&model);
}

Test(forward, cache_holds_turned_keys_and_values_as_they_are)
{
    struct qw_model model = small_model(7);
    const int64_t ids[] = {3, 1, 16, 5};
    struct play play = play_make(&model, &qw_f64, 1);
    play_ids(&play, ids, 1, 4);
    const double *k = seen(&play, QW_SITE_K_PROJ, 1), *v = seen(&play, QW_SITE_V_PROJ, 1);
    const struct qw_cache_layer *held = &play.cache.layer[1];
    for (int64_t h = 0; h < 2; h++)
        for (int64_t t = 0; t < 4; t++)
            for (int64_t i = 0; i < 4; i++) {
                double angle = (double)t * pow(100, -2.0 * (double)(i % 2) / 4);
                const double *token = k + (t * 2 + h) * 4;
                double turned = i < 2 ? token[i] * cos(angle) - token[i + 2] * sin(angle)
                                      : token[i] * cos(angle) + token[i - 2] * sin(angle);
                cr_expect_leq(fabs(held->key[(h * 4 + t) * 4 + i] - turned), 1e-14);
                cr_expect_eq(held->value[(h * 4 + t) * 4 + i], v[(t * 2 + h) * 4 + i]);
            }
    play_clear(&play);
    qw_model_clear(&model);
}

/* Rows of a key or value weight (or bias), each head's repeated for every query head that shares it. */
static void repeat_heads(struct qw_model *model, const char *name)
{
    int64_t D = model->config.head_size, group = model->config.heads / model->config.kv_heads;
    for (int i = 0; i < model->tensors.count; i++) {
        struct qw_tensor *old = model->tensors.item[i].tensor;
        if (!strstr(model->tensors.item[i].name, name))
            continue;
        struct qw_shape shape = old->shape;
        int64_t width = shape.rank == 2 ? shape.dim[1] : 1;
        shape.dim[0] *= group;
        struct qw_tensor *wide = qw_tensor_make(QW_F32, &shape);
        for (int64_t row = 0; row < shape.dim[0]; row++) {
            int64_t from = row / D / group * D + row % D;
            memcpy((float *)wide->data + row * width, (const float *)old->data + from * width, sizeof(float) * (size_t)width);
        }
        model->tensors.item[i].tensor = wide;
        qw_tensor_free(old);
    }
}

/* Query head h attends over key/value head h / (H/K): the same as a model in which that head is written out. */
Test(forward, grouped_heads_equal_heads_written_out)
{
    struct qw_model grouped = small_model(8), plain = small_tensors_of(&small_config, 8);
    static const char *const names[] = {"k_proj.weight", "k_proj.bias", "v_proj.weight", "v_proj.bias"};
    for (int i = 0; i < 4; i++)
        repeat_heads(&plain, names[i]);
    plain.config.kv_heads = plain.config.heads;
    bind_model(&plain);
    const int64_t ids[] = {3, 1, 16, 5, 5};
    struct play a = play_make(&grouped, &qw_f64, 1), b = play_make(&plain, &qw_f64, 1);
    play_ids(&a, ids, 1, 5);
    play_ids(&b, ids, 1, 5);
    expect_same(logits_of(&a), logits_of(&b), 5 * 17, "logits");
    play_clear(&a);
    play_clear(&b);
    qw_model_clear(&grouped);
    qw_model_clear(&plain);
}

Test(forward, tied_head_multiplies_by_the_embedding)
{
    struct qw_model model = read_model(TINY);
    double y[101];
    struct play play = play_make(&model, &qw_f64, 1);
    play_ids(&play, prompt, 1, N);
    product(y, seen(&play, QW_SITE_NORM, -1), qw_tensors_find(&model.tensors, "model.embed_tokens.weight"), NULL, 1);
    expect_same(logits_of(&play), y, 101, "logits");
    play_clear(&play);
    qw_model_clear(&model);
}

Test(forward, logits_rows_are_the_last_ones)
{
    struct qw_model model = read_model(TINY);
    int64_t V = model.config.vocab;
    struct play all = play_make(&model, &qw_f64, 1);
    play_ids(&all, prompt, 1, N);
    for (int64_t rows = 1; rows <= N; rows += 3) {
        struct play some = play_make(&model, &qw_f64, 1);
        struct qw_handover handover = hand_over_ids(prompt, 1, N, 0);
        play_call(&some, &handover, rows);
        const struct sight *sight = find_sight(&some, QW_SITE_LM_HEAD, -1);
        struct qw_shape wanted = qw_shape_of(3, (int64_t)1, rows, V);
        cr_assert(qw_shape_equal(&sight->shape, &wanted));
        expect_same(sight->value, logits_of(&all) + (N - rows) * V, rows * V, "rows");
        qw_handover_clear(&handover);
        play_clear(&some);
    }
    play_clear(&all);
    qw_model_clear(&model);
}

/* ---- packed sequences ---- */

/* Logits of seven tokens whose positions begin again twice: 0 1 2, 0 1 2, 0. */
static struct play packed_play(const struct qw_model *model, bool cacheless, bool states, bool packs)
{
    static const int64_t packed[] = {3, 1, 16, 5, 5, 2, 9}, position[] = {0, 1, 2, 0, 1, 2, 0};
    struct play play = play_make(model, &qw_f64, 1);
    struct qw_handover handover = hand_over_ids(packed, 1, 7, 0);
    memcpy(handover.position, position, sizeof position);
    handover.cacheless = cacheless;
    handover.states_positions = states;
    play.rules.packs = packs;
    play_call(&play, &handover, 7);
    qw_handover_clear(&handover);
    return play;
}

Test(forward, packed_sequences_do_not_see_each_other)
{
    static const int64_t alone[] = {5, 5, 2};
    struct qw_model model = small_model(31);
    struct play packed = packed_play(&model, true, true, true), second = play_make(&model, &qw_f64, 1);
    play_ids(&second, alone, 1, 3);
    expect_same(logits_of(&packed) + 3 * 17, logits_of(&second), 3 * 17, "the second sequence");
    play_clear(&packed);
    play_clear(&second);
    qw_model_clear(&model);
}

/* A cache, positions that nobody handed over, or an era that does not look: one sequence, whatever its positions. */
Test(forward, without_one_of_the_signs_nothing_is_packed)
{
    struct qw_model model = small_model(31);
    struct play one = packed_play(&model, false, false, false), packed = packed_play(&model, true, true, true);
    cr_expect_gt(distance(logits_of(&packed), logits_of(&one), 7 * 17), 1e-3);
    for (int missing = 0; missing < 3; missing++) {
        struct play play = packed_play(&model, missing != 0, missing != 1, missing != 2);
        cr_expect_arr_eq(logits_of(&play), logits_of(&one), 7 * 17 * sizeof(double), "sign %d", missing);
        play_clear(&play);
    }
    play_clear(&one);
    play_clear(&packed);
    qw_model_clear(&model);
}

Test(forward, a_short_mask_without_a_cache_is_what_its_era_makes_of_it)
{
    static const struct {
        const char *transformers;
        bool eager;
        enum qw_short_mask ones, zeros;
    } rows[] = {{"4.57.3", false, QW_SHORT_HIDES_LAST, QW_SHORT_HIDES_LAST},
                {"4.57.3", true, QW_SHORT_HIDES_LAST, QW_SHORT_HIDES_LAST},
                {"5.0.0", false, QW_SHORT_RAISES_IN_ATTENTION, QW_SHORT_RAISES_IN_ATTENTION},
                {"5.4.0", false, QW_SHORT_RAISES_IN_ATTENTION, QW_SHORT_RAISES_IN_ATTENTION},
                {"5.15.0", false, QW_SHORT_IGNORED, QW_SHORT_RAISES_IN_ATTENTION},
                {"5.23.0", false, QW_SHORT_IGNORED, QW_SHORT_RAISES_IN_ATTENTION},
                {"5.23.0", true, QW_SHORT_RAISES_IN_ATTENTION, QW_SHORT_RAISES_IN_ATTENTION}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct qw_setting setting = qw_setting_newest();
        qw_version_read(&setting.transformers, rows[i].transformers);
        setting.eager = rows[i].eager;
        struct qw_rules rules = qw_rules_healthy(setting);
        double mask[] = {1, 1, 1};
        struct qw_handover handover = {.batch = 1, .queries = 5, .cacheless = true, .mask = mask, .mask_length = 3};
        cr_expect_eq(qw_mask_treatment(&rules, &handover, 0), rows[i].ones, "%s", rows[i].transformers);
        mask[0] = 0;
        cr_expect_eq(qw_mask_treatment(&rules, &handover, 0), rows[i].zeros, "%s, zeros", rows[i].transformers);
        handover.cacheless = false;
        cr_expect_eq(qw_mask_treatment(&rules, &handover, 0), QW_SHORT_HIDES_LAST, "%s, with a cache", rows[i].transformers);
    }
}
