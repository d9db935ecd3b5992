/* The search for the order of axes under which a tensor is the expected one. */
#include "harness/compare/layout.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* `shape` with distinct elements, and the same with axes `order`: axis i of the result is axis order[i]. */
static struct qw_tensor *turned(double **expected, const struct qw_shape *shape, const int *order)
{
    struct qw_shape out = *shape;
    int64_t count = qw_shape_count(shape);
    for (int i = 0; i < shape->rank; i++)
        out.dim[i] = shape->dim[order[i]];
    *expected = malloc(sizeof **expected * (size_t)count);
    struct qw_tensor *tensor = qw_tensor_make(QW_F64, &out);
    for (int64_t at = 0; at < count; at++) {
        int64_t from[QW_MAX_RANK], to = 0;
        (*expected)[at] = (double)at + 0.5;
        qw_shape_unravel(from, shape, at);
        for (int i = 0; i < shape->rank; i++)
            to = to * out.dim[i] + from[order[i]];
        ((double *)tensor->data)[to] = (*expected)[at];
    }
    return tensor;
}

static void expect_order(const struct qw_shape *shape, const int *order, bool found)
{
    double *expected;
    int permutation[QW_MAX_RANK] = {0};
    struct qw_tensor *tensor = turned(&expected, shape, order);
    cr_assert_eq(qc_layout_find(permutation, tensor, expected, shape), found);
    for (int i = 0; found && i < shape->rank; i++)
        cr_expect_eq(permutation[i], order[i], "axis %d", i);
    ((double *)tensor->data)[qw_shape_count(shape) - 1] += 1;
    cr_expect_not(qc_layout_find(permutation, tensor, expected, shape), "one element differs under every order");
    free(expected);
    qw_tensor_free(tensor);
}

Test(layout, swapped_axes_are_found_whether_or_not_the_extents_tell)
{
    struct qw_shape square = qw_shape_of(4, (int64_t)1, (int64_t)4, (int64_t)4, (int64_t)3);
    struct qw_shape oblong = qw_shape_of(4, (int64_t)2, (int64_t)3, (int64_t)5, (int64_t)4);
    struct qw_shape prefix = qw_shape_of(6, (int64_t)2, (int64_t)2, (int64_t)1, (int64_t)2, (int64_t)5, (int64_t)3);
    expect_order(&square, (const int[]){0, 2, 1, 3}, true);
    expect_order(&oblong, (const int[]){0, 2, 1, 3}, true);
    expect_order(&oblong, (const int[]){2, 3, 1, 0}, true);
    expect_order(&prefix, (const int[]){0, 1, 2, 4, 3, 5}, true);
}

Test(layout, one_row_changes_its_extents_but_not_its_elements)
{
    struct qw_shape one = qw_shape_of(4, (int64_t)1, (int64_t)3, (int64_t)1, (int64_t)4);
    expect_order(&one, (const int[]){0, 2, 1, 3}, true);
}

Test(layout, expected_order_is_no_finding)
{
    struct qw_shape shape = qw_shape_of(3, (int64_t)2, (int64_t)3, (int64_t)4);
    expect_order(&shape, (const int[]){0, 1, 2}, false);
}

Test(layout, constant_data_cannot_be_told_from_the_expected_order)
{
    struct qw_shape shape = qw_shape_of(4, (int64_t)1, (int64_t)4, (int64_t)4, (int64_t)3);
    struct qw_tensor *zeros = qw_tensor_make(QW_F32, &shape);
    double expected[48] = {0};
    int permutation[QW_MAX_RANK];
    cr_assert_not(qc_layout_find(permutation, zeros, expected, &shape));
    qw_tensor_free(zeros);
}

Test(layout, without_values_only_extents_that_differ_in_one_way_speak)
{
    struct qw_shape expected = qw_shape_of(4, (int64_t)1, (int64_t)2, (int64_t)9, (int64_t)8);
    struct qw_shape swapped = qw_shape_of(4, (int64_t)1, (int64_t)9, (int64_t)2, (int64_t)8);
    struct qw_shape other = qw_shape_of(4, (int64_t)1, (int64_t)9, (int64_t)3, (int64_t)8);
    struct qw_shape rank = qw_shape_of(3, (int64_t)9, (int64_t)2, (int64_t)8);
    const struct {
        const struct qw_shape *recorded;
        bool found;
    } rows[] = {{&swapped, true}, {&expected, false}, {&other, false}, {&rank, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int permutation[QW_MAX_RANK] = {0};
        struct qw_tensor *tensor = qw_tensor_structure(QW_F32, rows[i].recorded);
        cr_expect_eq(qc_layout_find(permutation, tensor, NULL, &expected), rows[i].found, "row %zu", i);
        cr_expect(!rows[i].found || (permutation[1] == 2 && permutation[2] == 1));
        qw_tensor_free(tensor);
    }
}
