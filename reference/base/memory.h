/* Memory: every allocation of the program goes through here.
 *
 * Out of memory is not an error that a caller can mend: the process writes one
 * line to stderr and ends with status 70.  Sizes that come from a file are
 * checked against a budget before they get here. */
#ifndef QW_BASE_MEMORY_H
#define QW_BASE_MEMORY_H

#include <stddef.h>

/* `count` zeroed elements of `size` bytes; never NULL (one byte for zero elements).  Free with free(). */
void *qw_calloc(size_t count, size_t size);

/* Grows or shrinks `block` (may be NULL) to `count` elements of `size` bytes; never NULL. */
void *qw_realloc(void *block, size_t count, size_t size);

/* A copy of `text`; NULL for NULL.  Free with free(). */
char *qw_strdup(const char *text);

/* A copy of `count` elements of `size` bytes. */
void *qw_memdup(const void *block, size_t count, size_t size);

#define QW_NEW(type)              ((type *)qw_calloc(1, sizeof(type)))
#define QW_NEW_ARRAY(type, count) ((type *)qw_calloc((size_t)(count), sizeof(type)))

#endif
