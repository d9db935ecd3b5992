/* Arbitrary bytes as config.json.  Invariant: a configuration that was accepted can be computed with. */
#include <assert.h>
#include <math.h>

#include "reference/model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qw_error error = {0};
    struct qw_config config = {0};
    struct qw_json *json = qw_json_parse((const char *)bytes, size, "config.json", &error);
    if (json && qw_config_read(&config, json, "config.json", &error)) {
        assert(config.layers >= 1 && config.heads >= 1 && config.kv_heads >= 1 && config.head_size >= 1 && config.vocab >= 1);
        assert(config.heads % config.kv_heads == 0);
        assert(isfinite(config.rope_theta) && config.rope_theta > 0 && isfinite(config.norm_eps));
    } else {
        assert(error.kind != QW_ERROR_NONE);
    }
    qw_json_free(json);
    return 0;
}
