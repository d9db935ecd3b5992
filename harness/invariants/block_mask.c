/* Invariant: a mask of four axes is right when each row shows the keys up to its own that the mask of two axes shows. */
#include <stdlib.h>

#include "harness/invariants/look.h"
#include "harness/invariants/structure.h"
#include "reference/base/memory.h"

#define HIDDEN_BELOW (-1e4) /* what is added to a score to hide its key: at least this much, in any element type */

/* What one element says: 1 visible, 0 hidden, -1 neither.  Integers are truth values, floats are added to the scores. */
static int shows(const struct qw_tensor *mask, int64_t index)
{
    double value = qw_tensor_at(mask, index);
    if (mask->dtype == QW_I64)
        return value == 0 || value == 1 ? (int)value : -1;
    return value == 0 ? 1 : value <= HIDDEN_BELOW ? 0 : -1;
}

/* Index of (batch row, query, key); one batch row may stand for all. */
static int64_t index_of(const struct qw_tensor *mask, int64_t b, int64_t i, int64_t j)
{
    const int64_t *dim = mask->shape.dim;
    return ((dim[0] == 1 ? 0 : b) * dim[1] * dim[2] + i) * dim[3] + j;
}

static bool is_block(const struct qw_tensor *mask, int64_t batch, int64_t past, int64_t queries)
{
    const int64_t *dim = mask->shape.dim;
    return mask->data && mask->shape.rank == 4 && (dim[0] == 1 || dim[0] == batch) && dim[1] == 1 && dim[2] == queries &&
           dim[3] >= past + queries;
}

/* Whether row i of the call sees key j. */
static bool sees(const double *flat, int64_t length, int64_t b, int64_t past, int64_t i, int64_t j)
{
    return j <= past + i && (!flat || j >= length || flat[b * length + j] != 0);
}

double *qc_block_mask_flat(const struct qw_tensor *mask, int64_t batch, int64_t past, int64_t queries)
{
    if (!is_block(mask, batch, past, queries))
        return NULL;
    int64_t S = past + queries;
    double *flat = QW_NEW_ARRAY(double, batch * S);
    for (int64_t b = 0; b < batch; b++)
        for (int64_t j = 0; j < S; j++)
            flat[b * S + j] = shows(mask, index_of(mask, b, queries - 1, j)) == 1;
    for (int64_t k = 0; k < batch * queries * mask->shape.dim[3]; k++) {
        int64_t j = k % mask->shape.dim[3], i = k / mask->shape.dim[3] % queries, b = k / mask->shape.dim[3] / queries;
        if (shows(mask, index_of(mask, b, i, j)) != sees(flat, S, b, past, i, j)) {
            free(flat);
            return NULL;
        }
    }
    return flat;
}

/* A row that sees nothing has no say in anything that is kept: some releases let it see everything instead. */
static bool is_blind(const struct qw_handover *handover, int64_t b, int64_t i)
{
    for (int64_t j = 0; j <= handover->first_slot + i; j++)
        if (sees(handover->mask, handover->mask_length, b, handover->first_slot, i, j))
            return false;
    return true;
}

/* What the mask should hold, in its own way of saying it: where it says that, what it holds. */
static double *wanted_of(const struct qw_tensor *mask, const struct qw_handover *handover)
{
    int64_t count = qw_shape_count(&mask->shape), q = handover->queries, keys = mask->shape.dim[3];
    double *wanted = qw_tensor_doubles(mask);
    for (int64_t k = 0; k < count; k++) {
        int64_t j = k % keys, i = k / keys % q, b = k / keys / q;
        bool seen = sees(handover->mask, handover->mask_length, b, handover->first_slot, i, j);
        if (shows(mask, k) != seen && !is_blind(handover, b, i))
            wanted[k] = mask->dtype == QW_I64 ? seen : seen ? 0 : HIDDEN_BELOW;
    }
    return wanted;
}

void qc_judge_block_mask(struct qc_judgement *judgement, struct qc_item *item, const struct qw_tensor *mask,
                         const struct qw_handover *handover)
{
    int64_t keys = handover->first_slot + handover->queries, rows = mask->shape.dim[0];
    bool fits = is_block(mask, judgement->subject->call.batch, handover->first_slot, handover->queries);
    struct qw_shape expected = fits ? mask->shape
                                    : qw_shape_of(4, rows == 1 ? rows : handover->batch, (int64_t)1, handover->queries, keys);
    qc_look(item, &item->free, mask, &expected);
    if (item->free.kind != QC_KIND_NONE) {
        item->free.kind = QC_MASK_LENGTH;
        return;
    }
    double *wanted = wanted_of(mask, handover);
    qc_look_at_copy(&item->free, mask, wanted, QC_VALUE);
    free(wanted);
}
