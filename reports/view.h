/* What every format says the same way: the words for statuses, kinds, blind
 * spots and places, the way numbers are written, and which command comes next.
 *
 * Nothing here escapes: texts of the document come out as they went in, and
 * the format that prints them escapes for its context. */
#ifndef RP_VIEW_H
#define RP_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/json.h"
#include "reference/base/text.h"

enum rp_shape { RP_SHAPE_GOOD, RP_SHAPE_BAD, RP_SHAPE_BROKEN, RP_SHAPE_CHANGED, RP_SHAPE_NONE };

/* What a status means to a CI system. */
enum rp_outcome {
    RP_OUTCOME_PASSED,
    RP_OUTCOME_FAILED,
    RP_OUTCOME_KNOWN,     /* fails as the baseline says */
    RP_OUTCOME_STALE,     /* passes although the baseline says otherwise */
    RP_OUTCOME_SKIPPED,   /* not judged, for a reason that is no fault */
    RP_OUTCOME_UNDECIDED, /* not judged, and should have been */
};

struct rp_status {
    const char *word; /* "PASS" */
    char sign;        /* one ASCII character, different for each shape */
    enum rp_shape shape;
    enum rp_outcome outcome;
    bool judged;         /* counts among the judged */
    const char *meaning; /* one sentence */
};

/* The row of a status word; unknown words get the row "NOTRUN" (never NULL). */
const struct rp_status *rp_status_find(const char *word);
const struct rp_status *rp_status_at(size_t index); /* NULL behind the last */

/* Status of one case, and of all cases together (the worst that counts). */
const struct rp_status *rp_case_status(const struct qw_json *one);
const struct rp_status *rp_overall_status(const struct qw_json *result);

/* A short text by value. */
struct rp_word {
    char text[64];
};

struct rp_word rp_number(const struct qw_json *node); /* three significant digits; "inf", "nan"; "-" for null */
struct rp_word rp_value(const struct qw_json *node);  /* nine significant digits; otherwise as rp_number */
struct rp_word rp_share(const struct qw_json *node);  /* 0.9999 -> "99.99 %", rounded down; "-" for null */

/* Appends "[1, 2, 16, 8]"; "-" for null. */
void rp_add_list(struct qw_text *out, const struct qw_json *list);
/* A list, a text, a number, or yes or no. */
void rp_add_value(struct qw_text *out, const struct qw_json *node);

/* Appends "step 0, layer 1, self_attn.q_proj" for any node with step, layer and site; "-" for null. */
void rp_add_place(struct qw_text *out, const struct qw_json *node);

/* Appends "4.44.2 x 0.12.0" (transformers x peft); "-" when neither is known. */
void rp_add_versions(struct qw_text *out, const struct qw_json *one);

/* Appends "11 judged: 6 PASS, 5 FAIL", and "; 2 not judged: 1 ERROR, 1 SKIP" when there are such. */
void rp_add_counts(struct qw_text *out, const struct qw_json *result);
/* The same of one suite, by its file; NULL: of all. */
void rp_add_counts_of(struct qw_text *out, const struct qw_json *result, const char *suite);

/* Appends one sentence on all cases together; false (and nothing) for fewer than two, which need none. */
bool rp_add_whole_verdict(struct qw_text *out, const struct qw_json *result);

/* A case that somebody should look at: not one that passes, is known to fail, or is skipped. */
bool rp_needs_attention(const struct qw_json *one);
bool rp_is_not_run(const struct qw_json *one);
/* A signal ended the run before its end. */
bool rp_is_interrupted(const struct qw_json *result);

/* Appends a consequence in words; false (and nothing) when none is known. */
bool rp_add_consequence(struct qw_text *out, const struct qw_json *one);

/* Appends a word of a command line: bare where the shell takes it as it is, else in single quotes. */
void rp_add_word(struct qw_text *out, const char *word);

/* Appends the command to type next, for one case or for the result; false (and nothing) when nothing is left to do. */
bool rp_add_next_command(struct qw_text *out, const struct qw_json *one);
bool rp_add_next_of_all(struct qw_text *out, const struct qw_json *result);

/* Appends the command that judges the case again; false (and nothing) when the document does not say of what. */
bool rp_add_rerun(struct qw_text *out, const struct qw_json *one);

/* Words for the enumerations of the document; "" when there is nothing to add. */
const char *rp_kind_meaning(const char *kind);
const char *rp_kind_between(const char *kind); /* said of two recordings, neither of which is the healthy run */
char rp_kind_letter(const char *kind);         /* in the error map; 0 for "value", 'O' for an unknown kind */
const char *rp_letter_kind(char letter);       /* the way back; "other" for 'O' */
const char *rp_blind_meaning(const char *id);
const char *rp_says_meaning(const char *id); /* of a consequence */
const char *rp_confidence_meaning(const struct qw_json *cause);
const char *rp_party_title(const struct qw_json *party);

/* A case that holds one recording against another: "expected" is the first, "observed" the second. */
bool rp_is_comparison(const struct qw_json *one);

/* "explains 84 % of the divergence"; of one of two that are needed together: by itself, and what they explain together. */
void rp_add_explained(struct qw_text *out, const struct qw_json *cause);

/* True when the cause is there and is a named one (not "unclassified"). */
bool rp_is_named(const struct qw_json *cause);

/* Appends which of the cause's values or kinds reproduces the record; false, and nothing, when it has none. */
bool rp_add_fitting(struct qw_text *out, const struct qw_json *cause);

/* The cause of a case; NULL for a comparison, which names none. */
const struct qw_json *rp_case_cause(const struct qw_json *one);
/* The ids of all causes that are needed together, "a + b"; "-" for none. */
void rp_add_cause_ids(struct qw_text *out, const struct qw_json *one);

/* One side of the first divergence (expected or observed) that holds neither shape, nor dtype, nor value. */
bool rp_is_nothing(const struct qw_json *side);

/* A site whose status says that it does not conform by itself. */
bool rp_site_fails(const struct qw_json *site);

#endif
