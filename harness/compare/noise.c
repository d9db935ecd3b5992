/* Invariant: non-finite elements are classified before any arithmetic is done with them. */
#include "harness/compare/noise.h"

#include <math.h>

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

static int64_t first_nonfinite(const double *recorded, const double *truth, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (isfinite(recorded[i]) != isfinite(truth[i]))
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
    return (struct qc_difference){.ratio = (double)INFINITY, .max_abs = (double)INFINITY, .rms = (double)INFINITY,
                                  .ulp = (double)INFINITY, .energy = 1, .index = index, .expected = truth[index],
                                  .observed = recorded[index], .nonfinite = true};
}

struct qc_difference qc_difference_of(const double *recorded, const double *truth, const double *played, int64_t count,
                                      int64_t sum, double roundoff)
{
    int64_t broken = first_nonfinite(recorded, truth, count);
    if (broken >= 0)
        return nonfinite_difference(recorded, truth, broken);
    struct qc_difference found = {0};
    double squares = 0;
    for (int64_t i = 0; i < count; i++) {
        bool same = recorded[i] == truth[i] || (isnan(recorded[i]) && isnan(truth[i]));
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
