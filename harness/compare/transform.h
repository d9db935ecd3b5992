/* Whether a tensor is another one rearranged: along one of its axes, or that of another place of the cache.
 *
 * A match is earned: every element agrees (to the bit for copies, within the bound of the floor for what is computed), in the
 * expected order they do not, and no other transform that moves anything elsewhere fits as well. */
#ifndef QC_COMPARE_TRANSFORM_H
#define QC_COMPARE_TRANSFORM_H

#include "reference/cache/cache.h"
#include "reference/letters.h"

struct qc_transform {
    const char *id;    /* NULL: none was found */
    const char *words; /* with {n} */
    char index[128];   /* "recorded[b, k, s, d] = expected[b, k, s - 3, d]" */
    int64_t amount;
};

/* Looks for the row of harness/compare/transforms.def under which `recorded` is `expected`, both of `shape`.  `axes` names the
 * axes by their letters ("B K S D"); several together are one axis that holds so many ("HD"), whose extents `letters` gives
 * (NULL: it is left whole).  `bound`: how far two elements may lie apart, 0 for copies. */
bool qc_transform_find(struct qc_transform *found, const struct qw_tensor *recorded, const double *expected,
                       const struct qw_shape *shape, const char *axes, const struct qw_letters *letters, double bound);

/* Looks for the other half or layer of `cache` that `recorded`, which should be keys or values of `layer`, holds. */
bool qc_transform_find_other(struct qc_transform *found, const struct qw_tensor *recorded, const struct qw_cache *cache,
                             int layer, bool value, double bound);

/* "tokens-rotated: token i holds …; recorded[…] = expected[…]"; free with free(). */
char *qc_transform_text(const struct qc_transform *transform);

#endif
