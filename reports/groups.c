/* Invariant: no two groups have both outcome and title in common. */
#include "reports/groups.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

static char *title_of(const struct qw_json *one)
{
    struct qw_text title = {0};
    enum rp_outcome outcome = rp_case_status(one)->outcome;
    bool fails = outcome == RP_OUTCOME_FAILED || outcome == RP_OUTCOME_KNOWN;
    if (fails && qw_json_is_object(rp_case_cause(one)))
        rp_add_cause_ids(&title, one);
    else
        qw_text_add(&title, rp_case_status(one)->word);
    return qw_text_take(&title);
}

/* The group of that outcome and title; a new one if there is none.  Takes the title. */
static struct rp_group *find(struct rp_groups *groups, enum rp_outcome outcome, char *title)
{
    for (int i = 0; i < groups->count; i++)
        if (groups->all[i].outcome == outcome && !strcmp(groups->all[i].title, title)) {
            free(title);
            return &groups->all[i];
        }
    if (groups->count == groups->room) {
        groups->room = groups->room ? 2 * groups->room : 8;
        groups->all = qw_realloc(groups->all, (size_t)groups->room, sizeof *groups->all);
    }
    groups->all[groups->count] = (struct rp_group){.outcome = outcome, .title = title};
    return &groups->all[groups->count++];
}

void rp_groups_make(struct rp_groups *groups, const struct qw_json *result)
{
    for (const struct qw_json *c = qw_json_first(qw_json_get(result, "cases")); c; c = qw_json_next(c)) {
        struct rp_group *group = find(groups, rp_case_status(c)->outcome, title_of(c));
        if (group->count < RP_GROUP_FIRST)
            group->first[group->count] = c;
        group->count++;
    }
}

void rp_groups_clear(struct rp_groups *groups)
{
    for (int i = 0; i < groups->count; i++)
        free(groups->all[i].title);
    free(groups->all);
    *groups = (struct rp_groups){0};
}
