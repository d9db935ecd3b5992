/* Invariant: storage is looked at before extents, extents before memory is taken; a tensor has the numbers that were
 * written, or it is refused. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/recording/hdf5.h"
#include "harness/recording/stats.h"
#include "reference/base/memory.h"

#define AGAIN   "copy the file again from where it was recorded"
#define SMALLER "record fewer steps or a lower level"

/* Which part of a tensor may have been kept. */
struct part {
    bool rows;
    int axis; /* whose end; 0: none */
};

/* ---- storage ---- */

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
        fits = dims[i] > 0 && dims[i] <= (hsize_t)1 << 40 && !__builtin_mul_overflow(bytes, (int64_t)dims[i], &bytes);
    return fits && bytes <= hdf5->left.data && bytes <= hdf5->unpacked;
}

/* Each at most once: deflate upon deflate unpacks a million times. */
static bool check_filters(const struct qc_hdf5 *hdf5, hid_t list, const char *path)
{
    static const H5Z_filter_t allowed[] = {H5Z_FILTER_DEFLATE, H5Z_FILTER_SHUFFLE, H5Z_FILTER_FLETCHER32};
    int seen[3] = {0}, filters = H5Pget_nfilters(list);
    for (int i = 0; i < filters; i++) {
        unsigned flags, settings, which = 0;
        size_t none = 0;
        H5Z_filter_t id = H5Pget_filter2(list, (unsigned)i, &flags, &none, NULL, 0, NULL, &settings);
        while (which < 3 && allowed[which] != id)
            which++;
        if (which == 3)
            return qc_hdf5_refuse(hdf5, path, "use deflate, shuffle and fletcher32 only",
                                  "stored with a filter that is not read");
        if (seen[which]++)
            return qc_hdf5_refuse(hdf5, path, "use each filter once", "stored with the same filter twice");
    }
    return filters >= 0 || qc_hdf5_refuse(hdf5, path, AGAIN, "its filters cannot be listed");
}

static bool check_layout(const struct qc_hdf5 *hdf5, hid_t dataset, hid_t list, const char *path)
{
    switch (H5Pget_layout(list)) {
    case H5D_COMPACT: return true;
    case H5D_CONTIGUOUS:
        return H5Pget_external_count(list) == 0 ||
               qc_hdf5_refuse(hdf5, path, "store the data in this file", "external storage is not read");
    case H5D_CHUNKED:
        return check_filters(hdf5, list, path) &&
               (chunk_fits(hdf5, dataset, list) ||
                qc_hdf5_refuse(hdf5, path, "store it in smaller chunks", "a chunk is larger than the budget of this file"));
    default: return qc_hdf5_refuse(hdf5, path, "store the data in this file", "virtual storage is not read");
    }
}

/* Before anything else: asking a virtual dataset for its extent opens other files. */
static bool check_storage(const struct qc_hdf5 *hdf5, hid_t dataset, const char *path)
{
    hid_t list = H5Dget_create_plist(dataset);
    if (list < 0)
        return qc_hdf5_refuse(hdf5, path, AGAIN, "how it is stored cannot be read");
    bool ok = check_layout(hdf5, dataset, list, path);
    H5Pclose(list);
    return ok;
}

/* ---- element types ---- */

/* 16 bits: sign, exponent, mantissa; the most significant bit of the mantissa implied. */
static hid_t half_type(size_t exponent, size_t mantissa, size_t bias)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, mantissa, exponent, 0, mantissa);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, bias);
    return type;
}

/* The file type that an element type is stored in; to be closed. */
static hid_t stored_type(enum qw_dtype dtype)
{
    switch (dtype) {
    case QW_F64: return H5Tcopy(H5T_IEEE_F64LE);
    case QW_F32: return H5Tcopy(H5T_IEEE_F32LE);
    case QW_F16: return half_type(5, 10, 15);
    case QW_BF16: return half_type(8, 7, 127);
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

/* ---- extents ---- */

/* The attribute "shape": the whole tensor's extents, of which later products must not overflow either. */
static bool read_whole(struct qw_shape *whole, const struct qc_hdf5 *hdf5, const char *path)
{
    int64_t bytes = 8;
    whole->rank = qc_hdf5_ints(whole->dim, QW_MAX_RANK, hdf5, path, "shape");
    for (int i = 0; i < whole->rank; i++)
        if (whole->dim[i] < 0 || whole->dim[i] > (int64_t)1 << 40 || __builtin_mul_overflow(bytes, whole->dim[i], &bytes))
            return qc_hdf5_refuse(hdf5, path, SMALLER, "attribute \"shape\" has extents beyond what can be read");
    return whole->rank >= 0;
}

static bool read_stored(struct qw_shape *stored, const struct qc_hdf5 *hdf5, hid_t space, const char *path)
{
    hsize_t dims[H5S_MAX_RANK];
    int64_t bytes = 8;
    stored->rank = H5Sget_simple_extent_dims(space, dims, NULL);
    if (stored->rank < 0 || stored->rank > QW_MAX_RANK)
        return qc_hdf5_refuse(hdf5, path, "store it with at most eight axes", "more than eight axes");
    for (int i = 0; i < stored->rank; i++) {
        stored->dim[i] = (int64_t)dims[i];
        if (dims[i] > (hsize_t)1 << 40 || __builtin_mul_overflow(bytes, stored->dim[i], &bytes))
            return qc_hdf5_refuse(hdf5, path, SMALLER, "extents beyond what can be read");
    }
    return true;
}

/* ---- parts ---- */

static bool read_from(struct qc_dataset *found, const struct qc_hdf5 *hdf5, const struct part *part, const char *path)
{
    if (!qc_hdf5_has_attribute(hdf5, path, "from"))
        return true;
    found->from = qc_hdf5_int(hdf5, path, "from", true, 0);
    if (!part->axis)
        return qc_hdf5_refuse(hdf5, path, "store the whole tensor",
                              "attribute \"from\": only keys and values may lack earlier positions");
    if (found->whole.rank <= part->axis)
        return qc_hdf5_refuse(hdf5, path, "store keys and values with four axes", "attribute \"from\" needs a sequence axis");
    return (found->from >= 0 && found->from <= found->whole.dim[part->axis]) ||
           qc_hdf5_refuse(hdf5, path, "write the first kept position along the sequence axis",
                          "attribute \"from\" lies outside of the tensor's shape");
}

static bool read_rows(struct qc_dataset *found, const struct qc_hdf5 *hdf5, const struct part *part, const char *path)
{
    if (!qc_hdf5_has_attribute(hdf5, path, "rows"))
        return true;
    if (!part->rows)
        return qc_hdf5_refuse(hdf5, path, "store the whole tensor", "attribute \"rows\": only taps may lack rows");
    if (found->whole.rank < 2)
        return qc_hdf5_refuse(hdf5, path, "leave it away", "attribute \"rows\" needs a tensor with an axis 1");
    int64_t extent = found->whole.dim[1], most = extent < hdf5->left.rows ? extent : hdf5->left.rows;
    found->row = QW_NEW_ARRAY(int64_t, most);
    found->rows = qc_hdf5_ints(found->row, (int)most, hdf5, path, "rows");
    for (int64_t i = 0; i < found->rows; i++)
        if (found->row[i] < 0 || found->row[i] >= extent || (i && found->row[i] <= found->row[i - 1]))
            return qc_hdf5_refuse(hdf5, path, "write the kept positions along axis 1 in ascending order",
                                  "attribute \"rows\" does not ascend within the tensor's shape");
    return found->rows >= 0;
}

/* What the dataspace must be: the whole shape, less what was not kept. */
static bool check_kept(const struct qc_dataset *found, const struct qc_hdf5 *hdf5, const struct part *part, const char *path)
{
    const struct qw_shape *stored = &found->tensor->shape;
    struct qw_shape kept = found->whole;
    char whole[100], held[100], why[400];
    if (found->row)
        kept.dim[1] = found->rows;
    if (part->axis && found->from)
        kept.dim[part->axis] -= found->from;
    if (qw_shape_equal(&kept, stored))
        return true;
    qw_shape_text(whole, sizeof whole, &found->whole);
    qw_shape_text(held, sizeof held, stored);
    snprintf(why, sizeof why, "attribute \"shape\" contradicts the extents of the data%s: %s, and the data have %s",
             found->row                  ? " and \"rows\""
             : part->axis && found->from ? " and \"from\""
                                         : "",
             whole, held);
    return qc_hdf5_refuse(hdf5, path, "write the whole tensor's extents as \"shape\"", why);
}

/* ---- reading ---- */

bool qc_hdf5_take(struct qc_hdf5 *hdf5, int64_t count, size_t size, const char *path)
{
    int64_t bytes;
    if (__builtin_mul_overflow(count, (int64_t)size, &bytes) || bytes > hdf5->left.data)
        return qc_hdf5_refuse(hdf5, path, SMALLER, "larger than the budget of this file");
    hdf5->left.data -= bytes;
    return true;
}

static bool unpack(struct qc_hdf5 *hdf5, int64_t bytes, const char *path)
{
    if (bytes > hdf5->unpacked)
        return qc_hdf5_refuse(hdf5, path, "store it without compression, or record a lower level",
                              "unpacks to more than a file of this size may hold");
    hdf5->unpacked -= bytes;
    return true;
}

/* Chunks that cover the extents, whether they were written or not. */
static hsize_t count_chunks(hid_t list, const struct qw_shape *shape)
{
    hsize_t chunk[H5S_MAX_RANK], count = 1;
    int rank = H5Pget_chunk(list, H5S_MAX_RANK, chunk);
    for (int i = 0; i < shape->rank && i < rank; i++)
        count *= ((hsize_t)shape->dim[i] + chunk[i] - 1) / chunk[i];
    return count;
}

/* What nobody wrote would read as zeros.  (Of chunks only their number can be asked: filters change their size.) */
static bool is_written(const struct qc_hdf5 *hdf5, hid_t dataset, hid_t space, const struct qw_shape *shape, const char *path)
{
    hid_t list = H5Dget_create_plist(dataset);
    hsize_t chunks = 0;
    bool written = H5Pget_layout(list) == H5D_CHUNKED
                       ? H5Dget_num_chunks(dataset, space, &chunks) >= 0 && chunks == count_chunks(list, shape)
                       : H5Dget_storage_size(dataset) != 0;
    H5Pclose(list);
    return written || qc_hdf5_refuse(hdf5, path, "record it again", "its data were never wholly written");
}

static bool read_elements(struct qc_dataset *found, struct qc_hdf5 *hdf5, hid_t dataset, hid_t space, const char *path)
{
    struct qw_tensor *tensor = found->tensor;
    int64_t count = qw_shape_count(&tensor->shape);
    size_t size = qw_dtype_bytes(tensor->dtype);
    if (!qc_hdf5_take(hdf5, count, size, path) || !unpack(hdf5, count * (int64_t)size, path) ||
        (count && !is_written(hdf5, dataset, space, &tensor->shape, path)))
        return false;
    tensor->data = qw_calloc((size_t)count, size);
    hid_t type = stored_type(tensor->dtype);
    herr_t status = count ? H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor->data) : 0;
    H5Tclose(type);
    return status >= 0 || qc_hdf5_refuse(hdf5, path, AGAIN, "its data cannot be read");
}

static bool check_dtype(const struct qc_dataset *found, struct qc_hdf5 *hdf5, const char *path)
{
    char *dtype = qc_hdf5_text(hdf5, path, "dtype", NULL);
    bool ok = dtype && (!strcmp(dtype, qw_dtype_name(found->tensor->dtype)) ||
                        qc_hdf5_refuse(hdf5, path, "write the element type that the data have",
                                       "attribute \"dtype\" contradicts the element type of the data"));
    free(dtype);
    return ok;
}

static bool read_data(struct qc_dataset *found, struct qc_hdf5 *hdf5, hid_t dataset, hid_t space, const struct part *part,
                      const char *path)
{
    if (!read_type(&found->tensor->dtype, dataset))
        return qc_hdf5_refuse(hdf5, path, "use float64, float32, float16, bfloat16 or int64, little-endian",
                              "an element type that is not part of the format");
    bool whole = !found->row && !found->from;
    return read_stored(&found->tensor->shape, hdf5, space, path) && check_dtype(found, hdf5, path) &&
           check_kept(found, hdf5, part, path) && read_elements(found, hdf5, dataset, space, path) &&
           (!whole || qc_stats_verify(found->tensor, hdf5, path));
}

/* A null dataspace: the structure stands in attributes, the statistics beside it.  Nothing was kept, so "rows" and
 * "from" select nothing. */
static bool read_structure(struct qc_dataset *found, struct qc_hdf5 *hdf5, const char *path)
{
    char *dtype = qc_hdf5_text(hdf5, path, "dtype", NULL);
    bool ok = dtype && (qw_dtype_from_name(&found->tensor->dtype, dtype) ||
                        qc_hdf5_refuse(hdf5, path, "use float64, float32, float16, bfloat16 or int64",
                                       "attribute \"dtype\" names no element type of the format"));
    free(dtype);
    free(found->row);
    found->row = NULL;
    found->rows = found->from = 0;
    found->tensor->shape = found->whole;
    return ok && qc_stats_read(found->tensor, hdf5, path);
}

static bool read_parts(struct qc_dataset *found, struct qc_hdf5 *hdf5, hid_t dataset, const struct part *part, const char *path)
{
    if (!check_storage(hdf5, dataset, path) || !read_whole(&found->whole, hdf5, path) || !read_from(found, hdf5, part, path) ||
        !read_rows(found, hdf5, part, path))
        return false;
    found->order = qc_hdf5_int(hdf5, path, "order", false, -1);
    hid_t space = H5Dget_space(dataset);
    if (space < 0)
        return qc_hdf5_refuse(hdf5, path, AGAIN, "its extents cannot be read");
    bool ok = H5Sget_simple_extent_type(space) == H5S_NULL ? read_structure(found, hdf5, path)
                                                           : read_data(found, hdf5, dataset, space, part, path);
    H5Sclose(space);
    return ok && qc_hdf5_good(hdf5);
}

static hid_t open_dataset(const struct qc_hdf5 *hdf5, const char *path)
{
    H5O_info_t info;
    hid_t dataset = H5Dopen2(hdf5->file, path, H5P_DEFAULT);
    if (dataset >= 0)
        return dataset;
    bool other = H5Oget_info_by_name2(hdf5->file, path, &info, H5O_INFO_BASIC, H5P_DEFAULT) >= 0 && info.type != H5O_TYPE_DATASET;
    if (other)
        qc_hdf5_refuse(hdf5, path, "see the recording format, version 1", "a dataset is expected here");
    else
        qc_hdf5_refuse(hdf5, path, AGAIN ", or write it with h5py opened with libver=('earliest', 'v110')",
                       "cannot be opened: damaged, or written by an HDF5 newer than 1.10");
    return -1;
}

static struct qc_dataset read_dataset(struct qc_hdf5 *hdf5, const char *path, const struct part *part)
{
    struct qw_shape nothing = {0};
    struct qc_dataset found = {.tensor = qw_tensor_structure(QW_F32, &nothing)};
    hid_t dataset = open_dataset(hdf5, path);
    bool ok = dataset >= 0 && read_parts(&found, hdf5, dataset, part, path);
    if (dataset >= 0)
        H5Dclose(dataset);
    if (!ok) {
        qw_tensor_free(found.tensor);
        free(found.row);
        found = (struct qc_dataset){0};
    }
    return found;
}

struct qc_dataset qc_hdf5_dataset(struct qc_hdf5 *hdf5, const char *path)
{
    return read_dataset(hdf5, path, &(struct part){false, 0});
}

struct qc_dataset qc_hdf5_dataset_rows(struct qc_hdf5 *hdf5, const char *path)
{
    return read_dataset(hdf5, path, &(struct part){true, 0});
}

struct qc_dataset qc_hdf5_dataset_end(struct qc_hdf5 *hdf5, const char *path, int axis)
{
    return read_dataset(hdf5, path, &(struct part){false, axis});
}
