/* Invariant: bytes[length] == 0 whenever bytes is not NULL. */
#include "reference/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

static void reserve(struct qw_text *text, size_t more)
{
    size_t need = text->length + more + 1;
    if (need <= text->capacity)
        return;
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    text->bytes = qw_realloc(text->bytes, capacity, 1);
    text->capacity = capacity;
}

void qw_text_add_bytes(struct qw_text *text, const char *more, size_t count)
{
    reserve(text, count);
    memcpy(text->bytes + text->length, more, count);
    text->length += count;
    text->bytes[text->length] = 0;
}

void qw_text_add(struct qw_text *text, const char *more) { qw_text_add_bytes(text, more, strlen(more)); }

static void add_formatted(struct qw_text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int count = vsnprintf(NULL, 0, format, args);
    reserve(text, (size_t)count);
    vsnprintf(text->bytes + text->length, (size_t)count + 1, format, again);
    text->length += (size_t)count;
    va_end(again);
}

void qw_text_addf(struct qw_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_formatted(text, format, args);
    va_end(args);
}

char *qw_text_take(struct qw_text *text)
{
    reserve(text, 0);
    text->bytes[text->length] = 0;
    char *bytes = text->bytes;
    *text = (struct qw_text){0};
    return bytes;
}

void qw_text_free(struct qw_text *text)
{
    free(text->bytes);
    *text = (struct qw_text){0};
}

char *qw_format(const char *format, ...)
{
    struct qw_text text = {0};
    va_list args;
    va_start(args, format);
    add_formatted(&text, format, args);
    va_end(args);
    return qw_text_take(&text);
}
