/* Invariant: of a weight folder only what a checkpoint consists of has a grant, whatever else lies there. */
#include "harness/worker/grants.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

/* Configurations, the index of a sharded checkpoint, and weights. */
static const char *const patterns[] = {"*.json", "*.safetensors"};
#define PATTERNS (sizeof patterns / sizeof *patterns)

static void add(struct qc_grants *grants, const char *path, const struct stat *info)
{
    grants->item = qw_realloc(grants->item, (size_t)grants->count + 1, sizeof *grants->item);
    grants->item[grants->count++] = (struct qc_grant){qw_strdup(path), S_ISDIR(info->st_mode)};
    if (S_ISREG(info->st_mode))
        grants->bytes += info->st_size;
}

/* What the person named may be opened whatever it is, so that the refusal of a folder or a pipe can say what it is. */
static void add_input(struct qc_grants *grants, const char *path)
{
    struct stat info;
    if (path && stat(path, &info) == 0)
        add(grants, path, &info);
}

static bool is_beneath(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && path[length] == '/';
}

/* `target` is where a link of the folder leads, `folder` the folder itself, both resolved. */
static bool stays(const char *target, const char *folder)
{
    char *up = qw_format("%s/../../blobs", folder), blobs[PATH_MAX];
    bool good = is_beneath(target, folder) || (realpath(up, blobs) && is_beneath(target, blobs));
    free(up);
    return good;
}

static bool refuse_link(struct qw_error *error, const char *path, const char *option)
{
    char *hint = qw_format("if you trust it, name the folder yourself: %s DIR", option);
    qw_fail(error, QW_ERROR_INPUT, "", hint, "a link that leaves the folder that the recording names");
    qw_error_in_file(error, path);
    free(hint);
    return false;
}

static bool add_file(struct qc_grants *grants, const char *folder, const char *name, const char *option, bool trusted,
                     struct qw_error *error)
{
    char *path = qw_format("%s/%s", folder, name), target[PATH_MAX], home[PATH_MAX];
    struct stat link, info;
    bool there = lstat(path, &link) == 0 && stat(path, &info) == 0 && realpath(path, target);
    bool ok = !there || trusted || !S_ISLNK(link.st_mode) || (realpath(folder, home) && stays(target, home)) ||
              refuse_link(error, path, option);
    if (there && ok && (S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode)))
        add(grants, target, &info);
    free(path);
    return ok;
}

static bool is_wanted(const char *name)
{
    for (size_t i = 0; i < PATTERNS; i++)
        if (!fnmatch(patterns[i], name, FNM_PERIOD))
            return true;
    return false;
}

static bool add_folder(struct qc_grants *grants, const char *folder, const char *option, bool trusted, struct qw_error *error)
{
    DIR *listing = opendir(folder);
    bool ok = true;
    if (!listing)
        return true;
    add_input(grants, folder);
    for (const struct dirent *entry; ok && (entry = readdir(listing));)
        if (is_wanted(entry->d_name))
            ok = add_file(grants, folder, entry->d_name, option, trusted, error);
    closedir(listing);
    return ok;
}

/* The folder that the person named wins over the one that the recording names. */
static bool add_place(struct qc_grants *grants, const char *path, const char *given, const char *named, const char *option,
                      struct qw_error *error)
{
    if (given)
        return add_folder(grants, given, option, true, error);
    if (!named)
        return true;
    char *base = qw_path_folder(path), *folder = qw_path_join(base, named);
    bool ok = add_folder(grants, folder, option, false, error);
    free(folder);
    free(base);
    return ok;
}

bool qc_grants_make(struct qc_grants *grants, const struct qc_task *task, struct qw_error *error)
{
    const struct qc_places *places = &task->places;
    *grants = (struct qc_grants){0};
    add_input(grants, task->path);
    add_input(grants, task->other);
    return add_place(grants, task->path, places->model, places->named_model, "--model", error) &&
           add_place(grants, task->path, places->adapter, places->named_adapter, "--adapter", error);
}

void qc_grants_clear(struct qc_grants *grants)
{
    for (int i = 0; i < grants->count; i++)
        free(grants->item[i].path);
    free(grants->item);
    *grants = (struct qc_grants){0};
}

bool qc_named_folder_check(const char *name, const char *place, const char *option, struct qw_error *error)
{
    bool odd = !name[0] || strlen(name) >= PATH_MAX;
    for (const char *c = name; *c; c++)
        odd = odd || (unsigned char)*c < 32 || *c == 127;
    if (!odd && name[0] != '/')
        return true;
    char *hint = qw_format("name the folder yourself: %s DIR", option);
    qw_fail(error, QW_ERROR_INPUT, place, hint, "%s",
            odd ? "the name of the weight folder is empty, too long, or has control characters in it"
                : "an absolute path: a recording names its weight folder relative to its own folder");
    free(hint);
    return false;
}
