/* The sites (reference/sites.def) and the parties that they belong to. */
#ifndef QW_SITES_H
#define QW_SITES_H

#include <stdbool.h>
#include <stddef.h>

enum qw_site {
#define SITE(id, name, place, party, shape, sum, in_blocks) QW_SITE_##id,
#include "reference/sites.def"
#undef SITE
    QW_SITES
};

enum qw_place { QW_CALL, QW_ADAPTER, QW_RECEIVED, QW_BEFORE, QW_HEAD, QW_BLOCK, QW_TAIL, QW_AFTER };

/* In the order in which data passes them. */
enum qw_party { QW_PROTOCOL, QW_MODEL, QW_CACHE, QW_PARTIES };

struct qw_site_row {
    const char *name;
    enum qw_place place;
    enum qw_party party;
    const char *shape, *sum;
    bool in_blocks;
};

extern const struct qw_site_row qw_site_rows[QW_SITES];

/* "protocol", "model", "cache" */
const char *qw_party_name(enum qw_party party);

/* A module's path in the model, from a site with place HEAD, BLOCK or TAIL: "model.layers.0.self_attn.q_proj". */
void qw_site_path(char *out, size_t size, enum qw_site site, int layer);
/* The reverse for any module path: the site's name, and its layer (-1 outside the blocks).  Points into `path` or is static. */
const char *qw_site_of_path(int *layer, const char *path);

/* The row of a name; false when there is none. */
bool qw_site_find(enum qw_site *site, const char *name);

#endif
