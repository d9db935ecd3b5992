/* JUnit XML after the schema that Jenkins published, in its narrow sense
 * (reports/junit.xsd): no attribute that another reader refuses.
 *
 * One <testsuite> per suite file, or one for a result without suites.  A case
 * is a <testcase>; FAIL, CHANGED and XPASS are failures, what was not decided
 * is an error, SKIP and XFAIL are skipped.  No two cases share both classname
 * and name: the later one gets its number.  Times have three digits. */
#ifndef RP_JUNIT_H
#define RP_JUNIT_H

#include "reference/base/json.h"
#include "reference/base/text.h"

/* Appends the document; `result` stays the caller's. */
void rp_junit(struct qw_text *out, const struct qw_json *result);

#endif
