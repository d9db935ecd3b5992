/* Invariant: every identifier that is opened here is closed here, on every path. */
#include "harness/recording/hdf5.h"

#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reference/base/memory.h"

#define MOST_LINKS 4000000
#define DEEPEST_PATH 1000
#define WRITE_HINT "write it with h5py opened with libver=('earliest', 'v110')"

static bool refuse(const struct qc_hdf5 *hdf5, const char *place, const char *hint, const char *why)
{
    return qw_fail(hdf5->error, QW_ERROR_INPUT, place, hint, "%s", why);
}

/* ---- opening ---- */

struct walk {
    struct qc_hdf5 *hdf5;
    int64_t links;
};

static herr_t check_link(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group;
    struct walk *walk = user;
    char place[256];
    snprintf(place, sizeof place, "/%s", name);
    if (info->type != H5L_TYPE_HARD) {
        refuse(walk->hdf5, place, "store the object itself", "a soft or external link, only hard links are read");
        return -1;
    }
    if (++walk->links > MOST_LINKS || strlen(name) > DEEPEST_PATH) {
        refuse(walk->hdf5, place, "", "more objects, or deeper groups, than a recording has");
        return -1;
    }
    return 0;
}

static void explain_open_failure(const struct qc_hdf5 *hdf5, const char *path)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char head[8] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd >= 0 ? read(fd, head, sizeof head) : -1;
    if (fd >= 0)
        close(fd);
    if (fd < 0 || got < 0)
        refuse(hdf5, "", "check the path and its permissions", "cannot be opened");
    else if (got < 8 || memcmp(head, signature, 8))
        refuse(hdf5, "", "give a file that the recorder wrote", "not an HDF5 file");
    else
        refuse(hdf5, "", "copy it again from where it was recorded, or " WRITE_HINT,
               "truncated, damaged, or written by an HDF5 newer than 1.10");
}

bool qc_hdf5_open(struct qc_hdf5 *hdf5, const char *path, int64_t budget, struct qw_error *error)
{
    *hdf5 = (struct qc_hdf5){.file = -1, .budget = budget, .error = error};
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0);
    H5Lunregister(H5L_TYPE_EXTERNAL);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    hdf5->file = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (hdf5->file < 0) {
        explain_open_failure(hdf5, path);
    } else {
        struct walk walk = {hdf5, 0};
        if (H5Lvisit(hdf5->file, H5_INDEX_NAME, H5_ITER_INC, check_link, &walk) < 0)
            refuse(hdf5, "", "copy it again from where it was recorded", "damaged: its objects cannot be listed");
    }
    qw_error_in_file(error, path);
    if (error->kind != QW_ERROR_NONE)
        qc_hdf5_close(hdf5);
    return error->kind == QW_ERROR_NONE;
}

void qc_hdf5_close(struct qc_hdf5 *hdf5)
{
    if (hdf5->file >= 0)
        H5Fclose(hdf5->file);
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
    char part[1024];
    for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", slash ? (int)(slash - path) : (int)strlen(path), path);
        if (H5Lexists(hdf5->file, part, H5P_DEFAULT) <= 0)
            return false;
        if (!slash)
            return true;
    }
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

static herr_t collect_attribute(hid_t object, const char *name, const H5A_info_t *info, void *user)
{
    (void)object, (void)info;
    add_name(user, name);
    return 0;
}

struct qc_names qc_hdf5_names(const struct qc_hdf5 *hdf5, const char *group)
{
    struct qc_names names = {0};
    if (qc_hdf5_has(hdf5, group) &&
        H5Literate_by_name(hdf5->file, group, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_link, &names, H5P_DEFAULT) < 0)
        refuse(hdf5, group, "it must be a group with readable names", "cannot be listed");
    return names;
}

struct qc_names qc_hdf5_attributes(const struct qc_hdf5 *hdf5, const char *object)
{
    struct qc_names names = {0};
    if (qc_hdf5_has(hdf5, object) &&
        H5Aiterate_by_name(hdf5->file, object, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_attribute, &names, H5P_DEFAULT) < 0)
        refuse(hdf5, object, "", "its attributes cannot be listed");
    return names;
}

void qc_names_clear(struct qc_names *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->item[i]);
    free(names->item);
    *names = (struct qc_names){0};
}

/* ---- attributes ---- */

static void place_of(char place[256], const char *object, const char *name)
{
    snprintf(place, 256, "%s@%s", object, name);
}

/* An open attribute, or -1; complains when it is required. */
static hid_t open_attribute(const struct qc_hdf5 *hdf5, const char *object, const char *name, bool required)
{
    char place[256];
    place_of(place, object, name);
    if (H5Aexists_by_name(hdf5->file, object, name, H5P_DEFAULT) > 0)
        return H5Aopen_by_name(hdf5->file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (required)
        refuse(hdf5, place, "see the recording format, version 1", "this attribute is required and is not there");
    return -1;
}

static char *read_variable_text(hid_t attribute, hid_t type)
{
    char *held = NULL, *text = NULL;
    if (H5Aread(attribute, type, &held) >= 0 && held)
        text = qw_strdup(held);
    H5free_memory(held);
    return text;
}

static char *read_fixed_text(hid_t attribute, hid_t type)
{
    size_t size = H5Tget_size(type);
    if (size > (size_t)1 << 26)
        return NULL;
    char *text = qw_calloc(size + 1, 1);
    if (H5Aread(attribute, type, text) >= 0)
        return text;
    free(text);
    return NULL;
}

static char *read_text(hid_t attribute)
{
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    char *text = NULL;
    if (H5Sget_simple_extent_type(space) == H5S_NULL)
        text = qw_strdup("");
    else if (H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1)
        text = H5Tis_variable_str(type) > 0 ? read_variable_text(attribute, type) : read_fixed_text(attribute, type);
    H5Sclose(space);
    H5Tclose(type);
    return text;
}

char *qc_hdf5_text(const struct qc_hdf5 *hdf5, const char *object, const char *name, const char *fallback)
{
    hid_t attribute = open_attribute(hdf5, object, name, fallback == NULL);
    if (attribute < 0)
        return fallback ? qw_strdup(fallback) : NULL;
    char place[256], *text = read_text(attribute);
    H5Aclose(attribute);
    place_of(place, object, name);
    if (!text)
        refuse(hdf5, place, "write it as variable-length UTF-8 text", "not a readable text");
    return text;
}

/* Up to `most` integers of an attribute; the count, or -1. */
static int read_integers(int64_t *out, int most, hid_t attribute)
{
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    bool fits = H5Tget_class(type) == H5T_INTEGER && count >= 0 && count <= most &&
                (count == 0 || H5Aread(attribute, H5T_NATIVE_INT64, out) >= 0);
    H5Sclose(space);
    H5Tclose(type);
    return fits ? (int)count : -1;
}

int64_t qc_hdf5_int(const struct qc_hdf5 *hdf5, const char *object, const char *name, bool required, int64_t fallback)
{
    hid_t attribute = open_attribute(hdf5, object, name, required);
    if (attribute < 0)
        return fallback;
    int64_t value = fallback;
    char place[256];
    place_of(place, object, name);
    if (read_integers(&value, 1, attribute) != 1)
        refuse(hdf5, place, "write it as an int64 scalar", "not one whole number");
    H5Aclose(attribute);
    return value;
}

/* ---- datasets ---- */

/* A chunk is taken into memory whole, whatever part of it the dataset fills. */
static bool chunk_fits(const struct qc_hdf5 *hdf5, hid_t dataset, hid_t list)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t type = H5Dget_type(dataset);
    int64_t bytes = (int64_t)H5Tget_size(type);
    int rank = H5Pget_chunk(list, H5S_MAX_RANK, dims);
    bool fits = rank > 0;
    H5Tclose(type);
    for (int i = 0; fits && i < rank; i++)
        fits = dims[i] <= (hsize_t)1 << 40 && !__builtin_mul_overflow(bytes, (int64_t)dims[i], &bytes);
    return fits && bytes <= hdf5->budget;
}

/* Looks at the creation properties before anything else: asking a virtual dataset for its extent opens other files. */
static bool check_storage(const struct qc_hdf5 *hdf5, hid_t dataset, const char *path)
{
    hid_t list = H5Dget_create_plist(dataset);
    H5D_layout_t layout = H5Pget_layout(list);
    bool ok = true;
    if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT)
        ok = refuse(hdf5, path, "store the data in this file", "virtual storage is not read");
    else if (layout == H5D_CONTIGUOUS && H5Pget_external_count(list) != 0)
        ok = refuse(hdf5, path, "store the data in this file", "external storage is not read");
    int filters = ok && layout == H5D_CHUNKED ? H5Pget_nfilters(list) : 0;
    for (int i = 0; ok && i < filters; i++) {
        unsigned flags, settings;
        size_t none = 0;
        H5Z_filter_t id = H5Pget_filter2(list, (unsigned)i, &flags, &none, NULL, 0, NULL, &settings);
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32)
            ok = refuse(hdf5, path, "use deflate, shuffle and fletcher32 only", "stored with a filter that is not read");
    }
    if (ok && layout == H5D_CHUNKED && !chunk_fits(hdf5, dataset, list))
        ok = refuse(hdf5, path, "store it in smaller chunks", "a chunk is larger than the budget of this file");
    H5Pclose(list);
    return ok;
}

static hid_t bfloat16_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 7, 8, 0, 7);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 127);
    return type;
}

static hid_t float16_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

/* The file type that an element type is stored in; to be closed. */
static hid_t stored_type(enum qw_dtype dtype)
{
    switch (dtype) {
    case QW_F64: return H5Tcopy(H5T_IEEE_F64LE);
    case QW_F32: return H5Tcopy(H5T_IEEE_F32LE);
    case QW_F16: return float16_type();
    case QW_BF16: return bfloat16_type();
    default: return H5Tcopy(H5T_STD_I64LE);
    }
}

static bool read_type(enum qw_dtype *dtype, hid_t dataset)
{
    hid_t type = H5Dget_type(dataset);
    bool found = false;
    for (int i = 0; i < QW_DTYPES && !found; i++) {
        hid_t candidate = stored_type((enum qw_dtype)i);
        if (H5Tequal(type, candidate) > 0) {
            *dtype = (enum qw_dtype)i;
            found = true;
        }
        H5Tclose(candidate);
    }
    H5Tclose(type);
    return found;
}

/* The attribute "shape": the whole tensor's extents. */
static bool read_declared_shape(struct qw_shape *shape, const struct qc_hdf5 *hdf5, const char *path)
{
    hid_t attribute = open_attribute(hdf5, path, "shape", true);
    if (attribute < 0)
        return false;
    shape->rank = read_integers(shape->dim, QW_MAX_RANK, attribute);
    H5Aclose(attribute);
    bool ok = shape->rank >= 0;
    for (int i = 0; ok && i < shape->rank; i++)
        ok = shape->dim[i] >= 0 && shape->dim[i] < (int64_t)1 << 40;
    int64_t bytes = 8;
    for (int i = 0; ok && i < shape->rank; i++)
        if (__builtin_mul_overflow(bytes, shape->dim[i], &bytes))
            return refuse(hdf5, path, "", "extents beyond what can be read");
    return ok || refuse(hdf5, path, "", "attribute \"shape\" is not a list of at most eight extents");
}

static bool read_extents(struct qw_shape *shape, const struct qc_hdf5 *hdf5, hid_t space, const char *path)
{
    hsize_t dims[H5S_MAX_RANK];
    shape->rank = H5Sget_simple_extent_dims(space, dims, NULL);
    if (shape->rank < 0 || shape->rank > QW_MAX_RANK)
        return refuse(hdf5, path, "", "more than eight axes");
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        shape->dim[i] = (int64_t)dims[i];
        if (dims[i] > (hsize_t)1 << 40 || __builtin_mul_overflow(count, shape->dim[i], &count))
            return refuse(hdf5, path, "", "extents beyond what can be read");
    }
    return true;
}

static bool take_budget(struct qc_hdf5 *hdf5, const struct qw_tensor *tensor, const char *path)
{
    int64_t bytes;
    if (__builtin_mul_overflow(qw_shape_count(&tensor->shape), (int64_t)qw_dtype_bytes(tensor->dtype), &bytes) ||
        bytes > hdf5->budget)
        return refuse(hdf5, path, "record fewer steps or a lower level", "larger than the budget of this file");
    hdf5->budget -= bytes;
    return true;
}

static bool check_declared(const struct qc_hdf5 *hdf5, const struct qc_dataset *found, const struct qw_shape *stored,
                           const char *path)
{
    char *dtype = qc_hdf5_text(hdf5, path, "dtype", NULL);
    bool ok = dtype != NULL;
    if (ok && strcmp(dtype, qw_dtype_name(found->tensor->dtype)))
        ok = refuse(hdf5, path, "", "attribute \"dtype\" contradicts the element type of the data");
    free(dtype);
    if (ok && found->from < 0 && !found->has_rows && !qw_shape_equal(stored, &found->tensor->shape))
        ok = refuse(hdf5, path, "", "attribute \"shape\" contradicts the extents of the data");
    return ok;
}

/* A dataset with a null dataspace: its structure stands in attributes. */
static bool read_structure(struct qc_dataset *found, const struct qc_hdf5 *hdf5, const char *path)
{
    char *dtype = qc_hdf5_text(hdf5, path, "dtype", NULL);
    bool ok = dtype && (qw_dtype_from_name(&found->tensor->dtype, dtype) ||
                        refuse(hdf5, path, "", "attribute \"dtype\" names no element type of the format"));
    free(dtype);
    return ok;
}

static bool read_data(struct qc_dataset *found, struct qc_hdf5 *hdf5, hid_t dataset, hid_t space, const char *path)
{
    struct qw_shape stored;
    struct qw_tensor *tensor = found->tensor;
    if (!read_type(&tensor->dtype, dataset))
        return refuse(hdf5, path, "use float64, float32, float16, bfloat16 or int64, little-endian",
                      "an element type that is not part of the format");
    if (!read_extents(&stored, hdf5, space, path) || !check_declared(hdf5, found, &stored, path))
        return false;
    if (found->from >= 0 || found->has_rows)
        return qw_fail(hdf5->error, QW_ERROR_UNSUPPORTED, path, "record the whole tensor",
                       "a tensor of which only a part is kept (\"from\", \"rows\") is not read by this version");
    if (!take_budget(hdf5, tensor, path))
        return false;
    tensor->data = qw_calloc((size_t)qw_shape_count(&stored), qw_dtype_bytes(tensor->dtype));
    hid_t type = stored_type(tensor->dtype);
    herr_t status = qw_shape_count(&stored) ? H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor->data) : 0;
    H5Tclose(type);
    return status >= 0 || refuse(hdf5, path, "copy the file again from where it was recorded", "its data cannot be read");
}

static bool read_dataset(struct qc_dataset *found, struct qc_hdf5 *hdf5, hid_t dataset, const char *path)
{
    if (!check_storage(hdf5, dataset, path) || !read_declared_shape(&found->tensor->shape, hdf5, path))
        return false;
    found->order = qc_hdf5_int(hdf5, path, "order", false, -1);
    found->from = qc_hdf5_int(hdf5, path, "from", false, -1);
    found->has_rows = H5Aexists_by_name(hdf5->file, path, "rows", H5P_DEFAULT) > 0;
    hid_t space = H5Dget_space(dataset);
    bool ok = space >= 0 && (H5Sget_simple_extent_type(space) == H5S_NULL
                                 ? read_structure(found, hdf5, path)
                                 : read_data(found, hdf5, dataset, space, path));
    if (space >= 0)
        H5Sclose(space);
    return ok && hdf5->error->kind == QW_ERROR_NONE;
}

struct qc_dataset qc_hdf5_dataset(struct qc_hdf5 *hdf5, const char *path)
{
    struct qw_shape nothing = {0};
    struct qc_dataset found = {.tensor = qw_tensor_structure(QW_F32, &nothing)};
    hid_t dataset = H5Dopen2(hdf5->file, path, H5P_DEFAULT);
    bool ok = dataset >= 0 ? read_dataset(&found, hdf5, dataset, path)
                           : refuse(hdf5, path, "see the recording format, version 1", "a dataset is expected here");
    if (dataset >= 0)
        H5Dclose(dataset);
    if (!ok) {
        qw_tensor_free(found.tensor);
        found.tensor = NULL;
    }
    return found;
}
