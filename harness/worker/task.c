/* Invariant: a task that was printed reads back as the same task. */
#include "harness/worker/task.h"

#include <stddef.h>

#include "reference/base/file.h"

static const struct {
    const char *key;
    size_t offset;
} texts[] = {{"what", offsetof(struct qc_task, what)},
             {"id", offsetof(struct qc_task, id)},
             {"path", offsetof(struct qc_task, path)},
             {"other", offsetof(struct qc_task, other)},
             {"model", offsetof(struct qc_task, places.model)},
             {"adapter", offsetof(struct qc_task, places.adapter)},
             {"named_model", offsetof(struct qc_task, places.named_model)},
             {"named_adapter", offsetof(struct qc_task, places.named_adapter)},
             {"filter", offsetof(struct qc_task, filter)},
             {"site", offsetof(struct qc_task, selection.site)},
             {"precision", offsetof(struct qc_task, selection.precision)}},
  numbers[] = {{"first_step", offsetof(struct qc_task, selection.first_step)},
               {"last_step", offsetof(struct qc_task, selection.last_step)},
               {"first_layer", offsetof(struct qc_task, selection.first_layer)},
               {"last_layer", offsetof(struct qc_task, selection.last_layer)},
               {"pairs", offsetof(struct qc_task, pairs)},
               {"floor", offsetof(struct qc_task, floor)},
               {"seconds", offsetof(struct qc_task, seconds)},
               {"parent", offsetof(struct qc_task, parent)}};

#define COUNT(table) (sizeof table / sizeof *table)

struct qc_task qc_task_of(const char *what, const char *path)
{
    return (struct qc_task){.what = what, .path = path, .selection = qc_selection_all()};
}

const char *qc_task_id(const struct qc_task *task) { return task->id ? task->id : qw_path_base(task->path); }

char *qc_task_print(const struct qc_task *task)
{
    struct qw_json *json = qw_json_object();
    for (size_t i = 0; i < COUNT(texts); i++)
        qw_json_put_text(json, texts[i].key, *(const char *const *)((const char *)task + texts[i].offset));
    for (size_t i = 0; i < COUNT(numbers); i++)
        qw_json_put_int(json, numbers[i].key, *(const int *)((const char *)task + numbers[i].offset));
    char *text = qw_json_print(json, false);
    qw_json_free(json);
    return text;
}

struct qw_json *qc_task_needs(const struct qc_needs *needs)
{
    struct qw_json *answer = qw_json_object(), *names = qw_json_put(answer, "needs", qw_json_object());
    qw_json_put_text(names, "model", needs->model);
    qw_json_put_text(names, "adapter", needs->adapter);
    return answer;
}

bool qc_task_read(struct qc_task *task, const struct qw_json *json)
{
    *task = (struct qc_task){0};
    for (size_t i = 0; i < COUNT(texts); i++)
        *(const char **)((char *)task + texts[i].offset) = qw_json_get_text(json, texts[i].key, NULL);
    for (size_t i = 0; i < COUNT(numbers); i++)
        *(int *)((char *)task + numbers[i].offset) = (int)qw_json_get_int(json, numbers[i].key, -1);
    return task->what && task->path;
}
