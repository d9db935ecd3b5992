/* Letters: extents by name, products of letters that stand together. */
#include <criterion/criterion.h>

#include "reference/letters.h"

/* Qwen2-0.5B */
static const struct qw_config half_billion = {
    .layers = 24, .hidden = 896, .heads = 14, .kv_heads = 2, .head_size = 64, .ffn = 4864, .vocab = 151936};

static struct qw_letters all_letters(void)
{
    struct qw_letters letters = qw_letters_of(&half_billion);
    letters.value['B'] = 3;
    letters.value['q'] = 5;
    letters.value['P'] = 20;
    return letters;
}

Test(letters, come_from_the_configuration)
{
    struct qw_letters letters = qw_letters_of(&half_billion);
    cr_assert_eq(letters.value['L'], 24);
    cr_assert_eq(letters.value['d'], 896);
    cr_assert_eq(letters.value['H'], 14);
    cr_assert_eq(letters.value['K'], 2);
    cr_assert_eq(letters.value['D'], 64);
    cr_assert_eq(letters.value['F'], 4864);
    cr_assert_eq(letters.value['V'], 151936);
    cr_assert_eq(letters.value['B'], 0, "the call's extents are the caller's to set");
    cr_assert_eq(letters.value['S'], 0);
}

Test(letters, standing_together_multiply)
{
    struct qw_letters letters = all_letters();
    cr_assert_eq(qw_extent_from_letters("HD", &letters), 896);
    cr_assert_eq(qw_extent_from_letters("KD", &letters), 128);
    cr_assert_eq(qw_extent_from_letters("2LKD", &letters), 6144);
    cr_assert_eq(qw_extent_from_letters("1", &letters), 1);
    cr_assert_eq(qw_extent_from_letters("0", &letters), 0);
}

static void expect_shape(const char *spec, struct qw_shape wanted)
{
    struct qw_letters letters = all_letters();
    struct qw_shape shape = qw_shape_from_letters(spec, &letters);
    cr_expect(qw_shape_equal(&shape, &wanted), "%s", spec);
}

Test(letters, separated_are_extents)
{
    expect_shape("B q HD", qw_shape_of(3, (int64_t)3, (int64_t)5, (int64_t)896));
    expect_shape("L 2 B K P D", qw_shape_of(6, (int64_t)24, (int64_t)2, (int64_t)3, (int64_t)2, (int64_t)20, (int64_t)64));
    expect_shape("d", qw_shape_of(1, (int64_t)896));
    expect_shape("d ", qw_shape_of(1, (int64_t)896));
    expect_shape("", qw_shape_of(0));
}
