/* Invariant: every relation is seen to hold on a healthy run, and to break when one side alone departs from it. */
#include "harness/selftest/relations.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/noise.h"
#include "harness/compare/tests/shipped.h"

/* Decode steps and a prefix whose tokens are numbered by the mask; an encoder's own weights; windows; other families. */
#define NUMBERED    "qwen2.5-prefix-tf5.23.0-peft0.21.2.h5"
#define ENCODER     "qwen2.5-ptuning-lstm-encoder-tf4.57.3-peft0.18.1.h5"
#define WINDOW      "qwen2.5-prefix-window-tf5.23.0-peft0.21.2.h5"
#define HALF        "qwen2.5-prefix-bfloat16-tf5.15.0-peft0.20.0.h5"
#define THIRD       "qwen3-prefix-tf5.23.0-peft0.21.2.h5"
#define SHAPES_ONLY "qwen-v1-prefix-e08ed08-shapes-tf4.37.2-peft0.8.2.h5"

static void read_subject(struct shipped *run, const char *name)
{
    shipped_read(run, name);
    cr_assert(shipped_subject(run), "%s: %s", name, run->error.message);
}

static struct qc_related check(const struct shipped *run, enum qc_relation relation, const struct qw_rules *other)
{
    return qc_relation_check(&run->subject, relation, &run->subject.rules, other);
}

static struct qw_rules planted(const struct shipped *run, enum qw_deviation deviation)
{
    struct qw_rules rules = run->subject.rules;
    qw_deviation_apply(&rules, deviation);
    return rules;
}

static const char *reason_of(const struct qc_related *found) { return found->reason ? found->reason : ""; }

/* ---- holding ---- */

static int held_in(const char *name)
{
    struct shipped run;
    int held = 0;
    read_subject(&run, name);
    for (enum qc_relation relation = 0; relation < QC_RELATIONS; relation++) {
        struct qc_related found = check(&run, relation, &run.subject.rules);
        cr_expect_neq(found.outcome, QC_RELATION_BROKEN, "%s: %s: %s", name, qc_relation_id(relation), reason_of(&found));
        if (found.outcome == QC_RELATION_HOLDS) {
            cr_expect(qc_conforms(found.ratio) && found.ratio > 0, "%s: %s: ratio %g", name, qc_relation_id(relation),
                      found.ratio);
            held++;
        }
        free(found.reason);
    }
    shipped_clear(&run);
    return held;
}

Test(relations, hold_on_healthy_runs_of_every_kind)
{
    cr_expect_eq(held_in(SHIPPED_BASE), 7);   /* all but those that need an adapter */
    cr_expect_eq(held_in(SHIPPED_PROMPT), 7); /* all but the encoder's, and padding that positions count */
    cr_expect_eq(held_in(NUMBERED), 8);       /* all but the encoder's */
    cr_expect_eq(held_in(ENCODER), 8);
    cr_expect_eq(held_in(HALF), 8);
    cr_expect_eq(held_in(THIRD), 8);
}

/* ---- breaking ---- */

/* What breaks a relation when only the side that is held against the other departs by it. */
static const struct {
    const char *recording;
    enum qc_relation relation;
    enum qw_deviation deviation;
} breaks[] = {
    {NUMBERED, QC_RELATION_NO_VIRTUAL, QW_DEVIATION_CACHE_DROPPED},
    {NUMBERED, QC_RELATION_NO_VIRTUAL, QW_DEVIATION_POSITION_RESET},
    {NUMBERED, QC_RELATION_SOFT_HARD, QW_DEVIATION_PROMPT_NOT_INJECTED},
    {NUMBERED, QC_RELATION_SOFT_HARD, QW_DEVIATION_POSITION_OFFSET_MISSING},
    {NUMBERED, QC_RELATION_SOFT_HARD, QW_DEVIATION_PREFIX_TOKEN_ORDER},
    {NUMBERED, QC_RELATION_PREFIX_PROMPT, QW_DEVIATION_PREFIX_ROTATED},
    {NUMBERED, QC_RELATION_PREFIX_PROMPT, QW_DEVIATION_PREFIX_KEY_VALUE_SWAPPED},
    {NUMBERED, QC_RELATION_PREFIX_PROMPT, QW_DEVIATION_PREFIX_KV_MISWIRED},
    {NUMBERED, QC_RELATION_PREFIX_PROMPT, QW_DEVIATION_POSITION_OFFSET_DOUBLED},
    {NUMBERED, QC_RELATION_PREFIX_PROMPT, QW_DEVIATION_PREFIX_LAYOUT_TRANSPOSED},
    {ENCODER, QC_RELATION_FOLDED, QW_DEVIATION_PREFIX_PROJECTED_TWICE},
    {NUMBERED, QC_RELATION_BATCH_ROW, QW_DEVIATION_MASK_SHIFTED},
    {NUMBERED, QC_RELATION_BATCH_ROW, QW_DEVIATION_MASK_HIDES_PROMPT},
    {NUMBERED, QC_RELATION_PADDED_LEFT, QW_DEVIATION_MASK_SHIFTED},
    {NUMBERED, QC_RELATION_PADDED_RIGHT, QW_DEVIATION_MASK_SHIFTED},
    {NUMBERED, QC_RELATION_STEPWISE, QW_DEVIATION_CACHE_DROPPED},
    {NUMBERED, QC_RELATION_STEPWISE, QW_DEVIATION_PROMPT_REFED},
    {NUMBERED, QC_RELATION_STEPWISE, QW_DEVIATION_CACHE_APPENDED_TWICE},
    {NUMBERED, QC_RELATION_NO_CACHE, QW_DEVIATION_PREFIX_NONCAUSAL},
};

Test(relations, break_when_one_side_departs)
{
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        struct shipped run;
        read_subject(&run, breaks[i].recording);
        struct qw_rules other = planted(&run, breaks[i].deviation);
        struct qc_related found = check(&run, breaks[i].relation, &other);
        cr_expect(found.outcome == QC_RELATION_BROKEN && !qc_conforms(found.ratio) && found.reason, "%s survives %s",
                  qc_relation_id(breaks[i].relation), qw_deviation_id(breaks[i].deviation));
        free(found.reason);
        shipped_clear(&run);
    }
}

Test(relations, have_each_been_broken_by_something)
{
    for (enum qc_relation relation = 0; relation < QC_RELATIONS; relation++) {
        bool broken = false;
        for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++)
            broken = broken || breaks[i].relation == relation;
        cr_expect(broken, "%s is broken by no test", qc_relation_id(relation));
    }
}

Test(relations, without_a_cache_miss_virtual_tokens_that_are_injected_once)
{
    struct shipped run;
    read_subject(&run, SHIPPED_PROMPT);
    struct qw_rules once = run.subject.rules;
    once.inject_again = false;
    struct qc_related found = check(&run, QC_RELATION_NO_CACHE, &once);
    cr_expect_eq(found.outcome, QC_RELATION_BROKEN);
    cr_expect_str_eq(reason_of(&found), "layer 0 of the cache of the call without one holds 12 rows after the call, not 16");
    free(found.reason);
    shipped_clear(&run);
}

Test(relations, do_not_ask_whether_both_sides_are_right)
{
    struct shipped run;
    read_subject(&run, NUMBERED);
    struct qw_rules wrong = planted(&run, QW_DEVIATION_PREFIX_KEY_VALUE_SWAPPED);
    struct qc_related found = qc_relation_check(&run.subject, QC_RELATION_STEPWISE, &wrong, &wrong);
    cr_expect_eq(found.outcome, QC_RELATION_HOLDS, "%s", reason_of(&found));
    free(found.reason);
    shipped_clear(&run);
}

Test(relations, name_the_first_place_that_differs)
{
    struct shipped run;
    read_subject(&run, NUMBERED);
    struct qw_rules other = planted(&run, QW_DEVIATION_MASK_SHIFTED);
    struct qc_related found = check(&run, QC_RELATION_PADDED_LEFT, &other);
    /* what attention is fed in layer 0 does not depend on the mask: the keys of layer 1 are the first to show it */
    cr_expect(strstr(reason_of(&found), "cache_after.key of layer 1 differs at token"), "%s", reason_of(&found));
    free(found.reason);
    shipped_clear(&run);
}

Test(relations, see_a_saved_table_that_is_not_what_its_encoder_makes)
{
    struct shipped run;
    read_subject(&run, ENCODER);
    struct qw_adapter *adapter = &run.subject.adapter;
    struct qw_tensor *saved = adapter->made[0];
    adapter->computed = false;
    struct qc_related same = check(&run, QC_RELATION_FOLDED, &run.subject.rules);
    ((double *)saved->data)[3] *= 1.001;
    struct qc_related other = check(&run, QC_RELATION_FOLDED, &run.subject.rules);
    cr_expect_eq(same.outcome, QC_RELATION_HOLDS, "%s", reason_of(&same));
    cr_expect_eq(other.outcome, QC_RELATION_BROKEN);
    free(same.reason);
    free(other.reason);
    shipped_clear(&run);
}

/* ---- not applying ---- */

static void expect_unlike(const char *name, enum qc_relation relation, const char *words)
{
    struct shipped run;
    read_subject(&run, name);
    struct qc_related found = check(&run, relation, &run.subject.rules);
    cr_expect_eq(found.outcome, QC_RELATION_NOT_APPLICABLE);
    cr_expect(strstr(reason_of(&found), words), "%s: %s: %s", name, qc_relation_id(relation), reason_of(&found));
    cr_expect(!qc_conforms(found.ratio), "%s: %s: the two do not differ: %g", name, qc_relation_id(relation), found.ratio);
    free(found.reason);
    shipped_clear(&run);
}

Test(relations, of_padding_differ_where_positions_count_it)
{
    expect_unlike(SHIPPED_PROMPT, QC_RELATION_PADDED_LEFT, "(padding-counted): the two differ by");
    expect_unlike(SHIPPED_PREFIX, QC_RELATION_PADDED_LEFT, "(padding-counted): the two differ by");
}

Test(relations, of_padding_differ_where_it_fills_a_window) { expect_unlike(WINDOW, QC_RELATION_PADDED_LEFT, "sliding window"); }

Test(relations, need_weights)
{
    struct shipped run;
    read_subject(&run, SHAPES_ONLY);
    for (enum qc_relation relation = 0; relation < QC_RELATIONS; relation++) {
        struct qc_related found = check(&run, relation, &run.subject.rules);
        cr_expect(found.outcome == QC_RELATION_NOT_APPLICABLE && isnan(found.ratio) && found.reason);
        free(found.reason);
    }
    shipped_clear(&run);
}

Test(relations, are_told_in_the_order_of_the_table)
{
    struct shipped run;
    read_subject(&run, SHIPPED_BASE);
    struct qw_json *list = qc_relations_check(&run.subject);
    const struct qw_json *entry = qw_json_first(list);
    cr_expect_eq(qw_json_size(list), QC_RELATIONS);
    for (enum qc_relation relation = 0; relation < QC_RELATIONS; relation++, entry = qw_json_next(entry))
        cr_expect_str_eq(qw_json_get_text(entry, "id", ""), qc_relation_id(relation));
    entry = qw_json_first(list);
    cr_expect_str_eq(qw_json_get_text(entry, "outcome", ""), "not-applicable");
    cr_expect_str_eq(qw_json_get_text(entry, "reason", ""), "the recording has no adapter");
    cr_expect(qw_json_is_null(qw_json_get(entry, "ratio")));
    entry = qw_json_next(entry);
    cr_expect_str_eq(qw_json_get_text(entry, "outcome", ""), "holds");
    cr_expect(qw_json_is_null(qw_json_get(entry, "reason")) && qw_json_get_real(entry, "ratio", -1) > 0);
    qw_json_free(list);
    shipped_clear(&run);
}
