/* The catalogue: every row complete, every text without a hole, and the releases that cure a pair of versions. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/tests/shipped.h"
#include "harness/diagnose/causes.h"

static const char *const runs[] = {SHIPPED_PROMPT, SHIPPED_BASE, SHIPPED_PREFIX, SHIPPED_QUERY_HEADS, SHIPPED_EMPTY_CACHE};

/* ---- rows ---- */

Test(causes, every_row_is_complete)
{
    cr_assert_geq(qc_cause_count(), 3);
    for (int i = 0; i < qc_cause_count(); i++) {
        const struct qc_cause_row *cause = qc_cause_at(i);
        cr_expect(cause->title[0] && cause->mechanism[0] && cause->why[0] && cause->remedy[0], "%s", cause->id);
        cr_expect_gt(strlen(cause->mechanism), 80, "%s: a mechanism is more than a title", cause->id);
        cr_expect_null(strchr(cause->title, '{'), "%s: titles are the same for every recording", cause->id);
        for (const char *c = cause->id; *c; c++)
            cr_expect(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '-', "%s", cause->id);
        cr_expect_eq(qc_cause_find(cause->id), cause, "%s stands twice", cause->id);
    }
    cr_expect_null(qc_cause_find("no-such-cause"));
    cr_expect_null(qc_cause_find(""));
}

Test(causes, upstream_addresses_are_https)
{
    for (int i = 0; i < qc_cause_count(); i++) {
        const char *rest = qc_cause_at(i)->upstream;
        while (*rest) {
            cr_expect_eq(strncmp(rest, "https://github.com/", 19), 0, "%s: %s", qc_cause_at(i)->id, rest);
            rest += strcspn(rest, " ");
            rest += *rest == ' ';
        }
    }
}

Test(causes, every_deviation_is_a_cause)
{
    for (int i = 0; i < QW_DEVIATIONS; i++) {
        enum qw_deviation found;
        const struct qc_cause_row *cause = qc_cause_find(qw_deviation_id((enum qw_deviation)i));
        cr_assert_not_null(cause, "%s", qw_deviation_id((enum qw_deviation)i));
        cr_expect(qc_cause_deviation(&found, cause) && found == (enum qw_deviation)i);
    }
}

/* Ids that reports quote: the whole catalogue, which may grow and loses none. */
Test(causes, ids_do_not_change)
{
    static const char *const ids[] = {"prompt-not-injected",
                                      "adapter-bypassed",
                                      "prefix-dropped-by-checkpointing",
                                      "empty-cache-indexed",
                                      "cache-key-missing",
                                      "legacy-tuple-cache",
                                      "cache-api-removed",
                                      "mask-rank-mismatch",
                                      "cache-position-overrun",
                                      "mask-absent",
                                      "static-cache-too-short",
                                      "causal-mask-missing",
                                      "prefix-layout-transposed",
                                      "prefix-concat-wrong-axis",
                                      "prefix-query-heads",
                                      "prefix-head-size",
                                      "prefix-kv-miswired",
                                      "prefix-key-value-swapped",
                                      "prefix-token-order",
                                      "prefix-projected-twice",
                                      "prefix-rotated",
                                      "prefix-normalized",
                                      "prefix-dtype",
                                      "position-offset-missing",
                                      "position-offset-doubled",
                                      "position-reset-at-decode",
                                      "mask-not-extended",
                                      "mask-hides-prompt",
                                      "padding-counted",
                                      "mask-shifted",
                                      "prefix-noncausal",
                                      "prompt-refed",
                                      "tokens-trimmed",
                                      "prompt-reinjected",
                                      "cache-dropped",
                                      "cache-appended-twice",
                                      "cache-rewritten",
                                      "rope-base-wrong",
                                      "rope-interleaved",
                                      "rope-in-model-dtype",
                                      "norm-epsilon-wrong",
                                      "qkv-bias-dropped",
                                      "kv-heads-tiled",
                                      "attention-unscaled",
                                      "gate-up-swapped",
                                      "head-untied",
                                      "sliding-window-misapplied",
                                      "qk-norm-missing",
                                      "accumulated-in-low-precision"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        cr_expect_not_null(qc_cause_find(ids[i]), "%s", ids[i]);
}

/* ---- texts ---- */

/* The names that a text may ask for; a misspelt one would leave a hole. */
static void expect_known_names(const char *text, const char *id)
{
    static const char *const known[] = {"transformers", "peft",      "adapter",        "cache",         "virtual",
                                        "tokens",       "length",    "heads",          "kv_heads",      "fixed_in",
                                        "cure",         "layout",    "swapped",        "sequence_axis", "other_axis",
                                        "static_slots", "head_size", "plain_head_size"};
    for (const char *brace = strchr(text, '{'); brace; brace = strchr(brace + 1, '{')) {
        size_t length = strcspn(brace + 1, "{}");
        bool found = false;
        cr_assert_eq(brace[1 + length], '}', "%s: a brace that is not closed", id);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || (strlen(known[i]) == length && !strncmp(known[i], brace + 1, length));
        cr_expect(found, "%s: {%.*s}", id, (int)length, brace + 1);
    }
}

static void expect_filled(const char *text, const struct qc_cause_row *cause, const struct qc_subject *subject)
{
    char *filled = qc_cause_text(text, cause, subject);
    cr_expect(!strpbrk(filled, "{}"), "%s: %s", cause->id, filled);
    cr_expect(!strstr(filled, "  ") && !strstr(filled, " ."), "%s: a hole in: %s", cause->id, filled);
    cr_expect(!strstr(filled, "(null)"), "%s", filled);
    free(filled);
}

Test(causes, texts_leave_no_hole)
{
    for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
        struct shipped run;
        shipped_read(&run, runs[r]);
        cr_assert(shipped_subject(&run));
        for (int i = 0; i < qc_cause_count(); i++) {
            const struct qc_cause_row *cause = qc_cause_at(i);
            const char *const texts[] = {cause->title, cause->mechanism, cause->why, cause->remedy};
            for (int t = 0; t < 4; t++) {
                expect_known_names(texts[t], cause->id);
                expect_filled(texts[t], cause, &run.subject);
            }
        }
        shipped_clear(&run);
    }
}

Test(causes, names_are_replaced_by_facts)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_BARE_PREFIX);
    cr_assert(shipped_subject(&run));
    char *text = qc_cause_text("{transformers} {peft} {adapter} {cache} {virtual} {tokens} {heads} {kv_heads} {fixed_in}.",
                               qc_cause_find("prompt-not-injected"), &run.subject);
    cr_expect_str_eq(text, "4.44.2 0.12.0 PREFIX_TUNING DynamicCache 4 7 6 2 0.13.0.");
    free(text);
    text = qc_cause_text("{length}, {layout} {swapped}, {sequence_axis} {other_axis}, {cure}.",
                         qc_cause_find("prompt-not-injected"), &run.subject);
    cr_expect_str_eq(
        text, "11, [batch, heads, sequence, head size] as [batch, sequence, heads, head size], 2 1, PEFT 0.13.0 or later.");
    free(text);
    text = qc_cause_text("no names", qc_cause_at(0), &run.subject);
    cr_expect_str_eq(text, "no names");
    free(text);
    shipped_clear(&run);
}

/* Qwen v1 keeps the sequence before the heads: the recording says so of the model. */
Test(causes, axes_are_those_of_the_model)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PREFIX);
    shipped_text(&run.recording.step[0].before.layout, "BSKD");
    cr_assert(shipped_subject(&run));
    char *text = qc_cause_text("{layout} {swapped}, {sequence_axis} {other_axis}", qc_cause_at(0), &run.subject);
    cr_expect_str_eq(text, "[batch, sequence, heads, head size] as [batch, heads, sequence, head size], 1 2");
    free(text);
    shipped_clear(&run);
}

/* Four new tokens behind seven of the caller take ten slots: the last one is not fed. */
Test(causes, slots_of_a_static_cache_that_knows_no_virtual_tokens)
{
    static const char *const calls[] = {"{\"max_new_tokens\": 4, \"cache_implementation\": \"static\"}",
                                        "{\"max_length\": 11, \"cache_implementation\": \"static\"}", "{\"max_new_tokens\": 4}"};
    static const char *const slots[] = {"10", "10", "-1"};
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    cr_assert(shipped_subject(&run));
    for (size_t i = 0; i < 3; i++) {
        struct qw_error error = {0};
        qw_json_free(run.recording.call_kwargs);
        run.recording.call_kwargs = qw_json_parse(calls[i], strlen(calls[i]), "", &error);
        char *text = qc_cause_text("{static_slots}", qc_cause_at(0), &run.subject);
        cr_expect_str_eq(text, slots[i], "%s", calls[i]);
        free(text);
    }
    shipped_clear(&run);
}

/* Versions that were not recorded are said to be unknown. */
Test(causes, unknown_versions_are_said_to_be_unknown)
{
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    qw_json_free(run.recording.environment);
    run.recording.environment = qw_json_object();
    cr_assert(shipped_subject(&run));
    char *text = qc_cause_text("{transformers}, {peft}", qc_cause_at(0), &run.subject);
    cr_expect_str_eq(text, "(version unknown), (version unknown)");
    free(text);
    shipped_clear(&run);
}

/* ---- first good releases ---- */

struct pair {
    const char *transformers, *peft, *fixed_in; /* NULL: the pair is not known to be bad */
};

static void expect_releases(const char *name, const char *id, const struct pair *pairs, size_t count)
{
    struct shipped run;
    shipped_read(&run, name);
    for (size_t i = 0; i < count; i++) {
        shipped_versions(&run, pairs[i].transformers, pairs[i].peft);
        cr_assert(shipped_subject(&run));
        const char *fixed = qc_cause_fixed_in(qc_cause_find(id), &run.subject);
        const char *wanted = pairs[i].fixed_in ? pairs[i].fixed_in : "not known";
        cr_expect_str_eq(fixed ? fixed : "not known", wanted, "%s: transformers %s with peft %s gives %s, not %s", id,
                         pairs[i].transformers, pairs[i].peft, fixed ? fixed : "not known", wanted);
        shipped_forget(&run);
    }
    shipped_clear(&run);
}

#define COUNT(list) (sizeof list / sizeof *list)

Test(causes, releases_that_inject_a_prompt)
{
    static const struct pair pairs[] = {{"4.44.2", "0.12.0", "peft 0.13.0"}, {"4.42.0", "0.12.0", "peft 0.13.0"},
                                        {"4.43.4", "0.12.0", "peft 0.13.0"}, {"4.45.0", "0.12.0", "peft 0.14.0"},
                                        {"4.45.1", "0.12.0", "peft 0.14.0"}, {"4.45.2", "0.12.0", "peft 0.13.0"},
                                        {"4.55.4", "0.12.0", "peft 0.13.0"}, {"4.56.0", "0.12.0", "peft 0.14.0"},
                                        {"4.45.1", "0.13.0", "peft 0.14.0"}, {"4.45.1", "0.13.2", "peft 0.14.0"},
                                        {"4.57.3", "0.13.2", "peft 0.14.0"}, {"4.56.2", "0.13.1", "peft 0.14.0"},
                                        {"4.44.2", "0.13.2", NULL},          {"4.45.2", "0.13.2", NULL},
                                        {"4.46.3", "0.13.0", NULL},          {"4.45.1", "0.14.0", NULL},
                                        {"4.57.3", "0.14.0", NULL},          {"5.23.0", "0.21.2", NULL},
                                        {"4.41.2", "0.12.0", NULL},          {"4.44.2", "0.11.1", NULL}};
    expect_releases(SHIPPED_PROMPT, "prompt-not-injected", pairs, COUNT(pairs));
}

/* A prefix needs 0.14.0 wherever 0.13 hands it over as a tuple that the model cannot take. */
Test(causes, releases_that_inject_a_prefix)
{
    static const struct pair pairs[] = {{"4.44.2", "0.12.0", "peft 0.13.0"}, {"4.43.4", "0.12.0", "peft 0.13.0"},
                                        {"4.47.1", "0.12.0", "peft 0.13.0"}, {"4.42.4", "0.12.0", "peft 0.14.0"},
                                        {"4.45.1", "0.12.0", "peft 0.14.0"}, {"4.48.0", "0.12.0", "peft 0.14.0"},
                                        {"4.51.3", "0.12.0", "peft 0.14.0"}, {"4.45.1", "0.13.2", "peft 0.14.0"},
                                        {"4.44.2", "0.13.2", NULL},          {"4.46.3", "0.14.0", NULL}};
    expect_releases(SHIPPED_PREFIX, "prompt-not-injected", pairs, COUNT(pairs));
}

Test(causes, releases_that_ask_an_empty_cache_for_its_length)
{
    static const struct pair pairs[] = {{"4.42.4", "0.11.1", "peft 0.13.0"}, {"4.44.2", "0.8.0", "peft 0.13.0"},
                                        {"4.45.1", "0.11.1", "peft 0.14.0"}, {"4.45.2", "0.10.0", "peft 0.13.0"},
                                        {"4.57.3", "0.11.1", "peft 0.14.0"}, {"4.41.2", "0.11.1", NULL},
                                        {"4.42.4", "0.12.0", NULL},          {"4.42.4", "0.7.1", NULL}};
    expect_releases(SHIPPED_PROMPT, "empty-cache-indexed", pairs, COUNT(pairs));
    static const struct pair prefixes[] = {{"4.42.4", "0.11.1", "peft 0.14.0"},
                                           {"4.44.2", "0.11.1", "peft 0.13.0"},
                                           {"4.48.3", "0.11.1", "peft 0.14.0"}};
    expect_releases(SHIPPED_PREFIX, "empty-cache-indexed", prefixes, COUNT(prefixes));
}

/* 0.12.0 cuts the right heads, but leaves the prefix out of generate() from 4.42 on; 0.13 does so with 4.45.0 and 4.45.1. */
Test(causes, releases_that_cut_a_prefix_for_the_key_value_heads)
{
    static const struct pair pairs[] = {{"4.41.2", "0.11.1", "peft 0.12.0"}, {"4.37.2", "0.7.1", "peft 0.12.0"},
                                        {"4.42.4", "0.11.1", "peft 0.14.0"}, {"4.44.2", "0.11.1", "peft 0.13.0"},
                                        {"4.45.1", "0.11.1", "peft 0.14.0"}, {"4.48.3", "0.11.1", "peft 0.14.0"},
                                        {"4.41.2", "0.12.0", NULL},          {"4.44.2", "0.13.2", NULL}};
    expect_releases(SHIPPED_PREFIX, "prefix-query-heads", pairs, COUNT(pairs));
    static const struct pair prompts[] = {{"4.41.2", "0.11.1", NULL}};
    expect_releases(SHIPPED_PROMPT, "prefix-query-heads", prompts, COUNT(prompts));
}

/* Each pair was recorded and raised, or (NULL) ran through. */
Test(causes, releases_that_hand_a_prefix_over_as_a_tuple)
{
    static const struct pair pairs[] = {{"4.42.4", "0.13.2", "peft 0.14.0"}, {"4.48.3", "0.13.2", "peft 0.14.0"},
                                        {"4.51.3", "0.13.2", "peft 0.14.0"}, {"5.0.0", "0.13.2", "peft 0.18.0"},
                                        {"4.41.2", "0.12.0", NULL},          {"4.51.3", "0.14.0", NULL}};
    expect_releases(SHIPPED_PREFIX, "legacy-tuple-cache", pairs, COUNT(pairs));
}

Test(causes, releases_that_miss_or_misread_an_argument)
{
    static const struct pair keys[] = {{"4.46.3", "0.13.2", "peft 0.14.0"},
                                       {"4.46.3", "0.14.0", NULL},
                                       {"4.44.2", "0.13.2", NULL}};
    expect_releases(SHIPPED_PROMPT, "cache-key-missing", keys, COUNT(keys));
    static const struct pair places[] = {{"4.45.2", "0.16.0", "transformers 4.46.0"},
                                         {"4.46.3", "0.16.0", NULL},
                                         {"4.45.2", "0.15.2", NULL}};
    expect_releases(SHIPPED_PREFIX, "cache-position-overrun", places, COUNT(places));
    static const struct pair layers[] = {{"4.57.1", "0.17.1", "peft 0.18.0"},
                                         {"5.4.0", "0.17.1", "peft 0.19.1"},
                                         {"4.57.3", "0.18.1", NULL}};
    expect_releases(SHIPPED_PREFIX, "cache-api-removed", layers, COUNT(layers));
    static const struct pair prompts[] = {{"4.37.2", "0.8.2", "transformers 4.38.0"},
                                          {"4.38.2", "0.7.1", "peft 0.8.0"},
                                          {"4.37.2", "0.7.1", NULL}};
    expect_releases(SHIPPED_PROMPT, "prompt-refed", prompts, COUNT(prompts));
}

/* Known to be bad, and no release of either library known to cure it. */
Test(causes, releases_without_a_cure_are_known_all_the_same)
{
    static const struct {
        const char *id, *transformers, *peft;
        bool known;
    } rows[] = {{"mask-absent", "5.23.0", "0.21.2", true},
                {"mask-absent", "4.57.3", "0.18.1", false},
                {"mask-rank-mismatch", "4.51.3", "0.15.2", true},
                {"mask-rank-mismatch", "4.57.3", "0.18.1", false},
                {"static-cache-too-short", "5.0.0", "0.18.1", true},
                {"static-cache-too-short", "4.46.3", "0.14.0", false},
                {"prompt-refed", "4.37.2", "0.7.1", true}};
    struct shipped run;
    shipped_read(&run, SHIPPED_PROMPT);
    for (size_t i = 0; i < COUNT(rows); i++) {
        shipped_versions(&run, rows[i].transformers, rows[i].peft);
        cr_assert(shipped_subject(&run));
        const struct qc_cause_row *cause = qc_cause_find(rows[i].id);
        cr_expect_eq(qc_cause_known(cause, &run.subject), rows[i].known, "%s: %s with %s", rows[i].id, rows[i].transformers,
                     rows[i].peft);
        cr_expect_null(qc_cause_fixed_in(cause, &run.subject), "%s", rows[i].id);
        shipped_forget(&run);
    }
    shipped_clear(&run);
}

/* Without a recording the placeholders are put in words: nothing in braces remains, and no number is made up. */
Test(causes, texts_read_in_words_without_a_recording)
{
    for (int i = 0; i < qc_cause_count(); i++) {
        const struct qc_cause_row *cause = qc_cause_at(i);
        const char *const texts[] = {cause->mechanism, cause->why, cause->remedy};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
            char *words = qc_cause_text(texts[t], cause, NULL);
            cr_expect_null(strpbrk(words, "{}"), "%s: %s", cause->id, words);
            cr_expect_null(strstr(words, "  "), "%s: a placeholder without words: %s", cause->id, words);
            cr_expect_null(strstr(words, " 0 "), "%s: %s", cause->id, words);
            free(words);
        }
    }
}

Test(causes, rows_of_versions_and_signatures_belong_to_causes)
{
    int known = 0, signatures = 0;
    for (; qc_known_at(known); known++)
        cr_expect_not_null(qc_cause_find(qc_known_at(known)->id), "%s", qc_known_at(known)->id);
    for (; qc_signature_at(signatures); signatures++)
        cr_expect_not_null(qc_cause_find(qc_signature_at(signatures)->id), "%s", qc_signature_at(signatures)->id);
    cr_expect(known >= 3 && signatures >= 3);
    for (int i = 0; qc_remedy_at(i); i++) {
        const struct qc_remedy_row *remedy = qc_remedy_at(i);
        cr_expect_not_null(qc_cause_find(remedy->id), "%s", remedy->id);
        cr_expect(!strcmp(remedy->verdict, "PASS") || qc_cause_find(remedy->verdict), "%s: %s", remedy->recording,
                  remedy->verdict);
    }
}

/* "site:kind" of a difference that an exception accounts for. */
static void expect_difference(const char *word, size_t length, const char *id)
{
    char name[96];
    enum qw_site site;
    bool kind = false;
    cr_assert_lt(length, sizeof name);
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    char *colon = strchr(name, ':');
    cr_assert_not_null(colon, "%s: %s", id, name);
    *colon = 0;
    for (int i = 0; i < QC_KINDS; i++)
        kind = kind || !strcmp(qc_kind_name((enum qc_kind)i), colon + 1);
    cr_expect(qw_site_find(&site, name) && kind, "%s: %s, %s", id, name, colon + 1);
}

/* A cause that an exception proves has that exception, and accounts for differences that there can be. */
Test(causes, what_an_exception_proves)
{
    for (int i = 0; qc_raise_at(i); i++) {
        const struct qc_raise_row *raise = qc_raise_at(i);
        const struct qc_cause_row *cause = qc_cause_find(raise->id);
        cr_assert_not_null(cause, "%s", raise->id);
        cr_expect(qc_cause_has_signature(cause), "%s", raise->id);
        cr_expect_eq(qc_cause_raise(cause), raise, "%s stands twice", raise->id);
        for (const char *word = raise->differences; *word; word += strcspn(word, " "), word += *word == ' ')
            expect_difference(word, strcspn(word, " "), raise->id);
    }
}
