/* Arbitrary bytes as a safetensors file.  Invariant: every tensor that was accepted has the bytes its extents ask for. */
#include <assert.h>
#include <stdint.h>

#include "reference/model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qw_error error = {0};
    struct qw_tensors set = {0};
    size_t total = 0;
    bool ok = qw_safetensors_parse(&set, (const char *)bytes, size, &error);
    for (int i = 0; ok && i < set.count; i++) {
        const struct qw_tensor *tensor = set.item[i].tensor;
        total += (size_t)qw_shape_count(&tensor->shape) * qw_dtype_bytes(tensor->dtype);
        assert(qw_tensors_find(&set, set.item[i].name));
    }
    assert(total <= size && ok == (error.kind == QW_ERROR_NONE));
    qw_tensors_clear(&set);
    return 0;
}
