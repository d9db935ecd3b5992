/* An adapter: P virtual tokens and one table, saved by PEFT as "prompt_embeddings", or made by the adapter's encoder where
 * that was kept instead (reference/protocol/encoder.h).
 *
 *   prompt tuning, P-tuning   table [P,d]: rows in front of the token embeddings
 *   prefix tuning             table [P,2LKD]: column ((2 layer + kv) K + head) D + i, kv 0 for keys, 1 for values
 *                             (peft/peft_model.py, get_prompt: view, permute [2,0,3,1,4], split) */
#ifndef QW_PROTOCOL_ADAPTER_H
#define QW_PROTOCOL_ADAPTER_H

#include "reference/base/error.h"
#include "reference/base/json.h"
#include "reference/model/config.h"
#include "reference/model/tensors.h"
#include "reference/protocol/encoder.h"
#include "reference/rules.h"

enum qw_adapter_kind { QW_ADAPTER_NONE, QW_ADAPTER_EMBEDS, QW_ADAPTER_KEYS_VALUES };

struct qw_adapter {
    enum qw_adapter_kind kind;
    char peft_type[32];
    int64_t virtual_tokens;        /* P; 0 without an adapter */
    struct qw_tensors tensors;     /* owned */
    struct qw_encoder encoder;     /* parts of it in `tensors` */
    bool computed;                 /* the table is what the encoder makes: as good as the arithmetic that it is made in */
    const struct qw_tensor *table; /* [P,columns]; NULL when the weights are not at hand */
    int64_t tables;                /* 0; or `table` has P rows of its own for each of so many batch rows */
    /* What a wrong number of projections gives, NULL where it cannot be: the embedding itself, and the table encoded again. */
    const struct qw_tensor *unprojected, *twice;
    struct qw_tensor *made[2]; /* what was computed of these; owned */
};

/* Reads type and P of adapter_config.json (P-Tuning v2: pre_seq_len); QW_ERROR_UNSUPPORTED for another type (LoRA, …). */
bool qw_adapter_read_config(struct qw_adapter *adapter, const char *peft_type, const struct qw_json *json, const char *place,
                            struct qw_error *error);

/* Finds the table among the tensors, or makes it in float64 where they are an encoder's.  With "prompt_embeddings" nothing is
 * applied: they are what came out.  QW_ERROR_INPUT when there are tensors but no table of rank 2, or an encoder whose parts
 * do not join.  A table of the wrong extents is no error: it is evidence (qw_adapter_fits). */
bool qw_adapter_bind(struct qw_adapter *adapter, struct qw_error *error);

/* Reads adapter_model.safetensors of a folder, in the type it is stored in: PEFT keeps halves in float32 and casts where
 * they join.  `digest` as in qw_checkpoint_check. */
bool qw_adapter_read_folder(struct qw_adapter *adapter, const char *folder, const char *digest, struct qw_error *error);

void qw_adapter_clear(struct qw_adapter *adapter);

/* Whether the table has the extents that the rules ask for. */
bool qw_adapter_fits(const struct qw_adapter *adapter, const struct qw_config *config, const struct qw_rules *rules);

/* Whether the table can be this model's under any rules, healthy or not.  Only for an adapter that a person gives in place
 * of the recorded one: a misfit of the recorded one is evidence.  QW_ERROR_INPUT with both numbers, what they mean, and
 * the base model that `folder` says the adapter was trained for. */
bool qw_adapter_check(const struct qw_adapter *adapter, const struct qw_config *config, const char *folder,
                      struct qw_error *error);

/* What get_prompt() hands over under the rules, in float64: [B,P,d], or [L,2,B,heads,P,D] for a prefix.
 * Without data when the table is absent or does not fit.  Free with qw_tensor_free. */
struct qw_tensor *qw_adapter_prompt(const struct qw_adapter *adapter, const struct qw_config *config,
                                    const struct qw_rules *rules, int64_t batch);

#endif
