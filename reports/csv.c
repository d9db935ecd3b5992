/* Invariant: every line has one field for each column, and every text passes rp_escape_csv. */
#include "reports/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reports/escape.h"

static const struct {
    const char *key;
    bool of_case;       /* a field of the case, repeated in each of its rows */
    const char *inside; /* of an object at `key`: its field */
} columns[] = {
    {"id", true, NULL},
    {"recording", true, NULL},
    {"step", false, NULL},
    {"layer", false, NULL},
    {"site", false, NULL},
    {"party", false, NULL},
    {"status", false, NULL},
    {"kind", false, NULL},
    {"ratio", false, NULL},
    {"ratio_isolated", false, NULL},
    {"max_abs", false, NULL},
    {"rms", false, NULL},
    {"ulp", false, NULL},
    {"reason", false, NULL},
    {"grafted", false, "kl"},
    {"grafted", false, "change"},
    {"grafted", false, "top1_agrees"},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static void add_number(struct qw_text *out, double number)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", number);
    if (strtod(text, NULL) < number || strtod(text, NULL) > number)
        snprintf(text, sizeof text, "%.17g", number);
    qw_text_add(out, isnan(number) ? "nan" : text);
}

static void add_field(struct qw_text *out, const struct qw_json *field)
{
    if (qw_json_is_bool(field))
        qw_text_add(out, qw_json_bool(field, false) ? "true" : "false");
    else if (qw_json_is_number(field) || isinf(qw_json_real(field, 0)))
        add_number(out, qw_json_real(field, NAN));
    else
        rp_escape_csv(out, qw_json_text(field, ""));
}

static void add_row(struct qw_text *out, const struct qw_json *one, const struct qw_json *site)
{
    for (int i = 0; i < COLUMNS; i++) {
        qw_text_add(out, i ? "," : "");
        const struct qw_json *field = qw_json_get(columns[i].of_case ? one : site, columns[i].key);
        add_field(out, columns[i].inside ? qw_json_get(field, columns[i].inside) : field);
    }
    qw_text_add(out, "\r\n");
}

void rp_csv(struct qw_text *out, const struct qw_json *result)
{
    for (int i = 0; i < COLUMNS; i++)
        qw_text_addf(out, "%s%s%s%s", i ? "," : "", i ? columns[i].key : "case", columns[i].inside ? "_" : "",
                     columns[i].inside ? columns[i].inside : "");
    qw_text_add(out, "\r\n");
    for (const struct qw_json *c = qw_json_first(qw_json_get(result, "cases")); c; c = qw_json_next(c))
        for (const struct qw_json *s = qw_json_first(qw_json_get(c, "sites")); s; s = qw_json_next(s))
            add_row(out, c, s);
}
