/* Files: whole-file reading with a budget, and writing that leaves either the
 * old file or the complete new one (temporary file, checked close, fsync, rename). */
#ifndef QW_BASE_FILE_H
#define QW_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/error.h"

/* Reads a regular file of at most `budget` bytes into `*bytes` (NUL-terminated beyond `*size`; free with free()). */
bool qw_file_read(char **bytes, size_t *size, const char *path, size_t budget, struct qw_error *error);

/* Writes `size` bytes to `path`; "-" is stdout.  When it fails (QW_ERROR_OUTPUT) the final name has its old content, or
 * none.  Standard output under any name, devices and pipes are written in place; a pipe that its reader has closed is a
 * failure with an empty message: nobody is left who would miss the rest. */
bool qw_file_write(const char *path, const char *bytes, size_t size, struct qw_error *error);

/* Makes the folder and those above it that are not there; QW_ERROR_OUTPUT when it cannot be, or is something else. */
bool qw_folder_make(const char *path, struct qw_error *error);

/* The folder part of `path` with its slash, or ""; free with free(). */
char *qw_path_folder(const char *path);

/* `name` relative to folder `folder` ("" or with its slash) unless it is absolute; free with free(). */
char *qw_path_join(const char *folder, const char *name);

/* What follows the last slash; points into `path`. */
const char *qw_path_base(const char *path);

#endif
