/* Invariant: an attribute is read only after its class and its extent are what the caller asked for. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/recording/hdf5.h"
#include "reference/base/memory.h"
#include "reports/escape.h"

static bool refuse_attribute(const struct qc_hdf5 *hdf5, const char *object, const char *name, const char *hint, const char *why)
{
    char place[256];
    snprintf(place, sizeof place, "%s@%s", object, name);
    return qc_hdf5_refuse(hdf5, place, hint, why);
}

bool qc_hdf5_has_attribute(const struct qc_hdf5 *hdf5, const char *object, const char *name)
{
    return H5Aexists_by_name(hdf5->file, object, name, H5P_DEFAULT) > 0;
}

/* An open attribute, or -1; complains when it cannot be opened, or is required and absent. */
static hid_t open_attribute(const struct qc_hdf5 *hdf5, const char *object, const char *name, bool required)
{
    if (!qc_hdf5_has_attribute(hdf5, object, name)) {
        if (required)
            refuse_attribute(hdf5, object, name, "see the recording format, version 1",
                             "this attribute is required and is not there");
        return -1;
    }
    hid_t attribute = H5Aopen_by_name(hdf5->file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0)
        refuse_attribute(hdf5, object, name, "copy the file again, or write it with h5py opened with libver=('earliest', 'v110')",
                         "cannot be opened: damaged, or written by an HDF5 newer than 1.10");
    return attribute;
}

/* ---- texts ---- */

static char *read_variable_text(hid_t attribute, hid_t type)
{
    char *held = NULL, *text = NULL;
    if (H5Aread(attribute, type, &held) >= 0)
        text = qw_strdup(held ? held : "");
    H5free_memory(held);
    return text;
}

/* What follows the first NUL must be padding, or a part of the text would be lost. */
static char *read_fixed_text(hid_t attribute, hid_t type, int64_t most)
{
    size_t size = H5Tget_size(type);
    if ((int64_t)size > most)
        return NULL;
    char *text = qw_calloc(size + 1, 1);
    bool ok = H5Aread(attribute, type, text) >= 0;
    for (size_t i = strlen(text); ok && i < size; i++)
        ok = !text[i];
    if (ok)
        return text;
    free(text);
    return NULL;
}

static char *read_text(hid_t attribute, int64_t most)
{
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    char *text = NULL;
    if (H5Sget_simple_extent_type(space) == H5S_NULL)
        text = qw_strdup("");
    else if (H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1)
        text = H5Tis_variable_str(type) > 0 ? read_variable_text(attribute, type) : read_fixed_text(attribute, type, most);
    H5Sclose(space);
    H5Tclose(type);
    return text;
}

static bool is_utf8(const char *text)
{
    uint32_t code = 0;
    while (*text && code != RP_CODE_INVALID)
        text += rp_decode(&code, text);
    return code != RP_CODE_INVALID;
}

static const char *fault_of_text(struct qc_hdf5 *hdf5, const char *text)
{
    int64_t length = text ? (int64_t)strlen(text) : 0;
    if (!text)
        return "not a readable text";
    if (length > hdf5->left.text)
        return "a longer text than is read";
    if (length > hdf5->left.texts)
        return "more text in all than is read";
    hdf5->left.texts -= length;
    return is_utf8(text) ? NULL : "not valid UTF-8";
}

char *qc_hdf5_text(struct qc_hdf5 *hdf5, const char *object, const char *name, const char *fallback)
{
    hid_t attribute = open_attribute(hdf5, object, name, fallback == NULL);
    if (attribute < 0)
        return fallback && qc_hdf5_good(hdf5) ? qw_strdup(fallback) : NULL;
    char *text = read_text(attribute, hdf5->left.text);
    H5Aclose(attribute);
    const char *fault = fault_of_text(hdf5, text);
    if (!fault)
        return text;
    refuse_attribute(hdf5, object, name, "write it as one variable-length UTF-8 text", fault);
    free(text);
    return NULL;
}

/* ---- numbers ---- */

/* Reads all elements when they are of the class and at most `most`; the count, or -1. */
static int read_numbers(void *out, int most, hid_t attribute, H5T_class_t class, hid_t memory)
{
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    bool fits = H5Tget_class(type) == class && count >= 0 && count <= most &&
                (count == 0 || H5Aread(attribute, memory, out) >= 0);
    H5Sclose(space);
    H5Tclose(type);
    return fits ? (int)count : -1;
}

int64_t qc_hdf5_int(const struct qc_hdf5 *hdf5, const char *object, const char *name, bool required, int64_t fallback)
{
    int64_t value = fallback;
    hid_t attribute = open_attribute(hdf5, object, name, required);
    if (attribute < 0)
        return fallback;
    if (read_numbers(&value, 1, attribute, H5T_INTEGER, H5T_NATIVE_INT64) != 1)
        refuse_attribute(hdf5, object, name, "write it as an int64 scalar", "not one whole number");
    H5Aclose(attribute);
    return value;
}

int qc_hdf5_ints(int64_t *out, int most, const struct qc_hdf5 *hdf5, const char *object, const char *name)
{
    hid_t attribute = open_attribute(hdf5, object, name, true);
    if (attribute < 0)
        return -1;
    int count = read_numbers(out, most, attribute, H5T_INTEGER, H5T_NATIVE_INT64);
    H5Aclose(attribute);
    if (count < 0) {
        char why[80];
        snprintf(why, sizeof why, "not a list of at most %d whole numbers", most);
        refuse_attribute(hdf5, object, name, "write it as a list of int64", why);
    }
    return count;
}

double qc_hdf5_real(const struct qc_hdf5 *hdf5, const char *object, const char *name)
{
    double value = 0;
    hid_t attribute = open_attribute(hdf5, object, name, true);
    if (attribute < 0)
        return 0;
    if (read_numbers(&value, 1, attribute, H5T_FLOAT, H5T_NATIVE_DOUBLE) != 1)
        refuse_attribute(hdf5, object, name, "write it as a float64 scalar", "not one real number");
    H5Aclose(attribute);
    return value;
}
