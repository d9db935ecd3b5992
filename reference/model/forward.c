/* Invariant: between two stages `hidden` is the residual stream and the cache holds what the blocks so far appended. */
#include "reference/model/forward.h"

#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reference/model/ops.h"
#include "reference/model/pass.h"

static const struct qw_path *const paths[QW_FAMILIES] = {
    [QW_FAMILY_QWEN2] = &qw_path_later, [QW_FAMILY_QWEN3] = &qw_path_later, [QW_FAMILY_QWEN] = &qw_path_first};

static const struct qw_path *path_of(const struct qw_pass *pass) { return paths[pass->model->config.family]; }

enum qw_short_mask qw_mask_treatment(const struct qw_rules *rules, const struct qw_handover *handover, int64_t past)
{
    bool all_ones = true;
    if (rules->asks_no_mask && handover->mask && past > 0)
        return QW_SHORT_RAISES_IN_ATTENTION;
    if (handover->withheld && rules->wide_mask_raises && past > 0 && handover->queries > 1)
        return QW_SHORT_RAISES_IN_ATTENTION;
    if (!handover->mask || handover->mask_length >= past + handover->queries)
        return QW_SHORT_IGNORED;
    for (int64_t i = 0; i < handover->batch * handover->mask_length; i++)
        all_ones = all_ones && handover->mask[i] != 0;
    if (rules->mask_gives_length && handover->cacheless)
        return all_ones ? rules->uncached_mask : QW_SHORT_RAISES_IN_ATTENTION;
    return all_ones && (past == 0 || handover->queries == 1) ? rules->short_mask : rules->short_mask_past;
}

struct qw_pass qw_pass_begin(const struct qw_model *model, const struct qw_arith *arith, const struct qw_rules *rules,
                             const struct qw_handover *handover, struct qw_cache *cache, struct qw_tap tap)
{
    struct qw_pass pass = {model, arith, rules, handover, cache, tap, qw_cache_length(cache), 0, QW_SHORT_IGNORED,
                           NULL,  NULL,  NULL};
    pass.mask = qw_mask_treatment(rules, handover, pass.past);
    if (handover->withheld)
        qw_cache_reset(cache);
    pass.kept = qw_cache_length(cache);
    int64_t n = qw_pass_tokens(&pass), d = model->config.hidden, D = model->config.head_size;
    pass.hidden = QW_NEW_ARRAY(double, n *d);
    pass.cos = QW_NEW_ARRAY(double, n *D);
    pass.sin = QW_NEW_ARRAY(double, n *D);
    if (handover->embeds) {
        memcpy(pass.hidden, handover->inputs_embeds, sizeof *pass.hidden * (size_t)(n * d));
    } else {
        qw_embed(pass.hidden, model->embed, handover->input_ids, n, d);
        qw_pass_see_tokens(&pass, qw_family_rows[model->config.family].embed, -1, pass.hidden, d);
    }
    if (qw_pass_enters_blocks(&pass))
        path_of(&pass)->prepare(&pass);
    for (int64_t i = 0; i < qw_rows_appended(rules, handover->queries); i++)
        qw_cache_mark(cache, handover->origin[i % handover->queries], 1);
    return pass;
}

bool qw_pass_enters_blocks(const struct qw_pass *pass) { return pass->mask != QW_SHORT_RAISES_IN_MODEL; }

static void add_to_stream(struct qw_pass *pass, double *branch)
{
    qw_add(pass->arith, pass->hidden, pass->hidden, branch, qw_pass_tokens(pass) * pass->model->config.hidden);
    free(branch);
}

bool qw_pass_block(struct qw_pass *pass, int layer)
{
    const struct qw_layer_weights *w = &pass->model->layer[layer];
    const struct qw_path *path = path_of(pass);
    double *x = qw_pass_norm(pass, path->input_norm, layer, w->input_norm);
    double *o = path->attention(pass, layer, x);
    free(x);
    if (!o)
        return false;
    if (pass->rules->append_twice)
        qw_cache_repeat(pass->cache, layer, pass->handover->queries);
    add_to_stream(pass, o);
    x = qw_pass_norm(pass, path->post_norm, layer, w->post_norm);
    add_to_stream(pass, path->feed_forward(pass, layer, x));
    free(x);
    qw_pass_see_tokens(pass, QW_SITE_OUTPUT, layer, pass->hidden, pass->model->config.hidden);
    return true;
}

/* The weight of the head; NULL: zeros.  Only one that is tied to the embedding can be another. */
static const struct qw_tensor *head_of(const struct qw_pass *pass)
{
    const struct qw_model *model = pass->model;
    if (pass->rules->head == QW_HEAD_AS_STORED && model->stored_head)
        return model->stored_head;
    return pass->rules->head == QW_HEAD_ZERO && model->config.tied ? NULL : model->head;
}

void qw_pass_end(struct qw_pass *pass, int64_t rows)
{
    const struct qw_config *config = &pass->model->config;
    int64_t B = pass->handover->batch, q = pass->handover->queries, d = config->hidden;
    double *x = qw_pass_norm(pass, path_of(pass)->norm, -1, pass->model->norm);
    double *last = QW_NEW_ARRAY(double, B *rows *d), *logits = QW_NEW_ARRAY(double, B *rows * config->vocab);
    for (int64_t b = 0; b < B; b++)
        memcpy(last + b * rows * d, x + (b * q + q - rows) * d, sizeof *x * (size_t)(rows * d));
    const struct qw_arith arith = qw_arith_summing(pass->arith, pass->rules->sums);
    if (head_of(pass))
        qw_linear(&arith, logits, last, head_of(pass), NULL, B * rows, d, config->vocab);
    qw_pass_see(pass, QW_SITE_LM_HEAD, -1, logits, qw_shape_of(3, B, rows, config->vocab));
    free(x);
    free(last);
    free(logits);
}

void qw_pass_clear(struct qw_pass *pass)
{
    free(pass->hidden);
    free(pass->cos);
    free(pass->sin);
    *pass = (struct qw_pass){0};
}
