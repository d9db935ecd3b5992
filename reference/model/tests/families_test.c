/* The families beside Qwen2, by what must hold of them: where they agree with it, and what departs from it. */
#include "reference/model/forward.h"

#include "reference/model/tests/small.h"

#define SAME 1e-12

static const int64_t ids[] = {3, 1, 16, 5, 5, 2, 9, 11, 4, 0, 7, 7, 13, 8, 2, 6, 10, 12};
enum { N = sizeof ids / sizeof *ids, V = 17 };

static const float *floats_of(const struct qw_model *model, const char *name)
{
    const struct qw_tensor *tensor = qw_tensors_find(&model->tensors, name);
    cr_assert(tensor, "%s", name);
    return tensor->data;
}

static double logits_apart(const struct play *a, const struct play *b, int64_t rows)
{
    return distance(logits_of(a), logits_of(b), rows * V);
}

/* ---- Qwen3 ---- */

static struct qw_model with_queries_scaled(double factor)
{
    struct qw_config config = third_config;
    config.norm_eps = 0;
    struct qw_model model = model_of(&config, 5);
    float *weight = (float *)(uintptr_t)floats_of(&model, "model.layers.0.self_attn.q_proj.weight");
    for (int64_t i = 0; i < 6 * 4 * 12; i++)
        weight[i] *= (float)factor;
    return model;
}

/* What is normalised has no scale: queries that are twice as long attend alike. */
Test(families, the_scale_of_queries_is_lost_in_their_norm)
{
    struct qw_model plain = with_queries_scaled(1), scaled = with_queries_scaled(2);
    struct play a = play_make(&plain, &qw_f64, 1), b = play_make(&scaled, &qw_f64, 1);
    play_ids(&a, ids, 1, 6);
    play_ids(&b, ids, 1, 6);
    cr_expect_leq(logits_apart(&b, &a, 6), SAME);
    cr_expect_gt(distance(seen(&b, QW_SITE_Q_PROJ, 0), seen(&a, QW_SITE_Q_PROJ, 0), 6 * 24), 0.1);
    play_clear(&a);
    play_clear(&b);
    qw_model_clear(&plain);
    qw_model_clear(&scaled);
}

/* Each head of each token by itself: rms 1 before the weight, which all heads share. */
Test(families, every_head_is_normalised_by_itself)
{
    struct qw_model model = model_of(&third_config, 6);
    struct play play = play_make(&model, &qw_f64, 1);
    play_ids(&play, ids, 1, 6);
    const double *normed = seen(&play, QW_SITE_K_NORM, 1);
    const float *weight = floats_of(&model, "model.layers.1.self_attn.k_norm.weight");
    for (int64_t head = 0; head < 6 * 2; head++) {
        double plain[4];
        for (int i = 0; i < 4; i++)
            plain[i] = normed[head * 4 + i] / (double)weight[i];
        cr_expect_float_eq(rms_of(plain, 4), 1, 1e-4, "head %d", (int)head);
    }
    play_clear(&play);
    qw_model_clear(&model);
}

/* ---- the first Qwen ---- */

static void copy_part(struct qw_model *to, const char *name, const struct qw_model *from, const char *source, int64_t part,
                      int64_t parts)
{
    const struct qw_tensor *whole = qw_tensors_find(&from->tensors, source);
    struct qw_shape shape = whole->shape;
    shape.dim[0] /= parts;
    struct qw_tensor *copy = qw_tensor_make(QW_F32, &shape);
    int64_t count = qw_shape_count(&shape);
    memcpy(copy->data, (const float *)whole->data + part * count, sizeof(float) * (size_t)count);
    qw_tensors_add(&to->tensors, name, copy);
}

/* The same weights under the names of Qwen2, whose heads are not grouped. */
static struct qw_model as_qwen2(const struct qw_model *first)
{
    static const struct {
        const char *name, *source;
        int64_t part, parts;
    } rows[] = {{"input_layernorm.weight", "ln_1.weight", 0, 1},
                {"self_attn.q_proj.weight", "attn.c_attn.weight", 0, 3},
                {"self_attn.k_proj.weight", "attn.c_attn.weight", 1, 3},
                {"self_attn.v_proj.weight", "attn.c_attn.weight", 2, 3},
                {"self_attn.q_proj.bias", "attn.c_attn.bias", 0, 3},
                {"self_attn.k_proj.bias", "attn.c_attn.bias", 1, 3},
                {"self_attn.v_proj.bias", "attn.c_attn.bias", 2, 3},
                {"self_attn.o_proj.weight", "attn.c_proj.weight", 0, 1},
                {"post_attention_layernorm.weight", "ln_2.weight", 0, 1},
                {"mlp.gate_proj.weight", "mlp.w2.weight", 0, 1},
                {"mlp.up_proj.weight", "mlp.w1.weight", 0, 1},
                {"mlp.down_proj.weight", "mlp.c_proj.weight", 0, 1}};
    struct qw_model model = {.config = first->config};
    model.config.family = QW_FAMILY_QWEN2;
    copy_part(&model, "model.embed_tokens.weight", first, "transformer.wte.weight", 0, 1);
    copy_part(&model, "model.norm.weight", first, "transformer.ln_f.weight", 0, 1);
    copy_part(&model, "lm_head.weight", first, "lm_head.weight", 0, 1);
    char name[96], source[96];
    for (int layer = 0; layer < 2; layer++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            snprintf(name, sizeof name, "model.layers.%d.%s", layer, rows[i].name);
            snprintf(source, sizeof source, "transformer.h.%d.%s", layer, rows[i].source);
            copy_part(&model, name, first, source, rows[i].part, rows[i].parts);
        }
    bind_model(&model);
    return model;
}

/* Up to the length that it was trained on, the first Qwen is a Qwen1.5 by other names. */
Test(families, the_first_qwen_is_the_second_by_other_names)
{
    struct qw_model first = model_of(&first_config, 7), second = as_qwen2(&first);
    struct play a = play_make(&first, &qw_f64, 1), b = play_make(&second, &qw_f64, 1);
    for (int step = 0; step < 3; step++) {
        play_ids(&a, ids + (step ? 5 + step : 0), 1, step ? 1 : 6);
        play_ids(&b, ids + (step ? 5 + step : 0), 1, step ? 1 : 6);
        cr_expect_leq(logits_apart(&a, &b, step ? 1 : 6), SAME, "step %d", step);
    }
    play_clear(&a);
    play_clear(&b);
    qw_model_clear(&first);
    qw_model_clear(&second);
}

/* 1 up to the trained length of 8, then 3 up to twice that length, then 7: the base grows by that to the power D/(D-2). */
Test(families, longer_inputs_turn_by_a_larger_base)
{
    const struct {
        int64_t tokens;
        double growth;
    } rows[] = {{4, 1}, {8, 1}, {9, 3}, {16, 3}, {17, 7}};
    struct qw_model model = model_of(&first_config, 8);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct play play = play_make(&model, &qw_f64, 1);
        play_ids(&play, ids, 1, rows[i].tokens);
        double slow = acos(seen(&play, QW_SITE_FIRST_COS, -1)[4 + 1]); /* position 1, dimension 1 of 2 */
        cr_expect_float_eq(slow, 1 / sqrt(100 * rows[i].growth * rows[i].growth), 1e-12, "%d tokens", (int)rows[i].tokens);
        play_clear(&play);
    }
    qw_model_clear(&model);
}

/* The base is that of the first call, however long the sequence grows; a first call that finds a prefix keeps base 1. */
Test(families, later_steps_turn_by_the_base_of_the_first)
{
    struct qw_model model = model_of(&first_config, 9);
    struct play grown = play_make(&model, &qw_f64, 1), found = play_make(&model, &qw_f64, 1);
    play_ids(&grown, ids, 1, 9);
    play_ids(&found, ids, 1, 9);
    struct qw_handover step = hand_over_ids(ids + 9, 1, 1, 9);
    play_call(&found, &step, 1);
    step.first_length = qw_memdup((int64_t[]){9}, 1, sizeof(int64_t));
    play_call(&grown, &step, 1);
    cr_expect_float_eq(acos(seen(&grown, QW_SITE_FIRST_COS, -1)[5]), 1 / sqrt(900), 1e-12);
    cr_expect_float_eq(acos(seen(&found, QW_SITE_FIRST_COS, -1)[5]), 1 / sqrt(100), 1e-12);
    qw_handover_clear(&step);
    play_clear(&grown);
    play_clear(&found);
    qw_model_clear(&model);
}

static struct qw_model without_growth(bool log_n)
{
    struct qw_config config = first_config;
    config.dynamic_ntk = false;
    config.log_n = log_n;
    return model_of(&config, 10);
}

/* Only rows behind the trained length differ: their queries are longer by log(place) / log(8). */
Test(families, late_queries_are_scaled_by_the_logarithm_of_their_place)
{
    struct qw_model with = without_growth(true), without = without_growth(false);
    struct play a = play_make(&with, &qw_f64, 1), b = play_make(&without, &qw_f64, 1);
    play_ids(&a, ids, 1, 12);
    play_ids(&b, ids, 1, 12);
    cr_expect_leq(distance(logits_of(&a), logits_of(&b), 8 * V), SAME, "the first 8 rows");
    for (int row = 8; row < 12; row++)
        cr_expect_gt(distance(logits_of(&a) + row * V, logits_of(&b) + row * V, V), 1e-6, "row %d", row);
    play_clear(&a);
    play_clear(&b);
    qw_model_clear(&with);
    qw_model_clear(&without);
}

/* Positions that are handed over are not looked at. */
Test(families, the_first_qwen_counts_rows_not_positions)
{
    struct qw_model model = model_of(&first_config, 11);
    struct play told = play_make(&model, &qw_f64, 1), untold = play_make(&model, &qw_f64, 1);
    struct qw_handover handover = hand_over_ids(ids, 1, 6, 3);
    play_call(&told, &handover, 6);
    play_ids(&untold, ids, 1, 6);
    cr_expect_eq(logits_apart(&told, &untold, 6), 0);
    qw_handover_clear(&handover);
    play_clear(&told);
    play_clear(&untold);
    qw_model_clear(&model);
}

/* ---- what goes wrong behind a filled cache ---- */

/* Plays `last` behind five tokens under rules that one deviation has changed; the play goes on only where nothing stops it. */
static struct play behind_five(const struct qw_model *model, enum qw_deviation deviation, const int64_t *last, int64_t q,
                               bool masked)
{
    struct play play = play_make(model, &qw_f64, 1);
    qw_deviation_apply(&play.rules, deviation);
    play_ids(&play, ids, 1, 5);
    cr_expect_eq(play.stopped, -1, "a first call is as ever");
    struct qw_handover handover = hand_over_ids(last, 1, q, 5);
    if (masked) {
        handover.mask_length = 5 + q;
        handover.mask = QW_NEW_ARRAY(double, handover.mask_length);
        for (int64_t i = 0; i < handover.mask_length; i++)
            handover.mask[i] = 1;
    }
    play_call(&play, &handover, play.stopped < 0 ? q : 0);
    qw_handover_clear(&handover);
    return play;
}

Test(families, without_its_causal_mask_a_token_sees_the_tokens_after_it)
{
    const int64_t one[] = {9, 11, 4}, other[] = {9, 11, 13};
    struct qw_model model = model_of(&first_config, 12);
    struct play a = behind_five(&model, QW_DEVIATION_PREFIX_NONCAUSAL, one, 3, false);
    struct play b = behind_five(&model, QW_DEVIATION_PREFIX_NONCAUSAL, other, 3, false);
    cr_expect_gt(distance(logits_of(&a), logits_of(&b), 2 * V), 1e-3, "the first two rows know the third token");
    play_clear(&a);
    play_clear(&b);
    a = behind_five(&model, QW_DEVIATION_ADAPTER_BYPASSED, one, 3, false);
    b = behind_five(&model, QW_DEVIATION_ADAPTER_BYPASSED, other, 3, false);
    cr_expect_eq(distance(logits_of(&a), logits_of(&b), 2 * V), 0, "in a healthy model they do not");
    play_clear(&a);
    play_clear(&b);
    qw_model_clear(&model);
}

Test(families, the_model_stops_where_the_real_one_raises)
{
    const struct {
        enum qw_deviation deviation;
        bool masked;
        int stopped;
    } rows[] = {{QW_DEVIATION_PREFIX_CONCAT_WRONG_AXIS, false, 0},
                {QW_DEVIATION_CAUSAL_MASK_MISSING, true, 0},
                {QW_DEVIATION_CAUSAL_MASK_MISSING, false, -1},
                {QW_DEVIATION_PREFIX_NONCAUSAL, true, -1}};
    struct qw_model model = model_of(&first_config, 13);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct play play = behind_five(&model, rows[i].deviation, ids + 5, 2, rows[i].masked);
        cr_expect_eq(play.stopped, rows[i].stopped, "%s", qw_deviation_id(rows[i].deviation));
        play_clear(&play);
    }
    qw_model_clear(&model);
}

/* ---- sliding windows ---- */

/* Whether the last of ten tokens sees token `key` in a setting. */
static bool reaches(const struct qw_config *config, const char *transformers, bool eager, int64_t key)
{
    int64_t changed[10];
    memcpy(changed, ids, sizeof changed);
    changed[key] = 16 - changed[key];
    struct qw_model model = model_of(config, 15);
    struct qw_setting setting = qw_setting_newest();
    qw_version_read(&setting.transformers, transformers);
    setting.eager = eager;
    struct play a = play_make(&model, &qw_f64, 1), b = play_make(&model, &qw_f64, 1);
    a.rules = b.rules = qw_rules_healthy(setting);
    play_ids(&a, ids, 1, 10);
    play_ids(&b, changed, 1, 10);
    bool far = distance(logits_of(&a) + 9 * V, logits_of(&b) + 9 * V, V) > 0;
    play_clear(&a);
    play_clear(&b);
    qw_model_clear(&model);
    return far;
}

/* Of ten tokens, how many the last one sees in a model of one layer with a window of four, as measured with the real
 * libraries. */
Test(families, windows_are_applied_as_each_era_applied_them)
{
    const struct {
        const char *transformers;
        bool eager, used;
        int64_t full_layers, sees;
    } rows[] = {{"4.38.2", true, false, 1, 4},   {"4.38.2", false, true, 0, 10}, {"4.41.2", true, false, 1, 5},
                {"4.41.2", false, false, 1, 5},  {"4.44.2", true, true, 0, 10},  {"4.46.3", false, true, 1, 4},
                {"4.46.3", false, false, 0, 10}, {"4.48.3", true, true, 0, 10},  {"4.51.3", false, false, 1, 4},
                {"4.57.3", false, true, 0, 4},   {"4.57.3", false, true, 1, 10}, {"5.23.0", true, false, 0, 10}};
    struct qw_config config = small_config;
    config.layers = 1;
    config.window = 4;
    for (size_t i = 0; i < COUNT(rows); i++) {
        config.uses_window = rows[i].used;
        config.full_layers = rows[i].full_layers;
        cr_expect(reaches(&config, rows[i].transformers, rows[i].eager, 10 - rows[i].sees), "%s sees less", rows[i].transformers);
        cr_expect(rows[i].sees == 10 || !reaches(&config, rows[i].transformers, rows[i].eager, 9 - rows[i].sees), "%s sees more",
                  rows[i].transformers);
    }
}

/* How many of ten tokens the last one sees, in a model of two layers of which the second has a window of four. */
Test(families, a_window_is_misapplied_as_the_value_says)
{
    const struct {
        enum qw_window_fault fault;
        int64_t first, second; /* windows of the layers; 0: all keys */
    } rows[] = {{QW_WINDOW_RIGHT, 0, 4},
                {QW_WINDOW_IGNORED, 0, 0},
                {QW_WINDOW_IN_ALL_LAYERS, 4, 4},
                {QW_WINDOW_WIDER, 0, 5},
                {QW_WINDOW_NARROWER, 0, 3}};
    struct qw_config config = small_config;
    config.window = 4;
    config.uses_window = true;
    config.full_layers = 1;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct qw_rules rules = qw_rules_healthy(qw_setting_newest());
        qw_deviation_apply_value(&rules, QW_DEVIATION_SLIDING_WINDOW_MISAPPLIED, rows[i].fault);
        cr_expect_eq(qw_window_of(&config, &rules, 0), rows[i].first);
        cr_expect_eq(qw_window_of(&config, &rules, 1), rows[i].second);
    }
}

/* Nine tokens, then one, with a window of four, of which the cache has let go of `gone` rows before the last token. */
static struct play let_go_play(const struct qw_model *model, enum qw_window_fault fault, int64_t gone)
{
    struct play play = play_make(model, &qw_f64, 1);
    play.rules = qw_rules_healthy(qw_setting_newest());
    play.rules.window_fault = fault;
    play_ids(&play, ids, 1, 9);
    for (int64_t layer = 0; layer < play.cache.layers; layer++)
        play.cache.layer[layer].gone = gone;
    play_ids(&play, ids + 9, 1, 1);
    return play;
}

/* A layer that slides keeps one row less than its window: what it let go of nobody would have seen, but a window that is
 * too wide. */
Test(families, rows_that_were_let_go_of_are_not_seen)
{
    struct qw_config config = small_config;
    config.layers = 1;
    config.window = 4;
    config.uses_window = true;
    struct qw_model model = model_of(&config, 15);
    for (int wider = 0; wider < 2; wider++) {
        enum qw_window_fault fault = wider ? QW_WINDOW_WIDER : QW_WINDOW_RIGHT;
        struct play whole = let_go_play(&model, fault, 0), slid = let_go_play(&model, fault, 6);
        double apart = distance(logits_of(&whole), logits_of(&slid), V);
        cr_expect(wider ? apart > 1e-6 : apart < 1e-12, "%d: %g", wider, apart);
        play_clear(&whole);
        play_clear(&slid);
    }
    qw_model_clear(&model);
}
