/* Invariant: the rows are the only lists of families and of sites. */
#include "reference/sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct qw_family_row qw_family_rows[QW_FAMILIES] = {
#define FAMILY(id, class, model_type, covers, root, blocks, attention, layout, names, embed, projected)                          \
    {class,           model_type,         covers, root, blocks, attention, QW_LAYOUT_##layout, QW_NAMES_##names,                 \
     QW_SITE_##embed, QW_SITE_##projected},
#include "reference/families.def"
#undef FAMILY
};

/* What the column `families` of sites.def may hold. */
enum {
    OF_QWEN2 = 1 << QW_FAMILY_QWEN2,
    OF_QWEN3 = 1 << QW_FAMILY_QWEN3,
    OF_QWEN = 1 << QW_FAMILY_QWEN,
    OF_LATER = OF_QWEN2 | OF_QWEN3,
    OF_ALL = (1 << QW_FAMILIES) - 1
};

const struct qw_site_row qw_site_rows[QW_SITES] = {
#define SITE(id, families, when, name, place, party, shape, sum, in_blocks)                                                      \
    {name, QW_##place, QW_##party, OF_##families, QW_WHEN_##when, shape, sum, in_blocks},
#include "reference/sites.def"
#undef SITE
};

bool qw_family_of_class(enum qw_family *family, const char *model_class)
{
    for (enum qw_family f = 0; f < QW_FAMILIES; f++)
        if (!strcmp(qw_family_rows[f].model_class, model_class))
            return *family = f, true;
    return false;
}

bool qw_family_of_type(enum qw_family *family, const char *model_type)
{
    for (enum qw_family f = 0; f < QW_FAMILIES; f++)
        if (!strcmp(qw_family_rows[f].model_type, model_type))
            return *family = f, true;
    return false;
}

const char *qw_party_name(enum qw_party party)
{
    static const char *const names[QW_PARTIES] = {"protocol", "model", "cache"};
    return names[party];
}

bool qw_site_in_family(enum qw_site site, enum qw_family family) { return qw_site_rows[site].families >> family & 1; }

void qw_site_path(char *out, size_t size, enum qw_family family, enum qw_site site, int layer)
{
    const struct qw_site_row *row = &qw_site_rows[site];
    const char *blocks = qw_family_rows[family].blocks;
    if (row->place != QW_BLOCK)
        snprintf(out, size, "%s", row->name);
    else if (site == QW_SITE_OUTPUT)
        snprintf(out, size, "%s%d", blocks, layer);
    else
        snprintf(out, size, "%s%d.%s", blocks, layer, row->name);
}

const char *qw_site_of_path(int *layer, const char *path)
{
    *layer = -1;
    for (enum qw_family family = 0; family < QW_FAMILIES; family++) {
        const char *blocks = qw_family_rows[family].blocks;
        if (strncmp(path, blocks, strlen(blocks)) != 0)
            continue;
        const char *number = path + strlen(blocks);
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
