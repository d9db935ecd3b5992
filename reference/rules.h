/* The rules of a play: how the three parties behave.
 *
 * The healthy rules follow from the versions of transformers and PEFT
 * (reference/eras.def).  A deviation (reference/deviations.def) is one
 * assignment to a rule: everything that can go wrong is a rule here, and the
 * protocol, the model and the cache consult it. */
#ifndef QW_RULES_H
#define QW_RULES_H

#include <stdbool.h>

#include "reference/base/tensor.h"
#include "reference/cache/cache.h"
#include "reference/sites.h"

enum qw_restart { QW_RESTART_NEVER, QW_RESTART_LATER, QW_RESTART_EVERY }; /* steps that go on; the first, behind a prefix, too */
enum qw_prefix_heads { QW_PREFIX_KEY_VALUE_HEADS, QW_PREFIX_QUERY_HEADS };
/* Whose keys and values a layer of the prefix gets. */
enum qw_prefix_wiring {
    QW_WIRED,             /* its own */
    QW_WIRED_HALVES,      /* the flat prefix taken for all keys, then all values */
    QW_WIRED_INTERLEAVED, /* … stored so, and taken for key and value of each layer in turn */
    QW_WIRED_REVERSED,    /* layers in the opposite order */
    QW_WIRED_NEXT,        /* those of the layer behind it, the last those of the first */
    QW_WIRED_PREVIOUS,    /* those of the layer before it, the first those of the last */
    QW_WIRED_VALUE_NEXT,  /* its own key, the value of the layer behind it */
};
/* How often an adapter's encoder is applied to its embedding. */
enum qw_projections { QW_PROJECTED_ONCE, QW_PROJECTED_TWICE, QW_PROJECTED_NEVER };
#define QW_EVERY_STEP      (-1)                          /* of qw_rules.drop_cache */
#define QW_TOKENS_REVERSED 0x10000                       /* of qw_rules.token_order */
enum qw_mask_habit { QW_MASK_ALWAYS, QW_MASK_OPTIONAL }; /* OPTIONAL: may stay away when nothing is padded */
/* What a library makes of a checkpoint that has a head of its own although its configuration ties it to the embedding. */
enum qw_tied_head {
    QW_TIED_AS_STORED,
    QW_TIED_EMBEDDING,
    QW_TIED_HEAD
}; /* both kept; the embedding for both; the head for both */

/* What the model makes of a mask that is shorter than the cache. */
enum qw_short_mask {
    QW_SHORT_HIDES_LAST,          /* padded with zeros at the right: the last keys are hidden */
    QW_SHORT_IGNORED,             /* all ones: not looked at */
    QW_SHORT_RAISES_IN_MODEL,     /* before the blocks, where the mask of four axes is made */
    QW_SHORT_RAISES_IN_ATTENTION, /* in the first attention, where it meets the scores */
};

/* What attention gives for a row that sees no key. */
enum qw_blind_row {
    QW_BLIND_UNIFORM,  /* every key weighs the same, those of the future included */
    QW_BLIND_ZERO,     /* nothing */
    QW_BLIND_UNMASKED, /* as if it saw every key */
    QW_BLIND_SUNK,     /* the same, by what is left of a score once the least float16 was added to it */
};

/* To which layers a configured sliding window applies. */
enum qw_window_habit {
    QW_WINDOW_NOWHERE,
    QW_WINDOW_EVERYWHERE, /* whether use_sliding_window is set or not */
    QW_WINDOW_IF_USED,    /* all layers, if it is set */
    QW_WINDOW_BY_LAYER,   /* those that layer_types names, else those from max_window_layers on, if it is set */
};

/* How a layer's window departs from what its era makes of the configuration. */
enum qw_window_fault { QW_WINDOW_RIGHT, QW_WINDOW_IGNORED, QW_WINDOW_IN_ALL_LAYERS, QW_WINDOW_WIDER, QW_WINDOW_NARROWER };

/* Which numbers of a head are rotated with each other, and how cos and sin stand in their tables. */
enum qw_pairing {
    QW_PAIRS_HALVES,            /* i and i + D/2; the halves of a table repeat each other */
    QW_PAIRS_NEIGHBOURS,        /* 2i and 2i + 1, by angle i; tables as ever */
    QW_PAIRS_NEIGHBOURS_TABLES, /* the same; in tables too each angle stands twice side by side */
    QW_PAIRS_NEIGHBOURS_ASTRAY, /* 2i and 2i + 1, each by the angle that stands at its own place of a table as ever */
};
#define QW_NO_EPSILON (-1) /* of qw_rules.norm_eps */

/* Of the three projections of an attention: a set. */
enum { QW_QUERIES = 1, QW_KEYS = 2, QW_VALUES = 4 };

/* What scores are divided by. */
enum qw_scaling {
    QW_SCALED,               /* sqrt(D) */
    QW_SCALED_NEVER,         /* 1 */
    QW_SCALED_TWICE,         /* D */
    QW_SCALED_BY_PLAIN_SIZE, /* sqrt(d / H), whatever the head size */
    QW_SCALED_BY_WIDTH,      /* sqrt(d) */
};

/* How the two branches of the feed-forward are mixed up. */
enum qw_gating { QW_GATED, QW_GATED_WEIGHTS_SWAPPED, QW_GATED_BY_UP }; /* … silu on the other branch */

/* What stands in the place of a head that is tied to the embedding. */
enum qw_head { QW_HEAD_AS_LOADED, QW_HEAD_AS_STORED, QW_HEAD_ZERO };

struct qw_rules {
    /* protocol */
    bool bypass_adapter;               /* the base model is called as if there were no adapter */
    bool inject_first;                 /* virtual tokens reach the first step */
    bool inject_again;                 /* … and every later step that starts without a cache (use_cache=False) */
    bool reinject;                     /* … and steps that go on: before their tokens, or in the place of the cache */
    bool refeed;                       /* steps that go on feed every token so far, although the cache holds them */
    bool trim_later;                   /* steps that go on feed their last token alone */
    enum qw_restart restart_positions; /* which steps count their positions from 0 */
    bool mask_follows_cache;           /* a mask for tokens that are fed again covers what the cache holds besides */
    bool extend_mask;                  /* the mask covers the virtual tokens */
    bool hide_virtual;                 /* … with zeros */
    int mask_shift;                    /* the mask's entries stand that many places further right than they belong (cyclic) */
    int virtual_offset;                /* real tokens start at this many times P */
    bool transpose_prefix;             /* a prefix is handed over with heads and tokens swapped, [B,P,K,D] */
    bool prefix_counted;               /* generate() numbers the tokens behind a prefix from P, not from the cache's length */
    bool numbers_base;     /* generate() numbers tokens by the mask and hands the numbers over: of the base model … */
    bool numbers_prefix;   /* … and behind a prefix */
    bool counts_padding;   /* … but counts padding as if it were tokens */
    int padding_position;  /* what padding gets in that numbering */
    bool chunks_by_place;  /* a chunk of the prompt that is not its end is numbered by place, padding or not */
    bool decode_counts;    /* a decode step counts the mask again; else it goes on from the number of the last token */
    bool swap_prefix;      /* … with keys in the place of values and the reverse */
    bool plain_head_size;  /* … with heads of hidden / heads numbers, whatever the model's own head size */
    bool normalize_prefix; /* … with its keys normalised head by head, as the model does with its own (Qwen3) */
    bool rotate_prefix;    /* … with its keys rotated as if they stood at positions 0 .. P-1 */
    int token_order;       /* virtual token p is handed over in the place of p + token_order (cyclic); QW_TOKENS_REVERSED */
    enum qw_prefix_wiring wiring;
    enum qw_projections projections;
    enum qw_dtype prompt_dtype; /* virtual tokens are rounded to it on their way; QW_F64: not at all */
    int drop_cache;             /* step n > 0 is handed an empty cache; QW_EVERY_STEP: every one behind the first; 0: none */
    enum qw_mask_habit unpadded_mask;
    enum qw_prefix_heads prefix_heads; /* for how many heads a prefix is cut */
    unsigned empty_caches;             /* kinds (1 << enum qw_cache_kind) that may stand for an empty cache */
    unsigned filled_caches;            /* kinds that may hold rows */
    /* model */
    bool rotary_in_attention; /* cos/sin tables [S,D] made in each attention, not once per call */
    enum qw_tied_head tied_head;
    enum qw_short_mask short_mask;      /* for a first call, and for a single token */
    enum qw_short_mask short_mask_past; /* for several tokens behind a filled cache, and for a mask with zeros */
    bool mask_gives_length;             /* without a cache the mask says how many keys there are: any other number raises, but */
    enum qw_short_mask uncached_mask;   /* … what becomes of the keys that a mask of ones does not cover */
    bool packs;                         /* without cache and mask, a position that does not follow on begins another sequence */
    enum qw_blind_row blind_row;
    enum qw_window_habit window;
    int window_extra; /* keys that are seen beyond the window */
    enum qw_window_fault window_fault;
    bool sees_ahead;        /* behind a filled cache no key is hidden for being later */
    bool joins_along_heads; /* new keys and values are joined to the cache along the axis of the heads */
    bool ignores_positions; /* the model counts the rows of its cache, whatever positions are handed over */
    bool asks_no_mask;      /* behind a filled cache, a mask that is handed over is expanded to a causal one that is not there */
    bool withhold_cache;    /* blocks that are recomputed are not given the cache that positions and mask reckon with */
    bool wide_mask_raises;  /* … and a mask over more keys than they have then raises in the first; else it is cut */
    /* cache */
    bool append_twice;        /* what a layer appends is appended a second time once attention has seen it */
    bool take_rewritten;      /* rows that the record changes afterwards are taken over as the record then has them */
    bool fused;               /* attention is one kernel, which rounds the weights and the result alone */
    bool rope_in_model_dtype; /* the rotary frequencies were rounded to the model's dtype */
    /* the model's arithmetic */
    double rope_base; /* of the rotation, instead of the configured one; 0: that */
    enum qw_pairing pairing;
    double norm_eps;      /* of every norm, instead of the configured one; 0: that */
    unsigned lost_biases; /* projections whose bias is not added */
    unsigned lost_norms;  /* … whose heads are not normalised (Qwen3) */
    bool tiled_heads;     /* query head h uses key/value head h modulo K, not h / (H/K) */
    enum qw_scaling scaling;
    enum qw_gating gating;
    enum qw_head head;
    enum qw_dtype sums; /* products of a weight are summed in this half, one after the other; QW_F64: as the framework does */
};

struct qw_version {
    int number[3];
};

/* "4.44.2", "5.0.0.dev0", "0.12" -> numbers; false when it does not begin with a number. */
bool qw_version_read(struct qw_version *version, const char *text);
int qw_version_compare(struct qw_version a, struct qw_version b); /* < 0, 0, > 0 */

/* Where a run took place, as far as healthy rules depend on it. */
struct qw_setting {
    struct qw_version transformers, peft;
    bool half;  /* a float16 model: its least number does not swallow a score */
    bool eager; /* attention written out in the model's code, not torch's scaled_dot_product_attention */
    bool cuda;
    enum qw_family family;
};

/* The healthy rules of a setting. */
struct qw_rules qw_rules_healthy(struct qw_setting setting);
/* The newest versions that the rules were measured with (later ones are played by the same rules), on a CPU. */
struct qw_setting qw_setting_newest(void);

/* Whether a play under the rules rounds more than the framework does, so that its noise floor is wider than the healthy one. */
bool qw_rules_widen(const struct qw_rules *rules);

/* Rows that a layer's cache grows by when it is given those of `queries` tokens. */
int64_t qw_rows_appended(const struct qw_rules *rules, int64_t queries);

enum qw_deviation {
#define DEVIATION(symbol, id, party, assignment) QW_DEVIATION_##symbol,
#include "reference/deviations.def"
#undef DEVIATION
    QW_DEVIATIONS
};

/* A value that a deviation with a parameter tries. */
struct qw_value {
    double number;
    const char *words; /* what it is called; "": the number says it */
};

const char *qw_deviation_id(enum qw_deviation deviation); /* "prompt-not-injected" */
enum qw_party qw_deviation_party(enum qw_deviation deviation);
/* How many values it tries, 0 for one without a parameter; and the one at `index`, NULL behind the last. */
int qw_deviation_values(enum qw_deviation deviation);
const struct qw_value *qw_deviation_value(enum qw_deviation deviation, int index);
void qw_deviation_apply_value(struct qw_rules *rules, enum qw_deviation deviation, double value);
void qw_deviation_apply(struct qw_rules *rules, enum qw_deviation deviation); /* with its first value */

#endif
