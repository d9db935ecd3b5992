/* Invariant: a recording that was read has a call, and every tensor of it matches its declared shape. */
#include "harness/recording/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/recording/hdf5.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

#define MOST_STEPS 100000
#define FORMAT_HINT "see the recording format, version 1"

static const char *const level_names[QC_LEVELS] = {"shapes", "stats", "blocks", "modules"};
static const char *const input_names[QC_INPUTS] = {"input_ids", "inputs_embeds", "attention_mask", "position_ids",
                                                   "cache_position"};

const char *qc_level_name(enum qc_level level) { return level_names[level]; }
const char *qc_input_name(enum qc_input input) { return input_names[input]; }

const struct qc_tap *qc_step_tap(const struct qc_step *step, const char *path)
{
    for (int i = 0; i < step->taps; i++)
        if (!strcmp(step->tap[i].path, path))
            return &step->tap[i];
    return NULL;
}

const struct qw_shape *qc_tap_shape(const struct qc_tap *tap) { return tap->row ? &tap->whole : &tap->tensor->shape; }

static bool good(const struct qc_hdf5 *file) { return file->error->kind == QW_ERROR_NONE; }

static bool refuse(const struct qc_hdf5 *file, const char *place, const char *why)
{
    return qw_fail(file->error, QW_ERROR_INPUT, place, FORMAT_HINT, "%s", why);
}

static struct qw_json *read_json(const struct qc_hdf5 *file, const char *object, const char *name, const char *fallback)
{
    char *text = qc_hdf5_text(file, object, name, fallback), place[256];
    snprintf(place, sizeof place, "%s@%s", object, name);
    struct qw_json *json = text ? qw_json_parse(text, strlen(text), place, file->error) : NULL;
    if (json && !qw_json_is_object(json))
        refuse(file, place, "must be a JSON object");
    free(text);
    return json;
}

/* The dataset at `path`, or NULL when it is absent. */
static struct qw_tensor *read_optional(struct qc_hdf5 *file, const char *path)
{
    return good(file) && qc_hdf5_has(file, path) ? qc_hdf5_dataset(file, path).tensor : NULL;
}

/* ---- the root, the environment, the model, the adapter ---- */

static bool read_level(enum qc_level *level, const struct qc_hdf5 *file)
{
    char *text = qc_hdf5_text(file, "/", "level", NULL);
    bool found = false;
    for (int i = 0; text && i < QC_LEVELS; i++)
        if (!strcmp(text, level_names[i])) {
            *level = (enum qc_level)i;
            found = true;
        }
    free(text);
    return found || refuse(file, "/@level", "must be one of shapes, stats, blocks, modules");
}

static bool read_root(struct qc_recording *recording, const struct qc_hdf5 *file)
{
    char *format = qc_hdf5_text(file, "/", "format", "");
    bool known = format && !strcmp(format, "qconform-recording");
    free(format);
    if (!known)
        return qw_fail(file->error, QW_ERROR_INPUT, "/@format", "give a file that the recorder wrote",
                       "an HDF5 file, but not a recording (format is not \"qconform-recording\")");
    int64_t version = qc_hdf5_int(file, "/", "version", true, 0);
    if (good(file) && version != 1)
        return qw_fail(file->error, QW_ERROR_INPUT, "/@version", "a newer qconform reads it",
                       "version %lld of the format, this program reads version 1", (long long)version);
    recording->producer = qc_hdf5_text(file, "/", "producer", "");
    recording->created = qc_hdf5_text(file, "/", "created", "");
    return good(file) && read_level(&recording->level, file);
}

static void read_environment(struct qc_recording *recording, const struct qc_hdf5 *file)
{
    recording->environment = qw_json_object();
    struct qc_names names = qc_hdf5_attributes(file, "/environment");
    for (int i = 0; i < names.count && good(file); i++) {
        char *text = qc_hdf5_text(file, "/environment", names.item[i], NULL);
        if (text)
            qw_json_put_text(recording->environment, names.item[i], text);
        free(text);
    }
    qc_names_clear(&names);
}

static void read_weights(struct qc_weights *weights, struct qc_hdf5 *file, const char *owner)
{
    char *group = qw_format("%s/weights", owner);
    weights->folder = qc_hdf5_text(file, owner, "weights", "");
    weights->digest = qc_hdf5_text(file, owner, "weights_sha256", "");
    struct qc_names names = qc_hdf5_names(file, group);
    for (int i = 0; i < names.count && good(file); i++) {
        char *path = qw_format("%s/%s", group, names.item[i]);
        struct qw_tensor *tensor = qc_hdf5_dataset(file, path).tensor;
        if (tensor && !tensor->data) {
            qw_tensor_free(tensor);
            refuse(file, path, "a weight without data: keep all weights, or none");
        } else if (tensor) {
            qw_tensors_add(&weights->embedded, names.item[i], tensor);
        }
        free(path);
    }
    qc_names_clear(&names);
    free(group);
}

static bool read_model(struct qc_recording *recording, struct qc_hdf5 *file)
{
    if (!qc_hdf5_has(file, "/model"))
        return refuse(file, "/model", "the group is missing");
    recording->model_config = read_json(file, "/model", "config", NULL);
    recording->model_class = qc_hdf5_text(file, "/model", "class", NULL);
    recording->model_dtype = qc_hdf5_text(file, "/model", "dtype", NULL);
    if (good(file))
        read_weights(&recording->model_weights, file, "/model");
    return good(file);
}

static bool read_adapter(struct qc_recording *recording, struct qc_hdf5 *file)
{
    recording->has_adapter = qc_hdf5_has(file, "/adapter");
    if (!recording->has_adapter)
        return true;
    recording->peft_type = qc_hdf5_text(file, "/adapter", "peft_type", NULL);
    recording->adapter_config = read_json(file, "/adapter", "config", NULL);
    if (good(file))
        read_weights(&recording->adapter_weights, file, "/adapter");
    recording->adapter_prompt = read_optional(file, "/adapter/prompt");
    return good(file);
}

/* ---- the call ---- */

static bool check_ids(const struct qc_hdf5 *file, const struct qw_tensor *ids, const char *path)
{
    if (!ids || (ids->dtype == QW_I64 && ids->shape.rank == 2 && ids->data && ids->shape.dim[0] > 0 && ids->shape.dim[1] > 0))
        return true;
    return refuse(file, path, "must be int64 [batch, tokens], with data");
}

static bool read_outcome(struct qc_recording *recording, const struct qc_hdf5 *file)
{
    char *outcome = qc_hdf5_text(file, "/call", "outcome", NULL);
    recording->raised = outcome && !strcmp(outcome, "raised");
    bool known = recording->raised || (outcome && !strcmp(outcome, "ok"));
    free(outcome);
    if (!known)
        return refuse(file, "/call@outcome", "must be \"ok\" or \"raised\"");
    const char *required = recording->raised ? NULL : "";
    recording->exception_type = qc_hdf5_text(file, "/call", "exception_type", required);
    recording->exception_message = qc_hdf5_text(file, "/call", "exception_message", required);
    recording->traceback = qc_hdf5_text(file, "/call", "traceback", "");
    recording->raised_at = qc_hdf5_text(file, "/call", "raised_at", "");
    return good(file);
}

/* The two halves of a call must fit: the same batch, and the output must begin with the input. */
static bool check_call(const struct qc_recording *recording, const struct qc_hdf5 *file)
{
    const struct qw_tensor *in = recording->input_ids, *out = recording->output_ids, *mask = recording->attention_mask;
    if (mask && in && !qw_shape_equal(&mask->shape, &in->shape))
        return refuse(file, "/call/attention_mask", "contradicts /call/input_ids: the shapes differ");
    if (!strcmp(recording->call_kind, "generate") && !recording->raised && in && !out)
        return refuse(file, "/call/output_ids", "a generate() that returned has output ids");
    if (!out || !in)
        return true;
    if (out->shape.dim[0] != in->shape.dim[0] || out->shape.dim[1] < in->shape.dim[1])
        return refuse(file, "/call/output_ids", "contradicts /call/input_ids: another batch, or shorter than the prompt");
    for (int64_t b = 0; b < in->shape.dim[0]; b++)
        for (int64_t t = 0; t < in->shape.dim[1]; t++)
            if (qw_tensor_at(out, b * out->shape.dim[1] + t) != qw_tensor_at(in, b * in->shape.dim[1] + t))
                return refuse(file, "/call/output_ids", "does not begin with /call/input_ids");
    return true;
}

static bool read_call(struct qc_recording *recording, struct qc_hdf5 *file)
{
    if (!qc_hdf5_has(file, "/call"))
        return refuse(file, "/call", "the group is missing");
    recording->call_kind = qc_hdf5_text(file, "/call", "kind", NULL);
    recording->use_cache = qc_hdf5_int(file, "/call", "use_cache", false, 1) != 0;
    recording->training = qc_hdf5_int(file, "/call", "training", false, 0) != 0;
    recording->gradient_checkpointing = qc_hdf5_int(file, "/call", "gradient_checkpointing", false, 0) != 0;
    recording->padding_side = qc_hdf5_text(file, "/call", "padding_side", "");
    recording->call_kwargs = read_json(file, "/call", "kwargs", "{}");
    if (!good(file) || !read_outcome(recording, file))
        return false;
    recording->input_ids = read_optional(file, "/call/input_ids");
    recording->attention_mask = read_optional(file, "/call/attention_mask");
    recording->output_ids = read_optional(file, "/call/output_ids");
    return good(file) && check_ids(file, recording->input_ids, "/call/input_ids") &&
           check_ids(file, recording->attention_mask, "/call/attention_mask") &&
           check_ids(file, recording->output_ids, "/call/output_ids") && check_call(recording, file);
}

/* ---- the steps ---- */

static bool check_cache_tensor(const struct qc_hdf5 *file, const struct qw_tensor *tensor, const char *path)
{
    if (!tensor || (tensor->shape.rank >= 1 && tensor->dtype != QW_I64))
        return good(file);
    return refuse(file, path, "keys and values are floating tensors");
}

/* "002" -> 2; -1 for a name that is no number. */
static int layer_number(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits == 3 && !name[digits] ? (int)strtol(name, NULL, 10) : -1;
}

static void read_cache(struct qc_cache *cache, struct qc_hdf5 *file, const char *group)
{
    cache->present = qc_hdf5_has(file, group);
    if (!cache->present)
        return;
    cache->type = qc_hdf5_text(file, group, "type", NULL);
    cache->length = qc_hdf5_int(file, group, "length", true, -1);
    cache->slots = qc_hdf5_int(file, group, "layers", false, 0);
    cache->layout = qc_hdf5_text(file, group, "layout", "");
    struct qc_names names = qc_hdf5_names(file, group);
    int layers = names.count ? layer_number(names.item[names.count - 1]) + 1 : 0;
    cache->layer = QW_NEW_ARRAY(struct qc_cache_layer, layers);
    for (int i = 0; i < layers && good(file); i++) {
        char *key = qw_format("%s/%03d/key", group, i), *value = qw_format("%s/%03d/value", group, i);
        cache->layers = i + 1;
        cache->layer[i].key = read_optional(file, key);
        cache->layer[i].value = read_optional(file, value);
        (void)(check_cache_tensor(file, cache->layer[i].key, key) && check_cache_tensor(file, cache->layer[i].value, value));
        free(key);
        free(value);
    }
    qc_names_clear(&names);
}

static void read_taps(struct qc_step *step, struct qc_hdf5 *file, const char *group)
{
    struct qc_names names = qc_hdf5_names(file, group);
    step->tap = QW_NEW_ARRAY(struct qc_tap, names.count);
    for (int i = 0; i < names.count && good(file); i++) {
        char *path = qw_format("%s/%s", group, names.item[i]);
        struct qc_dataset dataset = qc_hdf5_dataset(file, path);
        step->tap[step->taps++] = (struct qc_tap){.path = qw_strdup(names.item[i]), .tensor = dataset.tensor, .order = dataset.order};
        free(path);
    }
    qc_names_clear(&names);
}

static void read_step(struct qc_step *step, struct qc_hdf5 *file, const char *group)
{
    static const char *const parts[] = {"received", "cache_before", "cache_after", "taps"};
    char *path[4];
    for (int i = 0; i < 4; i++)
        path[i] = qw_format("%s/%s", group, parts[i]);
    step->raised = qc_hdf5_int(file, group, "raised", true, 0) != 0;
    for (int i = 0; i < QC_INPUTS && good(file); i++) {
        char *input = qw_format("%s/%s", path[0], input_names[i]);
        step->input[i] = read_optional(file, input);
        free(input);
    }
    if (good(file))
        read_cache(&step->before, file, path[1]);
    if (good(file))
        read_cache(&step->after, file, path[2]);
    if (good(file))
        read_taps(step, file, path[3]);
    for (int i = 0; i < 4; i++)
        free(path[i]);
}

static bool read_steps(struct qc_recording *recording, struct qc_hdf5 *file)
{
    struct qc_names names = qc_hdf5_names(file, "/steps");
    if (names.count > MOST_STEPS)
        refuse(file, "/steps", "more steps than are read");
    recording->step = QW_NEW_ARRAY(struct qc_step, names.count);
    for (int i = 0; i < names.count && good(file); i++) {
        char *group = qw_format("/steps/%06d", i);
        recording->steps = i + 1;
        if (qc_hdf5_has(file, group))
            read_step(&recording->step[i], file, group);
        else
            refuse(file, group, "steps are numbered 000000, 000001, … without a gap");
        free(group);
    }
    qc_names_clear(&names);
    return good(file);
}

/* ---- the whole ---- */

static int64_t size_of_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

bool qc_recording_read(struct qc_recording *recording, const char *path, int64_t budget, struct qw_error *error)
{
    *recording = (struct qc_recording){.path = qw_strdup(path), .bytes = size_of_file(path)};
    struct qc_hdf5 file;
    bool ok = qw_sha256_file(recording->sha256, path, error) && qc_hdf5_open(&file, path, budget, error);
    if (ok) {
        ok = read_root(recording, &file) && (read_environment(recording, &file), good(&file)) &&
             read_model(recording, &file) && read_adapter(recording, &file) && read_call(recording, &file) &&
             read_steps(recording, &file);
        qc_hdf5_close(&file);
    }
    qw_error_in_file(error, path);
    if (!ok)
        qc_recording_clear(recording);
    return ok;
}

static void clear_cache(struct qc_cache *cache)
{
    for (int i = 0; i < cache->layers; i++) {
        qw_tensor_free(cache->layer[i].key);
        qw_tensor_free(cache->layer[i].value);
    }
    free(cache->layer);
    free(cache->type);
    free(cache->layout);
}

static void clear_step(struct qc_step *step)
{
    for (int i = 0; i < QC_INPUTS; i++)
        qw_tensor_free(step->input[i]);
    clear_cache(&step->before);
    clear_cache(&step->after);
    for (int i = 0; i < step->taps; i++) {
        free(step->tap[i].path);
        qw_tensor_free(step->tap[i].tensor);
        free(step->tap[i].row);
    }
    free(step->tap);
}

static void clear_weights(struct qc_weights *weights)
{
    qw_tensors_clear(&weights->embedded);
    free(weights->folder);
    free(weights->digest);
}

void qc_recording_clear(struct qc_recording *recording)
{
    char *texts[] = {recording->path,           recording->producer,   recording->created,      recording->model_class,
                     recording->model_dtype,    recording->peft_type,  recording->call_kind,    recording->padding_side,
                     recording->exception_type, recording->traceback,  recording->raised_at,    recording->exception_message};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    qw_json_free(recording->environment);
    qw_json_free(recording->model_config);
    qw_json_free(recording->adapter_config);
    qw_json_free(recording->call_kwargs);
    clear_weights(&recording->model_weights);
    clear_weights(&recording->adapter_weights);
    qw_tensor_free(recording->adapter_prompt);
    qw_tensor_free(recording->input_ids);
    qw_tensor_free(recording->attention_mask);
    qw_tensor_free(recording->output_ids);
    for (int i = 0; i < recording->steps; i++)
        clear_step(&recording->step[i]);
    free(recording->step);
    *recording = (struct qc_recording){0};
}
