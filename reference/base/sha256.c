/* Invariant: the digest is that of FIPS 180-4, whatever the size. */
#include "reference/base/sha256.h"

#include <nettle/sha2.h>
#include <stdio.h>

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

static bool add_input(struct sha256_ctx *context, const struct qw_input *input, struct qw_error *error)
{
    uint8_t block[1 << 16];
    for (int64_t at = 0; at < input->size; at += (int64_t)sizeof block) {
        size_t count = input->size - at < (int64_t)sizeof block ? (size_t)(input->size - at) : sizeof block;
        if (!qw_input_read(block, input, at, count, error))
            return false;
        sha256_update(context, count, block);
    }
    return true;
}

bool qw_sha256_inputs(char hex[QW_SHA256_HEX], const struct qw_input *inputs, int count, struct qw_error *error)
{
    struct sha256_ctx context;
    sha256_init(&context);
    for (int i = 0; i < count; i++)
        if (!add_input(&context, &inputs[i], error))
            return false;
    finish(hex, &context);
    return true;
}

bool qw_sha256_file(char hex[QW_SHA256_HEX], const char *path, struct qw_error *error)
{
    struct qw_input input;
    bool ok = qw_input_open(&input, path, error) && qw_sha256_inputs(hex, &input, 1, error);
    qw_input_close(&input);
    return ok;
}
