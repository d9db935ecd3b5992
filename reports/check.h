/* Whether a document is a result that the reports can be trusted with.
 *
 * The rules are those of result.schema.json, which is built into the program:
 * types, required fields, enumerations, limits of numbers and lengths.  Not
 * checked are the patterns of texts; every text is escaped anyway. */
#ifndef RP_CHECK_H
#define RP_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/base/error.h"
#include "reference/base/json.h"

/* QW_ERROR_INPUT at the first field that breaks a rule: place "cases[0].sites[3].ratio", what stands there, what is due. */
bool rp_check(const struct qw_json *document, struct qw_error *error);

/* A schema by its name ("qconform-result/1", "qconform-suite/1", "qconform-baseline/1") as it lies in its file, `*size` bytes. */
const char *rp_schema_text(const char *name, size_t *size);

#endif
