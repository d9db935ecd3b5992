/* Invariant: once open, every tensor has one place; nothing is allocated for elements before they were asked for. */
#include "reference/model/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reference/base/file.h"
#include "reference/base/json.h"
#include "reference/base/memory.h"
#include "reference/base/sha256.h"
#include "reference/base/text.h"

#define INDEX_BUDGET ((size_t)100000000)
#define MOST_SHARDS  4096
#define HINT         "download the folder again, or save the model again with save_pretrained"

struct qw_stored {
    const char *name; /* borrowed from `item` */
    int shard;
    bool named; /* by the index */
    const struct qw_safetensors_item *item;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct qw_stored *)a)->name, ((const struct qw_stored *)b)->name);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static struct qw_stored *find_place(const struct qw_checkpoint *checkpoint, const char *name)
{
    struct qw_stored wanted = {.name = name};
    return bsearch(&wanted, checkpoint->place, (size_t)checkpoint->count, sizeof wanted, by_name);
}

static const char *shard_name(const struct qw_checkpoint *checkpoint, const struct qw_stored *place)
{
    return qw_path_base(checkpoint->input[place->shard].path);
}

const char *qw_checkpoint_file(const struct qw_checkpoint *checkpoint, const char *name)
{
    const struct qw_stored *place = find_place(checkpoint, name);
    return place                    ? checkpoint->input[place->shard].path
           : checkpoint->index.path ? checkpoint->index.path
                                    : checkpoint->input[0].path;
}

/* ---- one file ---- */

/* Formats that people have in place of safetensors, and how to turn them into it. */
static const struct {
    const char *file, *hint;
} pickles[] = {
    {"pytorch_model.bin", "in that folder, where torch is: python -c \"from transformers import AutoModelForCausalLM as M; "
                          "M.from_pretrained('.').save_pretrained('.', safe_serialization=True)\""},
    {"adapter_model.bin", "in that folder, where torch is: python -c \"import torch; from safetensors.torch import save_file; "
                          "save_file(torch.load('adapter_model.bin', map_location='cpu', weights_only=True), "
                          "'adapter_model.safetensors')\""},
};

static bool is_there(const char *folder, const char *name, const char *ending)
{
    char *path = qw_format("%s/%s%s", folder, name, ending);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static bool refuse_pickle(const char *folder, const char *file, const char *hint, struct qw_error *error)
{
    char *path = qw_format("%s/%s", folder, file);
    qw_fail(error, QW_ERROR_INPUT, "", hint, "a pickle is a program and is not read; the weights must be safetensors");
    qw_error_in_file(error, path);
    free(path);
    return false;
}

/* Neither file nor index is there: says so, or what stands in their place. */
static bool refuse_empty(const char *folder, const char *stem, const char *path, struct qw_error *error)
{
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++)
        if (is_there(folder, pickles[i].file, "") || is_there(folder, pickles[i].file, ".index.json"))
            return refuse_pickle(folder, pickles[i].file, pickles[i].hint, error);
    qw_fail(error, QW_ERROR_INPUT, "", "name the folder that save_pretrained() wrote",
            "is not there, nor %s.safetensors.index.json beside it", stem);
    qw_error_in_file(error, path);
    return false;
}

/* ---- the index ---- */

/* Each shard once, in the order of its name; `weight_map` is borrowed from. */
static const char **shard_names(int *count, const struct qw_json *weight_map)
{
    int filled = 0;
    const char **name = QW_NEW_ARRAY(const char *, qw_json_size(weight_map));
    for (const struct qw_json *entry = qw_json_first(weight_map); entry; entry = qw_json_next(entry))
        name[filled++] = qw_json_text(entry, "");
    qsort(name, (size_t)filled, sizeof *name, by_text);
    *count = 0;
    for (int i = 0; i < filled; i++)
        if (!*count || strcmp(name[*count - 1], name[i]))
            name[(*count)++] = name[i];
    return name;
}

static bool check_map(const struct qw_json *weight_map, struct qw_error *error)
{
    if (!qw_json_is_object(weight_map) || !qw_json_size(weight_map))
        return qw_fail(error, QW_ERROR_INPUT, "weight_map", HINT,
                       "must be an object that says for each tensor in which file it lies");
    for (const struct qw_json *entry = qw_json_first(weight_map); entry; entry = qw_json_next(entry))
        if (!qw_json_is_text(entry))
            return qw_fail(error, QW_ERROR_INPUT, qw_json_key(entry), HINT, "must have the name of a file in weight_map");
    return true;
}

static bool open_shards(struct qw_checkpoint *checkpoint, const struct qw_json *weight_map, struct qw_error *error)
{
    int count;
    const char **name = shard_names(&count, weight_map);
    bool ok = count <= MOST_SHARDS ||
              qw_fail(error, QW_ERROR_INPUT, "weight_map", HINT, "names %d files, more than %d", count, MOST_SHARDS);
    checkpoint->input = QW_NEW_ARRAY(struct qw_input, count);
    checkpoint->file = QW_NEW_ARRAY(struct qw_safetensors, count);
    for (int i = 0; ok && i < count; i++) {
        checkpoint->shards = i + 1;
        ok = qw_input_open_beneath(&checkpoint->input[i], checkpoint->folder, name[i], error) &&
             qw_safetensors_open(&checkpoint->file[i], &checkpoint->input[i], error);
    }
    free(name);
    return ok;
}

/* Every name of the index lies where it says, and every tensor has its name there. */
static bool check_places(struct qw_checkpoint *checkpoint, const struct qw_json *weight_map, struct qw_error *error)
{
    for (const struct qw_json *entry = qw_json_first(weight_map); entry; entry = qw_json_next(entry)) {
        struct qw_stored *place = find_place(checkpoint, qw_json_key(entry));
        const char *shard = qw_json_text(entry, "");
        if (!place || strcmp(shard_name(checkpoint, place), shard))
            return qw_fail(error, QW_ERROR_INPUT, qw_json_key(entry), HINT,
                           "the index says that it lies in %.80s, which does not have it", shard);
        place->named = true;
    }
    for (int i = 0; i < checkpoint->count; i++)
        if (!checkpoint->place[i].named)
            return qw_fail(error, QW_ERROR_INPUT, checkpoint->place[i].name, HINT,
                           "lies in %.80s, and the index does not name it", shard_name(checkpoint, &checkpoint->place[i]));
    return true;
}

/* All tensors of all shards, by name; one that lies in two of them is refused. */
static bool sort_places(struct qw_checkpoint *checkpoint, struct qw_error *error)
{
    int total = 0;
    for (int s = 0; s < checkpoint->shards; s++)
        total += checkpoint->file[s].count;
    checkpoint->place = QW_NEW_ARRAY(struct qw_stored, total);
    for (int s = 0; s < checkpoint->shards; s++)
        for (int i = 0; i < checkpoint->file[s].count; i++) {
            const struct qw_safetensors_item *item = &checkpoint->file[s].item[i];
            checkpoint->place[checkpoint->count++] = (struct qw_stored){.name = item->name, .shard = s, .item = item};
        }
    qsort(checkpoint->place, (size_t)total, sizeof *checkpoint->place, by_name);
    for (int i = 1; i < total; i++) {
        const struct qw_stored *one = &checkpoint->place[i - 1], *two = &checkpoint->place[i];
        if (!strcmp(one->name, two->name))
            return qw_fail(error, QW_ERROR_INPUT, one->name, HINT, "lies in two shards: %.80s and %.80s",
                           shard_name(checkpoint, one), shard_name(checkpoint, two));
    }
    return true;
}

static bool open_index(struct qw_checkpoint *checkpoint, const char *path, struct qw_error *error)
{
    char *bytes = NULL;
    bool ok = qw_input_open(&checkpoint->index, path, error) &&
              qw_input_read_all(&bytes, &checkpoint->index, INDEX_BUDGET, error);
    struct qw_json *json = ok ? qw_json_parse(bytes, (size_t)checkpoint->index.size, "", error) : NULL;
    const struct qw_json *weight_map = qw_json_is_object(json) ? qw_json_get(json, "weight_map") : NULL;
    ok = json && check_map(weight_map, error) && open_shards(checkpoint, weight_map, error) && sort_places(checkpoint, error) &&
         check_places(checkpoint, weight_map, error);
    qw_error_in_file(error, path);
    qw_json_free(json);
    free(bytes);
    return ok;
}

static bool open_one(struct qw_checkpoint *checkpoint, const char *path, struct qw_error *error)
{
    checkpoint->input = QW_NEW(struct qw_input);
    checkpoint->file = QW_NEW(struct qw_safetensors);
    checkpoint->shards = 1;
    return qw_input_open(checkpoint->input, path, error) && qw_safetensors_open(checkpoint->file, checkpoint->input, error) &&
           sort_places(checkpoint, error);
}

/* ---- the whole ---- */

bool qw_checkpoint_open(struct qw_checkpoint *checkpoint, const char *folder, const char *stem, struct qw_error *error)
{
    *checkpoint = (struct qw_checkpoint){.folder = qw_strdup(folder), .index.fd = -1};
    char *one = qw_format("%s/%s.safetensors", folder, stem), *index = qw_format("%s.index.json", one);
    bool ok = is_there(folder, stem, ".safetensors")              ? open_one(checkpoint, one, error)
              : is_there(folder, stem, ".safetensors.index.json") ? open_index(checkpoint, index, error)
                                                                  : refuse_empty(folder, stem, one, error);
    free(one);
    free(index);
    return ok;
}

bool qw_checkpoint_describe(struct qw_tensors *set, const struct qw_checkpoint *checkpoint,
                            bool (*needed)(const void *context, const char *name), const void *context, const enum qw_dtype *cast,
                            struct qw_error *error)
{
    for (int i = 0; i < checkpoint->count; i++) {
        const struct qw_stored *place = &checkpoint->place[i];
        if (!needed(context, place->name))
            continue;
        if (!qw_safetensors_need(place->item, error)) {
            qw_error_in_file(error, checkpoint->input[place->shard].path);
            return false;
        }
        enum qw_dtype dtype = cast && place->item->dtype != QW_I64 ? *cast : place->item->dtype;
        qw_tensors_add(set, place->name, qw_tensor_structure(dtype, &place->item->shape));
    }
    return true;
}

bool qw_checkpoint_check(const struct qw_checkpoint *checkpoint, const char *digest, struct qw_error *error)
{
    char actual[QW_SHA256_HEX];
    int first = checkpoint->index.path ? 1 : 0;
    if (!digest[0])
        return true;
    struct qw_input *inputs = QW_NEW_ARRAY(struct qw_input, checkpoint->shards + first);
    inputs[0] = checkpoint->index;
    memcpy(inputs + first, checkpoint->input, (size_t)checkpoint->shards * sizeof *inputs);
    bool ok = qw_sha256_inputs(actual, inputs, checkpoint->shards + first, error);
    if (ok && strcmp(actual, digest)) {
        ok = qw_fail(error, QW_ERROR_INPUT, "", "name the folder of the weights that were recorded",
                     "sha256 is %.12s…, the recording says %.12s…", actual, digest);
        qw_error_in_file(error, inputs[0].path);
    }
    free(inputs);
    return ok;
}

static bool check_memory(const struct qw_tensors *set, struct qw_error *error)
{
    double wanted = 0, there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < set->count; i++)
        wanted += (double)qw_shape_count(&set->item[i].tensor->shape) * (double)qw_dtype_bytes(set->item[i].tensor->dtype);
    return wanted <= there || qw_fail(error, QW_ERROR_INPUT, "", "judge it on a machine with more memory",
                                      "the weights take %.1f GB, this machine has %.1f GB", wanted / 1e9, there / 1e9);
}

bool qw_checkpoint_read(struct qw_tensors *set, const struct qw_checkpoint *checkpoint, struct qw_error *error)
{
    bool ok = check_memory(set, error);
    for (int i = 0; ok && i < set->count; i++) {
        const struct qw_stored *place = find_place(checkpoint, set->item[i].name);
        ok = qw_safetensors_read(set->item[i].tensor, place->item, &checkpoint->input[place->shard], error);
    }
    for (int s = 0; ok && s < checkpoint->shards; s++)
        ok = qw_input_unchanged(&checkpoint->input[s], error);
    return ok;
}

void qw_checkpoint_close(struct qw_checkpoint *checkpoint)
{
    for (int s = 0; s < checkpoint->shards; s++) {
        qw_safetensors_clear(&checkpoint->file[s]);
        qw_input_close(&checkpoint->input[s]);
    }
    qw_input_close(&checkpoint->index);
    free(checkpoint->input);
    free(checkpoint->file);
    free(checkpoint->place);
    free(checkpoint->folder);
    *checkpoint = (struct qw_checkpoint){.index.fd = -1};
}
