/* A set of named tensors: a checkpoint, an adapter, the embedded weights of a recording. */
#ifndef QW_MODEL_TENSORS_H
#define QW_MODEL_TENSORS_H

#include "reference/base/tensor.h"

struct qw_named_tensor {
    char *name;
    struct qw_tensor *tensor;
};

struct qw_tensors {
    int count;
    struct qw_named_tensor *item; /* in the order of adding */
    void *index;                  /* where each name stands; kept by the functions below */
};

/* Takes ownership of `tensor`, copies `name`. */
void qw_tensors_add(struct qw_tensors *set, const char *name, struct qw_tensor *tensor);
/* NULL when there is none of that name. */
const struct qw_tensor *qw_tensors_find(const struct qw_tensors *set, const char *name);
/* Releases the tensors; the set is empty after. */
void qw_tensors_clear(struct qw_tensors *set);

#endif
