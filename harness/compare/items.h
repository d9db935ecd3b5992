/* The judged places of one recording: one item per (step, layer, site). */
#ifndef QC_COMPARE_ITEMS_H
#define QC_COMPARE_ITEMS_H

#include "harness/compare/noise.h"
#include "harness/compare/subject.h"
#include "harness/compare/transform.h"
#include "reference/base/tensor.h"
#include "reference/sites.h"

/* Kinds of difference, named as in the result: KIND in qc_kind_name. */
enum qc_kind {
    QC_KIND_NONE,
    QC_MISSING,
    QC_EXTRA,
    QC_RANK,
    QC_SHAPE,
    QC_DTYPE,
    QC_LAYOUT,
    QC_CACHE_TYPE,
    QC_CACHE_LENGTH,
    QC_MASK_LENGTH,
    QC_POSITION,
    QC_NONFINITE,
    QC_VALUE,
    QC_RAISED,
    QC_KINDS
};

enum qc_status { QC_UNJUDGED, QC_CONFORMS, QC_DIFFERS, QC_INHERITED, QC_MISSES, QC_EXTRANEOUS, QC_WAIVED };

/* One of the two ways to look at a site. */
struct qc_view {
    bool looked;       /* the site was judged in this view, structurally at least */
    bool valued;       /* … and by value */
    enum qc_kind kind; /* QC_KIND_NONE: conforms */
    struct qw_shape expected_shape;
    struct qc_difference difference;
    int permutation[QW_MAX_RANK];  /* QC_LAYOUT: axis i of the record is this axis of what is expected */
    struct qc_transform transform; /* QC_VALUE: how the record is what is expected rearranged, if it is */
};

struct qc_item {
    enum qw_site site;
    int step, layer;             /* step -1: no step was reached; layer -1: outside the blocks */
    enum qw_cache_layout layout; /* order of the axes, of what caches hold */
    bool expected;               /* the healthy play has it */
    bool recorded;
    bool untapped; /* missing throughout the record: it fails, and no play could explain it */
    struct qc_view free, isolated;
    struct qw_shape observed_shape;
    const char *dtype;                         /* of the recorded tensor; NULL when absent */
    const char *expected_text, *observed_text; /* what stands in place of numbers (cache types); static or the recording's */
    const char *reason;                        /* why it was waived; static */
};

struct qc_items {
    int steps, layers;           /* extents of the table */
    enum qw_cache_layout layout; /* of the model's caches */
    struct qc_item **table;      /* by place; NULL: nobody asked for it */
    int count;
    struct qc_item **ordered; /* judged items in the order of the first divergence; after qc_items_order */
};

struct qc_items qc_items_make(int steps, int layers);
void qc_items_clear(struct qc_items *items);
/* The item of a place; made on first use.  step -1 and layer -1 are allowed. */
struct qc_item *qc_items_at(struct qc_items *items, enum qw_site site, int step, int layer);
/* Sorts the items that were judged: by step, place, layer, site. */
void qc_items_order(struct qc_items *items);
/* Leaves only what lies in the selection among the ordered: the rest is neither judged nor counted. */
void qc_items_select(struct qc_items *items, const struct qc_selection *selection);

/* Whether the view may still be judged by value: looked at, and nothing structural differs. */
bool qc_view_open(const struct qc_view *view);
/* Notes what the values gave; `kind` is what it is called when they do not conform (unless they are not finite). */
void qc_view_note(struct qc_view *view, const struct qc_difference *difference, enum qc_kind kind);

enum qc_status qc_item_status(const struct qc_item *item);
/* The view that decides (isolated where it fails or where only it exists) and its kind. */
const struct qc_view *qc_item_view(const struct qc_item *item);
bool qc_item_fails(const struct qc_item *item); /* differs, misses or extraneous: not merely inherited */
/* Whether what the model or the cache computed conforms in the free-running view, whose floor grows with all that came
 * before, and not in the isolated one. */
bool qc_item_fails_apart(const struct qc_item *item);
/* Share of the divergence energy, in the free-running view unless it fails apart: 0 conforms, 1 for a structural difference. */
double qc_item_energy(const struct qc_item *item);

const char *qc_kind_name(enum qc_kind kind);       /* "cache-length" */
const char *qc_status_name(enum qc_status status); /* "inherited" */

#endif
