/* The journal of a run: what was judged, case by case, safe on disk before it
 * counts, so that a run that was killed goes on where it ended.
 *
 * A file of lines (harness/suite/lines.h), each appended with one write and synchronised:
 *     CRC-32 of the rest of the line (8 hex digits), blank, one JSON object, line feed.
 * The objects have "seq" (0, 1, 2 …) and "kind":
 *     "begin"   schema "qconform-journal/1", version and SHA-256 of the program, the plan's digest, the shard, how many cases
 *               it has to judge, process and host; always the first, and only the first
 *     "resume"  process and host of a run that went on
 *     "start"   id of a case that is given to a worker
 *     "end"     id, size and time of change of the recording as it was before it was read, the limit in seconds, and the
 *               case as the worker gave it
 *     "workers" blas_core and sandbox, as the first worker of a run reports them
 * What follows the last whole line is the rest of a write that was cut short; it is dropped. */
#ifndef QC_SUITE_JOURNAL_H
#define QC_SUITE_JOURNAL_H

#include <stdbool.h>

#include "harness/suite/plan.h"
#include "reference/base/error.h"
#include "reference/base/json.h"

struct qc_journal;

/* Opens FOLDER/journal.jsonl (the folder is made) and locks it.  With `resume`, what is there is read: QW_ERROR_INPUT when
 * another program, another plan or another shard wrote it, or when it is damaged before its last line; nothing there
 * begins a new one.  Without, an old one is replaced.  QW_ERROR_OUTPUT when it cannot be written, or another run holds the
 * lock (said with its process and host).  NULL after either. */
struct qc_journal *qc_journal_open(const char *folder, const struct qc_plan *plan, bool resume, struct qw_error *error);

/* How many cases of this plan and shard a run that goes on there would find judged; writes nothing, and waits for no lock.
 * False as above for a journal that cannot be gone on with. */
bool qc_journal_peek(int *judged, const char *folder, const struct qc_plan *plan, struct qw_error *error);

/* What an earlier run gave for the case, if its recording is still the same, and its limit too where it ran out of time;
 * NULL: it must be judged.  Free with qw_json_free. */
struct qw_json *qc_journal_find(struct qc_journal *journal, const struct qc_suite_case *one);
/* The last "workers" line, or NULL. */
const struct qw_json *qc_journal_workers(const struct qc_journal *journal);
/* What a person should know, texts in an array: what was cut off or replaced, what was under way when the run before
 * ended, recordings that changed (as qc_journal_find meets them), a file system without locks. */
const struct qw_json *qc_journal_notices(const struct qc_journal *journal);

/* Append; false when it could not be written and synchronised: nothing of that run counts from then on.  `start` comes
 * before the recording is read; its limit is that of `one`. */
bool qc_journal_start(struct qc_journal *journal, const struct qc_suite_case *one, struct qw_error *error);
bool qc_journal_end(struct qc_journal *journal, const struct qc_suite_case *one, const struct qw_json *result,
                    struct qw_error *error);
bool qc_journal_told(struct qc_journal *journal, const char *core, const struct qw_json *sandbox, struct qw_error *error);

void qc_journal_close(struct qc_journal *journal); /* NULL is fine */

#endif
