/* Invariant: a cache tensor is whole: what a step did not keep itself is, byte for byte, what the step before held. */
#include "harness/recording/steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"

static const char *const input_names[QC_INPUTS] = {"input_ids", "inputs_embeds", "attention_mask", "position_ids",
                                                   "cache_position"};

const char *qc_input_name(enum qc_input input) { return input_names[input]; }

const struct qc_tap *qc_step_tap(const struct qc_step *step, const char *path)
{
    for (int i = 0; i < step->taps; i++)
        if (!strcmp(step->tap[i].path, path))
            return &step->tap[i];
    return NULL;
}

const struct qw_shape *qc_tap_shape(const struct qc_tap *tap) { return tap->row ? &tap->whole : &tap->tensor->shape; }

static bool refuse(const struct qc_hdf5 *file, const char *place, const char *why)
{
    return qc_hdf5_refuse(file, place, QC_FORMAT_HINT, why);
}

struct qw_tensor *qc_read_optional(struct qc_hdf5 *file, const char *path)
{
    return qc_hdf5_good(file) && qc_hdf5_has(file, path) ? qc_hdf5_dataset(file, path).tensor : NULL;
}

/* ---- parts of a cache ---- */

/* Where a tensor of one layer may find the positions that were not kept: the caches before it, nearest first. */
struct earlier {
    const struct qc_cache *cache[2];
};

static const struct qw_tensor *held_before(const struct earlier *earlier, int layer, bool value)
{
    for (int i = 0; i < 2; i++) {
        const struct qc_cache *cache = earlier->cache[i];
        if (!cache || layer >= cache->layers)
            continue;
        const struct qw_tensor *tensor = value ? cache->layer[layer].value : cache->layer[layer].key;
        if (tensor && tensor->data)
            return tensor;
    }
    return NULL;
}

/* Why the first `from` positions of `tensor` cannot be those of `held`; NULL when they can. */
static const char *misfit(const struct qw_tensor *tensor, const struct qw_tensor *held, int64_t from, int axis)
{
    if (!held)
        return "attribute \"from\": no step before holds the positions that were not kept";
    if (held->dtype != tensor->dtype)
        return "attribute \"from\": the step before holds another element type";
    if (held->shape.rank != tensor->shape.rank)
        return "attribute \"from\": the step before holds a tensor of another rank";
    for (int i = 0; i < held->shape.rank; i++)
        if (i != axis && held->shape.dim[i] != tensor->shape.dim[i])
            return "attribute \"from\": the step before holds other extents";
    return held->shape.dim[axis] < from ? "attribute \"from\": the step before holds fewer positions than were left out" : NULL;
}

/* `held`'s first `from` positions along `axis`, then all of `kept`. */
static struct qw_tensor *join(const struct qw_tensor *held, const struct qw_tensor *kept, int64_t from, int axis)
{
    struct qw_shape whole = kept->shape;
    whole.dim[axis] += from;
    struct qw_tensor *joined = qw_tensor_make(kept->dtype, &whole);
    size_t inner = qw_dtype_bytes(kept->dtype), outer = 1;
    for (int i = 0; i < axis; i++)
        outer *= (size_t)whole.dim[i];
    for (int i = axis + 1; i < whole.rank; i++)
        inner *= (size_t)whole.dim[i];
    size_t head = (size_t)from * inner, tail = (size_t)kept->shape.dim[axis] * inner;
    size_t stride = (size_t)held->shape.dim[axis] * inner;
    for (size_t i = 0; i < outer; i++) {
        memcpy((char *)joined->data + i * (head + tail), (const char *)held->data + i * stride, head);
        memcpy((char *)joined->data + i * (head + tail) + head, (const char *)kept->data + i * tail, tail);
    }
    return joined;
}

/* Keys or values of one layer, made whole; NULL when absent or refused. */
static struct qw_tensor *read_held(int64_t *from, struct qc_hdf5 *file, const char *path, int axis, const struct qw_tensor *held)
{
    if (!qc_hdf5_good(file) || !qc_hdf5_has(file, path))
        return NULL;
    struct qc_dataset found = qc_hdf5_dataset_end(file, path, axis);
    struct qw_tensor *kept = found.tensor;
    if (!kept)
        return NULL;
    *from = found.from;
    const char *why = kept->shape.rank < 1 || kept->dtype == QW_I64 ? "keys and values are floating tensors"
                      : found.from                                  ? misfit(kept, held, found.from, axis)
                                                                    : NULL;
    if (why)
        refuse(file, path, why);
    if (why || !found.from)
        return kept;
    struct qw_tensor *whole = qc_hdf5_take(file, qw_shape_count(&found.whole), qw_dtype_bytes(kept->dtype), path)
                                  ? join(held, kept, found.from, axis)
                                  : NULL;
    qw_tensor_free(kept);
    return whole;
}

/* ---- caches ---- */

/* "002" -> 2; -1 for a name that is no number. */
static int layer_number(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits == 3 && !name[digits] ? (int)strtol(name, NULL, 10) : -1;
}

/* One more than the highest number: a layer that holds nothing may have no group. */
static int count_layers(struct qc_hdf5 *file, const char *group)
{
    struct qc_names names = qc_hdf5_names(file, group);
    int layers = 0;
    for (int i = 0; i < names.count; i++)
        if (layer_number(names.item[i]) >= layers)
            layers = layer_number(names.item[i]) + 1;
    qc_names_clear(&names);
    return layers;
}

static void read_layer(struct qc_cache_layer *layer, struct qc_hdf5 *file, const char *group, int number, int axis,
                       const struct earlier *earlier)
{
    char *folder = qw_format("%s/%03d", group, number);
    char *key = qw_format("%s/key", folder), *value = qw_format("%s/value", folder);
    if (qc_hdf5_group(file, folder)) {
        layer->key = read_held(&layer->key_from, file, key, axis, held_before(earlier, number, false));
        layer->value = read_held(&layer->value_from, file, value, axis, held_before(earlier, number, true));
    }
    free(folder);
    free(key);
    free(value);
}

/* Without a layout the sequence axis is where every Qwen but the first has it. */
static int sequence_axis(const char *layout) { return layout && !strcmp(layout, "BSKD") ? 1 : 2; }

static void read_cache(struct qc_cache *cache, struct qc_hdf5 *file, const char *group, const struct earlier *earlier)
{
    cache->present = qc_hdf5_good(file) && qc_hdf5_group(file, group);
    if (!cache->present)
        return;
    cache->type = qc_hdf5_text(file, group, "type", NULL);
    cache->length = qc_hdf5_int(file, group, "length", true, -1);
    cache->slots = qc_hdf5_int(file, group, "layers", false, 0);
    cache->layout = qc_hdf5_text(file, group, "layout", "");
    cache->layers = count_layers(file, group);
    cache->layer = QW_NEW_ARRAY(struct qc_cache_layer, cache->layers);
    for (int i = 0; i < cache->layers && qc_hdf5_good(file); i++)
        read_layer(&cache->layer[i], file, group, i, sequence_axis(cache->layout), earlier);
}

/* ---- taps and inputs ---- */

static void read_tap(struct qc_tap *tap, struct qc_hdf5 *file, const char *group, const char *name)
{
    char *path = qw_format("%s/%s", group, name);
    struct qc_dataset found = qc_hdf5_dataset_rows(file, path);
    *tap = (struct qc_tap){qw_strdup(name), found.tensor, found.order, found.whole, found.row, found.rows};
    free(path);
}

static void read_taps(struct qc_step *step, struct qc_hdf5 *file, const char *group)
{
    struct qc_names names = qc_hdf5_names(file, group);
    if (names.count > file->left.taps)
        refuse(file, group, "more taps than are read");
    step->tap = QW_NEW_ARRAY(struct qc_tap, names.count);
    while (step->taps < names.count && qc_hdf5_good(file)) {
        read_tap(&step->tap[step->taps], file, group, names.item[step->taps]);
        step->taps++;
    }
    qc_names_clear(&names);
}

static void read_inputs(struct qc_step *step, struct qc_hdf5 *file, const char *group)
{
    bool received = qc_hdf5_group(file, group);
    for (int i = 0; i < QC_INPUTS && received; i++) {
        char *path = qw_format("%s/%s", group, input_names[i]);
        step->input[i] = qc_read_optional(file, path);
        free(path);
    }
}

/* ---- steps ---- */

static void read_step(struct qc_step *step, struct qc_hdf5 *file, const char *group, const struct qc_step *last)
{
    static const char *const parts[] = {"received", "cache_before", "cache_after", "taps"};
    struct earlier for_before = {{last ? &last->after : NULL, NULL}}, for_after = {{&step->before, last ? &last->after : NULL}};
    char *path[4];
    for (int i = 0; i < 4; i++)
        path[i] = qw_format("%s/%s", group, parts[i]);
    step->raised = qc_hdf5_int(file, group, "raised", true, 0) != 0;
    read_inputs(step, file, path[0]);
    read_cache(&step->before, file, path[1], &for_before);
    read_cache(&step->after, file, path[2], &for_after);
    if (qc_hdf5_good(file))
        read_taps(step, file, path[3]);
    for (int i = 0; i < 4; i++)
        free(path[i]);
}

bool qc_steps_read(struct qc_recording *recording, struct qc_hdf5 *file)
{
    struct qc_names names = qc_hdf5_names(file, "/steps");
    if (names.count > file->left.steps)
        refuse(file, "/steps", "more steps than are read");
    recording->step = QW_NEW_ARRAY(struct qc_step, names.count);
    for (int i = 0; i < names.count && qc_hdf5_good(file); i++) {
        char *group = qw_format("/steps/%06d", i);
        recording->steps = i + 1;
        if (qc_hdf5_group(file, group))
            read_step(&recording->step[i], file, group, i ? &recording->step[i - 1] : NULL);
        else
            refuse(file, group, "steps are numbered 000000, 000001, … without a gap");
        free(group);
    }
    qc_names_clear(&names);
    return qc_hdf5_good(file);
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

void qc_steps_clear(struct qc_recording *recording)
{
    for (int i = 0; i < recording->steps; i++)
        clear_step(&recording->step[i]);
    free(recording->step);
}
