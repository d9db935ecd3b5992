/* Lines that tell whether they are whole: CRC-32 of the rest (8 hex digits), blank, one JSON object, line feed. */
#ifndef QC_SUITE_LINES_H
#define QC_SUITE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "reference/base/error.h"
#include "reference/base/json.h"

/* The object of a whole line, its line feed included; NULL for anything else.  Free with qw_json_free. */
struct qw_json *qc_line_parse(const char *bytes, size_t length);

/* Appends the object with one write, and has it on the disk when it returns.  Its length, or 0 (QW_ERROR_OUTPUT): what
 * was written of it is then taken off again, where that is possible. */
size_t qc_line_append(int fd, const struct qw_json *object, struct qw_error *error);

/* Cuts the file off behind `size` bytes, on the disk too. */
bool qc_lines_cut(int fd, off_t size, struct qw_error *error);

/* The line of `length` bytes at `from`, parsed; NULL when it is not there any more. */
struct qw_json *qc_line_read(int fd, off_t from, size_t length);

#endif
