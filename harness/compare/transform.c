/* Invariant: a transform is reported only when it is the only one, and the expected order does not fit. */
#include "harness/compare/transform.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"

enum map { REVERSED, ROTATED, INTERLEAVED, SHIFTED };

static const struct row {
    const char *id, *letters;
    enum map map;
    const char *words;
} rows[] = {
#define TRANSFORM(id, letters, map, words) {id, letters, map, words},
#include "harness/compare/transforms.def"
#undef TRANSFORM
};

#define ROWS     ((int)(sizeof rows / sizeof *rows))
#define MOST     32 /* amounts that are tried on an axis, both ways */
#define MAX_AXES 12

/* Place of what is expected from which place `i` of `n` comes; outside 0 .. n - 1 when it comes from nowhere. */
static int64_t source(enum map map, int64_t i, int64_t n, int64_t amount)
{
    switch (map) {
    case REVERSED: return n - 1 - i;
    case ROTATED: return (i - amount % n + n) % n;
    case INTERLEAVED: return i % amount * (n / amount) + i / amount;
    case SHIFTED: break;
    }
    return i - amount;
}

/* Whether the map is tried with this amount on an axis of n. */
static bool is_tried(enum map map, int64_t n, int64_t amount)
{
    switch (map) {
    case REVERSED: return amount == 1;
    case ROTATED: return amount != 0 && 2 * llabs(amount) <= n && (amount > 0 || 2 * amount != -n);
    case INTERLEAVED: return amount > 1 && amount < n && n % amount == 0;
    case SHIFTED: break;
    }
    return amount != 0 && 2 * llabs(amount) <= n;
}

/* ---- axes ---- */

struct axes {
    int count;
    char letter[MAX_AXES];
    int64_t extent[MAX_AXES];
};

/* One axis of the tensor, taken apart into those of its letters where their extents are known and make it up. */
static void add_axis(struct axes *axes, const char *word, int64_t extent, const struct qw_letters *letters)
{
    int64_t product = 1;
    size_t length = strcspn(word, " ");
    for (size_t i = 0; i < length && letters; i++)
        product *= letters->value[(unsigned char)word[i] & 127];
    bool apart = length > 1 && letters && product == extent && axes->count + (int)length <= MAX_AXES;
    for (size_t i = 0; i < (apart ? length : 1) && axes->count < MAX_AXES; i++) {
        axes->letter[axes->count] = word[i];
        if (length > 1 && !apart)
            axes->letter[axes->count] = '?';
        axes->extent[axes->count++] = apart ? letters->value[(unsigned char)word[i] & 127] : extent;
    }
}

static struct axes axes_of(const struct qw_shape *shape, const char *words, const struct qw_letters *letters)
{
    struct axes axes = {0};
    for (int i = 0; i < shape->rank && *words; i++) {
        add_axis(&axes, words, shape->dim[i], letters);
        words += strcspn(words, " ");
        words += *words == ' ';
    }
    return axes;
}

/* ---- the search ---- */

struct search {
    const double *recorded, *expected;
    int64_t outer, n, inner; /* the axis that is moved, what lies before it and behind it */
    double bound;
};

static bool row_agrees(const struct search *search, const double *recorded, const double *expected)
{
    for (int64_t k = 0; k < search->inner; k++)
        if (!(fabs(recorded[k] - expected[k]) <= search->bound))
            return false;
    return true;
}

static bool agrees(const struct search *search, enum map map, int64_t amount)
{
    for (int64_t o = 0; o < search->outer; o++)
        for (int64_t i = 0; i < search->n; i++) {
            int64_t from = source(map, i, search->n, amount);
            if (from >= 0 && from < search->n &&
                !row_agrees(search, search->recorded + (o * search->n + i) * search->inner,
                            search->expected + (o * search->n + from) * search->inner))
                return false;
        }
    return true;
}

static bool as_expected(const struct search *search, int64_t count)
{
    struct search whole = {search->recorded, search->expected, 1, 1, count, search->bound};
    return agrees(&whole, REVERSED, 1);
}

struct match {
    const struct row *row;
    int axis;
    int64_t amount, n;
};

/* Whether two matches move the same elements to the same places. */
static bool is_same(const struct match *a, const struct match *b)
{
    if (a->axis != b->axis)
        return false;
    for (int64_t i = 0; i < a->n; i++)
        if (source(a->row->map, i, a->n, a->amount) != source(b->row->map, i, b->n, b->amount))
            return false;
    return true;
}

/* Tries the row on the axis; false when it fits and something else does too. */
static bool try_row(struct match *match, struct search *search, const struct row *row, const struct axes *axes, int axis)
{
    if (!strchr(row->letters, axes->letter[axis]) || axes->extent[axis] < 2)
        return true;
    search->n = axes->extent[axis];
    search->outer = search->inner = 1;
    for (int i = 0; i < axes->count; i++)
        *(i < axis ? &search->outer : &search->inner) *= i == axis ? 1 : axes->extent[i];
    for (int64_t amount = -MOST; amount <= MOST; amount++) {
        struct match one = {row, axis, amount, search->n};
        if (!is_tried(row->map, search->n, amount) || !agrees(search, row->map, amount))
            continue;
        if (match->row && !is_same(match, &one))
            return false;
        if (!match->row)
            *match = one;
    }
    return true;
}

/* The letter of an axis as an index; key or value is v. */
static char index_of(char letter)
{
    static const char small[] = "abcdefghijklmnopqrstuvwxyz";
    if (letter == '2')
        return 'v';
    if (letter >= 'A' && letter <= 'Z')
        return small[letter - 'A'];
    return letter;
}

static void describe(struct qc_transform *found, const struct match *match, const struct axes *axes)
{
    char from[32], names[MAX_AXES * 3 + 1] = "", sources[MAX_AXES * 3 + 32] = "";
    char letter = index_of(axes->letter[match->axis]);
    long long amount = (long long)match->amount, n = (long long)match->n;
    switch (match->row->map) {
    case REVERSED: snprintf(from, sizeof from, "%lld - %c", n - 1, letter); break;
    case INTERLEAVED:
        snprintf(from, sizeof from, "%c %% %lld * %lld + %c / %lld", letter, amount, n / amount, letter, amount);
        break;
    case ROTATED:
    case SHIFTED: snprintf(from, sizeof from, "%c %c %lld", letter, amount < 0 ? '+' : '-', llabs(amount)); break;
    }
    for (int i = 0; i < axes->count; i++) {
        char name[2] = {index_of(axes->letter[i]), 0};
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? "," : "", name);
        snprintf(sources + strlen(sources), sizeof sources - strlen(sources), "%s%s", i ? "," : "",
                 i == match->axis ? from : name);
    }
    *found = (struct qc_transform){.id = match->row->id, .words = match->row->words, .amount = match->amount};
    snprintf(found->index, sizeof found->index, "recorded[%s] = expected[%s]", names, sources);
}

bool qc_transform_find(struct qc_transform *found, const struct qw_tensor *recorded, const double *expected,
                       const struct qw_shape *shape, const char *words, const struct qw_letters *letters, double bound)
{
    *found = (struct qc_transform){0};
    int64_t count = qw_shape_count(shape);
    if (!recorded->data || !expected || !qw_shape_equal(&recorded->shape, shape) || count == 0)
        return false;
    struct axes axes = axes_of(shape, words, letters);
    double *values = qw_tensor_doubles(recorded);
    struct search search = {values, expected, 0, 0, 0, bound};
    struct match match = {0};
    bool only = !as_expected(&search, count);
    for (int r = 0; r < ROWS && only; r++)
        for (int axis = 0; axis < axes.count && only && !(match.row && rows[r].map == SHIFTED); axis++)
            only = try_row(&match, &search, &rows[r], &axes, axis);
    free(values);
    if (!only || !match.row)
        return false;
    describe(found, &match, &axes);
    return true;
}

/* ---- another place of the cache ---- */

bool qc_transform_find_other(struct qc_transform *found, const struct qw_tensor *recorded, const struct qw_cache *cache,
                             int layer, bool value, double bound)
{
    *found = (struct qc_transform){0};
    int matches = 0;
    double *values = recorded->data ? qw_tensor_doubles(recorded) : NULL;
    for (int other = 0; values && other < 2 * cache->layers; other++) {
        const struct qw_cache_layer *held = &cache->layer[other / 2];
        struct qw_shape shape = qw_shape_of(4, cache->batch, held->heads, held->length, held->head_size);
        struct search search = {values, other % 2 ? held->value : held->key, 0, 0, 0, bound};
        if (!search.expected || !qw_shape_equal(&recorded->shape, &shape) || !as_expected(&search, qw_shape_count(&shape)))
            continue;
        bool same_layer = other / 2 == layer;
        matches += same_layer && (other % 2) == value ? 2 : 1; /* it is what it should be */
        *found = (struct qc_transform){.id = same_layer ? "other-half" : "other-layer",
                                       .words = same_layer ? "keys stand where values belong, or the reverse"
                                                           : "they belong to another layer",
                                       .amount = other / 2};
        snprintf(found->index, sizeof found->index, "recorded %s of layer %d = expected %s of layer %d", value ? "value" : "key",
                 layer, other % 2 ? "value" : "key", other / 2);
    }
    free(values);
    if (matches != 1)
        *found = (struct qc_transform){0};
    return matches == 1;
}

char *qc_transform_text(const struct qc_transform *transform)
{
    const char *hole = strstr(transform->words, "{n}");
    if (!hole)
        return qw_format("%s: %s; %s.", transform->id, transform->words, transform->index);
    return qw_format("%s: %.*s%lld%s; %s.", transform->id, (int)(hole - transform->words), transform->words,
                     (long long)transform->amount, hole + 3, transform->index);
}
