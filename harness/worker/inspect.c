/* Invariant: nothing is played; the health check says whether `diagnose` would judge the recording. */
#include "harness/worker/inspect.h"

#include "harness/compare/subject.h"
#include "harness/worker/case.h"

#define READ_BUDGET ((int64_t)16 << 30)

static void put_integers(struct qw_json *owner, const char *key, const int64_t *numbers, int64_t count)
{
    struct qw_json *array = qw_json_put(owner, key, qw_json_array());
    for (int64_t i = 0; i < count; i++)
        qw_json_add_int(array, numbers[i]);
}

static void put_statistics(struct qw_json *entry, const struct qw_stats *stats)
{
    struct qw_json *json = qw_json_put(entry, "statistics", qw_json_object());
    qw_json_put_real(json, "min", stats->min);
    qw_json_put_real(json, "max", stats->max);
    qw_json_put_real(json, "mean", stats->mean);
    qw_json_put_real(json, "rms", stats->rms);
    qw_json_put_int(json, "nan", stats->nan);
    qw_json_put_int(json, "inf", stats->inf);
    qw_json_put_int(json, "zero", stats->zero);
    qw_json_put_text(json, "sha256", stats->sha256[0] ? stats->sha256 : NULL);
}

/* NULL when there is no tensor. */
static struct qw_json *add_tensor(struct qw_json *array, const char *name, const struct qw_tensor *tensor)
{
    if (!tensor)
        return NULL;
    struct qw_json *entry = qw_json_add(array, qw_json_object());
    qw_json_put_text(entry, "name", name);
    qw_json_put_text(entry, "dtype", qw_dtype_name(tensor->dtype));
    put_integers(entry, "shape", tensor->shape.dim, tensor->shape.rank);
    qw_json_put_bool(entry, "data", tensor->data != NULL);
    if (tensor->stats)
        put_statistics(entry, tensor->stats);
    return entry;
}

/* Its shape is that of the whole tensor; "rows" says what was kept of it. */
static void add_tap(struct qw_json *array, const struct qc_tap *tap)
{
    struct qw_tensor whole = *tap->tensor;
    whole.shape = *qc_tap_shape(tap);
    struct qw_json *entry = add_tensor(array, tap->path, &whole);
    if (tap->order >= 0)
        qw_json_put_int(entry, "order", tap->order);
    if (tap->row)
        put_integers(entry, "rows", tap->row, tap->rows);
}

/* "from" is the first position that the step itself kept. */
static void add_held(struct qw_json *array, const char *name, int layer, const struct qw_tensor *tensor, int64_t from)
{
    struct qw_json *entry = add_tensor(array, name, tensor);
    if (entry)
        qw_json_put_int(entry, "layer", layer);
    if (entry && from)
        qw_json_put_int(entry, "from", from);
}

static void put_weights(struct qw_json *owner, const struct qc_weights *weights)
{
    struct qw_json *embedded = qw_json_put(owner, "weights", qw_json_array());
    for (int i = 0; i < weights->embedded.count; i++)
        add_tensor(embedded, weights->embedded.item[i].name, weights->embedded.item[i].tensor);
    qw_json_put_text(owner, "weights_folder", weights->folder[0] ? weights->folder : NULL);
}

static void put_cache(struct qw_json *step, const char *key, const struct qc_cache *cache)
{
    if (!cache->present) {
        qw_json_put_null(step, key);
        return;
    }
    struct qw_json *json = qw_json_put(step, key, qw_json_object());
    qw_json_put_text(json, "type", cache->type);
    qw_json_put_int(json, "length", cache->length);
    qw_json_put_int(json, "layers", cache->slots);
    struct qw_json *tensors = qw_json_put(json, "tensors", qw_json_array());
    for (int i = 0; i < cache->layers; i++) {
        add_held(tensors, "key", i, cache->layer[i].key, cache->layer[i].key_from);
        add_held(tensors, "value", i, cache->layer[i].value, cache->layer[i].value_from);
    }
}

static void add_step(struct qw_json *steps, const struct qc_step *step, int number)
{
    struct qw_json *json = qw_json_add(steps, qw_json_object());
    qw_json_put_int(json, "step", number);
    qw_json_put_bool(json, "raised", step->raised);
    struct qw_json *received = qw_json_put(json, "received", qw_json_array());
    for (int i = 0; i < QC_INPUTS; i++)
        add_tensor(received, qc_input_name((enum qc_input)i), step->input[i]);
    put_cache(json, "cache_before", &step->before);
    put_cache(json, "cache_after", &step->after);
    struct qw_json *taps = qw_json_put(json, "taps", qw_json_array());
    for (int i = 0; i < step->taps; i++)
        add_tap(taps, &step->tap[i]);
}

static void put_call(struct qw_json *json, const struct qc_recording *recording)
{
    struct qw_json *call = qw_json_put(json, "call", qw_json_object());
    qw_json_put_text(call, "kind", recording->call_kind);
    qw_json_put_text(call, "outcome", recording->raised ? "raised" : "ok");
    qw_json_put_text(call, "exception_type", recording->raised ? recording->exception_type : NULL);
    qw_json_put_text(call, "exception_message", recording->raised ? recording->exception_message : NULL);
    qw_json_put_text(call, "raised_at", recording->raised ? recording->raised_at : NULL);
    qw_json_put_bool(call, "use_cache", recording->use_cache);
    struct qw_json *tensors = qw_json_put(call, "tensors", qw_json_array());
    add_tensor(tensors, "input_ids", recording->input_ids);
    add_tensor(tensors, "attention_mask", recording->attention_mask);
    add_tensor(tensors, "output_ids", recording->output_ids);
}

/* NULL, or an answer of its own: what has to be opened before the health can be told. */
static struct qw_json *put_health(struct qw_json *json, const struct qc_recording *recording, const struct qc_places *places)
{
    struct qc_subject subject;
    struct qw_error error = {0};
    char words[2400];
    bool judged = qc_subject_make(&subject, recording, places, &error);
    qw_error_text(words, sizeof words, &error);
    struct qw_json *health = qw_json_put(json, "health", qw_json_object());
    qw_json_put_bool(health, "readable", true);
    qw_json_put_bool(health, "judged", judged);
    qw_json_put_text(health, "reason", judged ? NULL : words);
    struct qw_json *needs = subject.needs.model || subject.needs.adapter ? qc_task_needs(&subject.needs) : NULL;
    qc_subject_clear(&subject);
    return needs;
}

static void put_recording(struct qw_json *json, const struct qc_recording *recording)
{
    qw_json_put_text(json, "recording_sha256", recording->sha256);
    qw_json_put_int(json, "bytes", recording->bytes);
    qw_json_put_text(json, "level", qc_level_name(recording->level));
    qw_json_put_text(json, "producer", recording->producer);
    qw_json_put_text(json, "created", recording->created);
    qw_json_put(json, "environment", qw_json_copy(recording->environment));
    struct qw_json *model = qw_json_put(json, "model", qw_json_object());
    qw_json_put_text(model, "class", recording->model_class);
    qw_json_put_text(model, "dtype", recording->model_dtype);
    put_weights(model, &recording->model_weights);
    if (recording->has_adapter) {
        struct qw_json *adapter = qw_json_put(json, "adapter", qw_json_object());
        qw_json_put_text(adapter, "peft_type", recording->peft_type);
        put_weights(adapter, &recording->adapter_weights);
        struct qw_json *prompt = qw_json_put(adapter, "handed_over", qw_json_array());
        add_tensor(prompt, "prompt", recording->adapter_prompt);
    } else {
        qw_json_put_null(json, "adapter");
    }
    put_call(json, recording);
    struct qw_json *steps = qw_json_put(json, "steps", qw_json_array());
    for (int i = 0; i < recording->steps; i++)
        add_step(steps, &recording->step[i], i);
}

struct qw_json *qc_inspect(const struct qc_task *task)
{
    const char *path = task->path;
    struct qc_recording recording = {0};
    struct qw_error error = {0};
    if (!qc_recording_read(&recording, path, READ_BUDGET, &error))
        return qc_case_failed(task, "ERROR", &error);
    struct qw_json *json = qw_json_object();
    qw_json_put_text(json, "schema", "qconform-inspect/1");
    qw_json_put_text(json, "recording", path);
    put_recording(json, &recording);
    struct qw_json *needs = put_health(json, &recording, &task->places);
    qc_recording_clear(&recording);
    if (needs)
        qw_json_free(json);
    return needs ? needs : json;
}
