/* The families of models (reference/families.def), the sites (reference/sites.def) and the parties that they belong to. */
#ifndef QW_SITES_H
#define QW_SITES_H

#include <stdbool.h>
#include <stddef.h>

enum qw_family {
#define FAMILY(id, class, model_type, covers, root, blocks, attention, layout, names, embed, projected) QW_FAMILY_##id,
#include "reference/families.def"
#undef FAMILY
    QW_FAMILIES
};

enum qw_site {
#define SITE(id, families, when, name, place, party, shape, sum, in_blocks) QW_SITE_##id,
#include "reference/sites.def"
#undef SITE
    QW_SITES
};

/* In which order a model keeps the axes of its cache: B batch, K heads, S sequence, D head size. */
enum qw_cache_layout { QW_LAYOUT_BKSD, QW_LAYOUT_BSKD };

/* The names of the tensors in a checkpoint: those of every later model, or the first Qwen's. */
enum qw_naming { QW_NAMES_LATER, QW_NAMES_FIRST, QW_NAMINGS };

struct qw_family_row {
    const char *model_class, *model_type, *covers;
    const char *root, *blocks, *attention; /* "model", "model.layers.", "self_attn" */
    enum qw_cache_layout layout;
    enum qw_naming names;
    enum qw_site embed, projected;
};

extern const struct qw_family_row qw_family_rows[QW_FAMILIES];

/* The family of a model's class ("Qwen2ForCausalLM"), or of a configuration's model_type ("qwen2"); false for another. */
bool qw_family_of_class(enum qw_family *family, const char *model_class);
bool qw_family_of_type(enum qw_family *family, const char *model_type);

enum qw_place { QW_CALL, QW_ADAPTER, QW_RECEIVED, QW_BEFORE, QW_HEAD, QW_BLOCK, QW_TAIL, QW_AFTER };

/* In the order in which data passes them. */
enum qw_party { QW_PROTOCOL, QW_MODEL, QW_CACHE, QW_PARTIES };

/* On what it depends whether a site is there. */
enum qw_when { QW_WHEN_ALWAYS, QW_WHEN_IDS, QW_WHEN_ONCE, QW_WHEN_EACH };

struct qw_site_row {
    const char *name;
    enum qw_place place;
    enum qw_party party;
    unsigned families; /* 1 << enum qw_family */
    enum qw_when when;
    const char *shape, *sum;
    bool in_blocks;
};

extern const struct qw_site_row qw_site_rows[QW_SITES];

/* "protocol", "model", "cache" */
const char *qw_party_name(enum qw_party party);

bool qw_site_in_family(enum qw_site site, enum qw_family family);

/* A module's path in a model, from a site with place HEAD, BLOCK or TAIL: "model.layers.0.self_attn.q_proj". */
void qw_site_path(char *out, size_t size, enum qw_family family, enum qw_site site, int layer);
/* The reverse for any module path: the site's name, and its layer (-1 outside the blocks).  Points into `path` or is static. */
const char *qw_site_of_path(int *layer, const char *path);

/* The row of a name; false when there is none. */
bool qw_site_find(enum qw_site *site, const char *name);

#endif
