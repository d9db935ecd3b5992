/* Invariant: groups cover every place that differs exactly once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/pair.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

/* ---- groups ---- */

/* What is told together within a step: the modules of the blocks, keys with values, else the site alone. */
static bool same_bucket(const struct qc_pair_place *a, const struct qc_pair_place *b)
{
    if (a->where != b->where)
        return false;
    bool in_cache = a->where == QW_BEFORE || a->where == QW_AFTER;
    return a->where == QW_BLOCK || (in_cache && a->layer >= 0 && b->layer >= 0) || !strcmp(a->site, b->site);
}

static bool differs(const struct qc_pair_place *place) { return !place->reason && place->kind != QC_KIND_NONE; }

/* How many places of the group's bucket were compared in its step and layers. */
static int compared_in(const struct qc_pair *pair, const struct qc_pair_group *group, int from, int to)
{
    int count = 0;
    for (int i = from; i < to; i++)
        count += !pair->place[i].reason && same_bucket(&pair->place[i], group->first) &&
                 pair->place[i].layer >= group->first_layer && pair->place[i].layer <= group->last_layer;
    return count;
}

static void widen(struct qc_pair_group *group, const struct qc_pair_place *place)
{
    group->first_layer = place->layer < group->first_layer ? place->layer : group->first_layer;
    group->last_layer = place->layer > group->last_layer ? place->layer : group->last_layer;
    group->kinds |= 1u << place->kind;
    group->count++;
    if (place->valued && !(place->difference.max_abs <= group->max_abs))
        group->max_abs = place->difference.max_abs;
}

/* The groups of places from..to-1, which all lie in one step. */
static void group_step(struct qc_pair *pair, int from, int to)
{
    int begin = pair->groups;
    for (int i = from; i < to; i++) {
        const struct qc_pair_place *place = &pair->place[i];
        int g = begin;
        if (!differs(place))
            continue;
        while (g < pair->groups && !same_bucket(pair->group[g].first, place))
            g++;
        if (g == pair->groups) {
            pair->group = qw_realloc(pair->group, (size_t)pair->groups + 1, sizeof *pair->group);
            pair->group[pair->groups++] = (struct qc_pair_group){
                place->step, place->step, place->layer, place->layer, place, place->where == QW_BLOCK, 0, 0, 0, 0};
        }
        widen(&pair->group[g], place);
    }
    for (int g = begin; g < pair->groups; g++)
        pair->group[g].of = compared_in(pair, &pair->group[g], from, to);
}

/* Whether a later step's group only continues an earlier one's. */
static bool continues(const struct qc_pair_group *earlier, const struct qc_pair_group *later)
{
    return later->first_step == earlier->last_step + 1 && same_bucket(earlier->first, later->first) &&
           earlier->kinds == later->kinds && earlier->first_layer == later->first_layer &&
           earlier->last_layer == later->last_layer && (earlier->count == earlier->of) == (later->count == later->of) &&
           !strcmp(earlier->first->site, later->first->site);
}

static void merge_steps(struct qc_pair *pair)
{
    int kept = 0;
    for (int i = 0; i < pair->groups; i++) {
        const struct qc_pair_group *later = &pair->group[i];
        int g = kept - 1;
        while (g >= 0 && !(later->first_step >= 0 && continues(&pair->group[g], later)))
            g--;
        if (g < 0) {
            pair->group[kept++] = *later;
            continue;
        }
        pair->group[g].last_step = later->last_step;
        pair->group[g].count += later->count;
        pair->group[g].of += later->of;
        pair->group[g].max_abs = fmax(pair->group[g].max_abs, later->max_abs);
    }
    pair->groups = kept;
}

void qc_pair_condense(struct qc_pair *pair)
{
    for (int from = 0, to; from < pair->places; from = to) {
        for (to = from + 1; to < pair->places && pair->place[to].step == pair->place[from].step; to++)
            ;
        group_step(pair, from, to);
    }
    merge_steps(pair);
}

/* ---- words ---- */

static char *shapes_text(const struct qc_pair_place *place)
{
    char a[96], b[96];
    qw_shape_text(a, sizeof a, &place->a.shape);
    qw_shape_text(b, sizeof b, &place->b.shape);
    return qw_format("shape %s | %s", a, b);
}

static char *only_text(const struct qc_pair_place *place)
{
    char shape[96];
    const struct qc_pair_side *side = place->a.there ? &place->a : &place->b;
    qw_shape_text(shape, sizeof shape, &side->shape);
    return qw_format("only in %s%s%s%s%s", place->a.there ? "A" : "B", side->shaped ? " " : "", side->shaped ? shape : "",
                     side->shaped ? " " : "", side->shaped ? side->dtype : "");
}

/* "0.1 | 0.2 at [0, 3], max |a - b| 0.12 (35 ulp)": the first element that differs, and how far they are apart */
static char *value_text(const struct qc_pair_place *place)
{
    const struct qc_difference *found = &place->difference;
    if (!place->a.shaped && place->a.text)
        return qw_format("%.12s… | %.12s…", place->a.text, place->b.text);
    if (!place->valued)
        return qw_strdup("the contents differ");
    if (isnan(found->max_abs))
        return qw_format("statistics differ, rms %.6g | %.6g", found->expected, found->observed);
    int64_t index[QW_MAX_RANK];
    struct qw_shape where = {.rank = place->a.shape.rank};
    char text[96];
    qw_shape_unravel(index, &place->a.shape, found->index);
    memcpy(where.dim, index, sizeof where.dim);
    qw_shape_text(text, sizeof text, &where);
    char ulp[40] = "";
    if (found->ulp > 0)
        snprintf(ulp, sizeof ulp, " (%.3g ulp)", found->ulp);
    return qw_format("%.9g | %.9g at %s, max |a - b| %.3g%s", found->expected, found->observed, text, found->max_abs, ulp);
}

char *qc_pair_place_text(const struct qc_pair_place *place)
{
    switch (place->kind) {
    case QC_KIND_NONE: return qw_strdup("equal");
    case QC_MISSING:
    case QC_EXTRA: return only_text(place);
    case QC_DTYPE: return qw_format("dtype %s | %s", place->a.dtype, place->b.dtype);
    case QC_CACHE_TYPE:
    case QC_RAISED: return qw_format("%s | %s", place->a.text, place->b.text);
    case QC_CACHE_LENGTH: return qw_format("%.0f | %.0f", place->difference.expected, place->difference.observed);
    case QC_VALUE:
    case QC_POSITION:
    case QC_NONFINITE: return value_text(place);
    default: return shapes_text(place);
    }
}

static void add_kinds(struct qw_text *out, unsigned kinds)
{
    const char *before = "";
    for (enum qc_kind kind = 1; kind < QC_KINDS; kind++)
        if (kinds & 1u << kind) {
            qw_text_addf(out, "%s%s", before, qc_kind_name(kind));
            before = ", ";
        }
}

/* How many of how many, and in what: "all 36, from self_attn.q_proj on: shape". */
char *qc_pair_group_text(const struct qc_pair_group *group)
{
    if (group->of == 1)
        return qc_pair_place_text(group->first);
    struct qw_text text = {0};
    if (group->count == group->of)
        qw_text_addf(&text, "all %d", group->count);
    else
        qw_text_addf(&text, "%d of %d", group->count, group->of);
    if (group->modules)
        qw_text_addf(&text, ", from %s on", group->first->site);
    qw_text_add(&text, ": ");
    add_kinds(&text, group->kinds);
    return qw_text_take(&text);
}

int64_t qc_pair_tokens(const int64_t **tokens, const struct qc_recording *recording, int64_t row)
{
    const struct qw_tensor *in = recording->input_ids, *out = recording->output_ids;
    if (!in || !out || !out->data || row >= out->shape.dim[0])
        return 0;
    *tokens = (const int64_t *)out->data + row * out->shape.dim[1] + in->shape.dim[1];
    return out->shape.dim[1] - in->shape.dim[1];
}

static char *place_name(const struct qc_pair_place *place)
{
    if (place->step < 0)
        return qw_strdup(place->site);
    return place->layer < 0 ? qw_format("step %d, %s", place->step, place->site)
                            : qw_format("step %d, layer %d, %s", place->step, place->layer, place->site);
}

/* The rival of a token input that only one of the two was handed. */
static const char *instead_of(const struct qc_pair *pair, const struct qc_pair_place *place)
{
    const struct qc_recording *other = place->a.there ? pair->b : pair->a;
    if (place->step < 0 || place->step >= other->steps)
        return "";
    if (!strcmp(place->site, "received.input_ids") && other->step[place->step].input[QC_INPUTS_EMBEDS])
        return place->a.there ? " where B is handed embeddings" : " where A is handed embeddings";
    if (!strcmp(place->site, "received.inputs_embeds") && other->step[place->step].input[QC_INPUT_IDS])
        return place->a.there ? " where B is handed token ids" : " where A is handed token ids";
    return "";
}

static char *equal_text(const struct qc_pair *pair, const struct qc_pair_counts *counts, bool by_floor)
{
    const char *how = by_floor ? "Equal up to rounding" : "Equal to the bit";
    if (pair->unvalued)
        return qw_format(
            "The structures are equal in all %d places that both recordings hold; %d of them could not be compared by "
            "value.",
            counts->compared, pair->unvalued);
    return qw_format("%s: all %d places that both recordings hold agree, in %d steps.", how, counts->compared, pair->a->steps);
}

char *qc_pair_verdict(const struct qc_pair *pair, bool by_floor)
{
    const struct qc_pair_place *first = qc_pair_first(pair);
    struct qc_pair_counts counts = qc_pair_count(pair);
    if (!first)
        return equal_text(pair, &counts, by_floor);
    char *name = place_name(first), *what = qc_pair_place_text(first);
    char *text = qw_format("The runs part at %s: %s%s. %d of %d places differ%s.", name, what, instead_of(pair, first),
                           counts.differ, counts.compared + counts.missing, by_floor ? " by more than rounding can explain" : "");
    free(name);
    free(what);
    return text;
}
