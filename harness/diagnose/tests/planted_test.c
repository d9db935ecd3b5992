/* Deviations that no shipped recording shows, planted in the play of one: the diagnosis gives them back with their value. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "harness/diagnose/diagnose.h"
#include "reference/base/cast.h"
#include "reference/base/memory.h"
#include "reference/model/forward.h"

#define THIRD "qwen3-base-tf5.15.0-peft0.20.0.h5"
#define OLDER "qwen1.5-base-tf4.37.2-peft0.8.2.h5"

/* ---- planting: every value that was recorded becomes the play's ---- */

struct planting {
    struct shipped *run;
    int step;
};

static void put(struct qw_tensor *tensor, const double *values, int64_t count)
{
    if (tensor && tensor->data && qw_shape_count(&tensor->shape) == count)
        qw_cast(tensor->data, tensor->dtype, values, QW_F64, count);
}

static void plant_tap(void *user, enum qw_site site, int layer, double *value, const struct qw_shape *shape)
{
    const struct planting *planting = user;
    char path[160];
    qw_site_path(path, sizeof path, planting->run->subject.model.config.family, site, layer);
    const struct qc_tap *tap = qc_step_tap(&planting->run->recording.step[planting->step], path);
    cr_assert_not_null(tap, "%s", path);
    put(tap->tensor, value, qw_shape_count(shape));
}

static void plant_cache(struct qc_cache *recorded, const struct qw_cache *cache)
{
    for (int layer = 0; layer < recorded->layers; layer++) {
        const struct qw_cache_layer *held = &cache->layer[layer];
        int64_t count = cache->batch * held->heads * held->length * held->head_size;
        put(recorded->layer[layer].key, held->key, count);
        put(recorded->layer[layer].value, held->value, count);
    }
}

static void plant_step(struct shipped *run, int step, struct qw_cache *cache, const struct qw_rules *rules,
                       const struct qw_arith *arith)
{
    const struct qc_subject *subject = &run->subject;
    struct planting planting = {run, step};
    struct qw_handover handover = qw_protocol_hand_over(cache, &subject->call, &subject->adapter, &subject->model, rules, step);
    plant_cache(&run->recording.step[step].before, cache);
    struct qw_pass pass = qw_pass_begin(&subject->model, arith, rules, &handover, cache, (struct qw_tap){plant_tap, &planting});
    for (int layer = 0; layer < subject->model.config.layers; layer++)
        cr_assert(qw_pass_block(&pass, layer));
    qw_pass_end(&pass, qc_step_tap(&run->recording.step[step], "lm_head")->tensor->shape.dim[1]);
    plant_cache(&run->recording.step[step].after, cache);
    qw_pass_clear(&pass);
    qw_handover_clear(&handover);
}

static void plant(struct shipped *run, const char *name, enum qw_deviation deviation, double value)
{
    shipped_read(run, name);
    cr_assert(shipped_subject(run), "%s", run->error.message);
    struct qw_rules rules = run->subject.rules;
    struct qw_cache cache = qw_cache_make(run->subject.model.config.layers, run->subject.call.batch);
    uint64_t seed = 99;
    const struct qw_arith arith = qw_arith_dithered(&qw_f32, QW_F32, &seed);
    if (deviation < QW_DEVIATIONS)
        qw_deviation_apply_value(&rules, deviation, value);
    for (int step = 0; step < run->recording.steps; step++)
        plant_step(run, step, &cache, &rules, &arith);
    qw_cache_clear(&cache);
    shipped_forget(run);
    shipped_judge(run);
}

/* ---- what is found ---- */

static const struct {
    const char *name;
    enum qw_deviation deviation;
    double value;
} planted[] = {
    {THIRD, QW_DEVIATION_ROPE_INTERLEAVED, QW_PAIRS_NEIGHBOURS_TABLES},
    {THIRD, QW_DEVIATION_ROPE_INTERLEAVED, QW_PAIRS_NEIGHBOURS_ASTRAY},
    {THIRD, QW_DEVIATION_ATTENTION_UNSCALED, QW_SCALED_TWICE},
    {THIRD, QW_DEVIATION_ATTENTION_UNSCALED, QW_SCALED_BY_PLAIN_SIZE},
    {OLDER, QW_DEVIATION_ROPE_BASE_WRONG, 500000},
    {OLDER, QW_DEVIATION_QKV_BIAS_DROPPED, QW_VALUES},
    {OLDER, QW_DEVIATION_ACCUMULATED_IN_LOW_PRECISION, QW_F16},
};

Test(planted, what_no_recording_shows_is_found_with_its_value)
{
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        struct shipped run;
        const char *id = qw_deviation_id(planted[i].deviation);
        plant(&run, planted[i].name, planted[i].deviation, planted[i].value);
        cr_assert_not_null(qc_judgement_first(&run.judgement), "%s", id);
        struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
        const struct qc_hypothesis *best = &diagnosis.ranked[0];
        cr_expect(diagnosis.named && !strcmp(best->cause->id, id), "%s of %g is %s", id, planted[i].value, best->cause->id);
        cr_expect(best->value && best->value->number == planted[i].value, "%s: %g", id, best->value ? best->value->number : 0);
        cr_expect_geq(best->explained, 0.99, "%s of %g: %g", id, planted[i].value, best->explained);
        qc_diagnosis_clear(&diagnosis);
        shipped_clear(&run);
    }
}

/* The planting itself is no fault: a play of the healthy rules in its place conforms. */
Test(planted, a_healthy_play_in_the_place_of_the_record_conforms)
{
    static const char *const names[] = {THIRD, OLDER};
    for (int i = 0; i < 2; i++) {
        struct shipped run;
        plant(&run, names[i], QW_DEVIATIONS, 0);
        const struct qc_item *first = qc_judgement_first(&run.judgement);
        cr_expect_null(first, "%s differs at %s", names[i], first ? qw_site_rows[first->site].name : "");
        shipped_clear(&run);
    }
}

/* A head that is scaled by 1.01 differs by no more than sums in a half would make it differ; but all the others do not. */
Test(planted, a_small_error_in_one_place_is_not_taken_for_coarse_sums)
{
    struct shipped run;
    shipped_read(&run, OLDER);
    struct qw_tensor *tap = shipped_tap(&run, 0, "model.layers.0.self_attn.q_proj");
    for (int64_t i = 0; i < qw_shape_count(&tap->shape); i++)
        if (i % tap->shape.dim[2] < 8)
            shipped_floats(tap)[i] *= 1.01f;
    shipped_judge(&run);
    shipped_expect_first(&run, 0, 0, QW_SITE_Q_PROJ, QC_VALUE);
    struct qc_diagnosis diagnosis = qc_diagnose(&run.judgement);
    cr_expect_not(diagnosis.named, "%s explains %g", diagnosis.ranked[0].cause->id, diagnosis.ranked[0].explained);
    qc_diagnosis_clear(&diagnosis);
    shipped_clear(&run);
}
