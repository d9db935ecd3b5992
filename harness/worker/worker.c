/* Invariant: no byte of an input is read before the process is confined. */
#include "harness/worker/worker.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "harness/selftest/selftest.h"
#include "harness/worker/case.h"
#include "harness/worker/frame.h"
#include "harness/worker/inspect.h"
#include "harness/worker/pair_case.h"
#include "harness/worker/sandbox.h"
#include "reference/model/arith.h"

/* A worker must not outlive its parent, which may be gone before the wish is known. */
static bool follow_parent(int parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && (parent <= 0 || getppid() == parent);
}

static const struct qc_task_kind *find_kind(const struct qc_task_kind *kinds, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

static struct qw_json *do_task(const struct qc_task_kind *kind, struct qc_task *task)
{
    struct qc_grants grants;
    struct qc_sandbox sandbox;
    struct qw_error error = {0};
    bool granted = qc_grants_make(&grants, task, &error);
    qc_sandbox_enter(&sandbox, &grants, task->seconds);
    qc_grants_clear(&grants);
    task->places.ask = true;
    struct qw_json *frame = qw_json_object();
    qw_json_put(frame, "answer", granted ? kind->run(task) : qc_case_failed(task, "ERROR", &error));
    qw_json_put_text(frame, "blas_core", qw_blas_core());
    qw_json_put(frame, "sandbox", qc_sandbox_json(&sandbox));
    return frame;
}

int qc_worker_serve(const struct qc_task_kind *kinds, int count, const char *text)
{
    struct qw_error error = {0};
    struct qc_task task;
    struct qw_json *json = qw_json_parse(text, strlen(text), "task", &error);
    const struct qc_task_kind *kind = json && qc_task_read(&task, json) ? find_kind(kinds, count, task.what) : NULL;
    if (!kind || !follow_parent(task.parent)) {
        qw_json_free(json);
        return kind ? 1 : 2;
    }
    struct qw_json *frame = do_task(kind, &task);
    char *payload = qw_json_print(frame, false);
    bool ok = qc_frame_write(STDOUT_FILENO, payload);
    _exit(ok ? 0 : 74);
}

int qc_worker_main(int count, char **arguments)
{
    static const struct qc_task_kind kinds[] = {
#define TASK(name, function) {name, function},
#include "harness/worker/tasks.def"
#undef TASK
    };
    return count == 1 ? qc_worker_serve(kinds, (int)(sizeof kinds / sizeof *kinds), arguments[0]) : 2;
}
