/* Invariant: the play's order of axes and the record's meet here and nowhere else. */
#include "harness/compare/frame.h"

#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/forward.h"

int qc_frame_axis(const struct qc_frame *frame) { return frame->layout == QW_LAYOUT_BSKD ? 1 : 2; }

/* [B,heads,n,D] or [B,n,heads,D] */
static struct qw_shape shape_of(const struct qc_frame *frame, int64_t n)
{
    return frame->layout == QW_LAYOUT_BSKD ? qw_shape_of(4, frame->batch, n, frame->heads, frame->head_size)
                                           : qw_shape_of(4, frame->batch, frame->heads, n, frame->head_size);
}

struct qw_shape qc_frame_shape(const struct qc_frame *frame) { return shape_of(frame, frame->room); }

/* Rows that the record's tensor has room for; 0 where it has none. */
static int64_t recorded_room(const struct qc_frame *frame, const struct qc_cache *recorded, int layer)
{
    const struct qw_tensor *key = layer < recorded->layers ? recorded->layer[layer].key : NULL;
    return key && key->shape.rank == 4 ? key->shape.dim[qc_frame_axis(frame)] : 0;
}

static bool is_static(const struct qc_cache *cache)
{
    return cache->present && !strcmp(cache->type, qw_cache_kind_name(QW_CACHE_STATIC));
}

/* Whether the recorded layer holds the last rows alone of `length`: those at least that a later token sees.  A dynamic cache
 * keeps no other, but while candidates may be taken back; a static one has room for the whole window; one that was made
 * without the configuration keeps all. */
static bool slides(const struct qc_subject *subject, int64_t room, int layer, int64_t length)
{
    const struct qw_rules *rules = &subject->rules;
    int64_t window = rules->window == QW_WINDOW_BY_LAYER ? qw_window_of(&subject->model.config, rules, layer) : 0;
    return window > 1 && room >= window - 1 && room < length;
}

struct qc_frame qc_frame_of(const struct qc_subject *subject, const struct qc_cache *recorded, int layer,
                            const struct qw_cache_layer *held)
{
    const struct qw_config *config = &subject->model.config;
    bool empty = held->length == 0;
    struct qc_frame frame = {config->layout,
                             subject->call.batch,
                             empty ? config->kv_heads : held->heads,
                             empty ? config->head_size : held->head_size,
                             held->length,
                             0,
                             held->length,
                             held->length};
    int64_t room = recorded_room(&frame, recorded, layer);
    if (slides(subject, room, layer, held->length)) {
        frame.first = held->length - room;
        frame.rows = frame.room = room;
    } else if (is_static(recorded) && room > frame.rows) {
        frame.room = room;
    }
    return frame;
}

struct qw_cache_layer qc_frame_layer(const struct qc_subject *subject, const struct qc_cache *recorded, int layer)
{
    const struct qw_tensor *key = layer < recorded->layers ? recorded->layer[layer].key : NULL;
    bool sequence_first = subject->model.config.layout == QW_LAYOUT_BSKD;
    if (!key || key->shape.rank != 4)
        return (struct qw_cache_layer){0};
    const int64_t *dim = key->shape.dim;
    int64_t rows = sequence_first ? dim[1] : dim[2];
    if (slides(subject, rows, layer, recorded->length) ||
        (is_static(recorded) && recorded->length >= 0 && recorded->length < rows))
        rows = recorded->length;
    return (struct qw_cache_layer){sequence_first ? dim[2] : dim[1], rows, dim[3], NULL, NULL, 0};
}

int64_t qc_frame_room(const struct qc_subject *subject)
{
    const struct qc_recording *recording = subject->recording;
    struct qc_frame frame = {.layout = subject->model.config.layout};
    int64_t room = 0;
    for (int s = 0; s < recording->steps; s++)
        for (int layer = 0; layer < recording->step[s].after.layers && is_static(&recording->step[s].after); layer++) {
            int64_t of_layer = recorded_room(&frame, &recording->step[s].after, layer);
            room = of_layer > room ? of_layer : room;
        }
    return room;
}

/* Where a row of the record lies: products of the extents before and behind the sequence axis. */
static int64_t outer_of(const struct qc_frame *frame)
{
    return frame->layout == QW_LAYOUT_BSKD ? frame->batch : frame->batch * frame->heads;
}

static int64_t inner_of(const struct qc_frame *frame)
{
    return frame->layout == QW_LAYOUT_BSKD ? frame->heads * frame->head_size : frame->head_size;
}

/* Offset of row s of head h of batch row b in `n` rows of the record. */
static int64_t offset_of(const struct qc_frame *frame, int64_t b, int64_t h, int64_t s, int64_t n)
{
    return (frame->layout == QW_LAYOUT_BSKD ? (b * n + s) * frame->heads + h : (b * frame->heads + h) * n + s) * frame->head_size;
}

double *qc_frame_rows(const struct qc_frame *frame, const double *values)
{
    int64_t D = frame->head_size, n = frame->rows;
    double *rows = values ? QW_NEW_ARRAY(double, frame->batch * frame->heads * n * D) : NULL;
    for (int64_t b = 0; rows && b < frame->batch; b++)
        for (int64_t h = 0; h < frame->heads; h++)
            for (int64_t s = 0; s < n; s++)
                memcpy(rows + offset_of(frame, b, h, s, n),
                       values + ((b * frame->heads + h) * frame->length + frame->first + s) * D, sizeof *rows * (size_t)D);
    return rows;
}

double *qc_frame_values(const struct qc_frame *frame, const struct qw_tensor *recorded)
{
    int64_t D = frame->head_size;
    double *values = QW_NEW_ARRAY(double, frame->batch * frame->heads * frame->length * D);
    for (int64_t b = 0; b < frame->batch; b++)
        for (int64_t h = 0; h < frame->heads; h++)
            for (int64_t s = 0; s < frame->rows; s++)
                qw_tensor_read(values + ((b * frame->heads + h) * frame->length + frame->first + s) * D, recorded,
                               offset_of(frame, b, h, s, frame->room), D);
    return values;
}

struct qw_tensor *qc_frame_cut(const struct qc_frame *frame, const struct qw_tensor *recorded, int64_t first, int64_t count)
{
    struct qw_shape shape = shape_of(frame, count);
    struct qw_tensor *cut = qw_tensor_make(recorded->dtype, &shape);
    size_t row = (size_t)inner_of(frame) * qw_dtype_bytes(recorded->dtype);
    for (int64_t i = 0; i < outer_of(frame); i++)
        memcpy((char *)cut->data + (size_t)(i * count) * row,
               (const char *)recorded->data + (size_t)(i * frame->room + first) * row, (size_t)count * row);
    return cut;
}

int64_t qc_frame_index(const struct qc_frame *frame, int64_t index, int64_t first, int64_t count)
{
    int64_t inner = inner_of(frame), row = index / inner;
    return (row / count * frame->room + first + row % count) * inner + index % inner;
}
