/* How one layer of the play's cache, [B,heads,S,D], stands in a record: in the model's own order of axes, of a cache that
 * slides only its last rows, of a static one with room behind them. */
#ifndef QC_COMPARE_FRAME_H
#define QC_COMPARE_FRAME_H

#include "harness/compare/judge.h"

struct qc_frame {
    enum qw_cache_layout layout;
    int64_t batch, heads, head_size;
    int64_t length;      /* S: rows that went in */
    int64_t first, rows; /* of them first … first + rows - 1 are still held */
    int64_t room;        /* extent along the sequence axis, at least `rows` */
};

/* The frame of `recorded`'s layer when it is to hold `held` (heads and head size of an empty one are the model's). */
struct qc_frame qc_frame_of(const struct qc_subject *subject, const struct qc_cache *recorded, int layer,
                            const struct qw_cache_layer *held);

/* What a recorded layer holds, as the play counts it; structure only.  All 0 for one that holds nothing, or that has not
 * four axes. */
struct qw_cache_layer qc_frame_layer(const struct qc_subject *subject, const struct qc_cache *recorded, int layer);

/* Rows that the record's static caches have room for, in layers that do not slide; 0 where it has none. */
int64_t qc_frame_room(const struct qc_subject *subject);

/* The axis along which rows are joined. */
int qc_frame_axis(const struct qc_frame *frame);
/* Extents in the record's axes. */
struct qw_shape qc_frame_shape(const struct qc_frame *frame);

/* [B,heads,S,D] of the play -> its held rows in the record's axes, without the room behind them; NULL of NULL.  Free with
 * free(). */
double *qc_frame_rows(const struct qc_frame *frame, const double *values);
/* The reverse, of a recorded tensor of the frame's extents: [B,heads,S,D], zeros for rows that are no longer held. */
double *qc_frame_values(const struct qc_frame *frame, const struct qw_tensor *recorded);

/* `count` rows from `first` on of a recorded tensor with the frame's order of axes, in its element type.  Free with
 * qw_tensor_free. */
struct qw_tensor *qc_frame_cut(const struct qc_frame *frame, const struct qw_tensor *recorded, int64_t first, int64_t count);
/* Flat index into the recorded tensor of flat index `index` into `count` rows cut from `first` on. */
int64_t qc_frame_index(const struct qc_frame *frame, int64_t index, int64_t first, int64_t count);

#endif
