/* Invariant: nothing is looked for outside the place that is asked for. */
#include "harness/compare/recorded.h"

static const struct qw_tensor *half_of(const struct qc_cache *cache, int layer, bool value)
{
    if (layer < 0 || layer >= cache->layers)
        return NULL;
    return value ? cache->layer[layer].value : cache->layer[layer].key;
}

static const struct qw_tensor *tap_of(const struct qc_subject *subject, const struct qc_step *step, enum qw_site site, int layer)
{
    char path[160];
    qw_site_path(path, sizeof path, subject->model.config.family, site, layer);
    const struct qc_tap *tap = qc_step_tap(step, path);
    return tap ? tap->tensor : NULL;
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
    return place == QW_HEAD || place == QW_BLOCK || place == QW_TAIL ? tap_of(subject, of, site, layer) : NULL;
}
