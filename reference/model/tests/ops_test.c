/* Operations: worked by hand, and by the properties that define them. */
#include "reference/model/ops.h"

#include "reference/model/tests/small.h"

static const struct qw_arith *const ariths[] = {&qw_f64, &qw_f32};
/* Roundoff of each arithmetic: a result of k rounded operations lies within k of these, relative. */
static const double roundoff[] = {0x1p-53, 0x1p-24};

static struct qw_tensor *row_of(const double *values, int64_t n) { return float_tensor(values, qw_shape_of(1, n)); }

static void expect_near(double got, double wanted, double allowed, const char *what)
{
    cr_expect_leq(fabs(got - wanted), allowed, "%s: %.17g instead of %.17g", what, got, wanted);
}

/* ---- embedding, linear ---- */

Test(ops, embed_copies_rows)
{
    const double rows[] = {1, 2, 3, 4, 5, 6};
    const int64_t ids[] = {2, 0, 2};
    const double wanted[] = {5, 6, 1, 2, 5, 6};
    double y[6];
    struct qw_tensor *table = float_tensor(rows, qw_shape_of(2, (int64_t)3, (int64_t)2));
    qw_embed(y, table, ids, 3, 2);
    cr_assert_arr_eq(y, wanted, sizeof wanted);
    qw_tensor_free(table);
}

Test(ops, linear_multiplies_by_the_transposed_weight_and_adds_the_bias)
{
    const double weight[] = {1, 2, 3, 4, 5, 6}, bias[] = {10, 20, 30}, x[] = {1, -1, 0, 2};
    const double without[] = {-1, -1, -1, 4, 8, 12}, with[] = {9, 19, 29, 14, 28, 42};
    struct qw_tensor *w = float_tensor(weight, qw_shape_of(2, (int64_t)3, (int64_t)2)), *b = row_of(bias, 3);
    for (int a = 0; a < 2; a++) {
        double y[6];
        qw_linear(ariths[a], y, x, w, NULL, 2, 2, 3);
        cr_expect_arr_eq(y, without, sizeof without);
        qw_linear(ariths[a], y, x, w, b, 2, 2, 3);
        cr_expect_arr_eq(y, with, sizeof with);
    }
    qw_tensor_free(w);
    qw_tensor_free(b);
}

/* ---- rms norm ---- */

Test(ops, rms_norm_by_hand)
{
    const double x[] = {3, 4, 1, 1}, weight[] = {1, 2};
    struct qw_tensor *w = row_of(weight, 2);
    for (int a = 0; a < 2; a++) {
        double y[4], u = 6 * roundoff[a];
        qw_rms_norm(ariths[a], y, x, w, 0, 2, 2);
        expect_near(y[0], 3 / sqrt(12.5), u, "first");
        expect_near(y[1], 8 / sqrt(12.5), 3 * u, "second");
        expect_near(y[2], 1, u, "row of ones");
        qw_rms_norm(ariths[a], y, x, w, 3, 2, 2);
        expect_near(y[2], 0.5, u, "1 / sqrt(1 + 3)");
        expect_near(y[3], 1, u, "2 / sqrt(1 + 3)");
    }
    qw_tensor_free(w);
}

Test(ops, rms_norm_has_unit_rms_whatever_the_scale)
{
    enum { N = 5, D = 48 };
    uint64_t state = 3;
    double *x = draw_many(&state, N * D), ones[D], y[N * D], z[N * D];
    for (int i = 0; i < D; i++)
        ones[i] = 1;
    struct qw_tensor *w = row_of(ones, D);
    qw_rms_norm(&qw_f64, y, x, w, 0, N, D);
    for (int r = 0; r < N; r++)
        expect_near(rms_of(y + r * D, D), 1, D * 0x1p-53, "rms");
    for (int i = 0; i < N * D; i++)
        x[i] *= 1024;
    qw_rms_norm(&qw_f64, z, x, w, 0, N, D);
    cr_assert_arr_eq(y, z, sizeof y, "a power of two cancels exactly");
    qw_tensor_free(w);
    free(x);
}

Test(ops, rms_norm_does_not_subtract_the_mean)
{
    const double x[] = {5, 5, 5, 5}, weight[] = {1, 1, 1, 1};
    double y[4];
    struct qw_tensor *w = row_of(weight, 4);
    qw_rms_norm(&qw_f64, y, x, w, 1e-6, 1, 4);
    expect_near(y[0], 1, 1e-7, "a constant row is kept, not cancelled");
    qw_tensor_free(w);
}

Test(ops, rms_norm_of_zeros_is_zero)
{
    const double x[] = {0, 0}, weight[] = {1, 1};
    double y[2];
    struct qw_tensor *w = row_of(weight, 2);
    qw_rms_norm(&qw_f32, y, x, w, 1e-6, 1, 2);
    cr_assert(y[0] == 0 && y[1] == 0);
    qw_tensor_free(w);
}

/* ---- rotary ---- */

Test(ops, rotary_angles_by_hand)
{
    const int64_t position[] = {0, 3, 100};
    for (int a = 0; a < 2; a++) {
        double c[12], s[12];
        qw_rotary_table(ariths[a], c, s, position, &(struct qw_rotary){.theta = 10000}, 3, 4);
        for (int r = 0; r < 3; r++) {
            double fast = (double)position[r], slow = (double)position[r] / 100; /* 10000^(-2/4) = 1/100 */
            double u = 4 * roundoff[a] * (1 + fast);
            expect_near(c[r * 4], cos(fast), u, "cos 0");
            expect_near(c[r * 4 + 1], cos(slow), u, "cos 1");
            expect_near(s[r * 4], sin(fast), u, "sin 0");
            expect_near(s[r * 4 + 1], sin(slow), u, "sin 1");
            for (int i = 0; i < 2; i++)
                cr_expect(c[r * 4 + i] == c[r * 4 + 2 + i] && s[r * 4 + i] == s[r * 4 + 2 + i], "the halves repeat");
        }
    }
}

/* Rotates a copy of x [D] to `position`; free with free(). */
static double *rotated(const struct qw_arith *arith, const double *x, int64_t position, double theta, int64_t D)
{
    double *y = qw_memdup(x, (size_t)D, sizeof *x), *c = QW_NEW_ARRAY(double, D), *s = QW_NEW_ARRAY(double, D);
    qw_rotary_table(arith, c, s, &position, &(struct qw_rotary){.theta = theta}, 1, D);
    qw_rotate(arith, y, c, s, &(struct qw_rotary){0}, 1, 1, D);
    free(c);
    free(s);
    return y;
}

Test(ops, rotary_pairs_dimension_i_with_i_plus_half)
{
    const double x[] = {1, 0, 0, 0};
    double *y = rotated(&qw_f64, x, 1, 10000, 4);
    expect_near(y[0], cos(1), 0x1p-52, "stays");
    expect_near(y[2], sin(1), 0x1p-52, "turns into the other half");
    cr_assert(y[1] == 0 && y[3] == 0, "not into its neighbour");
    free(y);
}

Test(ops, rotary_turns_the_second_half_back)
{
    const double x[] = {0, 0, 0, 1};
    double *y = rotated(&qw_f64, x, 1, 10000, 4);
    expect_near(y[1], -sin(0.01), 0x1p-52, "minus sine");
    expect_near(y[3], cos(0.01), 0x1p-52, "cosine");
    cr_assert(y[0] == 0 && y[2] == 0);
    free(y);
}

Test(ops, rotary_at_position_zero_changes_nothing)
{
    uint64_t state = 7;
    double *x = draw_many(&state, 64);
    for (int a = 0; a < 2; a++) {
        double *y = rotated(ariths[a], x, 0, 1e6, 64);
        cr_expect_arr_eq(y, x, 64 * sizeof *x);
        free(y);
    }
    free(x);
}

Test(ops, rotary_keeps_the_length_of_every_pair)
{
    enum { D = 64 };
    uint64_t state = 8;
    double *x = draw_many(&state, D);
    for (int64_t position = 1; position < 40000; position = position * 3 + 1) {
        double *y = rotated(&qw_f64, x, position, 1e6, D);
        for (int i = 0; i < D / 2; i++)
            expect_near(hypot(y[i], y[i + D / 2]), hypot(x[i], x[i + D / 2]), 8 * 0x1p-53, "pair");
        free(y);
    }
    free(x);
}

static double product_at(const double *q, int64_t at_q, const double *k, int64_t at_k, int64_t D)
{
    double *a = rotated(&qw_f64, q, at_q, 1e6, D), *b = rotated(&qw_f64, k, at_k, 1e6, D), sum = 0;
    for (int64_t i = 0; i < D; i++)
        sum += a[i] * b[i];
    free(a);
    free(b);
    return sum;
}

Test(ops, rotary_scores_depend_on_the_distance_alone)
{
    enum { D = 64 };
    uint64_t state = 9;
    double *q = draw_many(&state, D), *k = draw_many(&state, D);
    for (int64_t shift = 1; shift < 3000; shift *= 5) {
        double error = 4 * D * 0x1p-53 * (double)(20 + shift); /* angles up to 20 + shift, each rounded */
        expect_near(product_at(q, 17 + shift, k, 4 + shift, D), product_at(q, 17, k, 4, D), error, "shifted");
    }
    cr_assert_gt(fabs(product_at(q, 17, k, 4, D) - product_at(q, 17, k, 5, D)), 1e-3, "and on the distance it does depend");
    free(q);
    free(k);
}

Test(ops, rotate_serves_every_token_and_head)
{
    enum { TOKENS = 3, HEADS = 2, D = 4 };
    uint64_t state = 10;
    const int64_t position[] = {5, 0, 9};
    double *x = draw_many(&state, TOKENS * HEADS * D), *y = qw_memdup(x, TOKENS * HEADS * D, sizeof *x), c[TOKENS * D],
           s[TOKENS * D];
    qw_rotary_table(&qw_f64, c, s, position, &(struct qw_rotary){.theta = 100}, TOKENS, D);
    qw_rotate(&qw_f64, y, c, s, &(struct qw_rotary){0}, TOKENS, HEADS, D);
    for (int t = 0; t < TOKENS; t++)
        for (int h = 0; h < HEADS; h++) {
            double *alone = rotated(&qw_f64, x + (t * HEADS + h) * D, position[t], 100, D);
            cr_expect_arr_eq(y + (t * HEADS + h) * D, alone, D * sizeof *x, "token %d, head %d", t, h);
            free(alone);
        }
    free(x);
    free(y);
}

/* ---- attention ---- */

enum { Q = 4, S = 6, D = 8 };

struct scene {
    double *q, *k, *v;
    unsigned char visible[Q * S];
};

/* Q rows at the end of S keys, each of which sees what lies before it and itself. */
static struct scene causal_scene(uint64_t state)
{
    struct scene scene = {draw_many(&state, Q * D), draw_many(&state, S * D), draw_many(&state, S * D), {0}};
    for (int i = 0; i < Q; i++)
        for (int j = 0; j <= S - Q + i; j++)
            scene.visible[i * S + j] = 1;
    return scene;
}

static void scene_clear(struct scene *scene)
{
    free(scene->q);
    free(scene->k);
    free(scene->v);
}

static void attend(const struct qw_arith *arith, double *y, const struct scene *scene)
{
    qw_attend(arith, y, scene->q, scene->k, scene->v, scene->visible, &(struct qw_attention){.blind_row = QW_BLIND_UNIFORM}, Q, S,
              D);
}

Test(ops, attention_weights_by_hand)
{
    /* One query, two keys whose scores differ by 6 / sqrt(4) = 3: weights 1/(1+e^-3) and 1/(1+e^3). */
    const double q[] = {2, 0, 0, 0}, k[] = {4, 9, 9, 9, 1, 9, 9, 9}, v[] = {1, 0, 0, 0, 0, 1, 0, 0};
    const unsigned char visible[] = {1, 1};
    for (int a = 0; a < 2; a++) {
        double y[4];
        qw_attend(ariths[a], y, q, k, v, visible, &(struct qw_attention){.blind_row = QW_BLIND_UNIFORM}, 1, 2, 4);
        expect_near(y[0], 1 / (1 + exp(-3)), 6 * roundoff[a], "the nearer key");
        expect_near(y[1], 1 / (1 + exp(3)), 6 * roundoff[a], "the other");
        cr_expect(y[2] == 0 && y[3] == 0);
    }
}

Test(ops, rows_that_see_no_key)
{
    /* Three keys: the mean of the values, nothing, or as if nothing were hidden. */
    const double q[] = {2, 0}, k[] = {1, 0, 3, 0, -1, 5}, v[] = {1, 0, 0, 1, 4, 2};
    const unsigned char none[] = {0, 0, 0}, all[] = {1, 1, 1};
    for (int a = 0; a < 2; a++) {
        double uniform[2], zero[2], unmasked[2], seen[2];
        qw_attend(ariths[a], uniform, q, k, v, none, &(struct qw_attention){.blind_row = QW_BLIND_UNIFORM}, 1, 3, 2);
        qw_attend(ariths[a], zero, q, k, v, none, &(struct qw_attention){.blind_row = QW_BLIND_ZERO}, 1, 3, 2);
        qw_attend(ariths[a], unmasked, q, k, v, none, &(struct qw_attention){.blind_row = QW_BLIND_UNMASKED}, 1, 3, 2);
        qw_attend(ariths[a], seen, q, k, v, all, &(struct qw_attention){.blind_row = QW_BLIND_ZERO}, 1, 3, 2);
        expect_near(uniform[0], 5.0 / 3, 4 * roundoff[a], "the mean");
        expect_near(uniform[1], 1, 4 * roundoff[a], "the mean");
        cr_expect(zero[0] == 0 && zero[1] == 0);
        cr_expect_arr_eq(unmasked, seen, sizeof seen);
    }
}

Test(ops, scores_beside_the_least_float16_keep_eight_bits)
{
    /* In float32, 65504 leaves steps of 1/256: scores 1/512 apart may fall together, those 1/64 apart do not. */
    const double q[] = {1, 0}, k[] = {1, 0, 1 + 0x1p-10, 0, 1 + 0x1p-5, 0}, v[] = {1, 0, 0, 1, 0, 0};
    const unsigned char none[] = {0, 0, 0};
    double y[2], exact[2];
    const struct qw_attention sunk = {.fused = true, .blind_row = QW_BLIND_SUNK};
    qw_attend(&qw_f16, y, q, k, v, none, &sunk, 1, 3, 2);
    qw_attend(&qw_f64, exact, q, k, v, none, &sunk, 1, 3, 2);
    cr_expect_eq(y[0], y[1], "fallen together");
    cr_expect_lt(exact[0], exact[1], "in float64 nothing is lost");
    cr_expect_lt(y[0] + y[1], 2.0 / 3, "the third weighs more");
}

Test(ops, attention_is_causal)
{
    struct scene scene = causal_scene(11);
    double before[Q * D], after[Q * D];
    attend(&qw_f64, before, &scene);
    for (int j = S - 2; j < S; j++)
        for (int i = 0; i < D; i++) {
            scene.k[j * D + i] = 1e6 * (i + 1);
            scene.v[j * D + i] = -1e9;
        }
    attend(&qw_f64, after, &scene);
    cr_assert_arr_eq(before, after, sizeof *before * D * (Q - 2), "earlier rows know nothing of later keys");
    cr_assert_neq(before[(Q - 1) * D], after[(Q - 1) * D], "the last row does");
    scene_clear(&scene);
}

Test(ops, attention_ignores_hidden_keys)
{
    struct scene scene = causal_scene(12);
    double before[Q * D], after[Q * D];
    for (int i = 0; i < Q; i++)
        scene.visible[i * S + 1] = 0;
    attend(&qw_f64, before, &scene);
    for (int i = 0; i < D; i++)
        scene.k[D + i] = scene.v[D + i] = 123;
    attend(&qw_f64, after, &scene);
    cr_assert_arr_eq(before, after, sizeof before);
    scene_clear(&scene);
}

Test(ops, row_that_sees_one_key_is_its_value)
{
    struct scene scene = causal_scene(13);
    for (int i = 0; i < Q; i++)
        for (int j = 0; j < S; j++)
            scene.visible[i * S + j] = j == S - Q + i;
    for (int a = 0; a < 2; a++) {
        double y[Q * D];
        attend(ariths[a], y, &scene);
        cr_expect_arr_eq(y, scene.v + (S - Q) * D, sizeof y, "%s", ariths[a]->name);
    }
    scene_clear(&scene);
}

Test(ops, row_that_sees_nothing_sees_everything_equally)
{
    struct scene scene = causal_scene(14);
    memset(scene.visible, 0, sizeof scene.visible);
    for (int a = 0; a < 2; a++) {
        double y[Q * D];
        attend(ariths[a], y, &scene);
        for (int i = 0; i < D; i++) {
            double mean = 0;
            for (int j = 0; j < S; j++)
                mean += scene.v[j * D + i] / S;
            for (int r = 0; r < Q; r++)
                expect_near(y[r * D + i], mean, 4 * S * roundoff[a], "mean of all values");
        }
    }
    scene_clear(&scene);
}

Test(ops, equal_scores_average_what_is_visible)
{
    struct scene scene = causal_scene(15);
    double y[Q * D];
    memset(scene.q, 0, sizeof *scene.q * Q * D);
    attend(&qw_f64, y, &scene);
    for (int r = 0; r < Q; r++)
        for (int i = 0; i < D; i++) {
            int count = S - Q + r + 1;
            double mean = 0;
            for (int j = 0; j < count; j++)
                mean += scene.v[j * D + i] / count;
            expect_near(y[r * D + i], mean, 4 * S * 0x1p-53, "mean of the visible values");
        }
    scene_clear(&scene);
}

Test(ops, softmax_weights_sum_to_one)
{
    struct scene scene = causal_scene(16);
    for (int i = 0; i < S * D; i++)
        scene.v[i] = 1;
    for (int a = 0; a < 2; a++) {
        double y[Q * D];
        attend(ariths[a], y, &scene);
        for (int i = 0; i < Q * D; i++)
            expect_near(y[i], 1, 2 * S * roundoff[a], "sum of the weights");
    }
    scene_clear(&scene);
}

Test(ops, softmax_survives_large_scores)
{
    struct scene scene = causal_scene(17);
    double y[Q * D];
    for (int i = 0; i < Q * D; i++)
        scene.q[i] *= 1e5;
    attend(&qw_f32, y, &scene);
    for (int i = 0; i < Q * D; i++)
        cr_assert(isfinite(y[i]) && fabs(y[i]) <= 1 + 0x1p-20, "a mean of values within [-1,1]: %g", y[i]);
    scene_clear(&scene);
}

Test(ops, adding_the_same_score_to_all_keys_changes_nothing)
{
    struct scene scene = causal_scene(18);
    double before[Q * D], after[Q * D];
    attend(&qw_f64, before, &scene);
    for (int j = 0; j < S; j++)
        for (int i = 0; i < D; i++)
            scene.k[j * D + i] += 0.25 * (i + 1);
    attend(&qw_f64, after, &scene);
    cr_assert_leq(distance(after, before, Q * D), 64 * 0x1p-53);
    scene_clear(&scene);
}

/* ---- element by element ---- */

Test(ops, silu_by_its_properties)
{
    const double x[] = {0, 1, -1, 20, -20, 88, -88, 1000, -1000};
    enum { N = sizeof x / sizeof *x };
    for (int a = 0; a < 2; a++) {
        double y[N], u = 4 * roundoff[a];
        qw_silu(ariths[a], y, x, N);
        cr_expect_eq(y[0], 0);
        expect_near(y[1], 0.731058578630004879, u, "silu(1)");
        for (int i = 1; i + 1 < N; i += 2)
            expect_near(y[i] - y[i + 1], x[i], u * fabs(x[i]), "silu(x) - silu(-x) = x");
        cr_expect(y[7] == 1000 && y[8] == 0, "%g %g", y[7], y[8]);
    }
}

Test(ops, silu_has_its_least_value_near_minus_1_28)
{
    double x[2001], y[2001], least = 0;
    for (int i = 0; i < 2001; i++)
        x[i] = -4 + 0.004 * i;
    qw_silu(&qw_f64, y, x, 2001);
    int at = 0;
    for (int i = 0; i < 2001; i++)
        if (y[i] < least)
            least = y[at = i];
    expect_near(least, -0.27846454276107, 1e-5, "least value");
    expect_near(x[at], -1.27846454276107, 4e-3, "where it lies");
}

Test(ops, multiply_and_add_work_in_place_and_round)
{
    const double a[] = {1, 0x1p-24, 3}, b[] = {0x1p-24, 0x1p-24, -3};
    double y[3];
    qw_add(&qw_f64, y, a, b, 3);
    cr_assert(y[0] == 1 + 0x1p-24 && y[1] == 0x1p-23 && y[2] == 0);
    qw_add(&qw_f32, y, a, b, 3);
    cr_assert(y[0] == 1 && y[1] == 0x1p-23 && y[2] == 0, "float32 loses the small term");
    memcpy(y, a, sizeof y);
    qw_multiply(&qw_f32, y, y, b, 3);
    cr_assert(y[0] == 0x1p-24 && y[1] == 0x1p-48 && y[2] == -9);
}

/* ---- float32 against the definition ---- */

Test(ops, float32_play_is_float32_and_near)
{
    enum { N = 6, WIDTH = 64, F = 40 };
    uint64_t state = 20;
    double *x = draw_many(&state, N * WIDTH), t[N * WIDTH], s[N * WIDTH];
    struct qw_tensor *norm = drawn_tensor(&state, 0.3, 1, qw_shape_of(1, (int64_t)WIDTH));
    struct qw_tensor *w = drawn_tensor(&state, 1, 0, qw_shape_of(2, (int64_t)F, (int64_t)WIDTH));
    struct qw_tensor *b = drawn_tensor(&state, 1, 0, qw_shape_of(1, (int64_t)F));
    double bound = 4 * 0x1p-24 * sqrt(WIDTH);
    qw_rms_norm(&qw_f64, t, x, norm, 1e-6, N, WIDTH);
    qw_rms_norm(&qw_f32, s, x, norm, 1e-6, N, WIDTH);
    cr_expect(distance(s, t, N * WIDTH) <= bound && distance(s, t, N * WIDTH) > 0);
    for (int i = 0; i < N * WIDTH; i++)
        cr_assert_eq(s[i], (double)(float)s[i]);
    qw_linear(&qw_f64, t, x, w, b, N, WIDTH, F);
    qw_linear(&qw_f32, s, x, w, b, N, WIDTH, F);
    cr_expect(distance(s, t, N * F) <= bound && distance(s, t, N * F) > 0);
    for (int i = 0; i < N * F; i++)
        cr_assert_eq(s[i], (double)(float)s[i]);
    struct scene scene = causal_scene(21);
    attend(&qw_f64, t, &scene);
    attend(&qw_f32, s, &scene);
    cr_expect(distance(s, t, Q * D) <= bound && distance(s, t, Q * D) > 0);
    scene_clear(&scene);
    qw_tensor_free(norm);
    qw_tensor_free(w);
    qw_tensor_free(b);
    free(x);
}

/* A norm of float64 activations: its scale is rounded to float32, the product with the weight is not. */
Test(ops, mixed_norm_rounds_the_scaled_value_to_float32_and_multiplies_in_float64)
{
    enum { d = 3 };
    const double x[d] = {0.1, -0.7, 1.3}, weight[d] = {0.3, 1.7, -2.1};
    struct qw_tensor w = {QW_F64, qw_shape_of(1, (int64_t)d), (void *)(uintptr_t)weight, NULL};
    double mixed[d], exact[d];
    qw_rms_norm(&qw_f64_mixed, mixed, x, &w, 1e-6, 1, d);
    qw_rms_norm(&qw_f64, exact, x, &w, 1e-6, 1, d);
    for (int i = 0; i < d; i++) {
        double scaled = mixed[i] / weight[i];
        cr_expect_leq(fabs(scaled - (double)(float)scaled), 1e-15, "a float32 value times the weight");
        cr_expect(mixed[i] != exact[i] && fabs(mixed[i] - exact[i]) < 1e-6 * fabs(exact[i]));
    }
}
