/* Invariant: what is compared of a side lies in one sheet, whose tensors have the same extents for every side of a pair. */
#include "harness/selftest/relations_play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/noise.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reference/letters.h"
#include "reference/model/forward.h"

/* ---- playing a side ---- */

/* One play of a side: the logits of every token that is fed, and the cache that is left. */
struct playing {
    const struct qw_model *model;
    const struct qc_side *side;
    const struct qw_arith *arith;
    struct qw_adapter adapter;
    struct qw_tensor *encoded; /* owned; the adapter's table where its encoder makes it */
    struct qw_cache cache;
    int64_t tokens, done; /* that are fed in all, and so far */
    double *logits;       /* [B,tokens,V] */
    char *fault;          /* why it could not be played to its end; NULL: it could */
};

static void keep_logits(void *user, enum qw_site site, int layer, double *value, const struct qw_shape *shape)
{
    struct playing *play = user;
    (void)layer;
    if (site != QW_SITE_LM_HEAD)
        return;
    int64_t B = shape->dim[0], rows = shape->dim[1], V = shape->dim[2];
    for (int64_t b = 0; b < B; b++)
        memcpy(play->logits + (b * play->tokens + play->done) * V, value + b * rows * V, sizeof *value * (size_t)(rows * V));
}

/* Plays what was handed over, up to the logits of its last `fresh` tokens. */
static void play_pass(struct playing *play, const struct qw_handover *handover, int64_t step, int64_t fresh)
{
    struct qw_pass pass = qw_pass_begin(play->model, play->arith, &play->side->rules, handover, &play->cache,
                                        (struct qw_tap){keep_logits, play});
    bool goes_on = qw_pass_enters_blocks(&pass);
    for (int layer = 0; goes_on && layer < play->model->config.layers; layer++)
        goes_on = qw_pass_block(&pass, layer);
    if (goes_on)
        qw_pass_end(&pass, fresh);
    else
        play->fault = qw_format("%s makes the model raise in step %lld", play->side->name, (long long)step);
    qw_pass_clear(&pass);
}

static void play_step(struct playing *play, int64_t step)
{
    const struct qw_turn turn = qw_protocol_turn(&play->side->call, step);
    int64_t fresh = turn.first + turn.count - play->done;
    struct qw_handover handover = qw_protocol_hand_over(&play->cache, &play->side->call, &play->adapter, play->model,
                                                        &play->side->rules, step);
    if (!handover.input_ids && !handover.inputs_embeds)
        play->fault = qw_format("%s hands over no values in step %lld", play->side->name, (long long)step);
    else if (handover.queries < fresh)
        play->fault = qw_format("%s feeds %lld tokens in step %lld, not %lld", play->side->name, (long long)handover.queries,
                                (long long)step, (long long)fresh);
    else
        play_pass(play, &handover, step, fresh);
    qw_handover_clear(&handover);
    play->done += fresh;
}

static int64_t tokens_of(const struct qw_call *call)
{
    const struct qw_turn last = qw_protocol_turn(call, qw_protocol_steps(call) - 1);
    return last.first + last.count;
}

static int64_t virtual_of(const struct qc_side *side)
{
    return side->adapter.kind == QW_ADAPTER_NONE ? 0 : side->adapter.virtual_tokens;
}

/* Of a cache that holds something else than the call's tokens. */
static char *fault_of_cache(const struct playing *play)
{
    const struct qw_config *config = &play->model->config;
    int64_t expected = virtual_of(play->side) + play->tokens;
    for (int64_t layer = 0; layer < config->layers; layer++) {
        const struct qw_cache_layer *held = &play->cache.layer[layer];
        if (held->length != expected || held->heads != config->kv_heads || held->head_size != config->head_size || !held->key)
            return qw_format("layer %lld of the cache of %s holds %lld rows after the call, not %lld", (long long)layer,
                             play->side->name, (long long)held->length, (long long)expected);
    }
    return NULL;
}

static struct playing play_side(const struct qw_model *model, const struct qc_side *side, const struct qw_arith *arith,
                                const struct qw_arith *encoding)
{
    int64_t B = side->call.batch, tokens = tokens_of(&side->call);
    struct playing play = {.model = model,
                           .side = side,
                           .arith = arith,
                           .adapter = side->adapter,
                           .cache = qw_cache_make(model->config.layers, B),
                           .tokens = tokens,
                           .logits = QW_NEW_ARRAY(double, B *tokens * model->config.vocab)};
    if (side->encodes)
        play.adapter.table = play.encoded = qw_encoder_apply(&side->adapter.encoder, side->adapter.encoder.embedding, encoding);
    for (int64_t step = 0; step < qw_protocol_steps(&side->call) && !play.fault; step++)
        play_step(&play, step);
    if (!play.fault)
        play.fault = fault_of_cache(&play);
    return play;
}

static void playing_clear(struct playing *play)
{
    qw_tensor_free(play->encoded);
    qw_cache_clear(&play->cache);
    free(play->logits);
    free(play->fault);
}

/* ---- what is compared of it ---- */

/* Keys and values of each layer, [K,lead+tokens,D], then the logits, [tokens,V]. */
struct sheet {
    int64_t tensors;
    double **tensor;
    char *fault;
};

/* Of one half of a layer, [B,K,S,D]: the leading rows and those of the compared tokens. */
static double *rows_of(const struct playing *play, const struct qc_relation_pair *pair, const double *half)
{
    const struct qw_config *config = &play->model->config;
    int64_t K = config->kv_heads, D = config->head_size, count = pair->lead + pair->tokens;
    int64_t own = virtual_of(play->side), S = own + play->tokens, at = own + play->side->first;
    double *rows = QW_NEW_ARRAY(double, K *count *D);
    for (int64_t h = 0; h < K; h++) {
        const double *from = half + (play->side->row * K + h) * S * D;
        memcpy(rows + h * count * D, from, sizeof *rows * (size_t)(pair->lead * D));
        memcpy(rows + (h * count + pair->lead) * D, from + at * D, sizeof *rows * (size_t)(pair->tokens * D));
    }
    return rows;
}

static void fill_sheet(struct sheet *sheet, const struct playing *play, const struct qc_relation_pair *pair)
{
    int64_t V = play->model->config.vocab, at = play->side->row * play->tokens + play->side->first;
    sheet->tensors = 2 * play->cache.layers + 1;
    sheet->tensor = QW_NEW_ARRAY(double *, sheet->tensors);
    for (int64_t i = 0; i < 2 * play->cache.layers; i++) {
        const struct qw_cache_layer *held = &play->cache.layer[i / 2];
        sheet->tensor[i] = rows_of(play, pair, i % 2 ? held->value : held->key);
    }
    sheet->tensor[2 * play->cache.layers] = qw_memdup(play->logits + at * V, (size_t)(pair->tokens * V), sizeof(double));
}

static struct sheet sheet_of(const struct qw_model *model, const struct qc_relation_pair *pair, int side,
                             const struct qw_arith *arith, const struct qw_arith *encoding)
{
    struct sheet sheet = {0};
    struct playing play = play_side(model, &pair->side[side], arith, encoding);
    sheet.fault = play.fault;
    play.fault = NULL;
    if (!sheet.fault)
        fill_sheet(&sheet, &play, pair);
    playing_clear(&play);
    return sheet;
}

static void sheet_clear(struct sheet *sheet)
{
    for (int64_t i = 0; i < sheet->tensors; i++)
        free(sheet->tensor[i]);
    free(sheet->tensor);
    free(sheet->fault);
}

/* ---- holding one against the other ---- */

/* The tensors of a sheet: their site, elements, and what a row of them is. */
struct kind {
    enum qw_site site;
    int64_t layer, rows, width, count; /* layer -1: the logits */
};

static struct kind kind_of(const struct qw_config *config, const struct qc_relation_pair *pair, int64_t tensor)
{
    int64_t rows = pair->lead + pair->tokens, D = config->head_size, V = config->vocab;
    if (tensor == 2 * config->layers)
        return (struct kind){QW_SITE_LM_HEAD, -1, pair->tokens, V, pair->tokens * V};
    return (struct kind){tensor % 2 ? QW_SITE_AFTER_VALUE : QW_SITE_AFTER_KEY, tensor / 2, rows, D, config->kv_heads * rows * D};
}

static char *words_of(const struct qc_difference *found, const struct kind *kind, int64_t lead)
{
    int64_t row = found->index / kind->width % kind->rows;
    bool leads = kind->layer >= 0 && row < lead;
    char *layer = kind->layer < 0 ? qw_strdup("") : qw_format(" of layer %lld", (long long)kind->layer);
    char *words = qw_format("%s%s differs at %s %lld, by %.3g times the noise floor", qw_site_rows[kind->site].name, layer,
                            leads ? "virtual token" : "token", (long long)(kind->layer < 0 || leads ? row : row - lead),
                            found->ratio);
    free(layer);
    return words;
}

static void compare_sheets(struct qc_pair_result *result, const struct qc_subject *subject, const struct qc_relation_pair *pair,
                           const struct sheet *truth, const struct sheet *envelope, const struct sheet *other)
{
    const struct qw_config *config = &subject->model.config;
    struct qw_letters letters = qw_letters_of(config);
    double roundoff = qc_subject_roundoff(subject);
    for (int64_t i = 0; i < truth->tensors; i++) {
        struct kind kind = kind_of(config, pair, i);
        int64_t sum = qc_subject_roundings(subject, qw_extent_from_letters(qw_site_rows[kind.site].sum, &letters));
        struct qc_difference found = qc_difference_of(other->tensor[i], truth->tensor[i], envelope->tensor[i], kind.count, sum,
                                                      roundoff);
        result->ratio = found.ratio <= result->ratio || isnan(result->ratio) ? result->ratio : found.ratio;
        if (!qc_conforms(found.ratio) && !result->fault)
            result->fault = words_of(&found, &kind, pair->lead);
    }
}

/* One play of the first side in the record's arithmetic: as the BLAS rounds, the later ones dithered. */
static struct sheet sample_of(const struct qc_subject *subject, const struct qc_relation_pair *pair, int play)
{
    const struct qw_arith *arith = qc_subject_arith(subject), encoding = qc_encoded_arith(&pair->side[0].adapter.encoder);
    uint64_t state = (uint64_t)play, shaken = (uint64_t)play;
    struct qw_arith dithered = play ? qw_arith_dithered(arith, arith->dtype, &state) : *arith;
    struct qw_arith encoded = play ? qw_arith_dithered(&encoding, encoding.dtype, &shaken) : encoding;
    return sheet_of(&subject->model, pair, 0, &dithered, &encoded);
}

/* What rounding makes of the first side's play. */
static struct sheet envelope_of(const struct qc_subject *subject, const struct qc_relation_pair *pair, const struct sheet *truth)
{
    struct sheet envelope = sample_of(subject, pair, 0);
    for (int play = 1; play < QC_NOISE_PLAYS && !truth->fault && !envelope.fault; play++) {
        struct sheet sample = sample_of(subject, pair, play);
        for (int64_t i = 0; i < sample.tensors; i++)
            qc_envelope_widen(envelope.tensor[i], truth->tensor[i], sample.tensor[i],
                              kind_of(&subject->model.config, pair, i).count);
        sheet_clear(&sample);
    }
    return envelope;
}

struct qc_pair_result qc_relation_pair_compare(const struct qc_subject *subject, const struct qc_relation_pair *pair)
{
    const struct qw_arith encoding = qc_encoded_arith(&pair->side[1].adapter.encoder);
    struct qc_pair_result result = {0};
    struct sheet truth = sheet_of(&subject->model, pair, 0, &qw_f64, &qw_f64);
    struct sheet envelope = envelope_of(subject, pair, &truth);
    struct sheet other = sheet_of(&subject->model, pair, 1, qc_subject_arith(subject), &encoding);
    const char *fault = truth.fault ? truth.fault : envelope.fault ? envelope.fault : other.fault;
    if (fault)
        result = (struct qc_pair_result){(double)INFINITY, qw_strdup(fault)};
    else
        compare_sheets(&result, subject, pair, &truth, &envelope, &other);
    sheet_clear(&truth);
    sheet_clear(&envelope);
    sheet_clear(&other);
    return result;
}

/* ---- capturing ---- */

/* [1,K,S,D] of each layer's halves -> column ((2 layer + kv) K + head) D + i of row s */
static struct qw_tensor *table_of(const struct qw_config *config, const struct qw_cache *cache)
{
    int64_t S = qw_cache_length(cache), K = config->kv_heads, D = config->head_size, columns = 2 * config->layers * K * D;
    struct qw_shape shape = qw_shape_of(2, S, columns);
    struct qw_tensor *table = qw_tensor_make(QW_F64, &shape);
    for (int64_t part = 0; part < 2 * config->layers; part++)
        for (int64_t h = 0; h < K; h++)
            for (int64_t s = 0; s < S; s++) {
                const struct qw_cache_layer *held = &cache->layer[part / 2];
                memcpy((double *)table->data + s * columns + (part * K + h) * D,
                       (part % 2 ? held->value : held->key) + (h * S + s) * D, sizeof(double) * (size_t)D);
            }
    return table;
}

struct qw_tensor *qc_relation_capture(const struct qc_subject *subject, const struct qc_side *side)
{
    const struct qw_arith *arith = qc_subject_arith(subject);
    struct playing play = play_side(&subject->model, side, arith, arith);
    struct qw_tensor *table = play.fault ? NULL : table_of(&subject->model.config, &play.cache);
    playing_clear(&play);
    return table;
}
