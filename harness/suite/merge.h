/* Joining results: the shards of a run, or any results, into one document. */
#ifndef QC_SUITE_MERGE_H
#define QC_SUITE_MERGE_H

#include "harness/worker/document.h"
#include "reference/base/error.h"

struct qc_merge_part {
    const char *path;         /* as the user gave it */
    struct qw_json *document; /* a checked result (reports/check.h) */
};

/* The joined document; `about->tool` and `about->run` are not looked at.
 *
 * Shards of one run (the same run.digest): the cases in the order of run.cases, as the unsharded run would have them; a case
 * that no part has is NOTRUN, and a notice says which shards are not there.  Parts may themselves be joined ones, and the
 * order in which they are given changes nothing.  Results of no run: their cases, one part after the other; what has the
 * same id, recording and selection is one case.
 *
 * A case that several parts have is taken once: a decided one before an undecided one; where decided ones differ in status
 * or causes the worse one, with a finding "results-disagree" that says what the other was.
 *
 * NULL (QW_ERROR_INPUT, in the file of the part) when parts are of different runs, baselines, versions of the program or
 * noise multiples, or a case was decided on different recordings.  `notices` is an array to which texts are added. */
struct qw_json *qc_merge(const struct qc_merge_part *parts, int count, const struct qc_document *about, struct qw_json *notices,
                         struct qw_error *error);

#endif
