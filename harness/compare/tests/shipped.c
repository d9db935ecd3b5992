/* Invariant: what a test changes is the recording; subject and judgement are always made from it anew. */
#include "harness/compare/tests/shipped.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

void shipped_read(struct shipped *run, const char *name)
{
    char path[256];
    *run = (struct shipped){0};
    snprintf(path, sizeof path, "fixtures/recordings/%s", name);
    cr_assert(qc_recording_read(&run->recording, path, (int64_t)1 << 30, &run->error), "%s: %s: %s", path, run->error.place,
              run->error.message);
}

bool shipped_subject(struct shipped *run)
{
    struct qc_places as_it_says = {0};
    return qc_subject_make(&run->subject, &run->recording, &as_it_says, &run->error);
}

void shipped_judge(struct shipped *run)
{
    cr_assert(shipped_subject(run), "%s: %s", run->error.place, run->error.message);
    qc_judge(&run->judgement, &run->subject, &run->subject.rules, true);
}

void shipped_forget(struct shipped *run)
{
    qc_judgement_clear(&run->judgement);
    qc_subject_clear(&run->subject);
}

void shipped_clear(struct shipped *run)
{
    shipped_forget(run);
    qc_recording_clear(&run->recording);
}

float *shipped_floats(struct qw_tensor *tensor)
{
    cr_assert(tensor && tensor->data && tensor->dtype == QW_F32);
    return tensor->data;
}

int64_t *shipped_integers(struct qw_tensor *tensor)
{
    cr_assert(tensor && tensor->data && tensor->dtype == QW_I64);
    return tensor->data;
}

static struct qc_tap *tap_of(struct shipped *run, int step, const char *path)
{
    const struct qc_tap *tap = qc_step_tap(&run->recording.step[step], path);
    cr_assert_not_null(tap, "no tap %s in step %d", path, step);
    return &run->recording.step[step].tap[tap - run->recording.step[step].tap];
}

struct qw_tensor *shipped_tap(struct shipped *run, int step, const char *path) { return tap_of(run, step, path)->tensor; }

void shipped_remove_tap(struct shipped *run, int step, const char *path)
{
    struct qc_step *where = &run->recording.step[step];
    struct qc_tap *tap = tap_of(run, step, path);
    free(tap->path);
    qw_tensor_free(tap->tensor);
    memmove(tap, tap + 1, sizeof *tap * (size_t)(where->tap + where->taps - tap - 1));
    where->taps--;
}

void shipped_text(char **text, const char *value)
{
    free(*text);
    *text = qw_strdup(value);
}

void shipped_versions(struct shipped *run, const char *transformers, const char *peft)
{
    qw_json_free(run->recording.environment);
    run->recording.environment = qw_json_object();
    qw_json_put_text(run->recording.environment, "transformers", transformers);
    qw_json_put_text(run->recording.environment, "peft", peft);
}

const struct qc_item *shipped_expect_first(const struct shipped *run, int step, int layer, enum qw_site site, enum qc_kind kind)
{
    const struct qc_item *first = qc_judgement_first(&run->judgement);
    cr_assert_not_null(first, "nothing differs, %s is expected at %s of step %d", qc_kind_name(kind), qw_site_rows[site].name,
                       step);
    bool there = first->step == step && first->layer == layer && first->site == site && qc_item_view(first)->kind == kind;
    cr_expect(there, "%s at step %d, layer %d, %s; expected was %s at step %d, layer %d, %s",
              qc_kind_name(qc_item_view(first)->kind), first->step, first->layer, qw_site_rows[first->site].name,
              qc_kind_name(kind), step, layer, qw_site_rows[site].name);
    return first;
}

int shipped_failures(const struct shipped *run)
{
    int failures = 0;
    for (int i = 0; i < run->judgement.items.count; i++)
        failures += qc_item_fails(run->judgement.items.ordered[i]);
    return failures;
}

const struct qc_item *shipped_item(const struct shipped *run, enum qw_site site, int step, int layer)
{
    for (int i = 0; i < run->judgement.items.count; i++) {
        const struct qc_item *item = run->judgement.items.ordered[i];
        if (item->site == site && item->step == step && item->layer == layer)
            return item;
    }
    return NULL;
}
