/* Two recordings in memory, one of them changed by the test. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/pair.h"
#include "harness/compare/pair_values.h"
#include "harness/compare/tests/shipped.h"
#include "reference/base/memory.h"

struct pair_of {
    struct shipped a, b;
    struct qc_pair pair;
    struct qw_error error;
};

static void read_both(struct pair_of *two, const char *a, const char *b)
{
    *two = (struct pair_of){0};
    shipped_read(&two->a, a);
    shipped_read(&two->b, b);
}

static bool compare(struct pair_of *two)
{
    struct qc_selection all = qc_selection_all();
    qc_pair_clear(&two->pair);
    return qc_pair_make(&two->pair, &two->a.recording, &two->b.recording, &all, NULL, &two->error);
}

static void forget(struct pair_of *two)
{
    qc_pair_clear(&two->pair);
    shipped_clear(&two->a);
    shipped_clear(&two->b);
}

static const struct qc_pair_place *first_of(struct pair_of *two)
{
    cr_assert(compare(two), "%s", two->error.message);
    const struct qc_pair_place *first = qc_pair_first(&two->pair);
    cr_assert_not_null(first);
    return first;
}

Test(pair, of_one_run_is_equal_everywhere)
{
    struct pair_of two;
    read_both(&two, SHIPPED_PROMPT, SHIPPED_PROMPT);
    cr_assert(compare(&two));
    struct qc_pair_counts counts = qc_pair_count(&two.pair);
    cr_expect_null(qc_pair_first(&two.pair));
    cr_expect(counts.differ == 0 && counts.missing == 0 && counts.waived == 0 && counts.compared == two.pair.places);
    cr_expect(two.pair.groups == 0 && two.pair.unvalued == 0 && counts.compared > 250);
    forget(&two);
}

/* Every tensor of a step in turn: the smallest change is found at its place. */
Test(pair, a_change_is_found_at_its_place)
{
    static const char *const taps[] = {"model.layers.0.input_layernorm", "model.layers.2.mlp.down_proj", "model.norm", "lm_head"};
    struct pair_of two;
    read_both(&two, SHIPPED_PROMPT, SHIPPED_PROMPT);
    for (size_t i = 0; i < sizeof taps / sizeof *taps; i++) {
        float *values = shipped_floats(shipped_tap(&two.b, 3, taps[i])), kept = values[2];
        int layer;
        values[2] = nextafterf(kept, INFINITY);
        const struct qc_pair_place *first = first_of(&two);
        cr_expect_str_eq(first->site, qw_site_of_path(&layer, taps[i]));
        cr_expect(first->layer == layer && first->step == 3 && first->kind == QC_VALUE && first->difference.index == 2);
        cr_expect_eq(qc_pair_count(&two.pair).differ, 1);
        values[2] = kept;
    }
    forget(&two);
}

Test(pair, taps_follow_the_execution_order_of_a)
{
    struct pair_of two;
    read_both(&two, SHIPPED_PROMPT, SHIPPED_PROMPT);
    const char *early = "model.layers.0.self_attn.q_proj", *late = "model.layers.0.mlp.act_fn"; /* alphabetically the other way */
    shipped_floats(shipped_tap(&two.b, 0, early))[0] += 1;
    shipped_floats(shipped_tap(&two.b, 0, late))[0] += 1;
    cr_expect_str_eq(first_of(&two)->site, "self_attn.q_proj");
    forget(&two);
}

Test(pair, groups_hold_every_difference_once_and_span_neighbouring_steps)
{
    struct pair_of two;
    read_both(&two, SHIPPED_BARE, SHIPPED_PROMPT);
    cr_assert(compare(&two));
    int grouped = 0, longest = 0;
    for (int i = 0; i < two.pair.groups; i++) {
        const struct qc_pair_group *group = &two.pair.group[i];
        grouped += group->count;
        cr_expect(group->count >= 1 && group->count <= group->of);
        longest = group->last_step - group->first_step > longest ? group->last_step - group->first_step : longest;
    }
    cr_expect_eq(grouped, qc_pair_count(&two.pair).differ);
    cr_expect(longest == 4 && two.pair.groups < 20, "%d groups", two.pair.groups);
    forget(&two);
}

Test(pair, other_extents_are_another_model)
{
    struct pair_of two;
    read_both(&two, SHIPPED_PROMPT, "qwen1.5-prompt-tf4.41.2-peft0.12.0.h5");
    cr_expect(!compare(&two));
    cr_expect_eq(two.error.kind, QW_ERROR_UNSUPPORTED);
    cr_expect_not_null(strstr(two.error.message, "hidden_size 48 | 40"));
    forget(&two);
}

/* ---- values ---- */

static struct qw_tensor *floats(int64_t rows, const float *values)
{
    struct qw_shape shape = qw_shape_of(3, (int64_t)1, rows, (int64_t)2);
    struct qw_tensor *tensor = qw_tensor_make(QW_F32, &shape);
    memcpy(tensor->data, values, sizeof *values * (size_t)(2 * rows));
    return tensor;
}

static const float counting[] = {0, 1, 2, 3, 4, 5, 6, 7};

Test(pair_values, a_floor_forgives_up_to_the_multiple)
{
    float moved[8];
    struct qc_difference found;
    memcpy(moved, counting, sizeof moved);
    moved[3] += 1;
    struct qw_tensor *a = floats(4, counting), *b = floats(4, moved);
    cr_expect_eq(qc_pair_values(&found, a, b, 0), QC_PAIR_DIFFERENT);
    cr_expect(isinf(found.ratio) && found.index == 3 && found.expected == 3 && found.observed == 4 && found.max_abs == 1);
    cr_expect_eq(qc_pair_values(&found, a, b, 1 / QC_NOISE_MULTIPLE), QC_PAIR_EQUAL);
    cr_expect_eq(qc_pair_values(&found, a, b, 0.99 / QC_NOISE_MULTIPLE), QC_PAIR_DIFFERENT);
    qw_tensor_free(a);
    qw_tensor_free(b);
}

/* The digest of the data against one that was kept instead of it. */
Test(pair_values, data_is_held_against_statistics_by_its_digest)
{
    struct qc_difference found;
    struct qw_tensor *a = floats(4, counting), *b = qw_tensor_structure(QW_F32, &a->shape);
    cr_expect_eq(qc_pair_values(&found, a, b, 0), QC_PAIR_UNKNOWN, "neither values nor statistics");
    b->stats = QW_NEW(struct qw_stats);
    qw_sha256(b->stats->sha256, a->data, 8 * sizeof(float));
    cr_expect_eq(qc_pair_values(&found, a, b, 0), QC_PAIR_EQUAL);
    ((float *)a->data)[0] = 9;
    cr_expect_eq(qc_pair_values(&found, a, b, 0), QC_PAIR_DIFFERENT);
    cr_expect(isnan(found.max_abs) && found.index == -1, "how far apart the values are is not known");
    qw_tensor_free(a);
    qw_tensor_free(b);
}

Test(pair_values, statistics_without_digests_are_compared_as_numbers)
{
    struct qw_shape shape = qw_shape_of(1, (int64_t)4);
    struct qc_difference found;
    struct qw_tensor *a = qw_tensor_structure(QW_F32, &shape), *b = qw_tensor_structure(QW_F32, &shape);
    a->stats = QW_NEW(struct qw_stats);
    b->stats = QW_NEW(struct qw_stats);
    a->stats->rms = b->stats->rms = 2;
    cr_expect_eq(qc_pair_values(&found, a, b, 0), QC_PAIR_EQUAL);
    b->stats->nan = 1;
    cr_expect_eq(qc_pair_values(&found, a, b, 0), QC_PAIR_DIFFERENT);
    qw_tensor_free(a);
    qw_tensor_free(b);
}

static void common_rows(const struct qc_tap *a, const struct qc_tap *b, int64_t count, float first)
{
    struct qw_tensor *rows[2] = {NULL, NULL};
    qc_pair_common_rows(rows, a, b);
    cr_assert(rows[0] && rows[1]);
    cr_expect(rows[0]->shape.dim[1] == count && rows[1]->shape.dim[1] == count);
    for (int i = 0; i < 2; i++)
        cr_expect_eq(((float *)rows[i]->data)[0], first);
    qw_tensor_free(rows[0]);
    qw_tensor_free(rows[1]);
}

/* Logits of all four positions, of the last two, and of chosen ones. */
Test(pair_values, rows_are_matched_from_the_end)
{
    char path[] = "lm_head";
    int64_t chosen[] = {0, 2};
    const float of_chosen[] = {0, 1, 4, 5};
    struct qc_tap all = {.path = path, .tensor = floats(4, counting)}, last = {.path = path, .tensor = floats(2, counting + 4)};
    struct qc_tap some = {.path = path, .tensor = floats(2, of_chosen), .row = chosen, .rows = 2};
    struct qw_tensor *none[2] = {NULL, NULL};
    all.whole = some.whole = all.tensor->shape;
    common_rows(&all, &last, 2, 4);
    common_rows(&last, &all, 2, 4);
    common_rows(&all, &some, 2, 0);
    common_rows(&some, &last, 1, 4);
    qc_pair_common_rows(none, &all, &all);
    cr_expect(!none[0] && !none[1], "the same rows are left alone");
    qw_tensor_free(all.tensor);
    qw_tensor_free(last.tensor);
    qw_tensor_free(some.tensor);
}
