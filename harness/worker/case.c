/* Invariant: every field of the result contract is there, null where it has nothing to say. */
#include "harness/worker/case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/diagnose/narrative.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

#define READ_BUDGET ((int64_t)16 << 30)
#define MOST_FINDINGS 60

/* Everything that the writing of one case looks at. */
struct view {
    const struct qc_judgement *judgement;
    const struct qc_diagnosis *diagnosis; /* NULL when nothing diverged */
    const struct qc_subject *subject;
    const struct qc_recording *recording;
};

static void put_owned(struct qw_json *object, const char *key, char *text)
{
    qw_json_put_text(object, key, text);
    free(text);
}

static void put_index(struct qw_json *object, const char *key, int number)
{
    if (number < 0)
        qw_json_put_null(object, key);
    else
        qw_json_put_int(object, key, number);
}

/* ---- what was recorded ---- */

static void put_model(struct qw_json *json, const struct view *view)
{
    const struct qw_config *config = &view->subject->model.config;
    struct qw_json *model = qw_json_put(json, "model", qw_json_object());
    qw_json_put_text(model, "class", view->recording->model_class);
    qw_json_put_text(model, "dtype", view->recording->model_dtype);
    qw_json_put_int(model, "layers", config->layers);
    qw_json_put_int(model, "hidden", config->hidden);
    qw_json_put_int(model, "heads", config->heads);
    qw_json_put_int(model, "kv_heads", config->kv_heads);
    qw_json_put_int(model, "head_size", config->head_size);
    qw_json_put_int(model, "vocab", config->vocab);
    qw_json_put_bool(model, "tied", config->tied);
    qw_json_put_bool(model, "weights", view->subject->model.has_weights);
}

static void put_adapter(struct qw_json *json, const struct view *view)
{
    if (!view->recording->has_adapter) {
        qw_json_put_null(json, "adapter");
        return;
    }
    struct qw_json *adapter = qw_json_put(json, "adapter", qw_json_object());
    qw_json_put_text(adapter, "peft_type", view->recording->peft_type);
    qw_json_put_int(adapter, "virtual_tokens", view->subject->adapter.virtual_tokens);
}

static void put_call(struct qw_json *json, const struct view *view)
{
    const struct qc_recording *recording = view->recording;
    struct qw_json *call = qw_json_put(json, "call", qw_json_object());
    qw_json_put_text(call, "kind", recording->call_kind);
    qw_json_put_int(call, "batch", view->subject->call.batch);
    qw_json_put_int(call, "tokens", view->subject->call.tokens);
    qw_json_put_int(call, "generated", recording->output_ids ? view->subject->call.generated : 0);
    qw_json_put_bool(call, "use_cache", recording->use_cache);
    qw_json_put_text(call, "outcome", recording->raised ? "raised" : "ok");
    qw_json_put_text(call, "exception_type", recording->raised ? recording->exception_type : NULL);
    qw_json_put_text(call, "exception_message", recording->raised ? recording->exception_message : NULL);
    qw_json_put_text(call, "raised_at", recording->raised ? recording->raised_at : NULL);
}

static void put_recorder(struct qw_json *json, const struct qc_recording *recording)
{
    struct qw_json *recorder = qw_json_put(json, "recorder", qw_json_object());
    qw_json_put_text(recorder, "producer", recording->producer);
    qw_json_put_text(recorder, "level", qc_level_name(recording->level));
}

/* ---- the first divergence ---- */

static void put_shape(struct qw_json *object, const struct qw_shape *shape, bool known)
{
    if (!known) {
        qw_json_put_null(object, "shape");
        return;
    }
    struct qw_json *array = qw_json_put(object, "shape", qw_json_array());
    for (int i = 0; i < shape->rank; i++)
        qw_json_add_int(array, shape->dim[i]);
}

static bool counts(const struct qc_view *view) { return view->kind == QC_CACHE_LENGTH; }

static void put_side(struct qw_json *json, const char *key, const struct view *view, const struct qc_item *item, bool observed)
{
    const struct qc_view *how = qc_item_view(item);
    const char *text = observed ? item->observed_text : item->expected_text;
    bool there = observed ? item->recorded : how->kind != QC_EXTRA;
    bool tensor = !text && !counts(how) && how->kind != QC_RAISED && qw_site_rows[item->site].shape[0] + (item->site == QW_SITE_ADAPTER_PROMPT);
    struct qw_json *side = qw_json_put(json, key, qw_json_object());
    put_shape(side, observed ? &item->observed_shape : &how->expected_shape, there && tensor);
    const char *model_dtype = item->dtype && how->kind != QC_DTYPE ? item->dtype : view->recording->model_dtype;
    qw_json_put_text(side, "dtype", there && tensor ? (observed ? item->dtype : model_dtype) : NULL);
    if (text)
        qw_json_put_text(side, "value", there ? text : NULL);
    else if (there && (counts(how) || how->valued))
        qw_json_put_real(side, "value", observed ? how->difference.observed : how->difference.expected);
    else
        qw_json_put_null(side, "value");
}

static void put_element(struct qw_json *json, const struct view *view, const struct qc_item *item)
{
    const struct qc_view *how = qc_item_view(item);
    int64_t index[QW_MAX_RANK];
    if (how->valued && how->kind != QC_KIND_NONE) {
        qw_shape_unravel(index, &how->expected_shape, how->difference.index);
        struct qw_json *array = qw_json_put(json, "index", qw_json_array());
        for (int i = 0; i < how->expected_shape.rank; i++)
            qw_json_add_int(array, index[i]);
        put_owned(json, "position", qc_position_text(item, view->judgement));
        qw_json_put_real(json, "ratio", how->difference.ratio);
        return;
    }
    qw_json_put_null(json, "index");
    qw_json_put_null(json, "position");
    qw_json_put_null(json, "ratio");
}

static void put_first(struct qw_json *json, const struct view *view, const struct qc_item *item)
{
    if (!item) {
        qw_json_put_null(json, "first_divergence");
        return;
    }
    struct qw_json *first = qw_json_put(json, "first_divergence", qw_json_object());
    put_index(first, "step", item->step);
    put_index(first, "layer", qc_site_layer(item, view->recording));
    put_owned(first, "site", qc_site_name(item, view->recording));
    qw_json_put_text(first, "party", qw_party_name(qw_site_rows[item->site].party));
    qw_json_put_text(first, "kind", qc_kind_name(qc_item_view(item)->kind));
    qw_json_put_null(first, "permutation");
    put_side(first, "expected", view, item, false);
    put_side(first, "observed", view, item, true);
    put_element(first, view, item);
}

static void put_last_good(struct qw_json *json, const struct view *view, const struct qc_item *first)
{
    const struct qc_item *good = NULL;
    for (int i = 0; first && i < view->judgement->items.count && view->judgement->items.ordered[i] != first; i++)
        if (qc_item_status(view->judgement->items.ordered[i]) == QC_CONFORMS)
            good = view->judgement->items.ordered[i];
    if (first && qc_item_view(first)->kind == QC_RAISED)
        for (int i = 0; i < view->judgement->items.count; i++)
            if (qc_item_status(view->judgement->items.ordered[i]) == QC_CONFORMS)
                good = view->judgement->items.ordered[i];
    if (!good) {
        qw_json_put_null(json, "last_good");
        return;
    }
    struct qw_json *last = qw_json_put(json, "last_good", qw_json_object());
    put_index(last, "step", good->step);
    put_index(last, "layer", good->layer);
    qw_json_put_text(last, "site", qw_site_rows[good->site].name);
}

/* ---- the cause ---- */

static void put_words(struct qw_json *array, const char *words)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        char *word = qw_format("%.*s", (int)length, words);
        qw_json_add_text(array, word);
        free(word);
        words += length + (words[length] == ' ');
    }
}

/* Largest ratio of the isolated view: what the model makes of what it was really given. */
static const struct qc_item *largest_item(const struct qc_judgement *judgement, bool isolated_only)
{
    const struct qc_item *largest = NULL;
    double ratio = -1;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        const struct qc_view *views[] = {&item->isolated, &item->free};
        for (int v = 0; v < (isolated_only ? 1 : 2); v++)
            if (views[v]->valued && views[v]->difference.ratio > ratio) {
                ratio = views[v]->difference.ratio;
                largest = item;
            }
    }
    return largest;
}

static double ratio_of(const struct qc_item *item, bool isolated_only)
{
    double free_ratio = item->free.valued && !isolated_only ? item->free.difference.ratio : -1;
    return fmax(free_ratio, item->isolated.valued ? item->isolated.difference.ratio : -1);
}

static int party_failures(const struct qc_judgement *judgement, enum qw_party party, enum qc_status status)
{
    int count = 0;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        bool wanted = status == QC_DIFFERS ? qc_item_fails(item) : qc_item_status(item) == status;
        count += wanted && qw_site_rows[item->site].party == party && item->free.kind != QC_RAISED;
    }
    return count;
}

static void put_evidence(struct qw_json *cause, const struct view *view)
{
    const struct qc_hypothesis *best = &view->diagnosis->ranked[0];
    const struct qc_item *first = qc_judgement_first(view->judgement);
    struct qw_json *evidence = qw_json_put(cause, "evidence", qw_json_array());
    char *place = qc_place_text(first), *difference = qc_difference_text(first, view->recording);
    char *line = qw_format("First divergence: %s, %s.", place, difference);
    qw_json_add_text(evidence, line);
    free(line);
    if (best->by_signature)
        line = qw_format("The run raised %s: %s.", view->recording->exception_type, view->recording->exception_message);
    else
        line = qw_format("Played with this one fault, the reference reproduces %d of the %d sites that differ from the healthy play.",
                         best->reproduced, best->sites);
    qw_json_add_text(evidence, line);
    free(line);
    const struct qc_item *largest = largest_item(view->judgement, true);
    if (largest && party_failures(view->judgement, QW_MODEL, QC_DIFFERS) == 0) {
        line = qw_format("The model is acquitted: fed with what it was really given, every module computes what it should "
                         "(largest error %.3g times the noise floor, %.3g are allowed).",
                         ratio_of(largest, true), QC_NOISE_MULTIPLE);
        qw_json_add_text(evidence, line);
        free(line);
    }
    if (qc_cause_signed(best->cause, view->subject) && !best->by_signature)
        qw_json_add_text(evidence, "The exception that was raised is the one that this cause is known for.");
    free(place);
    free(difference);
}

static void put_against(struct qw_json *cause, const struct view *view)
{
    const struct qc_hypothesis *best = &view->diagnosis->ranked[0];
    struct qw_json *against = qw_json_put(cause, "against", qw_json_array());
    if (!qc_cause_fixed_in(best->cause, view->subject))
        qw_json_add_text(against, "The recorded versions are not among those that are known for this cause.");
    if (!best->by_signature && best->reproduced < best->sites) {
        char *line = qw_format("%d of the %d sites that differ are not reproduced by it.", best->sites - best->reproduced, best->sites);
        qw_json_add_text(against, line);
        free(line);
    }
}

static void put_runner_up(struct qw_json *cause, const struct qc_diagnosis *diagnosis)
{
    int next = 1 + diagnosis->equivalent;
    struct qw_json *equivalent = qw_json_put(cause, "equivalent", qw_json_array());
    for (int i = 1; i < next; i++)
        qw_json_add_text(equivalent, diagnosis->ranked[i].cause->id);
    if (next >= diagnosis->count) {
        qw_json_put_null(cause, "runner_up");
        return;
    }
    struct qw_json *runner_up = qw_json_put(cause, "runner_up", qw_json_object());
    qw_json_put_text(runner_up, "id", diagnosis->ranked[next].cause->id);
    qw_json_put_real(runner_up, "explained", diagnosis->ranked[next].explained);
}

static struct qw_json *unclassified(const struct view *view)
{
    struct qw_json *cause = qw_json_object();
    const struct qc_item *first = qc_judgement_first(view->judgement);
    qw_json_put_text(cause, "id", "unclassified");
    qw_json_put_text(cause, "title", "No cause of the catalogue reproduces this record");
    qw_json_put_text(cause, "confidence", "low");
    qw_json_put_int(cause, "explained", 0);
    qw_json_put(cause, "against", qw_json_array());
    qw_json_put_null(cause, "runner_up");
    qw_json_put(cause, "equivalent", qw_json_array());
    qw_json_put_null(cause, "parameter");
    qw_json_put(cause, "upstream", qw_json_array());
    qw_json_put_null(cause, "fixed_in");
    qw_json_put_text(cause, "remedy", "Look at the first divergence; the ranked hypotheses are among the findings.");
    qw_json_put_text(cause, "party", qw_party_name(qw_site_rows[first->site].party));
    qw_json_put_text(cause, "mechanism",
                     "Every cause of the catalogue was played and none reproduces what was recorded. The first divergence "
                     "says where the record leaves the healthy play; everything before it is right.");
    qw_json_put(cause, "evidence", qw_json_array());
    return cause;
}

static struct qw_json *named_cause(const struct view *view)
{
    static const char *const confidence[] = {"low", "medium", "high"};
    const struct qc_hypothesis *best = &view->diagnosis->ranked[0];
    struct qw_json *cause = qw_json_object();
    enum qw_deviation deviation;
    bool deviates = qc_cause_deviation(&deviation, best->cause);
    qw_json_put_text(cause, "id", best->cause->id);
    qw_json_put_text(cause, "title", best->cause->title);
    qw_json_put_text(cause, "confidence", confidence[view->diagnosis->confidence]);
    qw_json_put_real(cause, "explained", best->explained);
    put_against(cause, view);
    put_runner_up(cause, view->diagnosis);
    qw_json_put_null(cause, "parameter");
    put_words(qw_json_put(cause, "upstream", qw_json_array()), best->cause->upstream);
    qw_json_put_text(cause, "fixed_in", qc_cause_fixed_in(best->cause, view->subject));
    put_owned(cause, "remedy", qc_cause_text(best->cause->remedy, best->cause, view->subject));
    qw_json_put_text(cause, "party", qw_party_name(deviates ? qw_deviation_party(deviation) : QW_PROTOCOL));
    put_owned(cause, "mechanism", qc_cause_text(best->cause->mechanism, best->cause, view->subject));
    put_evidence(cause, view);
    return cause;
}

static void put_cause(struct qw_json *json, const struct view *view)
{
    struct qw_json *causes = qw_json_array();
    if (view->diagnosis) {
        struct qw_json *cause = view->diagnosis->named ? named_cause(view) : unclassified(view);
        qw_json_add(causes, qw_json_copy(cause));
        qw_json_put(json, "cause", cause);
    } else {
        qw_json_put_null(json, "cause");
    }
    qw_json_put(json, "causes", causes);
}

static void add_next(struct qw_json *steps, const char *text, const char *command)
{
    struct qw_json *step = qw_json_add(steps, qw_json_object());
    qw_json_put_text(step, "text", text);
    qw_json_put_text(step, "command", command);
}

static void put_next_steps(struct qw_json *json, const struct view *view)
{
    struct qw_json *steps = qw_json_put(json, "next_steps", qw_json_array());
    char *inspect = qw_format("qconform inspect %s", view->recording->path);
    if (view->diagnosis && view->diagnosis->named) {
        const struct qc_cause_row *cause = view->diagnosis->ranked[0].cause;
        const char *fixed = qc_cause_fixed_in(cause, view->subject);
        char *remedy = qc_cause_text(cause->remedy, cause, view->subject);
        char *command = fixed ? qw_format("pip install '%.*s>=%s'", (int)strcspn(fixed, " "), fixed, strchr(fixed, ' ') + 1) : NULL;
        add_next(steps, remedy, command);
        add_next(steps, "Record the same call again with the cure in place, and see that it conforms.",
                 "python -m qconform_recorder --out again.h5 your_script.py && qconform diagnose again.h5");
        free(remedy);
        free(command);
    } else if (view->diagnosis) {
        add_next(steps, "See what the recording holds at the first divergence.", inspect);
    }
    free(inspect);
}

/* ---- parties, coverage, consequence ---- */

static const char *party_title(enum qw_party party)
{
    static const char *const titles[QW_PARTIES] = {"PEFT's part: what the base model is handed", "Qwen's part: from the hand-over to the logits",
                                                   "The cache's part: what is kept from step to step"};
    return titles[party];
}

static int party_items(const struct qc_judgement *judgement, enum qw_party party)
{
    int count = 0;
    for (int i = 0; i < judgement->items.count; i++)
        count += qw_site_rows[judgement->items.ordered[i]->site].party == party &&
                 judgement->items.ordered[i]->free.kind != QC_RAISED;
    return count;
}

static void put_parties(struct qw_json *json, const struct view *view)
{
    struct qw_json *parties = qw_json_put(json, "parties", qw_json_array());
    bool blamed = false;
    for (enum qw_party party = 0; party < QW_PARTIES; party++) {
        int items = party_items(view->judgement, party), own = party_failures(view->judgement, party, QC_DIFFERS);
        int inherited = party_failures(view->judgement, party, QC_INHERITED);
        struct qw_json *entry = qw_json_add(parties, qw_json_object());
        const char *status = items == 0 ? "not judged" : own && !blamed ? "at fault" : own || inherited ? "consequence" : "conforms";
        char *message = items == 0    ? qw_strdup("Nothing of it was recorded.")
                        : own         ? qw_format("%d of %d sites differ from the healthy play.", own, items)
                        : inherited   ? qw_format("Right on what it was really given; %d of %d sites differ from the healthy run because their inputs do.",
                                                  inherited, items)
                                      : qw_format("All %d sites conform.", items);
        qw_json_put_text(entry, "name", qw_party_name(party));
        qw_json_put_text(entry, "title", party_title(party));
        qw_json_put_text(entry, "status", status);
        put_owned(entry, "message", message);
        blamed = blamed || own;
    }
}

static bool is_shaped_only(const struct view *view)
{
    return view->recording->level <= QC_LEVEL_STATS || !view->subject->model.has_weights ||
           (view->subject->adapter.kind != QW_ADAPTER_NONE && !view->subject->adapter.table);
}

static void put_coverage(struct qw_json *json, const struct view *view)
{
    const struct qc_judgement *judgement = view->judgement;
    int expected = 0, missing = 0, waived = 0;
    for (int i = 0; i < judgement->items.count; i++) {
        const struct qc_item *item = judgement->items.ordered[i];
        if (!item->expected)
            continue;
        expected++;
        if (item->reason)
            waived++;
        else
            missing += !item->recorded;
    }
    struct qw_json *coverage = qw_json_put(json, "coverage", qw_json_object());
    qw_json_put_int(coverage, "expected", expected);
    qw_json_put_int(coverage, "compared", expected - missing - waived);
    qw_json_put_int(coverage, "missing", missing);
    qw_json_put_int(coverage, "waived", waived);
    struct qw_json *blind = qw_json_put(coverage, "blind", qw_json_array());
    const struct {
        const char *name;
        bool applies;
    } spots[] = {{"values", is_shaped_only(view)},
                 {"padding", true},
                 {"batch", view->subject->call.batch == 1},
                 {"decode", view->recording->steps < 2 || !view->subject->call.use_cache},
                 {"heads", view->subject->model.config.heads == view->subject->model.config.kv_heads},
                 {"adapter", !view->recording->has_adapter}};
    for (size_t i = 0; i < sizeof spots / sizeof *spots; i++)
        if (spots[i].applies)
            qw_json_add_text(blind, spots[i].name);
}

static void put_consequence(struct qw_json *json, const struct view *view)
{
    const struct qc_consequence *consequence = &view->judgement->consequence;
    if (!view->diagnosis || !consequence->compared) {
        qw_json_put_null(json, "consequence");
        return;
    }
    struct qw_json *out = qw_json_put(json, "consequence", qw_json_object());
    put_index(out, "first_token_flip", consequence->first_flip);
    qw_json_put_real(out, "top1_agreement", (double)consequence->agreed / consequence->compared);
    qw_json_put_real(out, "kl", consequence->largest_kl);
    qw_json_put_int(out, "steps_compared", consequence->compared);
}

static void put_cache_lengths(struct qw_json *json, const struct view *view)
{
    struct qw_json *lengths = qw_json_put(json, "cache_lengths", qw_json_array());
    for (int step = 0; step < view->judgement->steps; step++) {
        struct qw_json *entry = qw_json_add(lengths, qw_json_object());
        const struct qc_cache *after = step < view->recording->steps ? &view->recording->step[step].after : NULL;
        qw_json_put_int(entry, "step", step);
        qw_json_put_int(entry, "expected", view->judgement->expected_lengths[step]);
        if (after && after->present && after->length >= 0)
            qw_json_put_int(entry, "observed", after->length);
        else
            qw_json_put_null(entry, "observed");
    }
}

/* ---- findings and sites ---- */

static void add_finding(struct qw_json *findings, const char *id, const char *severity, const struct qc_item *item, char *message)
{
    struct qw_json *finding = qw_json_add(findings, qw_json_object());
    qw_json_put_text(finding, "id", id);
    qw_json_put_text(finding, "severity", severity);
    put_index(finding, "step", item ? item->step : -1);
    put_index(finding, "layer", item ? item->layer : -1);
    qw_json_put_text(finding, "site", item ? qw_site_rows[item->site].name : NULL);
    put_owned(finding, "message", message);
}

static void add_item_findings(struct qw_json *findings, const struct view *view)
{
    int failing = 0;
    for (int i = 0; i < view->judgement->items.count; i++) {
        const struct qc_item *item = view->judgement->items.ordered[i];
        if (qc_item_fails(item) && failing++ < MOST_FINDINGS)
            add_finding(findings, qc_kind_name(qc_item_view(item)->kind), "error", item, qc_difference_text(item, view->recording));
    }
    if (failing > MOST_FINDINGS)
        add_finding(findings, "more", "note", NULL, qw_format("%d more sites differ; the list of sites has them all.", failing - MOST_FINDINGS));
}

static int unjudged_taps(const struct view *view)
{
    int taps = 0, judged = 0;
    for (int step = 0; step < view->recording->steps; step++)
        taps += view->recording->step[step].taps;
    for (int i = 0; i < view->judgement->items.count; i++) {
        const struct qc_item *item = view->judgement->items.ordered[i];
        enum qw_place place = qw_site_rows[item->site].place;
        judged += item->recorded && (place == QW_HEAD || place == QW_BLOCK || place == QW_TAIL);
    }
    return taps - judged;
}

static void put_findings(struct qw_json *json, const struct view *view)
{
    struct qw_json *findings = qw_json_put(json, "findings", qw_json_array());
    add_item_findings(findings, view);
    for (int i = 0; view->diagnosis && i < view->diagnosis->count; i++)
        add_finding(findings, "hypothesis", "note", NULL,
                    qw_format("%d. %s explains %.4g of the divergence.", i + 1, view->diagnosis->ranked[i].cause->id,
                              view->diagnosis->ranked[i].explained));
    if (view->recording->raised)
        add_finding(findings, "raised", "note", NULL,
                    qw_format("The run raised %s: %s", view->recording->exception_type, view->recording->exception_message));
    if (view->subject->newer)
        add_finding(findings, "newer-versions", "note", NULL,
                    qw_strdup("The recorded versions are newer than those that the rules were measured with; the newest known rules were used."));
    int others = unjudged_taps(view);
    if (others > 0)
        add_finding(findings, "unjudged-taps", "note", NULL,
                    qw_format("%d recorded taps belong to no site of the reference and were not judged.", others));
}

static void put_ratio(struct qw_json *site, const char *key, const struct qc_view *view)
{
    if (view->valued)
        qw_json_put_real(site, key, view->difference.ratio);
    else
        qw_json_put_null(site, key);
}

static void put_sites(struct qw_json *json, const struct view *view)
{
    struct qw_json *sites = qw_json_put(json, "sites", qw_json_array());
    for (int i = 0; i < view->judgement->items.count; i++) {
        const struct qc_item *item = view->judgement->items.ordered[i];
        const struct qc_view *how = item->free.valued ? &item->free : &item->isolated;
        enum qc_kind kind = qc_item_view(item)->kind;
        struct qw_json *site = qw_json_add(sites, qw_json_object());
        put_index(site, "step", item->step);
        put_index(site, "layer", qc_site_layer(item, view->recording));
        put_owned(site, "site", qc_site_name(item, view->recording));
        qw_json_put_text(site, "party", qw_party_name(qw_site_rows[item->site].party));
        qw_json_put_text(site, "status", qc_status_name(qc_item_status(item)));
        qw_json_put_text(site, "kind", kind == QC_KIND_NONE ? NULL : qc_kind_name(kind));
        put_ratio(site, "ratio", &item->free);
        put_ratio(site, "ratio_isolated", &item->isolated);
        if (how->valued) {
            qw_json_put_real(site, "max_abs", how->difference.max_abs);
            qw_json_put_real(site, "rms", how->difference.rms);
            qw_json_put_real(site, "ulp", how->difference.ulp);
        }
        if (item->reason)
            qw_json_put_text(site, "reason", item->reason);
    }
}

static void put_largest(struct qw_json *json, const struct view *view)
{
    bool isolated_only = view->diagnosis != NULL;
    const struct qc_item *largest = largest_item(view->judgement, isolated_only);
    if (!largest) {
        qw_json_put_null(json, "largest_ratio");
        return;
    }
    struct qw_json *out = qw_json_put(json, "largest_ratio", qw_json_object());
    qw_json_put_real(out, "ratio", ratio_of(largest, isolated_only));
    put_index(out, "step", largest->step);
    put_index(out, "layer", largest->layer);
    qw_json_put_text(out, "site", qw_site_rows[largest->site].name);
}

/* ---- the case ---- */

static struct qw_json *case_head(const char *path, const struct qc_recording *recording)
{
    struct qw_json *json = qw_json_object();
    qw_json_put_text(json, "id", qw_path_base(path));
    qw_json_put_text(json, "recording", path);
    qw_json_put_text(json, "recording_sha256", recording && recording->sha256[0] ? recording->sha256 : NULL);
    qw_json_put(json, "environment", recording && recording->environment ? qw_json_copy(recording->environment) : qw_json_object());
    return json;
}

static void put_seconds(struct qw_json *json, const struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct qw_json *timing = qw_json_put(json, "timing", qw_json_object());
    qw_json_put_real(timing, "seconds", (double)(now.tv_sec - from->tv_sec) + 1e-9 * (double)(now.tv_nsec - from->tv_nsec));
}

static struct qw_json *judged_case(const struct view *view)
{
    const struct qc_item *first = qc_judgement_first(view->judgement);
    struct qw_json *json = case_head(view->recording->path, view->recording);
    put_model(json, view);
    put_adapter(json, view);
    qw_json_put_text(json, "status", first ? "FAIL" : "PASS");
    put_owned(json, "verdict", qc_verdict_text(view->judgement, view->diagnosis));
    put_cause(json, view);
    put_first(json, view, first);
    put_last_good(json, view, first);
    put_coverage(json, view);
    put_consequence(json, view);
    put_findings(json, view);
    put_recorder(json, view->recording);
    qw_json_put_int(json, "steps", view->recording->steps);
    put_call(json, view);
    put_parties(json, view);
    put_next_steps(json, view);
    put_cache_lengths(json, view);
    put_largest(json, view);
    qw_json_put_null(json, "error");
    put_sites(json, view);
    return json;
}

static struct qw_json *judge_subject(const struct qc_subject *subject)
{
    struct qc_judgement judgement;
    struct qc_diagnosis diagnosis = {0};
    qc_judge(&judgement, subject, &subject->rules, true);
    bool diverged = qc_judgement_first(&judgement) != NULL;
    if (diverged)
        diagnosis = qc_diagnose(&judgement);
    struct view view = {&judgement, diverged ? &diagnosis : NULL, subject, subject->recording};
    struct qw_json *json = judged_case(&view);
    qc_diagnosis_clear(&diagnosis);
    qc_judgement_clear(&judgement);
    return json;
}

static struct qw_json *case_without_judgement(const char *path, const struct qc_recording *recording, const char *status,
                                              const struct qw_error *error)
{
    static const char *const nothing[] = {"model", "adapter", "cause", "first_divergence", "last_good", "consequence", "largest_ratio"};
    static const char *const empty[] = {"causes", "findings", "sites", "parties", "next_steps", "cache_lengths"};
    static const char *const counters[] = {"expected", "compared", "missing", "waived"};
    struct qw_json *json = case_head(path, recording);
    char words[2400];
    qw_error_text(words, sizeof words, error);
    qw_json_put_text(json, "status", status);
    qw_json_put_text(json, "verdict", words);
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        qw_json_put_null(json, nothing[i]);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        qw_json_put(json, empty[i], qw_json_array());
    struct qw_json *coverage = qw_json_put(json, "coverage", qw_json_object());
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        qw_json_put_int(coverage, counters[i], 0);
    qw_json_put(coverage, "blind", qw_json_array());
    struct qw_json *why = qw_json_put(json, "error", qw_json_object());
    qw_json_put_text(why, "file", error->file);
    qw_json_put_text(why, "place", error->place);
    qw_json_put_text(why, "message", error->message);
    qw_json_put_text(why, "hint", error->hint);
    return json;
}

struct qw_json *qc_case_failed(const char *path, const char *status, const struct qw_error *error)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct qw_json *json = case_without_judgement(path, NULL, status, error);
    put_seconds(json, &now);
    return json;
}

struct qw_json *qc_case_judge(const char *path, const struct qc_places *places)
{
    struct qc_recording recording = {0};
    struct qc_subject subject = {0};
    struct qw_error error = {0};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    bool made = qc_recording_read(&recording, path, READ_BUDGET, &error) && qc_subject_make(&subject, &recording, places, &error);
    struct qw_json *json = made ? judge_subject(&subject)
                                : case_without_judgement(path, &recording, error.kind == QW_ERROR_UNSUPPORTED ? "SKIP" : "ERROR", &error);
    put_seconds(json, &start);
    qc_subject_clear(&subject);
    qc_recording_clear(&recording);
    return json;
}
