/* Arbitrary bytes as what a worker sends.  Invariant: a whole frame gives its payload when that is JSON, and nothing else does. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/worker/frame.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The frame of a payload, as the worker's side writes it. */
static struct qw_text frame_of(const char *payload)
{
    struct qw_text frame = {0};
    char block[8192];
    int ends[2];
    if (pipe(ends) != 0 || !qc_frame_write(ends[1], payload))
        abort();
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], block, sizeof block)) > 0;)
        qw_text_add_bytes(&frame, block, (size_t)got);
    close(ends[0]);
    return frame;
}

static void wrap(const char *bytes, size_t size)
{
    struct qw_error error = {0};
    char *payload = qw_format("%.*s", (int)size, bytes);
    struct qw_text frame = frame_of(payload);
    struct qw_json *direct = qw_json_parse(payload, strlen(payload), "", &error);
    struct qw_json *framed = qc_frame_parse(frame.bytes, frame.length);
    assert((direct == NULL) == (framed == NULL));
    assert(!qc_frame_parse(frame.bytes, frame.length - 1));
    for (size_t part = 0; part <= frame.length; part++)
        assert(qc_frame_possible(frame.bytes, part, 1 << 20));
    qw_json_free(direct);
    qw_json_free(framed);
    qw_text_free(&frame);
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *copy = qw_calloc(size + 1, 1);
    if (size)
        memcpy(copy, bytes, size);
    struct qw_json *json = qc_frame_parse(copy, size);
    assert(!json || qc_frame_possible(copy, size, size));
    qw_json_free(json);
    if (size < 4096)
        wrap(copy, size);
    free(copy);
    return 0;
}
