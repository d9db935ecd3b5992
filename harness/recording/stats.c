/* Invariant: statistics are all there or none are; what they say can be true of a tensor of that shape. */
#include "harness/recording/stats.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/sha256.h"

#define HINT "write min max mean rms (float64), nan inf zero (int64) and sha256 (64 hex digits), or none of them"

static const struct {
    const char *name;
    size_t offset;
} reals[] = {{"min", offsetof(struct qw_stats, min)},
             {"max", offsetof(struct qw_stats, max)},
             {"mean", offsetof(struct qw_stats, mean)},
             {"rms", offsetof(struct qw_stats, rms)}},
  counts[] = {{"nan", offsetof(struct qw_stats, nan)},
              {"inf", offsetof(struct qw_stats, inf)},
              {"zero", offsetof(struct qw_stats, zero)}};

#define COUNT(table) (sizeof table / sizeof *table)

static bool refuse(const struct qc_hdf5 *hdf5, const char *path, const char *name, const char *why)
{
    char place[256];
    snprintf(place, sizeof place, "%s@%s", path, name);
    return qc_hdf5_refuse(hdf5, place, HINT, why);
}

static bool has_any(const struct qc_hdf5 *hdf5, const char *path)
{
    bool any = qc_hdf5_has_attribute(hdf5, path, "sha256");
    for (size_t i = 0; i < COUNT(reals); i++)
        any = any || qc_hdf5_has_attribute(hdf5, path, reals[i].name);
    for (size_t i = 0; i < COUNT(counts); i++)
        any = any || qc_hdf5_has_attribute(hdf5, path, counts[i].name);
    return any;
}

/* The hex digest in lower case; "" when the attribute is absent. */
static bool read_digest(char digest[QW_SHA256_HEX], struct qc_hdf5 *hdf5, const char *path)
{
    char *text = qc_hdf5_text(hdf5, path, "sha256", "");
    bool ok = text && (!text[0] || (strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64));
    if (ok)
        for (int i = 0; i < 64 && text[i]; i++)
            digest[i] = (char)tolower((unsigned char)text[i]);
    else if (text)
        refuse(hdf5, path, "sha256", "not 64 hex digits");
    free(text);
    return ok;
}

/* Where finite elements were there, the extremes are theirs; else the four reals say nothing and may be anything.  Sums
 * of large elements may have overflowed, so mean and rms may be infinite. */
static bool check_reals(const struct qw_stats *stats, int64_t finite, const struct qc_hdf5 *hdf5, const char *path)
{
    if (!finite)
        return true;
    if (!(stats->min <= stats->max))
        return refuse(hdf5, path, "min", "the minimum is not below the maximum");
    if (!(stats->rms >= 0))
        return refuse(hdf5, path, "rms", "a root mean square is not negative");
    return stats->mean == stats->mean || refuse(hdf5, path, "mean", "finite elements have a mean");
}

static bool check_counts(const struct qw_stats *stats, int64_t elements, const struct qc_hdf5 *hdf5, const char *path)
{
    int64_t left = elements;
    for (size_t i = 0; i < COUNT(counts); i++) {
        int64_t count = *(const int64_t *)((const char *)stats + counts[i].offset);
        if (count < 0)
            return refuse(hdf5, path, counts[i].name, "a count is not negative");
        if (count > left)
            return refuse(hdf5, path, counts[i].name, "more elements are counted than the tensor has");
        left -= count;
    }
    return true;
}

/* A recording of level "stats" whose tensor has none is read as one of level "shapes": what a level promises and the
 * file does not keep is found missing when it is judged, and is no contradiction of the file. */
bool qc_stats_read(struct qw_tensor *tensor, struct qc_hdf5 *hdf5, const char *path)
{
    if (!has_any(hdf5, path))
        return true;
    struct qw_stats stats = {0};
    for (size_t i = 0; i < COUNT(reals); i++)
        *(double *)((char *)&stats + reals[i].offset) = qc_hdf5_real(hdf5, path, reals[i].name);
    for (size_t i = 0; i < COUNT(counts); i++)
        *(int64_t *)((char *)&stats + counts[i].offset) = qc_hdf5_int(hdf5, path, counts[i].name, true, 0);
    int64_t elements = qw_shape_count(&tensor->shape);
    bool ok = qc_hdf5_good(hdf5) && read_digest(stats.sha256, hdf5, path) && check_counts(&stats, elements, hdf5, path) &&
              check_reals(&stats, elements - stats.nan - stats.inf, hdf5, path);
    if (ok)
        tensor->stats = qw_memdup(&stats, 1, sizeof stats);
    return ok;
}

bool qc_stats_verify(const struct qw_tensor *tensor, struct qc_hdf5 *hdf5, const char *path)
{
    char stated[QW_SHA256_HEX] = "", found[QW_SHA256_HEX];
    if (tensor->dtype == QW_I64 || !qc_hdf5_has_attribute(hdf5, path, "sha256"))
        return true;
    if (!read_digest(stated, hdf5, path))
        return false;
    qw_sha256(found, tensor->data, (size_t)qw_shape_count(&tensor->shape) * qw_dtype_bytes(tensor->dtype));
    return !stated[0] || !strcmp(stated, found) ||
           qc_hdf5_refuse(hdf5, path, "copy the file again from where it was recorded", "its data are not those of its sha256");
}
