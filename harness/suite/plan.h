/* The plan of a run: which cases of which suites, in which order, against which
 * baseline; the same whatever the shard, the number of workers and the machine. */
#ifndef QC_SUITE_PLAN_H
#define QC_SUITE_PLAN_H

#include "harness/suite/suite.h"
#include "reference/base/sha256.h"

struct qc_plan_wanted {
    char **operands; /* suite files, folders, and globs on ids of cases ("prompt/..."): what names no file is a glob */
    int count;
    const char *filter;   /* terms, separated by blanks, that must all hold: GLOB on the id, or KEY=GLOB with a key among
                           * id requirement source suite recording tag cause; "!" before a term turns it round; NULL: all.
                           * "cause" is one that the baseline expects.  "*" crosses slashes. */
    const char *baseline; /* instead of those that the suites name; "none": none; NULL: theirs */
    int shard, shards;    /* from 1; 0: all */
};

struct qc_plan {
    struct qc_suites suites;
    struct qc_suite_case **cases; /* the selected ones, of all shards, in the order of the suites */
    int count;
    int shard, shards;
    struct qw_json *baselines;  /* their documents, in an array; those of run.baselines, in that order */
    struct qw_json *notices;    /* texts: what is odd and stops nothing, such as an entry of a baseline that no case has */
    struct qw_json *run;        /* what the result says of it (result.schema.json: run) */
    char digest[QW_SHA256_HEX]; /* of all that decides what is judged: the cases, not the baseline, not the shard */
};

/* False: QW_ERROR_INPUT for an operand that is neither file nor folder and fits no case (with the nearest id), for a filter
 * that cannot be read, and where no suite is named and there is no folder "suites".  What a mistake hides is selected: a
 * case whose block cannot be understood, whatever the filter asks of it but its id, and a file or a baseline that cannot
 * be read.  A plan may be empty.  Release with qc_plan_clear, also after a refusal. */
bool qc_plan_make(struct qc_plan *plan, const struct qc_plan_wanted *wanted, struct qw_error *error);
void qc_plan_clear(struct qc_plan *plan);

/* Whether the shard has that case: every `shards`-th from the `shard`-th on. */
bool qc_plan_is_mine(const struct qc_plan *plan, int index);

/* The case's document where it is not judged: ERROR with the case's problem, or NOTRUN with `why`. */
struct qw_json *qc_plan_problem(const struct qc_suite_case *one);
struct qw_json *qc_plan_not_run(const struct qc_suite_case *one, const char *why);

/* What the suite says of a case (suite, requirement, source) put into what its worker gave, which has its id from the task. */
void qc_plan_describe(struct qw_json *result, const struct qc_suite_case *one);

#endif
