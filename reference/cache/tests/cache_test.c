/* The cache: rows are copied in, joined behind the others, and keep what they are. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "reference/cache/cache.h"

/* A value that tells from which batch row, head, sequence row and dimension it is. */
static double tagged(int64_t b, int64_t h, int64_t s, int64_t i) { return (double)(1000 * b + 100 * h + 10 * s + i); }

enum { B = 2, HEADS = 3, D = 4 };

/* [B,HEADS,rows,D] */
static double *head_major(int64_t rows)
{
    double *out = malloc(sizeof *out * (size_t)(B * HEADS * rows * D)), *at = out;
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < HEADS; h++)
            for (int64_t s = 0; s < rows; s++)
                for (int64_t i = 0; i < D; i++)
                    *at++ = tagged(b, h, s, i);
    return out;
}

/* [B,rows,HEADS,D], of sequence rows from `first` on */
static double *token_major(int64_t first, int64_t rows)
{
    double *out = malloc(sizeof *out * (size_t)(B * HEADS * rows * D)), *at = out;
    for (int64_t b = 0; b < B; b++)
        for (int64_t s = first; s < first + rows; s++)
            for (int64_t h = 0; h < HEADS; h++)
                for (int64_t i = 0; i < D; i++)
                    *at++ = tagged(b, h, s, i);
    return out;
}

static void append(struct qw_cache *cache, int64_t layer, int64_t first, int64_t rows)
{
    double *key = token_major(first, rows), *value = token_major(first, rows);
    for (int64_t i = 0; i < B * HEADS * rows * D; i++)
        value[i] = -value[i];
    qw_cache_append(cache, layer, key, value, rows, HEADS, D);
    free(key);
    free(value);
}

static void expect_rows(const struct qw_cache *cache, int64_t layer, int64_t rows)
{
    const struct qw_cache_layer *held = &cache->layer[layer];
    cr_assert(held->heads == HEADS && held->length == rows && held->head_size == D);
    double *wanted = head_major(rows);
    for (int64_t i = 0; i < B * HEADS * rows * D; i++) {
        cr_assert_eq(held->key[i], wanted[i], "key %lld", (long long)i);
        cr_assert_eq(held->value[i], -wanted[i], "value %lld", (long long)i);
    }
    free(wanted);
}

Test(cache, kinds_have_the_classes_names)
{
    static const char *const names[] = {"NoneType", "tuple", "DynamicCache", "StaticCache", "EncoderDecoderCache"};
    for (int i = 0; i < QW_CACHE_KINDS; i++) {
        enum qw_cache_kind kind = QW_CACHE_KINDS;
        cr_expect_str_eq(qw_cache_kind_name((enum qw_cache_kind)i), names[i]);
        cr_expect(qw_cache_kind_from_name(&kind, names[i]) && kind == (enum qw_cache_kind)i);
    }
    enum qw_cache_kind none;
    cr_assert_not(qw_cache_kind_from_name(&none, "QuantizedCache"));
    cr_assert_not(qw_cache_kind_from_name(&none, ""));
}

Test(cache, begins_empty)
{
    struct qw_cache cache = qw_cache_make(3, B);
    cr_assert(cache.layers == 3 && cache.batch == B && cache.origins == 0);
    cr_assert_eq(qw_cache_length(&cache), 0);
    for (int64_t layer = 0; layer < 3; layer++) {
        cr_assert(cache.layer[layer].length == 0 && cache.layer[layer].key == NULL);
        cr_assert(qw_cache_joins(&cache, layer, 7, 9), "anything joins an empty layer");
    }
    qw_cache_clear(&cache);
    cr_assert_eq(qw_cache_length(&cache), 0);
}

Test(cache, append_turns_tokens_into_heads)
{
    struct qw_cache cache = qw_cache_make(2, B);
    append(&cache, 0, 0, 5);
    expect_rows(&cache, 0, 5);
    cr_assert_eq(cache.layer[1].length, 0, "layers are separate");
    qw_cache_clear(&cache);
}

Test(cache, append_joins_along_the_sequence)
{
    struct qw_cache cache = qw_cache_make(1, B);
    append(&cache, 0, 0, 3);
    append(&cache, 0, 3, 1);
    append(&cache, 0, 4, 2);
    expect_rows(&cache, 0, 6);
    cr_assert_eq(qw_cache_length(&cache), 6);
    qw_cache_clear(&cache);
}

Test(cache, append_joins_behind_a_fill)
{
    struct qw_cache cache = qw_cache_make(1, B);
    double *key = head_major(4), *value = head_major(4);
    for (int64_t i = 0; i < B * HEADS * 4 * D; i++)
        value[i] = -value[i];
    qw_cache_fill(&cache, 0, key, value, HEADS, 4, D);
    memset(key, 0, sizeof *key * B * HEADS * 4 * D);
    memset(value, 0, sizeof *value * B * HEADS * 4 * D);
    free(key);
    free(value);
    expect_rows(&cache, 0, 4);
    append(&cache, 0, 4, 2);
    expect_rows(&cache, 0, 6);
    qw_cache_clear(&cache);
}

Test(cache, structure_without_values_has_extents)
{
    struct qw_cache cache = qw_cache_make(1, B);
    qw_cache_fill(&cache, 0, NULL, NULL, 14, 20, 64);
    cr_assert_eq(qw_cache_length(&cache), 20);
    cr_assert(cache.layer[0].heads == 14 && cache.layer[0].head_size == 64);
    cr_assert(cache.layer[0].key == NULL && cache.layer[0].value == NULL);
    qw_cache_clear(&cache);
}

Test(cache, only_rows_of_the_same_heads_and_size_join)
{
    struct qw_cache cache = qw_cache_make(1, B);
    append(&cache, 0, 0, 2);
    cr_assert(qw_cache_joins(&cache, 0, HEADS, D));
    cr_assert_not(qw_cache_joins(&cache, 0, HEADS + 1, D));
    cr_assert_not(qw_cache_joins(&cache, 0, HEADS, 2 * D));
    cr_assert_not(qw_cache_joins(&cache, 0, D, HEADS), "exchanged extents");
    qw_cache_clear(&cache);
}

Test(cache, reset_empties_and_is_usable_again)
{
    struct qw_cache cache = qw_cache_make(2, B);
    append(&cache, 0, 0, 2);
    append(&cache, 1, 0, 2);
    qw_cache_mark(&cache, QW_FROM_PROMPT, 2);
    qw_cache_reset(&cache);
    cr_assert_eq(qw_cache_length(&cache), 0);
    cr_assert(cache.layer[1].length == 0 && cache.origins == 0);
    append(&cache, 0, 0, 3);
    qw_cache_mark(&cache, QW_FROM_GENERATED, 1);
    expect_rows(&cache, 0, 3);
    cr_assert(cache.origins == 1 && cache.origin[0] == QW_FROM_GENERATED);
    qw_cache_clear(&cache);
}

Test(cache, marks_are_kept_in_order)
{
    struct qw_cache cache = qw_cache_make(1, B);
    qw_cache_mark(&cache, QW_FROM_VIRTUAL, 2);
    qw_cache_mark(&cache, QW_FROM_PROMPT, 0);
    qw_cache_mark(&cache, QW_FROM_PROMPT, 3);
    qw_cache_mark(&cache, QW_FROM_GENERATED, 1);
    const enum qw_origin wanted[] = {QW_FROM_VIRTUAL, QW_FROM_VIRTUAL, QW_FROM_PROMPT,
                                     QW_FROM_PROMPT,  QW_FROM_PROMPT,  QW_FROM_GENERATED};
    cr_assert_eq(cache.origins, 6);
    cr_assert_arr_eq(cache.origin, wanted, sizeof wanted);
    qw_cache_clear(&cache);
}
