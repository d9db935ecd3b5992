/* Invariant: a table is handed on as recorded only when every element of it conforms to what the encoder gives. */
#include "harness/compare/encoded.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/subject.h"
#include "reference/base/memory.h"

/* ---- the noise ---- */

/* What a framework does with weights of that type: float32 products, rounded to it. */
static struct qw_arith arith_of(enum qw_dtype dtype)
{
    struct qw_arith arith = dtype == QW_F64 ? qw_f64 : qw_f32;
    arith.dtype = arith.inner = dtype;
    return arith;
}

struct qw_arith qc_encoded_arith(const struct qw_encoder *encoder)
{
    const struct qw_tensor *weight = encoder->linears ? encoder->linear[0].weight : encoder->lstm[0][0].input.weight;
    return arith_of(weight ? weight->dtype : QW_F32);
}

static double spread_of(const struct qw_encoder *encoder, const struct qw_tensor *truth, const struct qw_arith *arith)
{
    double spread = 0;
    for (int play = 0; play < QC_NOISE_PLAYS; play++) {
        uint64_t state = (uint64_t)play;
        struct qw_arith dithered = play ? qw_arith_dithered(arith, arith->dtype, &state) : *arith;
        struct qw_tensor *played = qw_encoder_apply(encoder, encoder->embedding, &dithered);
        for (int64_t i = 0; i < qw_shape_count(&truth->shape); i++)
            spread = fmax(spread, fabs(((double *)played->data)[i] - ((double *)truth->data)[i]));
        qw_tensor_free(played);
    }
    return spread;
}

bool qc_encoded_compare(struct qc_difference *found, const struct qc_encoded *encoded, const struct qw_tensor *recorded,
                        const double *truth)
{
    int64_t count = qw_shape_count(&recorded->shape);
    double *envelope = qw_memdup(truth, (size_t)count, sizeof *truth);
    double roundoff = encoded->roundoff, stored = qw_dtype_roundoff(recorded->dtype);
    for (int64_t i = 0; i < count; i++)
        envelope[i] += encoded->spread;
    qc_envelope_store(envelope, truth, count, stored > roundoff ? stored : 0);
    bool known = qc_difference_of_tensor(found, recorded, truth, envelope, encoded->sum, roundoff);
    free(envelope);
    return known;
}

/* ---- what the run handed on ---- */

/* Copies elements of the same type. */
static void copy_elements(struct qw_tensor *to, int64_t first, const struct qw_tensor *from, int64_t start, int64_t count)
{
    size_t bytes = qw_dtype_bytes(from->dtype);
    memcpy((char *)to->data + (size_t)first * bytes, (const char *)from->data + (size_t)start * bytes, (size_t)count * bytes);
}

/* The rows [B,P,d] that stand in front of the embeddings of the first step. */
static struct qw_tensor *handed_embeds(const struct qw_tensor *embeds, int64_t P)
{
    if (!embeds || !embeds->data || embeds->shape.rank != 3 || embeds->shape.dim[1] < P)
        return NULL;
    int64_t B = embeds->shape.dim[0], q = embeds->shape.dim[1], d = embeds->shape.dim[2];
    struct qw_shape shape = qw_shape_of(3, B, P, d);
    struct qw_tensor *prompt = qw_tensor_make(embeds->dtype, &shape);
    for (int64_t b = 0; b < B; b++)
        copy_elements(prompt, b * P * d, embeds, b * q * d, P * d);
    return prompt;
}

/* The keys and values [L,2,B,.,.,D] that the first step's cache holds; NULL when they are not alike. */
static struct qw_tensor *handed_cache(const struct qc_cache *cache)
{
    const struct qw_tensor *first = cache->layers ? cache->layer[0].key : NULL;
    if (!first || first->shape.rank != 4)
        return NULL;
    const int64_t *dim = first->shape.dim;
    int64_t part = qw_shape_count(&first->shape);
    struct qw_shape shape = qw_shape_of(6, (int64_t)cache->layers, (int64_t)2, dim[0], dim[1], dim[2], dim[3]);
    struct qw_tensor *prompt = qw_tensor_make(first->dtype, &shape);
    for (int i = 0; i < 2 * cache->layers; i++) {
        const struct qw_tensor *half = i % 2 ? cache->layer[i / 2].value : cache->layer[i / 2].key;
        if (!half || !half->data || half->dtype != first->dtype || !qw_shape_equal(&half->shape, &first->shape)) {
            qw_tensor_free(prompt);
            return NULL;
        }
        copy_elements(prompt, i * part, half, 0, part);
    }
    return prompt;
}

/* The prompt as the record has it, or else what was handed over of it; NULL when neither is there by value. */
static struct qw_tensor *handed_prompt(const struct qc_subject *subject)
{
    const struct qc_recording *recording = subject->recording;
    const struct qw_tensor *prompt = recording->adapter_prompt;
    if (prompt && prompt->data) {
        struct qw_tensor *copy = qw_tensor_make(prompt->dtype, &prompt->shape);
        copy_elements(copy, 0, prompt, 0, qw_shape_count(&prompt->shape));
        return copy;
    }
    if (!recording->steps)
        return NULL;
    return subject->adapter.kind == QW_ADAPTER_EMBEDS
               ? handed_embeds(recording->step[0].input[QC_INPUTS_EMBEDS], subject->adapter.virtual_tokens)
               : handed_cache(&recording->step[0].before);
}

/* ---- settling ---- */

/* Batch row of element i of a prompt [B,P,d] or [L,2,B,.,.,D]. */
static int64_t batch_row_of(const struct qw_shape *shape, int64_t i)
{
    int64_t index[QW_MAX_RANK];
    qw_shape_unravel(index, shape, i);
    return index[shape->rank == 3 ? 0 : 2];
}

/* The tables that `handed` consists of under the rules, one for each batch row: encoded together, equal rows may come out with
 * other last bits.  Where each element comes from is seen by playing a table of numbers. */
static struct qw_tensor *taken_back(const struct qc_subject *subject, const struct qw_rules *rules,
                                    const struct qw_tensor *handed)
{
    struct qw_adapter numbered = subject->adapter;
    struct qw_tensor *numbers = qw_tensor_make(QW_F64, &subject->encoded.truth->shape);
    int64_t count = qw_shape_count(&numbers->shape);
    struct qw_shape shape = numbers->shape;
    shape.dim[0] *= subject->call.batch;
    struct qw_tensor *table = qw_tensor_make(QW_F64, &shape);
    for (int64_t i = 0; i < count; i++)
        ((double *)numbers->data)[i] = (double)i;
    numbered.table = numbers;
    struct qw_tensor *source = qw_protocol_prompt(&numbered, &subject->model, rules, subject->call.batch);
    for (int64_t i = 0; i < qw_shape_count(&source->shape); i++)
        ((double *)table->data)[batch_row_of(&source->shape, i) * count + (int64_t)((double *)source->data)[i]] =
            qw_tensor_at(handed, i);
    qw_tensor_free(source);
    qw_tensor_free(numbers);
    return table;
}

static bool settle_under(struct qc_subject *subject, const struct qw_rules *rules, const struct qw_tensor *handed)
{
    struct qw_tensor *prompt = qw_protocol_prompt(&subject->adapter, &subject->model, rules, subject->call.batch);
    struct qc_difference found;
    bool fits = prompt->data && qw_shape_equal(&prompt->shape, &handed->shape) &&
                (subject->encoded.random ||
                 (qc_encoded_compare(&found, &subject->encoded, handed, prompt->data) && qc_conforms(found.ratio)));
    if (fits)
        subject->encoded.handed = taken_back(subject, rules, handed);
    qw_tensor_free(prompt);
    return fits;
}

/* Under the healthy rules, or else under a deviation that moves parts of the prompt. */
static void settle(struct qc_subject *subject, const struct qw_tensor *handed)
{
    bool settled = settle_under(subject, &subject->rules, handed);
    for (int d = 0; d < QW_DEVIATIONS && !settled; d++) {
        int values = qw_deviation_values((enum qw_deviation)d);
        for (int i = 0; i < (values ? values : 1) && !settled; i++) {
            struct qw_rules rules = subject->rules;
            qw_deviation_apply_value(&rules, (enum qw_deviation)d,
                                     values ? qw_deviation_value((enum qw_deviation)d, i)->number : 0);
            settled = qw_protocol_prompt_is_moved(&rules) && settle_under(subject, &rules, handed);
        }
    }
    if (!settled)
        return;
    subject->adapter.table = subject->encoded.handed;
    subject->adapter.tables = subject->call.batch;
}

/* Dropout between the layers of an LSTM, in training. */
static bool draws(const struct qc_subject *subject)
{
    const struct qc_recording *recording = subject->recording;
    return recording->training && subject->adapter.encoder.lstms > 1 &&
           qw_json_get_real(recording->adapter_config, "encoder_dropout", 0) > 0;
}

/* Products in a row through which an encoder's number goes, and over how many terms each sums, as the configuration says. */
static int64_t terms_of(const struct qc_subject *subject)
{
    int64_t stages = subject->adapter.kind == QW_ADAPTER_EMBEDS ? 3 : 2;
    return stages * qw_json_get_int(subject->recording->adapter_config, "encoder_hidden_size", subject->model.config.hidden);
}

/* A saved table whose encoder ran once more in the recorded run (inference_mode is not set): both differ by the rounding of
 * either, for other batches sum in another order.  Their errors add up, which is four times the terms of one. */
static bool settle_saved(struct qc_subject *subject)
{
    const struct qw_json *config = subject->recording->adapter_config;
    bool encodes = !strcmp(subject->adapter.peft_type, "P_TUNING") || qw_json_get_bool(config, "prefix_projection", false);
    if (!subject->adapter.table || !encodes || qw_json_get_bool(config, "inference_mode", true))
        return false;
    subject->encoded = (struct qc_encoded){.sum = 4 * terms_of(subject),
                                           .roundoff = qw_dtype_roundoff(subject->adapter.table->dtype),
                                           .truth = subject->adapter.table};
    return true;
}

static void settle_computed(struct qc_subject *subject)
{
    const struct qw_adapter *adapter = &subject->adapter;
    const struct qw_encoder *encoder = &adapter->encoder;
    struct qw_arith arith = qc_encoded_arith(encoder);
    subject->encoded =
        (struct qc_encoded){.sum = qw_encoder_sum(encoder), .roundoff = qw_dtype_roundoff(arith.dtype), .truth = adapter->table};
    subject->encoded.spread = spread_of(encoder, adapter->table, &arith);
    subject->encoded.random = draws(subject);
}

/* Operands of TF32 are rounded before they are multiplied, however many there are: an error of one such rounding for each
 * product in a row, of which there are three at most, in the run and when the table was saved; four each, as above. */
static void settle_tf32(struct qc_encoded *encoded)
{
    encoded->roundoff = QW_TF32_ROUNDOFF;
    encoded->sum = 12;
}

void qc_encoded_settle(struct qc_subject *subject)
{
    if (subject->adapter.computed)
        settle_computed(subject);
    else if (!settle_saved(subject))
        return;
    if (subject->products == QC_PRODUCTS_TF32)
        settle_tf32(&subject->encoded);
    struct qw_tensor *handed = handed_prompt(subject);
    if (handed)
        settle(subject, handed);
    qw_tensor_free(handed);
}

struct qw_adapter qc_encoded_truth(const struct qc_subject *subject)
{
    struct qw_adapter adapter = subject->adapter;
    adapter.table = subject->encoded.truth ? subject->encoded.truth : adapter.table;
    adapter.tables = 0;
    return adapter;
}

void qc_encoded_clear(struct qc_encoded *encoded)
{
    qw_tensor_free(encoded->handed);
    *encoded = (struct qc_encoded){0};
}
