/* A growing text buffer: the one way in which the program composes text. */
#ifndef QW_BASE_TEXT_H
#define QW_BASE_TEXT_H

#include <stddef.h>

struct qw_text {
    char *bytes; /* NUL-terminated once anything was added; NULL before */
    size_t length;
    size_t capacity;
};

/* Appends; the buffer owns its bytes.  Release with qw_text_free, or take them with qw_text_take. */
void qw_text_add(struct qw_text *text, const char *more);
void qw_text_add_bytes(struct qw_text *text, const char *more, size_t count);
void qw_text_addf(struct qw_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The bytes, to be freed by the caller with free(); "" (never NULL) when nothing was added.  The buffer is empty after. */
char *qw_text_take(struct qw_text *text);
void qw_text_free(struct qw_text *text);

/* A formatted text of its own; free with free(). */
char *qw_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
