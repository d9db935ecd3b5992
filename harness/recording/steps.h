/* The groups /steps/…: what the base model was handed, its caches, its taps. */
#ifndef QC_RECORDING_STEPS_H
#define QC_RECORDING_STEPS_H

#include "harness/recording/hdf5.h"
#include "harness/recording/recording.h"

#define QC_FORMAT_HINT "see the recording format, version 1"

/* Fills recording->step; parts of caches are made whole with what the step before held. */
bool qc_steps_read(struct qc_recording *recording, struct qc_hdf5 *file);
void qc_steps_clear(struct qc_recording *recording);

/* The whole dataset at `path`, or NULL when it is absent (or the error is set). */
struct qw_tensor *qc_read_optional(struct qc_hdf5 *file, const char *path);

#endif
