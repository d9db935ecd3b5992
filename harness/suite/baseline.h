/* Baselines: the failures that are known, each with its cause (suites/baseline.schema.json). */
#ifndef QC_SUITE_BASELINE_H
#define QC_SUITE_BASELINE_H

#include <stdbool.h>

#include "reference/base/error.h"
#include "reference/base/json.h"
#include "reference/base/sha256.h"

/* The document, or NULL (QW_ERROR_INPUT: unreadable, no baseline, an id twice, a cause that the catalogue does not have,
 * with the nearest).  `sha256` is that of the file, "" where it could not be read.  Free with qw_json_free. */
struct qw_json *qc_baseline_read(char sha256[QW_SHA256_HEX], const char *path, struct qw_error *error);

/* The entry of that case; NULL: no failure of it is known. */
const struct qw_json *qc_baseline_find(const struct qw_json *baseline, const char *id);

/* "prompt-not-injected and mask-inverted at step 0, layer 1, cache_before.key": what an entry, or what a case of a
 * result, says of a failure; free with free(). */
char *qc_baseline_words(const struct qw_json *entry);

/* Holds the case against its entry: FAIL with the expected causes, first at the expected place, becomes XFAIL; PASS
 * becomes XPASS; FAIL otherwise, or SKIP, becomes CHANGED; what was not decided stays as it is.  The field "expected" is
 * the entry, or null when `entry` is NULL; the verdict of XPASS and CHANGED says first what was expected. */
void qc_baseline_apply(struct qw_json *one, const struct qw_json *entry);

/* A baseline of all cases of the document that fail (FAIL, CHANGED, XFAIL), in the order of their ids.  What was known of a
 * case stays where nothing new was found out (it was skipped, interrupted, or could not be decided); "why" and "source" of
 * the entries that stay are kept.  Free with qw_json_free. */
struct qw_json *qc_baseline_make(const struct qw_json *document);

#endif
