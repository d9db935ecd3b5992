/* Prompts that an encoder computed: judged with a floor, and handed on as the run computed them. */
#include "harness/compare/encoded.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/compare/subject.h"

enum { P = 5, WIDTH = 12, LAYERS = 2 };

/* A subject with a shipped encoder, and the prompt that a float32 run under the rules makes of it. */
struct made {
    struct qc_recording recording;
    struct qc_subject subject;
    struct qw_tensor *table; /* as that run computed it */
};

static void make(struct made *made, const char *folder, enum qw_adapter_kind kind, const struct qw_rules *rules)
{
    struct qw_error error = {0};
    *made = (struct made){0};
    made->subject = (struct qc_subject){.recording = &made->recording, .dtype = QW_F32};
    made->subject.model.config = (struct qw_config){.layers = LAYERS, .hidden = WIDTH, .heads = 3, .kv_heads = 3, .head_size = 4};
    made->subject.adapter = (struct qw_adapter){.kind = kind, .virtual_tokens = P};
    made->subject.call.batch = 2;
    made->subject.rules = qw_rules_healthy(qw_setting_newest());
    cr_assert(qw_adapter_read_folder(&made->subject.adapter, folder, "", &error), "%s", error.message);
    made->table = qw_encoder_apply(&made->subject.adapter.encoder, made->subject.adapter.encoder.embedding, &qw_f32);
    struct qw_adapter run = made->subject.adapter;
    run.table = made->table;
    made->recording.adapter_prompt = qw_protocol_prompt(&run, &made->subject.model, rules, 2);
}

static void clear(struct made *made)
{
    qw_tensor_free(made->recording.adapter_prompt);
    qw_tensor_free(made->table);
    qw_adapter_clear(&made->subject.adapter);
    qc_encoded_clear(&made->subject.encoded);
}

static bool is_settled(const struct made *made)
{
    const struct qw_tensor *table = made->subject.adapter.table;
    int64_t count = qw_shape_count(&made->table->shape);
    bool same = table == made->subject.encoded.handed && qw_shape_count(&table->shape) == 2 * count;
    for (int64_t i = 0; same && i < 2 * count; i++)
        same = qw_tensor_at(table, i) == qw_tensor_at(made->table, i % count);
    return same;
}

static const struct {
    const char *folder;
    enum qw_adapter_kind kind;
} encoders[] = {{"fixtures/encoders/p-tuning-mlp", QW_ADAPTER_EMBEDS},
                {"fixtures/encoders/p-tuning-lstm", QW_ADAPTER_EMBEDS},
                {"fixtures/encoders/prefix-projection", QW_ADAPTER_KEYS_VALUES},
                {"fixtures/encoders/prefix-projection-thudm", QW_ADAPTER_KEYS_VALUES}};

Test(encoded, healthy_prompt_conforms_and_is_handed_on_to_the_bit)
{
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++) {
        struct qw_rules healthy = qw_rules_healthy(qw_setting_newest());
        struct made made;
        struct qc_difference found;
        make(&made, encoders[i].folder, encoders[i].kind, &healthy);
        qc_encoded_settle(&made.subject);
        cr_expect(is_settled(&made), "%s", encoders[i].folder);
        struct qw_adapter truth = qc_encoded_truth(&made.subject);
        struct qw_tensor *prompt = qw_protocol_prompt(&truth, &made.subject.model, &healthy, 2);
        cr_assert(qc_encoded_compare(&found, &made.subject.encoded, made.recording.adapter_prompt, prompt->data));
        cr_expect(found.ratio > 0 && qc_conforms(found.ratio), "%s: %g", encoders[i].folder, found.ratio);
        qw_tensor_free(prompt);
        clear(&made);
    }
}

Test(encoded, rows_that_moved_are_taken_back_to_their_places)
{
    static const enum qw_deviation moving[] = {QW_DEVIATION_PREFIX_TOKEN_ORDER, QW_DEVIATION_PREFIX_LAYOUT_TRANSPOSED,
                                               QW_DEVIATION_PREFIX_KEY_VALUE_SWAPPED, QW_DEVIATION_PREFIX_KV_MISWIRED};
    for (size_t i = 0; i < sizeof moving / sizeof *moving; i++) {
        struct qw_rules rules = qw_rules_healthy(qw_setting_newest());
        struct made made;
        qw_deviation_apply(&rules, moving[i]);
        make(&made, encoders[2].folder, encoders[2].kind, &rules);
        qc_encoded_settle(&made.subject);
        cr_expect(is_settled(&made), "%s", qw_deviation_id(moving[i]));
        clear(&made);
    }
}

Test(encoded, one_element_beyond_the_floor_is_not_handed_on)
{
    struct qw_rules healthy = qw_rules_healthy(qw_setting_newest());
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++) {
        struct made made;
        make(&made, encoders[i].folder, encoders[i].kind, &healthy);
        double *values = made.recording.adapter_prompt->data;
        values[17] += 1e-3 * (1 + fabs(values[17]));
        qc_encoded_settle(&made.subject);
        cr_expect_null(made.subject.encoded.handed);
        cr_expect_eq(made.subject.adapter.table, made.subject.encoded.truth);
        clear(&made);
    }
}

Test(encoded, saved_table_stays_a_copy)
{
    struct qw_rules healthy = qw_rules_healthy(qw_setting_newest());
    struct made made;
    make(&made, "fixtures/encoders/prefix-thudm", QW_ADAPTER_KEYS_VALUES, &healthy);
    const struct qw_tensor *table = made.subject.adapter.table;
    qc_encoded_settle(&made.subject);
    cr_expect(made.subject.adapter.table == table && made.subject.encoded.spread == 0 && !made.subject.encoded.handed);
    clear(&made);
}

Test(encoded, dropout_in_training_leaves_nothing_to_expect)
{
    struct qw_rules healthy = qw_rules_healthy(qw_setting_newest());
    for (int training = 0; training < 2; training++) {
        struct qw_error error = {0};
        struct made made;
        make(&made, encoders[1].folder, encoders[1].kind, &healthy);
        made.recording.training = training;
        made.recording.adapter_config = qw_json_parse("{\"encoder_dropout\":0.1}", 23, "", &error);
        for (int i = 0; i < 2 * P * WIDTH; i++)
            ((double *)made.recording.adapter_prompt->data)[i] *= 1.5;
        qc_encoded_settle(&made.subject);
        cr_expect_eq(made.subject.encoded.random, training);
        cr_expect_eq(made.subject.encoded.handed != NULL, training, "what was drawn is handed on as it was drawn");
        qw_json_free(made.recording.adapter_config);
        clear(&made);
    }
}

/* ---- an encoder that was saved and runs again ---- */

static struct qw_tensor *as_saved(const struct qw_tensor *table)
{
    struct qw_tensor *saved = qw_tensor_make(QW_F32, &table->shape);
    for (int64_t i = 0; i < qw_shape_count(&table->shape); i++)
        ((float *)saved->data)[i] = (float)qw_tensor_at(table, i);
    return saved;
}

/* Whether a prompt is taken for what the saved table stands for, though one of its numbers is off by that share. */
static bool is_settled_when_saved(const char *config, double share)
{
    struct qw_rules healthy = qw_rules_healthy(qw_setting_newest());
    struct qw_error error = {0};
    struct made made;
    make(&made, encoders[0].folder, encoders[0].kind, &healthy);
    const struct qw_tensor *own = made.subject.adapter.table;
    struct qw_tensor *saved = as_saved(made.table);
    made.subject.adapter.table = saved;
    made.subject.adapter.computed = false;
    snprintf(made.subject.adapter.peft_type, sizeof made.subject.adapter.peft_type, "P_TUNING");
    made.recording.adapter_config = qw_json_parse(config, strlen(config), "", &error);
    cr_assert_eq(made.recording.adapter_prompt->dtype, QW_F64);
    ((double *)made.recording.adapter_prompt->data)[3] *= 1 + share;
    qc_encoded_settle(&made.subject);
    bool settled = made.subject.encoded.handed != NULL;
    made.subject.adapter.table = own;
    qw_tensor_free(saved);
    qw_json_free(made.recording.adapter_config);
    clear(&made);
    return settled;
}

Test(encoded, a_saved_prompt_may_be_off_by_a_rounding_only_where_its_encoder_ran_again)
{
    cr_expect(is_settled_when_saved("{\"inference_mode\": false}", 2e-7));
    cr_expect_not(is_settled_when_saved("{\"inference_mode\": false}", 1e-3));
    cr_expect_not(is_settled_when_saved("{\"inference_mode\": true}", 2e-7));
    cr_expect_not(is_settled_when_saved("{}", 2e-7));
}
