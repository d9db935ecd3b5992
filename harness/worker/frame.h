/* What a worker answers with, once, on its standard output: "QCF1", length and
 * CRC-32 of the payload (uint32 each, little-endian), and the payload, a JSON
 * document. */
#ifndef QC_WORKER_FRAME_H
#define QC_WORKER_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/json.h"

/* Writes the whole frame; false when it could not be. */
bool qc_frame_write(int fd, const char *payload);

/* The payload of exactly one whole frame, or NULL; free with qw_json_free. */
struct qw_json *qc_frame_parse(const char *bytes, size_t size);

/* Whether bytes that have come so far can still become one frame with a payload of at most `most` bytes. */
bool qc_frame_possible(const char *bytes, size_t size, size_t most);

#endif
