/* The comparison against the noise floor, on numbers that can be checked by hand. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "harness/compare/noise.h"

#define U 0x1p-24 /* unit roundoff of float32 */

static void near(double value, double expected)
{
    cr_expect(fabs(value - expected) <= 1e-12 * fabs(expected), "%.17g, not %.17g", value, expected);
}

Test(noise, equal_is_zero)
{
    const double values[4] = {1, -2, 0, 1e300}, played[4] = {1, -2.5, 0, 1e300};
    struct qc_difference copied = qc_difference_of(values, values, NULL, 4, 0, U);
    struct qc_difference summed = qc_difference_of(values, values, played, 4, 64, U);
    cr_expect_eq(copied.ratio, 0);
    cr_expect_eq(summed.ratio, 0);
    cr_expect(summed.max_abs == 0 && summed.rms == 0 && summed.ulp == 0 && summed.energy == 0 && !summed.nonfinite);
}

Test(noise, nothing_to_compare_is_equal)
{
    struct qc_difference found = qc_difference_of(NULL, NULL, NULL, 0, 0, U);
    cr_expect_eq(found.ratio, 0);
    cr_expect_eq(found.energy, 0);
}

/* Copied data: the smallest change there is has no floor to hide under. */
Test(noise, without_a_floor_any_error_is_infinite)
{
    const double truth[2] = {1, 1}, recorded[2] = {1, 1 + 0x1p-52};
    struct qc_difference found = qc_difference_of(recorded, truth, NULL, 2, 0, U);
    cr_expect(isinf(found.ratio) && found.ratio > 0);
    cr_expect_eq(found.index, 1);
    cr_expect_gt(found.energy, 0);
    cr_expect_not(qc_conforms(found.ratio));
}

/* The floor is 0 when the play made no error and the truth is nothing but zeros. */
Test(noise, zeros_have_no_floor)
{
    const double zeros[3] = {0, 0, 0}, recorded[3] = {0, 1e-30, 0};
    struct qc_difference found = qc_difference_of(recorded, zeros, zeros, 3, 16, U);
    cr_expect(isinf(found.ratio));
    cr_expect_eq(found.energy, 1, "without power in the truth the energy is that of a structural difference");
}

/* truth 3, 4: rms sqrt(12.5).  played off by 0.5 at most.  n = 9, u = 1/8: floor = 0.5 + 3/8 sqrt(12.5). */
Test(noise, the_floor_by_hand)
{
    const double truth[2] = {3, 4}, played[2] = {3.25, 3.5}, recorded[2] = {3, 7};
    double floor = 0.5 + 3.0 / 8 * sqrt(12.5);
    struct qc_difference found = qc_difference_of(recorded, truth, played, 2, 9, 0.125);
    near(found.ratio, 3 / floor);
    cr_expect_eq(found.max_abs, 3);
    near(found.rms, sqrt(4.5));
    cr_expect_eq(found.index, 1);
    cr_expect(found.expected == 4 && found.observed == 7);
    cr_expect_eq(found.ulp, 3, "one unit in the last place of 4 is 2 * 1/8 * 4 = 1");
}

/* Without summed products there is only copying, whatever the play made. */
Test(noise, copied_data_ignore_the_play)
{
    const double truth[1] = {1}, played[1] = {2}, recorded[1] = {1.5};
    cr_expect(isinf(qc_difference_of(recorded, truth, played, 1, 0, U).ratio));
}

Test(noise, the_ratio_scales_with_the_error)
{
    const double truth[2] = {1, -1}, played[2] = {1 + 1e-7, -1};
    double once[2] = {1, -1 - 1e-5}, twice[2] = {1, -1 - 2e-5};
    double first = qc_difference_of(once, truth, played, 2, 4, U).ratio,
           second = qc_difference_of(twice, truth, played, 2, 4, U).ratio;
    cr_expect(fabs(second / first - 2) < 1e-9);
}

/* Scaling everything changes nothing: the floor is no absolute tolerance. */
Test(noise, the_ratio_does_not_depend_on_the_scale)
{
    const double truth[3] = {1, 0.25, -0.5}, played[3] = {1 + 0x1p-23, 0.25, -0.5}, recorded[3] = {1, 0.25 + 0x1p-21, -0.5};
    double large[3][3];
    for (int i = 0; i < 3; i++) {
        large[0][i] = truth[i] * 0x1p40;
        large[1][i] = played[i] * 0x1p40;
        large[2][i] = recorded[i] * 0x1p40;
    }
    cr_expect_eq(qc_difference_of(recorded, truth, played, 3, 48, U).ratio,
                 qc_difference_of(large[2], large[0], large[1], 3, 48, U).ratio);
}

Test(noise, the_worst_element_is_named)
{
    const double truth[5] = {0, 0, 0, 0, 0}, recorded[5] = {1, -3, 2, 3, 0};
    struct qc_difference found = qc_difference_of(recorded, truth, NULL, 5, 0, U);
    cr_expect_eq(found.index, 1, "the first of the largest errors, whatever its sign");
    cr_expect_eq(found.max_abs, 3);
    cr_expect_eq(found.observed, -3);
}

Test(noise, a_nan_is_not_finite_whatever_else)
{
    const double truth[3] = {1, 2, 3}, played[3] = {1, 2, 3.5}, recorded[3] = {1e9, (double)NAN, 3};
    struct qc_difference found = qc_difference_of(recorded, truth, played, 3, 8, U);
    cr_expect(found.nonfinite);
    cr_expect_eq(found.index, 1, "not the larger error in front of it");
    cr_expect(isinf(found.ratio));
    cr_expect_eq(found.expected, 2);
    cr_expect(isnan(found.observed));
    cr_expect_eq(found.energy, 1);
}

Test(noise, infinities_are_not_finite)
{
    const double truth[2] = {1, 2};
    for (int sign = -1; sign <= 1; sign += 2) {
        const double recorded[2] = {1, sign * (double)INFINITY};
        struct qc_difference found = qc_difference_of(recorded, truth, truth, 2, 8, U);
        cr_expect(found.nonfinite && found.index == 1);
        cr_expect_not(qc_conforms(found.ratio));
    }
}

/* A truth that is not finite, held against a record that is: no agreement. */
Test(noise, a_finite_record_of_a_truth_that_is_not)
{
    const double recorded[3] = {1, 2, 3}, truth[3] = {1, (double)NAN, 3}, beyond[3] = {1, 2, (double)INFINITY};
    cr_expect_not(qc_conforms(qc_difference_of(recorded, truth, truth, 3, 8, U).ratio), "truth NaN");
    cr_expect_not(qc_conforms(qc_difference_of(recorded, beyond, beyond, 3, 8, U).ratio), "truth infinite");
    cr_expect_not(qc_conforms(qc_difference_of(recorded, truth, NULL, 3, 0, U).ratio), "copied");
}

/* An infinity in the truth must not make the floor infinite for its neighbours. */
Test(noise, an_infinity_hides_nothing)
{
    const double truth[3] = {(double)INFINITY, 1, (double)INFINITY}, recorded[3] = {(double)INFINITY, 2, (double)INFINITY};
    cr_expect_not(qc_conforms(qc_difference_of(recorded, truth, truth, 2, 8, U).ratio), "in front");
    cr_expect_not(qc_conforms(qc_difference_of(recorded + 1, truth + 1, truth + 1, 2, 8, U).ratio), "behind");
}

Test(noise, conforming)
{
    cr_expect(qc_conforms(0));
    cr_expect(qc_conforms(QC_NOISE_MULTIPLE));
    cr_expect_not(qc_conforms(QC_NOISE_MULTIPLE * 1.0000001));
    cr_expect_not(qc_conforms((double)INFINITY));
    cr_expect_not(qc_conforms((double)NAN), "a comparison with NaN must not pass");
}

/* 10 elements of 1, one of them recorded as 1 + e: energy e^2 / 10 beyond the floor, 0 below. */
Test(noise, energy_is_zero_when_it_conforms)
{
    double truth[10], recorded[10];
    for (int i = 0; i < 10; i++)
        truth[i] = recorded[i] = 1;
    double floor = U * sqrt(16);
    recorded[6] = 1 + 0.99 * QC_NOISE_MULTIPLE * floor;
    cr_expect_eq(qc_difference_of(recorded, truth, truth, 10, 16, U).energy, 0);
    recorded[6] = 1 + 1e-3;
    struct qc_difference found = qc_difference_of(recorded, truth, truth, 10, 16, U);
    cr_expect(fabs(found.energy / 1e-7 - 1) < 1e-9, "%g", found.energy);
}

Test(noise, integers_have_no_ulp)
{
    const double truth[1] = {10}, recorded[1] = {11};
    struct qc_difference found = qc_difference_of(recorded, truth, NULL, 1, 0, 0);
    cr_expect_eq(found.ulp, 0);
    cr_expect(isinf(found.ratio));
}

/* Of several plays the one farthest from the truth counts, element by element. */
Test(noise, an_envelope_keeps_the_farthest_play)
{
    const double truth[3] = {1, 2, 3}, first[3] = {1.5, 2, 2.75}, second[3] = {1.25, 1, 3.5};
    double envelope[3] = {1, 2, 3};
    qc_envelope_widen(envelope, truth, first, 3);
    qc_envelope_widen(envelope, truth, second, 3);
    cr_expect(envelope[0] == 1.5 && envelope[1] == 1 && envelope[2] == 3.5);
}

/* ---- statistics in place of elements ---- */

static const double sample[] = {1, -2, 0, 4, 0.5, -0.25};
static const double sample_played[] = {1, -2, 0, 4.0000001, 0.5, -0.25};
#define SAMPLES 6

static struct qw_stats sample_stats(void) { return (struct qw_stats){-2, 4, 3.25 / 6, sqrt(21.3125 / 6), 0, 0, 1, ""}; }

static struct qc_difference of_stats(const struct qw_stats *stats, const double *truth, const double *play, int64_t sum)
{
    struct qw_shape shape = qw_shape_of(1, (int64_t)SAMPLES);
    struct qw_tensor *tensor = qw_tensor_structure(QW_F32, &shape);
    tensor->stats = malloc(sizeof *stats);
    *tensor->stats = *stats;
    struct qc_difference found;
    cr_assert(qc_difference_of_tensor(&found, tensor, truth, play, sum, 0x1p-24));
    qw_tensor_free(tensor);
    return found;
}

Test(noise, right_statistics_conform_even_of_copied_data)
{
    struct qw_stats stats = sample_stats();
    struct qc_difference computed = of_stats(&stats, sample, sample_played, 4), copied = of_stats(&stats, sample, NULL, 0);
    cr_expect(qc_conforms(computed.ratio) && qc_conforms(copied.ratio));
    cr_expect_eq(computed.index, -1, "a statistic has no element");
    cr_expect(computed.floor > 0 && copied.floor == 0);
}

Test(noise, each_wrong_statistic_is_found)
{
    for (int i = 0; i < 4; i++) {
        struct qw_stats stats = sample_stats();
        *(i == 0 ? &stats.min : i == 1 ? &stats.max : i == 2 ? &stats.mean : &stats.rms) += 1e-4;
        cr_expect_not(qc_conforms(of_stats(&stats, sample, sample_played, 4).ratio), "statistic %d", i);
        cr_expect_not(qc_conforms(of_stats(&stats, sample, NULL, 0).ratio), "statistic %d of a copy", i);
    }
}

Test(noise, counted_nan_is_not_finite)
{
    struct qw_stats stats = sample_stats();
    stats.nan = 1;
    struct qc_difference found = of_stats(&stats, sample, sample_played, 4);
    cr_assert(found.nonfinite && !qc_conforms(found.ratio));
}

Test(noise, nan_statistic_does_not_conform)
{
    struct qw_stats stats = sample_stats();
    stats.mean = (double)NAN;
    cr_assert_not(qc_conforms(of_stats(&stats, sample, sample_played, 4).ratio));
}

Test(noise, structure_alone_says_nothing_about_values)
{
    struct qw_shape shape = qw_shape_of(1, (int64_t)SAMPLES);
    struct qw_tensor *tensor = qw_tensor_structure(QW_F32, &shape);
    struct qc_difference found;
    cr_assert_not(qc_difference_of_tensor(&found, tensor, sample, sample_played, 4, 0x1p-24));
    qw_tensor_free(tensor);
}

/* Storing in a coarser dtype widens the floor by v |t|, on the side to which the envelope lies already. */
Test(noise, storing_widens_the_envelope)
{
    const double truth[] = {1, -2, 0};
    double envelope[] = {1.25, -2.25, 0};
    qc_envelope_store(envelope, truth, 3, 0.125);
    near(envelope[0], 1.375);
    near(envelope[1], -2.5);
    cr_expect_eq(envelope[2], 0);
    qc_envelope_store(envelope, truth, 3, 0);
    near(envelope[0], 1.375);
}

Test(noise, a_difference_says_its_floor)
{
    const double truth[] = {3, 4}, played[] = {3, 4.5}, recorded[] = {3, 5};
    struct qc_difference found = qc_difference_of(recorded, truth, played, 2, 1, U);
    near(found.floor, 0.5 + U * sqrt(12.5));
    near(found.ratio, 1 / found.floor);
    cr_expect_eq(qc_difference_of(recorded, truth, NULL, 2, 0, U).floor, 0);
}

/* ---- float16 ends at 65504 ---- */

Test(noise, an_infinity_conforms_where_the_arithmetic_overflows)
{
    const double truth[] = {1, 70000, 2}, recorded[] = {1, (double)INFINITY, 2}, played[] = {1, (double)INFINITY, 2};
    struct qc_difference found = qc_difference_of(recorded, truth, played, 3, 1, 0x1p-11);
    cr_expect_not(found.nonfinite);
    cr_expect_eq(found.ratio, 0);
}

Test(noise, an_infinity_elsewhere_fails)
{
    const double truth[] = {1, 70000, 2}, infinite = (double)INFINITY;
    const double recorded[][3] = {{infinite, infinite, 2}, {1, -infinite, 2}, {1, (double)NAN, 2}}, played[] = {1, infinite, 2},
                 finite[] = {1, 65504, 2};
    for (int i = 0; i < 3; i++)
        cr_expect(qc_difference_of(recorded[i], truth, played, 3, 1, 0x1p-11).nonfinite, "%d", i);
    const double saturated[] = {1, infinite, 2};
    cr_expect(qc_difference_of(saturated, truth, finite, 3, 1, 0x1p-11).nonfinite, "no play overflows");
    cr_expect(qc_difference_of(saturated, truth, NULL, 3, 0, 0x1p-11).nonfinite, "a copy");
}

Test(noise, a_wrong_number_beside_an_overflow_is_found)
{
    const double truth[] = {1, 70000, 2}, recorded[] = {1.5, (double)INFINITY, 2}, played[] = {1, (double)INFINITY, 2};
    cr_expect_not(qc_conforms(qc_difference_of(recorded, truth, played, 3, 1, 0x1p-11).ratio));
}
