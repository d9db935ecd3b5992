/* Invariant: no mask is made of tokens that the library takes for text. */
#include "harness/compare/padding.h"

#include "reference/base/memory.h"

/* The token id, or the list of them, that the call or else the model's configuration names; NULL: neither. */
static const struct qw_json *named_tokens(const struct qc_recording *recording, const char *name)
{
    const struct qw_json *asked = qw_json_get(recording->call_kwargs, name);
    return qw_json_is_null(asked) ? qw_json_get(recording->model_config, name) : asked;
}

static bool is_among(const struct qw_json *tokens, int64_t token)
{
    bool found = qw_json_int(tokens, -1) == token;
    for (const struct qw_json *t = qw_json_first(tokens); t && !found; t = qw_json_next(t))
        found = qw_json_int(t, -1) == token;
    return found;
}

int64_t *qc_padding_mask(const struct qc_recording *recording, const struct qw_call *call)
{
    int64_t padding = qw_json_int(named_tokens(recording, "pad_token_id"), -1), count = call->batch * call->tokens;
    bool padded = false;
    for (int64_t i = 0; i < count; i++)
        padded = padded || call->input_ids[i] == padding;
    if (!call->generate || call->mask || !padded || is_among(named_tokens(recording, "eos_token_id"), padding))
        return NULL;
    int64_t *mask = QW_NEW_ARRAY(int64_t, count);
    for (int64_t i = 0; i < count; i++)
        mask[i] = call->input_ids[i] != padding;
    return mask;
}
