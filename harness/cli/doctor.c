/* Invariant: every line says what was found and, where something is amiss, what to do. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/cli/cli.h"
#include "harness/compare/noise.h"
#include "harness/recording/hdf5.h"
#include "harness/worker/sandbox.h"
#include "harness/worker/worker.h"
#include "reference/base/text.h"
#include "reference/model/arith.h"

extern char **environ;

/* Whether a program runs and ends well, silently. */
static bool runs(const char *const *arguments)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", fd ? O_WRONLY : O_RDONLY, 0);
    bool ok = posix_spawnp(&pid, arguments[0], &actions, NULL, (char **)(uintptr_t)arguments, environ) == 0 &&
              waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    posix_spawn_file_actions_destroy(&actions);
    return ok;
}

static void add(struct qw_json *checks, const char *name, bool good, bool needed, const char *found, const char *advice)
{
    struct qw_json *check = qw_json_add(checks, qw_json_object());
    qw_json_put_text(check, "name", name);
    qw_json_put_text(check, "status", good ? "ok" : needed ? "fail" : "missing");
    qw_json_put_text(check, "found", found);
    qw_json_put_text(check, "advice", good ? NULL : advice);
}

/* What confines the worker that answered, a line for each piece. */
static void add_sandbox(struct qw_json *checks, const struct qw_json *sandbox)
{
    const struct qc_sandbox_piece *piece;
    for (int i = 0; (piece = qc_sandbox_piece_at(i)); i++) {
        bool good = qc_sandbox_has(sandbox, piece);
        char *name = qw_format("sandbox %s", piece->name), found[64];
        int64_t version = qw_json_get_int(sandbox, piece->name, 0);
        snprintf(found, sizeof found, version ? "in force, version %lld" : "in force", (long long)version);
        add(checks, name, good, false, good ? found : piece->without, piece->advice);
        free(name);
    }
}

/* A worker is asked for a file that is not there: it must answer, in whole, that it cannot open it. */
static void check_worker(struct qw_json *checks)
{
    struct qc_task task = qc_task_of("inspect", "/nonexistent/recording.h5");
    struct qw_json *answer = NULL;
    struct qc_workers workers = {.jobs = 1, .seconds = 30};
    char found[160];
    qc_workers_run(&answer, &task, 1, &workers);
    bool good = !strcmp(qw_json_get_text(answer, "status", ""), "ERROR");
    add(checks, "worker process", good, true, good ? "starts and answers" : "gives no answer", "check that /proc is mounted");
    snprintf(found, sizeof found, "%s, core type %s, one thread per worker", qw_blas_version(), workers.core);
    bool slow = !strcmp(workers.core, "Prescott");
    add(checks, "BLAS", good && !slow, false, found, "set OPENBLAS_CORETYPE to your processor's type");
    add_sandbox(checks, workers.sandbox);
    qw_json_free(workers.sandbox);
    qw_json_free(answer);
}

/* The two arithmetics must agree to rounding on a product whose exact result is known. */
static bool arithmetics_agree(void)
{
    float weights[64];
    double x[64], truth[8], played[8];
    for (int i = 0; i < 64; i++) {
        weights[i] = (float)(i % 7) - 3;
        x[i] = (double)(i % 5) - 2;
    }
    struct qw_tensor w = {QW_F32, qw_shape_of(2, (int64_t)8, (int64_t)8), weights, NULL};
    qw_f64.matmul_nt(truth, x, &w, 1, 8, 8);
    qw_f32.matmul_nt(played, x, &w, 1, 8, 8);
    return !memcmp(truth, played, sizeof truth);
}

/* Which packages its Python has is asked by the recorder itself: each environment has others. */
static void check_recorder(struct qw_json *checks)
{
    char *folder = cli_recorder_find();
    bool python = runs((const char *const[]){"python3", "--version", NULL});
    char *found = folder && python ? qw_format("qconform record -- python script.py starts %s", folder) : NULL;
    add(checks, "recorder", found, false,
        found    ? found
        : folder ? "python3 not found (only needed to record)"
                 : "not beside this program (only needed to record)",
        folder
            ? "put a Python with torch, transformers and h5py into PATH, or name it: qconform record -- env/bin/python script.py"
            : "make install puts it there; or pip install ./fixtures/recorder in the environment of your run");
    free(found);
    free(folder);
}

static struct qw_json *run_checks(void)
{
    struct qw_json *document = qw_json_object();
    qw_json_put_text(document, "schema", "qconform-doctor/1");
    struct qw_json *checks = qw_json_put(document, "checks", qw_json_array());
    add(checks, "arithmetic", qw_arith_is_ieee() && arithmetics_agree(), true, "IEEE 754; float32 play and definition agree",
        "do not preload fast-math libraries");
    char *library = qw_format("libhdf5 %s", qc_hdf5_version());
    add(checks, "HDF5", true, true, library, NULL);
    free(library);
    check_worker(checks);
    bool gnuplot = runs((const char *const[]){"gnuplot", "--version", NULL});
    add(checks, "gnuplot", gnuplot, false, gnuplot ? "found" : "not found: reports go without plots",
        "apt-get install gnuplot-nox");
    check_recorder(checks);
    cli_environment_put(document);
    return document;
}

int cli_doctor(const struct cli_options *options)
{
    struct qw_json *document = run_checks();
    bool failed = false;
    struct qw_text text = {0};
    for (const struct qw_json *check = qw_json_first(qw_json_get(document, "checks")); check; check = qw_json_next(check)) {
        const char *status = qw_json_get_text(check, "status", ""), *advice = qw_json_get_text(check, "advice", NULL);
        failed = failed || !strcmp(status, "fail");
        qw_text_addf(&text, "%-8s %-16s %s\n", status, qw_json_get_text(check, "name", ""), qw_json_get_text(check, "found", ""));
        if (advice)
            qw_text_addf(&text, "%-8s %-16s -> %s\n", "", "", advice);
    }
    qw_text_addf(&text, "noise multiple %g\n", QC_NOISE_MULTIPLE);
    cli_environment_describe(&text);
    int shown = options->json ? cli_print_json(document) : cli_print(text.bytes);
    qw_text_free(&text);
    qw_json_free(document);
    return shown ? shown : failed ? QC_EXIT_INTERNAL : QC_EXIT_OK;
}
