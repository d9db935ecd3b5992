/* Invariant: the same judgement gives the same words. */
#include "harness/diagnose/narrative.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"

/* ---- where ---- */

static bool raised_inside(const struct qc_item *item, const struct qc_recording *recording)
{
    return item->free.kind == QC_RAISED && item->step >= 0 && item->step < recording->steps && recording->raised_at[0];
}

char *qc_site_name(const struct qc_item *item, const struct qc_recording *recording)
{
    int layer;
    return qw_strdup(raised_inside(item, recording) ? qw_site_of_path(&layer, recording->raised_at)
                                                    : qw_site_rows[item->site].name);
}

int qc_site_layer(const struct qc_item *item, const struct qc_recording *recording)
{
    int layer = item->layer;
    if (raised_inside(item, recording))
        qw_site_of_path(&layer, recording->raised_at);
    return layer;
}

char *qc_place_text(const struct qc_item *item)
{
    if (item->step < 0)
        return qw_strdup("before the first step");
    return item->layer < 0 ? qw_format("step %d", item->step) : qw_format("step %d, layer %d", item->step, item->layer);
}

/* ---- what ---- */

static char *shapes_text(const char *name, const struct qc_item *item)
{
    char expected[96], observed[96];
    qw_shape_text(expected, sizeof expected, &qc_item_view(item)->expected_shape);
    qw_shape_text(observed, sizeof observed, &item->observed_shape);
    return qw_format("%s has shape %s where %s is expected", name, observed, expected);
}

static char *ratio_text(double ratio)
{
    return ratio > 1e300 ? qw_strdup("copied data that must be equal to the bit")
                         : qw_format("%.3g times the noise floor, %.3g are allowed", ratio, QC_NOISE_MULTIPLE);
}

static char *value_text(const char *name, const struct qc_item *item)
{
    const struct qc_difference *difference = &qc_item_view(item)->difference;
    if (item->observed_text)
        return qw_format("%s holds %s where %s are expected", name, item->observed_text, item->expected_text);
    char *ratio = ratio_text(difference->ratio);
    char *text = qw_format("%s holds %.9g where %.9g is expected (%s)", name, difference->observed, difference->expected, ratio);
    free(ratio);
    return text;
}

/* A missing tensor of step 0's hand-over most often means that its rival is there instead. */
static const char *instead_of(const struct qc_item *item, const struct qc_recording *recording)
{
    const struct qc_step *step = item->step >= 0 && item->step < recording->steps ? &recording->step[item->step] : NULL;
    if (step && item->site == QW_SITE_INPUTS_EMBEDS && step->input[QC_INPUT_IDS])
        return ", bare token ids are handed over instead";
    if (step && item->site == QW_SITE_INPUT_IDS && step->input[QC_INPUTS_EMBEDS])
        return ", embeddings are handed over instead";
    return "";
}

static char *missing_text(const char *name, const struct qc_item *item, const struct qc_recording *recording)
{
    char shape[96];
    qw_shape_text(shape, sizeof shape, &qc_item_view(item)->expected_shape);
    bool shaped = qc_item_view(item)->expected_shape.rank > 0;
    return qw_format("%s is missing%s%s%s%s", name, shaped ? " (expected with shape " : "", shaped ? shape : "",
                     shaped ? ")" : "", instead_of(item, recording));
}

static char *extra_text(const char *name, const struct qc_item *item)
{
    char shape[96];
    qw_shape_text(shape, sizeof shape, &item->observed_shape);
    bool shaped = item->observed_shape.rank > 0;
    return qw_format("%s is there%s%s although the healthy run has none", name, shaped ? " with shape " : "",
                     shaped ? shape : "");
}

const char *qc_axis_name(const struct qc_item *item, int axis)
{
    static const char *const prompt[] = {"layer", "key or value", "batch", "heads", "sequence", "head size"};
    static const char *const cache[][4] = {[QW_LAYOUT_BKSD] = {"batch", "heads", "sequence", "head size"},
                                           [QW_LAYOUT_BSKD] = {"batch", "sequence", "heads", "head size"}};
    static const char *const tokens[] = {"batch", "sequence", "hidden size"};
    enum qw_place place = qw_site_rows[item->site].place;
    if (place == QW_ADAPTER && qc_item_view(item)->expected_shape.rank == 6)
        return prompt[axis];
    return place == QW_BEFORE || place == QW_AFTER ? cache[item->layout][axis] : tokens[axis];
}

/* "cache_before.key holds its axes in another order, [0, 2, 1, 3]: sequence, heads where heads, sequence are expected" */
static char *layout_text(const char *name, const struct qc_item *item)
{
    const struct qc_view *view = qc_item_view(item);
    struct qw_text order = {0}, is = {0}, should = {0};
    for (int i = 0; i < view->expected_shape.rank; i++) {
        qw_text_addf(&order, "%s%d", i ? ", " : "", view->permutation[i]);
        if (view->permutation[i] == i)
            continue;
        qw_text_addf(&is, "%s%s", is.length ? ", " : "", qc_axis_name(item, view->permutation[i]));
        qw_text_addf(&should, "%s%s", should.length ? ", " : "", qc_axis_name(item, i));
    }
    char *text = qw_format("%s holds its axes in the order [%s]: %s where %s are expected", name, order.bytes, is.bytes,
                           should.bytes);
    qw_text_free(&order);
    qw_text_free(&is);
    qw_text_free(&should);
    return text;
}

char *qc_difference_text(const struct qc_item *item, const struct qc_recording *recording)
{
    char *name = qc_site_name(item, recording), *text;
    const struct qc_view *view = qc_item_view(item);
    switch (view->kind) {
    case QC_KIND_NONE: text = qw_format("%s conforms", name); break;
    case QC_MISSING: text = missing_text(name, item, recording); break;
    case QC_EXTRA: text = extra_text(name, item); break;
    case QC_CACHE_TYPE: text = qw_format("%s is %s where %s is expected", name, item->observed_text, item->expected_text); break;
    case QC_CACHE_LENGTH:
        text = qw_format("%s is %.0f where %.0f is expected", name, view->difference.observed, view->difference.expected);
        break;
    case QC_DTYPE:
        text = qw_format("%s is stored as %s, the model computes in %s", name, item->dtype, recording->model_dtype);
        break;
    case QC_LAYOUT: text = layout_text(name, item); break;
    case QC_NONFINITE: text = qw_format("%s holds a value that is not finite", name); break;
    case QC_VALUE: text = value_text(name, item); break;
    case QC_POSITION:
        text = qw_format("%s holds position %.0f where %.0f is expected", name, view->difference.observed,
                         view->difference.expected);
        break;
    case QC_RAISED: text = qw_format("%s raised %s", item->step < 0 ? "the call" : name, recording->exception_type); break;
    default: text = shapes_text(name, item); break;
    }
    free(name);
    return text;
}

/* ---- which token ---- */

/* The sequence axis of a site's tensors, or -1. */
static int sequence_axis(const struct qc_item *item)
{
    switch (qw_site_rows[item->site].place) {
    case QW_ADAPTER: return item->observed_shape.rank == 6 ? 4 : 1;
    case QW_RECEIVED: return item->site == QW_SITE_CACHE_POSITION ? 0 : 1;
    case QW_BEFORE:
    case QW_AFTER: return item->layout == QW_LAYOUT_BSKD ? 1 : 2;
    case QW_HEAD:
    case QW_TAIL:
    case QW_BLOCK: return item->site == QW_SITE_TABLE_COS || item->site == QW_SITE_TABLE_SIN ? 0 : 1;
    default: return -1;
    }
}

/* The batch axis, or -1. */
static int batch_axis(const struct qc_item *item)
{
    int axis = sequence_axis(item);
    return axis <= 0 ? -1 : qw_site_rows[item->site].place == QW_ADAPTER && item->observed_shape.rank == 6 ? 2 : 0;
}

static bool spans_whole_cache(const struct qc_item *item)
{
    enum qw_place place = qw_site_rows[item->site].place;
    return place == QW_BEFORE || place == QW_AFTER || place == QW_ADAPTER || strchr(qw_site_rows[item->site].shape, 'S');
}

/* The row of the sequence at index 0: what was there before the step, and skipped logits rows. */
static int64_t first_row(const struct qc_item *item, const struct qc_judgement *judgement)
{
    if (spans_whole_cache(item))
        return 0;
    int64_t end = judgement->ends[item->step], extent = qc_item_view(item)->expected_shape.dim[1];
    return end > extent ? end - extent : 0;
}

char *qc_position_text(const struct qc_item *item, const struct qc_judgement *judgement)
{
    const struct qc_view *view = qc_item_view(item);
    int axis = sequence_axis(item);
    if (!view->valued || view->kind == QC_KIND_NONE || view->difference.index < 0 || axis < 0 ||
        axis >= view->expected_shape.rank || item->step < 0)
        return NULL;
    int64_t index[QW_MAX_RANK], P = judgement->subject->adapter.virtual_tokens, T = judgement->subject->call.tokens;
    qw_shape_unravel(index, &view->expected_shape, view->difference.index);
    int64_t row = index[axis] + first_row(item, judgement);
    if (row < P)
        return qw_format("virtual token %lld of %lld", (long long)row, (long long)P);
    const int64_t *mask = judgement->subject->call.mask;
    int64_t b = batch_axis(item) < 0 ? 0 : index[batch_axis(item)];
    if (row < P + T && mask && b < judgement->subject->call.batch && !mask[b * T + row - P])
        return qw_format("padding in the place of prompt token %lld of %lld", (long long)(row - P), (long long)T);
    if (row < P + T)
        return qw_format("prompt token %lld of %lld", (long long)(row - P), (long long)T);
    return qw_format("generated token %lld", (long long)(row - P - T));
}

/* ---- the sentence ---- */

static char *passing_text(const struct qc_judgement *judgement)
{
    const struct qc_recording *recording = judgement->subject->recording;
    bool values = judgement->values && recording->level >= QC_LEVEL_BLOCKS;
    char *steps = recording->steps == 1 ? qw_strdup("its one step") : qw_format("all %d steps", recording->steps);
    char *text = qw_format("Conforms: %s agree with a healthy run of these versions in %s%s.",
                           values ? "hand-over, model and cache" : "the structures", steps,
                           values ? "" : "; values could not be judged");
    free(steps);
    return text;
}

/* Length of a text's first sentence: up to a semicolon, or a full stop that ends a word and is none of "0.13.0". */
static int first_sentence(const char *text)
{
    int end = 0;
    while (text[end] && text[end] != ';' && !(text[end] == '.' && (text[end + 1] == ' ' || !text[end + 1])))
        end++;
    return end;
}

/* Whether everything that a step was handed is as in the healthy play (1), something is not (-1), nothing was judged (0). */
static int handed_rightly(const struct qc_judgement *judgement, int step)
{
    int judged = 0;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        enum qw_place place = qw_site_rows[item->site].place;
        if (item->step != step || item->reason || (place != QW_RECEIVED && place != QW_BEFORE) || !item->free.looked)
            continue;
        if (item->free.kind != QC_KIND_NONE)
            return -1;
        judged = 1;
    }
    return judged;
}

char *qc_right_steps_text(const struct qc_judgement *judgement)
{
    struct qw_text list = {0};
    int steps = judgement->subject->recording->steps, right = 0, wrong = 0;
    for (int step = 0; step < steps; step++) {
        int last = step;
        wrong += handed_rightly(judgement, step) < 0;
        if (handed_rightly(judgement, step) <= 0)
            continue;
        while (last + 1 < steps && handed_rightly(judgement, last + 1) > 0)
            last++;
        qw_text_addf(&list, last > step ? "%s%d-%d" : "%s%d", right ? ", " : "", step, last);
        right += last - step + 1;
        step = last;
    }
    char *text = right && wrong ? qw_format(right > 1 ? "steps %s" : "step %s", list.bytes) : NULL;
    qw_text_free(&list);
    return text;
}

/* The other of two causes, neither of which explains everything. */
static char *second_text(const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    char *why = qc_cause_text(cause->why, cause, subject), *remedy = qc_cause_text(cause->remedy, cause, subject);
    char *text = qw_format(" And besides: %s: %s. %.*s.", cause->title, why, first_sentence(remedy), remedy);
    free(why);
    free(remedy);
    return text;
}

static char *named_text(const struct qc_diagnosis *diagnosis, const struct qc_subject *subject, const char *first)
{
    const struct qc_cause_row *cause = diagnosis->ranked[0].cause, *second = diagnosis->second.cause;
    char *why = qc_cause_text(cause->why, cause, subject), *remedy = qc_cause_text(cause->remedy, cause, subject);
    char *besides = second ? second_text(second, subject) : qw_strdup("");
    char *text = qw_format("%s: %s. %s. %.*s.%s", cause->title, first, why, first_sentence(remedy), remedy, besides);
    free(why);
    free(remedy);
    free(besides);
    return text;
}

static char *failing_text(const struct qc_judgement *judgement, const struct qc_diagnosis *diagnosis, const struct qc_item *item)
{
    char *place = qc_place_text(item), *difference = qc_difference_text(item, judgement->subject->recording);
    char *first = qw_format(item->step < 0 ? "%s %s" : "first at %s, %s", place, difference);
    char *text = diagnosis && diagnosis->named
                     ? named_text(diagnosis, judgement->subject, first)
                     : qw_format("Diverges from a healthy run, %s. No cause of the catalogue reproduces it. "
                                 "Look at that site and at the ranked hypotheses.",
                                 first);
    free(place);
    free(difference);
    free(first);
    return text;
}

char *qc_verdict_text(const struct qc_judgement *judgement, const struct qc_diagnosis *diagnosis)
{
    const struct qc_item *item = qc_judgement_first(judgement);
    char *text = item ? failing_text(judgement, diagnosis, item) : passing_text(judgement);
    char *only = qc_selection_text(&judgement->subject->selection), *right = item ? qc_right_steps_text(judgement) : NULL;
    const struct qc_recording *recording = judgement->subject->recording;
    char *worth = item ? qc_consequence_text(&judgement->consequence, recording->raised) : NULL;
    char *whole = qw_format("%s%s%s%s%s%s%s%s%s", text, worth ? " " : "", worth ? worth : "",
                            right ? " Rightly handed over, as in a healthy run: " : "", right ? right : "", right ? "." : "",
                            only[0] ? " Judged only: " : "", only, only[0] ? "." : "");
    free(text);
    free(worth);
    free(right);
    free(only);
    return whole;
}
