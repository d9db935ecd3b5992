/* Invariant: which taps are there and what they look like follows from the sites and from what the step was given. */
#include "harness/invariants/look.h"
#include "harness/invariants/structure.h"
#include "reference/letters.h"

static enum qw_family family_of(const struct qc_judgement *judgement) { return judgement->subject->model.config.family; }

static bool has_site(const struct qc_judgement *judgement, enum qw_site site, const struct qc_extents *extents)
{
    const struct qw_site_row *row = &qw_site_rows[site];
    bool in_attention = judgement->rules.rotary_in_attention;
    if (!qw_site_in_family(site, family_of(judgement)) ||
        (judgement->subject->recording->level == QC_LEVEL_BLOCKS && !row->in_blocks))
        return false;
    switch (row->when) {
    case QW_WHEN_IDS: return !extents->embeds;
    case QW_WHEN_ONCE: return !in_attention;
    case QW_WHEN_EACH: return in_attention;
    default: return true;
    }
}

/* Where a site stands in the reference's execution order. */
static int rank_of(enum qw_site site, int layer, int layers)
{
    enum qw_place place = qw_site_rows[site].place;
    return (place == QW_HEAD ? 0 : place == QW_BLOCK ? layer + 1 : layers + 1) * QW_SITES + (int)site;
}

static const struct qc_tap *tap_of(const struct qc_judgement *judgement, int step, enum qw_site site, int layer)
{
    char path[160];
    qw_site_path(path, sizeof path, family_of(judgement), site, layer);
    return qc_step_tap(qc_step_of(judgement, step), path);
}

/* Whether the judged model can have a tap of this site. */
static bool is_module(const struct qc_judgement *judgement, enum qw_site site)
{
    enum qw_place place = qw_site_rows[site].place;
    return (place == QW_HEAD || place == QW_BLOCK || place == QW_TAIL) && qw_site_in_family(site, family_of(judgement));
}

/* Rotary tables are a function of positions in engines that have no module for them; what they turn shows in the keys. */
static bool is_rotary(enum qw_site site)
{
    return site == QW_SITE_ROTARY_COS || site == QW_SITE_ROTARY_SIN || site == QW_SITE_FIRST_COS || site == QW_SITE_FIRST_SIN ||
           site == QW_SITE_TABLE_COS || site == QW_SITE_TABLE_SIN;
}

/* Tables of a call are there before its first block, whatever raises in it; those of an attention may not have been reached. */
static bool is_made_before_blocks(enum qw_site site)
{
    return is_rotary(site) && site != QW_SITE_TABLE_COS && site != QW_SITE_TABLE_SIN;
}

/* Whether the producer does not tap the site: neither this step, nor the first, nor the last has it in any layer. */
static bool is_untapped(const struct qc_judgement *judgement, enum qw_site site, int step)
{
    int recorded = judgement->subject->recording->steps, steps[] = {step, 0, recorded ? recorded - 1 : 0};
    for (int i = 0; i < 3; i++)
        for (int layer = 0; layer < (qw_site_rows[site].place == QW_BLOCK ? judgement->items.layers : 1); layer++)
            if (tap_of(judgement, steps[i], site, layer))
                return false;
    return true;
}

/* A step that raised has taps up to the raise: the last of those that are there. */
static int last_rank(const struct qc_judgement *judgement, int step)
{
    int last = -1, layers = judgement->items.layers;
    bool raised = qc_step_of(judgement, step)->raised;
    for (enum qw_site site = 0; raised && site < QW_SITES; site++) {
        if (!is_module(judgement, site))
            continue;
        enum qw_place place = qw_site_rows[site].place;
        for (int layer = 0; layer < (place == QW_BLOCK ? layers : 1); layer++)
            if (tap_of(judgement, step, site, layer) && rank_of(site, layer, layers) > last)
                last = rank_of(site, layer, layers);
    }
    return raised ? last : rank_of(QW_SITE_LM_HEAD, 0, layers);
}

/* The last module that a play calls before it stops: the mask is made behind the embedding, keys are joined and scores
 * masked behind the projections and the rotary tables. */
static int rank_of_stop(const struct qc_judgement *judgement, const struct qc_stop *stop, int layers)
{
    const struct qw_family_row *family = &qw_family_rows[family_of(judgement)];
    return rank_of(stop->layer < 0 ? family->embed : family->projected, stop->layer, layers);
}

bool qc_taps_end_at(const struct qc_judgement *judgement, const struct qc_stop *stop)
{
    const struct qc_step *step = qc_step_of(judgement, stop->step);
    struct qc_extents extents = {.embeds = step->input[QC_INPUTS_EMBEDS] != NULL};
    int layers = judgement->items.layers, until = rank_of_stop(judgement, stop, layers), expected = -1;
    for (enum qw_site site = 0; site < QW_SITES; site++)
        for (int layer = 0; is_module(judgement, site) && layer < (qw_site_rows[site].place == QW_BLOCK ? layers : 1); layer++) {
            int rank = rank_of(site, layer, layers);
            bool absent = is_made_before_blocks(site) && is_untapped(judgement, site, stop->step);
            if (has_site(judgement, site, &extents) && !absent && rank <= until && rank > expected)
                expected = rank;
        }
    return last_rank(judgement, stop->step) == expected;
}

/* The first Qwen keeps its rotary tables in float32, whatever its own dtype. */
static enum qw_dtype dtype_of(const struct qc_judgement *judgement, enum qw_site site)
{
    return site == QW_SITE_FIRST_COS || site == QW_SITE_FIRST_SIN ? QW_F32 : judgement->subject->dtype;
}

static enum qc_kind tap_kind(const struct qc_judgement *judgement, enum qw_site site, const struct qw_tensor *tap,
                             const struct qw_shape *expected)
{
    struct qw_shape once = *expected;
    once.dim[0] = 1;
    if (qw_site_rows[site].when == QW_WHEN_ONCE && qc_shape_kind(tap, &once) == QC_KIND_NONE)
        return QC_KIND_NONE;
    enum qc_kind kind = qc_shape_kind(tap, expected);
    return kind == QC_KIND_NONE && tap->dtype != dtype_of(judgement, site) ? QC_DTYPE : kind;
}

/* Where a norm of heads is left out, so may be its module. */
static bool may_stay_away(const struct qc_judgement *judgement, enum qw_site site)
{
    unsigned lost = judgement->rules.lost_norms;
    return (site == QW_SITE_Q_NORM && lost & QW_QUERIES) || (site == QW_SITE_K_NORM && lost & QW_KEYS);
}

/* A module whose norm is left out is a difference of the model; any other that is tapped nowhere is one of the producer. */
static void note_untapped(struct qc_judgement *judgement, struct qc_item *item)
{
    bool norm = item->site == QW_SITE_Q_NORM || item->site == QW_SITE_K_NORM;
    if (norm || !is_untapped(judgement, item->site, item->step))
        return;
    if (is_rotary(item->site))
        item->reason = "no step has this tap: the engine has no module for it, and what it turns shows in the keys";
    else
        item->untapped = qw_site_rows[item->site].place == QW_BLOCK;
}

static void judge_tap(struct qc_judgement *judgement, int step, enum qw_site site, int layer, const struct qc_extents *extents,
                      bool isolated)
{
    const struct qc_tap *there = tap_of(judgement, step, site, layer);
    struct qw_tensor whole = there ? *there->tensor : (struct qw_tensor){0};
    if (there)
        whole.shape = *qc_tap_shape(there);
    const struct qw_tensor *tap = there ? qc_kept(judgement, &whole) : NULL;
    bool wanted = has_site(judgement, site, extents) && (tap || !may_stay_away(judgement, site));
    if (!wanted && (!tap || qw_site_rows[site].when != QW_WHEN_IDS))
        return;
    struct qc_item *item = qc_items_at(&judgement->items, site, step, layer);
    struct qc_view *view = isolated ? &item->isolated : &item->free;
    struct qw_letters letters = qw_letters_of(&judgement->subject->model.config);
    letters.value['B'] = judgement->subject->call.batch;
    letters.value['q'] = extents->queries;
    letters.value['S'] = extents->past + extents->queries;
    letters.value['r'] = extents->rows;
    struct qw_shape expected = qw_shape_from_letters(qw_site_rows[site].shape, &letters);
    qc_look(item, view, tap, &expected);
    item->expected = item->expected || (wanted && !isolated);
    if (!wanted)
        view->kind = QC_EXTRA;
    else if (tap)
        view->kind = tap_kind(judgement, site, tap, &expected);
    else if (!there)
        note_untapped(judgement, item);
}

void qc_judge_taps(struct qc_judgement *judgement, int step, const struct qc_extents *extents, bool isolated)
{
    int layers = judgement->items.layers, last = last_rank(judgement, step);
    for (enum qw_site site = 0; site < QW_SITES; site++) {
        if (!is_module(judgement, site))
            continue;
        enum qw_place place = qw_site_rows[site].place;
        for (int layer = 0; layer < (place == QW_BLOCK ? layers : 1); layer++)
            if (rank_of(site, layer, layers) <= last)
                judge_tap(judgement, step, site, place == QW_BLOCK ? layer : -1, extents, isolated);
    }
}
