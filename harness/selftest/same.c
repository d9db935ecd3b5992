/* Invariant: every tensor, text and number that a step holds is looked at. */
#include "harness/selftest/same.h"

#include <string.h>

static enum qc_apart most(enum qc_apart a, enum qc_apart b) { return a > b ? a : b; }
static enum qc_apart unless(bool same) { return same ? QC_APART_NOWHERE : QC_APART_STRUCTURE; }
static bool same_text(const char *a, const char *b) { return !strcmp(a ? a : "", b ? b : ""); }

static enum qc_apart tensors_apart(const struct qw_tensor *a, const struct qw_tensor *b)
{
    if (!a || !b)
        return unless(a == b);
    if (a->dtype != b->dtype || !qw_shape_equal(&a->shape, &b->shape) || !a->data != !b->data || !a->stats != !b->stats)
        return QC_APART_STRUCTURE;
    bool same = a->data    ? !memcmp(a->data, b->data, (size_t)qw_shape_count(&a->shape) * qw_dtype_bytes(a->dtype))
                : a->stats ? same_text(a->stats->sha256, b->stats->sha256)
                           : true;
    return same ? QC_APART_NOWHERE : a->dtype == QW_I64 ? QC_APART_STRUCTURE : QC_APART_VALUES;
}

static enum qc_apart caches_apart(const struct qc_cache *a, const struct qc_cache *b)
{
    enum qc_apart apart = unless(a->present == b->present && same_text(a->type, b->type) && a->length == b->length &&
                                 a->slots == b->slots && same_text(a->layout, b->layout) && a->layers == b->layers);
    for (int i = 0; apart != QC_APART_STRUCTURE && i < a->layers; i++) {
        apart = most(apart, tensors_apart(a->layer[i].key, b->layer[i].key));
        apart = most(apart, tensors_apart(a->layer[i].value, b->layer[i].value));
    }
    return apart;
}

static enum qc_apart steps_apart(const struct qc_step *a, const struct qc_step *b)
{
    enum qc_apart apart = unless(a->raised == b->raised && a->taps == b->taps);
    for (int i = 0; i < QC_INPUTS; i++)
        apart = most(apart, tensors_apart(a->input[i], b->input[i]));
    apart = most(apart, most(caches_apart(&a->before, &b->before), caches_apart(&a->after, &b->after)));
    for (int i = 0; apart != QC_APART_STRUCTURE && i < a->taps; i++)
        apart = same_text(a->tap[i].path, b->tap[i].path) ? most(apart, tensors_apart(a->tap[i].tensor, b->tap[i].tensor))
                                                          : QC_APART_STRUCTURE;
    return apart;
}

enum qc_apart qc_records_apart(const struct qc_recording *a, const struct qc_recording *b)
{
    enum qc_apart apart = unless(a->steps == b->steps && a->raised == b->raised && same_text(a->raised_at, b->raised_at));
    apart = most(apart, tensors_apart(a->adapter_prompt, b->adapter_prompt));
    for (int i = 0; apart != QC_APART_STRUCTURE && i < a->steps; i++)
        apart = most(apart, steps_apart(&a->step[i], &b->step[i]));
    return apart;
}
