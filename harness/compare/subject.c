/* Invariant: a subject that was made is covered, and its token ids lie within the vocabulary. */
#include "harness/compare/subject.h"

#include <fnmatch.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare/call.h"
#include "reference/base/cast.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

static bool skip(struct qw_error *error, const char *place, const char *what)
{
    return qw_fail(error, QW_ERROR_UNSUPPORTED, place, "", "%s is outside what this version covers", what);
}

/* ---- selection ---- */

struct qc_selection qc_selection_all(void) { return (struct qc_selection){0, -1, 0, -1, NULL, NULL}; }

static void add_range(struct qw_text *out, const char *name, int first, int last)
{
    if (last < first)
        return;
    qw_text_addf(out, "%s%s %d", out->length ? ", " : "", name, first);
    if (last == INT_MAX)
        qw_text_add(out, " on");
    else if (last > first)
        qw_text_addf(out, "-%d", last);
}

char *qc_selection_text(const struct qc_selection *selection)
{
    struct qw_text out = {0};
    add_range(&out, "steps", selection->first_step, selection->last_step);
    add_range(&out, "layers", selection->first_layer, selection->last_layer);
    if (selection->site)
        qw_text_addf(&out, "%ssites %s", out.length ? ", " : "", selection->site);
    return qw_text_take(&out);
}

static bool in_range(int number, int first, int last) { return last < first || (number >= first && number <= last); }

bool qc_selection_is_all(const struct qc_selection *selection)
{
    return selection->last_step < selection->first_step && selection->last_layer < selection->first_layer && !selection->site;
}

bool qc_selection_has(const struct qc_selection *selection, int step, int layer, const char *site)
{
    return in_range(step, selection->first_step, selection->last_step) &&
           in_range(layer, selection->first_layer, selection->last_layer) &&
           (!selection->site || fnmatch(selection->site, site, 0) == 0);
}

/* ---- coverage ---- */

static bool skip_class(const struct qc_recording *recording, struct qw_error *error)
{
    struct qw_text covered = {0};
    for (enum qw_family f = 0; f < QW_FAMILIES; f++)
        qw_text_addf(&covered, "%s%s", f ? ", " : "", qw_family_rows[f].model_class);
    qw_fail(error, QW_ERROR_UNSUPPORTED, "/model@class", "", "the model class %.80s is outside what this version covers (%s)",
            recording->model_class, covered.bytes);
    qw_text_free(&covered);
    return false;
}

/* The class and the configuration of a recording speak of one model. */
static bool check_family(const struct qc_subject *subject, struct qw_error *error)
{
    const char *model_class = subject->recording->model_class;
    const struct qw_config *config = &subject->model.config;
    return !strcmp(qw_family_rows[config->family].model_class, model_class) ||
           qw_fail(error, QW_ERROR_INPUT, "/model@config", "record class and configuration of the same model",
                   "the model_type \"%s\" is not that of a %.80s", config->model_type, model_class);
}

static bool check_class(struct qc_subject *subject, struct qw_error *error)
{
    const struct qc_recording *recording = subject->recording;
    enum qw_family family;
    if (!qw_family_of_class(&family, recording->model_class))
        return skip_class(recording, error);
    if (!qw_dtype_from_name(&subject->dtype, recording->model_dtype))
        return qw_fail(error, QW_ERROR_INPUT, "/model@dtype", "see the recording format, version 1",
                       "\"%.40s\" names no element type of the format", recording->model_dtype);
    if (qw_dtype_roundoff(subject->dtype) == 0)
        return qw_fail(error, QW_ERROR_UNSUPPORTED, "/model@dtype", "record the run in a floating type",
                       "the arithmetic of %s is outside what this version covers", recording->model_dtype);
    return true;
}

/* Arguments of generate() that change how often, or with what, the base model is called. */
static bool check_kwargs(const struct qw_json *kwargs, struct qw_error *error)
{
    static const char *const uncovered[] = {"penalty_alpha", "past_key_values", "inputs_embeds"};
    for (size_t i = 0; i < sizeof uncovered / sizeof *uncovered; i++)
        if (!qw_json_is_null(qw_json_get(kwargs, uncovered[i])) && qw_json_get_int(kwargs, uncovered[i], 0) != 1)
            return qw_fail(error, QW_ERROR_UNSUPPORTED, "/call@kwargs", "", "a call with %s is outside what this version covers",
                           uncovered[i]);
    return true;
}

static bool check_call(const struct qc_recording *recording, struct qw_error *error)
{
    if (strcmp(recording->call_kind, "generate") && strcmp(recording->call_kind, "forward") &&
        strcmp(recording->call_kind, "loop"))
        return qw_fail(error, QW_ERROR_UNSUPPORTED, "/call@kind", "",
                       "a call of kind \"%.40s\" is outside what this version covers", recording->call_kind);
    if (!recording->input_ids)
        return skip(error, "/call/input_ids", "a call that is not given token ids");
    return check_kwargs(recording->call_kwargs, error);
}

static bool check_caches(const struct qc_recording *recording, struct qw_error *error)
{
    enum qw_cache_kind kind;
    for (int s = 0; s < recording->steps; s++) {
        const struct qc_cache *caches[] = {&recording->step[s].before, &recording->step[s].after};
        for (int i = 0; i < 2; i++)
            if (caches[i]->present && !qw_cache_kind_from_name(&kind, caches[i]->type))
                return qw_fail(error, QW_ERROR_UNSUPPORTED, "/steps", "",
                               "a cache of type %.80s is outside what this version covers", caches[i]->type);
    }
    return true;
}

/* ---- ids ---- */

static bool check_ids(const struct qw_tensor *ids, int64_t vocab, const char *place, struct qw_error *error)
{
    for (int64_t i = 0; ids && ids->data && i < qw_shape_count(&ids->shape); i++)
        if (qw_tensor_at(ids, i) < 0 || qw_tensor_at(ids, i) >= (double)vocab)
            return qw_fail(error, QW_ERROR_INPUT, place, "the ids belong to another vocabulary than the model's",
                           "token id %lld lies outside the vocabulary of %lld", (long long)qw_tensor_at(ids, i),
                           (long long)vocab);
    return true;
}

static bool check_all_ids(const struct qc_subject *subject, struct qw_error *error)
{
    const struct qc_recording *recording = subject->recording;
    int64_t vocab = subject->model.config.vocab;
    bool ok = check_ids(recording->input_ids, vocab, "/call/input_ids", error) &&
              check_ids(recording->output_ids, vocab, "/call/output_ids", error);
    for (int s = 0; ok && s < recording->steps; s++)
        ok = check_ids(recording->step[s].input[QC_INPUT_IDS], vocab, "/steps/*/received/input_ids", error);
    return ok;
}

/* ---- weights ---- */

/* The folder that the recording names, if its weights have to be read from there. */
static const char *named_folder(const struct qc_weights *weights, const char *override)
{
    return override || weights->embedded.count || !weights->folder[0] ? NULL : weights->folder;
}

static const char *unless_granted(const char *folder, const char *granted)
{
    return folder && granted && !strcmp(folder, granted) ? NULL : folder;
}

/* A process that may not open what the recording names says what it needs; nothing is tried. */
static bool check_folders(struct qc_subject *subject, const struct qc_places *places, struct qw_error *error)
{
    const struct qc_recording *recording = subject->recording;
    if (!places->ask)
        return true;
    subject->needs.model = unless_granted(named_folder(&recording->model_weights, places->model), places->named_model);
    if (recording->has_adapter)
        subject->needs.adapter = unless_granted(named_folder(&recording->adapter_weights, places->adapter),
                                                places->named_adapter);
    return (!subject->needs.model && !subject->needs.adapter) ||
           qw_fail(error, QW_ERROR_INPUT, "", "name them: --model DIR --adapter DIR", "names folders that may not be opened yet");
}

/* The folder to read, or NULL when the weights are embedded or were not kept; free with free(). */
static char *folder_of(const struct qc_recording *recording, const struct qc_weights *weights, const char *override)
{
    if (override)
        return qw_strdup(override);
    const char *name = named_folder(weights, override);
    if (!name)
        return NULL;
    char *base = qw_path_folder(recording->path), *folder = qw_path_join(base, name);
    free(base);
    return folder;
}

/* Copies; what is finer than `run`, when that is given, is rounded to it, as the library does on loading. */
static void move_tensors(struct qw_tensors *to, const struct qw_tensors *from, const enum qw_dtype *run)
{
    for (int i = 0; i < from->count; i++) {
        const struct qw_tensor *tensor = from->item[i].tensor;
        bool finer = run && qw_dtype_roundoff(tensor->dtype) < qw_dtype_roundoff(*run);
        struct qw_tensor *copy = qw_tensor_make(finer ? *run : tensor->dtype, &tensor->shape);
        qw_cast(copy->data, copy->dtype, tensor->data, tensor->dtype, qw_shape_count(&tensor->shape));
        qw_tensors_add(to, from->item[i].name, copy);
    }
}

static bool make_model(struct qc_subject *subject, const struct qc_places *places, struct qw_error *error)
{
    const struct qc_recording *recording = subject->recording;
    char *folder = folder_of(recording, &recording->model_weights, places->model);
    struct qw_config config = subject->model.config;
    struct qw_folder_terms terms = {&config, places->model ? "" : recording->model_weights.digest, &subject->dtype,
                                    subject->rules.tied_head};
    bool ok = true;
    if (folder) {
        ok = qw_model_read_folder(&subject->model, folder, &terms, error);
    } else if (recording->model_weights.embedded.count) {
        move_tensors(&subject->model.tensors, &recording->model_weights.embedded, &subject->dtype);
        ok = qw_model_bind(&subject->model, error);
        qw_error_in_file(error, recording->path);
    }
    subject->model.dtype = subject->dtype;
    free(folder);
    return ok;
}

static bool make_adapter(struct qc_subject *subject, const struct qc_places *places, struct qw_error *error)
{
    const struct qc_recording *recording = subject->recording;
    if (!recording->has_adapter)
        return true;
    char *folder = folder_of(recording, &recording->adapter_weights, places->adapter);
    const char *digest = places->adapter ? "" : recording->adapter_weights.digest;
    bool ok = qw_adapter_read_config(&subject->adapter, recording->peft_type, recording->adapter_config, "/adapter@config",
                                     error);
    if (ok && folder) {
        ok = qw_adapter_read_folder(&subject->adapter, folder, digest, error) &&
             (!places->adapter || qw_adapter_check(&subject->adapter, &subject->model.config, folder, error));
    } else if (ok && recording->adapter_weights.embedded.count) {
        move_tensors(&subject->adapter.tensors, &recording->adapter_weights.embedded, NULL);
        ok = qw_adapter_bind(&subject->adapter, error);
    }
    free(folder);
    return ok;
}

/* ---- rules ---- */

/* Where the library computes its rotary tables is its own affair: the record tells. */
static bool rotary_in_attention(const struct qc_recording *recording, bool by_era)
{
    for (int s = 0; s < recording->steps; s++) {
        if (qc_step_tap(&recording->step[s], "model.rotary_emb"))
            return false;
        if (qc_step_tap(&recording->step[s], "model.layers.0.self_attn.rotary_emb"))
            return true;
    }
    return by_era;
}

/* Whether a switch of the framework is recorded as set that way; text, as Python prints it. */
static bool says(const struct qw_json *environment, const char *name, bool value)
{
    const char *text = qw_json_get_text(environment, name, "");
    return value ? !strcmp(text, "True") || !strcmp(text, "true") || !strcmp(text, "1")
                 : !strcmp(text, "False") || !strcmp(text, "false") || !strcmp(text, "0");
}

static enum qc_products products_of(const struct qc_subject *subject)
{
    const struct qw_json *environment = subject->recording->environment;
    bool half = subject->dtype == QW_F16 || subject->dtype == QW_BF16;
    const char *reduction = subject->dtype == QW_F16 ? "allow_fp16_reduced_precision_reduction"
                                                     : "allow_bf16_reduced_precision_reduction";
    if (!subject->setting.cuda)
        return QC_PRODUCTS_WHOLE;
    if (half)
        return says(environment, reduction, false) ? QC_PRODUCTS_WHOLE : QC_PRODUCTS_PARTS;
    const char *precision = qw_json_get_text(environment, "float32_matmul_precision", "highest");
    bool tf32 = says(environment, "allow_tf32", true) || !strcmp(precision, "high") || !strcmp(precision, "medium");
    return subject->dtype == QW_F32 && tf32 ? QC_PRODUCTS_TF32 : QC_PRODUCTS_WHOLE;
}

static void make_rules(struct qc_subject *subject)
{
    const struct qw_json *environment = subject->recording->environment;
    const struct qw_setting newest = qw_setting_newest();
    struct qw_setting *setting = &subject->setting;
    if (!qw_version_read(&setting->transformers, qw_json_get_text(environment, "transformers", "")))
        setting->transformers = newest.transformers;
    if (!qw_version_read(&setting->peft, qw_json_get_text(environment, "peft", "")))
        setting->peft = newest.peft;
    setting->family = subject->model.config.family;
    setting->eager = !strcmp(qw_json_get_text(environment, "attn_implementation", ""), "eager");
    setting->half = subject->dtype == QW_F16;
    setting->cuda = !strncmp(qw_json_get_text(environment, "device", ""), "cuda", 4);
    subject->products = products_of(subject);
    subject->newer = qw_version_compare(setting->transformers, newest.transformers) > 0 ||
                     qw_version_compare(setting->peft, newest.peft) > 0;
    subject->rules = qw_rules_healthy(*setting);
    subject->rules.rotary_in_attention = rotary_in_attention(subject->recording, subject->rules.rotary_in_attention);
}

static bool check_all(struct qc_subject *subject, const struct qc_places *places, struct qw_error *error)
{
    const struct qc_recording *recording = subject->recording;
    return check_family(subject, error) && check_call(recording, error) && check_caches(recording, error) &&
           check_all_ids(subject, error) && check_folders(subject, places, error);
}

/* What follows from the recording once the model is there. */
static bool make_rest(struct qc_subject *subject, const struct qc_places *places, struct qw_error *error)
{
    bool ok = make_adapter(subject, places, error) &&
              qc_call_make(&subject->call, subject->recording, &subject->model, &subject->adapter, error);
    if (ok)
        qc_encoded_settle(subject);
    return ok;
}

const char *qc_subject_products_text(const struct qc_subject *subject)
{
    if (!subject->setting.cuda || subject->selection.precision)
        return NULL;
    switch (subject->products) {
    case QC_PRODUCTS_TF32:
        return "The run was allowed to multiply in TF32: the products of the reference's plays keep 10 bits of their operands' "
               "mantissa, and the noise floor is that much higher; rotary tables are held to float32.";
    case QC_PRODUCTS_PARTS:
        return "The run was allowed to round partial sums to its half type: some of the reference's plays do so, and the noise "
               "floor is that much higher.";
    default: return "The run was on a GPU: its sums are taken to be made in another order, but as precisely as on a processor.";
    }
}

bool qc_subject_make(struct qc_subject *subject, const struct qc_recording *recording, const struct qc_places *places,
                     struct qw_error *error)
{
    *subject = (struct qc_subject){.recording = recording, .selection = qc_selection_all()};
    bool ok = check_class(subject, error) &&
              qw_config_read(&subject->model.config, recording->model_config, "/model@config", error) &&
              check_all(subject, places, error);
    if (ok) {
        make_rules(subject);
        ok = make_model(subject, places, error) && make_rest(subject, places, error);
    }
    qw_error_in_file(error, recording->path);
    return ok;
}

bool qc_subject_make_beside(struct qc_subject *subject, const struct qc_subject *other, const struct qc_recording *recording,
                            const struct qc_places *places, struct qw_error *error)
{
    *subject = (struct qc_subject){.recording = recording, .selection = other->selection, .model = other->model, .borrows = true};
    bool ok = check_class(subject, error) && check_all(subject, places, error);
    if (ok) {
        make_rules(subject);
        ok = make_rest(subject, places, error);
    }
    qw_error_in_file(error, recording->path);
    return ok;
}

void qc_subject_clear(struct qc_subject *subject)
{
    if (!subject->borrows)
        qw_model_clear(&subject->model);
    qw_adapter_clear(&subject->adapter);
    qc_encoded_clear(&subject->encoded);
    qc_call_clear(&subject->call);
    *subject = (struct qc_subject){0};
}

const struct qw_arith *qc_subject_arith(const struct qc_subject *subject)
{
    const char *precision = subject->selection.precision;
    if (precision)
        return strcmp(precision, "f64") ? &qw_f32 : &qw_f64;
    return subject->products == QC_PRODUCTS_TF32 ? &qw_tf32[0] : qw_arith_of(subject->dtype);
}

const struct qw_arith *qc_subject_play(const struct qc_subject *subject, int play)
{
    if (play % 2 == 0 || subject->selection.precision || subject->products == QC_PRODUCTS_WHOLE)
        return qc_subject_arith(subject);
    return subject->products == QC_PRODUCTS_TF32 ? &qw_tf32[1] : subject->dtype == QW_F16 ? &qw_f16_parts : &qw_bf16_parts;
}

double qc_subject_roundoff(const struct qc_subject *subject) { return qw_dtype_roundoff(qc_subject_arith(subject)->dtype); }

int64_t qc_subject_roundings(const struct qc_subject *subject, int64_t sum)
{
    const struct qw_arith *arith = qc_subject_arith(subject);
    double finer = qw_dtype_roundoff(arith->sums) / qw_dtype_roundoff(arith->dtype);
    return (int64_t)ceil((double)sum * finer * finer);
}
