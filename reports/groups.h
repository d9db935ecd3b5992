/* Cases that are told together: those of one outcome with one cause. */
#ifndef RP_GROUPS_H
#define RP_GROUPS_H

#include "reference/base/json.h"
#include "reports/view.h"

enum { RP_GROUP_FIRST = 5 };

struct rp_group {
    enum rp_outcome outcome;
    char *title;                                 /* ids of the causes of a failure, known or not; else the status */
    const struct qw_json *first[RP_GROUP_FIRST]; /* of its cases, which stay the document's */
    int count;
};

struct rp_groups {
    struct rp_group *all; /* in the order in which the document has a first case of each */
    int count, room;
};

/* Every case of the document is in one group.  `groups` is empty before; release with rp_groups_clear. */
void rp_groups_make(struct rp_groups *groups, const struct qw_json *result);
void rp_groups_clear(struct rp_groups *groups);

#endif
