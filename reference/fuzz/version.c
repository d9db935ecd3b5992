/* Arbitrary text as a version.  Invariant: versions are ordered, and rules follow from any two. */
#include <assert.h>
#include <stdlib.h>

#include "reference/base/text.h"
#include "reference/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = qw_format("%.*s", (int)size, (const char *)bytes);
    struct qw_version version, newest = qw_setting_newest().transformers;
    bool known = qw_version_read(&version, text);
    for (int i = 0; i < 3; i++)
        assert(version.number[i] >= 0 && (known || version.number[i] == 0));
    assert(qw_version_compare(version, version) == 0);
    assert((qw_version_compare(version, newest) < 0) == (qw_version_compare(newest, version) > 0));
    qw_rules_healthy((struct qw_setting){.transformers = version, .peft = version});
    free(text);
    return 0;
}
