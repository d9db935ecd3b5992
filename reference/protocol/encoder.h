/* The encoder that an adapter is trained through: what turns its embedding [P,width] into the table that is handed over.
 *
 *   P-tuning, MLP        embedding [P,d], Linear, ReLU, Linear, ReLU, Linear -> [P,d]
 *   P-tuning, LSTM       embedding [P,d], bidirectional LSTM of several layers over the P rows, Linear, ReLU, Linear -> [P,d]
 *   prefix, projection   embedding [P,KD], Linear, Tanh, Linear -> [P,2LKD]
 *
 * PEFT saves what comes out as "prompt_embeddings"; a module that is being trained, and THUDM's checkpoints, hold the
 * encoder itself.  Dropout (LSTM, training) is not played. */
#ifndef QW_PROTOCOL_ENCODER_H
#define QW_PROTOCOL_ENCODER_H

#include "reference/base/error.h"
#include "reference/model/arith.h"
#include "reference/model/tensors.h"

enum qw_activation { QW_RELU, QW_TANH };

#define QW_ENCODER_LINEARS 3
#define QW_ENCODER_LSTMS   8

struct qw_encoder_linear {
    const struct qw_tensor *weight, *bias; /* [out,in], [out] or NULL */
};

/* One layer of an LSTM in one direction; rows of the four gates in the order input, forget, cell, output (torch.nn.LSTM). */
struct qw_encoder_lstm {
    struct qw_encoder_linear input, hidden; /* [4h,in], [4h,h] */
};

/* Borrowed from the tensors that it was found in. */
struct qw_encoder {
    const struct qw_tensor *embedding; /* [P,width]; NULL: there is none */
    int lstms;                         /* layers */
    struct qw_encoder_lstm lstm[QW_ENCODER_LSTMS][2];
    int linears;
    struct qw_encoder_linear linear[QW_ENCODER_LINEARS];
    enum qw_activation activation;
};

/* Whether a tensor of this name belongs to an encoder: embedding.weight, mlp_head.0.weight, lstm_head.weight_ih_l0, …, behind
 * any prefix (prompt_encoder.default., transformer.prefix_encoder., …). */
bool qw_encoder_has(const char *name);

/* Finds the parts of an encoder among the tensors; those may lack it.  QW_ERROR_INPUT at the tensor that does not join the
 * part before it, or when two tensors could be the same part. */
bool qw_encoder_find(struct qw_encoder *encoder, const struct qw_tensors *tensors, struct qw_error *error);

/* Whether there is anything between the embedding and the table. */
bool qw_encoder_computes(const struct qw_encoder *encoder);

/* How many products one element of the output sums in its last layer; 0 when nothing is computed. */
int64_t qw_encoder_sum(const struct qw_encoder *encoder);

/* What the encoder makes of `rows` [P,width] in an arithmetic: float64 elements [P,out].  NULL when the width is another one
 * than the encoder's.  Free with qw_tensor_free. */
struct qw_tensor *qw_encoder_apply(const struct qw_encoder *encoder, const struct qw_tensor *rows, const struct qw_arith *arith);

#endif
