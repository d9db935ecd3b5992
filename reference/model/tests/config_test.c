/* Configurations: read from what the library writes, refused where they are malformed, skipped where not covered. */
#include "reference/model/config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/file.h"
#include "reference/base/text.h"
#include "reference/letters.h"

/* Qwen2-0.5B, without what the tests put in. */
#define EXTENTS                                                                                                                  \
    "\"num_hidden_layers\":24,\"hidden_size\":896,\"num_attention_heads\":14,\"intermediate_size\":4864,\"vocab_size\":151936"
#define QWEN2 "\"model_type\":\"qwen2\","
#define QWEN3 "\"model_type\":\"qwen3\","
#define QWEN  "\"model_type\":\"qwen\","

static struct qw_json *parse(const char *text)
{
    struct qw_error error = {0};
    struct qw_json *json = qw_json_parse(text, strlen(text), "", &error);
    cr_assert(json, "%s: %s", text, error.message);
    return json;
}

static struct qw_config accept_text(const char *text)
{
    struct qw_error error = {0};
    struct qw_config config;
    struct qw_json *json = parse(text);
    cr_assert(qw_config_read(&config, json, "config.json", &error), "%s: %s", text, error.message);
    cr_assert_eq(error.kind, QW_ERROR_NONE);
    qw_json_free(json);
    return config;
}

static struct qw_error refuse_text(const char *text)
{
    struct qw_error error = {0};
    struct qw_config config;
    struct qw_json *json = parse(text);
    cr_expect_not(qw_config_read(&config, json, "config.json", &error), "accepted: %s", text);
    cr_expect_str_eq(error.place, "config.json");
    qw_json_free(json);
    return error;
}

Test(config, reads_every_field)
{
    struct qw_config c = accept_text("{" QWEN2 EXTENTS
                                     ",\"num_key_value_heads\":2,\"rope_theta\":1000000.0,\"rms_norm_eps\":1e-05,"
                                     "\"tie_word_embeddings\":true}");
    cr_assert_str_eq(c.model_type, "qwen2");
    cr_assert(c.layers == 24 && c.hidden == 896 && c.heads == 14 && c.kv_heads == 2 && c.head_size == 64 && c.ffn == 4864);
    cr_assert(c.vocab == 151936 && c.rope_theta == 1e6 && c.norm_eps == 1e-5 && c.tied);
}

Test(config, what_is_not_said_is_as_the_library_has_it)
{
    struct qw_config c = accept_text("{" QWEN2 EXTENTS "}");
    cr_assert_eq(c.kv_heads, 14, "without grouping");
    cr_assert_eq(c.head_size, 64, "d / H");
    cr_assert(c.rope_theta == 10000 && c.norm_eps == 1e-6 && !c.tied);
    c = accept_text("{" QWEN2 EXTENTS ",\"num_key_value_heads\":null,\"head_dim\":null,\"rope_scaling\":null,"
                    "\"quantization_config\":null,\"sliding_window\":4096,\"use_sliding_window\":false}");
    cr_assert(c.kv_heads == 14 && c.head_size == 64);
}

Test(config, head_size_of_its_own)
{
    struct qw_config c = accept_text("{" QWEN2 EXTENTS ",\"num_key_value_heads\":2,\"head_dim\":128}");
    cr_assert_eq(c.head_size, 128);
}

Test(config, qwen3_has_norms_of_heads_and_a_head_size_of_its_own)
{
    struct qw_config c = accept_text("{" QWEN3 EXTENTS ",\"num_key_value_heads\":2}");
    cr_assert(c.family == QW_FAMILY_QWEN3 && c.head_norms && c.bare_projections && !c.output_bias);
    cr_assert_eq(c.head_size, 128, "not d / H");
    c = accept_text("{" QWEN3 EXTENTS ",\"num_key_value_heads\":2,\"head_dim\":32,\"attention_bias\":true}");
    cr_assert(c.head_size == 32 && !c.bare_projections && c.output_bias);
}

Test(config, the_first_qwen_halves_its_feed_forward_and_knows_how_long_it_was_trained)
{
    struct qw_config c = accept_text("{" QWEN EXTENTS ",\"kv_channels\":64,\"seq_length\":8192}");
    cr_assert(c.family == QW_FAMILY_QWEN && c.layout == QW_LAYOUT_BSKD && c.kv_heads == 14 && c.ffn == 2432);
    cr_assert(c.trained_length == 8192 && c.dynamic_ntk && c.log_n && !c.output_bias && !c.ffn_bias && c.rope_theta == 10000);
    c = accept_text("{" QWEN EXTENTS ",\"kv_channels\":64,\"seq_length\":2048,\"use_dynamic_ntk\":false,\"use_logn_attn\":false,"
                    "\"no_bias\":false,\"rotary_emb_base\":1000000,\"layer_norm_epsilon\":1e-05}");
    cr_assert(!c.dynamic_ntk && !c.log_n && c.output_bias && c.ffn_bias && c.rope_theta == 1e6 && c.norm_eps == 1e-5);
    cr_assert_eq(refuse_text("{" QWEN EXTENTS ",\"kv_channels\":64}").kind, QW_ERROR_INPUT, "seq_length has no default");
}

static double theta_of(const char *more)
{
    char *text = qw_format("{" QWEN2 EXTENTS ",%s}", more);
    double theta = accept_text(text).rope_theta;
    free(text);
    return theta;
}

Test(config, rotary_base_of_both_eras)
{
    cr_expect_eq(theta_of("\"rope_theta\":5000000.0"), 5e6);
    cr_expect_eq(theta_of("\"rope_parameters\":{\"rope_theta\":1000000.0,\"rope_type\":\"default\"}"), 1e6);
    cr_expect_eq(theta_of("\"rope_parameters\":{\"rope_theta\":1000000.0},\"rope_theta\":10000.0"), 1e6,
                 "the newer place counts");
    cr_expect_eq(theta_of("\"rope_parameters\":{\"rope_type\":\"default\"},\"rope_theta\":20000"), 2e4);
    cr_expect_eq(theta_of("\"rope_scaling\":{\"type\":\"default\"},\"rope_theta\":20000"), 2e4);
}

Test(config, shipped_models)
{
    static const struct {
        const char *path;
        int64_t layers, hidden, heads, kv_heads, head_size, ffn, vocab;
        bool tied;
    } models[] = {{"fixtures/models/qwen2-tiny/config.json", 3, 48, 6, 2, 8, 80, 101, true},
                  {"fixtures/models/qwen1.5-tiny/config.json", 2, 40, 5, 5, 8, 72, 97, false}};
    for (int i = 0; i < 2; i++) {
        struct qw_error error = {0};
        char *bytes = NULL;
        size_t size = 0;
        cr_assert(qw_file_read(&bytes, &size, models[i].path, 1 << 20, &error), "%s", error.message);
        struct qw_config c = accept_text(bytes);
        cr_expect(c.layers == models[i].layers && c.hidden == models[i].hidden && c.heads == models[i].heads &&
                  c.kv_heads == models[i].kv_heads && c.head_size == models[i].head_size && c.ffn == models[i].ffn &&
                  c.vocab == models[i].vocab && c.tied == models[i].tied && c.rope_theta == 1e6 && c.norm_eps == 1e-6);
        free(bytes);
    }
}

Test(config, what_is_not_covered_is_not_an_error_of_input)
{
    static const char *const uncovered[] = {
        "{\"model_type\":\"qwen3_moe\"," EXTENTS "}",
        "{\"model_type\":\"llama\"," EXTENTS "}",
        "{" QWEN EXTENTS ",\"seq_length\":8192,\"kv_channels\":64,\"use_cache_quantization\":true}",
        "{" QWEN EXTENTS ",\"seq_length\":8192,\"kv_channels\":64,\"rotary_pct\":0.5}",
        "{" QWEN EXTENTS ",\"seq_length\":8192,\"kv_channels\":128}",
        "{\"model_type\":\"qwen2_moe\"," EXTENTS "}",
        "{" EXTENTS "}",
        "{" QWEN2 EXTENTS ",\"quantization_config\":{\"quant_method\":\"gptq\"}}",
        "{" QWEN2 EXTENTS ",\"layer_types\":[\"chunked_attention\"]}",
        "{" QWEN2 EXTENTS ",\"hidden_act\":\"gelu\"}",
        "{" QWEN2 EXTENTS ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0}}",
        "{" QWEN2 EXTENTS ",\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":2.0}}",
        "{" QWEN2 EXTENTS ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":1000000.0}}",
    };
    for (size_t i = 0; i < sizeof uncovered / sizeof *uncovered; i++)
        cr_expect_eq(refuse_text(uncovered[i]).kind, QW_ERROR_UNSUPPORTED, "%s", uncovered[i]);
}

static const char *const required[] = {"num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size",
                                       "vocab_size"};
#define REQUIRED (sizeof required / sizeof *required)

/* The five extents, of which one has `value` (left out where it is NULL). */
static char *with_extent(const char *key, const char *value)
{
    struct qw_text text = {0};
    qw_text_add(&text, "{" QWEN2 "\"rms_norm_eps\":1e-6");
    for (size_t i = 0; i < REQUIRED; i++) {
        const char *given = strcmp(required[i], key) ? "64" : value;
        if (given)
            qw_text_addf(&text, ",\"%s\":%s", required[i], given);
    }
    qw_text_add(&text, "}");
    return qw_text_take(&text);
}

Test(config, extents_must_be_there_and_in_range)
{
    static const char *const bad[] = {NULL, "0", "-1", "1.5", "\"24\"", "4194305", "1e30", "[24]", "true", "null"};
    for (size_t k = 0; k < REQUIRED; k++)
        for (size_t v = 0; v < sizeof bad / sizeof *bad; v++) {
            char *text = with_extent(required[k], bad[v]);
            struct qw_error error = refuse_text(text);
            cr_expect_eq(error.kind, QW_ERROR_INPUT, "%s", text);
            cr_expect(strstr(error.message, required[k]), "%s: %s", text, error.message);
            free(text);
        }
}

Test(config, heads_must_divide_and_pair)
{
    static const char *const bad[] = {
        "{" QWEN2 EXTENTS ",\"num_key_value_heads\":3}",  /* 14 / 3 */
        "{" QWEN2 EXTENTS ",\"num_key_value_heads\":28}", /* more than query heads */
        "{" QWEN2 EXTENTS ",\"head_dim\":63}",            /* no halves to rotate */
        "{" QWEN2 EXTENTS ",\"num_key_value_heads\":0}",
        "{" QWEN2 EXTENTS ",\"head_dim\":\"64\"}",
        "{" QWEN2 "\"num_hidden_layers\":2,\"hidden_size\":4,\"num_attention_heads\":8,\"intermediate_size\":8,\"vocab_size\":8}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(refuse_text(bad[i]).kind, QW_ERROR_INPUT, "%s", bad[i]);
}

Test(config, rotary_base_must_be_positive_and_finite)
{
    static const char *const bad[] = {"0", "-10000.0", "\"nan\"", "\"inf\"", "1e301"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text = qw_format("{" QWEN2 EXTENTS ",\"rope_theta\":%s}", bad[i]);
        struct qw_error error = refuse_text(text);
        cr_expect_eq(error.kind, QW_ERROR_INPUT, "%s", text);
        cr_expect(strstr(error.message, "rope_theta"), "%s", error.message);
        free(text);
    }
}

Test(config, norm_epsilon_must_be_small_and_not_negative)
{
    static const char *const bad[] = {"-1e-6", "\"nan\"", "\"inf\"", "-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text = qw_format("{" QWEN2 EXTENTS ",\"rms_norm_eps\":%s}", bad[i]);
        struct qw_error error = refuse_text(text);
        cr_expect_eq(error.kind, QW_ERROR_INPUT, "%s", text);
        free(text);
    }
}

/* Extents that are fine one by one must not multiply beyond what an index can hold. */
Test(config, products_of_extents_stay_within_48_bits)
{
    cr_expect_eq(refuse_text("{" QWEN2 "\"num_hidden_layers\":4194304,\"hidden_size\":64,\"num_attention_heads\":4194304,"
                             "\"head_dim\":4194304,\"intermediate_size\":64,\"vocab_size\":64}")
                     .kind,
                 QW_ERROR_INPUT);
}

Test(config, what_is_no_object_is_refused)
{
    refuse_text("[]");
    refuse_text("null");
    refuse_text("\"qwen2\"");
}

/* A value of another type is never replaced by the default: the refusal names the key and what it is. */
Test(config, wrong_types_are_refused_by_name)
{
    static const struct {
        const char *field, *key, *is;
    } rows[] = {
        {"\"rope_theta\":\"1000000.0\"", "rope_theta", "the text \"1000000.0\""},
        {"\"rope_theta\":true", "rope_theta", "true"},
        {"\"rope_theta\":null", "rope_theta", "null"},
        {"\"rope_theta\":[1e6]", "rope_theta", "a list"},
        {"\"rope_parameters\":{\"rope_theta\":\"1e6\"}", "rope_theta", "the text \"1e6\""},
        {"\"rope_parameters\":1e6", "rope_parameters", "1000000"},
        {"\"rope_parameters\":{\"rope_type\":1}", "rope_type", "1"},
        {"\"rope_scaling\":\"yarn\"", "rope_scaling", "the text \"yarn\""},
        {"\"rope_scaling\":[]", "rope_scaling", "a list"},
        {"\"rope_scaling\":{\"type\":false}", "type", "false"},
        {"\"tie_word_embeddings\":1", "tie_word_embeddings", "1"},
        {"\"tie_word_embeddings\":\"true\"", "tie_word_embeddings", "the text \"true\""},
        {"\"use_sliding_window\":1", "use_sliding_window", "1"},
        {"\"use_sliding_window\":\"false\"", "use_sliding_window", "the text \"false\""},
        {"\"hidden_act\":null", "hidden_act", "null"},
        {"\"hidden_act\":{}", "hidden_act", "an object"},
        {"\"rms_norm_eps\":\"1e-6\"", "rms_norm_eps", "the text \"1e-6\""},
        {"\"rms_norm_eps\":true", "rms_norm_eps", "true"},
        {"\"rms_norm_eps\":1", "rms_norm_eps", "1"},
        {"\"head_dim\":\"64\"", "head_dim", "the text \"64\""},
        {"\"head_dim\":64.5", "head_dim", "64.5"},
        {"\"head_dim\":0", "head_dim", "0"},
        {"\"head_dim\":-64", "head_dim", "-64"},
        {"\"num_key_value_heads\":2147483648", "num_key_value_heads", "2147483648"},
        {"\"num_key_value_heads\":false", "num_key_value_heads", "false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = qw_format("{" QWEN2 EXTENTS ",%s}", rows[i].field),
             *words = qw_format("\"%s\" is %s;", rows[i].key, rows[i].is);
        struct qw_error error = refuse_text(text);
        cr_expect_eq(error.kind, QW_ERROR_INPUT, "%s", text);
        cr_expect(strstr(error.message, words), "%s: %s", text, error.message);
        cr_expect(error.hint[0]);
        free(text);
        free(words);
    }
    cr_expect(strstr(refuse_text("{\"model_type\":2," EXTENTS "}").message, "\"model_type\" is 2;"));
}

Test(config, unknown_keys_are_nobodys_business)
{
    accept_text("{" QWEN2 EXTENTS
                ",\"rope_thetas\":\"x\",\"Tie_Word_Embeddings\":1,\"x\":{\"hidden_size\":[]},\"torch_dtype\":3}");
    cr_expect_not(accept_text("{" QWEN2 EXTENTS ",\"TIE_WORD_EMBEDDINGS\":true}").tied, "keys are case-sensitive");
}

/* ---- published sizes ---- */

/* As their config.json files say; head_size 0: no head_dim in the file.  The first Qwen's intermediate_size holds both
 * halves.  What must follow: D, and the rows of q (of c_attn in the first Qwen) and of k. */
static const struct {
    const char *name, *type;
    long long hidden, layers, heads, kv_heads, head_size, ffn, vocab;
    bool tied;
    double theta, eps;
    long long D, q_rows, k_rows;
} published[] = {
    {"Qwen-1.8B", "qwen", 2048, 24, 16, 0, 0, 11008, 151936, false, 1e4, 1e-6, 128, 6144, 2048},
    {"Qwen-7B", "qwen", 4096, 32, 32, 0, 0, 22016, 151936, false, 1e4, 1e-6, 128, 12288, 4096},
    {"Qwen-14B", "qwen", 5120, 40, 40, 0, 0, 27392, 152064, false, 1e4, 1e-6, 128, 15360, 5120},
    {"Qwen-72B", "qwen", 8192, 80, 64, 0, 0, 49152, 152064, false, 1e6, 1e-5, 128, 24576, 8192},
    {"Qwen1.5-0.5B", "qwen2", 1024, 24, 16, 16, 0, 2816, 151936, true, 1e6, 1e-6, 64, 1024, 1024},
    {"Qwen1.5-4B", "qwen2", 2560, 40, 20, 20, 0, 6912, 151936, false, 5e6, 1e-6, 128, 2560, 2560},
    {"Qwen1.5-7B", "qwen2", 4096, 32, 32, 32, 0, 11008, 151936, false, 1e6, 1e-6, 128, 4096, 4096},
    {"Qwen2-0.5B", "qwen2", 896, 24, 14, 2, 0, 4864, 151936, true, 1e6, 1e-6, 64, 896, 128},
    {"Qwen2-7B", "qwen2", 3584, 28, 28, 4, 0, 18944, 152064, false, 1e6, 1e-6, 128, 3584, 512},
    {"Qwen2.5-1.5B", "qwen2", 1536, 28, 12, 2, 0, 8960, 151936, true, 1e6, 1e-6, 128, 1536, 256},
    {"Qwen2.5-3B", "qwen2", 2048, 36, 16, 2, 0, 11008, 151936, true, 1e6, 1e-6, 128, 2048, 256},
    {"Qwen3-0.6B", "qwen3", 1024, 28, 16, 8, 128, 3072, 151936, true, 1e6, 1e-6, 128, 2048, 1024},
    {"Qwen3-4B", "qwen3", 2560, 36, 32, 8, 128, 9728, 151936, true, 1e6, 1e-6, 128, 4096, 1024},
    {"Qwen3-8B", "qwen3", 4096, 36, 32, 8, 128, 12288, 151936, false, 1e6, 1e-6, 128, 4096, 1024},
};

static char *published_text(size_t i)
{
    struct qw_text text = {0};
    qw_text_addf(&text,
                 "{\"model_type\":\"%s\",\"hidden_size\":%lld,\"num_hidden_layers\":%lld,\"num_attention_heads\":%lld,"
                 "\"intermediate_size\":%lld,\"vocab_size\":%lld,\"tie_word_embeddings\":%s,\"rope_theta\":%g,"
                 "\"rotary_emb_base\":%g,\"rms_norm_eps\":%g,\"layer_norm_epsilon\":%g",
                 published[i].type, published[i].hidden, published[i].layers, published[i].heads, published[i].ffn,
                 published[i].vocab, published[i].tied ? "true" : "false", published[i].theta, published[i].theta,
                 published[i].eps, published[i].eps);
    if (published[i].kv_heads)
        qw_text_addf(&text, ",\"num_key_value_heads\":%lld,\"use_sliding_window\":false,\"sliding_window\":32768",
                     published[i].kv_heads);
    else
        qw_text_add(&text, ",\"seq_length\":8192,\"kv_channels\":128,\"rotary_pct\":1.0");
    if (published[i].head_size)
        qw_text_addf(&text, ",\"head_dim\":%lld", published[i].head_size);
    qw_text_add(&text, "}");
    return qw_text_take(&text);
}

Test(config, published_sizes)
{
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        char *text = published_text(i);
        struct qw_config c = accept_text(text);
        struct qw_letters letters = qw_letters_of(&c);
        bool first = c.family == QW_FAMILY_QWEN;
        cr_expect_str_eq(c.model_type, published[i].type, "%s", published[i].name);
        cr_expect(c.head_size == published[i].D && c.tied == published[i].tied && c.rope_theta == published[i].theta, "%s",
                  published[i].name);
        cr_expect_eq(c.ffn, first ? published[i].ffn / 2 : published[i].ffn, "%s", published[i].name);
        cr_expect_eq(qw_extent_from_letters(first ? "3HD" : "HD", &letters), published[i].q_rows, "%s", published[i].name);
        cr_expect_eq(qw_extent_from_letters("KD", &letters), published[i].k_rows, "%s", published[i].name);
        cr_expect(c.norm_eps == published[i].eps && c.vocab == published[i].vocab && c.layers == published[i].layers, "%s",
                  published[i].name);
        free(text);
    }
}
