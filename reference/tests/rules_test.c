/* Rules: versions are read and ordered, healthy rules follow from the pair, deviations depart from them. */
#include <criterion/criterion.h>
#include <string.h>

#include "reference/rules.h"

static struct qw_version version(const char *text)
{
    struct qw_version v;
    cr_assert(qw_version_read(&v, text), "%s", text);
    return v;
}

Test(rules, versions_are_read)
{
    static const struct {
        const char *text;
        int number[3];
    } rows[] = {{"4.44.2", {4, 44, 2}}, {"5.0.0.dev0", {5, 0, 0}},  {"0.12", {0, 12, 0}},
                {"4", {4, 0, 0}},       {"4.41.2+cpu", {4, 41, 2}}, {"5.23.0rc1", {5, 23, 0}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct qw_version v = version(rows[i].text);
        cr_expect_arr_eq(v.number, rows[i].number, sizeof v.number, "%s", rows[i].text);
    }
    struct qw_version none = {{9, 9, 9}};
    cr_assert_not(qw_version_read(&none, "main"));
    cr_assert_not(qw_version_read(&none, ""));
    cr_assert_not(qw_version_read(&none, ".4.1"));
}

Test(rules, versions_are_ordered_as_numbers)
{
    static const char *const rising[] = {"0.9.0",  "0.12.0", "0.13.2", "4.9.2", "4.37.0",
                                         "4.45.1", "4.45.2", "4.57.3", "5.0.0", "5.23.0"};
    int count = sizeof rising / sizeof *rising;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++) {
            int order = qw_version_compare(version(rising[i]), version(rising[j]));
            cr_expect_eq((order > 0) - (order < 0), (i > j) - (i < j), "%s and %s", rising[i], rising[j]);
        }
}

static struct qw_rules healthy_of(const char *transformers, const char *peft)
{
    return qw_rules_healthy((struct qw_setting){.transformers = version(transformers), .peft = version(peft)});
}

/* What lies between members is nobody's: without this builtin, rules that are the same may be taken for others. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define CLEAR_PADDING(object) __builtin_clear_padding(object)
#endif
#endif
#ifndef CLEAR_PADDING
#define CLEAR_PADDING(object) ((void)(object))
#endif

static bool same(const struct qw_rules *a, const struct qw_rules *b)
{
    struct qw_rules one = *a, other = *b;
    CLEAR_PADDING(&one);
    CLEAR_PADDING(&other);
    return memcmp(&one, &other, sizeof one) == 0;
}

/* Pairs that were measured, with what they were seen to do. */
static const struct {
    const char *transformers, *peft;
    bool tables, tuples, mask_always;
} pairs[] = {
    {"4.38.2", "0.9.0", true, true, true},     {"4.41.2", "0.12.0", true, true, true},   {"4.44.2", "0.13.2", true, true, true},
    {"4.45.2", "0.14.0", false, true, true},   {"4.46.3", "0.14.0", false, true, true},  {"4.47.1", "0.14.0", false, true, true},
    {"4.48.3", "0.14.0", false, false, true},  {"4.57.3", "0.18.1", false, false, true}, {"5.15.0", "0.20.0", false, false, true},
    {"5.23.0", "0.21.2", false, false, false}, {"6.0.0", "1.0.0", false, false, false},
};

Test(rules, healthy_rules_of_each_pair)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct qw_rules rules = healthy_of(pairs[i].transformers, pairs[i].peft);
        const char *name = pairs[i].transformers;
        cr_expect_eq(rules.rotary_in_attention, pairs[i].tables, "%s", name);
        cr_expect_eq(!!(rules.filled_caches & 1u << QW_CACHE_TUPLE), pairs[i].tuples, "%s", name);
        cr_expect(rules.filled_caches & 1u << QW_CACHE_DYNAMIC, "%s", name);
        cr_expect_not(rules.filled_caches & 1u << QW_CACHE_NONE, "%s: nothing holds rows", name);
        cr_expect_eq(rules.unpadded_mask, pairs[i].mask_always ? QW_MASK_ALWAYS : QW_MASK_OPTIONAL, "%s", name);
    }
}

Test(rules, two_heads_in_a_tied_checkpoint)
{
    static const struct {
        const char *transformers;
        enum qw_tied_head habit;
    } seen[] = {{"4.38.2", QW_TIED_HEAD},      {"4.41.2", QW_TIED_HEAD},      {"4.42.4", QW_TIED_HEAD},
                {"4.43.4", QW_TIED_EMBEDDING}, {"4.48.3", QW_TIED_EMBEDDING}, {"4.57.3", QW_TIED_EMBEDDING},
                {"5.0.0", QW_TIED_AS_STORED},  {"5.23.0", QW_TIED_AS_STORED}};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        cr_expect_eq(healthy_of(seen[i].transformers, "0.12.0").tied_head, seen[i].habit, "%s", seen[i].transformers);
}

Test(rules, what_is_healthy_in_every_pair)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct qw_rules rules = healthy_of(pairs[i].transformers, pairs[i].peft);
        cr_expect(rules.inject_first && rules.inject_again && rules.extend_mask, "%s", pairs[i].transformers);
        cr_expect_eq(rules.prefix_heads, QW_PREFIX_KEY_VALUE_HEADS);
        cr_expect(rules.empty_caches & 1u << QW_CACHE_NONE && rules.empty_caches & 1u << QW_CACHE_DYNAMIC);
        cr_expect_not(rules.empty_caches & 1u << QW_CACHE_TUPLE);
    }
}

Test(rules, newest_versions_know_the_newest_rules)
{
    struct qw_rules newest = qw_rules_healthy(qw_setting_newest());
    struct qw_rules beyond = healthy_of("99.0.0", "99.0.0");
    cr_assert(same(&newest, &beyond), "an era begins after the newest measured versions");
}

/* Measured on the CPU: what a mask that is too short does, and what a row gives that sees nothing. */
static const struct {
    const char *transformers;
    bool eager;
    enum qw_short_mask first, past;
    enum qw_blind_row blind;
} masks[] = {
    {"4.38.2", true, QW_SHORT_RAISES_IN_MODEL, QW_SHORT_RAISES_IN_MODEL, QW_BLIND_UNIFORM},
    {"4.38.2", false, QW_SHORT_IGNORED, QW_SHORT_RAISES_IN_MODEL, QW_BLIND_UNMASKED},
    {"4.41.2", false, QW_SHORT_IGNORED, QW_SHORT_RAISES_IN_MODEL, QW_BLIND_UNIFORM},
    {"4.42.4", true, QW_SHORT_RAISES_IN_ATTENTION, QW_SHORT_RAISES_IN_ATTENTION, QW_BLIND_UNIFORM},
    {"4.51.3", false, QW_SHORT_IGNORED, QW_SHORT_RAISES_IN_ATTENTION, QW_BLIND_UNIFORM},
    {"4.57.3", true, QW_SHORT_HIDES_LAST, QW_SHORT_HIDES_LAST, QW_BLIND_UNIFORM},
    {"4.57.3", false, QW_SHORT_HIDES_LAST, QW_SHORT_HIDES_LAST, QW_BLIND_ZERO},
    {"5.23.0", false, QW_SHORT_HIDES_LAST, QW_SHORT_HIDES_LAST, QW_BLIND_ZERO},
};

Test(rules, masks_are_used_as_each_era_uses_them)
{
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        struct qw_setting setting = {.transformers = version(masks[i].transformers), .eager = masks[i].eager};
        struct qw_rules rules = qw_rules_healthy(setting);
        cr_expect_eq(rules.short_mask, masks[i].first, "%s", masks[i].transformers);
        cr_expect_eq(rules.short_mask_past, masks[i].past, "%s", masks[i].transformers);
        cr_expect_eq(rules.blind_row, masks[i].blind, "%s", masks[i].transformers);
    }
}

/* ---- deviations ---- */

Test(rules, each_deviation_changes_the_healthy_rules)
{
    struct qw_rules healthy = qw_rules_healthy(qw_setting_newest());
    for (int i = 0; i < QW_DEVIATIONS; i++) {
        struct qw_rules deviating = healthy;
        qw_deviation_apply(&deviating, (enum qw_deviation)i);
        cr_expect_not(same(&healthy, &deviating), "%s", qw_deviation_id((enum qw_deviation)i));
    }
}

Test(rules, each_value_of_a_parameter_changes_the_rules_in_its_own_way)
{
    struct qw_rules healthy = qw_rules_healthy(qw_setting_newest());
    for (int d = 0; d < QW_DEVIATIONS; d++)
        for (int i = 0; i < qw_deviation_values((enum qw_deviation)d); i++) {
            struct qw_rules one = healthy;
            qw_deviation_apply_value(&one, (enum qw_deviation)d, qw_deviation_value((enum qw_deviation)d, i)->number);
            cr_expect_not(same(&healthy, &one));
            for (int j = 0; j < i; j++) {
                struct qw_rules other = healthy;
                qw_deviation_apply_value(&other, (enum qw_deviation)d, qw_deviation_value((enum qw_deviation)d, j)->number);
                cr_expect_not(same(&other, &one), "%s: values %d and %d", qw_deviation_id((enum qw_deviation)d), i, j);
            }
        }
    cr_expect_eq(qw_deviation_values(QW_DEVIATION_PROMPT_NOT_INJECTED), 0);
    cr_expect_null(qw_deviation_value(QW_DEVIATION_PREFIX_DTYPE, 3));
}

Test(rules, no_two_deviations_are_the_same)
{
    struct qw_rules healthy = qw_rules_healthy(qw_setting_newest());
    for (int i = 0; i < QW_DEVIATIONS; i++)
        for (int j = 0; j < i; j++) {
            struct qw_rules a = healthy, b = healthy;
            qw_deviation_apply(&a, (enum qw_deviation)i);
            qw_deviation_apply(&b, (enum qw_deviation)j);
            cr_expect_not(same(&a, &b));
            cr_expect_str_neq(qw_deviation_id((enum qw_deviation)i), qw_deviation_id((enum qw_deviation)j));
        }
}

Test(rules, deviations_touch_only_their_rule)
{
    struct qw_rules rules = healthy_of("4.44.2", "0.13.2"), wanted = rules;
    wanted.inject_first = false;
    qw_deviation_apply(&rules, QW_DEVIATION_PROMPT_NOT_INJECTED);
    cr_assert(same(&rules, &wanted));
    wanted.prefix_heads = QW_PREFIX_QUERY_HEADS;
    qw_deviation_apply(&rules, QW_DEVIATION_PREFIX_QUERY_HEADS);
    cr_assert(same(&rules, &wanted));
}

Test(rules, deviations_have_an_id_and_a_party)
{
    for (int i = 0; i < QW_DEVIATIONS; i++) {
        enum qw_deviation deviation = (enum qw_deviation)i;
        cr_expect(qw_deviation_id(deviation)[0]);
        cr_expect(qw_deviation_party(deviation) >= QW_PROTOCOL && qw_deviation_party(deviation) < QW_PARTIES);
    }
    cr_assert_str_eq(qw_deviation_id(QW_DEVIATION_PROMPT_NOT_INJECTED), "prompt-not-injected");
    cr_assert_eq(qw_deviation_party(QW_DEVIATION_PREFIX_QUERY_HEADS), QW_PROTOCOL);
}
