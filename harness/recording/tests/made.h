/* Recordings made by hand with libhdf5, so that a test can spoil one thing in a file that is otherwise sound.
 *
 * The sound file is as small as the format allows: one generate() of a prompt of two tokens with one step, one tap,
 * one weight, a prompt of two virtual tokens.  MADE_… name what a test may want to find again. */
#ifndef QC_RECORDING_TESTS_MADE_H
#define QC_RECORDING_TESTS_MADE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/recording/recording.h"

#define MADE_BUDGET ((int64_t)1 << 20)
#define MADE_TAP    "/steps/000000/taps/model.norm"
#define MADE_KEY    "/steps/000000/cache_after/000/key"
#define MADE_IDS    "/call/input_ids"

/* A folder for the files of one test; call them as the suite's init and fini. */
void made_begin(void);
void made_end(void);
/* "<folder>/name" in `out`; gives `out`. */
const char *made_path(char out[256], const char *name);
/* A copy of a shipped recording in the folder; gives `out`. */
const char *made_copy(char out[256], const char *shipped);

/* Writes the sound recording and leaves it open for writing; close it with H5Fclose. */
hid_t made_recording(const char *path);
hid_t made_recording_as(const char *path, hid_t creation, hid_t access);
/* The same file, opened again. */
hid_t made_open(const char *path);

/* Attributes: replaced when they are there. */
void made_text(hid_t file, const char *object, const char *name, const char *text);
void made_int(hid_t file, const char *object, const char *name, int64_t number);
void made_real(hid_t file, const char *object, const char *name, double number);
void made_ints(hid_t file, const char *object, const char *name, int count, const int64_t *numbers);
void made_drop(hid_t file, const char *object, const char *name);

/* A dataset of `type` in the file with elements from `data` of `memory` type (NULL: not written), creation properties
 * `list` (H5P_DEFAULT), and the attributes shape and dtype.  Replaced when it is there. */
void made_stored(hid_t file, const char *path, hid_t type, hid_t list, const char *dtype, int rank, const int64_t *dims,
                 hid_t memory, const void *data);
void made_floats(hid_t file, const char *path, int rank, const int64_t *dims, const float *data);
void made_whole(hid_t file, const char *path, int rank, const int64_t *dims, const int64_t *data);
/* Structure only: a null dataspace with shape and dtype. */
void made_null(hid_t file, const char *path, const char *dtype, int rank, const int64_t *dims);
void made_group(hid_t file, const char *path);
void made_delete(hid_t file, const char *path);

/* A 16-bit floating type of `mantissa` and `exponent` bits, as h5py stores bfloat16 (7, 8) and float16 (10, 5). */
hid_t made_half_type(int mantissa, int exponent);

/* Reads the file and holds the refusal against what is expected: its kind, its object, words of its reason, that it says
 * what to do and that no identifier of libhdf5 stays open. */
void made_refused(const char *path, int64_t budget, const char *place, const char *words);
void made_refused_within(const char *path, const struct qc_limits *limits, const char *place, const char *words);
/* Makes the sound recording, lets `spoil` change it, and expects the refusal. */
void made_spoiled(void (*spoil)(hid_t file), const char *place, const char *words);
/* Reads a file that must be read; release with qc_recording_clear. */
struct qc_recording made_read_within(const char *path, const struct qc_limits *limits);
/* Makes the sound recording, changes it, but the file must still be read; release with qc_recording_clear. */
struct qc_recording made_accepted(void (*change)(hid_t file));

#endif
