/* Invariant: a recording that was read has a call, and every tensor of it matches its declared shape. */
#include "harness/recording/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "harness/recording/steps.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

static const char *const level_names[QC_LEVELS] = {"shapes", "stats", "blocks", "modules"};

const char *qc_level_name(enum qc_level level) { return level_names[level]; }

static bool refuse(const struct qc_hdf5 *file, const char *place, const char *why)
{
    return qc_hdf5_refuse(file, place, QC_FORMAT_HINT, why);
}

static struct qw_json *read_json(struct qc_hdf5 *file, const char *object, const char *name, const char *fallback)
{
    char *text = qc_hdf5_text(file, object, name, fallback), place[256];
    snprintf(place, sizeof place, "%s@%s", object, name);
    struct qw_json *json = text ? qw_json_parse(text, strlen(text), place, file->error) : NULL;
    if (json && !qw_json_is_object(json))
        refuse(file, place, "must be a JSON object");
    free(text);
    return json;
}

/* ---- the root, the environment, the model, the adapter ---- */

static bool read_level(enum qc_level *level, struct qc_hdf5 *file)
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

static bool read_root(struct qc_recording *recording, struct qc_hdf5 *file)
{
    char *format = qc_hdf5_text(file, "/", "format", "");
    bool known = format && !strcmp(format, "qconform-recording");
    free(format);
    if (!known)
        return qw_fail(file->error, QW_ERROR_INPUT, "/@format", "give a file that the recorder wrote",
                       "an HDF5 file, but not a recording (format is not \"qconform-recording\")");
    int64_t version = qc_hdf5_int(file, "/", "version", true, 0);
    if (qc_hdf5_good(file) && version != 1)
        return qw_fail(file->error, QW_ERROR_INPUT, "/@version", "a newer qconform reads it",
                       "version %lld of the format, this program reads version 1", (long long)version);
    recording->producer = qc_hdf5_text(file, "/", "producer", "");
    recording->created = qc_hdf5_text(file, "/", "created", "");
    return qc_hdf5_good(file) && read_level(&recording->level, file);
}

static void read_environment(struct qc_recording *recording, struct qc_hdf5 *file)
{
    recording->environment = qw_json_object();
    struct qc_names names = {0};
    if (qc_hdf5_group(file, "/environment"))
        names = qc_hdf5_attributes(file, "/environment");
    for (int i = 0; i < names.count && qc_hdf5_good(file); i++) {
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
    for (int i = 0; i < names.count && qc_hdf5_good(file); i++) {
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
    if (!qc_hdf5_group(file, "/model"))
        return refuse(file, "/model", "the group is missing");
    recording->model_config = read_json(file, "/model", "config", NULL);
    recording->model_class = qc_hdf5_text(file, "/model", "class", NULL);
    recording->model_dtype = qc_hdf5_text(file, "/model", "dtype", NULL);
    if (qc_hdf5_good(file))
        read_weights(&recording->model_weights, file, "/model");
    return qc_hdf5_good(file);
}

static bool read_adapter(struct qc_recording *recording, struct qc_hdf5 *file)
{
    recording->has_adapter = qc_hdf5_group(file, "/adapter");
    if (!recording->has_adapter)
        return qc_hdf5_good(file);
    recording->peft_type = qc_hdf5_text(file, "/adapter", "peft_type", NULL);
    recording->adapter_config = read_json(file, "/adapter", "config", NULL);
    if (qc_hdf5_good(file))
        read_weights(&recording->adapter_weights, file, "/adapter");
    recording->adapter_prompt = qc_read_optional(file, "/adapter/prompt");
    return qc_hdf5_good(file);
}

/* ---- the call ---- */

static bool check_ids(const struct qc_hdf5 *file, const struct qw_tensor *ids, const char *path)
{
    if (!ids || (ids->dtype == QW_I64 && ids->shape.rank == 2 && ids->data && ids->shape.dim[0] > 0 && ids->shape.dim[1] > 0))
        return true;
    return refuse(file, path, "must be int64 [batch, tokens], with data");
}

static bool read_outcome(struct qc_recording *recording, struct qc_hdf5 *file)
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
    return qc_hdf5_good(file);
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
    int64_t times = qw_json_get_int(recording->call_kwargs, "num_return_sequences", 1);
    if (times < 1 || out->shape.dim[0] / times != in->shape.dim[0] || out->shape.dim[0] % times ||
        out->shape.dim[1] < in->shape.dim[1])
        return refuse(file, "/call/output_ids", "contradicts /call/input_ids: another batch, or shorter than the prompt");
    for (int64_t b = 0; b < out->shape.dim[0]; b++)
        for (int64_t t = 0; t < in->shape.dim[1]; t++)
            if (qw_tensor_at(out, b * out->shape.dim[1] + t) != qw_tensor_at(in, b / times * in->shape.dim[1] + t))
                return refuse(file, "/call/output_ids", "does not begin with /call/input_ids");
    return true;
}

static bool read_call(struct qc_recording *recording, struct qc_hdf5 *file)
{
    if (!qc_hdf5_group(file, "/call"))
        return refuse(file, "/call", "the group is missing");
    recording->call_kind = qc_hdf5_text(file, "/call", "kind", NULL);
    recording->use_cache = qc_hdf5_int(file, "/call", "use_cache", false, 1) != 0;
    recording->training = qc_hdf5_int(file, "/call", "training", false, 0) != 0;
    recording->gradient_checkpointing = qc_hdf5_int(file, "/call", "gradient_checkpointing", false, 0) != 0;
    recording->padding_side = qc_hdf5_text(file, "/call", "padding_side", "");
    recording->call_kwargs = read_json(file, "/call", "kwargs", "{}");
    if (!qc_hdf5_good(file) || !read_outcome(recording, file))
        return false;
    recording->input_ids = qc_read_optional(file, "/call/input_ids");
    recording->attention_mask = qc_read_optional(file, "/call/attention_mask");
    recording->output_ids = qc_read_optional(file, "/call/output_ids");
    return qc_hdf5_good(file) && check_ids(file, recording->input_ids, "/call/input_ids") &&
           check_ids(file, recording->attention_mask, "/call/attention_mask") &&
           check_ids(file, recording->output_ids, "/call/output_ids") && check_call(recording, file);
}

/* ---- the whole ---- */

/* The process dies by SIGPROF when reading takes more processor time than that; 0 lifts the limit. */
static void limit_time(int64_t seconds)
{
    struct itimerval timer = {.it_value = {.tv_sec = seconds}};
    setitimer(ITIMER_PROF, &timer, NULL);
}

/* Never more than half of the address space: the other half is for what libhdf5 takes to read it. */
static int64_t memory_for_data(int64_t wanted)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited && limit.rlim_cur / 2 < (rlim_t)wanted ? (int64_t)(limit.rlim_cur / 2) : wanted;
}

static bool read_groups(struct qc_recording *recording, struct qc_hdf5 *file)
{
    return read_root(recording, file) && (read_environment(recording, file), qc_hdf5_good(file)) && read_model(recording, file) &&
           read_adapter(recording, file) && read_call(recording, file) && qc_steps_read(recording, file);
}

static bool read_source(struct qc_recording *recording, const struct qw_input *source, const struct qc_limits *limits,
                        struct qw_error *error)
{
    struct qc_hdf5 file;
    recording->bytes = source->size;
    limit_time(limits->seconds + recording->bytes / limits->bytes_a_second);
    struct qc_limits allowed = *limits;
    allowed.data = memory_for_data(limits->data);
    bool ok = qw_sha256_inputs(recording->sha256, source, 1, error) && qc_hdf5_open(&file, source, &allowed, error);
    if (ok) {
        ok = read_groups(recording, &file);
        qc_hdf5_close(&file);
    }
    limit_time(0);
    struct qw_error change = {0};
    if (!qw_input_unchanged(source, &change)) /* whatever else was found may come of it */
        *error = change;
    return ok && error->kind == QW_ERROR_NONE;
}

bool qc_recording_read_within(struct qc_recording *recording, const char *path, const struct qc_limits *limits,
                              struct qw_error *error)
{
    struct qw_input source;
    *recording = (struct qc_recording){.path = qw_strdup(path)};
    bool ok = qw_input_open(&source, path, error) && read_source(recording, &source, limits, error);
    qw_input_close(&source);
    qw_error_in_file(error, path);
    if (!ok)
        qc_recording_clear(recording);
    return ok;
}

bool qc_recording_read(struct qc_recording *recording, const char *path, int64_t budget, struct qw_error *error)
{
    struct qc_limits limits = qc_limits_of(budget);
    return qc_recording_read_within(recording, path, &limits, error);
}

static void clear_weights(struct qc_weights *weights)
{
    qw_tensors_clear(&weights->embedded);
    free(weights->folder);
    free(weights->digest);
}

void qc_recording_clear(struct qc_recording *recording)
{
    char *texts[] = {recording->path,           recording->producer,  recording->created,   recording->model_class,
                     recording->model_dtype,    recording->peft_type, recording->call_kind, recording->padding_side,
                     recording->exception_type, recording->traceback, recording->raised_at, recording->exception_message};
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
    qc_steps_clear(recording);
    *recording = (struct qc_recording){0};
}
