/* Invariant: a relation is broken only where both sides were made as its row says; what cannot be made does not apply. */
#include "harness/selftest/relations.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/noise.h"
#include "harness/selftest/relations_play.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reference/model/forward.h"
#include "reference/model/ops.h"

/* Tokens of a call.  As many as it takes for halves, steps and padding to be told apart, and no more than large models can
 * be played with in float64. */
enum { FEWEST = 8, MOST = 24, PADS = 2, STEPS = 4 };

/* Two sides in the making, and what they are made of. */
struct bench {
    const struct qc_subject *subject;
    struct qw_adapter adapter; /* the subject's, with the table that its encoder gives in float64 */
    int64_t n, *ids;           /* the tokens of the first batch row, without padding; owned, as all that follows */
    struct qw_tensor *table;   /* of an adapter that is made for the relation */
    int64_t *given, *output, *mask;
    struct qw_turn *turn;
};

/* ---- tokens and calls ---- */

static int64_t recorded_ids(int64_t *ids, const struct qw_call *call)
{
    int64_t n = 0;
    for (int64_t t = 0; t < call->tokens && n < MOST; t++)
        if (!call->mask || call->mask[t])
            ids[n++] = call->input_ids[t];
    for (int64_t t = 0; call->output_ids && t < call->generated && n < MOST; t++)
        ids[n++] = call->output_ids[call->tokens + t];
    return n;
}

static struct bench bench_of(const struct qc_subject *subject)
{
    struct bench bench = {.subject = subject, .adapter = qc_encoded_truth(subject), .ids = QW_NEW_ARRAY(int64_t, MOST + 1)};
    bench.n = recorded_ids(bench.ids, &subject->call);
    for (; bench.n < FEWEST; bench.n++) /* too few were recorded: any others do */
        bench.ids[bench.n] = (bench.n ? bench.ids[bench.n - 1] + 1 : 0) % subject->model.config.vocab;
    return bench;
}

static void bench_clear(struct bench *bench)
{
    qw_tensor_free(bench->table);
    free(bench->ids);
    free(bench->given);
    free(bench->output);
    free(bench->mask);
    free(bench->turn);
}

/* A call that feeds `n` ids of one batch row, the last steps - 1 of them one by one behind the others. */
static struct qw_call call_of(const int64_t *ids, int64_t n, int64_t steps)
{
    return (struct qw_call){.generate = true,
                            .use_cache = true,
                            .batch = 1,
                            .tokens = n - steps + 1,
                            .generated = steps,
                            .input_ids = ids,
                            .output_ids = ids};
}

/* The same call with padding around its prompt. */
static struct qw_call padded(struct bench *bench, const struct qw_call *call, int64_t before, int64_t behind)
{
    struct qw_call wide = *call;
    wide.tokens += before + behind;
    bench->output = QW_NEW_ARRAY(int64_t, wide.tokens + wide.generated);
    bench->mask = QW_NEW_ARRAY(int64_t, wide.tokens);
    memcpy(bench->output + before, call->input_ids, sizeof *bench->output * (size_t)call->tokens);
    memcpy(bench->output + wide.tokens, call->output_ids + call->tokens, sizeof *bench->output * (size_t)(call->generated - 1));
    for (int64_t t = 0; t < call->tokens; t++)
        bench->mask[before + t] = 1;
    wide.input_ids = wide.output_ids = bench->output;
    wide.mask = bench->mask;
    return wide;
}

/* ---- adapters made for a relation ---- */

static struct qw_adapter made_adapter(enum qw_adapter_kind kind, const struct qw_tensor *table)
{
    return (struct qw_adapter){.kind = kind, .virtual_tokens = table->shape.dim[0], .table = table};
}

static struct qw_tensor *embeddings_of(const struct qw_model *model, const int64_t *ids, int64_t n)
{
    struct qw_shape shape = qw_shape_of(2, n, model->config.hidden);
    struct qw_tensor *table = qw_tensor_make(QW_F64, &shape);
    qw_embed(table->data, model->embed, ids, n, model->config.hidden);
    return table;
}

/* ---- the two sides: each begins as the call with the subject's adapter, all tokens of which are compared ---- */

static struct qc_relation_pair pair_of(const struct bench *bench, int64_t steps)
{
    struct qc_side side = {.adapter = bench->adapter, .call = call_of(bench->ids, bench->n, steps)};
    int64_t own = bench->adapter.kind == QW_ADAPTER_NONE ? 0 : bench->adapter.virtual_tokens;
    return (struct qc_relation_pair){.side = {side, side}, .lead = own, .tokens = bench->n};
}

static struct qc_relation_pair make_no_virtual(struct bench *bench, const struct qw_rules *rules)
{
    struct qc_relation_pair pair = pair_of(bench, STEPS);
    struct qw_shape none = qw_shape_of(2, (int64_t)0, bench->adapter.table->shape.dim[1]);
    (void)rules;
    bench->table = qw_tensor_make(QW_F64, &none);
    pair.lead = 0;
    pair.side[0].adapter = (struct qw_adapter){0};
    pair.side[1].adapter = made_adapter(bench->adapter.kind, bench->table);
    return pair;
}

/* The first half of the tokens in front of the other, as an adapter of that kind. */
static struct qc_relation_pair halves(struct bench *bench, enum qw_adapter_kind kind)
{
    struct qc_relation_pair pair = pair_of(bench, STEPS);
    int64_t half = bench->n / 2;
    pair.side[0].adapter = (struct qw_adapter){0};
    pair.side[0].first = pair.lead = half;
    pair.side[1].adapter = made_adapter(kind, bench->table);
    pair.side[1].call = call_of(bench->ids + half, bench->n - half, STEPS);
    pair.tokens = bench->n - half;
    return pair;
}

static struct qc_relation_pair make_soft_hard(struct bench *bench, const struct qw_rules *rules)
{
    (void)rules;
    bench->table = embeddings_of(&bench->subject->model, bench->ids, bench->n / 2);
    return halves(bench, QW_ADAPTER_EMBEDS);
}

static struct qc_relation_pair make_prefix_prompt(struct bench *bench, const struct qw_rules *rules)
{
    struct qc_side prompt = {.name = "the captured prompt", .call = call_of(bench->ids, bench->n / 2, 1), .rules = *rules};
    bench->table = qc_relation_capture(bench->subject, &prompt);
    if (!bench->table)
        return (struct qc_relation_pair){0};
    return halves(bench, QW_ADAPTER_KEYS_VALUES);
}

/* The encoder in each play against the table that was saved of it, or is made of it once. */
static struct qc_relation_pair make_folded(struct bench *bench, const struct qw_rules *rules)
{
    struct qc_relation_pair pair = pair_of(bench, STEPS);
    const struct qw_encoder *encoder = &bench->adapter.encoder;
    (void)rules;
    pair.side[0].encodes = true;
    if (!bench->adapter.computed)
        return pair;
    struct qw_arith arith = qc_encoded_arith(encoder);
    pair.side[1].adapter.table = bench->table = qw_encoder_apply(encoder, encoder->embedding, &arith);
    return pair;
}

/* Padded, beside a longer row of the same tokens in reverse. */
static struct qc_relation_pair make_batch_row(struct bench *bench, const struct qw_rules *rules)
{
    struct qc_relation_pair pair = pair_of(bench, 1);
    int64_t n = bench->n + PADS;
    (void)rules;
    pair.side[0].call = padded(bench, &pair.side[0].call, PADS, 0);
    bench->given = QW_NEW_ARRAY(int64_t, 2 * n);
    bench->mask = qw_realloc(bench->mask, (size_t)(2 * n), sizeof *bench->mask);
    for (int64_t t = 0; t < n; t++) {
        bench->given[t] = bench->ids[t < bench->n ? bench->n - 1 - t : 0];
        bench->given[n + t] = bench->output[t];
        bench->mask[n + t] = t >= PADS;
    }
    for (int64_t t = 0; t < n; t++)
        bench->mask[t] = 1;
    pair.side[0].call.mask = bench->mask + n;
    pair.side[1].call = pair.side[0].call;
    pair.side[1].call.batch = 2;
    pair.side[1].call.input_ids = bench->given;
    pair.side[1].call.output_ids = NULL;
    pair.side[1].call.mask = bench->mask;
    pair.side[0].first = pair.side[1].first = PADS;
    pair.side[1].row = 1;
    return pair;
}

static struct qc_relation_pair make_padded_left(struct bench *bench, const struct qw_rules *rules)
{
    struct qc_relation_pair pair = pair_of(bench, STEPS);
    (void)rules;
    pair.side[1].call = padded(bench, &pair.side[1].call, PADS, 0);
    pair.side[1].first = PADS;
    return pair;
}

/* The prompt alone: what follows it is numbered differently from era to era. */
static struct qc_relation_pair make_padded_right(struct bench *bench, const struct qw_rules *rules)
{
    struct qc_relation_pair pair = pair_of(bench, 1);
    (void)rules;
    pair.side[1].call = padded(bench, &pair.side[1].call, 0, PADS);
    return pair;
}

static struct qc_relation_pair make_stepwise(struct bench *bench, const struct qw_rules *rules)
{
    struct qc_relation_pair pair = pair_of(bench, 1);
    (void)rules;
    bench->turn = QW_NEW_ARRAY(struct qw_turn, bench->n);
    for (int64_t t = 0; t < bench->n; t++)
        bench->turn[t] = (struct qw_turn){.first = t, .count = 1};
    pair.side[1].call.turn = bench->turn;
    pair.side[1].call.turns = bench->n;
    return pair;
}

static struct qc_relation_pair make_no_cache(struct bench *bench, const struct qw_rules *rules)
{
    struct qc_relation_pair pair = pair_of(bench, STEPS);
    (void)rules;
    pair.side[1].call.use_cache = false;
    return pair;
}

/* ---- what a recording brings: NULL, or why not ---- */

static const char *needs_weights(const struct bench *bench)
{
    return bench->subject->model.has_weights ? NULL : "the weights are not at hand";
}

static const char *needs_fit(const struct bench *bench)
{
    const struct qc_subject *subject = bench->subject;
    const char *lacking = needs_weights(bench);
    if (lacking || bench->adapter.kind == QW_ADAPTER_NONE)
        return lacking;
    if (!bench->adapter.table)
        return "the adapter's weights are not at hand";
    return qw_adapter_fits(&bench->adapter, &subject->model.config, &subject->rules)
               ? NULL
               : "the adapter's table has other extents than the model needs";
}

static const char *needs_adapter(const struct bench *bench)
{
    const char *lacking = needs_fit(bench);
    return lacking ? lacking : bench->adapter.kind == QW_ADAPTER_NONE ? "the recording has no adapter" : NULL;
}

static const char *needs_encoder(const struct bench *bench)
{
    const char *lacking = needs_adapter(bench);
    return lacking                                         ? lacking
           : !qw_encoder_computes(&bench->adapter.encoder) ? "the adapter was kept as a table, without an encoder"
                                                           : NULL;
}

/* ---- what is alike by design: NULL, or why not ---- */

static const char *alike_always(const struct bench *bench)
{
    (void)bench;
    return NULL;
}

static bool has_window(const struct qc_subject *subject)
{
    for (int64_t layer = 0; layer < subject->model.config.layers; layer++)
        if (qw_window_of(&subject->model.config, &subject->rules, layer))
            return true;
    return false;
}

/* Tokens of prompt tuning are never numbered, and the first Qwen looks at no numbers.  A window counts places, numbered or
 * not: padding between virtual tokens and the others pushes those out of it. */
static const char *alike_when_padded(const struct bench *bench)
{
    const struct qw_rules *rules = &bench->subject->rules;
    bool numbers = bench->adapter.kind == QW_ADAPTER_NONE          ? rules->numbers_base
                   : bench->adapter.kind == QW_ADAPTER_KEYS_VALUES ? rules->numbers_prefix
                                                                   : false;
    if (!numbers || rules->ignores_positions)
        return "positions count the padding in this era (padding-counted)";
    return bench->adapter.kind != QW_ADAPTER_NONE && has_window(bench->subject)
               ? "the padding takes places of the sliding window between the virtual tokens and the others"
               : NULL;
}

static const char *alike_with_one_base(const struct bench *bench)
{
    const struct qw_config *config = &bench->subject->model.config;
    int64_t longest = bench->adapter.virtual_tokens + bench->n;
    return config->dynamic_ntk && longest > config->trained_length
               ? "the rotary base grows with the tokens of the first call alone (dynamic NTK)"
               : NULL;
}

/* ---- the table ---- */

static const struct {
    const char *id, *title, *one, *other;
    const char *(*possible)(const struct bench *bench);
    const char *(*alike)(const struct bench *bench);
    struct qc_relation_pair (*make)(struct bench *bench, const struct qw_rules *rules);
} relations[QC_RELATIONS] = {
#define RELATION(symbol, id, title, one, other, possible, alike, make) {id, title, one, other, possible, alike, make},
#include "harness/selftest/relations.def"
#undef RELATION
};

const char *qc_relation_id(enum qc_relation relation) { return relations[relation].id; }

static struct qc_related not_applicable(double ratio, char *reason)
{
    return (struct qc_related){QC_RELATION_NOT_APPLICABLE, ratio, reason};
}

static struct qc_related related(struct qc_pair_result *result, const char *unlike)
{
    if (!unlike)
        return (struct qc_related){result->fault ? QC_RELATION_BROKEN : QC_RELATION_HOLDS, result->ratio, result->fault};
    char *reason = qw_format("%s: the two differ by %.3g times the noise floor", unlike, result->ratio);
    free(result->fault);
    return not_applicable(result->ratio, reason);
}

static struct qc_pair_result play_both(struct bench *bench, enum qc_relation relation, const struct qw_rules *rules,
                                       const struct qw_rules *other)
{
    struct qc_relation_pair pair = relations[relation].make(bench, rules);
    if (!pair.tokens)
        return (struct qc_pair_result){(double)INFINITY, qw_format("%s cannot be played", relations[relation].one)};
    pair.side[0].name = relations[relation].one;
    pair.side[1].name = relations[relation].other;
    pair.side[0].rules = *rules;
    pair.side[1].rules = *other;
    return qc_relation_pair_compare(bench->subject, &pair);
}

struct qc_related qc_relation_check(const struct qc_subject *subject, enum qc_relation relation, const struct qw_rules *rules,
                                    const struct qw_rules *other)
{
    struct bench bench = bench_of(subject);
    const char *lacking = relations[relation].possible(&bench);
    struct qc_related found;
    if (lacking) {
        found = not_applicable((double)NAN, qw_strdup(lacking));
    } else {
        struct qc_pair_result result = play_both(&bench, relation, rules, other);
        found = related(&result, relations[relation].alike(&bench));
    }
    bench_clear(&bench);
    return found;
}

/* ---- the document ---- */

static struct qw_json *entry_of(const struct qc_subject *subject, enum qc_relation relation)
{
    static const char *const outcomes[] = {"holds", "broken", "not-applicable"};
    struct qc_related found = qc_relation_check(subject, relation, &subject->rules, &subject->rules);
    struct qw_json *entry = qw_json_object();
    qw_json_put_text(entry, "id", relations[relation].id);
    qw_json_put_text(entry, "title", relations[relation].title);
    qw_json_put_text(entry, "outcome", outcomes[found.outcome]);
    if (found.outcome == QC_RELATION_NOT_APPLICABLE && isnan(found.ratio))
        qw_json_put_null(entry, "ratio");
    else
        qw_json_put_real(entry, "ratio", found.ratio);
    qw_json_put_text(entry, "reason", found.reason);
    free(found.reason);
    return entry;
}

struct qw_json *qc_relations_check(const struct qc_subject *subject)
{
    struct qw_json *list = qw_json_array();
    for (enum qc_relation relation = 0; relation < QC_RELATIONS; relation++)
        qw_json_add(list, entry_of(subject, relation));
    return list;
}
