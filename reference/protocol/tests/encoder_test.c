/* Encoders against what the real library makes of the same weights (fixtures/make_encoders.py). */
#include "reference/protocol/encoder.h"

#include "reference/model/checkpoint.h"
#include "reference/model/tests/small.h"
#include "reference/protocol/adapter.h"

static bool all(const void *context, const char *name)
{
    (void)context;
    (void)name;
    return true;
}

static struct qw_tensors read_folder(const char *folder)
{
    struct qw_tensors tensors = {0};
    struct qw_checkpoint checkpoint;
    struct qw_error error = {0};
    cr_assert(qw_checkpoint_open(&checkpoint, folder, "adapter_model", &error) &&
                  qw_checkpoint_describe(&tensors, &checkpoint, all, NULL, NULL, &error) &&
                  qw_checkpoint_read(&tensors, &checkpoint, &error),
              "%s: %s", error.file, error.message);
    qw_checkpoint_close(&checkpoint);
    return tensors;
}

static const struct {
    const char *folder;
    int lstms, linears;
} encoders[] = {{"fixtures/encoders/p-tuning-mlp", 0, 3},
                {"fixtures/encoders/p-tuning-lstm", 2, 2},
                {"fixtures/encoders/prefix-projection", 0, 2},
                {"fixtures/encoders/prefix-projection-thudm", 0, 2},
                {"fixtures/encoders/prefix-thudm", 0, 0}};

/* max |made - expected| / rms(expected) */
static double far(const struct qw_encoder *encoder, const struct qw_tensors *tensors, const struct qw_arith *arith)
{
    const struct qw_tensor *expected = qw_tensors_find(tensors, "expected");
    struct qw_tensor *made = qw_encoder_apply(encoder, encoder->embedding, arith);
    cr_assert(made && qw_shape_equal(&made->shape, &expected->shape));
    double *wanted = qw_tensor_doubles(expected), found = distance(made->data, wanted, qw_shape_count(&made->shape));
    free(wanted);
    qw_tensor_free(made);
    return found;
}

Test(encoder, each_gives_what_the_library_gives)
{
    for (size_t i = 0; i < COUNT(encoders); i++) {
        struct qw_tensors tensors = read_folder(encoders[i].folder);
        struct qw_encoder encoder;
        struct qw_error error = {0};
        cr_assert(qw_encoder_find(&encoder, &tensors, &error), "%s: %s", error.place, error.message);
        cr_expect(encoder.lstms == encoders[i].lstms && encoder.linears == encoders[i].linears, "%s", encoders[i].folder);
        double definition = far(&encoder, &tensors, &qw_f64), played = far(&encoder, &tensors, &qw_f32);
        cr_expect(definition <= 2e-6 && played <= 2e-6, "%s: %g and %g", encoders[i].folder, definition, played);
        cr_expect_eq(definition == 0, !qw_encoder_computes(&encoder), "what is computed is rounded, what is copied is not");
        qw_tensors_clear(&tensors);
    }
}

Test(encoder, adapter_takes_its_table_from_the_encoder)
{
    for (size_t i = 0; i < COUNT(encoders); i++) {
        struct qw_adapter adapter = {.virtual_tokens = 5};
        struct qw_error error = {0};
        bool embeds = i < 2;
        cr_assert(qw_adapter_read_folder(&adapter, encoders[i].folder, "", &error), "%s: %s", error.place, error.message);
        cr_expect(adapter.table->shape.dim[0] == 5 && adapter.table->shape.dim[1] == (embeds ? 12 : 48), "%s", encoders[i].folder);
        cr_expect_eq(adapter.computed, encoders[i].linears > 0);
        cr_expect((adapter.unprojected != NULL) == adapter.computed);
        cr_expect((adapter.twice != NULL) == embeds, "only what is as wide as the embedding can be encoded again");
        qw_adapter_clear(&adapter);
    }
}

Test(encoder, saved_table_is_not_encoded_again)
{
    struct qw_adapter adapter = {.kind = QW_ADAPTER_EMBEDS, .virtual_tokens = 5, .tensors = read_folder(encoders[0].folder)};
    struct qw_error error = {0};
    uint64_t state = 9;
    qw_tensors_add(&adapter.tensors, "prompt_embeddings", drawn_tensor(&state, 1, 0, qw_shape_of(2, (int64_t)5, (int64_t)12)));
    cr_assert(qw_adapter_bind(&adapter, &error), "%s", error.message);
    cr_expect(adapter.table == qw_tensors_find(&adapter.tensors, "prompt_embeddings") && !adapter.computed);
    struct qw_tensor *again = qw_encoder_apply(&adapter.encoder, adapter.table, &qw_f64);
    cr_expect(adapter.twice && distance(adapter.twice->data, again->data, 60) == 0);
    qw_tensor_free(again);
    qw_adapter_clear(&adapter);
}

/* Renames or reshapes one tensor of an encoder and expects a refusal that names it. */
static void expect_refusal(int encoder_at, const char *tensor, struct qw_shape shape)
{
    struct qw_tensors tensors = read_folder(encoders[encoder_at].folder);
    struct qw_encoder encoder;
    struct qw_error error = {0};
    for (int i = 0; i < tensors.count; i++)
        if (strstr(tensors.item[i].name, tensor)) {
            qw_tensor_free(tensors.item[i].tensor);
            tensors.item[i].tensor = qw_tensor_make(QW_F32, &shape);
        }
    cr_expect_not(qw_encoder_find(&encoder, &tensors, &error), "%s", tensor);
    cr_expect(error.kind == QW_ERROR_INPUT && strstr(error.place, tensor), "%s: %s", tensor, error.place);
    qw_tensors_clear(&tensors);
}

Test(encoder, parts_that_do_not_join_are_refused_by_name)
{
    expect_refusal(0, "mlp_head.2.weight", qw_shape_of(2, (int64_t)7, (int64_t)8));
    expect_refusal(0, "mlp_head.4.bias", qw_shape_of(1, (int64_t)7));
    expect_refusal(0, "mlp_head.0.weight", qw_shape_of(2, (int64_t)0, (int64_t)12));
    expect_refusal(1, "lstm_head.weight_hh_l1", qw_shape_of(2, (int64_t)28, (int64_t)8));
    expect_refusal(1, "lstm_head.bias_hh_l0_reverse", qw_shape_of(1, (int64_t)27));
    expect_refusal(2, "embedding.weight", qw_shape_of(1, (int64_t)60));
    expect_refusal(3, "prefix_encoder.trans.2.weight", qw_shape_of(3, (int64_t)48, (int64_t)7, (int64_t)1));
}

Test(encoder, two_encoders_in_one_set_are_refused)
{
    struct qw_tensors tensors = read_folder(encoders[0].folder);
    struct qw_encoder encoder;
    struct qw_error error = {0};
    uint64_t state = 3;
    qw_tensors_add(&tensors, "prompt_encoder.other.embedding.weight",
                   drawn_tensor(&state, 1, 0, qw_shape_of(2, (int64_t)5, (int64_t)12)));
    cr_expect_not(qw_encoder_find(&encoder, &tensors, &error));
    cr_expect(strstr(error.message, "twice"), "%s", error.message);
    qw_tensors_clear(&tensors);
}

Test(encoder, names_of_other_tensors_are_left_alone)
{
    static const char *const own[] = {"embedding.weight", "a.b.embedding.weight", "mlp_head.0.bias",
                                      "prompt_encoder.default.lstm_head.weight_ih_l0_reverse", "transformer.prefix_encoder.trans.2.weight"};
    static const char *const others[] = {"transformer.embedding.word_embeddings.weight", "word_embedding.weight", "mlp_heads.0.bias",
                                         "model.layers.0.mlp.up_proj.weight", "transform", "expected", ""};
    for (size_t i = 0; i < COUNT(own); i++)
        cr_expect(qw_encoder_has(own[i]), "%s", own[i]);
    for (size_t i = 0; i < COUNT(others); i++)
        cr_expect_not(qw_encoder_has(others[i]), "%s", others[i]);
}
