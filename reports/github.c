/* Invariant: a line is one command; every text of the document in it passes rp_escape_command or rp_escape_property. */
#include "reports/github.h"

#include "reports/details.h"
#include "reports/escape.h"
#include "reports/groups.h"

enum { MOST_COMMANDS = 9, LONG_TEXT = 200 };

/* One detail of the first case on a line of its own. */
static void add_detail(struct qw_text *out, size_t index, const struct qw_json *one, const char *before)
{
    struct qw_text text = {0};
    if (rp_add_detail(&text, rp_detail_at(index), one)) {
        qw_text_add(out, before);
        rp_escape_command(out, text.bytes);
    }
    qw_text_free(&text);
}

static void add_ids(struct qw_text *out, const struct rp_group *group)
{
    qw_text_add(out, group->count > 1 ? "%0Acases: " : "%0Acase: ");
    for (int i = 0; i < group->count && i < RP_GROUP_FIRST; i++) {
        struct qw_text id = {0};
        rp_escape_line(&id, qw_json_get_text(group->first[i], "id", "-"), LONG_TEXT);
        qw_text_add(out, i ? ", " : "");
        rp_escape_command(out, id.bytes);
        qw_text_free(&id);
    }
    if (group->count > RP_GROUP_FIRST)
        qw_text_addf(out, " and %d more", group->count - RP_GROUP_FIRST);
}

static void add_command(struct qw_text *out, const struct rp_group *group, const char *command)
{
    struct qw_text title = {0};
    rp_escape_line(&title, group->title, LONG_TEXT);
    qw_text_addf(out, "::%s title=", command);
    rp_escape_property(out, title.bytes);
    if (group->count > 1)
        qw_text_addf(out, " (%d cases)", group->count);
    qw_text_add(out, "::");
    add_detail(out, 0, group->first[0], "");
    add_ids(out, group);
    for (size_t i = 1; rp_detail_at(i); i++)
        if (rp_detail_at(i)->command)
            add_detail(out, i, group->first[0], "%0Arun again: ");
    qw_text_add(out, "\n");
    qw_text_free(&title);
}

static bool is_error(const struct rp_group *group) { return group->outcome == RP_OUTCOME_FAILED; }

static bool is_warning(const struct rp_group *group)
{
    return group->outcome == RP_OUTCOME_STALE || group->outcome == RP_OUTCOME_UNDECIDED;
}

/* The commands of one kind, and how many are left out. */
static void add_commands(struct qw_text *out, const struct rp_groups *groups, const char *command,
                         bool (*wanted)(const struct rp_group *))
{
    int count = 0;
    for (int i = 0; i < groups->count; i++)
        if (wanted(&groups->all[i]) && ++count <= MOST_COMMANDS)
            add_command(out, &groups->all[i], command);
    int left = count - MOST_COMMANDS;
    if (left > 0)
        qw_text_addf(out, "::%s title=%d more::%d more causes are in the report and in the step summary\n", command, left, left);
}

void rp_github(struct qw_text *out, const struct qw_json *result)
{
    struct rp_groups groups = {0};
    rp_groups_make(&groups, result);
    add_commands(out, &groups, "error", is_error);
    add_commands(out, &groups, "warning", is_warning);
    rp_groups_clear(&groups);
}
