/* Invariant: no function here returns NULL for a non-NULL request. */
#include "reference/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(size_t count, size_t size)
{
    fprintf(stderr, "qconform: out of memory (asked for %zu x %zu bytes)\n", count, size);
    _Exit(70);
}

void *qw_calloc(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size ? size : 1);
    if (!block)
        out_of_memory(count, size);
    return block;
}

void *qw_realloc(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        out_of_memory(count, size);
    void *grown = realloc(block, bytes ? bytes : 1);
    if (!grown)
        out_of_memory(count, size);
    return grown;
}

char *qw_strdup(const char *text) { return text ? qw_memdup(text, strlen(text) + 1, 1) : NULL; }

void *qw_memdup(const void *block, size_t count, size_t size)
{
    void *copy = qw_calloc(count, size);
    if (count && size)
        memcpy(copy, block, count * size);
    return copy;
}
