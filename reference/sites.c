/* Invariant: the rows are the only list of sites. */
#include "reference/sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct qw_site_row qw_site_rows[QW_SITES] = {
#define SITE(id, name, place, party, shape, sum, in_blocks) {name, QW_##place, QW_##party, shape, sum, in_blocks},
#include "reference/sites.def"
#undef SITE
};

const char *qw_party_name(enum qw_party party)
{
    static const char *const names[QW_PARTIES] = {"protocol", "model", "cache"};
    return names[party];
}

void qw_site_path(char *out, size_t size, enum qw_site site, int layer)
{
    const struct qw_site_row *row = &qw_site_rows[site];
    if (row->place != QW_BLOCK)
        snprintf(out, size, "%s", row->name);
    else if (site == QW_SITE_OUTPUT)
        snprintf(out, size, "model.layers.%d", layer);
    else
        snprintf(out, size, "model.layers.%d.%s", layer, row->name);
}

const char *qw_site_of_path(int *layer, const char *path)
{
    static const char *const blocks[] = {"model.layers.", "transformer.h."};
    *layer = -1;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        const char *number = path + strlen(blocks[i]);
        if (strncmp(path, blocks[i], strlen(blocks[i])) != 0)
            continue;
        size_t digits = strspn(number, "0123456789");
        if (digits < 1 || digits > 6)
            return path;
        *layer = (int)strtol(number, NULL, 10);
        return number[digits] == '.' ? number + digits + 1 : "output";
    }
    return path;
}

bool qw_site_find(enum qw_site *site, const char *name)
{
    for (enum qw_site s = 0; s < QW_SITES; s++)
        if (!strcmp(qw_site_rows[s].name, name))
            return *site = s, true;
    return false;
}
