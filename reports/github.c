/* Invariant: a line is one command; every text of the document in it passes rp_escape_command or rp_escape_property. */
#include "reports/github.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reports/details.h"
#include "reports/escape.h"
#include "reports/view.h"

enum { MOST_COMMANDS = 9, MOST_IDS = 5, LONG_ID = 200 };

/* Cases that are told together. */
struct group {
    const char *command;                   /* "error", "warning" */
    char *title;                           /* ids of the causes, or the status */
    const struct qw_json *first[MOST_IDS]; /* of its cases */
    int count;
};

struct groups {
    struct group *all;
    int count, room;
};

static const char *command_of(const struct qw_json *one)
{
    switch (rp_case_status(one)->outcome) {
    case RP_OUTCOME_FAILED: return "error";
    case RP_OUTCOME_STALE:
    case RP_OUTCOME_UNDECIDED: return "warning";
    default: return NULL;
    }
}

static char *title_of(const struct qw_json *one)
{
    struct qw_text title = {0};
    if (rp_case_status(one)->outcome == RP_OUTCOME_FAILED && qw_json_is_object(rp_case_cause(one)))
        rp_add_cause_ids(&title, one);
    else
        qw_text_add(&title, rp_case_status(one)->word);
    return qw_text_take(&title);
}

/* The group of that title; a new one if there is none.  Takes the title. */
static struct group *find(struct groups *groups, const char *command, char *title)
{
    for (int i = 0; i < groups->count; i++)
        if (!strcmp(groups->all[i].title, title) && groups->all[i].command == command) {
            free(title);
            return &groups->all[i];
        }
    if (groups->count == groups->room) {
        groups->room = groups->room ? 2 * groups->room : 8;
        groups->all = qw_realloc(groups->all, (size_t)groups->room, sizeof *groups->all);
    }
    groups->all[groups->count] = (struct group){.command = command, .title = title};
    return &groups->all[groups->count++];
}

static void put(struct groups *groups, const struct qw_json *one)
{
    const char *command = command_of(one);
    if (!command)
        return;
    struct group *group = find(groups, command, title_of(one));
    if (group->count < MOST_IDS)
        group->first[group->count] = one;
    group->count++;
}

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

static void add_ids(struct qw_text *out, const struct group *group)
{
    qw_text_add(out, group->count > 1 ? "%0Acases: " : "%0Acase: ");
    for (int i = 0; i < group->count && i < MOST_IDS; i++) {
        struct qw_text id = {0};
        rp_escape_line(&id, qw_json_get_text(group->first[i], "id", "-"), LONG_ID);
        qw_text_add(out, i ? ", " : "");
        rp_escape_command(out, id.bytes);
        qw_text_free(&id);
    }
    if (group->count > MOST_IDS)
        qw_text_addf(out, " and %d more", group->count - MOST_IDS);
}

static void add_command(struct qw_text *out, const struct group *group)
{
    struct qw_text title = {0};
    rp_escape_line(&title, group->title, LONG_ID);
    qw_text_addf(out, "::%s title=", group->command);
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

/* The commands of one kind, and how many are left out. */
static void add_commands(struct qw_text *out, const struct groups *groups, const char *command, const char *what)
{
    int shown = 0, left = 0;
    for (int i = 0; i < groups->count; i++) {
        if (strcmp(groups->all[i].command, command) != 0)
            continue;
        if (shown < MOST_COMMANDS)
            add_command(out, &groups->all[i]);
        else
            left++;
        shown++;
    }
    if (left)
        qw_text_addf(out, "::%s title=%d more::%d more %s are in the report and in the step summary\n", command, left, left,
                     what);
}

void rp_github(struct qw_text *out, const struct qw_json *result)
{
    struct groups groups = {0};
    for (const struct qw_json *c = qw_json_first(qw_json_get(result, "cases")); c; c = qw_json_next(c))
        put(&groups, c);
    add_commands(out, &groups, "error", "causes");
    add_commands(out, &groups, "warning", "kinds of undecided cases");
    for (int i = 0; i < groups.count; i++)
        free(groups.all[i].title);
    free(groups.all);
}
