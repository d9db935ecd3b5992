/* Input files: opened once, checked to be regular files, and read by position from the descriptor.
 *
 * A pipe, a device or a folder is refused without waiting for it.  Where a
 * name comes from matters:
 *
 *   the person, or the program itself (config.json in a folder that the person named)   links are followed, wherever they lead
 *   the contents of a file (a shard that an index names)                                 qw_input_open_beneath */
#ifndef QW_BASE_INPUT_H
#define QW_BASE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "reference/base/error.h"

struct qw_input {
    int fd; /* -1: the bytes are in memory */
    int64_t size;
    char *path;        /* as the person gave it, for messages */
    const char *bytes; /* borrowed; NULL for a file */
    struct timespec changed;
};

/* QW_ERROR_INPUT with file, reason and what to do.  Release with qw_input_close, which is fine after a refusal too. */
bool qw_input_open(struct qw_input *input, const char *path, struct qw_error *error);

/* Opens `name`, which is not to be trusted, in `folder`.  It must be a plain name (no slash, not "." or "..").  The entry
 * may be a link that stays inside the folder; if the folder is a snapshot of a Hugging Face cache
 * (…/snapshots/<revision>), inside the cached repository, where the files lie in blobs.  Links to elsewhere are refused.
 * Where the kernel cannot confine a look-up (before Linux 5.6) any link is refused. */
bool qw_input_open_beneath(struct qw_input *input, const char *folder, const char *name, struct qw_error *error);

/* Bytes in memory as an input; `bytes` must outlive it. */
struct qw_input qw_input_of_bytes(const char *bytes, size_t size);

/* `count` bytes from position `from` on; QW_ERROR_INPUT when they are not there. */
bool qw_input_read(void *out, const struct qw_input *input, int64_t from, size_t count, struct qw_error *error);
/* All of it, NUL-terminated, if it has at most `budget` bytes; free with free(). */
bool qw_input_read_all(char **bytes, const struct qw_input *input, size_t budget, struct qw_error *error);
/* Whether the file still is what it was when it was opened, as far as its size and times tell. */
bool qw_input_unchanged(const struct qw_input *input, struct qw_error *error);

void qw_input_close(struct qw_input *input);

#endif
