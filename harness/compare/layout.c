/* Invariant: a permutation is reported only when every element agrees under it. */
#include "harness/compare/layout.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

struct search {
    const struct qw_tensor *recorded;
    const double *values, *expected; /* NULL: the extents alone decide */
    const struct qw_shape *shape;
    int *found, trial[QW_MAX_RANK];
    int fewest, matches; /* axes moved by the best so far, and how many move as few */
};

/* Distance of two neighbours along each axis, in elements. */
static void strides_of(int64_t stride[QW_MAX_RANK], const struct qw_shape *shape)
{
    int64_t next = 1;
    for (int axis = shape->rank - 1; axis >= 0; axis--) {
        stride[axis] = next;
        next *= shape->dim[axis];
    }
}

static bool values_agree(const struct search *search)
{
    int64_t stride[QW_MAX_RANK], index[QW_MAX_RANK], count = qw_shape_count(&search->recorded->shape);
    strides_of(stride, search->shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t from = 0;
        qw_shape_unravel(index, &search->recorded->shape, i);
        for (int axis = 0; axis < search->shape->rank; axis++)
            from += index[axis] * stride[search->trial[axis]];
        if (!(search->values[i] == search->expected[from]))
            return false;
    }
    return true;
}

static int moved_axes(const struct search *search)
{
    int moved = 0;
    for (int axis = 0; axis < search->shape->rank; axis++)
        moved += search->trial[axis] != axis;
    return moved;
}

static void weigh_trial(struct search *search)
{
    int moved = moved_axes(search);
    if (moved > search->fewest || (search->values && !values_agree(search)))
        return;
    search->matches = moved < search->fewest ? 1 : search->matches + 1;
    search->fewest = moved;
    memcpy(search->found, search->trial, sizeof search->trial);
}

/* Tries every order of the axes from `axis` on that gives the recorded extents. */
static void try_axes(struct search *search, int axis, unsigned used)
{
    if (axis == search->shape->rank) {
        weigh_trial(search);
        return;
    }
    for (int from = 0; from < search->shape->rank; from++)
        if (!(used & 1u << from) && search->shape->dim[from] == search->recorded->shape.dim[axis]) {
            search->trial[axis] = from;
            try_axes(search, axis + 1, used | 1u << from);
        }
}

bool qc_layout_find(int permutation[QW_MAX_RANK], const struct qw_tensor *recorded, const double *expected,
                    const struct qw_shape *shape)
{
    if (recorded->shape.rank != shape->rank || shape->rank < 2 || qw_shape_count(shape) == 0)
        return false;
    bool valued = recorded->data && expected;
    double *values = valued ? qw_tensor_doubles(recorded) : NULL;
    struct search search = {.recorded = recorded,
                            .values = values,
                            .expected = expected,
                            .shape = shape,
                            .found = permutation,
                            .fewest = QW_MAX_RANK + 1};
    try_axes(&search, 0, 0);
    free(values);
    return search.matches == 1 && search.fewest > 0;
}
