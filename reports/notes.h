/* What qualifies a verdict, in words that every format shares: what was left
 * out, how the values were held against each other, in which shelter the
 * recording was read, how the axes of a layout are swapped.
 *
 * Each function appends one phrase without a full stop, or nothing and is
 * false when the document says nothing about it. */
#ifndef RP_NOTES_H
#define RP_NOTES_H

#include <stdbool.h>

#include "reference/base/json.h"
#include "reference/base/text.h"

/* "steps 0 to 4, layers 2 to 3, sites matching self_attn.*, as f64" of case.selection. */
bool rp_add_selection(struct qw_text *out, const struct qw_json *one);

/* "values were judged by their statistics ..." for a recording that kept no elements. */
bool rp_add_level_note(struct qw_text *out, const struct qw_json *one);

/* "12 times: reason; 1 time: other reason" of the sites that were waived, at most ten reasons. */
bool rp_add_waived(struct qw_text *out, const struct qw_json *one);

/* "Landlock 7, seccomp, limits" of tool.sandbox; then what is missing of it, separately. */
bool rp_add_sandbox(struct qw_text *out, const struct qw_json *result);
bool rp_add_unprotected(struct qw_text *out, const struct qw_json *result);

/* "heads and sequence are swapped: axes [0, 2, 1, 3]" of a first divergence with a permutation. */
bool rp_add_layout(struct qw_text *out, const struct qw_json *found);

/* What axis `axis` of a first divergence holds by right; "axis" where the document does not say. */
const char *rp_axis_meaning(const struct qw_json *found, int axis);

/* The first finding of that id; NULL when there is none. */
const struct qw_json *rp_finding(const struct qw_json *one, const char *id);

/* A case in which two recordings were held against each other bit by bit: case.floor says so, or where it is absent no
 * ratio is between 0 and infinity. */
bool rp_is_bitwise(const struct qw_json *one);

#endif
