/* Invariant: non-finite elements are classified before any arithmetic is done with them. */
#include "harness/compare/noise.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

bool qc_conforms(double ratio) { return ratio <= QC_NOISE_MULTIPLE; }

void qc_envelope_widen(double *envelope, const double *truth, const double *played, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (fabs(played[i] - truth[i]) > fabs(envelope[i] - truth[i]))
            envelope[i] = played[i];
}

void qc_envelope_store(double *envelope, const double *truth, int64_t count, double roundoff)
{
    for (int64_t i = 0; roundoff > 0 && i < count; i++)
        envelope[i] += copysign(roundoff * fabs(truth[i]), envelope[i] - truth[i]);
}

static double floor_of(const double *truth, const double *played, int64_t count, int64_t sum, double roundoff)
{
    double largest = 0, squares = 0;
    if (!played || sum == 0)
        return 0;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(truth[i]) || !isfinite(played[i]))
            continue;
        largest = fmax(largest, fabs(played[i] - truth[i]));
        squares += truth[i] * truth[i];
    }
    return largest + roundoff * sqrt((double)sum) * sqrt(squares / (double)count);
}

/* An infinity is where the truth has one, or where a play in the record's arithmetic overflowed to the same. */
static int64_t first_nonfinite(const double *recorded, const double *truth, const double *played, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (isfinite(recorded[i]) != isfinite(truth[i]) && !(played && isinf(played[i]) && recorded[i] == played[i]))
            return i;
    return -1;
}

static double ulps(double error, double value, double roundoff)
{
    if (error == 0 || roundoff == 0)
        return 0;
    return error / (2 * roundoff * exp2(floor(log2(fmax(fabs(value), 0x1p-126)))));
}

static double mean_square(const double *values, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i] * values[i];
    return count ? sum / (double)count : 0;
}

static struct qc_difference nonfinite_difference(const double *recorded, const double *truth, int64_t index)
{
    return (struct qc_difference){.ratio = (double)INFINITY,
                                  .max_abs = (double)INFINITY,
                                  .rms = (double)INFINITY,
                                  .ulp = (double)INFINITY,
                                  .energy = 1,
                                  .index = index,
                                  .expected = truth[index],
                                  .observed = recorded[index],
                                  .nonfinite = true};
}

struct qc_difference qc_difference_of(const double *recorded, const double *truth, const double *played, int64_t count,
                                      int64_t sum, double roundoff)
{
    int64_t broken = first_nonfinite(recorded, truth, played, count);
    if (broken >= 0)
        return nonfinite_difference(recorded, truth, broken);
    struct qc_difference found = {0};
    double squares = 0;
    for (int64_t i = 0; i < count; i++) {
        bool overflowed = isinf(recorded[i]) && isfinite(truth[i]);
        bool same = recorded[i] == truth[i] || (isnan(recorded[i]) && isnan(truth[i])) || overflowed;
        double error = same ? 0 : fabs(recorded[i] - truth[i]);
        squares += error * error;
        if (error > found.max_abs || i == 0) {
            found.max_abs = error;
            found.index = i;
        }
    }
    found.floor = floor_of(truth, played, count, sum, roundoff);
    found.ratio = found.max_abs == 0 ? 0 : found.floor == 0 ? (double)INFINITY : found.max_abs / found.floor;
    found.rms = count ? sqrt(squares / (double)count) : 0;
    found.expected = count ? truth[found.index] : 0;
    found.observed = count ? recorded[found.index] : 0;
    found.ulp = ulps(found.max_abs, found.expected, roundoff);
    double power = mean_square(truth, count);
    found.energy = qc_conforms(found.ratio) ? 0 : power > 0 ? found.rms * found.rms / power : 1;
    return found;
}

static bool is_constant(const double *values, int64_t count)
{
    for (int64_t i = 1; i < count; i++)
        if (values[i] != values[0])
            return false;
    return count > 1;
}

/* ---- statistics in place of elements ---- */

static struct qw_stats stats_of(const double *values, int64_t count)
{
    struct qw_stats stats = {.min = (double)INFINITY, .max = -(double)INFINITY};
    double sum = 0, squares = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < count; i++) {
        stats.nan += isnan(values[i]) != 0;
        stats.inf += isinf(values[i]) != 0;
        stats.zero += values[i] == 0;
        if (!isfinite(values[i]))
            continue;
        stats.min = fmin(stats.min, values[i]);
        stats.max = fmax(stats.max, values[i]);
        sum += values[i];
        squares += values[i] * values[i];
        finite++;
    }
    stats.mean = finite ? sum / (double)finite : 0;
    stats.rms = finite ? sqrt(squares / (double)finite) : 0;
    return stats;
}

static double ratio_of(double error, double floor_value)
{
    return error == 0 ? 0 : floor_value == 0 ? (double)INFINITY : error / floor_value;
}

/* Keeps the statistic that differs most. */
static void weigh_statistic(struct qc_difference *found, double recorded, double truth, double floor_value)
{
    double error = fabs(recorded - truth), ratio = ratio_of(error, floor_value);
    if (isnan(found->ratio) || ratio < found->ratio)
        return;
    found->ratio = ratio;
    found->max_abs = error;
    found->expected = truth;
    found->observed = recorded;
}

static struct qc_difference difference_of_stats(const struct qw_stats *recorded, const double *truth, const double *played,
                                                int64_t count, int64_t sum, double roundoff)
{
    struct qw_stats expected = stats_of(truth, count);
    struct qc_difference found = {.index = -1};
    if (recorded->nan + recorded->inf != expected.nan + expected.inf)
        return nonfinite_difference((const double[]){(double)NAN}, truth, 0);
    double floor_value = found.floor = floor_of(truth, played, count, sum, roundoff);
    double summed = floor_value + (double)count * DBL_EPSILON * fmax(fabs(expected.min), fabs(expected.max));
    weigh_statistic(&found, recorded->min, expected.min, floor_value);
    weigh_statistic(&found, recorded->max, expected.max, floor_value);
    weigh_statistic(&found, recorded->mean, expected.mean, summed);
    weigh_statistic(&found, recorded->rms, expected.rms, summed);
    found.rms = fabs(recorded->rms - expected.rms);
    double power = expected.rms * expected.rms;
    found.energy = qc_conforms(found.ratio) ? 0 : power > 0 ? fmin(1, found.max_abs * found.max_abs / power) : 1;
    return found;
}

bool qc_difference_of_tensor(struct qc_difference *found, const struct qw_tensor *recorded, const double *truth,
                             const double *played, int64_t sum, double roundoff)
{
    int64_t count = qw_shape_count(&recorded->shape);
    if (recorded->data) {
        double *values = qw_tensor_doubles(recorded);
        *found = qc_difference_of(values, truth, played, count, sum, roundoff);
        found->constant = is_constant(truth, count);
        free(values);
        return true;
    }
    if (!recorded->stats || count == 0)
        return false;
    *found = difference_of_stats(recorded->stats, truth, played, count, sum, roundoff);
    found->constant = is_constant(truth, count);
    return true;
}
