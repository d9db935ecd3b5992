/* Invariant: these fields repeat what the recording says; nothing here judges. */
#include "harness/worker/fields.h"

#include <stdlib.h>

void qc_put_owned(struct qw_json *object, const char *key, char *text)
{
    qw_json_put_text(object, key, text);
    free(text);
}

void qc_add_owned(struct qw_json *array, char *text)
{
    qw_json_add_text(array, text);
    free(text);
}

void qc_put_index(struct qw_json *object, const char *key, int number)
{
    if (number < 0)
        qw_json_put_null(object, key);
    else
        qw_json_put_int(object, key, number);
}

/* ---- what was recorded ---- */

void qc_put_model(struct qw_json *json, const struct qc_case_view *view)
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

void qc_put_adapter(struct qw_json *json, const struct qc_case_view *view)
{
    if (!view->recording->has_adapter) {
        qw_json_put_null(json, "adapter");
        return;
    }
    struct qw_json *adapter = qw_json_put(json, "adapter", qw_json_object());
    qw_json_put_text(adapter, "peft_type", view->recording->peft_type);
    qw_json_put_int(adapter, "virtual_tokens", view->subject->adapter.virtual_tokens);
}

void qc_put_call(struct qw_json *json, const struct qc_case_view *view)
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

void qc_put_recorder(struct qw_json *json, const struct qc_recording *recording)
{
    struct qw_json *recorder = qw_json_put(json, "recorder", qw_json_object());
    qw_json_put_text(recorder, "producer", recording->producer);
    qw_json_put_text(recorder, "level", qc_level_name(recording->level));
}

static void put_range(struct qw_json *json, const char *key, int first, int last, int extent)
{
    if (last < first) {
        qw_json_put_null(json, key);
        return;
    }
    struct qw_json *range = qw_json_put(json, key, qw_json_array());
    qw_json_add_int(range, first);
    qw_json_add_int(range, last < extent || first >= extent ? last : extent - 1);
}

void qc_put_selection(struct qw_json *json, const struct qc_selection *selection, int steps, int layers)
{
    if (qc_selection_is_all(selection) && !selection->precision) {
        qw_json_put_null(json, "selection");
        return;
    }
    struct qw_json *out = qw_json_put(json, "selection", qw_json_object());
    put_range(out, "steps", selection->first_step, selection->last_step, steps);
    put_range(out, "layers", selection->first_layer, selection->last_layer, layers);
    qw_json_put_text(out, "site", selection->site);
    qw_json_put_text(out, "precision", selection->precision);
}
