/* Invariant: what is found depends on the names alone, not on the order in which a folder lists them. */
#include "harness/suite/find.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "reference/base/file.h"
#include "reference/base/guess.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

enum { DEEPEST = 64 }; /* folders inside one another */

/* ---- suites ---- */

struct walk {
    char **found;
    int count, room;
    struct qw_json *unread;
};

/* The folders on the way down. */
struct step {
    const struct step *up;
    struct stat info;
    int depth;
};

static bool is_suite(const char *name)
{
    static const char suffix[] = ".suite.json";
    size_t length = strlen(name), tail = sizeof suffix - 1;
    return !strcmp(name, suffix + 1) || (length > tail && !strcmp(name + length - tail, suffix));
}

static bool goes_round(const struct step *step)
{
    for (const struct step *s = step->up; s; s = s->up)
        if (s->info.st_dev == step->info.st_dev && s->info.st_ino == step->info.st_ino)
            return true;
    return false;
}

static void keep(struct walk *walk, const char *path)
{
    if (walk->count == walk->room) {
        walk->room = walk->room ? 2 * walk->room : 16;
        walk->found = qw_realloc(walk->found, (size_t)walk->room, sizeof *walk->found);
    }
    walk->found[walk->count++] = qw_strdup(path);
}

static void walk_into(struct walk *walk, const char *folder, const struct step *step)
{
    DIR *open = step->depth < DEEPEST && !goes_round(step) ? opendir(folder) : NULL;
    if (!open && step->depth < DEEPEST && !goes_round(step))
        qw_json_add_text(walk->unread, folder);
    for (const struct dirent *entry; open && (entry = readdir(open));) {
        struct step below = {step, {0}, step->depth + 1};
        if (entry->d_name[0] == '.')
            continue;
        char *path = qw_format("%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", entry->d_name);
        if (stat(path, &below.info) == 0 && S_ISDIR(below.info.st_mode))
            walk_into(walk, path, &below);
        else if (is_suite(entry->d_name))
            keep(walk, path);
        free(path);
    }
    if (open)
        closedir(open);
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

struct qw_json *qc_find_suites(struct qw_json *unread, const char *folder)
{
    struct walk walk = {.unread = unread};
    struct step step = {0};
    struct qw_json *paths = qw_json_array();
    if (stat(folder, &step.info) == 0)
        walk_into(&walk, folder, &step);
    if (walk.count)
        qsort(walk.found, (size_t)walk.count, sizeof *walk.found, by_bytes);
    for (int i = 0; i < walk.count; i++) {
        qw_json_add_text(paths, walk.found[i]);
        free(walk.found[i]);
    }
    free(walk.found);
    return paths;
}

/* ---- names ---- */

char *qc_find_near(const char *path)
{
    char *folder = qw_path_folder(path), *best = NULL;
    struct qw_guess guess = qw_guess_for(qw_path_base(path));
    struct dirent **entries = NULL;
    int count = scandir(folder[0] ? folder : ".", &entries, NULL, alphasort);
    for (int i = 0; i < count; i++)
        if (entries[i]->d_name[0] != '.')
            qw_guess_offer(&guess, entries[i]->d_name);
    best = qw_strdup(qw_guess_text(&guess, ""));
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    free(folder);
    return best;
}

static bool is_same(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b[0] ? b : ".", &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* The parts of a path one after the other, ".." taking the part before it away where there is one. */
static char *shortened(const char *path)
{
    struct qw_text out = {0};
    if (path[0] == '/')
        qw_text_add(&out, "/");
    size_t fixed = out.length; /* what ".." must not take away */
    for (const char *part = path + strspn(path, "/"); *part; part += strspn(part, "/")) {
        size_t length = strcspn(part, "/");
        bool up = length == 2 && !strncmp(part, "..", 2), here = length == 1 && *part == '.';
        if (up && out.length > fixed) {
            const char *slash = strrchr(out.bytes, '/');
            out.length = slash && (size_t)(slash - out.bytes) >= fixed ? (size_t)(slash - out.bytes) : fixed;
            out.bytes[out.length] = 0;
        } else if (!here && !(up && path[0] == '/')) {
            qw_text_addf(&out, "%s%.*s", out.length && out.bytes[out.length - 1] != '/' ? "/" : "", (int)length, part);
            fixed = up ? out.length : fixed;
        }
        part += length;
    }
    return qw_text_take(&out);
}

char *qc_path_short(const char *path)
{
    char *name = shortened(path), *folder = qw_path_folder(path), *place = qw_path_folder(name);
    bool last = strcmp(qw_path_base(path), "..") && strcmp(qw_path_base(path), "."); /* else the folder does not say it */
    bool same = *name && (is_same(path, name) || (last && !is_same(path, path) && is_same(folder[0] ? folder : ".", place)));
    char *given = same ? name : qw_strdup(path);
    if (!same)
        free(name);
    free(folder);
    free(place);
    return given;
}
