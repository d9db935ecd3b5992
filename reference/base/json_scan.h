/* The strict look at a JSON text before it is parsed: RFC 8259 and nothing else.
 *
 * The parser behind it takes more than that ("01", raw control bytes, bytes
 * that are no UTF-8), and allocates as it goes.  What passes here is text that
 * every conforming reader understands alike, and whose tree has a known bound. */
#ifndef QW_BASE_JSON_SCAN_H
#define QW_BASE_JSON_SCAN_H

#include <stdint.h>

#include "reference/base/json.h"

/* Whether the `size` bytes are one JSON text within the limits.  Else QW_ERROR_INPUT at `place`, with the line and the
 * column (in bytes, both from 1) where it ends to be one. */
bool qw_json_scan(const char *bytes, size_t size, const struct qw_json_limits *limits, const char *place, struct qw_error *error);

/* Length of the well-formed UTF-8 sequence at `at`, which lies before `end`; 0: none begins there. */
int qw_utf8_length(const char *at, const char *end);

#endif
