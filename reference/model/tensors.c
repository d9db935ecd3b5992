/* Invariant: the set owns its names and tensors; names are unique by its producers' checks. */
#include "reference/model/tensors.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

void qw_tensors_add(struct qw_tensors *set, const char *name, struct qw_tensor *tensor)
{
    set->item = qw_realloc(set->item, (size_t)set->count + 1, sizeof *set->item);
    set->item[set->count++] = (struct qw_named_tensor){qw_strdup(name), tensor};
}

const struct qw_tensor *qw_tensors_find(const struct qw_tensors *set, const char *name)
{
    for (int i = 0; i < set->count; i++)
        if (!strcmp(set->item[i].name, name))
            return set->item[i].tensor;
    return NULL;
}

void qw_tensors_clear(struct qw_tensors *set)
{
    for (int i = 0; i < set->count; i++) {
        free(set->item[i].name);
        qw_tensor_free(set->item[i].tensor);
    }
    free(set->item);
    *set = (struct qw_tensors){0};
}
