/* Invariant: nothing is looked for outside the place that is asked for. */
#include "harness/compare/recorded.h"

static const struct qw_tensor *half_of(const struct qc_cache *cache, int layer, bool value)
{
    if (layer < 0 || layer >= cache->layers)
        return NULL;
    return value ? cache->layer[layer].value : cache->layer[layer].key;
}

const struct qc_tap *qc_recorded_tap(const struct qc_subject *subject, enum qw_site site, int step, int layer)
{
    char path[160];
    qw_site_path(path, sizeof path, subject->model.config.family, site, layer);
    return qc_step_tap(&subject->recording->step[step], path);
}

bool qc_stands_for_all(const struct qw_shape *recorded, const struct qw_shape *shape)
{
    return recorded->rank == shape->rank && recorded->dim[0] == 1 &&
           qw_shape_count(recorded) * shape->dim[0] == qw_shape_count(shape);
}

bool qc_recorded_put(double *value, const struct qc_tap *tap, const struct qw_shape *shape)
{
    const struct qw_tensor *tensor = tap ? tap->tensor : NULL;
    if (!tensor || !tensor->data || tap->row ||
        !(qw_shape_equal(&tensor->shape, shape) || qc_stands_for_all(&tensor->shape, shape)))
        return false;
    int64_t have = qw_shape_count(&tensor->shape), want = qw_shape_count(shape);
    for (int64_t first = 0; first < want; first += have)
        qw_tensor_read(value + first, tensor, 0, have);
    return true;
}

const struct qw_tensor *qc_recorded_tensor(const struct qc_subject *subject, enum qw_site site, int step, int layer)
{
    const struct qc_recording *recording = subject->recording;
    if (site == QW_SITE_ADAPTER_PROMPT)
        return recording->adapter_prompt;
    if (step < 0 || step >= recording->steps)
        return NULL;
    const struct qc_step *of = &recording->step[step];
    switch (site) {
    case QW_SITE_INPUT_IDS: return of->input[QC_INPUT_IDS];
    case QW_SITE_INPUTS_EMBEDS: return of->input[QC_INPUTS_EMBEDS];
    case QW_SITE_ATTENTION_MASK: return of->input[QC_ATTENTION_MASK];
    case QW_SITE_POSITION_IDS: return of->input[QC_POSITION_IDS];
    case QW_SITE_CACHE_POSITION: return of->input[QC_CACHE_POSITION];
    case QW_SITE_BEFORE_KEY: return half_of(&of->before, layer, false);
    case QW_SITE_BEFORE_VALUE: return half_of(&of->before, layer, true);
    case QW_SITE_AFTER_KEY: return half_of(&of->after, layer, false);
    case QW_SITE_AFTER_VALUE: return half_of(&of->after, layer, true);
    default: break;
    }
    enum qw_place place = qw_site_rows[site].place;
    const struct qc_tap *tap = place == QW_HEAD || place == QW_BLOCK || place == QW_TAIL
                                   ? qc_recorded_tap(subject, site, step, layer)
                                   : NULL;
    return tap ? tap->tensor : NULL;
}
