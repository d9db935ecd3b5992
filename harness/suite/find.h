/* Finding suites in folders, and naming files as a person would. */
#ifndef QC_SUITE_FIND_H
#define QC_SUITE_FIND_H

#include "reference/base/json.h"

/* Paths of the suite files in and below `folder` (suite.json, *.suite.json; nothing that begins with a dot; links are
 * followed, a folder inside itself is not), sorted by bytes, as an array of texts.  Folders that cannot be read are added
 * to `unread`.  The caller frees it. */
struct qw_json *qc_find_suites(struct qw_json *unread, const char *folder);

/* " (did you mean x.h5?)": the name in the folder of `path` that is nearest to its last part; free with free(). */
char *qc_find_near(const char *path);

/* `path` without "." and "..", if that names the same file: a/../b is not b where a is a link.  Free with free(). */
char *qc_path_short(const char *path);

#endif
