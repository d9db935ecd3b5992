/* Invariant: the set owns its names and tensors; names are unique by its producers' checks; a look-up costs the logarithm
 * of the count, because a stranger's checkpoint may have any number of names. */
#include "reference/model/tensors.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

struct known {
    char *name;
    int at;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

static void free_entry(void *entry)
{
    free(((struct known *)entry)->name);
    free(entry);
}

void qw_tensors_add(struct qw_tensors *set, const char *name, struct qw_tensor *tensor)
{
    if (!(set->count & (set->count - 1))) /* full: capacities are powers of two */
        set->item = qw_realloc(set->item, set->count ? 2 * (size_t)set->count : 1, sizeof *set->item);
    struct known *entry = QW_NEW(struct known);
    *entry = (struct known){qw_strdup(name), set->count};
    set->item[set->count++] = (struct qw_named_tensor){qw_strdup(name), tensor};
    void *node = tsearch(entry, &set->index, by_name);
    if (!node || *(struct known **)node != entry)
        free_entry(entry);
}

const struct qw_tensor *qw_tensors_find(const struct qw_tensors *set, const char *name)
{
    struct known wanted = {(char *)(uintptr_t)name, 0};
    void *node = tfind(&wanted, (void *const *)&set->index, by_name);
    const struct known *entry = node ? *(struct known **)node : NULL;
    if (!entry || entry->at >= set->count || strcmp(set->item[entry->at].name, name))
        return NULL;
    return set->item[entry->at].tensor;
}

void qw_tensors_clear(struct qw_tensors *set)
{
    for (int i = 0; i < set->count; i++) {
        free(set->item[i].name);
        qw_tensor_free(set->item[i].tensor);
    }
    free(set->item);
    tdestroy(set->index, free_entry);
    *set = (struct qw_tensors){0};
}
