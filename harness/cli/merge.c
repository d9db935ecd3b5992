/* Invariant: every result that is named, or lies in a named folder, is joined or refuses the whole. */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/cli/cli.h"
#include "harness/suite/merge.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"

enum { DEEPEST = 3 }; /* folders below an operand in which shards are looked for */

/* The results to join, and what is odd about where they lie. */
struct found {
    struct qc_merge_part *parts;
    int count;
    struct qw_json *notices;
};

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Whether there is something of that name, readable or not. */
static bool is_there(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 || errno != ENOENT;
}

/* The path of `name` in a folder; free with free(). */
static char *in_folder(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    return qw_format("%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name);
}

/* Takes the path. */
static void add_part(struct found *found, char *path)
{
    found->parts = qw_realloc(found->parts, (size_t)found->count + 1, sizeof *found->parts);
    found->parts[found->count++] = (struct qc_merge_part){path, NULL};
}

/* The result of a shard's folder; one that is not there is a shard that did not end. */
static void add_shard(struct found *found, const char *folder)
{
    char *path = in_folder(folder, "result.json");
    if (is_there(path)) {
        add_part(found, path);
        return;
    }
    free(path);
    char *notice = qw_format("%s has no result.json: that shard has not ended; run it again with --resume", folder);
    qw_json_add_text(found->notices, notice);
    free(notice);
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static bool add_shards(struct found *found, int *shards, const char *folder, int depth, struct qw_error *error);

static bool add_entry(struct found *found, int *shards, const char *path, int depth, struct qw_error *error)
{
    if (!is_folder(path))
        return true;
    if (fnmatch("shard-*-of-*", qw_path_base(path), 0) != 0)
        return depth >= DEEPEST || add_shards(found, shards, path, depth + 1, error);
    add_shard(found, path);
    ++*shards;
    return true;
}

/* The shards in and below a folder, in the order of their names and numbers; adds how many folders of shards there are. */
static bool add_shards(struct found *found, int *shards, const char *folder, int depth, struct qw_error *error)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_visible, versionsort);
    bool ok = true;
    if (count < 0) {
        qw_fail(error, QW_ERROR_INPUT, "", "check its permissions", "the folder cannot be read: %s", strerror(errno));
        qw_error_in_file(error, folder);
        return false;
    }
    for (int i = 0; i < count; i++) {
        char *path = in_folder(folder, entries[i]->d_name);
        ok = ok && add_entry(found, shards, path, depth, error);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

static bool add_operand(struct found *found, const char *operand, struct qw_error *error)
{
    int shards = 0;
    if (!is_folder(operand)) {
        add_part(found, qw_strdup(operand));
        return true;
    }
    if (!add_shards(found, &shards, operand, 1, error))
        return false;
    char *path = in_folder(operand, "result.json");
    if (!shards && is_there(path)) {
        add_part(found, path);
        return true;
    }
    free(path);
    if (shards)
        return true;
    qw_fail(error, QW_ERROR_INPUT, "", "give the folder that run wrote into (--out), or result files",
            "holds neither result.json nor folders shard-I-of-N");
    qw_error_in_file(error, operand);
    return false;
}

static bool read_parts(struct found *found, const struct cli_options *options, struct qw_error *error)
{
    for (int i = 0; i < options->count; i++)
        if (!add_operand(found, options->operand[i], error))
            return false;
    for (int i = 0; i < found->count; i++)
        if (!(found->parts[i].document = cli_read_result(found->parts[i].path, error)))
            return false;
    if (!found->count) {
        qw_fail(error, QW_ERROR_INPUT, "", "run the shards again with --resume", "no shard has ended, nothing can be joined");
        qw_error_in_file(error, options->operand[0]);
    }
    return found->count > 0;
}

static void clear(struct found *found)
{
    for (int i = 0; i < found->count; i++) {
        free((char *)found->parts[i].path);
        qw_json_free(found->parts[i].document);
    }
    free(found->parts);
    qw_json_free(found->notices);
}

static bool writes_something(const struct cli_options *options)
{
    for (int i = 0; i < CLI_MOST_FORMATS; i++)
        if (options->file[i])
            return true;
    return options->json;
}

static void show_notices(const struct found *found, const struct cli_options *options)
{
    const struct qw_json *notice = options->verbosity < 0 ? NULL : qw_json_first(found->notices);
    for (; notice; notice = qw_json_next(notice))
        fprintf(stderr, "qconform: notice: %s\n", qw_json_text(notice, ""));
}

static int show_joined(struct found *found, const struct cli_options *options)
{
    struct qc_document about = {.argc = options->argc, .argv = options->argv};
    struct qw_error error = {0};
    struct qw_json *document = qc_merge(found->parts, found->count, &about, found->notices, &error);
    if (!document)
        return cli_complain_error(&error);
    if (!writes_something(options))
        qw_json_add_text(found->notices, "the joined result is kept nowhere; -o FILE.json writes it");
    show_notices(found, options);
    int code = cli_show(document, options, qc_document_exit(document));
    qw_json_free(document);
    return code;
}

int cli_merge(const struct cli_options *given)
{
    struct cli_options options = *given;
    struct qw_error error = {0};
    if (options.count < 1)
        return cli_complain(QC_EXIT_USAGE, "name results, or the folder of the shards; see qconform help merge");
    char *inside = options.output && is_folder(options.output) ? in_folder(options.output, "result.json") : NULL;
    options.output = inside ? inside : options.output;
    if (options.output && !cli_choose_format(&options))
        return QC_EXIT_USAGE;
    options.json = options.json || (options.output && !strcmp(options.output, "-"));
    struct found found = {.notices = qw_json_array()};
    int code = read_parts(&found, &options, &error) ? show_joined(&found, &options) : cli_complain_error(&error);
    clear(&found);
    free(inside);
    return code;
}
