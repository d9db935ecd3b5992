/* The catalogue of causes (harness/diagnose/causes.def) as tables, and its texts with the facts of a recording put in. */
#ifndef QC_DIAGNOSE_CAUSES_H
#define QC_DIAGNOSE_CAUSES_H

#include "harness/compare/subject.h"

struct qc_cause_row {
    const char *id, *title, *mechanism, *why, *remedy, *upstream;
};

/* Versions in which a cause is known, [from, below); "" leaves an end open.  First match wins. */
struct qc_known_row {
    const char *id, *transformers_from, *transformers_below, *peft_from, *peft_below, *peft_type, *fixed_in;
};

/* An exception that a cause raises: parts of its message and traceback. */
struct qc_signature_row {
    const char *id, *exception, *message, *traceback;
};

const struct qc_known_row *qc_known_at(int index);         /* NULL behind the last */
const struct qc_signature_row *qc_signature_at(int index); /* NULL behind the last */

int qc_cause_count(void);
const struct qc_cause_row *qc_cause_at(int index);
const struct qc_cause_row *qc_cause_find(const char *id); /* NULL when unknown */

/* The deviation that reproduces the cause; false when it is named by signature alone. */
bool qc_cause_deviation(enum qw_deviation *deviation, const struct qc_cause_row *cause);

/* First good release for the recorded versions, "peft 0.13.0"; NULL when the pair is not among the known bad ones. */
const char *qc_cause_fixed_in(const struct qc_cause_row *cause, const struct qc_subject *subject);

/* Whether any version of the libraries is known to have it (rather than an engine or a script of its own). */
bool qc_cause_has_versions(const struct qc_cause_row *cause);

/* Whether the exception of a run that raised is one that the cause is known to raise. */
bool qc_cause_signed(const struct qc_cause_row *cause, const struct qc_subject *subject);

/* Whether the catalogue knows the exception that the cause raises. */
bool qc_cause_has_signature(const struct qc_cause_row *cause);

/* A text of the row with its {names} replaced by the facts of `subject`, or by words where it is NULL; free with free(). */
char *qc_cause_text(const char *text, const struct qc_cause_row *cause, const struct qc_subject *subject);

#endif
