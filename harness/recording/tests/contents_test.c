/* Recordings that are sound HDF5 and say something that the format does not allow, or contradict themselves. */
#include <criterion/criterion.h>
#include <string.h>

#include "harness/recording/tests/made.h"
#include "reference/base/memory.h"

TestSuite(contents, .init = made_begin, .fini = made_end);

/* ---- the root ---- */

static void other_format(hid_t file) { made_text(file, "/", "format", "some-other-recording"); }
static void no_format(hid_t file) { made_drop(file, "/", "format"); }
static void version_two(hid_t file) { made_int(file, "/", "version", 2); }
static void no_version(hid_t file) { made_drop(file, "/", "version"); }
static void version_as_text(hid_t file) { made_text(file, "/", "version", "1"); }
static void version_as_list(hid_t file) { made_ints(file, "/", "version", 2, (int64_t[]){1, 1}); }
static void no_level(hid_t file) { made_drop(file, "/", "level"); }
static void other_level(hid_t file) { made_text(file, "/", "level", "everything"); }

Test(contents, another_format) { made_spoiled(other_format, "/@format", "not a recording"); }
Test(contents, no_format) { made_spoiled(no_format, "/@format", "not a recording"); }
Test(contents, no_version) { made_spoiled(no_version, "/@version", "required"); }
Test(contents, version_as_text) { made_spoiled(version_as_text, "/@version", "not one whole number"); }
Test(contents, version_as_list) { made_spoiled(version_as_list, "/@version", "not one whole number"); }
Test(contents, no_level) { made_spoiled(no_level, "/@level", "required"); }
Test(contents, another_level) { made_spoiled(other_level, "/@level", "must be one of"); }

/* A newer major version is refused, and the refusal says what reads it. */
Test(contents, a_newer_version_says_which_tool_reads_it)
{
    char path[256];
    struct qc_recording recording;
    struct qw_error error = {0};
    made_spoiled(version_two, "/@version", "version 2");
    cr_assert_not(qc_recording_read(&recording, made_path(path, "spoiled.h5"), MADE_BUDGET, &error));
    cr_expect(strstr(error.hint, "newer qconform") != NULL, "the hint is \"%s\"", error.hint);
}

/* ---- the model and the adapter ---- */

static void no_model(hid_t file) { made_delete(file, "/model"); }
static void no_class(hid_t file) { made_drop(file, "/model", "class"); }
static void no_config(hid_t file) { made_drop(file, "/model", "config"); }
static void config_is_no_json(hid_t file) { made_text(file, "/model", "config", "Qwen2Config {}"); }
static void config_is_cut_off(hid_t file) { made_text(file, "/model", "config", "{\"model_type\": \"qwen2\""); }
static void config_goes_on(hid_t file) { made_text(file, "/model", "config", "{} {}"); }
static void config_is_empty(hid_t file) { made_text(file, "/model", "config", ""); }
static void config_is_a_list(hid_t file) { made_text(file, "/model", "config", "[1, 2]"); }
static void config_says_it_twice(hid_t file) { made_text(file, "/model", "config", "{\"vocab_size\": 1, \"vocab_size\": 2}"); }
static void config_says_it_twice_inside(hid_t file) { made_text(file, "/model", "config", "{\"a\": {\"b\": 1, \"b\": 1}}"); }
static void config_says_it_twice_escaped(hid_t file) { made_text(file, "/model", "config", "{\"a\": 1, \"\\u0061\": 2}"); }
static void no_peft_type(hid_t file) { made_drop(file, "/adapter", "peft_type"); }
static void adapter_config_is_no_json(hid_t file) { made_text(file, "/adapter", "config", "{'num_virtual_tokens': 2}"); }
static void weights_are_nested(hid_t file) { made_group(file, "/model/weights/inner"); }
static void environment_is_a_number(hid_t file) { made_int(file, "/environment", "torch", 2); }

Test(contents, no_model) { made_spoiled(no_model, "/model", "missing"); }
Test(contents, no_class) { made_spoiled(no_class, "/model@class", "required"); }
Test(contents, no_config) { made_spoiled(no_config, "/model@config", "required"); }
Test(contents, config_is_no_json) { made_spoiled(config_is_no_json, "/model@config", "not valid JSON"); }
Test(contents, config_is_cut_off) { made_spoiled(config_is_cut_off, "/model@config", "not valid JSON"); }
Test(contents, config_goes_on) { made_spoiled(config_goes_on, "/model@config", "not valid JSON"); }
Test(contents, config_is_empty) { made_spoiled(config_is_empty, "/model@config", "not valid JSON"); }
Test(contents, config_is_a_list) { made_spoiled(config_is_a_list, "/model@config", "must be a JSON object"); }
Test(contents, config_says_it_twice) { made_spoiled(config_says_it_twice, "/model@config", "\"vocab_size\" stands twice"); }
Test(contents, config_says_it_twice_inside) { made_spoiled(config_says_it_twice_inside, "/model@config", "\"b\" stands twice"); }
Test(contents, config_says_it_twice_escaped)
{
    made_spoiled(config_says_it_twice_escaped, "/model@config", "\"a\" stands twice");
}
Test(contents, no_peft_type) { made_spoiled(no_peft_type, "/adapter@peft_type", "required"); }
Test(contents, adapter_config_is_no_json) { made_spoiled(adapter_config_is_no_json, "/adapter@config", "not valid JSON"); }
Test(contents, weights_are_nested) { made_spoiled(weights_are_nested, "/model/weights/inner", "a dataset is expected"); }
Test(contents, environment_is_a_number) { made_spoiled(environment_is_a_number, "/environment@torch", "not a readable text"); }

/* ---- the call ---- */

static void no_call(hid_t file) { made_delete(file, "/call"); }
static void no_kind(hid_t file) { made_drop(file, "/call", "kind"); }
static void no_outcome(hid_t file) { made_drop(file, "/call", "outcome"); }
static void other_outcome(hid_t file) { made_text(file, "/call", "outcome", "interrupted"); }
static void raised_without_type(hid_t file) { made_text(file, "/call", "outcome", "raised"); }
static void kwargs_are_no_json(hid_t file) { made_text(file, "/call", "kwargs", "max_new_tokens=1"); }
static void no_output(hid_t file) { made_delete(file, "/call/output_ids"); }

static void ids(hid_t file, const char *path, int64_t batch, int64_t tokens, const int64_t *values)
{
    made_whole(file, path, 2, (int64_t[]){batch, tokens}, values);
}

static void other_beginning(hid_t file) { ids(file, "/call/output_ids", 1, 3, (int64_t[]){4, 6, 5}); }
static void output_too_short(hid_t file) { ids(file, "/call/output_ids", 1, 1, (int64_t[]){4}); }
static void output_of_another_batch(hid_t file) { ids(file, "/call/output_ids", 2, 3, (int64_t[]){4, 5, 6, 4, 5, 6}); }
static void mask_too_long(hid_t file) { ids(file, "/call/attention_mask", 1, 3, (int64_t[]){1, 1, 1}); }
static void mask_of_another_batch(hid_t file) { ids(file, "/call/attention_mask", 2, 2, (int64_t[]){1, 1, 1, 1}); }
static void mask_of_one_axis(hid_t file) { made_whole(file, "/call/attention_mask", 1, (int64_t[]){2}, (int64_t[]){1, 1}); }
static void ids_of_one_axis(hid_t file) { made_whole(file, MADE_IDS, 1, (int64_t[]){2}, (int64_t[]){4, 5}); }
static void ids_as_floats(hid_t file) { made_floats(file, MADE_IDS, 2, (int64_t[]){1, 2}, (float[]){4, 5}); }
static void no_tokens(hid_t file) { made_whole(file, MADE_IDS, 2, (int64_t[]){1, 0}, NULL); }
static void ids_are_a_group(hid_t file)
{
    made_delete(file, MADE_IDS);
    made_group(file, MADE_IDS);
}

Test(contents, no_call) { made_spoiled(no_call, "/call", "missing"); }
Test(contents, no_kind) { made_spoiled(no_kind, "/call@kind", "required"); }
Test(contents, no_outcome) { made_spoiled(no_outcome, "/call@outcome", "required"); }
Test(contents, another_outcome) { made_spoiled(other_outcome, "/call@outcome", "\"ok\" or \"raised\""); }
Test(contents, raised_without_an_exception) { made_spoiled(raised_without_type, "/call@exception_type", "required"); }
Test(contents, kwargs_are_no_json) { made_spoiled(kwargs_are_no_json, "/call@kwargs", "not valid JSON"); }
Test(contents, a_generate_without_output) { made_spoiled(no_output, "/call/output_ids", "has output ids"); }
Test(contents, output_does_not_begin_with_input) { made_spoiled(other_beginning, "/call/output_ids", "does not begin with"); }
Test(contents, output_shorter_than_input) { made_spoiled(output_too_short, "/call/output_ids", "shorter than the prompt"); }
Test(contents, output_of_another_batch) { made_spoiled(output_of_another_batch, "/call/output_ids", "another batch"); }
Test(contents, mask_too_long) { made_spoiled(mask_too_long, "/call/attention_mask", "the shapes differ"); }
Test(contents, mask_of_another_batch) { made_spoiled(mask_of_another_batch, "/call/attention_mask", "the shapes differ"); }
Test(contents, mask_of_one_axis) { made_spoiled(mask_of_one_axis, "/call/attention_mask", "[batch, tokens]"); }
Test(contents, ids_of_one_axis) { made_spoiled(ids_of_one_axis, MADE_IDS, "[batch, tokens]"); }
Test(contents, ids_as_floats) { made_spoiled(ids_as_floats, MADE_IDS, "int64"); }
Test(contents, no_tokens) { made_spoiled(no_tokens, MADE_IDS, "[batch, tokens]"); }
Test(contents, ids_are_a_group) { made_spoiled(ids_are_a_group, MADE_IDS, "a dataset is expected"); }

/* ---- the steps ---- */

static void move_step(hid_t file) { H5Lmove(file, "/steps/000000", file, "/steps/000001", H5P_DEFAULT, H5P_DEFAULT); }
static void gap_after_first(hid_t file) { H5Ocopy(file, "/steps/000000", file, "/steps/000002", H5P_DEFAULT, H5P_DEFAULT); }
static void five_digits(hid_t file) { H5Lmove(file, "/steps/000000", file, "/steps/00000", H5P_DEFAULT, H5P_DEFAULT); }
static void no_raised(hid_t file) { made_drop(file, "/steps/000000", "raised"); }
static void no_cache_type(hid_t file) { made_drop(file, "/steps/000000/cache_after", "type"); }
static void no_cache_length(hid_t file) { made_drop(file, "/steps/000000/cache_before", "length"); }
static void keys_of_integers(hid_t file) { made_whole(file, MADE_KEY, 4, (int64_t[]){1, 1, 2, 2}, (int64_t[]){1, 2, 3, 4}); }
static void keys_without_axes(hid_t file) { made_floats(file, MADE_KEY, 0, NULL, (float[]){1}); }
static void tap_is_a_group(hid_t file) { made_group(file, "/steps/000000/taps/model.layers"); }

Test(contents, steps_start_at_zero) { made_spoiled(move_step, "/steps/000000", "without a gap"); }
Test(contents, steps_have_no_gap) { made_spoiled(gap_after_first, "/steps/000001", "without a gap"); }
Test(contents, steps_have_six_digits) { made_spoiled(five_digits, "/steps/000000", "without a gap"); }
Test(contents, a_step_says_whether_it_raised) { made_spoiled(no_raised, "/steps/000000@raised", "required"); }
Test(contents, a_cache_has_a_type) { made_spoiled(no_cache_type, "/steps/000000/cache_after@type", "required"); }
Test(contents, a_cache_has_a_length) { made_spoiled(no_cache_length, "/steps/000000/cache_before@length", "required"); }
Test(contents, keys_are_floating) { made_spoiled(keys_of_integers, MADE_KEY, "floating"); }
Test(contents, keys_have_axes) { made_spoiled(keys_without_axes, MADE_KEY, "floating"); }
Test(contents, taps_are_datasets) { made_spoiled(tap_is_a_group, "/steps/000000/taps/model.layers", "a dataset is expected"); }

/* A layer that holds nothing has no group: the number of a group says which layer it is. */
static void leave_layer_zero_empty(hid_t file)
{
    H5Lmove(file, "/steps/000000/cache_after/000", file, "/steps/000000/cache_after/001", H5P_DEFAULT, H5P_DEFAULT);
    made_int(file, "/steps/000000/cache_after", "layers", 2);
}

Test(contents, an_empty_layer_does_not_hide_the_next)
{
    struct qc_recording recording = made_accepted(leave_layer_zero_empty);
    const struct qc_cache *after = &recording.step[0].after;
    cr_assert_eq(after->layers, 2, "%d layers are known", after->layers);
    cr_expect_null(after->layer[0].key);
    cr_assert_not_null(after->layer[1].key);
    cr_expect_eq(qw_tensor_at(after->layer[1].key, 3), 4);
    qc_recording_clear(&recording);
}

/* ---- what must be read all the same ---- */

static void say_more(hid_t file)
{
    made_group(file, "/future/things");
    made_text(file, "/call", "mood", "curious");
    made_text(file, MADE_TAP, "unit", "none");
    made_text(file, "/model", "code_sha256", "");
}

Test(contents, what_is_unknown_is_ignored)
{
    struct qc_recording recording = made_accepted(say_more);
    cr_expect_eq(recording.steps, 1);
    qc_recording_clear(&recording);
}

static void fixed_text(hid_t file, const char *object, const char *name, const char *text, size_t size)
{
    char padded[64] = {0};
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, size);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    strcpy(padded, text);
    made_drop(file, object, name);
    hid_t attribute = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert_geq(H5Awrite(attribute, type, padded), 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

/* One text without room for a final NUL, one with room to spare. */
static void fixed_texts(hid_t file)
{
    fixed_text(file, "/", "format", "qconform-recording", 18);
    fixed_text(file, "/model", "class", "Qwen2ForCausalLM", 40);
    fixed_text(file, MADE_TAP, "dtype", "float32", 7);
    fixed_text(file, "/environment", "torch", "2.13.0", 6);
}

Test(contents, fixed_length_texts_are_read)
{
    struct qc_recording recording = made_accepted(fixed_texts);
    cr_expect_str_eq(recording.model_class, "Qwen2ForCausalLM");
    cr_expect_str_eq(qw_json_get_text(recording.environment, "torch", ""), "2.13.0");
    qc_recording_clear(&recording);
}

static void raise_before_the_first_step(hid_t file)
{
    made_delete(file, "/steps");
    made_delete(file, "/call/output_ids");
    made_text(file, "/call", "outcome", "raised");
    made_text(file, "/call", "exception_type", "KeyError");
    made_text(file, "/call", "exception_message", "");
}

Test(contents, a_run_that_reached_nothing_is_read)
{
    struct qc_recording recording = made_accepted(raise_before_the_first_step);
    cr_expect(recording.raised);
    cr_expect_eq(recording.steps, 0);
    cr_expect_null(recording.output_ids);
    cr_expect_str_eq(recording.exception_type, "KeyError");
    cr_expect_str_eq(recording.raised_at, "");
    qc_recording_clear(&recording);
}

static void leave_out_what_may_be(hid_t file)
{
    made_delete(file, "/adapter");
    made_delete(file, "/environment");
    made_delete(file, "/call/attention_mask");
    made_delete(file, "/steps/000000/cache_after");
    made_drop(file, "/call", "use_cache");
    made_drop(file, "/call", "kwargs");
    made_drop(file, "/", "producer");
}

Test(contents, what_is_optional_may_stay_away)
{
    struct qc_recording recording = made_accepted(leave_out_what_may_be);
    cr_expect_not(recording.has_adapter);
    cr_expect(recording.use_cache, "use_cache counts as asked for when it is not given");
    cr_expect_null(recording.attention_mask);
    cr_expect_not(recording.step[0].after.present);
    cr_expect(recording.step[0].before.present);
    cr_expect_eq(qw_json_size(recording.call_kwargs), 0);
    qc_recording_clear(&recording);
}
