/* What is told of one case beside its status, field by field, in the same words
 * by every format that lists cases. */
#ifndef RP_DETAILS_H
#define RP_DETAILS_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/json.h"
#include "reference/base/text.h"

enum { RP_DETAIL_LIMIT = 700 }; /* bytes of one detail that are told, and a few that say how much is left out */

struct rp_detail {
    const char *key;   /* in TAP: letters and underscores */
    const char *label; /* for people */
    bool command;      /* to be typed */
    /* Appends the text as it stands in the document; false, and nothing, where the case has none. */
    bool (*add)(struct qw_text *out, const struct qw_json *one);
};

/* In the order in which they are told, the verdict first; NULL behind the last. */
const struct rp_detail *rp_detail_at(size_t index);
const struct rp_detail *rp_detail_find(const char *key); /* NULL when there is none */

/* The same without what cannot be seen and not longer than RP_DETAIL_LIMIT: one line that may stand anywhere on a terminal. */
bool rp_add_detail(struct qw_text *out, const struct rp_detail *detail, const struct qw_json *one);

#endif
