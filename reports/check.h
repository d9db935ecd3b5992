/* Whether a document is what its schema says: results, suites, baselines.
 *
 * The rules are those of the schema files, which are built into the program:
 * types, required fields, enumerations, limits, lengths, patterns, and no
 * fields beyond those that it names where it says so. */
#ifndef RP_CHECK_H
#define RP_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/error.h"
#include "reference/base/json.h"

/* The schemas that are built in, by name. */
#define RP_RESULT   "qconform-result/1"
#define RP_SUITE    "qconform-suite/1"
#define RP_BASELINE "qconform-baseline/1"

/* Whether the document is a sound one of that schema.  Else QW_ERROR_INPUT at the first field that breaks a rule: place
 * "cases[0].sites[3].ratio", what stands there, what is due; as the hint what to do, for a field that a person writes what
 * the schema says of it.  What the definition `without` describes is passed over; NULL: nothing. */
bool rp_check_as(const struct qw_json *document, const char *schema, const char *without, struct qw_error *error);

/* The same for one node that a definition of the schema describes ("case"), which stands at `place` of its document. */
bool rp_check_part(const struct qw_json *node, const char *schema, const char *definition, const char *place,
                   struct qw_error *error);

/* rp_check_as for a result. */
bool rp_check(const struct qw_json *document, struct qw_error *error);

/* A schema as it lies in its file, `*size` bytes. */
const char *rp_schema_text(const char *name, size_t *size);

#endif
