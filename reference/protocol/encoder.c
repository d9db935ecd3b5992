/* Invariant: an encoder that was found can be applied: the extents of its parts join. */
#include "reference/protocol/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reference/model/ops.h"

static const struct {
    const char *name;
    enum qw_activation activation;
} heads[] = {
#define HEAD(name, activation) {name, QW_##activation},
#include "reference/protocol/encoders.def"
#undef HEAD
};

#define HEADS ((int)(sizeof heads / sizeof *heads))

/* ---- names ---- */

/* Whether `name` is `tail`, or ends in it behind a dot. */
static bool ends_in(const char *name, const char *tail)
{
    size_t length = strlen(name), behind = strlen(tail);
    return length >= behind && !strcmp(name + length - behind, tail) && (length == behind || name[length - behind - 1] == '.');
}

/* Whether one of the parts of the dotted name, not the last, is `part`. */
static bool has_part(const char *name, const char *part)
{
    size_t length = strlen(part);
    for (const char *at = name; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
        if (!strncmp(at, part, length) && at[length] == '.')
            return true;
    return false;
}

bool qw_encoder_has(const char *name)
{
    for (int i = 0; i < HEADS; i++)
        if (has_part(name, heads[i].name))
            return true;
    return has_part(name, "lstm_head") || ends_in(name, "embedding.weight");
}

/* ---- finding the parts ---- */

struct finder {
    const struct qw_tensors *tensors;
    struct qw_error *error;
    bool ok;
};

static void refuse(struct finder *finder, const char *place, const char *what)
{
    finder->ok = finder->ok &&
                 qw_fail(finder->error, QW_ERROR_INPUT, place, "keep the weights of one adapter, as they were saved", "%s", what);
}

/* The tensor whose name ends in `tail`, with these extents (-1: any; 0: none); NULL when there is none. */
static const struct qw_tensor *part(struct finder *finder, const char *tail, int64_t rows, int64_t columns)
{
    const struct qw_tensor *found = NULL;
    for (int i = 0; i < finder->tensors->count; i++) {
        const struct qw_named_tensor *item = &finder->tensors->item[i];
        if (!ends_in(item->name, tail))
            continue;
        if (found)
            refuse(finder, item->name, "this part of the adapter's encoder is there twice");
        found = item->tensor;
        const struct qw_shape *shape = &found->shape;
        bool fits = shape->rank == (columns ? 2 : 1) && found->dtype != QW_I64 && qw_shape_count(shape) > 0 &&
                    (rows < 0 || shape->dim[0] == rows) && (columns <= 0 || shape->dim[1] == columns);
        if (!fits)
            refuse(finder, item->name, "this part of the adapter's encoder does not join the part before it");
    }
    return found;
}

static void find_linear(struct finder *finder, struct qw_encoder_linear *linear, const char *weight, const char *bias,
                        int64_t rows, int64_t width)
{
    linear->weight = part(finder, weight, rows, width);
    if (finder->ok && linear->weight)
        linear->bias = part(finder, bias, linear->weight->shape.dim[0], 0);
}

/* Layer `layer` of the LSTM over rows of `width`; false when there is none. */
static bool find_lstm(struct finder *finder, struct qw_encoder *encoder, int layer, int64_t *width)
{
    static const char *const ending[] = {"", "_reverse"};
    for (int way = 0; way < 2; way++) {
        struct qw_encoder_lstm *lstm = &encoder->lstm[layer][way];
        char *name[4];
        for (int i = 0; i < 4; i++)
            name[i] = qw_format("lstm_head.%s_%s_l%d%s", i % 2 ? "bias" : "weight", i < 2 ? "ih" : "hh", layer, ending[way]);
        find_linear(finder, &lstm->input, name[0], name[1], -1, *width);
        int64_t gates = finder->ok && lstm->input.weight ? lstm->input.weight->shape.dim[0] : 0;
        if (gates)
            find_linear(finder, &lstm->hidden, name[2], name[3], gates, gates / 4);
        if (gates % 4 || (gates ? !lstm->hidden.weight : way == 1))
            refuse(finder, name[gates ? 2 : 0], "the adapter's LSTM lacks this part, or its rows are not those of four gates");
        for (int i = 0; i < 4; i++)
            free(name[i]);
        if (!finder->ok || !gates)
            return false;
    }
    *width = encoder->lstm[layer][0].input.weight->shape.dim[0] / 4 + encoder->lstm[layer][1].input.weight->shape.dim[0] / 4;
    return true;
}

static void find_head(struct finder *finder, struct qw_encoder *encoder, const char *head, enum qw_activation activation,
                      int64_t width)
{
    for (int i = 0; finder->ok && i < QW_ENCODER_LINEARS; i++) {
        char *weight = qw_format("%s.%d.weight", head, 2 * i), *bias = qw_format("%s.%d.bias", head, 2 * i);
        struct qw_encoder_linear *linear = &encoder->linear[i];
        find_linear(finder, linear, weight, bias, -1, width);
        free(weight);
        free(bias);
        if (!finder->ok || !linear->weight)
            return;
        encoder->linears = i + 1;
        encoder->activation = activation;
        width = linear->weight->shape.dim[0];
    }
}

bool qw_encoder_find(struct qw_encoder *encoder, const struct qw_tensors *tensors, struct qw_error *error)
{
    struct finder finder = {tensors, error, true};
    *encoder = (struct qw_encoder){.embedding = part(&finder, "embedding.weight", -1, -1)};
    if (!finder.ok || !encoder->embedding)
        return finder.ok;
    int64_t width = encoder->embedding->shape.dim[1];
    while (encoder->lstms < QW_ENCODER_LSTMS && find_lstm(&finder, encoder, encoder->lstms, &width))
        encoder->lstms++;
    for (int i = 0; finder.ok && i < HEADS && !encoder->linears; i++)
        find_head(&finder, encoder, heads[i].name, heads[i].activation, width);
    return finder.ok;
}

bool qw_encoder_computes(const struct qw_encoder *encoder) { return encoder->lstms || encoder->linears; }

int64_t qw_encoder_sum(const struct qw_encoder *encoder)
{
    return encoder->linears ? encoder->linear[encoder->linears - 1].weight->shape.dim[1]
           : encoder->lstms ? encoder->lstm[encoder->lstms - 1][0].input.weight->shape.dim[1]
                            : 0;
}

/* ---- applying it ---- */

static double sigmoid(const struct qw_arith *arith, double x)
{
    return qw_arith_round(arith, 1 / qw_arith_round(arith, 1 + qw_arith_round(arith, exp(-x))));
}

/* c = f c + i g, h = o tanh(c); `gates` [4,h] before their functions */
static void lstm_cell(const struct qw_arith *arith, double *hidden, double *cell, const double *gates, int64_t h)
{
    for (int64_t k = 0; k < h; k++) {
        double kept = qw_arith_round(arith, sigmoid(arith, gates[h + k]) * cell[k]);
        double fresh = qw_arith_round(arith, tanh(gates[2 * h + k]));
        cell[k] = qw_arith_round(arith, kept + qw_arith_round(arith, sigmoid(arith, gates[k]) * fresh));
        hidden[k] = qw_arith_round(arith, sigmoid(arith, gates[3 * h + k]) * qw_arith_round(arith, tanh(cell[k])));
    }
}

/* One direction of one layer: y[n, first .. first + h) of rows `width` wide. */
static void lstm_pass(const struct qw_arith *arith, double *y, int64_t first, int64_t width, const double *x,
                      const struct qw_encoder_lstm *lstm, int64_t n, int64_t in, bool backwards)
{
    int64_t h = lstm->hidden.weight->shape.dim[1];
    double *given = QW_NEW_ARRAY(double, n * 4 * h), *held = QW_NEW_ARRAY(double, 4 * h);
    double *hidden = QW_NEW_ARRAY(double, h), *cell = QW_NEW_ARRAY(double, h);
    qw_linear(arith, given, x, lstm->input.weight, lstm->input.bias, n, in, 4 * h);
    for (int64_t t = 0; t < n; t++) {
        int64_t row = backwards ? n - 1 - t : t;
        qw_linear(arith, held, hidden, lstm->hidden.weight, lstm->hidden.bias, 1, h, 4 * h);
        qw_add(arith, held, held, given + row * 4 * h, 4 * h);
        lstm_cell(arith, hidden, cell, held, h);
        memcpy(y + row * width + first, hidden, sizeof *y * (size_t)h);
    }
    free(given);
    free(held);
    free(hidden);
    free(cell);
}

static double *apply_lstm(const struct qw_arith *arith, double *x, int64_t *in, const struct qw_encoder_lstm lstm[2], int64_t n)
{
    int64_t forth = lstm[0].hidden.weight->shape.dim[1], back = lstm[1].hidden.weight->shape.dim[1];
    double *y = QW_NEW_ARRAY(double, n *(forth + back));
    lstm_pass(arith, y, 0, forth + back, x, &lstm[0], n, *in, false);
    lstm_pass(arith, y, forth, forth + back, x, &lstm[1], n, *in, true);
    *in = forth + back;
    free(x);
    return y;
}

static double *apply_linear(const struct qw_arith *arith, double *x, int64_t *in, const struct qw_encoder_linear *linear,
                            int64_t n)
{
    int64_t out = linear->weight->shape.dim[0];
    double *y = QW_NEW_ARRAY(double, n *out);
    qw_linear(arith, y, x, linear->weight, linear->bias, n, *in, out);
    *in = out;
    free(x);
    return y;
}

static void activate(const struct qw_arith *arith, double *x, enum qw_activation activation, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = activation == QW_TANH ? qw_arith_round(arith, tanh(x[i])) : x[i] > 0 ? x[i] : 0;
}

struct qw_tensor *qw_encoder_apply(const struct qw_encoder *encoder, const struct qw_tensor *rows, const struct qw_arith *arith)
{
    int64_t n = rows->shape.dim[0], width = rows->shape.dim[1];
    if (width != encoder->embedding->shape.dim[1])
        return NULL;
    double *x = qw_tensor_doubles(rows);
    for (int i = 0; i < encoder->lstms; i++)
        x = apply_lstm(arith, x, &width, encoder->lstm[i], n);
    for (int i = 0; i < encoder->linears; i++) {
        if (i)
            activate(arith, x, encoder->activation, n * width);
        x = apply_linear(arith, x, &width, &encoder->linear[i], n);
    }
    struct qw_shape shape = qw_shape_of(2, n, width);
    struct qw_tensor *table = qw_tensor_structure(QW_F64, &shape);
    table->data = x;
    return table;
}
