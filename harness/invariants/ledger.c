/* Invariant: an entry follows from what one step was given and from the turn that it was to take; no value is looked at. */
#include "harness/invariants/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/text.h"

static const char *const entry_causes[] = {
    NULL, NULL, "prompt-not-injected", "prompt-refed", "prompt-reinjected", "tokens-trimmed", NULL, NULL};

const char *qc_entry_cause(enum qc_entry entry) { return entry_causes[entry]; }

/* What a step was given, counted. */
struct given {
    int64_t virtual_tokens, tokens; /* fed: embeddings of virtual tokens, and tokens */
    int64_t held;                   /* rows of the cache */
    const struct qw_tensor *ids;    /* [B,tokens], or NULL */
};

static struct given given_of(const struct qc_subject *subject, int step)
{
    const struct qc_step *recorded = &subject->recording->step[step];
    const struct qw_tensor *ids = recorded->input[QC_INPUT_IDS], *embeds = recorded->input[QC_INPUTS_EMBEDS];
    const struct qw_tensor *fed = embeds ? embeds : ids;
    struct given given = {.tokens = fed && fed->shape.rank >= 2 ? fed->shape.dim[1] : 0};
    int64_t P = subject->adapter.kind == QW_ADAPTER_EMBEDS && embeds ? subject->adapter.virtual_tokens : 0;
    given.virtual_tokens = P < given.tokens ? P : 0;
    given.tokens -= given.virtual_tokens;
    given.held = recorded->before.present && recorded->before.length > 0 ? recorded->before.length : 0;
    bool whole = !embeds && ids && ids->data && ids->dtype == QW_I64 && ids->shape.rank == 2 &&
                 ids->shape.dim[0] == subject->call.batch;
    given.ids = whole ? ids : NULL;
    return given;
}

static bool are_virtual_tokens_missing(const struct qc_subject *subject, const struct given *given)
{
    return (subject->adapter.kind == QW_ADAPTER_EMBEDS && !given->virtual_tokens) ||
           (subject->adapter.kind == QW_ADAPTER_KEYS_VALUES && !given->held);
}

/* Whether a step that goes on has the prefix in the place of the cache. */
static bool is_cache_replaced(const struct qc_subject *subject, const struct given *given)
{
    return subject->adapter.kind == QW_ADAPTER_KEYS_VALUES && given->held == subject->adapter.virtual_tokens;
}

/* Whether the ids are those of the turn, as far as the call itself knows them. */
static bool are_tokens_right(const struct qc_subject *subject, const struct qw_turn *turn, const struct given *given)
{
    const struct qw_call *call = &subject->call;
    for (int64_t i = 0; given->ids && i < call->batch * turn->count; i++) {
        int64_t b = i / turn->count, at = turn->first + i % turn->count;
        bool known = turn->ids || at < call->tokens || (call->output_ids && at < call->tokens + call->generated);
        if (turn->unknown || !known)
            continue;
        int64_t token = turn->ids           ? turn->ids[i]
                        : at < call->tokens ? call->input_ids[b * call->tokens + at]
                                            : call->output_ids[b * (call->tokens + call->generated) + at];
        if ((int64_t)qw_tensor_at(given->ids, i) != token)
            return false;
    }
    return true;
}

enum qc_entry qc_ledger_entry(const struct qc_subject *subject, int step)
{
    const struct qw_turn turn = qw_protocol_turn(&subject->call, step);
    const struct given given = given_of(subject, step);
    bool starts = turn.first == 0;
    if (!given.tokens)
        return QC_ENTRY_UNKNOWN;
    if (starts && are_virtual_tokens_missing(subject, &given))
        return QC_ENTRY_NO_VIRTUAL;
    if (!starts && (given.virtual_tokens || is_cache_replaced(subject, &given)))
        return QC_ENTRY_REINJECTED;
    if (!starts && given.tokens == turn.first + turn.count)
        return QC_ENTRY_AGAIN;
    if (!starts && given.tokens < turn.count)
        return QC_ENTRY_TRIMMED;
    if (given.tokens != turn.count)
        return QC_ENTRY_OTHER_COUNT;
    return are_tokens_right(subject, &turn, &given) ? QC_ENTRY_IN_ORDER : QC_ENTRY_OTHER_TOKENS;
}

/* "token 7", "tokens 7-9" */
static char *tokens_text(int64_t first, int64_t count)
{
    return count == 1 ? qw_format("token %lld", (long long)first)
                      : qw_format("tokens %lld-%lld", (long long)first, (long long)(first + count - 1));
}

/* A text with a range of tokens in it, or with two. */
static char *words_with(const char *format, char *first, char *second)
{
    char *text = qw_format(format, first, second);
    free(first);
    free(second);
    return text;
}

char *qc_ledger_words(const struct qc_subject *subject, int step)
{
    const struct qw_turn turn = qw_protocol_turn(&subject->call, step);
    const struct given given = given_of(subject, step);
    int64_t end = turn.first + turn.count;
    switch (qc_ledger_entry(subject, step)) {
    case QC_ENTRY_IN_ORDER:
        return words_with("feeds %s, as it should%s", tokens_text(turn.first, turn.count), qw_format("%s", ""));
    case QC_ENTRY_UNKNOWN: return qw_format("feeds nothing that can be counted");
    case QC_ENTRY_NO_VIRTUAL:
        return words_with("feeds %s without the %s virtual tokens in front", tokens_text(0, given.tokens),
                          qw_format("%lld", (long long)subject->adapter.virtual_tokens));
    case QC_ENTRY_AGAIN:
        return words_with("feeds %s again, they are in the cache already; only %s should be fed", tokens_text(0, turn.first),
                          tokens_text(turn.first, turn.count));
    case QC_ENTRY_REINJECTED:
        return given.virtual_tokens
                   ? words_with("feeds the %s virtual tokens again before %s", qw_format("%lld", (long long)given.virtual_tokens),
                                tokens_text(turn.first, turn.count))
                   : words_with("has the prefix in the place of the cache: %s are lost%s", tokens_text(0, turn.first),
                                qw_format("%s", ""));
    case QC_ENTRY_TRIMMED:
        return words_with("feeds only the last of %s: the model never sees %s", tokens_text(turn.first, turn.count),
                          tokens_text(turn.first, turn.count - given.tokens));
    case QC_ENTRY_OTHER_COUNT:
        return words_with("feeds %s tokens where %s should be fed", qw_format("%lld", (long long)given.tokens),
                          tokens_text(turn.first, turn.count));
    case QC_ENTRY_OTHER_TOKENS:
        return words_with("feeds other ids than those of %s%s", tokens_text(turn.first, end - turn.first), qw_format("%s", ""));
    }
    return NULL;
}

#define MOST_WORDS 3 /* steps that are spelled out */

char *qc_ledger_text(const struct qc_subject *subject)
{
    int64_t known = qw_protocol_steps(&subject->call);
    int steps = subject->recording->steps < known ? subject->recording->steps : (int)known, wrong = 0;
    struct qw_text text = {0}, right = {0};
    for (int step = 0; step < steps; step++) {
        enum qc_entry entry = qc_ledger_entry(subject, step);
        if (entry == QC_ENTRY_IN_ORDER || entry == QC_ENTRY_UNKNOWN) {
            qw_text_addf(&right, "%s%d", right.length ? ", " : "", step);
            continue;
        }
        char *words = wrong < MOST_WORDS ? qc_ledger_words(subject, step) : NULL;
        if (words)
            qw_text_addf(&text, "%sstep %d %s", wrong ? "; " : "", step, words);
        wrong++;
        free(words);
    }
    if (wrong > MOST_WORDS)
        qw_text_addf(&text, "; %d more steps likewise are not in order", wrong - MOST_WORDS);
    char *in_order = qw_text_take(&right), *said = qw_text_take(&text);
    char *whole = !wrong ? NULL : qw_format("%s. Steps in order: %s.", said, in_order[0] ? in_order : "none");
    free(in_order);
    free(said);
    return whole;
}
