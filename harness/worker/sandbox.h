/* What keeps a worker, whatever the bytes that it reads make of it, from doing
 * more than reading its inputs and answering:
 *
 *   limits    memory, processor time, descriptors, no core file, no file written
 *   Landlock  only granted files can be opened, and only for reading; no TCP; no signal to other processes
 *   seccomp   only the system calls of a reader; sockets, new processes and programs end the worker
 *
 * Where the kernel lacks a piece the worker goes on without it, and says so. */
#ifndef QC_WORKER_SANDBOX_H
#define QC_WORKER_SANDBOX_H

#include "harness/worker/grants.h"
#include "reference/base/json.h"

struct qc_sandbox {
    int landlock; /* version of the interface in use; 0: not in force */
    bool seccomp, limits;
};

/* Confines the calling process for good: from here on it opens what is granted and nothing else, holds no descriptor
 * but 0, 1 and 2, and has `seconds` of processor time (<= 0: no bound).  Call it before the first byte of an input is
 * read, and after everything that a library opens when it is loaded. */
void qc_sandbox_enter(struct qc_sandbox *sandbox, const struct qc_grants *grants, int64_t seconds);

/* {"landlock": 7, "seccomp": true, "limits": true, "missing": ["…"]}: field tool.sandbox of the result. */
struct qw_json *qc_sandbox_json(const struct qc_sandbox *sandbox);

/* The pieces, for who explains them: name in the JSON text, what a worker could do without it, what to do; NULL beyond
 * the last. */
struct qc_sandbox_piece {
    const char *name, *without, *advice;
};
const struct qc_sandbox_piece *qc_sandbox_piece_at(int index);
/* Whether a piece is in force, by the JSON text of a worker (NULL: none is). */
bool qc_sandbox_has(const struct qw_json *json, const struct qc_sandbox_piece *piece);

#endif
