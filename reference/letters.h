/* Shapes written in the project's letters.
 *
 *   B batch   q tokens of this call   T prompt tokens   P virtual tokens   S cache length
 *   L layers  H query heads           K key/value heads D head size
 *   d hidden  F feed-forward          V vocabulary      r logits rows that are kept
 *
 * A specification is extents separated by spaces; letters that stand together
 * multiply, digits are themselves: "B q HD", "L 2 B K P D". */
#ifndef QW_LETTERS_H
#define QW_LETTERS_H

#include "reference/base/tensor.h"
#include "reference/model/config.h"

struct qw_letters {
    int64_t value[128]; /* by the letter's character; 0 where it has no meaning yet */
};

/* L H K D d F V of a configuration; the caller sets B q T P S r. */
struct qw_letters qw_letters_of(const struct qw_config *config);
struct qw_shape qw_shape_from_letters(const char *spec, const struct qw_letters *letters);
/* One extent: "HD" -> H x D. */
int64_t qw_extent_from_letters(const char *spec, const struct qw_letters *letters);

#endif
