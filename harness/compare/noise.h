/* The noise floor, and the one comparison against a bound.
 *
 * For a site with recorded value r, truth t (the reference in float64) and the
 * reference's own plays in the record's arithmetic s_1 … s_k:
 *
 *   floor = max |s_i - t|  +  u sqrt(n) rms(t)      u unit roundoff of the record's dtype,
 *                                                   n products that one element sums in it;
 *                                                   1 where they are summed in a finer one (halves)
 *   ratio = max |r - t| / floor
 *
 * The first term is what this very computation loses to rounding, amplified as
 * this model amplifies it.  One play is one draw of that loss and may be small
 * by luck where a single direction dominates, so several are made that differ
 * in their roundings alone.  The second term is what a sum of n products of that
 * size loses on average whatever the order of its terms, for tensors so small
 * that no play's rounding is a sample.
 *
 * The record's arithmetic is that of its model's dtype, or what --precision says.  An infinity of the record conforms where a
 * play in that arithmetic overflows to the same one: float16 ends at 65504, the truth does not.  A NaN
 * conforms only where the truth is one.
 * Where tensors are stored in a coarser dtype than that arithmetic, of unit roundoff
 * v, the first term becomes max (|s_i - t| + v |t|), and in the isolated view each
 * play is fed with inputs r (1 + v e), e uniform in [-1, 1).  Copied data (n = 0) has floor 0: equal
 * bits conform, anything else does not. */
#ifndef QC_COMPARE_NOISE_H
#define QC_COMPARE_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "reference/base/tensor.h"

/* The multiple of the floor up to which a site conforms; README shows the distribution that it was chosen from. */
#define QC_NOISE_MULTIPLE 5.0

/* Plays in the record's arithmetic: one as the BLAS rounds, the others dithered. */
#define QC_NOISE_PLAYS 4

/* Widens `envelope` so that |envelope - truth| is at least |played - truth|, element by element: the envelope of several
 * plays stands for s in qc_difference_of. */
void qc_envelope_widen(double *envelope, const double *truth, const double *played, int64_t count);

/* Widens `envelope` by what storing in a dtype of that unit roundoff takes from the truth; 0: nothing. */
void qc_envelope_store(double *envelope, const double *truth, int64_t count, double roundoff);

/* The only place where a verdict is taken from a number: accepts, so that NaN fails. */
bool qc_conforms(double ratio);

/* How one recorded tensor differs from the truth. */
struct qc_difference {
    double ratio;              /* max |r - t| / floor; 0 when equal, infinity when the floor is 0 or r is not finite */
    double floor;              /* of the site; 0 for copied data */
    double max_abs;            /* max |r - t| */
    double rms;                /* root mean square of r - t */
    double ulp;                /* max |r - t| in units in the last place of t there */
    double energy;             /* mean squared error / mean square of t; 0 when it conforms */
    int64_t index;             /* flat index of the largest error, or of the first non-finite element; -1: of a statistic */
    double expected, observed; /* t and r there */
    bool nonfinite;            /* r has a NaN or an infinity where t has none */
    bool constant;             /* t is one number throughout: to agree with it shows nothing */
};

/* Compares `count` elements.  `played` is s, or the envelope of several plays; NULL for copied data. */
/* The same for a tensor of which the elements, or only their statistics, are known; false when neither is.  Statistics are
 * judged by the same floor, since each of min, max, mean and rms moves by at most max |r - t|; mean and rms have besides
 * the error of a float64 sum of `count` terms. */
bool qc_difference_of_tensor(struct qc_difference *found, const struct qw_tensor *recorded, const double *truth,
                             const double *played, int64_t sum, double roundoff);

struct qc_difference qc_difference_of(const double *recorded, const double *truth, const double *played, int64_t count,
                                      int64_t sum, double roundoff);

#endif
