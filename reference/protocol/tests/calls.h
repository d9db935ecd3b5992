/* A call of two batch rows and the adapters that it may have, for the tests of the protocol. */
#ifndef QW_PROTOCOL_TESTS_CALLS_H
#define QW_PROTOCOL_TESTS_CALLS_H

#include "reference/model/tests/small.h"
#include "reference/protocol/protocol.h"

enum { T = 3, GENERATED = 3, P = 2, WIDTH = 12 };

static const int64_t input_ids[] = {5, 6, 7, 8, 9, 10};
static const int64_t output_ids[] = {5, 6, 7, 1, 2, 3, 8, 9, 10, 11, 12, 13};

/* generate() of three tokens behind three, in a batch of two. */
static inline struct qw_call call_of(bool use_cache)
{
    return (struct qw_call){.generate = true,
                            .use_cache = use_cache,
                            .batch = 2,
                            .tokens = T,
                            .generated = GENERATED,
                            .input_ids = input_ids,
                            .output_ids = output_ids};
}

static inline struct qw_adapter drawn_adapter(enum qw_adapter_kind kind, int64_t columns)
{
    struct qw_adapter adapter = {.kind = kind, .virtual_tokens = P};
    struct qw_error error = {0};
    uint64_t state = 50;
    qw_tensors_add(&adapter.tensors, "prompt_embeddings", drawn_tensor(&state, 1, 0, qw_shape_of(2, (int64_t)P, columns)));
    cr_assert(qw_adapter_bind(&adapter, &error));
    return adapter;
}

static inline struct qw_adapter drawn_prompt(void) { return drawn_adapter(QW_ADAPTER_EMBEDS, WIDTH); }
static inline struct qw_adapter drawn_prefix(void) { return drawn_adapter(QW_ADAPTER_KEYS_VALUES, 2 * 2 * 2 * 4); }

#endif
