/* The catalogue of causes (harness/diagnose/causes.def) as tables, and its texts with the facts of a recording put in. */
#ifndef QC_DIAGNOSE_CAUSES_H
#define QC_DIAGNOSE_CAUSES_H

#include "harness/compare/subject.h"

struct qc_cause_row {
    const char *id, *title, *mechanism, *why, *remedy, *upstream;
};

/* Versions in which a cause is known, [from, below); "" leaves an end open.  First match wins.  `fixed_in` is "" where no
 * release of either library is known to cure it. */
struct qc_known_row {
    const char *id, *transformers_from, *transformers_below, *peft_from, *peft_below, *peft_type, *fixed_in;
};

/* An exception that a cause raises: parts of its message and traceback. */
struct qc_signature_row {
    const char *id, *exception, *message, *traceback;
};

/* A cause that its exception proves without a play: who is at fault, and what else differs before the raise because of
 * it, as "site:kind" separated by spaces. */
struct qc_raise_row {
    const char *id;
    enum qw_party party;
    const char *differences;
};

/* What was tried against a cause, and what the recording of it gave: "PASS", or the cause that then is found. */
struct qc_remedy_row {
    const char *id, *what, *transformers, *peft, *recording, *verdict;
};

const struct qc_known_row *qc_known_at(int index);         /* NULL behind the last */
const struct qc_signature_row *qc_signature_at(int index); /* NULL behind the last */
const struct qc_raise_row *qc_raise_at(int index);         /* NULL behind the last */
const struct qc_remedy_row *qc_remedy_at(int index);       /* NULL behind the last */

int qc_cause_count(void);
const struct qc_cause_row *qc_cause_at(int index);
const struct qc_cause_row *qc_cause_find(const char *id); /* NULL when unknown */

/* The deviation that reproduces the cause; false when it is named by signature alone. */
bool qc_cause_deviation(enum qw_deviation *deviation, const struct qc_cause_row *cause);

/* Its row among the causes that an exception proves; NULL when none does. */
const struct qc_raise_row *qc_cause_raise(const struct qc_cause_row *cause);
/* Who is at fault. */
enum qw_party qc_cause_party(const struct qc_cause_row *cause);

/* Whether the recorded versions are among those in which the cause is known. */
bool qc_cause_known(const struct qc_cause_row *cause, const struct qc_subject *subject);
/* First good release for the recorded versions, "peft 0.13.0"; NULL when the pair is not among the known bad ones, or when
 * none is known to be good. */
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
