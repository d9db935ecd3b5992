/* A cause that widens the noise floor must be seen wherever it widens it.
 *
 * The plays of a deviation by which sums are made in a coarser arithmetic (qw_rules_widen: accumulated-in-low-precision)
 * lose much to rounding, so their floor is wide, and an error of whatever origin that is no larger lies under it: a head
 * that is scaled by 1.01 would be "explained".  What tells the two apart is that such sums are made everywhere.  So of the
 * tensors whose floor the deviation makes at least four times as wide, in the isolated view, where each is judged for
 * itself, nine in ten must show it: an error beyond the healthy floor, and no less than an eighth of the deviation's own.
 * Measured on recordings of live runs, sums of 64 to 1024 products: the healthy floor times 7 to 30, errors of 2.4 to
 * 15 healthy floors and 0.26 to 0.94 of the deviation's own; a tensor that is rounded as ever shows half a healthy floor.
 *
 * Where no floor grows that much (short sums: their rounding is hardly more than the last one) nothing can be told, and the
 * cause is not named. */
#ifndef QC_DIAGNOSE_EVERYWHERE_H
#define QC_DIAGNOSE_EVERYWHERE_H

#include "harness/compare/judge.h"

/* Whether that may be so, before any play: half of the sums at least lie beyond their floor in the isolated view. */
bool qc_may_show_everywhere(const struct qc_judgement *healthy);
/* Both judgements must have the isolated view; `deviated` is that of rules that widen. */
bool qc_shows_everywhere(const struct qc_judgement *healthy, const struct qc_judgement *deviated);

#endif
