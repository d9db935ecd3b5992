/* What is judged at all: what is outside the coverage, what is bad input, and the rules that follow from the versions. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "reference/base/memory.h"

/* The subject of a changed recording must be refused. */
static void refused(struct shipped *run, enum qw_error_kind kind, const char *place, const char *words)
{
    cr_assert_not(shipped_subject(run), "must be refused: %s", words);
    cr_expect_eq(run->error.kind, kind, "kind is %d", (int)run->error.kind);
    cr_expect_str_eq(run->error.place, place);
    cr_expect(strstr(run->error.message, words) != NULL, "the reason is \"%s\", it should say \"%s\"", run->error.message, words);
    shipped_clear(run);
}

static struct shipped run_of(const char *name)
{
    struct shipped run;
    shipped_read(&run, name);
    return run;
}

/* ---- outside the coverage ---- */

#define SKIPPED QW_ERROR_UNSUPPORTED

Test(subject, another_class_is_skipped)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_text(&run.recording.model_class, "Qwen2MoeForCausalLM");
    refused(&run, SKIPPED, "/model@class", "Qwen2MoeForCausalLM");
}

Test(subject, another_arithmetic_is_skipped)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_text(&run.recording.model_dtype, "int64");
    refused(&run, SKIPPED, "/model@dtype", "int64");
}

Test(subject, lora_is_skipped)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_text(&run.recording.peft_type, "LORA");
    refused(&run, SKIPPED, "/adapter@config", "LORA");
}

Test(subject, quantised_caches_are_skipped)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_text(&run.recording.step[1].before.type, "QuantizedCache");
    refused(&run, SKIPPED, "/steps", "QuantizedCache");
}

Test(subject, a_call_without_ids_is_skipped)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    qw_tensor_free(run.recording.input_ids);
    run.recording.input_ids = NULL;
    refused(&run, SKIPPED, "/call/input_ids", "token ids");
}

static void skipped_with(const char *kwargs, const char *words)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    qw_json_free(run.recording.call_kwargs);
    run.recording.call_kwargs = qw_json_parse(kwargs, strlen(kwargs), "", &run.error);
    refused(&run, SKIPPED, "/call@kwargs", words);
}

Test(subject, contrastive_search_is_skipped) { skipped_with("{\"penalty_alpha\": 0.6}", "penalty_alpha"); }

/* Arguments that ask for what happens anyway, or for nothing. */
Test(subject, harmless_arguments_are_covered)
{
    const char *kwargs = "{\"num_beams\": 1, \"num_return_sequences\": 1, \"assistant_model\": null, \"temperature\": 0.5}";
    struct shipped run = run_of(SHIPPED_PROMPT);
    qw_json_free(run.recording.call_kwargs);
    run.recording.call_kwargs = qw_json_parse(kwargs, strlen(kwargs), "", &run.error);
    cr_expect(shipped_subject(&run), "%s", run.error.message);
    shipped_clear(&run);
}

static void change_config(struct shipped *run, const char *extra)
{
    char *text = qw_json_print(run->recording.model_config, false), changed[8192];
    snprintf(changed, sizeof changed, "{%s, %s", extra, text + 1);
    qw_json_free(run->recording.model_config);
    run->recording.model_config = qw_json_parse(changed, strlen(changed), "", &run->error);
    cr_assert_not_null(run->recording.model_config, "%s", run->error.message);
    free(text);
}

Test(subject, quantised_models_are_skipped)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    change_config(&run, "\"quantization_config\": {\"bits\": 4}");
    cr_assert_not(shipped_subject(&run));
    cr_expect_eq(run.error.kind, SKIPPED);
    shipped_clear(&run);
}

/* ---- bad input ---- */

#define BAD QW_ERROR_INPUT

Test(subject, a_dtype_of_no_name_is_bad_input)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_text(&run.recording.model_dtype, "float31");
    refused(&run, BAD, "/model@dtype", "float31");
}

/* Takes one embedded tensor away, wherever it stands. */
static void lose(struct qw_tensors *weights, const char *name)
{
    for (int i = 0; i < weights->count; i++)
        if (!strcmp(weights->item[i].name, name)) {
            free(weights->item[i].name);
            qw_tensor_free(weights->item[i].tensor);
            weights->item[i] = weights->item[--weights->count];
            return;
        }
    cr_assert(false, "%s is not there to be lost", name);
}

Test(subject, a_missing_weight_is_named)
{
    static const char *const names[] = {"model.embed_tokens.weight", "model.norm.weight", "model.layers.2.self_attn.k_proj.bias",
                                        "model.layers.0.mlp.down_proj.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct shipped run = run_of(SHIPPED_PROMPT);
        lose(&run.recording.model_weights.embedded, names[i]);
        refused(&run, BAD, names[i], "requires");
    }
}

Test(subject, a_weight_of_another_shape_is_named)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensors *weights = &run.recording.model_weights.embedded;
    for (int i = 0; i < weights->count; i++)
        if (!strcmp(weights->item[i].name, "model.layers.1.self_attn.q_proj.bias"))
            weights->item[i].tensor->shape.dim[0] = 16;
    refused(&run, BAD, "model.layers.1.self_attn.q_proj.bias", "[48]");
}

Test(subject, an_adapter_without_its_table_is_bad_input)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    run.recording.adapter_weights.embedded.item[0].name[0] = 'x';
    refused(&run, BAD, "prompt_embeddings", "required");
}

Test(subject, an_adapter_without_virtual_tokens_is_bad_input)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    qw_json_free(run.recording.adapter_config);
    run.recording.adapter_config = qw_json_object();
    refused(&run, BAD, "/adapter@config", "num_virtual_tokens");
}

/* A table of the wrong extents is evidence for a verdict, not bad input. */
Test(subject, an_adapter_of_another_size_is_covered)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    struct qw_tensor *table = run.recording.adapter_weights.embedded.item[0].tensor;
    table->shape.dim[0] = 3;
    cr_expect(shipped_subject(&run), "%s", run.error.message);
    shipped_clear(&run);
}

static void id_out_of_vocabulary(struct qw_tensor *ids, struct shipped *run, const char *place, int64_t id)
{
    char words[64];
    shipped_integers(ids)[0] = id;
    snprintf(words, sizeof words, "token id %lld lies outside the vocabulary of 101", (long long)id);
    refused(run, BAD, place, words);
}

Test(subject, prompt_ids_lie_in_the_vocabulary)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    id_out_of_vocabulary(run.recording.input_ids, &run, "/call/input_ids", 101);
}

Test(subject, ids_are_not_negative)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    id_out_of_vocabulary(run.recording.input_ids, &run, "/call/input_ids", -1);
}

Test(subject, output_ids_lie_in_the_vocabulary)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    id_out_of_vocabulary(run.recording.output_ids, &run, "/call/output_ids", 1 << 20);
}

Test(subject, received_ids_lie_in_the_vocabulary)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    id_out_of_vocabulary(run.recording.step[3].input[QC_INPUT_IDS], &run, "/steps/*/received/input_ids", 101);
}

Test(subject, the_largest_id_is_covered)
{
    struct shipped run = run_of(SHIPPED_BASE);
    shipped_integers(run.recording.output_ids)[11] = 100;
    cr_expect(shipped_subject(&run), "%s", run.error.message);
    shipped_clear(&run);
}

/* ---- weights in folders ---- */

Test(subject, folders_that_the_recording_names)
{
    struct shipped run = run_of(SHIPPED_FOLDER);
    cr_assert(shipped_subject(&run), "%s: %s", run.error.file, run.error.message);
    cr_expect(run.subject.model.has_weights);
    cr_expect_not_null(run.subject.adapter.table);
    shipped_clear(&run);
}

Test(subject, a_folder_that_is_not_there)
{
    struct shipped run = run_of(SHIPPED_FOLDER);
    shipped_text(&run.recording.model_weights.folder, "../models/no-such-model");
    refused(&run, BAD, "", "");
}

Test(subject, a_folder_of_another_model)
{
    struct shipped run = run_of(SHIPPED_FOLDER);
    shipped_text(&run.recording.model_weights.folder, "../models/qwen1.5-tiny");
    refused(&run, BAD, "config.json", "3 in the recording");
}

Test(subject, an_adapter_folder_that_is_not_there)
{
    struct shipped run = run_of(SHIPPED_FOLDER);
    shipped_text(&run.recording.adapter_weights.folder, "nowhere");
    refused(&run, BAD, "", "");
}

static void spoil_digest(char *digest) { digest[63] = digest[63] == '0' ? '1' : '0'; }

Test(subject, the_digest_of_the_model_must_match)
{
    struct shipped run = run_of(SHIPPED_FOLDER);
    spoil_digest(run.recording.model_weights.digest);
    cr_expect_not(shipped_subject(&run));
    cr_expect_eq(run.error.kind, BAD);
    cr_expect(strstr(run.error.message, "sha256") != NULL, "%s", run.error.message);
    cr_expect(strstr(run.error.file, "model.safetensors") != NULL, "%s", run.error.file);
    shipped_clear(&run);
}

Test(subject, the_digest_of_the_adapter_must_match)
{
    struct shipped run = run_of(SHIPPED_FOLDER);
    spoil_digest(run.recording.adapter_weights.digest);
    refused(&run, BAD, "", "sha256");
}

/* What the caller names wins over what the recording says, and its digest is not asked. */
Test(subject, a_folder_may_be_given)
{
    struct shipped run = run_of(SHIPPED_FOLDER);
    struct qc_places places = {.model = "fixtures/models/qwen2-tiny", .adapter = "fixtures/adapters/qwen2-tiny-prompt"};
    shipped_text(&run.recording.model_weights.folder, "nowhere");
    shipped_text(&run.recording.adapter_weights.folder, "nowhere");
    cr_expect(qc_subject_make(&run.subject, &run.recording, &places, &run.error), "%s", run.error.message);
    shipped_clear(&run);
}

Test(subject, embedded_weights_win)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    shipped_text(&run.recording.model_weights.folder, "nowhere");
    cr_expect(shipped_subject(&run), "%s", run.error.message);
    cr_expect(run.subject.model.has_weights);
    shipped_clear(&run);
}

Test(subject, weights_that_were_not_kept)
{
    struct shipped run = run_of(SHIPPED_PROMPT);
    qw_tensors_clear(&run.recording.model_weights.embedded);
    cr_expect(shipped_subject(&run), "%s", run.error.message);
    cr_expect_not(run.subject.model.has_weights);
    shipped_clear(&run);
}

/* ---- what follows ---- */

Test(subject, the_call_is_taken_over)
{
    struct shipped run = run_of(SHIPPED_PREFIX);
    cr_assert(shipped_subject(&run));
    const struct qw_call *call = &run.subject.call;
    cr_expect(call->generate && call->use_cache && call->batch == 1 && call->tokens == 7 && call->generated == 5);
    cr_expect_eq(call->output_ids[6], call->input_ids[6]);
    cr_expect_eq(run.subject.adapter.virtual_tokens, 4);
    cr_expect_eq(run.subject.dtype, QW_F32);
    cr_expect_eq(run.subject.model.config.kv_heads, 2);
    shipped_clear(&run);
}

/* A run that raised has no output: the tokens that were fed stand in. */
Test(subject, tokens_of_a_run_that_raised)
{
    struct shipped run = run_of(SHIPPED_BASE);
    int64_t fed = shipped_integers(run.recording.step[2].input[QC_INPUT_IDS])[0];
    qw_tensor_free(run.recording.output_ids);
    run.recording.output_ids = NULL;
    run.recording.raised = true;
    cr_assert(shipped_subject(&run), "%s", run.error.message);
    cr_assert_not_null(run.subject.call.output_ids);
    cr_expect_eq(run.subject.call.output_ids[7 + 1], fed, "the second generated token is what step 2 was fed");
    shipped_clear(&run);
}

Test(subject, versions_make_the_rules)
{
    static const struct {
        const char *transformers, *peft;
        bool newer;
    } rows[] = {{"4.44.2", "0.13.2", false}, {"5.23.0", "0.21.2", false}, {"5.24.0", "0.21.2", true},
                {"5.23.0", "0.22.0", true},  {"5.23.1", "0.1.0", true},   {"", "", false}};
    struct shipped run = run_of(SHIPPED_BASE);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        shipped_versions(&run, rows[i].transformers, rows[i].peft);
        cr_assert(shipped_subject(&run), "%s", run.error.message);
        cr_expect_eq(run.subject.newer, rows[i].newer, "%s with %s", rows[i].transformers, rows[i].peft);
        shipped_forget(&run);
    }
    shipped_clear(&run);
}

/* ---- selection and precision ---- */

static void said(struct qc_selection selection, const char *expected)
{
    char *text = qc_selection_text(&selection);
    cr_expect_str_eq(text, expected);
    cr_expect_eq(qc_selection_is_all(&selection), expected[0] == 0);
    free(text);
}

Test(subject, a_selection_in_words)
{
    said(qc_selection_all(), "");
    said((struct qc_selection){0, -1, 0, -1, NULL, "f64"}, "");
    said((struct qc_selection){0, 4, 2, 2, "self_attn.*", NULL}, "steps 0-4, layers 2, sites self_attn.*");
    said((struct qc_selection){3, INT_MAX, 0, -1, NULL, NULL}, "steps 3 on");
}

Test(subject, a_sum_is_as_many_roundings_as_are_made_in_the_dtype)
{
    const enum qw_dtype dtypes[] = {QW_F64, QW_F32, QW_F16, QW_BF16};
    const int64_t expected[] = {4096, 4096, 1, 1};
    for (int d = 0; d < 4; d++) {
        struct qc_subject subject = {.dtype = dtypes[d], .selection = qc_selection_all()};
        cr_expect_eq(qc_subject_roundings(&subject, 4096), expected[d], "%s", qw_dtype_name(dtypes[d]));
        cr_expect_eq(qc_subject_roundings(&subject, 0), 0, "copied data");
    }
}

Test(subject, plays_differ_where_the_device_may_choose_how_to_multiply)
{
    struct qc_subject subject = {.dtype = QW_F32, .selection = qc_selection_all()};
    cr_expect(qc_subject_play(&subject, 0) == &qw_f32 && qc_subject_play(&subject, 1) == &qw_f32);
    subject.products = QC_PRODUCTS_TF32;
    cr_expect(qc_subject_play(&subject, 0) == &qw_tf32[0] && qc_subject_play(&subject, 1) == &qw_tf32[1]);
    subject.selection.precision = "f32";
    cr_expect(qc_subject_play(&subject, 0) == &qw_f32 && qc_subject_play(&subject, 1) == &qw_f32, "as it was asked for");
    subject = (struct qc_subject){.dtype = QW_F16, .selection = qc_selection_all(), .products = QC_PRODUCTS_PARTS};
    cr_expect(qc_subject_play(&subject, 2) == &qw_f16 && qc_subject_play(&subject, 3) == &qw_f16_parts);
    subject.dtype = QW_BF16;
    cr_expect(qc_subject_play(&subject, 2) == &qw_bf16 && qc_subject_play(&subject, 3) == &qw_bf16_parts);
}

Test(subject, the_arithmetic_follows_from_the_dtype_unless_it_is_given)
{
    struct qc_subject subject = {.dtype = QW_F32, .selection = qc_selection_all()};
    cr_expect_eq(qc_subject_arith(&subject), &qw_f32);
    subject.dtype = QW_F64;
    cr_expect_eq(qc_subject_arith(&subject), &qw_f64_mixed);
    cr_expect_eq(qc_subject_roundoff(&subject), 0x1p-53);
    subject.dtype = QW_F16;
    cr_expect_eq(qc_subject_arith(&subject), &qw_f16);
    subject.dtype = QW_BF16;
    cr_expect_eq(qc_subject_arith(&subject), &qw_bf16);
    cr_expect_eq(qc_subject_roundoff(&subject), 0x1p-8);
    subject.selection.precision = "f32";
    cr_expect_eq(qc_subject_arith(&subject), &qw_f32);
    subject.selection.precision = "f64";
    cr_expect_eq(qc_subject_arith(&subject), &qw_f64);
}
