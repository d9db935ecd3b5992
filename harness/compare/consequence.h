/* What a difference does to the tokens: the record's next-token logits against those of the healthy play, step by step.
 *
 * A step is weighed by its worst batch row: one whose largest logit is another, else the one with the largest error by margin.
 *
 *   margin   largest minus second largest logit of the healthy play
 *   error    max |record - play| over that row
 *   kl       KL(play || record) in nats, the largest of the batch rows
 *
 * A logit moves by at most `error`, so an error below half the margin cannot make another one the largest.  Where the logits
 * conform to the noise floor only rounding is left: kl is 0, and no token counts as another. */
#ifndef QC_COMPARE_CONSEQUENCE_H
#define QC_COMPARE_CONSEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

enum qc_says {
#define SAYS(symbol, id, words) QC_SAYS_##symbol,
#include "reports/consequences.def"
#undef SAYS
    QC_SAYS
};

struct qc_weighed {
    bool known;                 /* the logits of this step could be compared */
    bool conforms;              /* … and nothing but rounding was found */
    double margin, error, kl;   /* infinite where a logit of the record is not finite */
    int64_t expected, observed; /* largest logits of the worst row; -1 where none is finite */
};

struct qc_consequence {
    int steps;
    struct qc_weighed *step; /* [steps] owned */
    int compared;            /* steps whose last logits could be compared */
    int agreed;              /* … with the same largest logit */
    int first_flip;          /* first step with another largest logit; -1: none */
    double largest_kl;
    enum qc_says says;
};

struct qc_consequence qc_consequence_make(int steps); /* release with qc_consequence_clear */
void qc_consequence_clear(struct qc_consequence *consequence);

/* Weighs one batch row of `count` logits into the step. */
void qc_consequence_weigh(struct qc_weighed *step, const double *play, const double *record, int64_t count);
/* Sums up once it is known at which steps the logits conform; `raised`: the run did, where a healthy one does not. */
void qc_consequence_settle(struct qc_consequence *consequence, bool raised);
bool qc_weighed_agrees(const struct qc_weighed *step);

/* KL(p || q) of two rows of logits, in nats; infinite where q is not finite. */
double qc_divergence(const double *p, const double *q, int64_t count);
int64_t qc_largest_logit(const double *row, int64_t count); /* -1: none is finite */

const char *qc_consequence_id(enum qc_says says); /* "cannot-flip" */
/* One sentence for a verdict.  `raised`: why logits are lacking.  Free with free(). */
char *qc_consequence_text(const struct qc_consequence *consequence, bool raised);

#endif
