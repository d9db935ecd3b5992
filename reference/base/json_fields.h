/* Fields of a JSON object that must have a type: a value of another type is
 * refused by name, never replaced by a default.
 *
 * Each function leaves `*out` as it was when the field may stay away and does,
 * so the caller writes the default there first.  Unknown keys are nobody's
 * business. */
#ifndef QW_BASE_JSON_FIELDS_H
#define QW_BASE_JSON_FIELDS_H

#include "reference/base/json.h"

enum qw_presence {
    QW_REQUIRED,
    QW_OPTIONAL, /* may stay away */
    QW_NULLABLE, /* may stay away, and null means the same */
};

/* Where fields are read from, and how a refusal speaks (QW_ERROR_INPUT at `place`). */
struct qw_fields {
    const struct qw_json *object;
    const char *place, *hint;
    struct qw_error *error;
};

bool qw_field_whole(int64_t *out, const struct qw_fields *from, const char *key, enum qw_presence presence, int64_t least,
                    int64_t most);
/* A number with `least` <= number < `beyond`. */
bool qw_field_real(double *out, const struct qw_fields *from, const char *key, enum qw_presence presence, double least,
                   double beyond);
bool qw_field_bool(bool *out, const struct qw_fields *from, const char *key, enum qw_presence presence);
bool qw_field_text(const char **out, const struct qw_fields *from, const char *key, enum qw_presence presence);
bool qw_field_object(const struct qw_json **out, const struct qw_fields *from, const char *key, enum qw_presence presence);

/* What a node is, in words: `the text "1e6"`, `1.5`, `true`, `null`, `a list`, `an object`, `missing`. */
void qw_json_describe(char *out, size_t size, const struct qw_json *node);

#endif
