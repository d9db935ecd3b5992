/* Invariant: within a layer key and value have the same extents; rows that are there never change. */
#include "reference/cache/cache.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

static const char *const kind_names[QW_CACHE_KINDS] = {
#define KIND(id, name) name,
#include "reference/cache/kinds.def"
#undef KIND
};

const char *qw_cache_kind_name(enum qw_cache_kind kind) { return kind_names[kind]; }

bool qw_cache_kind_from_name(enum qw_cache_kind *kind, const char *name)
{
    for (int i = 0; i < QW_CACHE_KINDS; i++)
        if (!strcmp(kind_names[i], name))
            return *kind = (enum qw_cache_kind)i, true;
    return false;
}

struct qw_cache qw_cache_make(int64_t layers, int64_t batch)
{
    return (struct qw_cache){.layers = layers, .batch = batch, .layer = QW_NEW_ARRAY(struct qw_cache_layer, layers)};
}

void qw_cache_reset(struct qw_cache *cache)
{
    for (int64_t i = 0; i < cache->layers; i++) {
        free(cache->layer[i].key);
        free(cache->layer[i].value);
        cache->layer[i] = (struct qw_cache_layer){0};
    }
    cache->origins = 0;
}

void qw_cache_clear(struct qw_cache *cache)
{
    qw_cache_reset(cache);
    free(cache->layer);
    free(cache->origin);
    *cache = (struct qw_cache){0};
}

int64_t qw_cache_length(const struct qw_cache *cache) { return cache->layers ? cache->layer[0].length : 0; }

void qw_cache_fill(struct qw_cache *cache, int64_t layer, const double *key, const double *value, int64_t heads, int64_t length,
                   int64_t head_size)
{
    size_t count = (size_t)(cache->batch * heads * length * head_size);
    cache->layer[layer] = (struct qw_cache_layer){heads,
                                                  length,
                                                  head_size,
                                                  key ? qw_memdup(key, count, sizeof *key) : NULL,
                                                  value ? qw_memdup(value, count, sizeof *value) : NULL,
                                                  0};
}

bool qw_cache_joins(const struct qw_cache *cache, int64_t layer, int64_t heads, int64_t head_size)
{
    const struct qw_cache_layer *held = &cache->layer[layer];
    return held->length == 0 || (held->heads == heads && held->head_size == head_size);
}

/* [B,heads,S,D] and token-major [B,q,heads,D] -> [B,heads,S+q,D] */
static double *join(const double *old, const double *rows, int64_t B, int64_t heads, int64_t S, int64_t q, int64_t D)
{
    double *joined = QW_NEW_ARRAY(double, B *heads *(S + q) * D);
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < heads; h++) {
            double *to = joined + (b * heads + h) * (S + q) * D;
            if (S)
                memcpy(to, old + (b * heads + h) * S * D, sizeof *to * (size_t)(S * D));
            for (int64_t t = 0; t < q; t++)
                memcpy(to + (S + t) * D, rows + ((b * q + t) * heads + h) * D, sizeof *to * (size_t)D);
        }
    return joined;
}

void qw_cache_append(struct qw_cache *cache, int64_t layer, const double *key, const double *value, int64_t q, int64_t heads,
                     int64_t head_size)
{
    struct qw_cache_layer *held = &cache->layer[layer];
    double *keys = join(held->key, key, cache->batch, heads, held->length, q, head_size);
    double *values = join(held->value, value, cache->batch, heads, held->length, q, head_size);
    free(held->key);
    free(held->value);
    *held = (struct qw_cache_layer){heads, held->length + q, head_size, keys, values, held->gone};
}

/* Rows 0 … length-1 of batch rows row[0], row[1], … of [B,heads,S,D]; NULL of NULL. */
static double *picked(const double *from, const struct qw_cache_layer *held, const int64_t *row, int64_t B, int64_t length)
{
    int64_t D = held->head_size;
    if (!from)
        return NULL;
    double *to = QW_NEW_ARRAY(double, B * held->heads * length * D);
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < held->heads; h++)
            memcpy(to + (b * held->heads + h) * length * D, from + ((row ? row[b] : b) * held->heads + h) * held->length * D,
                   sizeof *to * (size_t)(length * D));
    return to;
}

/* Replaces every layer by what is picked of it. */
static void pick(struct qw_cache *cache, const int64_t *row, int64_t most)
{
    for (int64_t i = 0; i < cache->layers; i++) {
        struct qw_cache_layer *held = &cache->layer[i];
        int64_t length = held->length < most ? held->length : most;
        if (!held->length || (!row && length == held->length))
            continue;
        double *key = picked(held->key, held, row, cache->batch, length);
        double *value = picked(held->value, held, row, cache->batch, length);
        free(held->key);
        free(held->value);
        *held = (struct qw_cache_layer){held->heads, length, held->head_size, key, value, 0};
    }
}

void qw_cache_crop(struct qw_cache *cache, int64_t length)
{
    pick(cache, NULL, length);
    if (cache->origins > length)
        cache->origins = length;
}

void qw_cache_reorder(struct qw_cache *cache, const int64_t *row) { pick(cache, row, INT64_MAX); }

/* The last q rows of [B,heads,S,D], token-major: [B,q,heads,D]; to be freed. */
static double *last_rows(const double *half, const struct qw_cache_layer *held, int64_t B, int64_t q)
{
    int64_t heads = held->heads, S = held->length, D = held->head_size;
    double *rows = QW_NEW_ARRAY(double, B *q *heads *D);
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < q; t++)
            for (int64_t h = 0; h < heads; h++)
                memcpy(rows + ((b * q + t) * heads + h) * D, half + ((b * heads + h) * S + S - q + t) * D,
                       sizeof *rows * (size_t)D);
    return rows;
}

void qw_cache_repeat(struct qw_cache *cache, int64_t layer, int64_t q)
{
    const struct qw_cache_layer held = cache->layer[layer];
    double *key = last_rows(held.key, &held, cache->batch, q), *value = last_rows(held.value, &held, cache->batch, q);
    qw_cache_append(cache, layer, key, value, q, held.heads, held.head_size);
    free(key);
    free(value);
}

void qw_cache_mark(struct qw_cache *cache, enum qw_origin origin, int64_t count)
{
    cache->origin = qw_realloc(cache->origin, (size_t)(cache->origins + count), sizeof *cache->origin);
    for (int64_t i = 0; i < count; i++)
        cache->origin[cache->origins++] = origin;
}
