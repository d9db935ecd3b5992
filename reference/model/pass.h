/* What the blocks of all families are made of: for reference/model alone. */
#ifndef QW_MODEL_PASS_H
#define QW_MODEL_PASS_H

#include "reference/model/forward.h"

/* How a family goes through a block, and which sites lie on its way. */
struct qw_path {
    enum qw_site input_norm, post_norm, norm;
    /* Before the first block: cos and sin for the call, where they are made there. */
    void (*prepare)(struct qw_pass *pass);
    /* [B,q,d] -> [B,q,d], to be freed; attention gives NULL where the real model raises. */
    double *(*attention)(struct qw_pass *pass, int layer, const double *x);
    double *(*feed_forward)(struct qw_pass *pass, int layer, const double *x);
};

extern const struct qw_path qw_path_later; /* Qwen1.5, Qwen2, Qwen2.5, Qwen3 */
extern const struct qw_path qw_path_first; /* Qwen */

int64_t qw_pass_tokens(const struct qw_pass *pass); /* B q */

/* The weights of a layer as the rules have them: biases and norms that are lost are NULL, and gate and up may be exchanged. */
struct qw_layer_weights qw_pass_weights(const struct qw_pass *pass, int layer);
/* What the rules make of the configured base of the rotation and epsilon of the norms. */
double qw_pass_rope_base(const struct qw_pass *pass);
double qw_pass_norm_eps(const struct qw_pass *pass);

/* Shows a value to the tap, which may put another in its place; the second: [B,q,width]. */
void qw_pass_see(struct qw_pass *pass, enum qw_site site, int layer, double *value, struct qw_shape shape);
void qw_pass_see_tokens(struct qw_pass *pass, enum qw_site site, int layer, double *value, int64_t width);

/* Norm of the stream, [B,q,d]; product with a weight [out,in] plus bias (may be NULL), [B,q,out].  Seen; to be freed. */
double *qw_pass_norm(struct qw_pass *pass, enum qw_site site, int layer, const struct qw_tensor *weight);
double *qw_pass_linear(struct qw_pass *pass, enum qw_site site, int layer, const double *x, const struct qw_tensor *weight,
                       const struct qw_tensor *bias);

/* Joins rotated keys and values, [B,q,K,D], to the cache; false where the real model raises. */
bool qw_pass_join(struct qw_pass *pass, int layer, const double *k, const double *v);
/* [B,q,H,D]: each query head attends over its key/value head of what the cache holds; to be freed. */
double *qw_pass_attend(struct qw_pass *pass, int layer, const double *queries);

#endif
