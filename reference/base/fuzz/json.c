/* Arbitrary bytes as JSON.  Invariant: what was read prints, and what was printed reads back as the same text. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qw_error error = {0};
    struct qw_json *document = qw_json_parse((const char *)bytes, size, "input", &error);
    assert((document == NULL) == (error.kind == QW_ERROR_INPUT));
    if (!document)
        return 0;
    char *text = qw_json_print(document, size % 2 == 0);
    struct qw_json *again = qw_json_parse(text, strlen(text), "output", &error);
    assert(again);
    char *same = qw_json_print(again, size % 2 == 0);
    assert(!strcmp(text, same));
    free(same);
    free(text);
    qw_json_free(again);
    qw_json_free(document);
    return 0;
}
