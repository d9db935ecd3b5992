/* Invariant: the digest is that of FIPS 180-4, whatever the size. */
#include "reference/base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void finish(char hex[QW_SHA256_HEX], struct sha256_ctx *context)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof digest, digest);
    for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void qw_sha256(char hex[QW_SHA256_HEX], const void *bytes, size_t size)
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, bytes);
    finish(hex, &context);
}

/* Opens a regular file: a pipe would wait for a writer that may never come. */
static int open_regular(const char *path, struct qw_error *error)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        qw_fail(error, QW_ERROR_INPUT, "", "check the path", "cannot be opened: %s", strerror(errno));
    else if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        return fd;
    else
        qw_fail(error, QW_ERROR_INPUT, "", "give the path of a regular file", "not a regular file");
    if (fd >= 0)
        close(fd);
    return -1;
}

bool qw_sha256_descriptor(char hex[QW_SHA256_HEX], int descriptor, struct qw_error *error)
{
    struct sha256_ctx context;
    uint8_t block[1 << 16];
    off_t at = 0;
    ssize_t got;
    sha256_init(&context);
    while ((got = pread(descriptor, block, sizeof block, at)) > 0 || (got < 0 && errno == EINTR)) {
        sha256_update(&context, got > 0 ? (size_t)got : 0, block);
        at += got > 0 ? got : 0;
    }
    finish(hex, &context);
    return got == 0 || qw_fail(error, QW_ERROR_INPUT, "", "", "could not be read to its end: %s", strerror(errno));
}

bool qw_sha256_file(char hex[QW_SHA256_HEX], const char *path, struct qw_error *error)
{
    int fd = open_regular(path, error);
    bool ok = fd >= 0 && qw_sha256_descriptor(hex, fd, error);
    if (fd >= 0)
        close(fd);
    qw_error_in_file(error, path);
    return ok;
}
