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
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
}

void qw_sha256(char hex[QW_SHA256_HEX], const void *bytes, size_t size)
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, bytes);
    finish(hex, &context);
}

/* Opens a regular file: a pipe would wait for a writer that may never come. */
static FILE *open_regular(const char *path, struct qw_error *error)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        qw_fail(error, QW_ERROR_INPUT, "", "check the path", "cannot be opened: %s", strerror(errno));
    else if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        qw_fail(error, QW_ERROR_INPUT, "", "give the path of a regular file", "not a regular file");
    else
        return fdopen(fd, "rb");
    if (fd >= 0)
        close(fd);
    qw_error_in_file(error, path);
    return NULL;
}

bool qw_sha256_file(char hex[QW_SHA256_HEX], const char *path, struct qw_error *error)
{
    FILE *file = open_regular(path, error);
    if (!file)
        return false;
    struct sha256_ctx context;
    sha256_init(&context);
    uint8_t block[1 << 16];
    for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;)
        sha256_update(&context, got, block);
    bool ok = !ferror(file);
    fclose(file);
    finish(hex, &context);
    if (!ok) {
        qw_fail(error, QW_ERROR_INPUT, "", "", "could not be read to its end");
        qw_error_in_file(error, path);
    }
    return ok;
}
