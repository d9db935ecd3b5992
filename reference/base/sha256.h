/* SHA-256 of bytes and files (nettle), as 64 lower-case hex digits. */
#ifndef QW_BASE_SHA256_H
#define QW_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/input.h"

#define QW_SHA256_HEX 65 /* bytes of the text, its NUL included */

void qw_sha256(char hex[QW_SHA256_HEX], const void *bytes, size_t size);
/* Of the bytes of `count` inputs, one after the other. */
bool qw_sha256_inputs(char hex[QW_SHA256_HEX], const struct qw_input *inputs, int count, struct qw_error *error);
bool qw_sha256_file(char hex[QW_SHA256_HEX], const char *path, struct qw_error *error);

#endif
