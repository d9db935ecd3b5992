/* The cache: keys and values of every layer, [B,K,S,D], new rows joined along S.
 *
 * Keys are held as they enter it: those of tokens after rotary position
 * embedding, those of a prefix raw.  Every row knows where it came from. */
#ifndef QW_CACHE_CACHE_H
#define QW_CACHE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

enum qw_cache_kind {
#define KIND(id, name) QW_CACHE_##id,
#include "reference/cache/kinds.def"
#undef KIND
    QW_CACHE_KINDS
};

/* The kinds that are objects with methods, as a set: what a model that takes no tuples takes. */
#define QW_CACHE_OBJECTS (1u << QW_CACHE_DYNAMIC | 1u << QW_CACHE_STATIC | 1u << QW_CACHE_ENCODER_DECODER)

enum qw_origin { QW_FROM_VIRTUAL, QW_FROM_PROMPT, QW_FROM_GENERATED };

struct qw_cache_layer {
    int64_t heads, length, head_size; /* extents 1, 2, 3; all 0 while the layer is empty */
    double *key, *value;              /* [B,heads,length,head_size]; NULL when only the structure is known */
    int64_t gone;                     /* of them the first that a layer that slides has let go: attention is not given them */
};

struct qw_cache {
    int64_t layers, batch;
    struct qw_cache_layer *layer;
    enum qw_origin *origin; /* [length of layer 0] */
    int64_t origins;
    int64_t room; /* rows that a static cache has room for, those behind the filled ones being zero; 0: no static cache */
};

const char *qw_cache_kind_name(enum qw_cache_kind kind);
bool qw_cache_kind_from_name(enum qw_cache_kind *kind, const char *name);

struct qw_cache qw_cache_make(int64_t layers, int64_t batch); /* empty; release with qw_cache_clear */
void qw_cache_clear(struct qw_cache *cache);                  /* releases everything */
void qw_cache_reset(struct qw_cache *cache);                  /* empty again */
int64_t qw_cache_length(const struct qw_cache *cache);        /* S of layer 0 */

/* Fills an empty layer with rows [B,heads,length,head_size] (copied; NULL: structure only). */
void qw_cache_fill(struct qw_cache *cache, int64_t layer, const double *key, const double *value, int64_t heads, int64_t length,
                   int64_t head_size);

/* Whether rows of `heads` x `head_size` can be joined to what the layer holds. */
bool qw_cache_joins(const struct qw_cache *cache, int64_t layer, int64_t heads, int64_t head_size);

/* Appends q rows; key and value are token-major [B,q,heads,head_size].  The caller has asked qw_cache_joins. */
void qw_cache_append(struct qw_cache *cache, int64_t layer, const double *key, const double *value, int64_t q, int64_t heads,
                     int64_t head_size);

/* Takes back what lies beyond the first `length` rows; nothing when there are no more. */
void qw_cache_crop(struct qw_cache *cache, int64_t length);
/* Batch row b becomes what row[b] was. */
void qw_cache_reorder(struct qw_cache *cache, const int64_t *row);

/* Appends the last q rows of a layer once more. */
void qw_cache_repeat(struct qw_cache *cache, int64_t layer, int64_t q);

/* Says where the next `count` rows come from (once per call of the model, not per layer). */
void qw_cache_mark(struct qw_cache *cache, enum qw_origin origin, int64_t count);

#endif
