/* JSON documents: strict reading, ordered building, printing that is the same
 * for the same document.  The one place that knows cJSON.
 *
 * Numbers are IEEE doubles, written so that they read back as the same double;
 * a NaN or an infinity is written as one of the strings "nan" "inf" "-inf" and
 * read back by qw_json_real. */
#ifndef QW_BASE_JSON_H
#define QW_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference/base/error.h"

struct qw_json; /* one node; a document is its root node */

/* How much of a document is read: a tree costs about 100 bytes a value, whatever few bytes the value takes in the text. */
struct qw_json_limits {
    int depth;     /* containers inside one another */
    int64_t nodes; /* values in all: texts, numbers, words, containers */
    bool counts;   /* numbers are digits alone, without sign, fraction and exponent */
};

/* Reads `size` bytes of UTF-8, strictly by RFC 8259.  Refuses (QW_ERROR_INPUT at `place`, with line and column) whatever
 * is no JSON, anything before or after the document, bytes that are no UTF-8, lone surrogates, an escaped NUL, numbers
 * that no double holds, keys that stand twice in one object ("a" and "\u0061" are the same), and more than `limits`
 * allow; all but the double keys before anything is allocated.  NULL on refusal; else free with qw_json_free. */
struct qw_json *qw_json_parse_within(const char *bytes, size_t size, const struct qw_json_limits *limits, const char *place,
                                     struct qw_error *error);
/* The same within 64 levels and 2^24 values: what this program writes itself stays far below. */
struct qw_json *qw_json_parse(const char *bytes, size_t size, const char *place, struct qw_error *error);
void qw_json_free(struct qw_json *root); /* NULL is fine */
struct qw_json *qw_json_copy(const struct qw_json *node);

/* Building.  `put` adds to an object under `key`, `add` appends to an array; both take ownership of `child` and
 * return it.  A NULL text puts null; bytes that are no UTF-8 (a file may be called so) become U+FFFD. */
struct qw_json *qw_json_object(void);
struct qw_json *qw_json_array(void);
struct qw_json *qw_json_put(struct qw_json *object, const char *key, struct qw_json *child);
void qw_json_put_text(struct qw_json *object, const char *key, const char *text);
void qw_json_put_int(struct qw_json *object, const char *key, int64_t number);
void qw_json_put_real(struct qw_json *object, const char *key, double number);
void qw_json_put_bool(struct qw_json *object, const char *key, bool truth);
void qw_json_put_null(struct qw_json *object, const char *key);
/* As `put`, in the place of what stands under `key` already, if anything does. */
struct qw_json *qw_json_set(struct qw_json *object, const char *key, struct qw_json *child);
void qw_json_set_text(struct qw_json *object, const char *key, const char *text);
void qw_json_set_int(struct qw_json *object, const char *key, int64_t number);
struct qw_json *qw_json_add(struct qw_json *array, struct qw_json *child);
void qw_json_add_text(struct qw_json *array, const char *text);
void qw_json_add_int(struct qw_json *array, int64_t number);

/* Reading.  All accept NULL (as a missing node) and give the fallback for a missing node or another type. */
const struct qw_json *qw_json_get(const struct qw_json *object, const char *key); /* exact key; NULL if absent */
const struct qw_json *qw_json_first(const struct qw_json *container);
const struct qw_json *qw_json_next(const struct qw_json *child);
int qw_json_size(const struct qw_json *container);
const char *qw_json_key(const struct qw_json *child);                       /* key under which it was put; NULL in arrays */
const char *qw_json_text(const struct qw_json *node, const char *fallback); /* valid as long as the document */
double qw_json_real(const struct qw_json *node, double fallback);           /* also the strings "nan" "inf" "-inf" */
int64_t qw_json_int(const struct qw_json *node, int64_t fallback);          /* fallback for fractions and beyond 2^53 */
bool qw_json_bool(const struct qw_json *node, bool fallback);
bool qw_json_is_null(const struct qw_json *node); /* true for a missing node too */
bool qw_json_is_bool(const struct qw_json *node);
bool qw_json_is_text(const struct qw_json *node);
bool qw_json_is_number(const struct qw_json *node);
bool qw_json_is_object(const struct qw_json *node);
bool qw_json_is_array(const struct qw_json *node);

/* Shorthands for paths of one and two keys. */
const char *qw_json_get_text(const struct qw_json *object, const char *key, const char *fallback);
double qw_json_get_real(const struct qw_json *object, const char *key, double fallback);
int64_t qw_json_get_int(const struct qw_json *object, const char *key, int64_t fallback);
bool qw_json_get_bool(const struct qw_json *object, const char *key, bool fallback);

/* Text of the document, indented when `pretty`, with a final newline; free with free(). */
char *qw_json_print(const struct qw_json *node, bool pretty);

#endif
