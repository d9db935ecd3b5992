/* Caches of other kinds, and what may go wrong with what they hold: shipped runs, changed as such a cache would look. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/frame.h"
#include "harness/compare/tests/shipped.h"
#include "harness/invariants/structure.h"
#include "reference/base/memory.h"

#define SHIPPED_SHAPES "qwen2-prompt-shapes-tf4.44.2-peft0.13.2.h5"

enum { ROOM = 4 };

static void judge_by(struct shipped *run, bool weights, const char *deviation)
{
    cr_assert(shipped_subject(run), "%s", run->error.message);
    run->subject.model.has_weights = run->subject.model.has_weights && weights;
    struct qw_rules rules = run->subject.rules;
    for (int i = 0; deviation && i < QW_DEVIATIONS; i++)
        if (!strcmp(qw_deviation_id((enum qw_deviation)i), deviation))
            qw_deviation_apply(&rules, (enum qw_deviation)i);
    qc_judge(&run->judgement, &run->subject, &rules, deviation == NULL);
}

/* [B,K,n,D] with other rows: copies of its first, then `fill`; structure stays structure. */
static void resize(struct qw_tensor **tensor, int64_t rows, float fill)
{
    struct qw_tensor *old = *tensor;
    struct qw_shape shape = old->shape;
    int64_t was = shape.dim[2], D = shape.dim[3];
    shape.dim[2] = rows;
    *tensor = old->data ? qw_tensor_make(old->dtype, &shape) : qw_tensor_structure(old->dtype, &shape);
    for (int64_t i = 0; old->data && i < qw_shape_count(&shape); i++) {
        int64_t slice = i / (rows * D), row = i / D % rows;
        ((float *)(*tensor)->data)[i] = row < was ? ((float *)old->data)[(slice * was + row) * D + i % D] : fill;
    }
    qw_tensor_free(old);
}

static void resize_cache(struct qc_cache *cache, int64_t rows, int64_t room)
{
    for (int layer = 0; layer < cache->layers; layer++) {
        resize(&cache->layer[layer].key, rows + room, 7);
        resize(&cache->layer[layer].value, rows + room, 7);
    }
    cache->length = rows;
}

/* ---- static caches ---- */

static struct shipped static_run(void)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    for (int s = 0; s < run.recording.steps; s++) {
        struct qc_cache *caches[] = {&run.recording.step[s].before, &run.recording.step[s].after};
        for (int i = 0; i < 2; i++) {
            resize_cache(caches[i], caches[i]->length, ROOM);
            shipped_text(&caches[i]->type, "StaticCache");
        }
    }
    return run;
}

Test(caches, a_static_cache_has_room_behind_its_rows)
{
    struct shipped run = static_run();
    judge_by(&run, true, NULL);
    cr_expect_null(qc_judgement_first(&run.judgement));
    const struct qc_item *key = shipped_item(&run, QW_SITE_AFTER_KEY, 2, 1);
    cr_expect(key->free.valued && key->isolated.valued);
    cr_expect_eq(key->free.expected_shape.dim[2], 9 + ROOM);
    shipped_clear(&run);
}

Test(caches, a_changed_row_of_a_static_cache_is_found_where_it_stands)
{
    struct shipped run = static_run();
    struct qw_tensor *value = run.recording.step[1].after.layer[2].value;
    int64_t D = value->shape.dim[3], index = (value->shape.dim[2] + 7) * D + 3; /* head 1, the new row */
    shipped_floats(value)[index] += 1;
    judge_by(&run, true, NULL);
    cr_expect_eq(qc_item_view(shipped_expect_first(&run, 1, 2, QW_SITE_AFTER_VALUE, QC_VALUE))->difference.index, index);
    shipped_clear(&run);
}

Test(caches, a_static_cache_without_room_for_its_rows_is_no_such_cache)
{
    struct shipped run = static_run();
    resize(&run.recording.step[1].after.layer[0].key, 7, 0);
    judge_by(&run, true, NULL);
    shipped_expect_first(&run, 1, 0, QW_SITE_AFTER_KEY, QC_SHAPE);
    shipped_clear(&run);
}

/* ---- masks of four axes ---- */

/* Step 0 of the base model's run with its causal mask written out over `keys` keys. */
static struct shipped with_block_mask(enum qw_dtype dtype, int64_t keys)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    struct qw_shape shape = qw_shape_of(4, (int64_t)1, (int64_t)1, (int64_t)7, keys);
    struct qw_tensor *mask = qw_tensor_make(dtype, &shape);
    for (int64_t i = 0; i < 7 * keys; i++) {
        bool visible = i % keys <= i / keys;
        if (dtype == QW_I64)
            shipped_integers(mask)[i] = visible;
        else
            shipped_floats(mask)[i] = visible ? 0 : -INFINITY;
    }
    qw_tensor_free(run.recording.step[0].input[QC_ATTENTION_MASK]);
    run.recording.step[0].input[QC_ATTENTION_MASK] = mask;
    return run;
}

Test(caches, a_mask_of_four_axes_says_the_same)
{
    for (int dtype = 0; dtype < 2; dtype++) {
        struct shipped run = with_block_mask(dtype ? QW_I64 : QW_F32, 7 + 3 * dtype);
        judge_by(&run, true, NULL);
        cr_expect_null(qc_judgement_first(&run.judgement));
        cr_expect(shipped_item(&run, QW_SITE_O_PROJ, 0, 1)->isolated.valued, "the isolated view uses it");
        shipped_clear(&run);
    }
}

Test(caches, a_mask_of_four_axes_that_shows_the_future_or_hides_the_past)
{
    for (int hides = 0; hides < 2; hides++) {
        struct shipped run = with_block_mask(QW_F32, 9);
        int64_t index = hides ? 5 * 9 + 2 : 2 * 9 + 5;
        shipped_floats(run.recording.step[0].input[QC_ATTENTION_MASK])[index] = hides ? -INFINITY : 0;
        judge_by(&run, true, NULL);
        const struct qc_item *first = shipped_expect_first(&run, 0, -1, QW_SITE_ATTENTION_MASK, QC_VALUE);
        cr_expect_eq(first->free.difference.index, index);
        shipped_clear(&run);
    }
}

Test(caches, a_mask_of_four_axes_that_is_too_narrow)
{
    struct shipped run = with_block_mask(QW_I64, 6);
    judge_by(&run, true, NULL);
    shipped_expect_first(&run, 0, -1, QW_SITE_ATTENTION_MASK, QC_MASK_LENGTH);
    shipped_clear(&run);
}

Test(caches, a_mask_of_two_axes_out_of_one_of_four)
{
    struct qw_shape shape = qw_shape_of(4, (int64_t)1, (int64_t)1, (int64_t)2, (int64_t)4);
    struct qw_tensor *mask = qw_tensor_make(QW_I64, &shape);
    const int64_t shown[] = {0, 1, 0, 0, 0, 1, 1, 0};
    memcpy(mask->data, shown, sizeof shown);
    double *flat = qc_block_mask_flat(mask, 2, 1, 2);
    cr_assert_not_null(flat);
    const double wanted[] = {0, 1, 1, 0, 1, 1};
    cr_expect_arr_eq(flat, wanted, sizeof wanted);
    free(flat);
    shipped_integers(mask)[1] = 0;
    cr_expect_null(qc_block_mask_flat(mask, 2, 1, 2), "its rows do not agree");
    cr_expect_null(qc_block_mask_flat(mask, 2, 3, 2), "it is too narrow");
    qw_tensor_free(mask);
}

/* ---- what may go wrong ---- */

/* Rows that a layer's rotary table has in eras that make one there. */
static void resize_tables(struct qc_step *step, int64_t rows)
{
    for (int i = 0; i < step->taps; i++)
        if (strstr(step->tap[i].path, "rotary_emb"))
            step->tap[i].tensor->shape.dim[0] = rows;
}

Test(caches, a_cache_that_every_step_loses)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_SHAPES);
    for (int s = 1; s < run.recording.steps; s++) {
        struct qc_step *step = &run.recording.step[s];
        resize_cache(&step->before, 0, 0);
        resize_cache(&step->after, 1, 0);
        resize_tables(step, 1);
    }
    judge_by(&run, true, NULL);
    shipped_expect_first(&run, 1, -1, QW_SITE_BEFORE_LENGTH, QC_CACHE_LENGTH);
    shipped_forget(&run);
    judge_by(&run, true, "cache-dropped");
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_clear(&run);
}

Test(caches, rows_that_are_appended_twice)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_SHAPES);
    for (int s = 0; s < run.recording.steps; s++) {
        struct qc_step *step = &run.recording.step[s];
        resize_cache(&step->before, 2 * step->before.length, 0);
        resize_cache(&step->after, 2 * step->after.length, 0);
        resize_tables(step, step->before.length + (s ? 1 : step->after.length / 2));
    }
    judge_by(&run, true, NULL);
    const struct qc_item *first = shipped_expect_first(&run, 0, -1, QW_SITE_AFTER_LENGTH, QC_CACHE_LENGTH);
    cr_expect_eq(qc_item_view(first)->difference.observed, 22);
    shipped_forget(&run);
    judge_by(&run, true, "cache-appended-twice");
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_clear(&run);
}

/* From step 2 on, a number of row 1 is another one, in all caches. */
static struct shipped rewritten(void)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    for (int s = 2; s < run.recording.steps; s++) {
        shipped_floats(run.recording.step[s].before.layer[0].key)[8] *= 2;
        shipped_floats(run.recording.step[s].after.layer[0].key)[8] *= 2;
    }
    return run;
}

Test(caches, rows_that_change_later)
{
    struct shipped run = rewritten();
    judge_by(&run, true, NULL);
    const struct qc_item *first = shipped_expect_first(&run, 2, 0, QW_SITE_BEFORE_KEY, QC_VALUE);
    cr_expect_eq(qc_item_view(first)->difference.index, 8);
    shipped_forget(&run);
    judge_by(&run, true, "cache-rewritten");
    cr_expect_eq(shipped_item(&run, QW_SITE_BEFORE_KEY, 2, 0)->free.kind, QC_KIND_NONE);
    cr_expect_eq(shipped_item(&run, QW_SITE_BEFORE_KEY, 3, 0)->free.kind, QC_KIND_NONE);
    shipped_clear(&run);
}

/* The history of a cache needs no weights. */
Test(caches, rows_that_change_later_without_weights)
{
    struct shipped run = rewritten();
    judge_by(&run, false, NULL);
    shipped_expect_first(&run, 2, 0, QW_SITE_BEFORE_KEY, QC_VALUE);
    cr_expect(qc_judgement_energy(&run.judgement) > 0);
    shipped_forget(&run);
    judge_by(&run, false, "cache-rewritten");
    cr_expect_null(qc_judgement_first(&run.judgement));
    shipped_clear(&run);
}

Test(caches, rows_that_change_within_a_step_without_weights)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    for (int s = 2; s < run.recording.steps; s++) {
        if (s > 2)
            shipped_floats(run.recording.step[s].before.layer[1].value)[8] *= 2;
        shipped_floats(run.recording.step[s].after.layer[1].value)[8] *= 2;
    }
    judge_by(&run, false, NULL);
    shipped_expect_first(&run, 2, 1, QW_SITE_AFTER_VALUE, QC_VALUE);
    shipped_clear(&run);
}

/* Without the adapter's table, a prefix is what get_prompt() gave. */
Test(caches, a_prefix_is_what_the_adapter_gave)
{
    for (int changed = 0; changed < 2; changed++) {
        struct shipped run;
        shipped_read(&run, SHIPPED_PREFIX);
        cr_assert(shipped_subject(&run));
        run.subject.adapter.table = NULL;
        run.subject.model.has_weights = false;
        shipped_floats(run.recording.step[0].before.layer[1].value)[9] += (float)changed;
        qc_judge(&run.judgement, &run.subject, &run.subject.rules, false);
        if (changed)
            shipped_expect_first(&run, 0, 1, QW_SITE_BEFORE_VALUE, QC_VALUE);
        else
            cr_expect_null(qc_judgement_first(&run.judgement));
        shipped_clear(&run);
    }
}

/* ---- sliding caches ---- */

/* A window of five tokens in the second layer. */
static void give_window(struct shipped *run)
{
    struct qw_config *config = &run->subject.model.config;
    config->window = 5;
    config->names_layers = true;
    config->windowed[0] = 1u << 1;
}

/* A sliding layer keeps one row less than its window; get_seq_length() counts all that went in. */
Test(caches, a_sliding_layer_holds_its_last_rows)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BASE);
    cr_assert(shipped_subject(&run));
    give_window(&run);
    struct qc_cache *after = &run.recording.step[0].after;
    resize(&after->layer[1].key, 4, 0);
    struct qw_cache_layer held = {2, 7, 8, NULL, NULL, 0}, slid = qc_frame_layer(&run.subject, after, 1);
    struct qc_frame whole = qc_frame_of(&run.subject, after, 0, &held), last = qc_frame_of(&run.subject, after, 1, &held);
    cr_expect(whole.first == 0 && whole.rows == 7);
    cr_expect(last.first == 3 && last.rows == 4 && last.room == 4);
    cr_expect_eq(slid.length, 7);
    double values[2 * 7 * 8], *rows;
    for (int i = 0; i < 2 * 7 * 8; i++)
        values[i] = i;
    rows = qc_frame_rows(&last, values);
    cr_expect(rows[0] == 24 && rows[4 * 8] == 56 + 24);
    free(rows);
    shipped_clear(&run);
}

/* The last `rows` of a layer's half. */
static void slide(struct qw_tensor **tensor, int64_t rows)
{
    struct qw_tensor *old = *tensor;
    struct qw_shape shape = old->shape;
    int64_t was = shape.dim[2], D = shape.dim[3];
    if (was <= rows)
        return;
    shape.dim[2] = rows;
    *tensor = qw_tensor_make(old->dtype, &shape);
    for (int64_t i = 0; i < qw_shape_count(&shape); i++)
        ((float *)(*tensor)->data)[i] = ((float *)old->data)[(i / (rows * D) * was + was - rows) * D + i % (rows * D)];
    qw_tensor_free(old);
}

Test(caches, the_history_of_a_sliding_layer_is_that_of_the_rows_it_still_has)
{
    for (int changed = 0; changed < 2; changed++) {
        struct shipped run;
        shipped_read(&run, SHIPPED_BASE);
        cr_assert(shipped_subject(&run));
        give_window(&run);
        for (int s = 0; s < run.recording.steps; s++) {
            struct qc_cache *caches[] = {&run.recording.step[s].before, &run.recording.step[s].after};
            for (int i = caches[0]->layers == 0; i < 2; i++) {
                slide(&caches[i]->layer[1].key, 4);
                slide(&caches[i]->layer[1].value, 4);
            }
        }
        if (changed)
            shipped_floats(run.recording.step[2].after.layer[1].key)[8] += 1;
        run.subject.model.has_weights = false;
        qc_judge(&run.judgement, &run.subject, &run.subject.rules, true);
        if (changed)
            shipped_expect_first(&run, 2, 1, QW_SITE_AFTER_KEY, QC_VALUE);
        else
            cr_expect_null(qc_judgement_first(&run.judgement));
        shipped_clear(&run);
    }
}
