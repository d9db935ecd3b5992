/* Invariant: every mistake is a case, and costs no other case; no file is opened here but the suites. */
#include "harness/suite/suite.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/suite/find.h"
#include "harness/suite/words.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reports/check.h"

#define BUDGET ((size_t)16 << 20)

/* The block that is being read, and where it stands. */
struct block {
    const struct qw_json *json;
    const struct qc_suite_file *file;
    const char *folder;     /* of the suite, "" or with its slash */
    const char *recordings; /* the same for its recordings */
    char place[32];         /* "cases[3]" */
};

/* ---- cases ---- */

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

bool qc_suites_has(const struct qc_suites *suites, const char *id) { return tfind(id, &suites->ids, by_text); }

static struct qc_suite_case *add_case(struct qc_suites *suites, char *id, const char *suite, int file)
{
    if (suites->count == suites->room) {
        suites->room = suites->room ? 2 * suites->room : 64;
        suites->cases = qw_realloc(suites->cases, (size_t)suites->room, sizeof *suites->cases);
    }
    struct qc_suite_case *one = &suites->cases[suites->count++];
    *one = (struct qc_suite_case){.id = id, .suite = qw_strdup(suite), .file = file, .selection = qc_selection_all()};
    if (!tsearch(one->id, &suites->ids, by_text))
        (void)qw_realloc(NULL, SIZE_MAX, 2); /* ends the process as every allocation does that fails */
    return one;
}

static void add_problem(struct qc_suites *suites, const char *id, const char *suite, int file, const struct qw_error *error)
{
    char *own = qw_strdup(id);
    while (qc_suites_has(suites, own)) {
        char *longer = qw_format("%s#", own);
        free(own);
        own = longer;
    }
    struct qc_suite_case *one = add_case(suites, own, suite, file);
    one->problem = *error;
    qw_sha256(one->digest, own, strlen(own));
}

void qc_suites_add_problem(struct qc_suites *suites, const char *id, const struct qw_error *error)
{
    add_problem(suites, id, NULL, -1, error);
}

/* "FILE#": what is wrong with a file, or a folder, as a whole. */
static void add_file_problem(struct qc_suites *suites, const char *path, int file, struct qw_error *error)
{
    char *id = qw_format("%s#", path);
    qw_error_in_file(error, path);
    add_problem(suites, id, path, file, error);
    free(id);
}

/* ---- what a block asks for ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp(qw_json_key(*(const struct qw_json *const *)a), qw_json_key(*(const struct qw_json *const *)b));
}

/* The same for the same block, in whatever order its fields stand, and wherever the suite lies. */
static void digest_block(char digest[QW_SHA256_HEX], const struct qw_json *block, const char *recordings)
{
    int count = 0;
    const struct qw_json **fields = QW_NEW_ARRAY(const struct qw_json *, qw_json_size(block));
    struct qw_json *ordered = qw_json_object();
    for (const struct qw_json *f = qw_json_is_object(block) ? qw_json_first(block) : NULL; f; f = qw_json_next(f))
        fields[count++] = f;
    qsort(fields, (size_t)count, sizeof *fields, by_key);
    qw_json_put_text(ordered, "", recordings);
    for (int i = 0; i < count; i++)
        qw_json_put(ordered, qw_json_key(fields[i]), qw_json_copy(fields[i]));
    char *text = qw_json_print(ordered, false);
    qw_sha256(digest, text, strlen(text));
    free(text);
    free(fields);
    qw_json_free(ordered);
}

static bool fail_at(struct qw_error *error, const struct block *block, const char *key, const char *hint, const char *message)
{
    char *place = qw_format("%s.%s", block->place, key);
    qw_fail(error, QW_ERROR_INPUT, place, hint, "%s", message);
    free(place);
    return false;
}

static bool read_range(int *first, int *last, const struct block *block, const char *key, struct qw_error *error)
{
    const char *text = qw_json_get_text(block->json, key, NULL);
    if (!text || qc_range_read(first, last, text))
        return true;
    char *message = qw_format("\"%s\" is no range", text);
    fail_at(error, block, key, "give first and last, both from 0 and inclusive, the smaller one first: 0-4, 2, 2-, -3", message);
    free(message);
    return false;
}

static bool read_limit(double *seconds, const struct block *block, struct qw_error *error)
{
    const char *text = qw_json_get_text(block->json, "timeout", NULL);
    return !text || qc_duration_read(seconds, text) ||
           fail_at(error, block, "timeout", "give a time such as 500ms, 30s, 5m or 1h", "is no time above 0 and up to a week");
}

static char *short_path(const char *folder, const char *name)
{
    char *path = qw_path_join(folder, name), *given = qc_path_short(path);
    free(path);
    return given;
}

static bool find_folder(char **out, const struct block *block, const char *key, struct qw_error *error)
{
    const char *name = qw_json_get_text(block->json, key, NULL);
    struct stat info;
    if (!name)
        return true;
    *out = short_path(block->folder, name);
    if (stat(*out, &info) == 0 && S_ISDIR(info.st_mode))
        return true;
    char *near = qc_find_near(*out), *message = qw_format("there is no folder %s%s", *out, near);
    fail_at(error, block, key, "paths are relative to the suite's file: mend it, or put the folder there", message);
    free(near);
    free(message);
    return false;
}

static bool miss_recording(const char *path, const struct block *block, struct qw_error *error)
{
    int reason = errno;
    bool missing = reason == ENOENT || reason == ENOTDIR;
    char *folder = qw_path_folder(path), *near = qc_find_near(path);
    char *message = missing ? qw_format("there is no file %s%s", path, near)
                            : qw_format("%s cannot be looked at: %s", path, strerror(reason));
    char *hint = qw_format("recordings of this suite are looked for in %s: put it there, or mend the name",
                           block->recordings[0] ? block->recordings
                           : folder[0]          ? folder
                                                : "the folder of the suite");
    fail_at(error, block, "recording", hint, message);
    free(folder);
    free(near);
    free(message);
    free(hint);
    return false;
}

/* Its name and size; it is opened by nobody but a worker. */
static bool find_recording(struct qc_suite_case *one, const struct block *block, struct qw_error *error)
{
    struct stat info;
    one->recording = short_path(block->recordings, qw_json_get_text(block->json, "recording", ""));
    if (stat(one->recording, &info) != 0)
        return miss_recording(one->recording, block, error);
    if (!S_ISREG(info.st_mode)) {
        char *message = qw_format("%s is %s", one->recording, S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
        fail_at(error, block, "recording", "give the path of a recording (HDF5 file)", message);
        free(message);
        return false;
    }
    one->bytes = (int64_t)info.st_size;
    return true;
}

static void read_texts(struct qc_suite_case *one, const struct qw_json *json)
{
    const struct qw_json *tags = qw_json_get(json, "tags");
    const char *precision = qw_json_get_text(json, "precision", "auto"), *site = qw_json_get_text(json, "site", NULL);
    one->requirement = qw_strdup(qw_json_get_text(json, "requirement", NULL));
    one->source = qw_strdup(qw_json_get_text(json, "source", NULL));
    one->site = qw_strdup(site);
    one->precision = strcmp(precision, "auto") ? qw_strdup(precision) : NULL;
    one->selection.site = one->site;
    one->selection.precision = one->precision;
    one->tags = QW_NEW_ARRAY(char *, qw_json_size(tags));
    for (const struct qw_json *t = qw_json_first(tags); t; t = qw_json_next(t))
        one->tags[one->tag_count++] = qw_strdup(qw_json_text(t, ""));
}

/* Of a block that fits the schema.  All of its faults are looked for; the first one is told. */
static void read_sound(struct qc_suite_case *one, const struct block *block)
{
    struct qc_selection *selection = &one->selection;
    read_texts(one, block->json);
    read_range(&selection->first_step, &selection->last_step, block, "steps", &one->problem);
    read_range(&selection->first_layer, &selection->last_layer, block, "layers", &one->problem);
    read_limit(&one->limit, block, &one->problem);
    find_recording(one, block, &one->problem);
    find_folder(&one->model, block, "model", &one->problem);
    find_folder(&one->adapter, block, "adapter", &one->problem);
}

/* ---- blocks ---- */

/* The id that the block gives itself, if it may have it; NULL otherwise. */
static const char *own_id(const struct qc_suites *suites, const struct block *block, struct qw_error *error)
{
    const struct qw_json *node = qw_json_get(block->json, "id");
    const char *id = qw_json_text(node, NULL);
    struct qw_error ignored = {0};
    if (!id || !rp_check_part(node, RP_SUITE, "id", "", &ignored))
        return NULL;
    if (!qc_suites_has(suites, id))
        return id;
    int first = 0;
    while (strcmp(suites->cases[first].id, id) != 0)
        first++;
    char *message = qw_format("the id %s is that of a case in %s already", id, suites->cases[first].suite);
    fail_at(error, block, "id", "give every case of a run an id of its own", message);
    free(message);
    return NULL;
}

static void read_block(struct qc_suites *suites, const struct block *block, const char *recordings)
{
    struct qw_error error = {0};
    int file = suites->file_count - 1;
    const char *id = own_id(suites, block, &error);
    bool sound = rp_check_part(block->json, RP_SUITE, "case", block->place, &error);
    char *name = id ? qw_strdup(id) : qw_format("%s#%s", block->file->path, block->place);
    struct qc_suite_case *one = add_case(suites, name, block->file->path, file);
    one->named = id;
    one->problem = error;
    digest_block(one->digest, block->json, recordings);
    if (sound)
        read_sound(one, block);
    qw_error_in_file(&one->problem, block->file->path);
}

static void read_blocks(struct qc_suites *suites, const struct qw_json *suite)
{
    const struct qc_suite_file *file = &suites->files[suites->file_count - 1];
    const char *named = qw_json_get_text(suite, "recordings", NULL);
    char *folder = qw_path_folder(file->path), *joined = short_path(folder, named ? named : "");
    char *recordings = qw_format("%s%s", joined, joined[0] && joined[strlen(joined) - 1] != '/' ? "/" : "");
    struct block block = {NULL, file, folder, recordings, ""};
    int index = 0;
    for (block.json = qw_json_first(qw_json_get(suite, "cases")); block.json; block.json = qw_json_next(block.json)) {
        snprintf(block.place, sizeof block.place, "cases[%d]", index++);
        read_block(suites, &block, named);
    }
    free(folder);
    free(joined);
    free(recordings);
}

/* ---- files ---- */

static bool was_read(const struct qc_suites *suites, const struct stat *info)
{
    for (int i = 0; i < suites->file_count; i++)
        if (suites->files[i].device == info->st_dev && suites->files[i].inode == info->st_ino)
            return true;
    return false;
}

static struct qc_suite_file *add_file(struct qc_suites *suites, const char *path, const struct stat *info)
{
    suites->files = qw_realloc(suites->files, (size_t)suites->file_count + 1, sizeof *suites->files);
    suites->files[suites->file_count] = (struct qc_suite_file){qw_strdup(path), NULL, info->st_dev, info->st_ino};
    if (!suites->told)
        suites->told = qw_json_array();
    return &suites->files[suites->file_count++];
}

/* The document, or NULL with the reason. */
static struct qw_json *load(char sha256[QW_SHA256_HEX], const char *path, struct qw_error *error)
{
    static const struct qw_json_limits limits = {16, 1 << 20, false};
    struct qw_json *json = NULL;
    char *bytes = NULL;
    size_t size = 0;
    if (qw_file_read(&bytes, &size, path, BUDGET, error)) {
        qw_sha256(sha256, bytes, size);
        if (size >= 4 && !memcmp(bytes, "\x89HDF", 4))
            qw_fail(error, QW_ERROR_INPUT, "", "judge it with qconform diagnose, or write a suite with a case for it",
                    "is an HDF5 file, such as a recording, and no suite");
        else
            json = qw_json_parse_within(bytes, size, &limits, "", error);
    }
    free(bytes);
    return json;
}

/* A fault outside the blocks is told once; the blocks are read nevertheless, if they are those of a suite and their
 * recordings can be found. */
static void read_document(struct qc_suites *suites, const struct qw_json *json)
{
    struct qc_suite_file *file = &suites->files[suites->file_count - 1];
    struct qw_error error = {0};
    const struct qw_json *recordings = qw_json_get(json, "recordings");
    bool sound = rp_check_as(json, RP_SUITE, "case", &error), same = !strcmp(qw_json_get_text(json, "schema", ""), RP_SUITE);
    const char *baseline = qw_json_get_text(json, "baseline", NULL);
    char *folder = qw_path_folder(file->path);
    if (!sound)
        add_file_problem(suites, file->path, suites->file_count - 1, &error);
    if (baseline)
        file->baseline = short_path(folder, baseline);
    if (same && qw_json_is_array(qw_json_get(json, "cases")) && (!recordings || qw_json_is_text(recordings)))
        read_blocks(suites, json);
    free(folder);
}

static void read_file(struct qc_suites *suites, const char *path)
{
    struct stat info = {0};
    struct qw_error error = {0};
    char sha256[QW_SHA256_HEX] = "";
    char *name = qc_path_short(path);
    if (stat(path, &info) == 0 && was_read(suites, &info)) {
        free(name);
        return;
    }
    add_file(suites, name, &info);
    int before = suites->count;
    struct qw_json *json = load(sha256, path, &error);
    if (json)
        read_document(suites, json);
    else
        add_file_problem(suites, name, suites->file_count - 1, &error);
    struct qw_json *told = qw_json_add(suites->told, qw_json_object());
    qw_json_put_text(told, "file", name);
    qw_json_put_text(told, "title", qw_json_get_text(json, "title", NULL));
    qw_json_put_text(told, "sha256", sha256[0] ? sha256 : NULL);
    qw_json_put_int(told, "cases", suites->count - before);
    qw_json_free(json);
    free(name);
}

static bool read_folder(struct qc_suites *suites, const char *path, struct qw_error *error)
{
    struct qw_json *unread = qw_json_array(), *found = qc_find_suites(unread, path);
    bool any = qw_json_size(found) + qw_json_size(unread) > 0;
    for (const struct qw_json *f = qw_json_first(found); f; f = qw_json_next(f))
        read_file(suites, qw_json_text(f, ""));
    for (const struct qw_json *u = qw_json_first(unread); u; u = qw_json_next(u)) {
        struct qw_error why = {0};
        qw_fail(&why, QW_ERROR_INPUT, "", "let it be read, or name the suites in it that may be", "the folder cannot be read");
        add_file_problem(suites, qw_json_text(u, ""), -1, &why);
    }
    if (!any)
        qw_fail(error, QW_ERROR_INPUT, "", "a suite is called suite.json, or ends in .suite.json; another name is given in full",
                "there is no suite in the folder");
    qw_json_free(found);
    qw_json_free(unread);
    return any;
}

bool qc_suites_read(struct qc_suites *suites, const char *path, struct qw_error *error)
{
    struct stat info;
    bool there = stat(path, &info) == 0, ok = there;
    if (!there)
        qw_fail(error, QW_ERROR_INPUT, "", "check the path", "cannot be opened: %s", strerror(errno));
    else if (S_ISDIR(info.st_mode))
        ok = read_folder(suites, path, error);
    else
        read_file(suites, path);
    qw_error_in_file(error, path);
    return ok;
}

static void clear_case(struct qc_suite_case *one)
{
    char *const texts[] = {one->id,    one->requirement, one->source, one->suite,    one->recording,
                           one->model, one->adapter,     one->site,   one->precision};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (int i = 0; i < one->tag_count; i++)
        free(one->tags[i]);
    free(one->tags);
}

static void leave(void *id) { (void)id; }

void qc_suites_clear(struct qc_suites *suites)
{
    tdestroy(suites->ids, leave);
    for (int i = 0; i < suites->count; i++)
        clear_case(&suites->cases[i]);
    for (int i = 0; i < suites->file_count; i++) {
        free(suites->files[i].path);
        free(suites->files[i].baseline);
    }
    free(suites->cases);
    free(suites->files);
    qw_json_free(suites->told);
    *suites = (struct qc_suites){0};
}
