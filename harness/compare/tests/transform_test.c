/* The search for the rearrangement under which a tensor is the expected one. */
#include "harness/compare/transform.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { L = 3, B = 2, K = 6, S = 5, D = 8 };

static const struct qw_letters letters = {.value = {['K'] = K, ['D'] = D, ['H'] = K}};

/* `shape` with distinct elements, and the same with place i of `axis` taken from place from[i]; -1: something else stands there. */
static struct qw_tensor *moved(double **expected, const struct qw_shape *shape, int axis, const int *from)
{
    int64_t count = qw_shape_count(shape), inner = 1, n = shape->dim[axis];
    struct qw_tensor *tensor = qw_tensor_make(QW_F64, shape);
    *expected = malloc(sizeof **expected * (size_t)count);
    for (int i = axis + 1; i < shape->rank; i++)
        inner *= shape->dim[i];
    for (int64_t at = 0; at < count; at++)
        (*expected)[at] = (double)at + 0.5;
    for (int64_t at = 0; at < count; at++) {
        int64_t place = at / inner % n, source = from[place];
        ((double *)tensor->data)[at] = source < 0 ? -1 : (*expected)[at + (source - place) * inner];
    }
    return tensor;
}

static void expect(const struct qw_shape *shape, const char *axes, int axis, const int *from, const char *id, int64_t amount,
                   const char *index)
{
    double *expected;
    struct qc_transform found;
    struct qw_tensor *tensor = moved(&expected, shape, axis, from);
    bool there = qc_transform_find(&found, tensor, expected, shape, axes, &letters, 0);
    cr_assert_eq(there, id != NULL, "%s", id ? id : found.id);
    if (id) {
        cr_expect_str_eq(found.id, id);
        cr_expect_eq(found.amount, amount, "%s: %d", id, (int)found.amount);
        cr_expect_str_eq(found.index, index);
        char *text = qc_transform_text(&found);
        cr_expect(!strchr(text, '{') && strstr(text, index), "%s", text);
        free(text);
    }
    ((double *)tensor->data)[0] += 0.25;
    ((double *)tensor->data)[qw_shape_count(shape) - 1] += 0.25;
    cr_expect_not(qc_transform_find(&found, tensor, expected, shape, axes, &letters, 0), "%s: one element differs", id);
    free(expected);
    qw_tensor_free(tensor);
}

Test(transform, each_row_is_found_by_its_own_rearrangement)
{
    struct qw_shape cache = qw_shape_of(4, (int64_t)B, (int64_t)K, (int64_t)S, (int64_t)D);
    struct qw_shape prefix = qw_shape_of(6, (int64_t)L, (int64_t)2, (int64_t)B, (int64_t)K, (int64_t)S, (int64_t)D);
    const char *in_cache = "B K S D", *in_prefix = "L 2 B K P D";
    expect(&cache, in_cache, 2, (const int[]){4, 3, 2, 1, 0}, "tokens-reversed", 1, "recorded[b,k,s,d] = expected[b,k,4 - s,d]");
    expect(&cache, in_cache, 2, (const int[]){4, 0, 1, 2, 3}, "tokens-rotated", 1, "recorded[b,k,s,d] = expected[b,k,s - 1,d]");
    expect(&cache, in_cache, 2, (const int[]){2, 3, 4, 0, 1}, "tokens-rotated", -2, "recorded[b,k,s,d] = expected[b,k,s + 2,d]");
    expect(&cache, in_cache, 1, (const int[]){0, 3, 1, 4, 2, 5}, "heads-interleaved", 2,
           "recorded[b,k,s,d] = expected[b,k % 2 * 3 + k / 2,s,d]");
    expect(&cache, in_cache, 1, (const int[]){0, 2, 4, 1, 3, 5}, "heads-interleaved", 3,
           "recorded[b,k,s,d] = expected[b,k % 3 * 2 + k / 3,s,d]");
    expect(&cache, in_cache, 1, (const int[]){5, 4, 3, 2, 1, 0}, "heads-reversed", 1, "recorded[b,k,s,d] = expected[b,5 - k,s,d]");
    expect(&cache, in_cache, 3, (const int[]){0, 4, 1, 5, 2, 6, 3, 7}, "rotary-interleaved", 2,
           "recorded[b,k,s,d] = expected[b,k,s,d % 2 * 4 + d / 2]");
    expect(&cache, in_cache, 3, (const int[]){0, 2, 4, 6, 1, 3, 5, 7}, "rotary-interleaved", 4,
           "recorded[b,k,s,d] = expected[b,k,s,d % 4 * 2 + d / 4]");
    expect(&cache, in_cache, 3, (const int[]){4, 5, 6, 7, 0, 1, 2, 3}, "head-rotated", 4,
           "recorded[b,k,s,d] = expected[b,k,s,d - 4]");
    expect(&prefix, in_prefix, 1, (const int[]){1, 0}, "key-value-swapped", 1, "recorded[l,v,b,k,p,d] = expected[l,1 - v,b,k,p,d]");
    expect(&prefix, in_prefix, 0, (const int[]){2, 1, 0}, "layers-reversed", 1, "recorded[l,v,b,k,p,d] = expected[2 - l,v,b,k,p,d]");
    expect(&prefix, in_prefix, 0, (const int[]){1, 2, 0}, "layers-rotated", -1, "recorded[l,v,b,k,p,d] = expected[l + 1,v,b,k,p,d]");
}

Test(transform, shift_loses_rows_at_one_end)
{
    struct qw_shape shape = qw_shape_of(4, (int64_t)B, (int64_t)K, (int64_t)S, (int64_t)D);
    double *expected;
    struct qc_transform found;
    const int behind[] = {-1, -1, 0, 1, 2}, far[] = {-1, -1, -1, 0, 1};
    struct qw_tensor *tensor = moved(&expected, &shape, 2, behind);
    cr_assert(qc_transform_find(&found, tensor, expected, &shape, "B K S D", NULL, 0));
    cr_expect(!strcmp(found.id, "tokens-shifted") && found.amount == 2, "%s", found.id);
    free(expected);
    qw_tensor_free(tensor);
    tensor = moved(&expected, &shape, 2, far);
    cr_expect_not(qc_transform_find(&found, tensor, expected, &shape, "B K S D", NULL, 0), "less than half of the rows speaks");
    free(expected);
    qw_tensor_free(tensor);
}

Test(transform, heads_are_found_within_a_joint_axis)
{
    struct qw_shape joint = qw_shape_of(3, (int64_t)B, (int64_t)S, (int64_t)(K * D));
    int from[K * D];
    for (int i = 0; i < K * D; i++)
        from[i] = (K - 1 - i / D) * D + i % D;
    expect(&joint, "B q KD", 2, from, "heads-reversed", 1, "recorded[b,q,k,d] = expected[b,q,5 - k,d]");
}

Test(transform, expected_order_and_other_values_are_no_finding)
{
    struct qw_shape shape = qw_shape_of(4, (int64_t)B, (int64_t)K, (int64_t)S, (int64_t)D);
    expect(&shape, "B K S D", 2, (const int[]){0, 1, 2, 3, 4}, NULL, 0, NULL);
    expect(&shape, "B K S D", 2, (const int[]){1, 0, 2, 3, 4}, NULL, 0, NULL);
    expect(&shape, "B d q x", 1, (const int[]){5, 4, 3, 2, 1, 0}, NULL, 0, NULL);
}

/* Tokens and heads hold the same numbers, so that a reversal of either gives the same tensor. */
Test(transform, what_fits_in_two_ways_proves_nothing)
{
    enum { N = 3 };
    struct qw_shape shape = qw_shape_of(4, (int64_t)1, (int64_t)N, (int64_t)N, (int64_t)1);
    struct qw_tensor *tensor = qw_tensor_make(QW_F64, &shape);
    double expected[N * N];
    struct qc_transform found;
    for (int i = 0; i < N * N; i++) {
        expected[i] = i / N - i % N;
        ((double *)tensor->data)[i] = -expected[i];
    }
    ((double *)tensor->data)[0] = expected[0] = 0;
    cr_expect_not(qc_transform_find(&found, tensor, expected, &shape, "B S P D", NULL, 0));
    cr_expect_null(found.id);
    qw_tensor_free(tensor);
}

Test(transform, computed_data_may_miss_by_the_bound)
{
    struct qw_shape shape = qw_shape_of(2, (int64_t)S, (int64_t)D);
    double *expected;
    struct qc_transform found;
    struct qw_tensor *tensor = moved(&expected, &shape, 0, (const int[]){4, 3, 2, 1, 0});
    for (int i = 0; i < S * D; i++)
        ((double *)tensor->data)[i] += i % 2 ? 1e-6 : -1e-6;
    cr_expect_not(qc_transform_find(&found, tensor, expected, &shape, "S D", NULL, 0));
    cr_expect_not(qc_transform_find(&found, tensor, expected, &shape, "S D", NULL, 9e-7));
    cr_expect(qc_transform_find(&found, tensor, expected, &shape, "S D", NULL, 2e-6));
    free(expected);
    qw_tensor_free(tensor);
}

/* ---- another place of the cache ---- */

static struct qw_cache numbered_cache(double *storage)
{
    struct qw_cache cache = qw_cache_make(L, B);
    int64_t half = B * K * S * D;
    for (int64_t i = 0; i < 2 * L * half; i++)
        storage[i] = (double)i;
    for (int64_t layer = 0; layer < L; layer++)
        qw_cache_fill(&cache, layer, storage + 2 * layer * half, storage + (2 * layer + 1) * half, K, S, D);
    return cache;
}

Test(transform, another_half_or_layer_is_recognised)
{
    static double storage[2 * L * B * K * S * D];
    struct qw_cache cache = numbered_cache(storage);
    struct qw_shape shape = qw_shape_of(4, (int64_t)B, (int64_t)K, (int64_t)S, (int64_t)D);
    struct qw_tensor value_of_1 = {QW_F64, shape, storage + 3 * B * K * S * D, NULL};
    struct qc_transform found;
    cr_assert(qc_transform_find_other(&found, &value_of_1, &cache, 1, false, 0));
    cr_expect_str_eq(found.id, "other-half");
    cr_assert(qc_transform_find_other(&found, &value_of_1, &cache, 2, true, 0));
    cr_expect_str_eq(found.id, "other-layer");
    cr_expect_str_eq(found.index, "recorded value of layer 2 = expected value of layer 1");
    cr_expect_not(qc_transform_find_other(&found, &value_of_1, &cache, 1, true, 0), "it is where it belongs");
    memcpy(cache.layer[0].key, value_of_1.data, sizeof(double) * B * K * S * D);
    cr_expect_not(qc_transform_find_other(&found, &value_of_1, &cache, 2, true, 0), "two places hold it");
    qw_cache_clear(&cache);
}
