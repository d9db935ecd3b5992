/* Invariant: no bit of a line can change unseen, and a line that counts is on the disk. */
#include "harness/suite/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/worker/crc.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

enum { HEAD = 9 }; /* digits and the blank */

static void head_of(char head[HEAD + 1], const char *text, size_t length)
{
    snprintf(head, HEAD + 1, "%08" PRIx32 " ", qc_crc32(text, length));
}

struct qw_json *qc_line_parse(const char *bytes, size_t length)
{
    char head[HEAD + 1];
    struct qw_error error = {0};
    if (length <= HEAD || bytes[length - 1] != '\n')
        return NULL;
    head_of(head, bytes + HEAD, length - HEAD - 1);
    if (memcmp(head, bytes, HEAD))
        return NULL;
    struct qw_json *object = qw_json_parse(bytes + HEAD, length - HEAD - 1, "", &error);
    if (qw_json_is_object(object))
        return object;
    qw_json_free(object);
    return NULL;
}

static char *line_print(const struct qw_json *object)
{
    char head[HEAD + 1], *text = qw_json_print(object, false);
    text[strcspn(text, "\n")] = 0;
    head_of(head, text, strlen(text));
    char *line = qw_format("%s%s\n", head, text);
    free(text);
    return line;
}

/* One write, unless the system takes a part.  0, or the reason as an errno. */
static int write_line(int fd, const char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t put = write(fd, bytes + done, length - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put ? errno : ENOSPC;
        done += (size_t)put;
    }
    return 0;
}

/* A failure is final: what a second call would say of the same bytes cannot be trusted. */
static int synchronise(int fd)
{
    int status;
    while ((status = fdatasync(fd)) != 0 && errno == EINTR)
        continue;
    return status ? errno : 0;
}

size_t qc_line_append(int fd, const struct qw_json *object, struct qw_error *error)
{
    char *line = line_print(object);
    size_t length = strlen(line);
    off_t end = lseek(fd, 0, SEEK_END);
    int reason = end < 0 ? errno : write_line(fd, line, length);
    reason = reason ? reason : synchronise(fd);
    free(line);
    if (!reason)
        return length;
    if (end >= 0)
        (void)!ftruncate(fd, end); /* otherwise the next reader cuts it off */
    qw_fail(error, QW_ERROR_OUTPUT, "", "make room, then go on with --resume", "cannot be written: %s", strerror(reason));
    return 0;
}

bool qc_lines_cut(int fd, off_t size, struct qw_error *error)
{
    int reason = ftruncate(fd, size) == 0 ? synchronise(fd) : errno;
    return !reason || qw_fail(error, QW_ERROR_OUTPUT, "", "check that the folder may be written", "cannot be shortened: %s",
                              strerror(reason));
}

struct qw_json *qc_line_read(int fd, off_t from, size_t length)
{
    char *bytes = QW_NEW_ARRAY(char, length);
    size_t got = 0;
    for (ssize_t part = 1; got < length && part; got += part > 0 ? (size_t)part : 0)
        if ((part = pread(fd, bytes + got, length - got, from + (off_t)got)) < 0 && errno != EINTR)
            break;
    struct qw_json *object = got == length ? qc_line_parse(bytes, length) : NULL;
    free(bytes);
    return object;
}
