/* Margins, divergences and what they say, on rows small enough to reckon by hand. */
#include "harness/compare/consequence.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct qc_weighed weighed(const double *play, const double *record, int64_t count)
{
    struct qc_weighed step = {0};
    qc_consequence_weigh(&step, play, record, count);
    return step;
}

Test(consequence, margin_and_error_of_a_row)
{
    const double play[] = {1, 4, 2.5, -3}, record[] = {1.25, 4, 2, -3};
    struct qc_weighed step = weighed(play, record, 4);
    cr_expect(step.known);
    cr_expect_eq(step.margin, 1.5);
    cr_expect_eq(step.error, 0.5);
    cr_expect_eq(step.expected, 1);
    cr_expect_eq(step.observed, 1);
}

/* Two tokens of even odds against 3 to 1. */
Test(consequence, divergence_of_two_tokens)
{
    const double even[] = {0, 0}, odds[] = {log(3), 0};
    cr_expect_float_eq(qc_divergence(even, odds, 2), 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25), 1e-15);
    cr_expect_float_eq(qc_divergence(odds, even, 2), 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5), 1e-15);
    const double shifted[] = {1000, 1000};
    cr_expect_float_eq(qc_divergence(even, shifted, 2), 0, 1e-12, "logits that move together say the same");
}

Test(consequence, a_divergence_is_never_negative_nor_a_nan)
{
    const double row[] = {0.1, 0.2, 0.30000000000000004}, broken[] = {0.1, (double)NAN, 0.3},
                 endless[] = {0, (double)INFINITY, 0};
    cr_expect_eq(qc_divergence(row, row, 3), 0);
    cr_expect(isinf(qc_divergence(row, broken, 3)));
    cr_expect(isinf(qc_divergence(row, endless, 3)));
}

Test(consequence, the_largest_of_what_is_finite)
{
    const double row[] = {(double)NAN, -2, -1, (double)INFINITY}, none[] = {(double)NAN, (double)NAN};
    cr_expect_eq(qc_largest_logit(row, 4), 2);
    cr_expect_eq(qc_largest_logit(none, 2), -1);
}

Test(consequence, the_worst_batch_row_stands_for_the_step)
{
    const double play[] = {0, 4, 1}, near[] = {0, 4, 3}, far[] = {3.5, 4, 1}, flipped[] = {0, 1, 1.5};
    struct qc_weighed step = {0};
    qc_consequence_weigh(&step, play, far, 3);
    qc_consequence_weigh(&step, play, near, 3);
    cr_expect_eq(step.error, 3.5);
    qc_consequence_weigh(&step, play, flipped, 3);
    cr_expect_eq(step.observed, 2);
    cr_expect_eq(step.error, 3);
    cr_expect_geq(step.kl, qc_divergence(play, far, 3));
}

/* What three steps say, of which the middle one is given. */
static enum qc_says says_of(double margin, double error, bool conforms, bool flips, bool raised)
{
    struct qc_consequence of = qc_consequence_make(3);
    for (int i = 0; i < 3; i++)
        of.step[i] = (struct qc_weighed){.known = true, .conforms = true, .margin = 1, .error = 1e-9, .kl = 1e-18};
    of.step[1] = (struct qc_weighed){.known = true,
                                     .conforms = conforms,
                                     .margin = margin,
                                     .error = error,
                                     .kl = 0.5,
                                     .expected = 3,
                                     .observed = flips ? 4 : 3};
    qc_consequence_settle(&of, raised);
    cr_expect_eq(of.compared, 3);
    cr_expect_eq(of.agreed, flips && !conforms ? 2 : 3);
    cr_expect_eq(of.first_flip, flips && !conforms ? 1 : -1);
    cr_expect_eq(of.largest_kl, conforms ? 0 : 0.5);
    enum qc_says says = of.says;
    qc_consequence_clear(&of);
    return says;
}

Test(consequence, what_it_says)
{
    cr_expect_eq(says_of(1, 0.49, false, false, false), QC_SAYS_CANNOT_FLIP);
    cr_expect_eq(says_of(1, 0.5, false, false, false), QC_SAYS_COULD_FLIP);
    cr_expect_eq(says_of(1, (double)NAN, false, false, false), QC_SAYS_COULD_FLIP);
    cr_expect_eq(says_of(1, 2, false, true, false), QC_SAYS_FLIPS);
    cr_expect_eq(says_of(1, 2, false, true, true), QC_SAYS_FLIPS);
    cr_expect_eq(says_of(1, 0.1, false, false, true), QC_SAYS_RAISES);
    cr_expect_eq(says_of(1, 1e-9, true, false, false), QC_SAYS_NONE);
    cr_expect_eq(says_of(0, 1e-9, true, true, false), QC_SAYS_NONE, "a tie that rounding decides is no flip");
}

Test(consequence, without_logits_nothing_is_known)
{
    struct qc_consequence of = qc_consequence_make(2);
    qc_consequence_settle(&of, true);
    char *text = qc_consequence_text(&of, true);
    cr_expect_eq(of.says, QC_SAYS_UNKNOWN);
    cr_expect(strstr(text, "raised before its first logits"), "%s", text);
    free(text);
    qc_consequence_clear(&of);
}
