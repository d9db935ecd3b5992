/* What the taps of a pass see and may change, and how the arithmetics differ. */
#include "reference/model/forward.h"

#include "reference/model/tests/small.h"

static const int64_t prompt[] = {46, 40, 25, 69, 64, 14, 92, 3, 77, 51};
enum { N = sizeof prompt / sizeof *prompt };

static void expect_apart(const double *a, const double *b, int64_t count, const char *what)
{
    cr_expect_gt(distance(a, b, count), 1e-3, "%s: nothing changed", what);
}

/* ---- taps ---- */

static bool is_absent(enum qw_site site, enum qw_family family, bool tables)
{
    return !qw_site_in_family(site, family) || qw_site_rows[site].when == (tables ? QW_WHEN_ONCE : QW_WHEN_EACH);
}

static void expect_table_order(const struct play *play, enum qw_family family, bool tables)
{
    int at = 0;
    for (int layer = -1; layer <= 2; layer++)
        for (enum qw_site site = 0; site < QW_SITES; site++) {
            enum qw_place place = layer < 0 ? QW_HEAD : layer < 2 ? QW_BLOCK : QW_TAIL;
            if (qw_site_rows[site].place != place || is_absent(site, family, tables))
                continue;
            cr_assert_lt(at, play->count);
            cr_expect_eq((int)play->sight[at].site, (int)site, "%s instead of %s", qw_site_rows[play->sight[at].site].name,
                         qw_site_rows[site].name);
            cr_expect_eq(play->sight[at].layer, place == QW_BLOCK ? layer : -1);
            at++;
        }
    cr_expect_eq(at, play->count);
}

static void expect_table_shapes(const struct play *play)
{
    struct qw_letters letters = qw_letters_of(&play->model->config);
    letters.value['B'] = 2;
    letters.value['q'] = letters.value['r'] = 3;
    letters.value['S'] = 3;
    for (int i = 0; i < play->count; i++) {
        struct qw_shape wanted = qw_shape_from_letters(qw_site_rows[play->sight[i].site].shape, &letters);
        cr_expect(qw_shape_equal(&play->sight[i].shape, &wanted), "%s", qw_site_rows[play->sight[i].site].name);
    }
}

Test(taps, sites_are_seen_once_in_the_order_and_with_the_shapes_of_the_table)
{
    const struct qw_config *const configs[QW_FAMILIES] = {&small_config, &third_config, &first_config};
    const int64_t ids[] = {3, 1, 16, 5, 5, 2};
    for (enum qw_family family = 0; family < QW_FAMILIES; family++)
        for (int tables = 0; tables < 2; tables++) {
            struct qw_model model = model_of(configs[family], 13);
            struct play play = play_make(&model, &qw_f64, 2);
            play.rules.rotary_in_attention = tables;
            play_ids(&play, ids, 2, 3);
            expect_table_order(&play, family, tables);
            expect_table_shapes(&play);
            play_clear(&play);
            qw_model_clear(&model);
        }
}

Test(taps, rotary_tables_of_both_eras_give_the_same_play)
{
    struct qw_model model = read_model(TINY);
    const struct qw_arith *const ariths[] = {&qw_f64, &qw_f32};
    for (int a = 0; a < 2; a++) {
        struct play once = play_make(&model, ariths[a], 1), each = play_make(&model, ariths[a], 1);
        each.rules.rotary_in_attention = true;
        for (int step = 0; step < 2; step++) {
            play_ids(&once, prompt + step * 6, 1, step ? 1 : 6);
            play_ids(&each, prompt + step * 6, 1, step ? 1 : 6);
        }
        cr_expect_arr_eq(logits_of(&each), logits_of(&once), sizeof(double) * (size_t)model.config.vocab);
        const struct sight *table = find_sight(&each, QW_SITE_TABLE_COS, 0);
        cr_assert(table->shape.dim[0] == 7 && table->shape.dim[1] == 8, "rows for the whole cache, not for this call");
        cr_expect_arr_eq(table->value + 6 * 8, seen(&once, QW_SITE_ROTARY_COS, -1), 8 * sizeof(double));
        play_clear(&once);
        play_clear(&each);
    }
    qw_model_clear(&model);
}

/* Behind a block only its output and the cache of the later layers count: a play whose first output is replaced by that
 * of another play goes on as the other did. */
Test(taps, tap_replaces_a_value)
{
    struct qw_model model = read_model(TINY);
    const int64_t other[N] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    int64_t count = N * model.config.vocab;
    struct play a = play_make(&model, &qw_f64, 1), b = play_make(&model, &qw_f64, 1), mixed = play_make(&model, &qw_f64, 1);
    play_ids(&a, prompt, 1, N);
    play_ids(&b, other, 1, N);
    mixed.replaced_site = QW_SITE_OUTPUT;
    mixed.replaced_layer = 0;
    mixed.replacement = seen(&a, QW_SITE_OUTPUT, 0);
    play_ids(&mixed, other, 1, N);
    cr_assert_arr_eq(seen(&mixed, QW_SITE_DOWN_PROJ, 0), seen(&b, QW_SITE_DOWN_PROJ, 0), sizeof(double) * N * 48);
    cr_assert_arr_eq(logits_of(&mixed), logits_of(&a), sizeof(double) * (size_t)count);
    expect_apart(logits_of(&mixed), logits_of(&b), count, "logits");
    play_clear(&a);
    play_clear(&b);
    play_clear(&mixed);
    qw_model_clear(&model);
}

/* Each site of a block that is replaced must be read by what follows: none is a copy for show. */
Test(taps, every_tap_of_a_block_reaches_the_logits)
{
    struct qw_model model = small_model(15);
    const int64_t ids[] = {3, 1, 16};
    struct play plain = play_make(&model, &qw_f64, 1);
    uint64_t state = 77;
    double *other = draw_many(&state, 1000);
    play_ids(&plain, ids, 1, 3);
    for (int site = 0; site < QW_SITES; site++) {
        if (!find_sight(&plain, (enum qw_site)site, qw_site_rows[site].place == QW_BLOCK ? 0 : -1) || site == QW_SITE_LM_HEAD)
            continue;
        struct play changed = play_make(&model, &qw_f64, 1);
        changed.replaced_site = (enum qw_site)site;
        changed.replaced_layer = qw_site_rows[site].place == QW_BLOCK ? 0 : -1;
        changed.replacement = other;
        play_ids(&changed, ids, 1, 3);
        expect_apart(logits_of(&changed), logits_of(&plain), 3 * 17, qw_site_rows[site].name);
        play_clear(&changed);
    }
    free(other);
    play_clear(&plain);
    qw_model_clear(&model);
}

/* ---- arithmetics ---- */

/* Each block adds the rounding of its five kinds of sums; twice that for what passes through the norms. */
static double rounding_bound(const struct qw_config *c)
{
    return 2 * 0x1p-24 * (double)c->layers * (3 * sqrt((double)c->hidden) + sqrt((double)c->ffn) + sqrt((double)N));
}

Test(taps, float32_play_is_float32_and_differs_by_rounding_alone)
{
    struct qw_model model = read_model(TINY);
    struct play t = play_make(&model, &qw_f64, 1), s = play_make(&model, &qw_f32, 1);
    play_ids(&t, prompt, 1, N);
    play_ids(&s, prompt, 1, N);
    double bound = rounding_bound(&model.config);
    cr_assert_eq(s.count, t.count);
    for (int i = 0; i < s.count; i++) {
        int64_t count = qw_shape_count(&s.sight[i].shape);
        double far = distance(s.sight[i].value, t.sight[i].value, count);
        cr_expect_leq(far, bound, "%s of layer %d", qw_site_rows[s.sight[i].site].name, s.sight[i].layer);
        cr_expect_eq(far > 0, s.sight[i].site != QW_SITE_EMBED, "%s", qw_site_rows[s.sight[i].site].name);
        for (int64_t k = 0; k < count; k++)
            cr_assert_eq(s.sight[i].value[k], (double)(float)s.sight[i].value[k]);
    }
    play_clear(&t);
    play_clear(&s);
    qw_model_clear(&model);
}

/* Each seed is one more sample of the same noise: another play, at most twice as far from the truth as rounding
 * alone may be (the shake doubles it). */
Test(taps, dithered_plays_differ_by_rounding_alone)
{
    struct qw_model model = read_model(TINY);
    int64_t count = N * model.config.vocab;
    struct play t = play_make(&model, &qw_f64, 1), s = play_make(&model, &qw_f32, 1);
    play_ids(&t, prompt, 1, N);
    play_ids(&s, prompt, 1, N);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t state = seed, twin = seed;
        struct qw_arith shaken = qw_arith_dithered(&qw_f32, QW_F32, &state), again = qw_arith_dithered(&qw_f32, QW_F32, &twin);
        struct play a = play_make(&model, &shaken, 1), b = play_make(&model, &again, 1);
        play_ids(&a, prompt, 1, N);
        play_ids(&b, prompt, 1, N);
        cr_assert_arr_eq(logits_of(&a), logits_of(&b), sizeof(double) * (size_t)count);
        double far = distance(logits_of(&a), logits_of(&t), count);
        cr_expect(far > 0 && far <= 2 * rounding_bound(&model.config), "seed %llu: %g", (unsigned long long)seed, far);
        cr_expect_gt(distance(logits_of(&a), logits_of(&s), count), 0);
        cr_expect_arr_eq(seen(&a, QW_SITE_EMBED, -1), seen(&t, QW_SITE_EMBED, -1), sizeof(double) * N * 48,
                         "copies are not shaken");
        play_clear(&a);
        play_clear(&b);
    }
    play_clear(&t);
    play_clear(&s);
    qw_model_clear(&model);
}

Test(taps, plays_are_repeatable_to_the_bit)
{
    struct qw_model model = read_model("fixtures/models/qwen1.5-tiny");
    const struct qw_arith *const ariths[] = {&qw_f64, &qw_f32};
    for (int a = 0; a < 2; a++) {
        struct play first = play_make(&model, ariths[a], 1), again = play_make(&model, ariths[a], 1);
        play_ids(&first, prompt, 1, N);
        play_ids(&again, prompt, 1, N);
        for (int i = 0; i < first.count; i++)
            cr_assert_arr_eq(first.sight[i].value, again.sight[i].value,
                             sizeof(double) * (size_t)qw_shape_count(&first.sight[i].shape));
        play_clear(&first);
        play_clear(&again);
    }
    qw_model_clear(&model);
}
