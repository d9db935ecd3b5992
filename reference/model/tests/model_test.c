/* Models: weights are found by name and shape, a tied head is the embedding, a folder must be the one that was meant. */
#include "reference/model/model.h"

#include <unistd.h>

#include "reference/base/file.h"
#include "reference/base/sha256.h"
#include "reference/base/text.h"
#include "reference/model/tests/folder.h"
#include "reference/model/tests/small.h"

static struct qw_named_tensor *item_of(struct qw_model *model, const char *name)
{
    for (int i = 0; i < model->tensors.count; i++)
        if (!strcmp(model->tensors.item[i].name, name))
            return &model->tensors.item[i];
    return NULL;
}

static struct qw_error refuse_binding(struct qw_model *model)
{
    struct qw_error error = {0};
    cr_expect_not(qw_model_bind(model, &error));
    cr_expect_eq(error.kind, QW_ERROR_INPUT);
    cr_expect_not(model->has_weights);
    return error;
}

static void replace_tensor(struct qw_named_tensor *item, enum qw_dtype dtype, struct qw_shape shape)
{
    qw_tensor_free(item->tensor);
    item->tensor = qw_tensor_make(dtype, &shape);
}

/* ---- binding ---- */

Test(model, binds_every_tensor_to_its_place)
{
    struct qw_model model = small_model(1);
    cr_assert(model.has_weights);
    cr_assert_eq(model.embed, qw_tensors_find(&model.tensors, "model.embed_tokens.weight"));
    cr_assert_eq(model.norm, qw_tensors_find(&model.tensors, "model.norm.weight"));
    cr_assert_eq(model.head, qw_tensors_find(&model.tensors, "lm_head.weight"));
    cr_assert_eq(model.layer[0].q_weight, qw_tensors_find(&model.tensors, "model.layers.0.self_attn.q_proj.weight"));
    cr_assert_eq(model.layer[1].k_bias, qw_tensors_find(&model.tensors, "model.layers.1.self_attn.k_proj.bias"));
    cr_assert_eq(model.layer[1].post_norm, qw_tensors_find(&model.tensors, "model.layers.1.post_attention_layernorm.weight"));
    cr_assert_eq(model.layer[1].gate_weight, qw_tensors_find(&model.tensors, "model.layers.1.mlp.gate_proj.weight"));
    cr_assert_eq(model.layer[0].up_weight, qw_tensors_find(&model.tensors, "model.layers.0.mlp.up_proj.weight"));
    qw_model_clear(&model);
}

Test(model, every_missing_tensor_is_named)
{
    struct qw_model whole = small_tensors_of(&small_config, 1);
    for (int i = 0; i < whole.tensors.count; i++) {
        struct qw_model model = small_tensors_of(&small_config, 1);
        model.tensors.item[i].name[0] = '-';
        struct qw_error error = refuse_binding(&model);
        cr_expect_str_eq(error.place, whole.tensors.item[i].name);
        qw_model_clear(&model);
    }
    qw_model_clear(&whole);
}

Test(model, every_wrong_shape_is_named_with_both_shapes)
{
    struct qw_model whole = small_tensors_of(&small_config, 1);
    for (int i = 0; i < whole.tensors.count; i++) {
        struct qw_model model = small_tensors_of(&small_config, 1);
        struct qw_shape shape = model.tensors.item[i].tensor->shape;
        char have[64], want[64];
        qw_shape_text(want, sizeof want, &shape);
        shape.dim[shape.rank - 1]++;
        qw_shape_text(have, sizeof have, &shape);
        replace_tensor(&model.tensors.item[i], QW_F32, shape);
        struct qw_error error = refuse_binding(&model);
        cr_expect_str_eq(error.place, whole.tensors.item[i].name);
        cr_expect(strstr(error.message, want) && strstr(error.message, have), "%s", error.message);
        qw_model_clear(&model);
    }
    qw_model_clear(&whole);
}

Test(model, transposed_weight_is_refused)
{
    struct qw_model model = small_tensors_of(&small_config, 1);
    replace_tensor(item_of(&model, "model.layers.0.mlp.down_proj.weight"), QW_F32, qw_shape_of(2, (int64_t)10, (int64_t)12));
    refuse_binding(&model);
    qw_model_clear(&model);
}

Test(model, integers_are_no_weights)
{
    struct qw_model model = small_tensors_of(&small_config, 1);
    replace_tensor(item_of(&model, "model.norm.weight"), QW_I64, qw_shape_of(1, (int64_t)12));
    cr_expect_str_eq(refuse_binding(&model).place, "model.norm.weight");
    qw_model_clear(&model);
}

Test(model, halves_are_weights)
{
    struct qw_model model = small_tensors_of(&small_config, 1);
    replace_tensor(item_of(&model, "model.norm.weight"), QW_BF16, qw_shape_of(1, (int64_t)12));
    bind_model(&model);
    qw_model_clear(&model);
}

Test(model, tied_head_is_the_embedding)
{
    struct qw_config tied = small_config;
    tied.tied = true;
    struct qw_model model = small_tensors_of(&tied, 1);
    bind_model(&model);
    cr_assert_not_null(model.head);
    cr_assert_eq(model.head, model.embed);
    qw_model_clear(&model);
}

Test(model, untied_head_is_required)
{
    struct qw_config tied = small_config;
    tied.tied = true;
    struct qw_model model = small_tensors_of(&tied, 1);
    model.config.tied = false;
    cr_expect_str_eq(refuse_binding(&model).place, "lm_head.weight");
    qw_model_clear(&model);
}

Test(model, head_of_its_own_is_taken_even_where_it_could_be_tied)
{
    struct qw_model model = small_tensors_of(&small_config, 1);
    model.config.tied = true;
    bind_model(&model);
    cr_assert_eq(model.head, qw_tensors_find(&model.tensors, "lm_head.weight"));
    qw_model_clear(&model);
}

/* ---- folders ---- */

Test(model, reads_a_folder)
{
    struct qw_model model = read_model(TINY);
    cr_assert(model.has_weights && model.config.layers == 3 && model.config.tied);
    cr_assert_eq(model.head, model.embed);
    qw_model_clear(&model);
    cr_assert(model.layer == NULL && model.tensors.count == 0);
}

static struct qw_error refuse_folder(const char *folder, const struct qw_config *config, const char *digest)
{
    struct qw_model model = {0};
    struct qw_error error = {0};
    struct qw_folder_terms terms = {.config = config, .digest = digest};
    cr_expect_not(qw_model_read_folder(&model, folder, &terms, &error));
    qw_model_clear(&model);
    return error;
}

Test(model, digest_must_be_that_of_the_weights)
{
    char digest[QW_SHA256_HEX];
    struct qw_error error = {0};
    struct qw_model model = {0};
    cr_assert(qw_sha256_file(digest, TINY "/model.safetensors", &error));
    cr_assert(qw_model_read_folder(&model, TINY, &(struct qw_folder_terms){.digest = digest}, &error), "%s", error.message);
    qw_model_clear(&model);
    digest[63] = digest[63] == '0' ? '1' : '0';
    error = refuse_folder(TINY, NULL, digest);
    cr_assert_eq(error.kind, QW_ERROR_INPUT);
    cr_assert_str_eq(error.file, TINY "/model.safetensors");
}

Test(model, extents_must_be_those_of_the_recording)
{
    struct qw_model model = read_model(TINY);
    int64_t *const extents[] = {&model.config.layers,    &model.config.hidden, &model.config.heads, &model.config.kv_heads,
                                &model.config.head_size, &model.config.ffn,    &model.config.vocab};
    static const char *const names[] = {"num_hidden_layers", "hidden_size",       "num_attention_heads", "num_key_value_heads",
                                        "head_dim",          "intermediate_size", "vocab_size"};
    for (int i = 0; i < 7; i++) {
        *extents[i] += 1;
        struct qw_error error = refuse_folder(TINY, &model.config, "");
        cr_expect_eq(error.kind, QW_ERROR_INPUT);
        cr_expect_str_eq(error.file, TINY "/config.json");
        cr_expect(strstr(error.message, names[i]), "%s", error.message);
        *extents[i] -= 1;
    }
    struct qw_model again = {0};
    struct qw_error error = {0};
    cr_assert(qw_model_read_folder(&again, TINY, &(struct qw_folder_terms){.config = &model.config, .digest = ""}, &error), "%s",
              error.message);
    qw_model_clear(&again);
    qw_model_clear(&model);
}

Test(model, folder_without_a_model_is_an_error_of_input)
{
    struct qw_error error = refuse_folder("fixtures/models", NULL, "");
    cr_assert_eq(error.kind, QW_ERROR_INPUT);
    cr_assert_str_eq(error.file, "fixtures/models/config.json");
}

/* A folder with this config.json and no weights; remove with remove_folder. */
static void make_folder(char *folder, const char *config)
{
    struct qw_error error = {0};
    cr_assert_not_null(mkdtemp(folder));
    char *path = qw_format("%s/config.json", folder);
    cr_assert(qw_file_write(path, config, strlen(config), &error), "%s", error.message);
    free(path);
}

static void remove_folder(const char *folder)
{
    char *path = qw_format("%s/config.json", folder);
    remove(path);
    rmdir(folder);
    free(path);
}

static void expect_folder_refused(const char *config, enum qw_error_kind kind, const char *file)
{
    char folder[] = "/tmp/qconform-model-XXXXXX";
    make_folder(folder, config);
    struct qw_error error = refuse_folder(folder, NULL, "");
    char *wanted = qw_format("%s/%s", folder, file);
    cr_expect_eq(error.kind, kind, "%s", error.message);
    cr_expect_str_eq(error.file, wanted);
    free(wanted);
    remove_folder(folder);
}

Test(model, folder_with_a_bad_or_foreign_config_is_refused)
{
    expect_folder_refused("{", QW_ERROR_INPUT, "config.json");
    expect_folder_refused("{\"model_type\":\"qwen2\"}", QW_ERROR_INPUT, "config.json");
    expect_folder_refused("{\"model_type\":\"llama\"}", QW_ERROR_UNSUPPORTED, "config.json");
    expect_folder_refused("{\"model_type\":\"qwen2\",\"num_hidden_layers\":1,\"hidden_size\":8,\"num_attention_heads\":2,"
                          "\"intermediate_size\":8,\"vocab_size\":8}",
                          QW_ERROR_INPUT, "model.safetensors");
}

/* ---- folders as people have them ---- */

/* A copy of the tiny model's folder without its weights, whose configuration ties its head or not. */
static char *tiny_folder(const char *tied)
{
    char *folder = folder_make(), *bytes = NULL, *path = qw_format("%s", TINY "/config.json");
    size_t size = 0;
    struct qw_error error = {0};
    cr_assert(qw_file_read(&bytes, &size, path, 1 << 16, &error));
    char *at = strstr(bytes, "\"tie_word_embeddings\": true");
    char *config = qw_format("%.*s\"tie_word_embeddings\": %s%s", (int)(at - bytes), bytes, tied, at + 27);
    folder_put(folder, "config.json", config);
    free(config);
    free(bytes);
    free(path);
    return folder;
}

static bool in_first(const char *name, int number) { return (void)name, number < 20; }
static bool in_second(const char *name, int number) { return (void)name, number >= 20; }

/* Writes the tensors as two shards and their index. */
static void put_shards(const char *folder, const struct qw_tensors *set)
{
    struct qw_text index = {0};
    folder_put_tensors(folder, "a.safetensors", set, in_first, QW_F32, "F32");
    folder_put_tensors(folder, "b.safetensors", set, in_second, QW_F32, "F32");
    for (int i = 0; i < set->count; i++)
        qw_text_addf(&index, "%s\"%s\":\"%c.safetensors\"", i ? "," : "{\"weight_map\":{", set->item[i].name, i < 20 ? 'a' : 'b');
    qw_text_add(&index, "}}");
    folder_put(folder, "model.safetensors.index.json", index.bytes);
    qw_text_free(&index);
}

static void expect_same_weights(const struct qw_model *one, const struct qw_model *two)
{
    cr_assert_eq(one->tensors.count, two->tensors.count);
    for (int i = 0; i < one->tensors.count; i++) {
        const struct qw_tensor *a = one->tensors.item[i].tensor, *b = qw_tensors_find(&two->tensors, one->tensors.item[i].name);
        cr_assert(b && a->dtype == b->dtype && qw_shape_equal(&a->shape, &b->shape));
        cr_assert_arr_eq(a->data, b->data, (size_t)qw_shape_count(&a->shape) * qw_dtype_bytes(a->dtype));
    }
}

Test(model, shards_are_the_model_that_one_file_is)
{
    char *folder = tiny_folder("true");
    struct qw_model whole = read_model(TINY);
    put_shards(folder, &whole.tensors);
    struct qw_model sharded = read_model(folder);
    expect_same_weights(&whole, &sharded);
    cr_expect(sharded.has_weights && sharded.head == sharded.embed);
    qw_model_clear(&sharded);
    qw_model_clear(&whole);
    folder_remove(folder);
}

Test(model, a_wrong_tensor_names_its_shard)
{
    char *folder = tiny_folder("true");
    struct qw_model whole = read_model(TINY);
    replace_tensor(&whole.tensors.item[25], QW_F32, qw_shape_of(1, (int64_t)7));
    put_shards(folder, &whole.tensors);
    struct qw_error error = refuse_folder(folder, NULL, "");
    cr_expect(!strcmp(error.place, whole.tensors.item[25].name) && strstr(error.file, "/b.safetensors"), "%s: %s", error.file,
              error.place);
    qw_model_clear(&whole);
    folder_remove(folder);
}

Test(model, tensors_that_nothing_needs_are_not_read)
{
    char *folder = tiny_folder("true");
    struct qw_model whole = read_model(TINY);
    struct qw_shape shape = qw_shape_of(1, (int64_t)4);
    static const char *const more[] = {"model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.3.input_layernorm.weight",
                                       "model.layers.x.input_layernorm.weight", "model.layers.", "visual.patch"};
    for (size_t i = 0; i < COUNT(more); i++)
        qw_tensors_add(&whole.tensors, more[i], qw_tensor_make(QW_F32, &shape));
    folder_put_tensors(folder, "model.safetensors", &whole.tensors, NULL, QW_F32, "F32");
    struct qw_model read = read_model(folder);
    cr_expect_eq(read.tensors.count, whole.tensors.count - (int)COUNT(more));
    qw_model_clear(&read);
    qw_model_clear(&whole);
    folder_remove(folder);
}

/* A folder that ties its head and has one all the same. */
static struct qw_model with_two_heads(const char *folder, double factor, enum qw_tied_head habit)
{
    struct qw_model whole = read_model(TINY), read = {0};
    struct qw_tensor *head = qw_tensor_make(QW_F32, &whole.embed->shape);
    struct qw_error error = {0};
    for (int64_t i = 0; i < qw_shape_count(&head->shape); i++)
        ((float *)head->data)[i] = (float)(factor * qw_tensor_at(whole.embed, i));
    qw_tensors_add(&whole.tensors, "lm_head.weight", head);
    folder_put_tensors(folder, "model.safetensors", &whole.tensors, NULL, QW_F32, "F32");
    struct qw_folder_terms terms = {.digest = "", .tied_head = habit};
    cr_assert(qw_model_read_folder(&read, folder, &terms, &error), "%s", error.message);
    qw_model_clear(&whole);
    return read;
}

Test(model, two_heads_in_a_tied_folder_are_what_the_library_makes_of_them)
{
    static const struct {
        enum qw_tied_head habit;
        double embed, head; /* multiples of the embedding in the file */
    } rows[] = {{QW_TIED_AS_STORED, 1, 2}, {QW_TIED_EMBEDDING, 1, 1}, {QW_TIED_HEAD, 2, 2}};
    char *folder = tiny_folder("true");
    struct qw_model tiny = read_model(TINY);
    double first = qw_tensor_at(tiny.embed, 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct qw_model model = with_two_heads(folder, 2, rows[i].habit);
        cr_expect_eq(qw_tensor_at(model.embed, 0), rows[i].embed * first);
        cr_expect_eq(qw_tensor_at(model.head, 0), rows[i].head * first);
        cr_expect_eq(model.stored_head != NULL, rows[i].habit == QW_TIED_EMBEDDING, "kept only where it is not used");
        cr_expect(!model.stored_head || qw_tensor_at(model.stored_head, 0) == 2 * first);
        qw_model_clear(&model);
    }
    struct qw_model equal = with_two_heads(folder, 1, QW_TIED_EMBEDDING);
    cr_expect(qw_tensor_at(equal.head, 0) == first && !equal.stored_head);
    qw_model_clear(&equal);
    qw_model_clear(&tiny);
    folder_remove(folder);
}

Test(model, untied_folder_without_a_head_is_refused_by_name)
{
    char *folder = tiny_folder("false");
    folder_copy(folder, "model.safetensors", TINY);
    struct qw_error error = refuse_folder(folder, NULL, "");
    cr_expect(!strcmp(error.place, "lm_head.weight") && strstr(error.message, "tie_word_embeddings"), "%s: %s", error.place,
              error.message);
    folder_remove(folder);
}

/* ---- sets of tensors ---- */

Test(model, sets_of_many_names_are_searched_fast, .timeout = 20)
{
    struct qw_tensors set = {0};
    struct qw_shape shape = qw_shape_of(1, (int64_t)1);
    char name[32];
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "model.layers.%d", i);
        qw_tensors_add(&set, name, qw_tensor_structure(QW_F32, &shape));
    }
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "model.layers.%d", i);
        cr_assert_eq(qw_tensors_find(&set, name), set.item[i].tensor);
    }
    qw_tensors_clear(&set);
}

Test(model, sets_find_by_exact_name)
{
    struct qw_tensors set = {0};
    struct qw_shape shape = qw_shape_of(1, (int64_t)1);
    cr_assert_null(qw_tensors_find(&set, "a"));
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        struct qw_tensor *tensor = qw_tensor_make(QW_I64, &shape);
        *(int64_t *)tensor->data = i;
        qw_tensors_add(&set, name, tensor);
        memset(name, '#', sizeof name);
    }
    cr_assert(set.count == 100 && qw_tensor_at(qw_tensors_find(&set, "t57"), 0) == 57);
    cr_assert_null(qw_tensors_find(&set, "t"));
    cr_assert_null(qw_tensors_find(&set, "t570"));
    qw_tensors_clear(&set);
    cr_assert_null(qw_tensors_find(&set, "t57"));
}
