/* Invariant: every turn's arrays have the extents that its counts say; what the record does not tell is marked unknown. */
#include "harness/compare/call.h"

#include <stdlib.h>
#include <string.h>

#include "harness/compare/padding.h"
#include "reference/base/memory.h"

static bool recomputes(const struct qc_recording *recording) { return recording->training && recording->gradient_checkpointing; }

/* Whether the run hands over the places of its rows at every step; a single step counts from the cache. */
static bool counts_slots(const struct qc_recording *recording)
{
    for (int step = 0; step < recording->steps; step++)
        if (!recording->step[step].input[QC_CACHE_POSITION])
            return false;
    return recording->steps > 1;
}

/* A model that recomputes its layers in the backward pass returns no cache, whatever was asked for. */
static bool keeps_cache(const struct qc_recording *recording) { return recording->use_cache && !recomputes(recording); }

/* ---- ways ---- */

static int64_t asked(const struct qc_recording *recording, const char *name, int64_t otherwise)
{
    return qw_json_get_int(recording->call_kwargs, name, otherwise);
}

static bool is_asked(const struct qc_recording *recording, const char *name)
{
    return !qw_json_is_null(qw_json_get(recording->call_kwargs, name));
}

enum qc_way qc_way_of(const struct qc_recording *recording)
{
    if (strcmp(recording->call_kind, "generate"))
        return strcmp(recording->call_kind, "loop") ? QC_WAY_PLAIN : QC_WAY_LOOP;
    if (asked(recording, "num_beams", 1) > 1)
        return QC_WAY_BEAMS;
    if (is_asked(recording, "assistant_model") || is_asked(recording, "prompt_lookup_num_tokens"))
        return QC_WAY_CANDIDATES;
    return keeps_cache(recording) && asked(recording, "prefill_chunk_size", 0) > 0 ? QC_WAY_CHUNKS : QC_WAY_PLAIN;
}

int64_t qc_way_rows(const struct qc_recording *recording)
{
    int64_t beams = asked(recording, "num_beams", 1), sequences = asked(recording, "num_return_sequences", 1);
    int64_t rows = beams > sequences ? beams : sequences;
    return strcmp(recording->call_kind, "generate") || rows < 1 ? 1 : rows;
}

/* ---- what the record says of a step ---- */

/* A call in the making. */
struct making {
    struct qw_call *call;
    const struct qc_recording *recording;
    const struct qw_model *model;
    int64_t prompt, prefix; /* virtual tokens that come as embeddings, or as rows of the cache */
    struct qw_turn *turn;
};

/* Ids that are known, of a tensor [B,n]; NULL otherwise. */
static const struct qw_tensor *rows_of(const struct qw_tensor *tensor, int64_t B)
{
    return tensor && tensor->data && tensor->dtype == QW_I64 && tensor->shape.rank == 2 && tensor->shape.dim[0] == B ? tensor
                                                                                                                     : NULL;
}

/* The token of which this is the embedding; -1: of none. */
static int64_t token_of(const struct qw_tensor *table, const double *row)
{
    int64_t V = table->shape.dim[0], d = table->shape.dim[1];
    for (int64_t v = 0; v < V; v++) {
        int64_t i = 0;
        while (i < d && qw_tensor_at(table, v * d + i) == row[i])
            i++;
        if (i == d)
            return v;
    }
    return -1;
}

/* Ids of the last `count` rows of embeddings [B,q,d]; NULL when they cannot be told. */
static int64_t *tokens_of(const struct making *making, const struct qw_tensor *embeds, int64_t count)
{
    const struct qw_tensor *table = making->model->has_weights ? making->model->embed : NULL;
    int64_t B = making->call->batch, q = embeds->shape.dim[1], d = embeds->shape.dim[2];
    if (!table || !embeds->data || embeds->shape.dim[0] != B || table->shape.dim[1] != d)
        return NULL;
    int64_t *ids = QW_NEW_ARRAY(int64_t, B * count);
    double *row = QW_NEW_ARRAY(double, d);
    bool known = true;
    for (int64_t i = 0; i < B * count && known; i++) {
        qw_tensor_read(row, embeds, (i / count * q + q - count + i % count) * d, d);
        ids[i] = token_of(table, row);
        known = ids[i] >= 0;
    }
    free(row);
    if (!known)
        free(ids);
    return known ? ids : NULL;
}

/* Tokens that a step was fed, virtual ones left out: how many, and which ([B,count], or NULL).  Free with free(). */
static int64_t *fed_tokens(int64_t *count, const struct making *making, int step)
{
    const struct qc_step *recorded = &making->recording->step[step];
    const struct qw_tensor *ids = recorded->input[QC_INPUT_IDS], *embeds = recorded->input[QC_INPUTS_EMBEDS];
    const struct qw_tensor *given = embeds ? embeds : ids;
    *count = given && given->shape.rank >= 2 ? given->shape.dim[1] : 0;
    if (embeds && embeds->shape.rank == 3) {
        *count -= *count > making->prompt ? making->prompt : 0;
        return tokens_of(making, embeds, *count);
    }
    const struct qw_tensor *rows = rows_of(ids, making->call->batch);
    return rows ? qw_memdup(rows->data, (size_t)qw_shape_count(&rows->shape), sizeof(int64_t)) : NULL;
}

/* Rows of virtual tokens in the caches: those that the first step left beyond its tokens, all where that cannot be told. */
static int64_t virtual_rows(const struct making *making)
{
    int64_t most = making->prompt + making->prefix, count, *ids = fed_tokens(&count, making, 0);
    const struct qc_cache *after = &making->recording->step[0].after;
    bool none = after->present && count > 0 && after->length == count;
    free(ids);
    return none ? 0 : most;
}

/* Rows of tokens in the cache that a step was handed. */
static int64_t held_tokens(const struct making *making, int step)
{
    const struct qc_cache *before = &making->recording->step[step].before;
    int64_t held = before->present && before->length > 0 ? before->length : 0, ahead = virtual_rows(making);
    return held > ahead ? held - ahead : 0;
}

static bool holds_rows(const struct making *making, int step)
{
    const struct qc_cache *before = &making->recording->step[step].before;
    return before->present && before->length > 0;
}

/* ---- plain ---- */

static int64_t *repeated(const struct qw_tensor *tensor, int64_t times)
{
    if (!tensor)
        return NULL;
    int64_t B = tensor->shape.dim[0], T = tensor->shape.dim[1];
    int64_t *rows = QW_NEW_ARRAY(int64_t, B * times * T);
    for (int64_t i = 0; i < B * times * T; i++)
        rows[i] = (int64_t)qw_tensor_at(tensor, i / T / times * T + i % T);
    return rows;
}

/* Output ids are known only of a run that returned; up to a raise, the tokens that were fed tell them.  `prefill`: steps
 * that feed the prompt. */
static int64_t *fed_ids(int64_t *generated, const struct making *making, int prefill)
{
    const struct qc_recording *recording = making->recording;
    const struct qw_call *call = making->call;
    int64_t N = recording->steps > prefill ? recording->steps - prefill + 1 : 1, width = call->tokens + N;
    int64_t *ids = QW_NEW_ARRAY(int64_t, call->batch * width);
    for (int64_t b = 0; b < call->batch; b++)
        memcpy(ids + b * width, call->input_ids + b * call->tokens, sizeof *ids * (size_t)call->tokens);
    for (int s = prefill; s < recording->steps; s++) {
        int64_t count, *fed = fed_tokens(&count, making, s);
        for (int64_t b = 0; fed && count > 0 && b < call->batch; b++)
            ids[b * width + call->tokens + s - prefill] = fed[(b + 1) * count - 1];
        free(fed);
    }
    *generated = N;
    return ids;
}

static void take_output(const struct making *making, int prefill)
{
    struct qw_call *call = making->call;
    const struct qw_tensor *output = making->recording->output_ids;
    if (output && output->shape.dim[0] == call->batch) {
        call->output_ids = repeated(output, 1);
        call->generated = output->shape.dim[1] - call->tokens;
    } else if (call->generate) {
        call->output_ids = fed_ids(&call->generated, making, prefill);
    }
}

static struct qw_turn *make_turns(const struct making *making, int64_t turns)
{
    struct qw_turn *turn = QW_NEW_ARRAY(struct qw_turn, turns);
    turn[0].count = making->call->tokens;
    making->call->turn = turn;
    making->call->turns = turns;
    return turn;
}

/* ---- a loop ---- */

/* Whether the ids begin with the `n` tokens [B,n] that were fed so far. */
static bool begins_with(const int64_t *ids, int64_t count, const int64_t *so_far, int64_t n, int64_t B)
{
    for (int64_t b = 0; ids && count > n && b < B; b++)
        if (memcmp(ids + b * count, so_far + b * n, sizeof *ids * (size_t)n))
            return false;
    return ids && count > n;
}

/* [B,count] without its first `from` columns; takes the array. */
static int64_t *without(int64_t *ids, int64_t count, int64_t from, int64_t B)
{
    int64_t *rest = ids ? QW_NEW_ARRAY(int64_t, B * (count - from)) : NULL;
    for (int64_t i = 0; ids && i < B * (count - from); i++)
        rest[i] = ids[i / (count - from) * count + from + i % (count - from)];
    free(ids);
    return rest;
}

/* Takes the array `ids`. */
static void set_ids(struct qw_turn *turn, int64_t *ids)
{
    turn->ids = ids;
    turn->unknown = !ids;
}

/* The mask of this turn as the caller gave it; of one that it left out, where that matters, as it should have been. */
static int64_t *callers_mask(const struct making *making, int step, const struct qw_turn *turn)
{
    int64_t B = making->call->batch, T = making->call->tokens, n = turn->first + turn->count;
    const struct qw_tensor *mask = making->recording->step[step].input[QC_ATTENTION_MASK];
    const struct qw_tensor *first = making->recording->attention_mask;
    int64_t ahead = making->prompt + making->prefix;
    bool fits = mask && mask->data && mask->shape.rank == 2 && mask->shape.dim[0] == B && mask->shape.dim[1] == ahead + n;
    struct qw_call call = {.batch = B, .tokens = T, .mask = first ? first->data : NULL};
    if (!fits && !(qw_call_pads(&call) && turn->first > 0) && !(step == 0 && first))
        return NULL;
    int64_t *given = QW_NEW_ARRAY(int64_t, B * n);
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < n; t++)
            given[b * n + t] = step == 0 && first ? call.mask[b * T + t]
                               : fits             ? qw_tensor_at(mask, b * (ahead + n) + ahead + t) != 0
                                                  : t >= T || !call.mask || call.mask[b * T + t];
    return given;
}

/* Whether positions that the caller gives reach the model: PEFT drops them, but behind a prefix hands them on, P later, from
 * the release on that numbers tokens there. */
static bool hands_positions_on(const struct making *making)
{
    struct qw_setting setting = qw_setting_newest();
    const char *peft = qw_json_get_text(making->recording->environment, "peft", "");
    if (!making->recording->has_adapter || !making->prefix || making->call->generate)
        return !making->recording->has_adapter;
    return !qw_version_read(&setting.peft, peft) || qw_rules_healthy(setting).numbers_prefix;
}

/* Positions that the caller gave, as the model is to use them: no smaller than P, where there is a prefix. */
static int64_t *callers_positions(const struct making *making, int step, const struct qw_turn *turn)
{
    int64_t B = making->call->batch, n = turn->count;
    const struct qw_tensor *given = making->recording->step[step].input[QC_POSITION_IDS];
    bool fits = given && given->data && given->shape.rank == 2 && given->shape.dim[1] == n &&
                (given->shape.dim[0] == B || given->shape.dim[0] == 1);
    for (int64_t i = 0; fits && i < qw_shape_count(&given->shape); i++)
        fits = qw_tensor_at(given, i) >= (double)making->prefix;
    if (!fits || !is_asked(making->recording, "position_ids") || !hands_positions_on(making))
        return NULL;
    int64_t *position = QW_NEW_ARRAY(int64_t, B * n);
    for (int64_t i = 0; i < B * n; i++)
        position[i] = (int64_t)qw_tensor_at(given, given->shape.dim[0] == 1 ? i % n : i);
    return position;
}

/* Whether a step of a loop goes on from the one before: by its cache; without one, a single token that cannot stand alone. */
static bool goes_on(const struct making *making, int step, const int64_t *ids, int64_t count, const int64_t *so_far, int64_t n)
{
    bool cached = making->prefix ? held_tokens(making, step) > 0 || !begins_with(ids, count, so_far, n, making->call->batch)
                                 : holds_rows(making, step);
    return keeps_cache(making->recording) && (cached || (count == 1 && n > 1));
}

/* One turn, and the tokens fed so far, [B,n], brought up to date. */
static void loop_turn(struct making *making, int step, int64_t **so_far, int64_t *n)
{
    struct qw_turn *turn = &making->turn[step];
    int64_t B = making->call->batch, count, *ids = fed_tokens(&count, making, step);
    bool on = goes_on(making, step, ids, count, *so_far, *n);
    turn->first = on ? *n : 0;
    if (on && begins_with(ids, count, *so_far, *n, B)) {
        ids = without(ids, count, *n, B);
        count -= *n;
    }
    turn->count = count;
    set_ids(turn, ids);
    int64_t end = turn->first + count, *all = ids && *so_far ? QW_NEW_ARRAY(int64_t, B * end) : NULL;
    for (int64_t i = 0; all && i < B * end; i++)
        all[i] = i % end < turn->first ? (*so_far)[i / end * *n + i % end] : ids[i / end * count + i % end - turn->first];
    free(*so_far);
    *so_far = all;
    *n = end;
}

static bool loop_keeps_batch(const struct qc_recording *recording, struct qw_error *error)
{
    for (int s = 0; s < recording->steps; s++)
        for (int i = QC_INPUT_IDS; i <= QC_INPUTS_EMBEDS; i++) {
            const struct qw_tensor *given = recording->step[s].input[i];
            if (given && given->shape.rank > 0 && given->shape.dim[0] != recording->input_ids->shape.dim[0])
                return qw_fail(error, QW_ERROR_UNSUPPORTED, "/steps", "record one batch at a time",
                               "a loop whose batch changes is outside what this version covers");
        }
    return true;
}

/* The tokens [B,n] of a loop that never started again, if they are known: what steps that look back would feed.  Takes the
 * array. */
static void take_sequence(struct qw_call *call, int64_t *tokens, int64_t n)
{
    bool one = tokens && n > call->tokens;
    for (int64_t i = 1; i < call->turns; i++)
        one = one && call->turn[i].first == call->turn[i - 1].first + call->turn[i - 1].count;
    if (one) {
        call->output_ids = tokens;
        call->generated = n - call->tokens;
    } else {
        free(tokens);
    }
}

static bool make_loop(struct making *making, struct qw_error *error)
{
    struct qw_call *call = making->call;
    if (!loop_keeps_batch(making->recording, error))
        return false;
    int steps = making->recording->steps > 0 ? making->recording->steps : 1;
    int64_t n = call->tokens, *so_far = qw_memdup(call->input_ids, (size_t)(call->batch * n), sizeof *so_far);
    making->turn = make_turns(making, steps);
    for (int step = 0; step < making->recording->steps; step++) {
        if (step > 0)
            loop_turn(making, step, &so_far, &n);
        making->turn[step].mask = callers_mask(making, step, &making->turn[step]);
        making->turn[step].position = callers_positions(making, step, &making->turn[step]);
    }
    take_sequence(call, so_far, n);
    if (making->recording->steps > 0) {
        free((void *)(uintptr_t)call->mask);
        call->mask = NULL;
    }
    return true;
}

/* ---- beams ---- */

static bool same_slice(const struct qw_tensor *a, const struct qw_tensor *b, int64_t row, int64_t from)
{
    if (!a || !b || !a->data || !b->data || a->dtype != b->dtype || !qw_shape_equal(&a->shape, &b->shape) || !a->shape.rank)
        return false;
    size_t bytes = (size_t)(qw_shape_count(&a->shape) / a->shape.dim[0]) * (size_t)qw_dtype_bytes(a->dtype);
    return !memcmp((const char *)a->data + (size_t)row * bytes, (const char *)b->data + (size_t)from * bytes, bytes);
}

static bool same_row(const struct qc_cache *before, const struct qc_cache *after, int64_t row, int64_t from)
{
    for (int layer = 0; layer < before->layers; layer++)
        if (!same_slice(before->layer[layer].key, after->layer[layer].key, row, from) ||
            !same_slice(before->layer[layer].value, after->layer[layer].value, row, from))
            return false;
    return true;
}

/* Where each batch row of the cache was in the step before; NULL when that cannot be told, or nothing moved. */
static int64_t *row_order(const struct making *making, int step)
{
    const struct qc_cache *before = &making->recording->step[step].before, *after = &making->recording->step[step - 1].after;
    int64_t B = making->call->batch;
    bool known = before->present && after->present && before->layers == after->layers && before->layers > 0 &&
                 before->layer[0].key && before->layer[0].key->shape.rank == 4 && before->layer[0].key->shape.dim[0] == B;
    int64_t *row = known ? QW_NEW_ARRAY(int64_t, B) : NULL;
    for (int64_t b = 0; b < B && known; b++) {
        int64_t from = same_row(before, after, b, b) ? b : 0;
        while (from < B && !same_row(before, after, b, from))
            from++;
        row[b] = from;
        known = from < B;
    }
    if (!known) {
        free(row);
        return NULL;
    }
    return row;
}

static void make_beams(struct making *making)
{
    int64_t T = making->call->tokens, steps = making->recording->steps > 0 ? making->recording->steps : 1;
    making->call->generated = steps;
    making->turn = make_turns(making, steps);
    for (int step = 1; step < making->recording->steps; step++) {
        struct qw_turn *turn = &making->turn[step];
        turn->first = keeps_cache(making->recording) ? T + step - 1 : 0;
        turn->count = T + step - turn->first;
        int64_t count, *ids = fed_tokens(&count, making, step);
        if (count != turn->count) {
            free(ids);
            ids = NULL;
        }
        set_ids(turn, ids);
        turn->row = keeps_cache(making->recording) ? row_order(making, step) : NULL;
    }
}

/* ---- chunks ---- */

static void make_chunks(struct making *making)
{
    int64_t T = making->call->tokens, size = asked(making->recording, "prefill_chunk_size", 0), chunks = (T + size - 1) / size;
    take_output(making, (int)chunks);
    making->turn = make_turns(making, chunks + (making->call->generated > 1 ? making->call->generated - 1 : 0));
    for (int64_t i = 0; i < making->call->turns; i++) {
        struct qw_turn *turn = &making->turn[i];
        turn->first = i < chunks ? i * size : T + i - chunks;
        turn->count = i >= chunks ? 1 : turn->first + size < T ? size : T - turn->first;
    }
}

/* ---- candidates ---- */

static int64_t length_of(const struct qw_tensor *tensor)
{
    return tensor && tensor->shape.rank > 0 ? tensor->shape.dim[tensor->shape.rank - 1] : 0;
}

/* Tokens that the step was to be fed, as the numbers say that go with them. */
static int64_t counted(const struct making *making, int step, int64_t first, int64_t fed)
{
    const struct qc_step *recorded = &making->recording->step[step];
    int64_t virtual_tokens = making->prompt + making->prefix;
    const int64_t said[] = {fed, step > 0 ? length_of(recorded->input[QC_POSITION_IDS]) : 0,
                            step > 0 ? length_of(recorded->input[QC_CACHE_POSITION]) : 0,
                            length_of(recorded->input[QC_ATTENTION_MASK]) - virtual_tokens - first};
    int64_t most = 1;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        most = said[i] > most ? said[i] : most;
    return step == 0 && most < making->call->tokens ? making->call->tokens : most;
}

/* The token at place `at` of batch row `b` as far as the call knows it; -1: not. */
static int64_t known_token(const struct qw_call *call, int64_t b, int64_t at)
{
    if (at < call->tokens)
        return call->input_ids[b * call->tokens + at];
    return call->output_ids && at < call->tokens + call->generated ? call->output_ids[b * (call->tokens + call->generated) + at]
                                                                   : -1;
}

/* [B,count]: the prompt and the first token as the call has them, what was proposed behind them as it was fed. */
static int64_t *candidate_ids(const struct making *making, const struct qw_turn *turn, const int64_t *fed, int64_t count)
{
    const struct qw_call *call = making->call;
    int64_t *ids = fed ? QW_NEW_ARRAY(int64_t, call->batch * turn->count) : NULL;
    for (int64_t i = 0; ids && i < call->batch * turn->count; i++) {
        int64_t b = i / turn->count, t = i % turn->count, proposed = t - (turn->count - count);
        int64_t known = known_token(call, b, turn->first + t);
        bool certain = known >= 0 && (t == 0 || turn->first + t < call->tokens || proposed < 0);
        ids[i] = certain ? known : proposed < 0 ? 0 : fed[b * count + proposed];
    }
    return ids;
}

/* What is fed must begin with the first token that the cache does not hold: else tokens before it are left out. */
static bool leaves_out(const struct making *making, const struct qw_turn *turn, const int64_t *fed, int64_t count)
{
    int64_t known = known_token(making->call, 0, turn->first);
    return turn->first > 0 && fed && count == 1 && turn->count == 1 && known >= 0 && fed[0] != known;
}

static void make_candidates(struct making *making)
{
    int steps = making->recording->steps > 0 ? making->recording->steps : 1;
    making->turn = make_turns(making, steps);
    for (int step = 0; step < making->recording->steps; step++) {
        struct qw_turn *turn = &making->turn[step];
        const struct qw_turn *last = step ? turn - 1 : turn;
        int64_t held = held_tokens(making, step), most = last->first + last->count, count;
        turn->first = step == 0 ? 0 : held < last->first ? last->first : held > most ? most : held;
        int64_t *fed = fed_tokens(&count, making, step);
        turn->count = counted(making, step, turn->first, count);
        turn->count += leaves_out(making, turn, fed, count);
        set_ids(turn, candidate_ids(making, turn, fed, count));
        free(fed);
    }
}

/* ---- the whole ---- */

/* Whether a step was given positions, but not one for each of its tokens. */
static bool misnumbers(const struct qc_step *step, const struct qw_turn *turn)
{
    const struct qw_tensor *given = step->input[QC_POSITION_IDS];
    return given && (given->shape.rank != 2 || given->shape.dim[1] != turn->count);
}

/* A forward(), or a generate() of the base model, whose caller numbers the tokens itself.  How a generate() goes on from there is
 * its release's affair: what later steps were given counts as the caller's too. */
static bool make_numbered(struct making *making, struct qw_error *error)
{
    struct qw_call *call = making->call;
    int64_t turns = qw_protocol_steps(call), steps = making->recording->steps;
    struct qw_turn first = qw_protocol_turn(call, 0);
    first.position = steps > 0 && steps <= turns ? callers_positions(making, 0, &first) : NULL;
    if (!first.position)
        return true;
    struct qw_turn *turn = QW_NEW_ARRAY(struct qw_turn, turns);
    bool fits = true;
    for (int step = 0; step < turns; step++) {
        turn[step] = step ? qw_protocol_turn(call, step) : first;
        fits = fits && (step >= steps || !misnumbers(&making->recording->step[step], &turn[step]));
        if (step > 0 && step < steps)
            turn[step].position = callers_positions(making, step, &turn[step]);
    }
    call->turn = turn;
    call->turns = turns;
    return fits || qw_fail(error, QW_ERROR_UNSUPPORTED, "/steps/*/received/position_ids", "leave position_ids to the library",
                           "a generate() whose steps do not get one position for each token is outside what this version covers");
}

bool qc_call_make(struct qw_call *call, const struct qc_recording *recording, const struct qw_model *model,
                  const struct qw_adapter *adapter, struct qw_error *error)
{
    struct making making = {.call = call, .recording = recording, .model = model};
    making.prompt = adapter->kind == QW_ADAPTER_EMBEDS ? adapter->virtual_tokens : 0;
    making.prefix = adapter->kind == QW_ADAPTER_KEYS_VALUES ? adapter->virtual_tokens : 0;
    int64_t rows = qc_way_rows(recording);
    *call = (struct qw_call){.generate = !strcmp(recording->call_kind, "generate"), .use_cache = keeps_cache(recording)};
    call->cacheless = !recording->use_cache;
    call->recomputes = recomputes(recording);
    call->counts_slots = counts_slots(recording);
    call->batch = recording->input_ids->shape.dim[0] * rows;
    call->tokens = recording->input_ids->shape.dim[1];
    call->input_ids = repeated(recording->input_ids, rows);
    call->mask = recording->attention_mask ? repeated(recording->attention_mask, rows) : qc_padding_mask(recording, call);
    switch (qc_way_of(recording)) {
    case QC_WAY_LOOP: return make_loop(&making, error);
    case QC_WAY_BEAMS: make_beams(&making); break;
    case QC_WAY_CHUNKS: make_chunks(&making); break;
    case QC_WAY_CANDIDATES:
        take_output(&making, 1);
        make_candidates(&making);
        break;
    case QC_WAY_PLAIN: take_output(&making, 1); return make_numbered(&making, error);
    }
    return true;
}

void qc_call_clear(struct qw_call *call)
{
    for (int64_t i = 0; call->turn && i < call->turns; i++) {
        free((void *)(uintptr_t)call->turn[i].ids);
        free((void *)(uintptr_t)call->turn[i].row);
        free((void *)(uintptr_t)call->turn[i].mask);
        free((void *)(uintptr_t)call->turn[i].position);
    }
    free((void *)(uintptr_t)call->turn);
    free((void *)(uintptr_t)call->input_ids);
    free((void *)(uintptr_t)call->output_ids);
    free((void *)(uintptr_t)call->mask);
    *call = (struct qw_call){0};
}

struct qw_tensor *qc_call_taken_up(const struct qc_subject *subject, int step, const struct qw_tensor *after, int64_t first,
                                   int64_t count)
{
    struct qw_turn turn = qw_protocol_turn(&subject->call, step);
    int axis = subject->model.config.layout == QW_LAYOUT_BSKD ? 1 : 2;
    struct qw_shape shape = after->shape;
    bool cut = subject->call.turn && shape.rank == 4 && first + count < shape.dim[axis];
    first = subject->call.turn && shape.rank == 4 && first < shape.dim[axis] ? first : 0;
    if (cut || first)
        shape.dim[axis] = cut ? count : shape.dim[axis] - first;
    struct qw_tensor *tensor = after->data ? qw_tensor_make(after->dtype, &shape) : qw_tensor_structure(after->dtype, &shape);
    size_t slices = 1, inner = qw_dtype_bytes(after->dtype);
    for (int i = 1; i < shape.rank; i++)
        *(shape.rank == 4 && i >= axis ? &inner : &slices) *= (size_t)shape.dim[i];
    size_t unit = shape.rank == 4 && shape.dim[axis] ? inner / (size_t)shape.dim[axis] : 0;
    size_t from = unit ? unit * (size_t)after->shape.dim[axis] : inner, skipped = unit * (size_t)first;
    for (size_t i = 0; after->data && i < (size_t)shape.dim[0] * slices; i++) {
        size_t b = i / slices, row = turn.row ? (size_t)turn.row[b] : b;
        memcpy((char *)tensor->data + i * inner, (const char *)after->data + (row * slices + i % slices) * from + skipped, inner);
    }
    return tensor;
}
