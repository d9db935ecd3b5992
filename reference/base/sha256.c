/* Invariant: the digest is that of FIPS 180-4, whatever the size. */
#include "reference/base/sha256.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

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

bool qw_sha256_file(char hex[QW_SHA256_HEX], const char *path, struct qw_error *error)
{
    FILE *file = fopen(path, "rbe");
    if (!file) {
        qw_fail(error, QW_ERROR_INPUT, "", "check the path", "cannot be opened: %s", strerror(errno));
        qw_error_in_file(error, path);
        return false;
    }
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
