/* The rules of a play: how the three parties behave.
 *
 * The healthy rules follow from the versions of transformers and PEFT
 * (reference/eras.def).  A deviation (reference/deviations.def) is one
 * assignment to a rule: everything that can go wrong is a rule here, and the
 * protocol, the model and the cache consult it. */
#ifndef QW_RULES_H
#define QW_RULES_H

#include <stdbool.h>

#include "reference/cache/cache.h"
#include "reference/sites.h"

enum qw_prefix_heads { QW_PREFIX_KEY_VALUE_HEADS, QW_PREFIX_QUERY_HEADS };
enum qw_mask_habit { QW_MASK_ALWAYS, QW_MASK_OPTIONAL }; /* OPTIONAL: may stay away when nothing is padded */
/* What a library makes of a checkpoint that has a head of its own although its configuration ties it to the embedding. */
enum qw_tied_head { QW_TIED_AS_STORED, QW_TIED_EMBEDDING, QW_TIED_HEAD }; /* both kept; the embedding for both; the head for both */

struct qw_rules {
    /* protocol */
    bool inject_first;                  /* virtual tokens reach the first step */
    bool inject_again;                  /* … and every later step that starts without a cache (use_cache=False) */
    bool extend_mask;                   /* the mask covers the virtual tokens */
    enum qw_mask_habit unpadded_mask;
    enum qw_prefix_heads prefix_heads;  /* for how many heads a prefix is cut */
    unsigned empty_caches;              /* kinds (1 << enum qw_cache_kind) that may stand for an empty cache */
    unsigned filled_caches;             /* kinds that may hold rows */
    /* model */
    bool rotary_in_attention;           /* cos/sin tables [S,D] made in each attention, not once per call */
    enum qw_tied_head tied_head;
};

struct qw_version {
    int number[3];
};

/* "4.44.2", "5.0.0.dev0", "0.12" -> numbers; false when it does not begin with a number. */
bool qw_version_read(struct qw_version *version, const char *text);
int qw_version_compare(struct qw_version a, struct qw_version b); /* < 0, 0, > 0 */

/* The healthy rules of the pair. */
struct qw_rules qw_rules_healthy(struct qw_version transformers, struct qw_version peft);
/* The newest versions that the rules were measured with: later ones are played by the same rules. */
struct qw_version qw_newest_transformers(void), qw_newest_peft(void);

enum qw_deviation {
#define DEVIATION(symbol, id, party, assignment) QW_DEVIATION_##symbol,
#include "reference/deviations.def"
#undef DEVIATION
    QW_DEVIATIONS
};

const char *qw_deviation_id(enum qw_deviation deviation); /* "prompt-not-injected" */
enum qw_party qw_deviation_party(enum qw_deviation deviation);
void qw_deviation_apply(struct qw_rules *rules, enum qw_deviation deviation);

#endif
