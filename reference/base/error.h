/* Errors of input and output, as values: what went wrong, in which file, at
 * which place in it, and what a person can do about it.
 *
 * Convention: a function that can meet bad input returns bool and takes a
 * `struct qw_error *` last; false means that the error is filled in.  The
 * first failure is kept.  Mistakes of the programmer assert. */
#ifndef QW_BASE_ERROR_H
#define QW_BASE_ERROR_H

#include <stdbool.h>

enum qw_error_kind {
    QW_ERROR_NONE,
    QW_ERROR_INPUT,       /* unreadable, malformed, or contradicting itself (exit 3) */
    QW_ERROR_UNSUPPORTED, /* well-formed, but outside what is covered (status SKIP) */
    QW_ERROR_OUTPUT,      /* a requested output could not be written (exit 74) */
    QW_ERROR_INTERNAL,    /* a bug of the program (exit 70) */
};

struct qw_error {
    enum qw_error_kind kind;
    char file[512];     /* path as the user gave it; "" when there is none */
    char place[256];    /* object inside the file: "/call/input_ids", "model.norm.weight"; "" when it is the whole file */
    char message[1024]; /* the reason, one sentence without full stop */
    char hint[512];     /* what to do; "" when there is nothing to say */
};

/* Fills `error` unless it already holds one; always false, so that `return qw_fail(…)` reads well. */
bool qw_fail(struct qw_error *error, enum qw_error_kind kind, const char *place, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Names the file of an error that was found by a function that knew only bytes. */
void qw_error_in_file(struct qw_error *error, const char *file);

/* "file: place: message; hint" in `out` (always terminated). */
void qw_error_text(char *out, unsigned long size, const struct qw_error *error);

#endif
