/* The prompt on its way from the adapter to the model: the right one, and every way to spoil it. */
#ifndef QW_PROTOCOL_PROMPT_H
#define QW_PROTOCOL_PROMPT_H

#include "reference/protocol/adapter.h"

/* The prompt that is handed over under the rules: what the adapter makes of its table (qw_adapter_prompt), with its parts
 * moved, and its numbers changed, as they say: [B,P,d] or [L,2,B,heads,P,D].  Free with qw_tensor_free. */
struct qw_tensor *qw_protocol_prompt(const struct qw_adapter *adapter, const struct qw_config *config,
                                     const struct qw_rules *rules, int64_t batch);

/* Whether the rules only move numbers of the table, or change them too. */
bool qw_protocol_prompt_is_moved(const struct qw_rules *rules);

#endif
