/* SHA-256 against the published vectors of FIPS 180-4. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/file.h"
#include "reference/base/sha256.h"

static void expect(const char *text, size_t size, const char *digest)
{
    char hex[QW_SHA256_HEX];
    qw_sha256(hex, text, size);
    cr_expect_str_eq(hex, digest);
}

Test(sha256, published_vectors)
{
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    expect("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(two_blocks, strlen(two_blocks), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

Test(sha256, a_million_times_a_from_memory_and_from_a_file)
{
    const char *wanted = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    size_t million = 1000000;
    char *text = malloc(million), path[] = "/tmp/qconform-sha256-XXXXXX", hex[QW_SHA256_HEX];
    memset(text, 'a', million);
    expect(text, million, wanted);
    struct qw_error error = {0};
    cr_assert_neq(mkstemp(path), -1);
    cr_assert(qw_file_write(path, text, million, &error));
    cr_assert(qw_sha256_file(hex, path, &error), "%s", error.message);
    cr_assert_str_eq(hex, wanted);
    remove(path);
    free(text);
}

Test(sha256, file_that_cannot_be_read_is_an_error)
{
    static const char *const paths[] = {"/nonexistent/weights", "/tmp"};
    for (size_t i = 0; i < 2; i++) {
        struct qw_error error = {0};
        char hex[QW_SHA256_HEX];
        cr_expect_not(qw_sha256_file(hex, paths[i], &error));
        cr_expect_eq(error.kind, QW_ERROR_INPUT);
        cr_expect_str_eq(error.file, paths[i]);
    }
}
