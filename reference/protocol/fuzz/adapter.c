/* Arbitrary bytes as adapter_config.json.  Invariant: what was accepted has a kind and a number of virtual tokens. */
#include <assert.h>

#include "reference/protocol/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qw_error error = {0};
    struct qw_adapter adapter = {0};
    struct qw_json *json = qw_json_parse((const char *)bytes, size, "adapter_config.json", &error);
    if (json && qw_adapter_read_config(&adapter, qw_json_get_text(json, "peft_type", ""), json, "adapter_config.json", &error))
        assert(adapter.kind != QW_ADAPTER_NONE && adapter.virtual_tokens >= 1);
    else
        assert(error.kind != QW_ERROR_NONE);
    qw_adapter_clear(&adapter);
    qw_json_free(json);
    return 0;
}
