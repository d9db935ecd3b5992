/* Reading what is sound: the small recording field by field, and the shipped ones. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/recording/hdf5.h"
#include "harness/recording/tests/made.h"
#include "reference/base/memory.h"
#include "reference/sites.h"

TestSuite(read, .init = made_begin, .fini = made_end);

static void leave(hid_t file) { (void)file; }

static void expect_shape(const struct qw_tensor *tensor, int rank, ...)
{
    va_list dims;
    va_start(dims, rank);
    cr_assert_not_null(tensor);
    cr_expect_eq(tensor->shape.rank, rank);
    for (int i = 0; i < rank; i++)
        cr_expect_eq(tensor->shape.dim[i], va_arg(dims, int), "axis %d is %lld", i, (long long)tensor->shape.dim[i]);
    va_end(dims);
}

Test(read, every_field_of_the_head)
{
    struct qc_recording recording = made_accepted(leave);
    cr_expect_eq(recording.level, QC_LEVEL_MODULES);
    cr_expect_str_eq(recording.producer, "made by a test");
    cr_expect_str_eq(recording.created, "2026-01-01T00:00:00Z");
    cr_expect_eq(strlen(recording.sha256), 64);
    cr_expect_gt(recording.bytes, 2048);
    cr_expect_str_eq(qw_json_get_text(recording.environment, "peft", ""), "0.13.2");
    cr_expect_eq(qw_json_size(recording.environment), 2);
    cr_expect_str_eq(recording.model_class, "Qwen2ForCausalLM");
    cr_expect_str_eq(recording.model_dtype, "float32");
    cr_expect_str_eq(qw_json_get_text(recording.model_config, "model_type", ""), "qwen2");
    cr_expect_str_eq(recording.model_weights.folder, "");
    cr_expect_eq(recording.model_weights.embedded.count, 1);
    cr_expect(recording.has_adapter);
    cr_expect_str_eq(recording.peft_type, "PROMPT_TUNING");
    cr_expect_eq(qw_json_get_int(recording.adapter_config, "num_virtual_tokens", 0), 2);
    expect_shape(qw_tensors_find(&recording.adapter_weights.embedded, "prompt_embeddings"), 2, 2, 3);
    expect_shape(recording.adapter_prompt, 3, 1, 2, 3);
    cr_expect_eq(qw_tensor_at(recording.adapter_prompt, 4), 5);
    qc_recording_clear(&recording);
}

Test(read, every_field_of_the_call_and_the_step)
{
    struct qc_recording recording = made_accepted(leave);
    cr_expect_str_eq(recording.call_kind, "generate");
    cr_expect(recording.use_cache && !recording.raised && !recording.training && !recording.gradient_checkpointing);
    cr_expect_eq(qw_json_get_int(recording.call_kwargs, "max_new_tokens", 0), 1);
    expect_shape(recording.input_ids, 2, 1, 2);
    expect_shape(recording.output_ids, 2, 1, 3);
    cr_expect_eq(qw_tensor_at(recording.output_ids, 2), 6);
    cr_assert_eq(recording.steps, 1);
    const struct qc_step *step = &recording.step[0];
    cr_expect_not(step->raised);
    cr_expect_eq(qw_tensor_at(step->input[QC_INPUT_IDS], 1), 5);
    cr_expect_null(step->input[QC_INPUTS_EMBEDS]);
    cr_expect_null(step->input[QC_POSITION_IDS]);
    cr_expect_str_eq(step->before.type, "NoneType");
    cr_expect_eq(step->before.layers, 0);
    cr_expect_str_eq(step->after.type, "DynamicCache");
    cr_expect_str_eq(step->after.layout, "BKSD");
    cr_expect(step->after.length == 2 && step->after.slots == 1 && step->after.layers == 1);
    cr_expect_eq(qw_tensor_at(step->after.layer[0].key, 3), 4);
    cr_expect_eq(qw_tensor_at(step->after.layer[0].value, 0), 5);
    cr_assert_eq(step->taps, 1);
    cr_expect_str_eq(step->tap[0].path, "model.norm");
    cr_expect_eq(step->tap[0].order, 7);
    cr_expect_eq(qw_tensor_at(step->tap[0].tensor, 5), 0.25);
    cr_expect_null(qc_step_tap(step, "model.nor"));
    qc_recording_clear(&recording);
}

Test(read, names_of_levels_and_inputs)
{
    cr_expect_str_eq(qc_level_name(QC_LEVEL_SHAPES), "shapes");
    cr_expect_str_eq(qc_level_name(QC_LEVEL_BLOCKS), "blocks");
    cr_expect_str_eq(qc_input_name(QC_INPUTS_EMBEDS), "inputs_embeds");
    cr_expect_str_eq(qc_input_name(QC_CACHE_POSITION), "cache_position");
}

static struct qc_recording shipped(const char *name)
{
    char path[256];
    struct qc_recording recording;
    struct qw_error error = {0};
    snprintf(path, sizeof path, "fixtures/recordings/%s", name);
    cr_assert(qc_recording_read(&recording, path, (int64_t)1 << 30, &error), "%s: %s: %s", path, error.place, error.message);
    return recording;
}

/* Seven prompt tokens behind four virtual ones, five generated; 6 query and 2 key/value heads of size 8, 3 layers. */
Test(read, a_shipped_run_with_an_injected_prompt)
{
    struct qc_recording recording = shipped("qwen2-prompt-tf4.44.2-peft0.13.2.h5");
    cr_expect_eq(recording.steps, 5);
    cr_expect_str_eq(qw_json_get_text(recording.environment, "transformers", ""), "4.44.2");
    expect_shape(recording.input_ids, 2, 1, 7);
    expect_shape(recording.output_ids, 2, 1, 12);
    expect_shape(recording.step[0].input[QC_INPUTS_EMBEDS], 3, 1, 11, 48);
    cr_expect_null(recording.step[0].input[QC_INPUT_IDS]);
    expect_shape(recording.step[4].input[QC_INPUT_IDS], 2, 1, 1);
    expect_shape(recording.step[4].input[QC_ATTENTION_MASK], 2, 1, 15);
    cr_expect_eq(recording.step[0].before.layers, 0);
    cr_expect_eq(recording.step[4].after.layers, 3);
    expect_shape(recording.step[4].after.layer[2].key, 4, 1, 2, 15, 8);
    expect_shape(qc_step_tap(&recording.step[0], "model.layers.2.self_attn.q_proj")->tensor, 3, 1, 11, 48);
    expect_shape(qc_step_tap(&recording.step[0], "model.layers.2.self_attn.k_proj")->tensor, 3, 1, 11, 16);
    expect_shape(qc_step_tap(&recording.step[1], "lm_head")->tensor, 3, 1, 1, 101);
    cr_expect_null(qc_step_tap(&recording.step[0], "model.embed_tokens"), "the adapter embeds the first step's tokens itself");
    cr_expect_not_null(qc_step_tap(&recording.step[1], "model.embed_tokens"));
    expect_shape(qw_tensors_find(&recording.model_weights.embedded, "model.embed_tokens.weight"), 2, 101, 48);
    cr_expect_null(qw_tensors_find(&recording.model_weights.embedded, "lm_head.weight"), "a tied tensor is stored once");
    qc_recording_clear(&recording);
}

/* The cache that a step is handed is the one that the step before handed out. */
Test(read, a_shipped_cache_goes_on)
{
    struct qc_recording recording = shipped("qwen2-base-tf4.57.3.h5");
    const struct qw_tensor *after = recording.step[1].after.layer[1].value, *before = recording.step[2].before.layer[1].value;
    cr_assert(qw_shape_equal(&after->shape, &before->shape));
    cr_expect_eq(memcmp(after->data, before->data, (size_t)qw_shape_count(&after->shape) * 4), 0);
    qc_recording_clear(&recording);
}

Test(read, a_shipped_run_whose_weights_lie_in_folders)
{
    struct qc_recording recording = shipped("qwen2-prompt-tf4.57.3-peft0.18.1.h5");
    cr_expect_eq(recording.model_weights.embedded.count, 0);
    cr_expect_str_eq(recording.model_weights.folder, "../models/qwen2-tiny");
    cr_expect_str_eq(recording.adapter_weights.folder, "../adapters/qwen2-tiny-prompt");
    cr_expect_eq(strlen(recording.model_weights.digest), 64);
    qc_recording_clear(&recording);
}

Test(read, a_shipped_run_that_raised_inside)
{
    struct qc_recording recording = shipped("qwen2-prefix-forward-tf4.41.2-peft0.11.1.h5");
    cr_expect(recording.raised);
    cr_expect_str_eq(recording.call_kind, "forward");
    cr_expect_str_eq(recording.exception_type, "RuntimeError");
    cr_expect_str_eq(recording.raised_at, "model.layers.0.self_attn");
    cr_assert_eq(recording.steps, 1);
    cr_expect(recording.step[0].raised);
    cr_expect_not(recording.step[0].after.present);
    cr_expect_str_eq(recording.step[0].before.type, "tuple");
    expect_shape(recording.step[0].before.layer[2].key, 4, 1, 6, 4, 8);
    expect_shape(recording.adapter_prompt, 6, 3, 2, 1, 6, 4, 8);
    qc_recording_clear(&recording);
}

Test(read, every_shipped_recording)
{
    int read = 0;
    DIR *folder = opendir("fixtures/recordings");
    cr_assert_not_null(folder, "the tests run in the repository's root");
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        if (length < 3 || strcmp(entry->d_name + length - 3, ".h5"))
            continue;
        struct qc_recording recording = shipped(entry->d_name);
        enum qw_family family;
        cr_expect(qw_family_of_class(&family, recording.model_class), "%s: %s", entry->d_name, recording.model_class);
        qc_recording_clear(&recording);
        read++;
    }
    closedir(folder);
    cr_expect_geq(read, 11);
}

static void open_made(struct qc_hdf5 *file, const char *path, struct qw_error *error)
{
    struct qw_input source;
    struct qc_limits limits = qc_limits_of(MADE_BUDGET);
    cr_assert(qw_input_open(&source, path, error) && qc_hdf5_open(file, &source, &limits, error), "%s", error->message);
    qw_input_close(&source);
}

/* A path is asked for part by part: a missing parent is an absence, not a failure. */
Test(read, asking_for_what_is_not_there)
{
    char path[256];
    struct qc_hdf5 file;
    struct qw_error error = {0};
    H5Fclose(made_recording(made_path(path, "a.h5")));
    open_made(&file, path, &error);
    cr_expect(qc_hdf5_has(&file, "/steps/000000/taps/model.norm"));
    cr_expect_not(qc_hdf5_has(&file, "/steps/000007/taps/model.norm"));
    cr_expect_not(qc_hdf5_has(&file, "/nothing"));
    cr_expect_eq(qc_hdf5_names(&file, "/nothing").count, 0);
    cr_expect_eq(qc_hdf5_int(&file, "/call", "absent", false, -5), -5);
    char *text = qc_hdf5_text(&file, "/call", "absent", "fallback");
    cr_expect_str_eq(text, "fallback");
    cr_expect_eq(error.kind, QW_ERROR_NONE);
    free(text);
    qc_hdf5_close(&file);
    qc_hdf5_close(&file);
}

Test(read, names_are_alphabetical)
{
    char path[256];
    struct qc_hdf5 file;
    struct qw_error error = {0};
    hid_t made = made_recording(made_path(path, "a.h5"));
    made_group(made, "/steps/000001");
    made_group(made, "/steps/000010");
    made_group(made, "/steps/000002");
    H5Fclose(made);
    open_made(&file, path, &error);
    struct qc_names names = qc_hdf5_names(&file, "/steps");
    cr_assert_eq(names.count, 4);
    cr_expect_str_eq(names.item[1], "000001");
    cr_expect_str_eq(names.item[3], "000010");
    qc_names_clear(&names);
    qc_hdf5_close(&file);
}
