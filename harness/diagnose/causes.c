/* Invariant: the rows are the only list of causes; no other file names one. */
#include "harness/diagnose/causes.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"

static const struct qc_cause_row causes[] = {
#define CAUSE(id, title, mechanism, why, remedy, upstream) {id, title, mechanism, why, remedy, upstream},
#include "harness/diagnose/causes.def"
};

static const struct qc_known_row known[] = {
#define KNOWN(id, tf_from, tf_below, peft_from, peft_below, peft_type, fixed_in)                                                 \
    {id, tf_from, tf_below, peft_from, peft_below, peft_type, fixed_in},
#include "harness/diagnose/causes.def"
};

static const struct qc_signature_row signatures[] = {
#define SIGNATURE(id, exception, message, traceback) {id, exception, message, traceback},
#include "harness/diagnose/causes.def"
};

static const struct qc_raise_row raises[] = {
#define RAISE(id, party, differences) {id, QW_##party, differences},
#include "harness/diagnose/causes.def"
};

static const struct qc_remedy_row remedies[] = {
#define REMEDY(id, what, transformers, peft, recording, verdict) {id, what, transformers, peft, recording, verdict},
#include "harness/diagnose/remedies.def"
};

#define COUNT(table) ((int)(sizeof table / sizeof *table))

const struct qc_known_row *qc_known_at(int index) { return index < COUNT(known) ? &known[index] : NULL; }
const struct qc_signature_row *qc_signature_at(int index) { return index < COUNT(signatures) ? &signatures[index] : NULL; }
const struct qc_raise_row *qc_raise_at(int index) { return index < COUNT(raises) ? &raises[index] : NULL; }
const struct qc_remedy_row *qc_remedy_at(int index) { return index < COUNT(remedies) ? &remedies[index] : NULL; }
int qc_cause_count(void) { return COUNT(causes); }
const struct qc_cause_row *qc_cause_at(int index) { return &causes[index]; }

const struct qc_cause_row *qc_cause_find(const char *id)
{
    for (int i = 0; i < COUNT(causes); i++)
        if (!strcmp(causes[i].id, id))
            return &causes[i];
    return NULL;
}

bool qc_cause_deviation(enum qw_deviation *deviation, const struct qc_cause_row *cause)
{
    for (int i = 0; i < QW_DEVIATIONS; i++)
        if (!strcmp(qw_deviation_id((enum qw_deviation)i), cause->id))
            return *deviation = (enum qw_deviation)i, true;
    return false;
}

const struct qc_raise_row *qc_cause_raise(const struct qc_cause_row *cause)
{
    for (int i = 0; i < COUNT(raises); i++)
        if (!strcmp(raises[i].id, cause->id))
            return &raises[i];
    return NULL;
}

enum qw_party qc_cause_party(const struct qc_cause_row *cause)
{
    enum qw_deviation deviation;
    const struct qc_raise_row *raise = qc_cause_raise(cause);
    return qc_cause_deviation(&deviation, cause) ? qw_deviation_party(deviation) : raise ? raise->party : QW_PROTOCOL;
}

static bool within(struct qw_version version, const char *from, const char *below)
{
    struct qw_version bound;
    if (from[0] && qw_version_read(&bound, from) && qw_version_compare(version, bound) < 0)
        return false;
    return !below[0] || (qw_version_read(&bound, below) && qw_version_compare(version, bound) < 0);
}

/* The row that holds for the recorded versions; NULL when there is none. */
static const struct qc_known_row *known_row(const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    for (int i = 0; i < COUNT(known); i++)
        if (!strcmp(known[i].id, cause->id) &&
            within(subject->setting.transformers, known[i].transformers_from, known[i].transformers_below) &&
            within(subject->setting.peft, known[i].peft_from, known[i].peft_below) &&
            (!known[i].peft_type[0] || !strcmp(known[i].peft_type, subject->adapter.peft_type)))
            return &known[i];
    return NULL;
}

bool qc_cause_known(const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    return known_row(cause, subject) != NULL;
}

const char *qc_cause_fixed_in(const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    const struct qc_known_row *row = known_row(cause, subject);
    return row && row->fixed_in[0] ? row->fixed_in : NULL;
}

bool qc_cause_has_versions(const struct qc_cause_row *cause)
{
    for (int i = 0; i < COUNT(known); i++)
        if (!strcmp(known[i].id, cause->id))
            return true;
    return false;
}

bool qc_cause_signed(const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    const struct qc_recording *recording = subject->recording;
    for (int i = 0; recording->raised && i < COUNT(signatures); i++) {
        if (strcmp(signatures[i].id, cause->id) || strcmp(signatures[i].exception, recording->exception_type))
            continue;
        char *message = qc_cause_text(signatures[i].message, cause, subject);
        bool found = strstr(recording->exception_message, message) && strstr(recording->traceback, signatures[i].traceback);
        free(message);
        if (found)
            return true;
    }
    return false;
}

bool qc_cause_has_signature(const struct qc_cause_row *cause)
{
    for (int i = 0; i < COUNT(signatures); i++)
        if (!strcmp(signatures[i].id, cause->id))
            return true;
    return false;
}

/* ---- texts ---- */

/* The class of the empty cache that the first step was handed, for the texts. */
static const char *first_cache(const struct qc_recording *recording)
{
    const char *type = recording->steps ? recording->step[0].before.type : NULL;
    return type && strcmp(type, "NoneType") ? type : "DynamicCache";
}

/* Which way round the model keeps its keys: batch, sequence, heads, head size (Qwen v1) or heads before sequence. */
static bool sequence_first(const struct qc_recording *recording)
{
    for (int s = 0; s < recording->steps; s++)
        if (recording->step[s].before.layout && recording->step[s].before.layout[0])
            return !strcmp(recording->step[s].before.layout, "BSKD");
    return recording->model_class && !strcmp(recording->model_class, "QWenLMHeadModel");
}

/* Slots of a static cache that was sized for the caller's tokens and the new ones, without the virtual ones; the last new
 * token is never fed.  -1 where no static cache was asked for. */
static int64_t static_slots(const struct qc_recording *recording, int64_t tokens)
{
    const struct qw_json *kwargs = recording->call_kwargs;
    int64_t most = qw_json_get_int(kwargs, "max_length", 0), new = qw_json_get_int(kwargs, "max_new_tokens", most - tokens);
    return strcmp(qw_json_get_text(kwargs, "cache_implementation", ""), "static") ? -1 : tokens + new - 1;
}

/* "PEFT 0.14.0 or later" for "peft 0.14.0". */
static char *cure_text(const char *fixed)
{
    if (!fixed)
        return qw_strdup("a pair of releases without it");
    return qw_format("%s %s or later", strncmp(fixed, "peft", 4) ? "transformers" : "PEFT", strchr(fixed, ' ') + 1);
}

static char *value_of(const char *name, const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    static const struct qc_recording no_recording;
    static const struct qc_subject nobody = {.recording = &no_recording};
    const struct qc_subject *who = subject ? subject : &nobody;
    const struct qw_json *environment = who->recording->environment;
    const struct qw_config *config = &who->model.config;
    const char *fixed = subject ? qc_cause_fixed_in(cause, subject) : NULL;
    char *cure = cure_text(fixed), *value = NULL;
    bool first = sequence_first(who->recording);
    int64_t P = who->adapter.virtual_tokens, T = who->call.tokens;
    const struct {
        const char *name, *words, *text;
        int64_t number;
    } values[] = {{"transformers", "(an affected version)", qw_json_get_text(environment, "transformers", "(version unknown)"),
                   0},
                  {"peft", "(an affected version)", qw_json_get_text(environment, "peft", "(version unknown)"), 0},
                  {"adapter", "the adapter", who->adapter.peft_type, 0},
                  {"cache", "cache object", first_cache(who->recording), 0},
                  {"fixed_in", "the release that fixes it", fixed ? strchr(fixed, ' ') + 1 : "a release that handles this pair",
                   0},
                  {"layout", "[batch, heads, sequence, head size] (Qwen v1: [batch, sequence, heads, head size])",
                   first ? "[batch, sequence, heads, head size]" : "[batch, heads, sequence, head size]", 0},
                  {"swapped", "with heads and sequence swapped",
                   first ? "as [batch, heads, sequence, head size]" : "as [batch, sequence, heads, head size]", 0},
                  {"sequence_axis", "2 (Qwen v1: 1)", NULL, first ? 1 : 2},
                  {"other_axis", "1 (Qwen v1: 2)", NULL, first ? 2 : 1},
                  {"cure", "a release without it", cure, 0},
                  {"virtual", "P", NULL, P},
                  {"tokens", "T", NULL, T},
                  {"length", "P + T", NULL, P + T},
                  {"static_slots", "(slots of the static cache)", NULL, static_slots(who->recording, T)},
                  {"heads", "H", NULL, config->heads},
                  {"kv_heads", "K", NULL, config->kv_heads},
                  {"head_size", "D", NULL, config->head_size},
                  {"plain_head_size", "d/H", NULL, config->heads ? config->hidden / config->heads : 0}};
    for (int i = 0; i < COUNT(values); i++)
        if (!strcmp(values[i].name, name))
            value = !subject         ? qw_strdup(values[i].words)
                    : values[i].text ? qw_strdup(values[i].text)
                                     : qw_format("%lld", (long long)values[i].number);
    free(cure);
    return value ? value : qw_strdup("");
}

char *qc_cause_text(const char *text, const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    struct qw_text out = {0};
    for (const char *brace; (brace = strchr(text, '{')); text = strchr(brace, '}') + 1) {
        char *name = qw_format("%.*s", (int)(strchr(brace, '}') - brace - 1), brace + 1);
        char *value = value_of(name, cause, subject);
        qw_text_add_bytes(&out, text, (size_t)(brace - text));
        qw_text_add(&out, value);
        free(name);
        free(value);
    }
    qw_text_add(&out, text);
    return qw_text_take(&out);
}
