/* Deviations of Qwen's own arithmetic: where each first shows, and that it changes nothing where it has nothing to change. */
#include "reference/model/ops.h"
#include "reference/model/tests/small.h"

static const int64_t ids[] = {3, 1, 16, 5, 5, 2, 9};
enum { N = sizeof ids / sizeof *ids, NOWHERE = QW_SITES };

static const struct qw_config *const configs[QW_FAMILIES] = {&small_config, &third_config, &first_config};

/* One assignment to the rules, and the first site that it changes in each family. */
static const struct row {
    enum qw_deviation deviation;
    double value;
    int first[QW_FAMILIES]; /* Qwen2, Qwen3, the first Qwen */
} rows[] = {
    {QW_DEVIATION_ROPE_BASE_WRONG, 10000, {QW_SITE_ROTARY_COS, QW_SITE_ROTARY_COS, QW_SITE_FIRST_COS}},
    {QW_DEVIATION_ROPE_BASE_WRONG, 100, {NOWHERE, NOWHERE, NOWHERE}}, /* as configured */
    {QW_DEVIATION_ROPE_INTERLEAVED, QW_PAIRS_NEIGHBOURS, {QW_SITE_O_PROJ, QW_SITE_O_PROJ, QW_SITE_ATTN_C_PROJ}},
    {QW_DEVIATION_ROPE_INTERLEAVED, QW_PAIRS_NEIGHBOURS_TABLES, {QW_SITE_ROTARY_COS, QW_SITE_ROTARY_COS, QW_SITE_FIRST_COS}},
    {QW_DEVIATION_ROPE_INTERLEAVED, QW_PAIRS_NEIGHBOURS_ASTRAY, {QW_SITE_O_PROJ, QW_SITE_O_PROJ, QW_SITE_ATTN_C_PROJ}},
    {QW_DEVIATION_NORM_EPSILON_WRONG, 1e-5, {QW_SITE_INPUT_NORM, QW_SITE_INPUT_NORM, QW_SITE_LN_1}},
    {QW_DEVIATION_NORM_EPSILON_WRONG, QW_NO_EPSILON, {QW_SITE_INPUT_NORM, QW_SITE_INPUT_NORM, QW_SITE_LN_1}},
    {QW_DEVIATION_NORM_EPSILON_WRONG, 1e-6, {NOWHERE, NOWHERE, NOWHERE}}, /* as configured */
    {QW_DEVIATION_QKV_BIAS_DROPPED, QW_QUERIES | QW_KEYS | QW_VALUES, {QW_SITE_Q_PROJ, NOWHERE, QW_SITE_C_ATTN}},
    {QW_DEVIATION_QKV_BIAS_DROPPED, QW_QUERIES, {QW_SITE_Q_PROJ, NOWHERE, NOWHERE}}, /* the first Qwen has one bias */
    {QW_DEVIATION_QKV_BIAS_DROPPED, QW_KEYS, {QW_SITE_K_PROJ, NOWHERE, NOWHERE}},
    {QW_DEVIATION_QKV_BIAS_DROPPED, QW_VALUES, {QW_SITE_V_PROJ, NOWHERE, NOWHERE}},
    {QW_DEVIATION_QK_NORM_MISSING, QW_QUERIES | QW_KEYS, {NOWHERE, QW_SITE_Q_NORM, NOWHERE}},
    {QW_DEVIATION_QK_NORM_MISSING, QW_QUERIES, {NOWHERE, QW_SITE_Q_NORM, NOWHERE}},
    {QW_DEVIATION_QK_NORM_MISSING, QW_KEYS, {NOWHERE, QW_SITE_K_NORM, NOWHERE}},
    {QW_DEVIATION_KV_HEADS_TILED, 0, {QW_SITE_O_PROJ, QW_SITE_O_PROJ, NOWHERE}}, /* H = K */
    {QW_DEVIATION_ATTENTION_UNSCALED, QW_SCALED_NEVER, {QW_SITE_O_PROJ, QW_SITE_O_PROJ, QW_SITE_ATTN_C_PROJ}},
    {QW_DEVIATION_ATTENTION_UNSCALED, QW_SCALED_TWICE, {QW_SITE_O_PROJ, QW_SITE_O_PROJ, QW_SITE_ATTN_C_PROJ}},
    {QW_DEVIATION_ATTENTION_UNSCALED, QW_SCALED_BY_PLAIN_SIZE, {QW_SITE_O_PROJ, QW_SITE_O_PROJ, NOWHERE}}, /* D = d / H */
    {QW_DEVIATION_ATTENTION_UNSCALED, QW_SCALED_BY_WIDTH, {QW_SITE_O_PROJ, QW_SITE_O_PROJ, QW_SITE_ATTN_C_PROJ}},
    {QW_DEVIATION_GATE_UP_SWAPPED, QW_GATED_WEIGHTS_SWAPPED, {QW_SITE_GATE_PROJ, QW_SITE_GATE_PROJ, QW_SITE_W1}},
    {QW_DEVIATION_GATE_UP_SWAPPED, QW_GATED_BY_UP, {QW_SITE_ACT_FN, QW_SITE_ACT_FN, QW_SITE_MLP_C_PROJ}},
    {QW_DEVIATION_HEAD_UNTIED, QW_HEAD_AS_STORED, {NOWHERE, NOWHERE, NOWHERE}}, /* not tied */
    {QW_DEVIATION_HEAD_UNTIED, QW_HEAD_ZERO, {NOWHERE, NOWHERE, NOWHERE}},
    {QW_DEVIATION_ACCUMULATED_IN_LOW_PRECISION, QW_BF16, {QW_SITE_Q_PROJ, QW_SITE_Q_PROJ, QW_SITE_C_ATTN}},
    {QW_DEVIATION_ACCUMULATED_IN_LOW_PRECISION, QW_F16, {QW_SITE_Q_PROJ, QW_SITE_Q_PROJ, QW_SITE_C_ATTN}},
};

/* The first site of `a`, in the order in which it was played, at which `b` has other values. */
static int first_apart(const struct play *a, const struct play *b)
{
    cr_assert_eq(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const struct sight *sight = &a->sight[i];
        const struct sight *twin = find_sight(b, sight->site, sight->layer);
        cr_assert(twin && qw_shape_equal(&twin->shape, &sight->shape), "%s", qw_site_rows[sight->site].name);
        if (memcmp(sight->value, twin->value, sizeof *sight->value * (size_t)qw_shape_count(&sight->shape)))
            return (int)sight->site;
    }
    return NOWHERE;
}

static const char *site_name(int site) { return site == NOWHERE ? "nowhere" : qw_site_rows[site].name; }

/* Where a deviated play first departs from the healthy one. */
static int first_changed(const struct qw_model *model, const struct qw_arith *arith, const struct row *row, bool tables)
{
    struct play healthy = play_make(model, arith, 1), deviated = play_make(model, arith, 1);
    healthy.rules.rotary_in_attention = deviated.rules.rotary_in_attention = tables;
    qw_deviation_apply_value(&deviated.rules, row->deviation, row->value);
    play_ids(&healthy, ids, 1, N);
    play_ids(&deviated, ids, 1, N);
    int first = first_apart(&healthy, &deviated);
    play_clear(&healthy);
    play_clear(&deviated);
    return first;
}

static void expect_first(const struct qw_model *model, const struct qw_arith *arith, const struct row *row, int wanted)
{
    int first = first_changed(model, arith, row, false);
    cr_expect_eq(first, wanted, "%s of %g in a %s, %s: %s, not %s", qw_deviation_id(row->deviation), row->value,
                 model->config.model_type, arith->name, site_name(first), site_name(wanted));
}

static bool rounds_alone(const struct row *row) { return row->deviation == QW_DEVIATION_ACCUMULATED_IN_LOW_PRECISION; }

Test(arithmetic, each_deviation_first_shows_at_its_own_site_and_nowhere_where_it_changes_nothing)
{
    for (enum qw_family family = 0; family < QW_FAMILIES; family++) {
        struct qw_model model = model_of(configs[family], 21);
        for (const struct row *row = rows; row < rows + COUNT(rows); row++) {
            expect_first(&model, &qw_f64, row, rounds_alone(row) ? NOWHERE : row->first[family]);
            expect_first(&model, &qw_f32, row, row->first[family]);
        }
        qw_model_clear(&model);
    }
}

Test(arithmetic, rotary_tables_of_older_eras_go_wrong_in_their_attention)
{
    struct qw_model model = small_model(21);
    for (const struct row *row = rows; row < rows + COUNT(rows); row++)
        if (row->first[QW_FAMILY_QWEN2] == QW_SITE_ROTARY_COS)
            cr_expect_eq(first_changed(&model, &qw_f64, row, true), QW_SITE_TABLE_COS, "%g", row->value);
    qw_model_clear(&model);
}

/* The table above has every row that deviations.def gives to these rules, or another value of the same deviation. */
Test(arithmetic, every_deviation_of_these_rules_is_in_the_table)
{
    for (int d = QW_DEVIATION_ROPE_BASE_WRONG; d <= QW_DEVIATION_ACCUMULATED_IN_LOW_PRECISION; d++) {
        int tried = 0;
        for (const struct row *row = rows; row < rows + COUNT(rows); row++)
            tried += row->deviation == (enum qw_deviation)d;
        cr_expect_geq(tried, 1, "%s", qw_deviation_id((enum qw_deviation)d));
        cr_expect_eq(qw_deviation_party((enum qw_deviation)d), QW_MODEL);
    }
}

/* ---- what is computed instead ---- */

static struct play deviated_play(const struct qw_model *model, enum qw_deviation deviation, double value)
{
    struct play play = play_make(model, &qw_f64, 1);
    qw_deviation_apply_value(&play.rules, deviation, value);
    play_ids(&play, ids, 1, N);
    return play;
}

static struct play healthy_play(const struct qw_model *model)
{
    struct play play = play_make(model, &qw_f64, 1);
    play_ids(&play, ids, 1, N);
    return play;
}

static void expect_same_logits(struct play *a, struct play *b, const char *what)
{
    expect_same(logits_of(a), logits_of(b), (int64_t)N * 17, what);
    play_clear(a);
    play_clear(b);
}

static float *weight_of(struct qw_model *model, const char *name)
{
    const struct qw_tensor *tensor = qw_tensors_find(&model->tensors, name);
    cr_assert(tensor, "%s", name);
    return tensor->data;
}

/* The configuration says what the deviation says: the same play. */
Test(arithmetic, a_wrong_base_or_epsilon_is_that_of_another_configuration)
{
    struct qw_config based = small_config, epsilon = small_config;
    based.rope_theta = 10000;
    epsilon.norm_eps = 1e-3;
    struct qw_model model = small_model(3), other = model_of(&based, 3), third = model_of(&epsilon, 3);
    struct play a = deviated_play(&model, QW_DEVIATION_ROPE_BASE_WRONG, 10000), b = healthy_play(&other);
    expect_same_logits(&a, &b, "base");
    a = deviated_play(&model, QW_DEVIATION_NORM_EPSILON_WRONG, 1e-3);
    b = healthy_play(&third);
    expect_same_logits(&a, &b, "epsilon");
    qw_model_clear(&model);
    qw_model_clear(&other);
    qw_model_clear(&third);
}

/* Rows of `heads` heads of 4, put where pairs of halves have to lie for neighbours to be paired: 0 2 1 3 of each. */
static void interleave(float *rows_of_heads, int heads, int columns)
{
    for (int h = 0; h < heads; h++)
        for (int c = 0; c < columns; c++) {
            float *second = rows_of_heads + (4 * h + 1) * columns + c, *third = second + columns, kept = *second;
            *second = *third;
            *third = kept;
        }
}

/* Neighbours paired on permuted weights are halves paired on weights as they are. */
Test(arithmetic, neighbours_are_what_permuted_weights_want)
{
    struct qw_model model = small_model(4), permuted = small_model(4);
    char name[64];
    for (int layer = 0; layer < 2; layer++)
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "model.layers.%d.self_attn.%c_proj.weight", layer, k ? 'k' : 'q');
            interleave(weight_of(&permuted, name), k ? 2 : 6, 12);
            snprintf(name, sizeof name, "model.layers.%d.self_attn.%c_proj.bias", layer, k ? 'k' : 'q');
            interleave(weight_of(&permuted, name), k ? 2 : 6, 1);
        }
    for (int pairing = QW_PAIRS_NEIGHBOURS; pairing <= QW_PAIRS_NEIGHBOURS_TABLES; pairing++) {
        struct play a = deviated_play(&permuted, QW_DEVIATION_ROPE_INTERLEAVED, pairing), b = healthy_play(&model);
        expect_same_logits(&a, &b, "pairs");
    }
    qw_model_clear(&model);
    qw_model_clear(&permuted);
}

Test(arithmetic, dropped_biases_are_zeros)
{
    struct qw_model model = small_model(5), bare = small_model(5);
    char name[64];
    for (int layer = 0; layer < 2; layer++) {
        snprintf(name, sizeof name, "model.layers.%d.self_attn.k_proj.bias", layer);
        memset(weight_of(&bare, name), 0, 8 * sizeof(float));
    }
    struct play a = deviated_play(&model, QW_DEVIATION_QKV_BIAS_DROPPED, QW_KEYS), b = healthy_play(&bare);
    expect_same_logits(&a, &b, "biases of keys");
    qw_model_clear(&model);
    qw_model_clear(&bare);
}

/* 6 query heads over 2: 0 1 0 1 0 1 instead of 0 0 0 1 1 1, which a model with query heads in that order undoes. */
Test(arithmetic, tiled_heads_are_query_heads_in_another_order)
{
    static const int order[] = {0, 3, 1, 4, 2, 5}; /* the h-th query head of the tiled play */
    struct qw_model model = small_model(6), ordered = small_model(6);
    char name[64];
    for (int layer = 0; layer < 2; layer++)
        for (int h = 0; h < 6; h++) {
            snprintf(name, sizeof name, "model.layers.%d.self_attn.q_proj.weight", layer);
            memcpy(weight_of(&ordered, name) + h * 48, weight_of(&model, name) + order[h] * 48, 48 * sizeof(float));
            snprintf(name, sizeof name, "model.layers.%d.self_attn.q_proj.bias", layer);
            memcpy(weight_of(&ordered, name) + h * 4, weight_of(&model, name) + order[h] * 4, 4 * sizeof(float));
            snprintf(name, sizeof name, "model.layers.%d.self_attn.o_proj.weight", layer);
            for (int row = 0; row < 12; row++)
                memcpy(weight_of(&ordered, name) + row * 24 + h * 4, weight_of(&model, name) + row * 24 + order[h] * 4,
                       4 * sizeof(float));
        }
    struct play a = deviated_play(&ordered, QW_DEVIATION_KV_HEADS_TILED, 0), b = healthy_play(&model);
    expect_same_logits(&a, &b, "heads");
    qw_model_clear(&model);
    qw_model_clear(&ordered);
}

/* Scores grow with the queries: not divided by 2 they are those of queries that are twice as long. */
Test(arithmetic, scores_are_scaled_by_the_root_that_is_said)
{
    static const struct {
        enum qw_scaling scaling;
        double longer; /* sqrt(D) / what is divided by, D 4, d 12, H 6 */
    } scalings[] = {{QW_SCALED_NEVER, 2}, {QW_SCALED_TWICE, 0.5}};
    for (size_t i = 0; i < COUNT(scalings); i++) {
        struct qw_model model = small_model(7), longer = small_model(7);
        char name[64];
        for (int layer = 0; layer < 2; layer++) {
            snprintf(name, sizeof name, "model.layers.%d.self_attn.q_proj.weight", layer);
            for (int k = 0; k < 24 * 12; k++)
                weight_of(&longer, name)[k] *= (float)scalings[i].longer;
            snprintf(name, sizeof name, "model.layers.%d.self_attn.q_proj.bias", layer);
            for (int k = 0; k < 24; k++)
                weight_of(&longer, name)[k] *= (float)scalings[i].longer;
        }
        struct play a = deviated_play(&model, QW_DEVIATION_ATTENTION_UNSCALED, scalings[i].scaling), b = healthy_play(&longer);
        expect_same_logits(&a, &b, "scores");
        qw_model_clear(&model);
        qw_model_clear(&longer);
    }
}

/* silu on the other branch, with the weights exchanged as well, is the feed-forward as it should be. */
Test(arithmetic, both_ways_to_exchange_gate_and_up_undo_each_other)
{
    struct qw_model model = small_model(8), exchanged = small_model(8);
    char gate[64], up[64];
    for (int layer = 0; layer < 2; layer++) {
        snprintf(gate, sizeof gate, "model.layers.%d.mlp.gate_proj.weight", layer);
        snprintf(up, sizeof up, "model.layers.%d.mlp.up_proj.weight", layer);
        memcpy(weight_of(&exchanged, gate), weight_of(&model, up), 120 * sizeof(float));
        memcpy(weight_of(&exchanged, up), weight_of(&model, gate), 120 * sizeof(float));
    }
    for (int gating = QW_GATED_WEIGHTS_SWAPPED; gating <= QW_GATED_BY_UP; gating++) {
        struct play a = deviated_play(&exchanged, QW_DEVIATION_GATE_UP_SWAPPED, gating), b = healthy_play(&model);
        expect_same_logits(&a, &b, "branches");
    }
    qw_model_clear(&model);
    qw_model_clear(&exchanged);
}

Test(arithmetic, without_its_norm_a_head_is_the_projection)
{
    struct qw_model model = model_of(&third_config, 9);
    struct play play = deviated_play(&model, QW_DEVIATION_QK_NORM_MISSING, QW_KEYS), healthy = healthy_play(&model);
    expect_same(seen(&play, QW_SITE_K_NORM, 0), seen(&play, QW_SITE_K_PROJ, 0), N * 8, "k_norm");
    expect_same(seen(&play, QW_SITE_Q_NORM, 0), seen(&healthy, QW_SITE_Q_NORM, 0), N * 24, "q_norm");
    play_clear(&play);
    play_clear(&healthy);
    qw_model_clear(&model);
}

Test(arithmetic, only_a_tied_head_is_untied_and_only_the_logits_change)
{
    struct qw_config tied = small_config;
    tied.tied = true;
    struct qw_model model = model_of(&tied, 10), with_head = small_model(10);
    struct row zero = {.deviation = QW_DEVIATION_HEAD_UNTIED, .value = QW_HEAD_ZERO};
    struct row stored = {.deviation = QW_DEVIATION_HEAD_UNTIED, .value = QW_HEAD_AS_STORED};
    expect_first(&model, &qw_f64, &zero, QW_SITE_LM_HEAD);
    expect_first(&model, &qw_f64, &stored, NOWHERE);
    model.stored_head = with_head.head;
    expect_first(&model, &qw_f64, &stored, QW_SITE_LM_HEAD);
    struct play play = deviated_play(&model, QW_DEVIATION_HEAD_UNTIED, QW_HEAD_ZERO);
    cr_expect_eq(largest_of(logits_of(&play), N * 17), 0);
    play_clear(&play);
    qw_model_clear(&model);
    qw_model_clear(&with_head);
}

/* ---- sums ---- */

/* 1 + 300 times 2^-9: in bfloat16, whose numbers are 2^-7 apart there, each is lost beside the 1. */
Test(arithmetic, a_sum_in_a_half_loses_what_is_small)
{
    enum { TERMS = 301 };
    double x[TERMS], y;
    float ones[TERMS];
    for (int i = 0; i < TERMS; i++) {
        x[i] = i ? 0x1p-9 : 1;
        ones[i] = 1;
    }
    struct qw_tensor w = {QW_F32, qw_shape_of(2, (int64_t)1, (int64_t)TERMS), ones, NULL};
    const struct qw_arith ariths[] = {qw_f64,
                                      qw_f32,
                                      qw_bf16,
                                      qw_arith_summing(&qw_f32, QW_BF16),
                                      qw_arith_summing(&qw_bf16, QW_BF16),
                                      qw_arith_summing(&qw_f64, QW_BF16)};
    const double whole = 1 + 300 * 0x1p-9, wanted[] = {whole, whole, qw_round_to(QW_BF16, whole), 1, 1, whole};
    for (size_t i = 0; i < COUNT(wanted); i++) {
        qw_linear(&ariths[i], &y, x, &w, NULL, 1, TERMS, 1);
        cr_expect_eq(y, wanted[i], "%d: %g", (int)i, y);
    }
}

Test(arithmetic, a_half_is_not_summed_in_the_other_half)
{
    cr_expect_eq(qw_arith_summing(&qw_bf16, QW_F16).sums, QW_F32);
    cr_expect_eq(qw_arith_summing(&qw_f16, QW_BF16).sums, QW_F32);
    cr_expect_eq(qw_arith_summing(&qw_f16, QW_F16).sums, QW_F16);
    cr_expect_eq(qw_arith_summing(&qw_f32, QW_F64).sums, QW_F32, "QW_F64 asks for nothing");
}

Test(arithmetic, only_sums_in_a_half_widen_the_floor)
{
    for (int d = 0; d < QW_DEVIATIONS; d++) {
        struct qw_rules rules = newest_rules();
        qw_deviation_apply(&rules, (enum qw_deviation)d);
        cr_expect_eq(qw_rules_widen(&rules), d == QW_DEVIATION_ACCUMULATED_IN_LOW_PRECISION, "%s",
                     qw_deviation_id((enum qw_deviation)d));
    }
}
