/* Invariant: a blind spot follows from what the recording is, never from what was found in it. */
#include "harness/compare/coverage.h"

#include "reference/model/forward.h"

static bool values(const struct qc_judgement *judgement)
{
    const struct qc_subject *subject = judgement->subject;
    return subject->recording->level <= QC_LEVEL_STATS || !subject->model.has_weights ||
           (subject->adapter.kind != QW_ADAPTER_NONE && !subject->adapter.table);
}

static bool logits(const struct qc_judgement *judgement)
{
    int steps = 0;
    for (int i = 0; i < judgement->subject->recording->steps; i++)
        steps += !judgement->subject->recording->step[i].raised;
    return !values(judgement) && judgement->consequence.compared < steps;
}

static bool constant(const struct qc_judgement *judgement)
{
    bool vacuous = false;
    for (int i = 0; i < judgement->items.count && !vacuous; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        enum qw_place place = qw_site_rows[item->site].place;
        vacuous = item->reason && item->free.valued && item->free.difference.constant &&
                  (place == QW_HEAD || place == QW_BLOCK || place == QW_TAIL);
    }
    return vacuous;
}

static bool padding(const struct qc_judgement *judgement) { return !qw_call_pads(&judgement->subject->call); }
static bool batch(const struct qc_judgement *judgement) { return judgement->subject->call.batch == 1; }
static bool adapter(const struct qc_judgement *judgement) { return !judgement->subject->recording->has_adapter; }
static bool layers(const struct qc_judgement *judgement) { return judgement->subject->model.config.layers == 1; }

static bool decode(const struct qc_judgement *judgement)
{
    return judgement->subject->recording->steps < 2 || !judgement->subject->call.use_cache;
}

static bool heads(const struct qc_judgement *judgement)
{
    const struct qw_config *config = &judgement->subject->model.config;
    return config->heads == config->kv_heads;
}

/* A prefix with heads and tokens swapped would have the same extents, and there are no values to tell. */
static bool layout(const struct qc_judgement *judgement)
{
    const struct qw_adapter *prefix = &judgement->subject->adapter;
    return prefix->kind == QW_ADAPTER_KEYS_VALUES && values(judgement) &&
           prefix->virtual_tokens == judgement->subject->model.config.kv_heads;
}

static bool tokens_order(const struct qc_judgement *judgement)
{
    const struct qw_adapter *of = &judgement->subject->adapter;
    if (of->kind == QW_ADAPTER_NONE || of->virtual_tokens <= 1)
        return of->kind != QW_ADAPTER_NONE;
    if (!of->table || !of->table->data || of->table->shape.rank != 2)
        return false;
    int64_t width = of->table->shape.dim[1];
    for (int64_t i = width; i < qw_shape_count(&of->table->shape); i++)
        if (qw_tensor_at(of->table, i) != qw_tensor_at(of->table, i % width))
            return false;
    return true;
}

/* Tokens of the longest sequence of the play. */
static int64_t longest(const struct qc_judgement *judgement)
{
    int64_t most = 0;
    for (int step = 0; step < judgement->steps; step++)
        most = judgement->ends[step] > most ? judgement->ends[step] : most;
    return most;
}

static bool positions(const struct qc_judgement *judgement) { return longest(judgement) == 1; }

static bool numbering(const struct qc_judgement *judgement)
{
    const struct qw_call *call = &judgement->subject->call;
    return call->generate && call->turn && call->turn[0].position;
}

static bool window(const struct qc_judgement *judgement)
{
    const struct qw_config *config = &judgement->subject->model.config;
    int64_t least = 0;
    for (int64_t layer = 0; layer < config->layers; layer++) {
        int64_t sees = qw_window_of(config, &judgement->rules, layer);
        least = sees && (!least || sees < least) ? sees : least;
    }
    return least && longest(judgement) && longest(judgement) <= least;
}

static bool length(const struct qc_judgement *judgement)
{
    const struct qw_config *config = &judgement->subject->model.config;
    return (config->dynamic_ntk || config->log_n) && longest(judgement) && longest(judgement) <= config->trained_length;
}

static const struct {
    const char *id;
    bool (*applies)(const struct qc_judgement *judgement);
} spots[QC_BLINDS] = {
#define BLIND(symbol, id, sentence) {id, symbol},
#include "reports/blind.def"
#undef BLIND
};

const char *qc_blind_id(enum qc_blind blind) { return spots[blind].id; }
bool qc_blind_applies(enum qc_blind blind, const struct qc_judgement *judgement) { return spots[blind].applies(judgement); }
