/* SHA-256 of bytes and files (nettle), as 64 lower-case hex digits. */
#ifndef QW_BASE_SHA256_H
#define QW_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/error.h"

#define QW_SHA256_HEX 65 /* bytes of the text, its NUL included */

void qw_sha256(char hex[QW_SHA256_HEX], const void *bytes, size_t size);
/* Of what an open file holds, from its beginning; its position does not matter and stays. */
bool qw_sha256_descriptor(char hex[QW_SHA256_HEX], int descriptor, struct qw_error *error);
bool qw_sha256_file(char hex[QW_SHA256_HEX], const char *path, struct qw_error *error);

#endif
