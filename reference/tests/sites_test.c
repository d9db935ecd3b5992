/* Sites: the table is complete, and paths are those of the modules. */
#include <criterion/criterion.h>
#include <string.h>

#include "reference/letters.h"
#include "reference/sites.h"

Test(sites, every_row_is_whole)
{
    for (int i = 0; i < QW_SITES; i++) {
        const struct qw_site_row *row = &qw_site_rows[i];
        cr_expect(row->name && row->name[0], "site %d", i);
        cr_expect(row->place >= QW_CALL && row->place <= QW_AFTER, "%s", row->name);
        cr_expect(row->party >= QW_PROTOCOL && row->party < QW_PARTIES, "%s", row->name);
        cr_expect(row->shape && row->sum && row->sum[0], "%s", row->name);
    }
}

Test(sites, names_are_unique)
{
    for (int i = 0; i < QW_SITES; i++)
        for (int j = 0; j < i; j++)
            cr_expect_str_neq(qw_site_rows[i].name, qw_site_rows[j].name);
}

Test(sites, places_come_in_the_order_of_the_data)
{
    for (int i = 1; i < QW_SITES; i++)
        cr_expect_geq(qw_site_rows[i].place, qw_site_rows[i - 1].place, "%s", qw_site_rows[i].name);
}

Test(sites, parties_own_their_places)
{
    static const enum qw_party owner[] = {
        [QW_CALL] = QW_PROTOCOL, [QW_ADAPTER] = QW_PROTOCOL, [QW_RECEIVED] = QW_PROTOCOL, [QW_BEFORE] = QW_PROTOCOL,
        [QW_HEAD] = QW_MODEL,    [QW_BLOCK] = QW_MODEL,      [QW_TAIL] = QW_MODEL,        [QW_AFTER] = QW_CACHE};
    for (int i = 0; i < QW_SITES; i++)
        cr_expect_eq(qw_site_rows[i].party, owner[qw_site_rows[i].place], "%s", qw_site_rows[i].name);
    cr_assert_str_eq(qw_party_name(QW_PROTOCOL), "protocol");
    cr_assert_str_eq(qw_party_name(QW_MODEL), "model");
    cr_assert_str_eq(qw_party_name(QW_CACHE), "cache");
}

/* What is handed over is looked at in the order that the contract on judging lays down. */
Test(sites, handover_is_looked_at_in_its_order)
{
    static const char *const wanted[] = {"received.input_ids",    "received.inputs_embeds",  "received.attention_mask",
                                         "received.position_ids", "received.cache_position", "cache_before.type",
                                         "cache_before.length",   "cache_before.key",        "cache_before.value"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_expect_str_eq(qw_site_rows[QW_SITE_INPUT_IDS + i].name, wanted[i]);
}

/* The sites of a family's blocks, in the order of the table. */
static void expect_block(enum qw_family family, const char *const *wanted)
{
    for (enum qw_site site = 0; site < QW_SITES; site++)
        if (qw_site_rows[site].place == QW_BLOCK && qw_site_in_family(site, family)) {
            cr_assert(*wanted, "%s has no place", qw_site_rows[site].name);
            cr_expect_str_eq(qw_site_rows[site].name, *wanted++);
        }
    cr_expect_null(*wanted);
}

/* In the order in which the statements of Qwen2DecoderLayer.forward reach the modules. */
Test(sites, block_is_in_execution_order)
{
    static const char *const wanted[] = {"input_layernorm",
                                         "self_attn.q_proj",
                                         "self_attn.k_proj",
                                         "self_attn.v_proj",
                                         "self_attn.rotary_emb",
                                         "self_attn.rotary_emb@1",
                                         "self_attn.o_proj",
                                         "post_attention_layernorm",
                                         "mlp.gate_proj",
                                         "mlp.act_fn",
                                         "mlp.up_proj",
                                         "mlp.down_proj",
                                         "output",
                                         NULL};
    expect_block(QW_FAMILY_QWEN2, wanted);
}

/* In the order in which real recordings of the two have their taps. */
Test(sites, blocks_of_the_other_families_are_in_theirs)
{
    static const char *const third[] = {"input_layernorm",
                                        "self_attn.q_proj",
                                        "self_attn.q_norm",
                                        "self_attn.k_proj",
                                        "self_attn.k_norm",
                                        "self_attn.v_proj",
                                        "self_attn.rotary_emb",
                                        "self_attn.rotary_emb@1",
                                        "self_attn.o_proj",
                                        "post_attention_layernorm",
                                        "mlp.gate_proj",
                                        "mlp.act_fn",
                                        "mlp.up_proj",
                                        "mlp.down_proj",
                                        "output",
                                        NULL};
    static const char *const first[] = {"ln_1",   "attn.c_attn", "attn.c_proj", "ln_2", "mlp.w1",
                                        "mlp.w2", "mlp.c_proj",  "output",      NULL};
    expect_block(QW_FAMILY_QWEN3, third);
    expect_block(QW_FAMILY_QWEN, first);
}

Test(sites, every_family_is_whole)
{
    for (enum qw_family f = 0; f < QW_FAMILIES; f++) {
        const struct qw_family_row *row = &qw_family_rows[f];
        enum qw_family found;
        cr_expect(qw_family_of_class(&found, row->model_class) && found == f, "%s", row->model_class);
        cr_expect(qw_family_of_type(&found, row->model_type) && found == f, "%s", row->model_type);
        cr_expect(qw_site_in_family(row->embed, f) && qw_site_rows[row->embed].when == QW_WHEN_IDS, "%s", row->model_type);
        cr_expect(qw_site_in_family(row->projected, f) && qw_site_rows[row->projected].place == QW_BLOCK, "%s", row->model_type);
        cr_expect(qw_site_in_family(QW_SITE_OUTPUT, f) && qw_site_in_family(QW_SITE_LM_HEAD, f), "%s", row->model_type);
    }
    enum qw_family none;
    cr_expect_not(qw_family_of_class(&none, "LlamaForCausalLM"));
    cr_expect_not(qw_family_of_type(&none, "llama"));
}

static void expect_path_in(enum qw_family family, enum qw_site site, int layer, const char *wanted)
{
    char path[160];
    qw_site_path(path, sizeof path, family, site, layer);
    cr_expect_str_eq(path, wanted);
}

static void expect_path(enum qw_site site, int layer, const char *wanted)
{
    expect_path_in(QW_FAMILY_QWEN2, site, layer, wanted);
}

Test(sites, paths_are_module_paths)
{
    expect_path(QW_SITE_EMBED, -1, "model.embed_tokens");
    expect_path(QW_SITE_ROTARY_SIN, -1, "model.rotary_emb@1");
    expect_path(QW_SITE_INPUT_NORM, 0, "model.layers.0.input_layernorm");
    expect_path(QW_SITE_Q_PROJ, 23, "model.layers.23.self_attn.q_proj");
    expect_path(QW_SITE_DOWN_PROJ, 7, "model.layers.7.mlp.down_proj");
    expect_path(QW_SITE_OUTPUT, 7, "model.layers.7");
    expect_path(QW_SITE_NORM, -1, "model.norm");
    expect_path(QW_SITE_LM_HEAD, -1, "lm_head");
    expect_path_in(QW_FAMILY_QWEN3, QW_SITE_K_NORM, 4, "model.layers.4.self_attn.k_norm");
    expect_path_in(QW_FAMILY_QWEN, QW_SITE_C_ATTN, 4, "transformer.h.4.attn.c_attn");
    expect_path_in(QW_FAMILY_QWEN, QW_SITE_OUTPUT, 4, "transformer.h.4");
    expect_path_in(QW_FAMILY_QWEN, QW_SITE_FIRST_SIN, -1, "transformer.rotary_emb@1");
}

Test(sites, path_stays_within_its_buffer)
{
    char path[12];
    memset(path, '#', sizeof path);
    qw_site_path(path, 8, QW_FAMILY_QWEN2, QW_SITE_Q_PROJ, 100000);
    cr_assert_str_eq(path, "model.l");
    cr_assert_eq(path[8], '#');
}

/* A letter without a meaning would make an extent of 0. */
Test(sites, shapes_and_sums_use_known_letters)
{
    struct qw_config ones = {.layers = 1, .hidden = 1, .heads = 1, .kv_heads = 1, .head_size = 1, .ffn = 1, .vocab = 1};
    struct qw_letters letters = qw_letters_of(&ones);
    for (const char *c = "BqTPSr"; *c; c++)
        letters.value[(unsigned char)*c] = 1;
    for (int i = 0; i < QW_SITES; i++) {
        struct qw_shape shape = qw_shape_from_letters(qw_site_rows[i].shape, &letters);
        cr_expect_gt(qw_shape_count(&shape), 0, "%s: %s", qw_site_rows[i].name, qw_site_rows[i].shape);
        cr_expect_eq(qw_extent_from_letters(qw_site_rows[i].sum, &letters), qw_site_rows[i].sum[0] != '0', "%s",
                     qw_site_rows[i].name);
    }
}

/* Copied data must be equal to the bit, so nothing that is computed may claim to be copied. */
Test(sites, only_copies_sum_nothing)
{
    for (int i = 0; i < QW_SITES; i++) {
        bool copied = qw_site_rows[i].place <= QW_BEFORE || qw_site_rows[i].when == QW_WHEN_IDS || i == QW_SITE_DROP ||
                      i == QW_SITE_AFTER_TYPE || i == QW_SITE_AFTER_LENGTH;
        cr_expect_eq(!strcmp(qw_site_rows[i].sum, "0"), copied, "%s", qw_site_rows[i].name);
    }
}

Test(sites, a_path_gives_back_its_site_and_layer)
{
    int layer;
    for (enum qw_family family = 0; family < QW_FAMILIES; family++)
        for (enum qw_site site = 0; site < QW_SITES; site++) {
            const enum qw_place place = qw_site_rows[site].place;
            char path[160];
            if ((place != QW_HEAD && place != QW_BLOCK && place != QW_TAIL) || !qw_site_in_family(site, family))
                continue;
            qw_site_path(path, sizeof path, family, site, 17);
            cr_expect_str_eq(qw_site_of_path(&layer, path), qw_site_rows[site].name);
            cr_expect_eq(layer, place == QW_BLOCK ? 17 : -1, "%s: layer %d", path, layer);
        }
    cr_expect_str_eq(qw_site_of_path(&layer, "transformer.h.3.attn.c_attn"), "attn.c_attn");
    cr_expect_eq(layer, 3);
    cr_expect_str_eq(qw_site_of_path(&layer, "model.layers"), "model.layers");
    cr_expect_eq(layer, -1);
}

Test(sites, are_found_by_name)
{
    enum qw_site found;
    for (enum qw_site site = 0; site < QW_SITES; site++)
        cr_expect(qw_site_find(&found, qw_site_rows[site].name) && found == site, "%s", qw_site_rows[site].name);
    cr_expect(!qw_site_find(&found, "self_attn.qproj"));
}
