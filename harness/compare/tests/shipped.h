/* Shipped recordings in memory, changed by a test and judged.
 *
 * A test reads one, spoils what it wants to see found, judges, and asks where the first divergence lies. */
#ifndef QC_COMPARE_TESTS_SHIPPED_H
#define QC_COMPARE_TESTS_SHIPPED_H

#include "harness/compare/judge.h"

/* Healthy runs: an injected prompt, one with its weights in folders, no adapter, a prefix. */
#define SHIPPED_PROMPT "qwen2-prompt-tf4.44.2-peft0.13.2.h5"
#define SHIPPED_FOLDER "qwen2-prompt-tf4.57.3-peft0.18.1.h5"
#define SHIPPED_BASE   "qwen2-base-tf4.57.3.h5"
#define SHIPPED_PREFIX "qwen2-prefix-tf4.46.3-peft0.14.0.h5"
/* Faulty ones. */
#define SHIPPED_BARE        "qwen2-prompt-tf4.44.2-peft0.12.0.h5"
#define SHIPPED_BARE_PREFIX "qwen2-prefix-tf4.44.2-peft0.12.0.h5"
#define SHIPPED_QUERY_HEADS "qwen2-prefix-forward-tf4.41.2-peft0.11.1.h5"
#define SHIPPED_EMPTY_CACHE "qwen2-prompt-tf4.42.4-peft0.11.1.h5"

struct shipped {
    struct qc_recording recording;
    struct qc_subject subject;
    struct qc_judgement judgement;
    struct qw_error error;
};

void shipped_read(struct shipped *run, const char *name);
/* Makes the subject; the error stays in run->error. */
bool shipped_subject(struct shipped *run);
/* Subject and judgement; the subject must be there. */
void shipped_judge(struct shipped *run);
void shipped_clear(struct shipped *run);
/* Forgets subject and judgement, keeps the recording. */
void shipped_forget(struct shipped *run);

/* Elements of a float32 or int64 tensor, to be changed in place. */
float *shipped_floats(struct qw_tensor *tensor);
int64_t *shipped_integers(struct qw_tensor *tensor);
struct qw_tensor *shipped_tap(struct shipped *run, int step, const char *path);
/* Takes a tap out of its step. */
void shipped_remove_tap(struct shipped *run, int step, const char *path);
/* Replaces a text of the recording. */
void shipped_text(char **text, const char *value);
/* Recorded with these versions instead. */
void shipped_versions(struct shipped *run, const char *transformers, const char *peft);

/* The first divergence must be there. */
const struct qc_item *shipped_expect_first(const struct shipped *run, int step, int layer, enum qw_site site, enum qc_kind kind);
/* Items that fail in their own right. */
int shipped_failures(const struct shipped *run);
const struct qc_item *shipped_item(const struct shipped *run, enum qw_site site, int step, int layer);

#endif
