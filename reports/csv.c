/* Invariant: every line has one field for each column, and every text passes rp_escape_csv. */
#include "reports/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reports/escape.h"

static const struct {
    const char *key;
    bool of_case; /* a field of the case, repeated in each of its rows */
} columns[] = {
    {"id", true},       {"recording", true}, {"step", false}, {"layer", false},  {"site", false},
    {"party", false},   {"status", false},   {"kind", false}, {"ratio", false},  {"ratio_isolated", false},
    {"max_abs", false}, {"rms", false},      {"ulp", false},  {"reason", false},
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
    if (qw_json_is_number(field) || isinf(qw_json_real(field, 0)))
        add_number(out, qw_json_real(field, NAN));
    else
        rp_escape_csv(out, qw_json_text(field, ""));
}

static void add_row(struct qw_text *out, const struct qw_json *one, const struct qw_json *site)
{
    for (int i = 0; i < COLUMNS; i++) {
        qw_text_add(out, i ? "," : "");
        add_field(out, qw_json_get(columns[i].of_case ? one : site, columns[i].key));
    }
    qw_text_add(out, "\r\n");
}

void rp_csv(struct qw_text *out, const struct qw_json *result)
{
    for (int i = 0; i < COLUMNS; i++)
        qw_text_addf(out, "%s%s", i ? "," : "", i ? columns[i].key : "case");
    qw_text_add(out, "\r\n");
    for (const struct qw_json *c = qw_json_first(qw_json_get(result, "cases")); c; c = qw_json_next(c))
        for (const struct qw_json *s = qw_json_first(qw_json_get(c, "sites")); s; s = qw_json_next(s))
            add_row(out, c, s);
}
