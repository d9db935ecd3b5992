/* Invariant: memory holds the taps of one stage only, whatever the depth of the model. */
#include "harness/compare/replay.h"

#include <stdlib.h>
#include <string.h>

#include "harness/compare/frame.h"
#include "harness/compare/light.h"
#include "harness/compare/recorded.h"
#include "reference/base/memory.h"
#include "reference/letters.h"

struct seen {
    enum qw_site site;
    int layer;
    struct qw_shape shape;
    double *value;
};

/* The taps of one stage of one play. */
struct collector {
    const struct qc_replay *replay;
    uint64_t *dither; /* of a play in the record's arithmetic; NULL: the truth */
    int count;
    struct seen seen[24];
};

static const struct qc_tap *recorded_tap(const struct qc_replay *replay, enum qw_site site, int layer)
{
    return qc_recorded_tap(replay->judgement->subject, site, replay->step, layer);
}

/* Row of the play's [B,R,…] in which kept row i of the record lies: both end at the last position. */
static int64_t row_of(const struct qc_tap *tap, int64_t i, const struct qw_shape *shape)
{
    return shape->dim[1] - tap->whole.dim[1] + tap->row[i];
}

/* Of [B,R,w], the rows that the record keeps: [B,rows,w]; free with free(). */
static double *kept_rows(const double *value, const struct qc_tap *tap, const struct qw_shape *shape)
{
    int64_t B = shape->dim[0], R = shape->dim[1], w = shape->dim[2];
    double *kept = QW_NEW_ARRAY(double, B * tap->rows * w);
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < tap->rows; i++)
            memcpy(kept + (b * tap->rows + i) * w, value + (b * R + row_of(tap, i, shape)) * w, sizeof *kept * (size_t)w);
    return kept;
}

double qc_storage_roundoff(const struct qc_subject *subject, const struct qw_tensor *tensor)
{
    double stored = tensor ? qw_dtype_roundoff(tensor->dtype) : 0;
    return stored > qc_subject_roundoff(subject) ? stored : 0;
}

/* What storing took from the inputs of the next module, in one sample. */
static void blur(double *values, size_t count, double roundoff, uint64_t *dither)
{
    for (size_t i = 0; dither && roundoff > 0 && i < count; i++)
        values[i] += values[i] * roundoff * qw_dither_next(dither);
}

static void collect(void *user, enum qw_site site, int layer, double *value, const struct qw_shape *shape)
{
    struct collector *collector = user;
    size_t count = (size_t)qw_shape_count(shape);
    const struct qc_tap *tap = recorded_tap(collector->replay, site, layer);
    collector->seen[collector->count++] = (struct seen){site, layer, *shape, qw_memdup(value, count, sizeof *value)};
    if (!collector->replay->isolated || !qc_recorded_put(value, tap, shape))
        return;
    blur(value, count, qc_storage_roundoff(collector->replay->judgement->subject, tap->tensor), collector->dither);
}

static int64_t sum_of(const struct qc_replay *replay, enum qw_site site)
{
    struct qw_letters letters = qw_letters_of(&replay->judgement->subject->model.config);
    return qc_subject_roundings(replay->judgement->subject, qw_extent_from_letters(qw_site_rows[site].sum, &letters));
}

/* The envelope of what the plays saw at one tap; free with free(). */
static double *envelope_of(const struct seen *truth, const struct collector *played, int index, int plays)
{
    int64_t count = qw_shape_count(&truth->shape);
    double *envelope = qw_memdup(truth->value, (size_t)count, sizeof *envelope);
    for (int i = 0; i < plays; i++)
        qc_envelope_widen(envelope, truth->value, played[i].seen[index].value, count);
    return envelope;
}

/* What the play gave, in the extents of what was recorded; NULL when they do not fit.  Free with free(). */
static double *as_recorded(const double *value, const struct qc_tap *tap, const struct qw_shape *shape)
{
    if (tap->row)
        return tap->whole.rank == 3 && shape->rank == 3 && tap->rows > 0 && row_of(tap, 0, shape) >= 0
                   ? kept_rows(value, tap, shape)
                   : NULL;
    if (!qw_shape_equal(&tap->tensor->shape, shape) && !qc_stands_for_all(&tap->tensor->shape, shape))
        return NULL;
    return qw_memdup(value, (size_t)qw_shape_count(&tap->tensor->shape), sizeof *value);
}

/* Values that differ may be the expected ones rearranged: within the floor's bound, and far enough from each other for it. */
static void find_transform(struct qc_view *view, const struct qc_tap *tap, const double *expected, const struct seen *truth,
                           const struct qc_replay *replay)
{
    struct qw_letters letters = qw_letters_of(&replay->judgement->subject->model.config);
    if (view->kind == QC_VALUE && replay->isolated && !replay->judgement->light)
        qc_transform_find(&view->transform, tap->tensor, expected, &tap->tensor->shape, qw_site_rows[truth->site].shape, &letters,
                          view->difference.floor * QC_NOISE_MULTIPLE);
}

static void compare_seen(const struct qc_replay *replay, const struct seen *truth, const struct collector *played, int index)
{
    struct qc_item *item = qc_items_at(&replay->judgement->items, truth->site, replay->step, truth->layer);
    struct qc_view *view = replay->isolated ? &item->isolated : &item->free;
    const struct qc_tap *tap = recorded_tap(replay, truth->site, truth->layer);
    if (!tap || !qc_view_open(view))
        return;
    const struct qc_subject *subject = replay->judgement->subject;
    double *whole = envelope_of(truth, played, index, replay->play->plays), roundoff = qc_subject_roundoff(subject);
    qc_envelope_store(whole, truth->value, qw_shape_count(&truth->shape), qc_storage_roundoff(subject, tap->tensor));
    double *expected = as_recorded(truth->value, tap, &truth->shape), *envelope = as_recorded(whole, tap, &truth->shape);
    struct qc_difference difference;
    if (expected &&
        qc_difference_of_tensor(&difference, tap->tensor, expected, envelope, sum_of(replay, truth->site), roundoff)) {
        if (replay->judgement->light)
            qc_light_weigh(replay->judgement->light, &difference, item, replay->isolated);
        qc_view_note(view, &difference, QC_VALUE);
        find_transform(view, tap, expected, truth, replay);
    }
    free(expected);
    free(envelope);
    free(whole);
}

/* Next-token logits of the free play against the record's, batch row by batch row. */
static void weigh_logits(const struct qc_replay *replay, const struct seen *truth)
{
    const struct qc_tap *there = recorded_tap(replay, QW_SITE_LM_HEAD, -1);
    const struct qw_tensor *tap = there ? there->tensor : NULL;
    bool last = there && (!there->row || (there->rows && there->row[there->rows - 1] == there->whole.dim[1] - 1));
    int64_t B = truth->shape.dim[0], rows = truth->shape.dim[1], V = truth->shape.dim[2];
    if (!last || !tap->data || tap->shape.rank != 3 || tap->shape.dim[0] != B || tap->shape.dim[2] != V || !tap->shape.dim[1])
        return;
    double *row = QW_NEW_ARRAY(double, V);
    for (int64_t b = 0; b < B; b++) {
        qw_tensor_read(row, tap, (b * tap->shape.dim[1] + tap->shape.dim[1] - 1) * V, V);
        qc_consequence_weigh(&replay->judgement->consequence.step[replay->step], truth->value + (b * rows + rows - 1) * V, row,
                             V);
    }
    free(row);
}

/* Compares what the plays saw in this stage, and forgets it. */
static void compare_stage(const struct qc_replay *replay, struct collector *truth, struct collector *played)
{
    for (int i = 0; i < truth->count; i++) {
        compare_seen(replay, &truth->seen[i], played, i);
        if (truth->seen[i].site == QW_SITE_LM_HEAD && !replay->isolated)
            weigh_logits(replay, &truth->seen[i]);
        free(truth->seen[i].value);
        for (int k = 0; k < replay->play->plays; k++)
            free(played[k].seen[i].value);
    }
    truth->count = 0;
    for (int k = 0; k < replay->play->plays; k++)
        played[k].count = 0;
}

/* ---- plays ---- */

struct qc_play qc_play_make(const struct qc_judgement *judgement)
{
    const struct qc_subject *subject = judgement->subject;
    int64_t L = subject->model.config.layers, B = subject->call.batch;
    struct qc_play play = {.truth = qw_cache_make(L, B), .alive = subject->model.has_weights};
    play.plays = judgement->light ? 0 : QC_NOISE_PLAYS;
    play.truth.room = qc_frame_room(subject);
    for (int i = 0; i < play.plays; i++) {
        play.played[i] = qw_cache_make(L, B);
        play.dither[i] = (uint64_t)i;
        play.played[i].room = play.truth.room;
    }
    return play;
}

void qc_play_clear(struct qc_play *play)
{
    qw_cache_clear(&play->truth);
    for (int i = 0; i < play->plays; i++)
        qw_cache_clear(&play->played[i]);
}

double *qc_play_envelope(const struct qc_play *play, int layer, bool value)
{
    const struct qw_cache_layer *t = &play->truth.layer[layer];
    int64_t count = play->truth.batch * t->heads * t->length * t->head_size;
    const double *truth = value ? t->value : t->key;
    double *envelope = qw_memdup(truth, (size_t)count, sizeof *envelope);
    for (int i = 0; i < play->plays; i++) {
        const struct qw_cache_layer *s = &play->played[i].layer[layer];
        qc_envelope_widen(envelope, truth, value ? s->value : s->key, count);
    }
    return envelope;
}

/* The float64 play and those in the record's arithmetic, all at the same stage. */
struct passes {
    struct qw_arith arith[QC_NOISE_PLAYS];
    struct collector truth, played[QC_NOISE_PLAYS];
    struct qw_pass t, s[QC_NOISE_PLAYS];
};

static void begin(struct passes *passes, struct qc_replay *replay)
{
    const struct qw_model *model = &replay->judgement->subject->model;
    const struct qw_rules *rules = &replay->judgement->rules;
    passes->truth = (struct collector){.replay = replay};
    const struct qw_arith *truth = replay->judgement->light ? qc_subject_arith(replay->judgement->subject) : &qw_f64;
    passes->t = qw_pass_begin(model, truth, rules, replay->handover, &replay->play->truth,
                              (struct qw_tap){collect, &passes->truth});
    for (int i = 0; i < replay->play->plays; i++) {
        passes->played[i] = (struct collector){.replay = replay, .dither = &replay->play->dither[i]};
        const struct qw_arith *arith = qc_subject_play(replay->judgement->subject, i);
        /* fed with what the record says, a half rounds the same elements the same way, but for ties */
        enum qw_dtype by = replay->isolated ? arith->sums : arith->dtype;
        passes->arith[i] = i ? qw_arith_dithered(arith, by, &replay->play->dither[i]) : *arith;
        passes->s[i] = qw_pass_begin(model, &passes->arith[i], rules, replay->handover, &replay->play->played[i],
                                     (struct qw_tap){collect, &passes->played[i]});
    }
}

static bool given_up(const struct qc_replay *replay) { return replay->judgement->light && replay->judgement->light->given_up; }

bool qc_replay_run(struct qc_replay *replay, struct qc_stop *stop)
{
    struct passes passes;
    int layers = (int)replay->judgement->subject->model.config.layers;
    begin(&passes, replay);
    compare_stage(replay, &passes.truth, passes.played);
    bool stopped = !qw_pass_enters_blocks(&passes.t);
    if (stopped)
        *stop = (struct qc_stop){true, replay->step, -1};
    stopped = stopped || given_up(replay);
    for (int layer = 0; layer < layers && !stopped; layer++) {
        stopped = !qw_pass_block(&passes.t, layer);
        if (stopped)
            *stop = (struct qc_stop){true, replay->step, layer};
        for (int i = 0; i < replay->play->plays; i++)
            qw_pass_block(&passes.s[i], layer);
        compare_stage(replay, &passes.truth, passes.played);
        stopped = stopped || given_up(replay);
    }
    if (!stopped) {
        qw_pass_end(&passes.t, replay->rows);
        for (int i = 0; i < replay->play->plays; i++)
            qw_pass_end(&passes.s[i], replay->rows);
        compare_stage(replay, &passes.truth, passes.played);
    }
    qw_pass_clear(&passes.t);
    for (int i = 0; i < replay->play->plays; i++)
        qw_pass_clear(&passes.s[i]);
    return !stopped;
}
