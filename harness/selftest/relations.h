/* Metamorphic relations: pairs of calls that must come to the same, whatever the right numbers are.
 *
 * They need no golden data: model, adapter and tokens are those that a recording brings, and both sides are played by the
 * reference.  One side gives truth and noise floor (harness/compare/noise.h), the other is played in the record's arithmetic
 * and held against it at the logits of its tokens and at the keys and values of every layer. */
#ifndef QC_SELFTEST_RELATIONS_H
#define QC_SELFTEST_RELATIONS_H

#include "harness/compare/subject.h"
#include "reference/base/json.h"

enum qc_relation {
#define RELATION(symbol, id, title, one, other, possible, alike, make) QC_RELATION_##symbol,
#include "harness/selftest/relations.def"
#undef RELATION
    QC_RELATIONS
};

enum qc_relates { QC_RELATION_HOLDS, QC_RELATION_BROKEN, QC_RELATION_NOT_APPLICABLE };

struct qc_related {
    enum qc_relates outcome;
    double ratio; /* the largest error as a multiple of its noise floor; NaN when nothing was played */
    char *reason; /* why it is broken, and where first, or why it does not apply; NULL when it holds.  Free with free() */
};

const char *qc_relation_id(enum qc_relation relation);

/* One relation, each side under rules of its own: `rules` those of the truth, `other` those of what is held against it. */
struct qc_related qc_relation_check(const struct qc_subject *subject, enum qc_relation relation, const struct qw_rules *rules,
                                    const struct qw_rules *other);

/* All of them under the subject's healthy rules: an array of
 * {"id", "title", "outcome": "holds" | "broken" | "not-applicable", "ratio": number | null, "reason": text | null}. */
struct qw_json *qc_relations_check(const struct qc_subject *subject);

#endif
