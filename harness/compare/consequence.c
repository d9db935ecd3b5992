/* Invariant: a logit that is not finite agrees with nothing. */
#include "harness/compare/consequence.h"

#include <math.h>
#include <stdlib.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"

static const struct {
    const char *id, *words;
} rows[QC_SAYS] = {
#define SAYS(symbol, id, words) {id, words},
#include "reports/consequences.def"
#undef SAYS
};

const char *qc_consequence_id(enum qc_says says) { return rows[says].id; }

char *qc_consequence_text(const struct qc_consequence *consequence, bool raised)
{
    if (consequence->says == QC_SAYS_FLIPS)
        return qw_format("Consequence: the token of step %d flips.", consequence->first_flip);
    if (consequence->says == QC_SAYS_UNKNOWN && raised)
        return qw_strdup("Consequence: the run raised before its first logits.");
    return qw_format("Consequence: %s.", rows[consequence->says].words);
}

struct qc_consequence qc_consequence_make(int steps)
{
    return (struct qc_consequence){.steps = steps, .step = QW_NEW_ARRAY(struct qc_weighed, steps), .first_flip = -1};
}

void qc_consequence_clear(struct qc_consequence *consequence)
{
    free(consequence->step);
    *consequence = (struct qc_consequence){0};
}

int64_t qc_largest_logit(const double *row, int64_t count)
{
    int64_t best = -1;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(row[i]) && (best < 0 || row[i] > row[best]))
            best = i;
    return best;
}

/* log sum exp */
static double log_sum(const double *row, int64_t count)
{
    int64_t top = qc_largest_logit(row, count);
    double sum = 0;
    for (int64_t i = 0; top >= 0 && i < count; i++)
        sum += exp(row[i] - row[top]);
    return top < 0 ? (double)NAN : row[top] + log(sum);
}

double qc_divergence(const double *p, const double *q, int64_t count)
{
    double of_p = log_sum(p, count), of_q = log_sum(q, count), sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += exp(p[i] - of_p) * ((p[i] - of_p) - (q[i] - of_q));
    return isfinite(sum) ? fmax(sum, 0) : (double)INFINITY;
}

static double margin_of(const double *row, int64_t top, int64_t count)
{
    double second = -(double)INFINITY;
    for (int64_t i = 0; i < count; i++)
        if (i != top && row[i] > second)
            second = row[i];
    return top < 0 ? 0 : row[top] - second;
}

static double error_of(const double *play, const double *record, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(record[i] - play[i]) <= largest))
            largest = isfinite(record[i]) ? fabs(record[i] - play[i]) : (double)INFINITY;
    return largest;
}

bool qc_weighed_agrees(const struct qc_weighed *step) { return step->conforms || step->expected == step->observed; }

/* How near the row is to another token: without end where it has one. */
static double danger(const struct qc_weighed *row)
{
    if (row->expected != row->observed)
        return (double)INFINITY;
    return row->error == 0 ? 0 : row->error / row->margin;
}

void qc_consequence_weigh(struct qc_weighed *step, const double *play, const double *record, int64_t count)
{
    struct qc_weighed row = {.known = true, .error = error_of(play, record, count), .kl = qc_divergence(play, record, count)};
    row.expected = qc_largest_logit(play, count);
    row.observed = qc_largest_logit(record, count);
    row.margin = margin_of(play, row.expected, count);
    double kl = fmax(step->kl, row.kl);
    if (!step->known || danger(&row) > danger(step))
        *step = row;
    step->kl = kl;
}

static enum qc_says says_of(const struct qc_consequence *consequence, bool raised)
{
    bool differs = false, could = false;
    for (int i = 0; i < consequence->steps; i++) {
        const struct qc_weighed *step = &consequence->step[i];
        differs = differs || (step->known && !step->conforms);
        could = could || (step->known && !step->conforms && !(2 * step->error < step->margin));
    }
    if (!consequence->compared)
        return QC_SAYS_UNKNOWN;
    if (consequence->first_flip >= 0)
        return QC_SAYS_FLIPS;
    return raised ? QC_SAYS_RAISES : could ? QC_SAYS_COULD_FLIP : differs ? QC_SAYS_CANNOT_FLIP : QC_SAYS_NONE;
}

void qc_consequence_settle(struct qc_consequence *consequence, bool raised)
{
    consequence->compared = consequence->agreed = 0;
    consequence->first_flip = -1;
    consequence->largest_kl = 0;
    for (int i = 0; i < consequence->steps; i++) {
        struct qc_weighed *step = &consequence->step[i];
        if (!step->known)
            continue;
        if (step->conforms)
            step->kl = 0;
        consequence->compared++;
        consequence->agreed += qc_weighed_agrees(step);
        consequence->largest_kl = fmax(consequence->largest_kl, step->kl);
        if (!qc_weighed_agrees(step) && consequence->first_flip < 0)
            consequence->first_flip = i;
    }
    consequence->says = says_of(consequence, raised);
}
