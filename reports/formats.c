/* Invariant: the table is exactly formats.def. */
#include "reports/formats.h"

#include <stdlib.h>
#include <string.h>

#include "reports/csv.h"
#include "reports/html.h"

static const struct rp_format formats[] = {
#define RP_FORMAT(name, option, suffix, summary, renderer) {name, option, suffix, summary, renderer},
#include "reports/formats.def"
#undef RP_FORMAT
};

size_t rp_format_count(void) { return sizeof formats / sizeof *formats; }

const struct rp_format *rp_format_at(size_t index) { return index < rp_format_count() ? &formats[index] : NULL; }

const struct rp_format *rp_format_find(const char *name)
{
    for (size_t i = 0; i < rp_format_count(); i++)
        if (!strcmp(name, formats[i].name) || !strcmp(name, formats[i].option))
            return &formats[i];
    return NULL;
}

void rp_json(struct qw_text *out, const struct qw_json *result)
{
    char *text = qw_json_print(result, true);
    qw_text_add(out, text);
    free(text);
}
