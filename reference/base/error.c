/* Invariant: the first failure wins; later ones are consequences. */
#include "reference/base/error.h"

#include <stdarg.h>
#include <stdio.h>

bool qw_fail(struct qw_error *error, enum qw_error_kind kind, const char *place, const char *hint, const char *format, ...)
{
    if (error->kind != QW_ERROR_NONE)
        return false;
    error->kind = kind;
    snprintf(error->place, sizeof error->place, "%s", place ? place : "");
    snprintf(error->hint, sizeof error->hint, "%s", hint ? hint : "");
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return false;
}

void qw_error_in_file(struct qw_error *error, const char *file)
{
    if (error->kind != QW_ERROR_NONE && !error->file[0])
        snprintf(error->file, sizeof error->file, "%s", file);
}

void qw_error_text(char *out, unsigned long size, const struct qw_error *error)
{
    snprintf(out, size, "%s%s%s%s%s%s%s", error->file, error->file[0] ? ": " : "", error->place, error->place[0] ? ": " : "",
             error->message, error->hint[0] ? "; " : "", error->hint);
}
