/* Invariant: every tensor, text and number that a step holds is looked at. */
#include "harness/selftest/same.h"

#include <string.h>

/* Two records on their way to being compared, and how far apart they are so far. */
struct pair {
    const struct qc_recording *a, *b;
    const struct qc_apart_listener *listener;
    enum qc_apart apart;
};

static void note(struct pair *pair, bool same)
{
    if (!same)
        pair->apart = QC_APART_STRUCTURE;
}

static bool same_text(const char *a, const char *b) { return !strcmp(a ? a : "", b ? b : ""); }

static bool same_elements(const struct qw_tensor *a, const struct qw_tensor *b)
{
    if (a->data)
        return !memcmp(a->data, b->data, (size_t)qw_shape_count(&a->shape) * qw_dtype_bytes(a->dtype));
    return !a->stats || same_text(a->stats->sha256, b->stats->sha256);
}

static void look(struct pair *pair, const struct qw_tensor *a, const struct qw_tensor *b, enum qw_site site, int step, int layer)
{
    bool alike = a && b ? a->dtype == b->dtype && qw_shape_equal(&a->shape, &b->shape) && !a->data == !b->data &&
                              !a->stats == !b->stats
                        : a == b;
    note(pair, alike);
    if (!alike || !a || same_elements(a, b))
        return;
    note(pair, a->dtype != QW_I64);
    if (pair->apart == QC_APART_NOWHERE)
        pair->apart = QC_APART_VALUES;
    if (pair->listener)
        pair->listener->tell(pair->listener->user, site, step, layer);
}

static void look_at_caches(struct pair *pair, const struct qc_cache *a, const struct qc_cache *b, enum qw_site key, int step)
{
    note(pair, a->present == b->present && same_text(a->type, b->type) && a->length == b->length && a->slots == b->slots &&
                   same_text(a->layout, b->layout) && a->layers == b->layers);
    for (int i = 0; i < a->layers && i < b->layers; i++) {
        look(pair, a->layer[i].key, b->layer[i].key, key, step, i);
        look(pair, a->layer[i].value, b->layer[i].value, key + 1, step, i);
    }
}

static void look_at_taps(struct pair *pair, const struct qc_step *a, const struct qc_step *b, int step)
{
    note(pair, a->taps == b->taps);
    for (int i = 0; i < a->taps && i < b->taps; i++) {
        int layer;
        enum qw_site site;
        note(pair, same_text(a->tap[i].path, b->tap[i].path) && qw_site_find(&site, qw_site_of_path(&layer, a->tap[i].path)));
        if (pair->apart != QC_APART_STRUCTURE)
            look(pair, a->tap[i].tensor, b->tap[i].tensor, site, step, layer);
    }
}

static void look_at_step(struct pair *pair, int step)
{
    const struct qc_step *a = &pair->a->step[step], *b = &pair->b->step[step];
    note(pair, a->raised == b->raised);
    for (int i = 0; i < QC_INPUTS; i++)
        look(pair, a->input[i], b->input[i], QW_SITE_INPUT_IDS + (enum qw_site)i, step, -1);
    look_at_caches(pair, &a->before, &b->before, QW_SITE_BEFORE_KEY, step);
    look_at_taps(pair, a, b, step);
    look_at_caches(pair, &a->after, &b->after, QW_SITE_AFTER_KEY, step);
}

enum qc_apart qc_records_apart(const struct qc_recording *a, const struct qc_recording *b,
                               const struct qc_apart_listener *listener)
{
    struct pair pair = {a, b, listener, QC_APART_NOWHERE};
    note(&pair, a->steps == b->steps && a->raised == b->raised && same_text(a->raised_at, b->raised_at));
    look(&pair, a->adapter_prompt, b->adapter_prompt, QW_SITE_ADAPTER_PROMPT, 0, -1);
    for (int i = 0; i < a->steps && i < b->steps; i++)
        look_at_step(&pair, i);
    return pair.apart;
}
