/* Invariant: `*out` is written only with a value of the wanted type and range. */
#include "reference/base/json_fields.h"

#include <stdio.h>

void qw_json_describe(char *out, size_t size, const struct qw_json *node)
{
    if (!node)
        snprintf(out, size, "missing");
    else if (qw_json_is_text(node))
        snprintf(out, size, "the text \"%.40s\"", qw_json_text(node, ""));
    else if (qw_json_is_number(node))
        snprintf(out, size, "%.17g", qw_json_real(node, 0));
    else if (qw_json_is_bool(node))
        snprintf(out, size, qw_json_bool(node, false) ? "true" : "false");
    else
        snprintf(out, size, qw_json_is_null(node) ? "null" : qw_json_is_array(node) ? "a list" : "an object");
}

static bool refuse(const struct qw_fields *from, const char *key, const char *wanted)
{
    char is[80];
    qw_json_describe(is, sizeof is, qw_json_get(from->object, key));
    return qw_fail(from->error, QW_ERROR_INPUT, from->place, from->hint, "\"%s\" is %s; it must be %s", key, is, wanted);
}

/* Whether the field stays away, and may. */
static bool is_away(const struct qw_fields *from, const char *key, enum qw_presence presence)
{
    const struct qw_json *node = qw_json_get(from->object, key);
    return presence != QW_REQUIRED && (presence == QW_NULLABLE ? qw_json_is_null(node) : !node);
}

bool qw_field_whole(int64_t *out, const struct qw_fields *from, const char *key, enum qw_presence presence, int64_t least,
                    int64_t most)
{
    if (is_away(from, key, presence))
        return true;
    int64_t number = qw_json_int(qw_json_get(from->object, key), least - 1);
    char wanted[96];
    snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)least, (long long)most);
    if (number < least || number > most)
        return refuse(from, key, wanted);
    *out = number;
    return true;
}

bool qw_field_real(double *out, const struct qw_fields *from, const char *key, enum qw_presence presence, double least,
                   double beyond)
{
    if (is_away(from, key, presence))
        return true;
    const struct qw_json *node = qw_json_get(from->object, key);
    double number = qw_json_real(node, 0);
    char wanted[96];
    snprintf(wanted, sizeof wanted, "a number from %g up to %g", least, beyond);
    if (!qw_json_is_number(node) || !(number >= least && number < beyond))
        return refuse(from, key, wanted);
    *out = number;
    return true;
}

bool qw_field_bool(bool *out, const struct qw_fields *from, const char *key, enum qw_presence presence)
{
    if (is_away(from, key, presence))
        return true;
    const struct qw_json *node = qw_json_get(from->object, key);
    if (!qw_json_is_bool(node))
        return refuse(from, key, "true or false");
    *out = qw_json_bool(node, false);
    return true;
}

bool qw_field_text(const char **out, const struct qw_fields *from, const char *key, enum qw_presence presence)
{
    if (is_away(from, key, presence))
        return true;
    const struct qw_json *node = qw_json_get(from->object, key);
    if (!qw_json_is_text(node))
        return refuse(from, key, "a text");
    *out = qw_json_text(node, "");
    return true;
}

bool qw_field_object(const struct qw_json **out, const struct qw_fields *from, const char *key, enum qw_presence presence)
{
    if (is_away(from, key, presence))
        return true;
    const struct qw_json *node = qw_json_get(from->object, key);
    if (!qw_json_is_object(node))
        return refuse(from, key, "an object");
    *out = node;
    return true;
}
