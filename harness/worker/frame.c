/* Invariant: nothing of a frame is used unless all of it is there and its checksum holds. */
#include "harness/worker/frame.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "harness/worker/crc.h"

enum { MAGIC, LENGTH, CHECKSUM, WORDS };
#define HEAD (WORDS * sizeof(uint32_t))

static const char magic[] = "QCF1";

static bool write_all(int fd, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, (const char *)bytes + done, size - done);
        if (put < 0 && errno != EINTR)
            return false;
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

bool qc_frame_write(int fd, const char *payload)
{
    size_t length = strlen(payload);
    uint32_t head[WORDS] = {[LENGTH] = (uint32_t)length, [CHECKSUM] = qc_crc32(payload, length)};
    memcpy(head, magic, sizeof *head);
    return length <= UINT32_MAX && write_all(fd, head, HEAD) && write_all(fd, payload, length);
}

struct qw_json *qc_frame_parse(const char *bytes, size_t size)
{
    uint32_t head[WORDS];
    struct qw_error error = {0};
    if (size < HEAD || memcmp(bytes, magic, sizeof *head))
        return NULL;
    memcpy(head, bytes, HEAD);
    if (size - HEAD != head[LENGTH] || qc_crc32(bytes + HEAD, head[LENGTH]) != head[CHECKSUM])
        return NULL;
    return qw_json_parse(bytes + HEAD, head[LENGTH], "answer", &error);
}

bool qc_frame_possible(const char *bytes, size_t size, size_t most)
{
    uint32_t head[WORDS];
    if (size < HEAD)
        return !size || !memcmp(bytes, magic, size < sizeof *head ? size : sizeof *head);
    memcpy(head, bytes, HEAD);
    return !memcmp(bytes, magic, sizeof *head) && head[LENGTH] <= most && size - HEAD <= head[LENGTH];
}
