/* Invariant: what a path names below was seen by the walk at opening: a hard link with a printable name in this file. */
#include "harness/recording/hdf5.h"

#include <assert.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reports/escape.h"

#define AGAIN_OR_OLDER "copy it again from where it was recorded, or write it with h5py opened with libver=('earliest', 'v110')"

bool qc_hdf5_good(const struct qc_hdf5 *hdf5) { return hdf5->error->kind == QW_ERROR_NONE; }

bool qc_hdf5_refuse(const struct qc_hdf5 *hdf5, const char *place, const char *hint, const char *why)
{
    struct qw_text shown = {0};
    rp_escape_terminal(&shown, place);
    qw_fail(hdf5->error, QW_ERROR_INPUT, shown.bytes, hint, "%s", why);
    qw_text_free(&shown);
    return false;
}

/* ---- opening ---- */

struct walk {
    struct qc_hdf5 *hdf5;
    int64_t links;
};

static bool is_printable(const char *name)
{
    uint32_t code;
    for (; *name; name += rp_decode(&code, name))
        if ((unsigned char)*name < 32 || *name == 127 || (rp_decode(&code, name), code == RP_CODE_INVALID))
            return false;
    return true;
}

/* Such a part of a path leads elsewhere than its name says: "." to its own group. */
static bool is_odd(const char *path)
{
    for (size_t length; path; path = path[length] ? path + length + 1 : NULL) {
        length = strcspn(path, "/");
        if (!length || (length <= 2 && !strncmp(path, "..", length)))
            return true;
    }
    return false;
}

static int64_t depth_of(const char *path)
{
    int64_t depth = 1;
    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

/* Called for each link before what it leads to is entered. */
static herr_t check_link(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group;
    struct walk *walk = user;
    const struct qc_limits *limits = &walk->hdf5->left;
    char place[256];
    const char *why = NULL, *hint = "see the recording format, version 1";
    snprintf(place, sizeof place, "/%s", name);
    if (info->type != H5L_TYPE_HARD)
        why = "a soft or external link, only hard links are read", hint = "store the object itself";
    else if ((int64_t)strlen(name) > limits->path)
        why = "a longer path than a recording has";
    else if (++walk->links > limits->links)
        why = "more objects than a recording has", hint = "record fewer steps or a lower level";
    else if (!is_printable(name))
        why = "a name that is not printable UTF-8";
    else if (is_odd(name))
        why = "a name that is empty or a dot, or holds a slash";
    else if (depth_of(name) > limits->depth)
        why = "deeper groups than a recording has";
    if (why)
        qc_hdf5_refuse(walk->hdf5, place, hint, why);
    return why ? -1 : 0;
}

/* Opens by path: under a sandbox that is what was granted.  So it must be looked at whether it is still the same file. */
static bool open_file(struct qc_hdf5 *hdf5, const struct qw_input *source)
{
    void *handle = NULL;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_file_locking(access, false, true); /* a reader's lock stops nobody; qw_input_unchanged notices a writer */
    hdf5->file = H5Fopen(source->path, H5F_ACC_RDONLY, access);
    bool ok = hdf5->file >= 0 || qc_source_explain(source, hdf5->error);
    ok = ok && H5Fget_vfd_handle((hid_t)hdf5->file, access, &handle) >= 0 && qc_source_same(source, *(int *)handle, hdf5->error);
    H5Pclose(access);
    return ok;
}

bool qc_hdf5_open(struct qc_hdf5 *hdf5, const struct qw_input *source, const struct qc_limits *limits, struct qw_error *error)
{
    *hdf5 = (struct qc_hdf5){.file = -1, .left = *limits, .error = error};
    if (__builtin_mul_overflow(source->size, limits->unpacked_times, &hdf5->unpacked) ||
        __builtin_add_overflow(hdf5->unpacked, limits->unpacked_least, &hdf5->unpacked))
        hdf5->unpacked = INT64_MAX;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0);
    H5Lunregister(H5L_TYPE_EXTERNAL);
    struct walk walk = {hdf5, 0};
    if (open_file(hdf5, source) && H5Lvisit(hdf5->file, H5_INDEX_NAME, H5_ITER_INC, check_link, &walk) < 0)
        qc_hdf5_refuse(hdf5, "", AGAIN_OR_OLDER, "damaged, or written by an HDF5 newer than 1.10: its objects cannot be listed");
    if (!qc_hdf5_good(hdf5))
        qc_hdf5_close(hdf5);
    return qc_hdf5_good(hdf5);
}

void qc_hdf5_close(struct qc_hdf5 *hdf5)
{
    if (hdf5->file >= 0) {
        assert(H5Fget_obj_count((hid_t)hdf5->file, H5F_OBJ_ALL | H5F_OBJ_LOCAL) == 1); /* the file alone: no identifier leaked */
        H5Fclose(hdf5->file);
    }
    hdf5->file = -1;
}

const char *qc_hdf5_version(void)
{
    static char version[32];
    unsigned major, minor, release;
    H5get_libversion(&major, &minor, &release);
    snprintf(version, sizeof version, "%u.%u.%u", major, minor, release);
    return version;
}

/* ---- names ---- */

/* Every part of the path must exist: H5Lexists fails on a missing parent. */
bool qc_hdf5_has(const struct qc_hdf5 *hdf5, const char *path)
{
    char part[2048];
    for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        int length = slash ? (int)(slash - path) : (int)strlen(path);
        if (length >= (int)sizeof part)
            return false;
        snprintf(part, sizeof part, "%.*s", length, path);
        if (H5Lexists(hdf5->file, part, H5P_DEFAULT) <= 0)
            return false;
        if (!slash)
            return true;
    }
}

bool qc_hdf5_group(const struct qc_hdf5 *hdf5, const char *path)
{
    H5O_info_t info;
    if (!qc_hdf5_has(hdf5, path))
        return false;
    if (H5Oget_info_by_name2(hdf5->file, path, &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
        return qc_hdf5_refuse(hdf5, path, AGAIN_OR_OLDER, "damaged: what it is cannot be told");
    return info.type == H5O_TYPE_GROUP ||
           qc_hdf5_refuse(hdf5, path, "see the recording format, version 1", "a group is expected here");
}

static void add_name(struct qc_names *names, const char *name)
{
    names->item = qw_realloc(names->item, (size_t)names->count + 1, sizeof *names->item);
    names->item[names->count++] = qw_strdup(name);
}

static herr_t collect_link(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group, (void)info;
    add_name(user, name);
    return 0;
}

struct attributes {
    const struct qc_hdf5 *hdf5;
    const char *object;
    struct qc_names names;
};

static herr_t collect_attribute(hid_t object, const char *name, const H5A_info_t *info, void *user)
{
    (void)object, (void)info;
    struct attributes *found = user;
    const char *why = found->names.count >= found->hdf5->left.attributes ? "more attributes than a recording has"
                      : !is_printable(name)                              ? "an attribute's name is not printable UTF-8"
                                                                         : NULL;
    if (why)
        qc_hdf5_refuse(found->hdf5, found->object, "see the recording format, version 1", why);
    else
        add_name(&found->names, name);
    return why ? -1 : 0;
}

struct qc_names qc_hdf5_names(const struct qc_hdf5 *hdf5, const char *group)
{
    struct qc_names names = {0};
    if (qc_hdf5_group(hdf5, group) &&
        H5Literate_by_name(hdf5->file, group, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_link, &names, H5P_DEFAULT) < 0)
        qc_hdf5_refuse(hdf5, group, AGAIN_OR_OLDER, "damaged: what is in this group cannot be listed");
    return names;
}

struct qc_names qc_hdf5_attributes(const struct qc_hdf5 *hdf5, const char *object)
{
    struct attributes found = {hdf5, object, {0}};
    if (qc_hdf5_has(hdf5, object) &&
        H5Aiterate_by_name(hdf5->file, object, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_attribute, &found, H5P_DEFAULT) < 0)
        qc_hdf5_refuse(hdf5, object, AGAIN_OR_OLDER, "damaged: its attributes cannot be listed");
    return found.names;
}

void qc_names_clear(struct qc_names *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->item[i]);
    free(names->item);
    *names = (struct qc_names){0};
}
