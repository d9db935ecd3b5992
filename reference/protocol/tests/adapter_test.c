/* Adapters: what a saved table says, and which of its columns goes where. */
#include "reference/protocol/adapter.h"

#include "reference/base/sha256.h"
#include "reference/model/tests/small.h"

/* Extents that are all different, so that no two of them can be exchanged unnoticed. */
static const struct qw_config config = {.layers = 3, .hidden = 30, .heads = 10, .kv_heads = 5, .head_size = 4};
enum { P = 7, B = 2, L = 3, K = 5, H = 10, D = 4, HIDDEN = 30 };

/* A table whose element at row p and column c is 1000 p + c. */
static struct qw_adapter numbered_adapter(enum qw_adapter_kind kind, int64_t columns)
{
    struct qw_adapter adapter = {.kind = kind, .virtual_tokens = P};
    struct qw_error error = {0};
    struct qw_shape shape = qw_shape_of(2, (int64_t)P, columns);
    struct qw_tensor *table = qw_tensor_make(QW_F32, &shape);
    for (int64_t p = 0; p < P; p++)
        for (int64_t c = 0; c < columns; c++)
            ((float *)table->data)[p * columns + c] = (float)(1000 * p + c);
    qw_tensors_add(&adapter.tensors, "prompt_embeddings", table);
    cr_assert(qw_adapter_bind(&adapter, &error), "%s", error.message);
    return adapter;
}

/* ---- what is handed over ---- */

Test(adapter, prompt_rows_are_repeated_for_the_batch)
{
    struct qw_rules rules = newest_rules();
    struct qw_adapter adapter = numbered_adapter(QW_ADAPTER_EMBEDS, HIDDEN);
    struct qw_tensor *prompt = qw_adapter_prompt(&adapter, &config, &rules, B);
    struct qw_shape wanted = qw_shape_of(3, (int64_t)B, (int64_t)P, (int64_t)HIDDEN);
    cr_assert(qw_shape_equal(&prompt->shape, &wanted));
    for (int64_t b = 0; b < B; b++)
        for (int64_t p = 0; p < P; p++)
            for (int64_t i = 0; i < HIDDEN; i++)
                cr_assert_eq(qw_tensor_at(prompt, (b * P + p) * HIDDEN + i), (double)(1000 * p + i));
    qw_tensor_free(prompt);
    qw_adapter_clear(&adapter);
}

/* Column ((2 layer + kv) heads + head) D + i of row p is element [layer, kv, b, head, p, i]. */
static void expect_columns(struct qw_rules rules, int64_t heads)
{
    struct qw_adapter adapter = numbered_adapter(QW_ADAPTER_KEYS_VALUES, 2 * L * heads * D);
    struct qw_tensor *prompt = qw_adapter_prompt(&adapter, &config, &rules, B);
    struct qw_shape wanted = qw_shape_of(6, (int64_t)L, (int64_t)2, (int64_t)B, heads, (int64_t)P, (int64_t)D);
    cr_assert(qw_shape_equal(&prompt->shape, &wanted));
    int64_t at[QW_MAX_RANK];
    for (int64_t index = 0; index < qw_shape_count(&wanted); index++) {
        qw_shape_unravel(at, &wanted, index);
        int64_t column = ((2 * at[0] + at[1]) * heads + at[3]) * D + at[5];
        cr_assert_eq(qw_tensor_at(prompt, index), (double)(1000 * at[4] + column));
    }
    qw_tensor_free(prompt);
    qw_adapter_clear(&adapter);
}

Test(adapter, prefix_columns_are_layer_half_head_dimension) { expect_columns(newest_rules(), K); }

Test(adapter, prefix_of_query_heads_is_cut_for_those)
{
    struct qw_rules rules = newest_rules();
    qw_deviation_apply(&rules, QW_DEVIATION_PREFIX_QUERY_HEADS);
    expect_columns(rules, H);
}

static void expect_structure_only(const struct qw_adapter *adapter, const struct qw_rules *rules, struct qw_shape wanted)
{
    struct qw_tensor *prompt = qw_adapter_prompt(adapter, &config, rules, B);
    cr_expect_not(qw_adapter_fits(adapter, &config, rules));
    cr_expect(prompt->data == NULL && qw_shape_equal(&prompt->shape, &wanted));
    qw_tensor_free(prompt);
}

Test(adapter, table_that_does_not_fit_gives_the_structure_alone)
{
    struct qw_rules rules = newest_rules();
    struct qw_shape rows = qw_shape_of(3, (int64_t)B, (int64_t)P, (int64_t)HIDDEN);
    struct qw_shape keys = qw_shape_of(6, (int64_t)L, (int64_t)2, (int64_t)B, (int64_t)K, (int64_t)P, (int64_t)D);
    struct qw_adapter narrow = numbered_adapter(QW_ADAPTER_EMBEDS, HIDDEN - 1);
    struct qw_adapter wide = numbered_adapter(QW_ADAPTER_KEYS_VALUES, 2 * L * H * D);
    struct qw_adapter absent = {.kind = QW_ADAPTER_EMBEDS, .virtual_tokens = P};
    expect_structure_only(&narrow, &rules, rows);
    expect_structure_only(&wide, &rules, keys);
    expect_structure_only(&absent, &rules, rows);
    struct qw_adapter longer = numbered_adapter(QW_ADAPTER_EMBEDS, HIDDEN);
    longer.virtual_tokens = P + 1;
    expect_structure_only(&longer, &rules, qw_shape_of(3, (int64_t)B, (int64_t)(P + 1), (int64_t)HIDDEN));
    qw_adapter_clear(&narrow);
    qw_adapter_clear(&wide);
    qw_adapter_clear(&longer);
}

Test(adapter, query_heads_fit_only_under_their_deviation)
{
    struct qw_rules healthy = newest_rules(), deviating = healthy;
    qw_deviation_apply(&deviating, QW_DEVIATION_PREFIX_QUERY_HEADS);
    struct qw_adapter grouped = numbered_adapter(QW_ADAPTER_KEYS_VALUES, 2 * L * K * D);
    struct qw_adapter wide = numbered_adapter(QW_ADAPTER_KEYS_VALUES, 2 * L * H * D);
    cr_assert(qw_adapter_fits(&grouped, &config, &healthy) && !qw_adapter_fits(&grouped, &config, &deviating));
    cr_assert(qw_adapter_fits(&wide, &config, &deviating) && !qw_adapter_fits(&wide, &config, &healthy));
    qw_adapter_clear(&grouped);
    qw_adapter_clear(&wide);
}

/* ---- reading ---- */

static bool read_config(struct qw_adapter *adapter, const char *type, const char *text, struct qw_error *error)
{
    struct qw_json *json = qw_json_parse(text, strlen(text), "", error);
    cr_assert(json);
    bool ok = qw_adapter_read_config(adapter, type, json, "/adapter@config", error);
    qw_json_free(json);
    return ok;
}

Test(adapter, types_that_are_covered)
{
    static const struct {
        const char *type;
        enum qw_adapter_kind kind;
    } rows[] = {{"PROMPT_TUNING", QW_ADAPTER_EMBEDS}, {"P_TUNING", QW_ADAPTER_EMBEDS}, {"PREFIX_TUNING", QW_ADAPTER_KEYS_VALUES}};
    for (int i = 0; i < 3; i++) {
        struct qw_adapter adapter = {0};
        struct qw_error error = {0};
        cr_assert(read_config(&adapter, rows[i].type, "{\"num_virtual_tokens\":20}", &error), "%s", error.message);
        cr_expect(adapter.kind == rows[i].kind && adapter.virtual_tokens == 20 && !strcmp(adapter.peft_type, rows[i].type));
    }
}

Test(adapter, types_that_are_not_covered_are_no_error_of_input)
{
    static const char *const types[] = {"LORA", "IA3", "MULTITASK_PROMPT_TUNING", "prompt_tuning", ""};
    for (size_t i = 0; i < COUNT(types); i++) {
        struct qw_adapter adapter = {0};
        struct qw_error error = {0};
        cr_expect_not(read_config(&adapter, types[i], "{\"num_virtual_tokens\":20}", &error));
        cr_expect_eq(error.kind, QW_ERROR_UNSUPPORTED, "%s", types[i]);
    }
}

Test(adapter, virtual_tokens_go_by_the_name_of_p_tuning_v2_too)
{
    struct qw_adapter adapter = {0}, both = {0};
    struct qw_error error = {0};
    cr_assert(read_config(&adapter, "PREFIX_TUNING", "{\"pre_seq_len\":128}", &error), "%s", error.message);
    cr_assert(read_config(&both, "PREFIX_TUNING", "{\"pre_seq_len\":128,\"num_virtual_tokens\":5}", &error), "%s", error.message);
    cr_expect(adapter.virtual_tokens == 128 && both.virtual_tokens == 5);
}

Test(adapter, number_of_virtual_tokens_must_be_one)
{
    static const char *const bad[] = {"{}",
                                      "{\"num_virtual_tokens\":0}",
                                      "{\"num_virtual_tokens\":-4}",
                                      "{\"num_virtual_tokens\":4.5}",
                                      "{\"num_virtual_tokens\":\"4\"}",
                                      "{\"num_virtual_tokens\":1048577}",
                                      "{\"num_virtual_tokens\":2147483648}",
                                      "{\"num_virtual_tokens\":true}",
                                      "{\"num_virtual_tokens\":null}",
                                      "{\"num_virtual_tokens\":[4]}",
                                      "{\"Num_Virtual_Tokens\":4}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct qw_adapter adapter = {0};
        struct qw_error error = {0};
        cr_expect_not(read_config(&adapter, "P_TUNING", bad[i], &error), "%s", bad[i]);
        cr_expect_eq(error.kind, QW_ERROR_INPUT);
        cr_expect_str_eq(error.place, "/adapter@config");
        cr_expect(strstr(error.message, "\"num_virtual_tokens\" is "), "%s", error.message);
    }
}

static void refuse_table(const char *name, enum qw_dtype dtype, struct qw_shape shape)
{
    struct qw_adapter adapter = {.kind = QW_ADAPTER_EMBEDS, .virtual_tokens = 4};
    struct qw_error error = {0};
    qw_tensors_add(&adapter.tensors, name, qw_tensor_make(dtype, &shape));
    cr_expect_not(qw_adapter_bind(&adapter, &error));
    cr_expect_eq(error.kind, QW_ERROR_INPUT);
    qw_adapter_clear(&adapter);
}

Test(adapter, table_must_be_there_with_two_axes_of_floats)
{
    refuse_table("prompt_encoder.weight", QW_F32, qw_shape_of(2, (int64_t)4, (int64_t)8));
    refuse_table("prompt_embeddings", QW_F32, qw_shape_of(1, (int64_t)32));
    refuse_table("prompt_embeddings", QW_F32, qw_shape_of(3, (int64_t)1, (int64_t)4, (int64_t)8));
    refuse_table("prompt_embeddings", QW_I64, qw_shape_of(2, (int64_t)4, (int64_t)8));
}

static void expect_folder_fits(const char *folder, enum qw_adapter_kind kind, bool fits_healthy, bool fits_query_heads)
{
    struct qw_model model = read_model(TINY);
    struct qw_adapter adapter = {.kind = kind, .virtual_tokens = 4};
    struct qw_error error = {0};
    struct qw_rules healthy = newest_rules(), deviating = healthy;
    qw_deviation_apply(&deviating, QW_DEVIATION_PREFIX_QUERY_HEADS);
    cr_assert(qw_adapter_read_folder(&adapter, folder, "", &error), "%s: %s", error.file, error.message);
    cr_expect_eq(qw_adapter_fits(&adapter, &model.config, &healthy), fits_healthy, "%s", folder);
    cr_expect_eq(qw_adapter_fits(&adapter, &model.config, &deviating), fits_query_heads, "%s", folder);
    qw_adapter_clear(&adapter);
    qw_model_clear(&model);
}

Test(adapter, shipped_folders)
{
    expect_folder_fits("fixtures/adapters/qwen2-tiny-prompt", QW_ADAPTER_EMBEDS, true, true);
    expect_folder_fits("fixtures/adapters/qwen2-tiny-prefix", QW_ADAPTER_KEYS_VALUES, true, false);
    expect_folder_fits("fixtures/adapters/qwen2-tiny-prefix-query-heads", QW_ADAPTER_KEYS_VALUES, false, true);
}

Test(adapter, digest_and_folder_are_checked)
{
    const char *folder = "fixtures/adapters/qwen2-tiny-prompt",
               *path = "fixtures/adapters/qwen2-tiny-prompt/adapter_model.safetensors";
    char digest[QW_SHA256_HEX];
    struct qw_adapter adapter = {0};
    struct qw_error error = {0};
    cr_assert(qw_sha256_file(digest, path, &error));
    cr_assert(qw_adapter_read_folder(&adapter, folder, digest, &error), "%s", error.message);
    qw_adapter_clear(&adapter);
    digest[0] = digest[0] == '0' ? '1' : '0';
    cr_expect_not(qw_adapter_read_folder(&adapter, folder, digest, &error));
    cr_expect(error.kind == QW_ERROR_INPUT && !strcmp(error.file, path));
    qw_adapter_clear(&adapter);
    error = (struct qw_error){0};
    cr_expect_not(qw_adapter_read_folder(&adapter, "fixtures/adapters", "", &error));
    cr_expect(error.kind == QW_ERROR_INPUT && !strcmp(error.file, "fixtures/adapters/adapter_model.safetensors"));
    qw_adapter_clear(&adapter);
}

/* ---- an adapter that a person gives ---- */

static struct qw_error check_given(enum qw_adapter_kind kind, int64_t tokens, int64_t columns, const char *folder)
{
    struct qw_adapter adapter = numbered_adapter(kind, columns);
    struct qw_error error = {0};
    adapter.virtual_tokens = tokens;
    cr_expect_eq(qw_adapter_check(&adapter, &config, folder, &error), error.kind == QW_ERROR_NONE);
    qw_adapter_clear(&adapter);
    return error;
}

Test(adapter, given_one_fits_under_some_rules)
{
    cr_expect_eq(check_given(QW_ADAPTER_EMBEDS, P, HIDDEN, ".").kind, QW_ERROR_NONE);
    cr_expect_eq(check_given(QW_ADAPTER_KEYS_VALUES, P, 2 * L * K * D, ".").kind, QW_ERROR_NONE);
    cr_expect_eq(check_given(QW_ADAPTER_KEYS_VALUES, P, 2 * L * H * D, ".").kind, QW_ERROR_NONE, "a known fault has this shape");
}

Test(adapter, given_one_that_does_not_fit_is_refused_with_both_numbers)
{
    struct qw_error width = check_given(QW_ADAPTER_EMBEDS, P, 40, "fixtures/adapters/qwen1.5-tiny-prompt");
    cr_expect_eq(width.kind, QW_ERROR_INPUT);
    cr_expect(strstr(width.message, "[7, 40]") && strstr(width.message, "width 40") && strstr(width.message, "hidden_size is 30"),
              "%s", width.message);
    cr_expect(strstr(width.hint, "PROMPT_TUNING") && strstr(width.hint, "\"qwen1.5-tiny\""), "%s", width.hint);
    struct qw_error layers = check_given(QW_ADAPTER_KEYS_VALUES, P, 2 * 5 * K * D, ".");
    cr_expect(strstr(layers.message, "200 columns") && strstr(layers.message, "= 120") &&
                  strstr(layers.message, "200 columns are 5 such layers"),
              "%s", layers.message);
    cr_expect_str_eq(layers.hint, "name the adapter of this model");
    struct qw_error tokens = check_given(QW_ADAPTER_EMBEDS, P + 1, HIDDEN, ".");
    cr_expect(strstr(tokens.message, "7 virtual tokens, the recorded run has num_virtual_tokens 8"), "%s", tokens.message);
}
