/* A record in another order of axes than the play's: shipped runs turned as the first Qwen would have recorded them. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/frame.h"
#include "harness/compare/tests/shipped.h"
#include "reference/base/memory.h"

#define HEALTHY    "qwen1.5-prefix-tf4.46.3-peft0.14.0.h5"
#define TRANSPOSED "qwen1.5-prefix-transposed-tf4.46.3-peft0.14.0.h5"

/* Axes 1 and 2 of a tensor of four exchanged, in place. */
static void turn(struct qw_tensor *tensor)
{
    if (!tensor)
        return;
    int64_t *dim = tensor->shape.dim, A = dim[0], H = dim[1], S = dim[2];
    size_t row = (size_t)dim[3] * qw_dtype_bytes(tensor->dtype);
    char *from = tensor->data, *to = from ? malloc((size_t)(A * H * S) * row) : NULL;
    for (int64_t i = 0; from && i < A * H * S; i++)
        memcpy(to + (size_t)((i / (H * S) * S + i % S) * H + i / S % H) * row, from + (size_t)i * row, row);
    free(from);
    tensor->data = to;
    dim[1] = S;
    dim[2] = H;
}

static void turn_cache(struct qc_cache *cache)
{
    for (int layer = 0; layer < cache->layers; layer++) {
        turn(cache->layer[layer].key);
        turn(cache->layer[layer].value);
    }
}

/* Reads a run with all its caches turned, and judges it for a model that keeps sequence before heads. */
static struct shipped turned(const char *name)
{
    struct shipped run;
    shipped_read(&run, name);
    for (int s = 0; s < run.recording.steps; s++) {
        turn_cache(&run.recording.step[s].before);
        turn_cache(&run.recording.step[s].after);
    }
    return run;
}

static void judge(struct shipped *run, bool transposed)
{
    cr_assert(shipped_subject(run));
    run->subject.model.config.layout = QW_LAYOUT_BSKD;
    struct qw_rules rules = run->subject.rules;
    if (transposed)
        qw_deviation_apply(&rules, QW_DEVIATION_PREFIX_LAYOUT_TRANSPOSED);
    qc_judge(&run->judgement, &run->subject, &rules, true);
}

static void expect_transposed(const struct shipped *run, enum qw_site site)
{
    const struct qc_item *item = shipped_item(run, site, 0, 0);
    const int swapped[] = {0, 2, 1, 3};
    cr_expect_eq(qc_item_view(item)->kind, QC_LAYOUT);
    cr_expect(!memcmp(qc_item_view(item)->permutation, swapped, sizeof swapped));
}

Test(frame, a_healthy_run_that_keeps_sequence_before_heads)
{
    struct shipped run = turned(HEALTHY);
    judge(&run, false);
    cr_expect_null(qc_judgement_first(&run.judgement));
    cr_expect(run.judgement.values);
    const struct qc_item *key = shipped_item(&run, QW_SITE_AFTER_KEY, 1, 1);
    cr_expect(key->free.valued && key->isolated.valued);
    cr_expect(key->free.expected_shape.dim[1] == 13 && key->free.expected_shape.dim[2] == 5);
    shipped_clear(&run);
}

Test(frame, a_healthy_run_in_the_wrong_order_of_axes_does_not_pass)
{
    struct shipped run;
    shipped_read(&run, HEALTHY);
    judge(&run, false);
    cr_expect_not_null(qc_judgement_first(&run.judgement));
    shipped_clear(&run);
}

/* get_prompt() gives [L,2,B,K,P,D]; a layer behind it may already have turned that. */
Test(frame, the_prompt_is_right_in_either_order)
{
    for (int order = 0; order < 2; order++) {
        struct shipped run = turned(HEALTHY);
        struct qw_shape six = run.recording.adapter_prompt->shape;
        struct qw_shape four = qw_shape_of(4, six.dim[0] * 2, (int64_t)5, (int64_t)5, six.dim[5]);
        run.recording.adapter_prompt->shape = four;
        if (order)
            turn(run.recording.adapter_prompt);
        run.recording.adapter_prompt->shape = six;
        judge(&run, false);
        cr_expect_null(qc_judgement_first(&run.judgement));
        shipped_floats(run.recording.adapter_prompt)[7] += 1;
        shipped_forget(&run);
        judge(&run, false);
        shipped_expect_first(&run, 0, -1, QW_SITE_ADAPTER_PROMPT, QC_VALUE);
        shipped_clear(&run);
    }
}

/* As many virtual tokens as heads: nothing raises, and the values alone tell. */
Test(frame, a_prefix_handed_over_in_the_adapters_own_order)
{
    struct shipped run = turned(TRANSPOSED);
    judge(&run, false);
    shipped_expect_first(&run, 0, 0, QW_SITE_BEFORE_KEY, QC_LAYOUT);
    expect_transposed(&run, QW_SITE_BEFORE_KEY);
    expect_transposed(&run, QW_SITE_BEFORE_VALUE);
    shipped_forget(&run);
    judge(&run, true);
    cr_expect_null(qc_judgement_first(&run.judgement), "the deviation reproduces it");
    shipped_clear(&run);
}

/* Another number of virtual tokens than heads: the extents tell, and the play stops where the run raised. */
Test(frame, a_prefix_that_cannot_be_joined)
{
    struct shipped run = turned("qwen2-prefix-transposed-tf4.57.3-peft0.18.1.h5");
    judge(&run, false);
    shipped_expect_first(&run, 0, -1, QW_SITE_BEFORE_LENGTH, QC_CACHE_LENGTH);
    expect_transposed(&run, QW_SITE_BEFORE_KEY);
    shipped_forget(&run);
    judge(&run, true);
    cr_expect_eq(shipped_item(&run, QW_SITE_BEFORE_LENGTH, 0, -1)->free.kind, QC_KIND_NONE);
    cr_expect_eq(shipped_item(&run, QW_SITE_BEFORE_KEY, 0, 0)->free.kind, QC_KIND_NONE);
    cr_expect(run.judgement.stop.stopped && run.judgement.stop.layer == 0);
    shipped_clear(&run);
}

/* A changed element is found where it stands in the record. */
Test(frame, an_index_counts_the_records_axes)
{
    struct shipped run = turned(HEALTHY);
    struct qw_tensor *key = run.recording.step[1].after.layer[1].key;
    int64_t index = (3 * 5 + 2) * 8 + 6; /* row 3, head 2, dimension 6 */
    shipped_floats(key)[index] += 1;
    judge(&run, false);
    const struct qc_item *item = shipped_expect_first(&run, 1, 1, QW_SITE_AFTER_KEY, QC_VALUE);
    cr_expect_eq(qc_item_view(item)->difference.index, index);
    cr_expect_eq(qc_item_view(item)->difference.ratio, (double)INFINITY, "an old row is a copy");
    shipped_clear(&run);
}
