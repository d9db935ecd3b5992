/* Arbitrary bytes as a suite and as a baseline.  Invariant: every mistake is a case that the result can hold, with what to
 * do, and every sound one has what a worker needs. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/suite/baseline.h"
#include "harness/suite/plan.h"
#include "reference/base/text.h"
#include "reports/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void look_at(const struct qc_suite_case *one)
{
    struct qw_error error = {0};
    struct qw_json *json = one->problem.kind ? qc_plan_problem(one) : qc_plan_not_run(one, "not run");
    qc_baseline_apply(json, one->expected);
    assert(one->id[0] && strlen(one->digest) == 64);
    assert(rp_check_part(json, RP_RESULT, "case", "", &error));
    assert(one->problem.kind ? one->problem.file[0] && one->problem.message[0] && one->problem.hint[0]
                             : one->requirement && one->source && one->recording && one->bytes >= 0);
    qw_json_free(json);
}

static void read_as_suite(char *path)
{
    struct qc_plan plan;
    struct qw_error error = {0};
    const struct qc_plan_wanted wanted = {&path, 1, NULL, path, 1, 2};
    bool made = qc_plan_make(&plan, &wanted, &error);
    assert(made && plan.count > 0);
    for (int i = 0; i < plan.count; i++) {
        look_at(plan.cases[i]);
        assert(qc_suites_has(&plan.suites, plan.cases[i]->id));
    }
    qc_plan_clear(&plan);
}

/* What is one is the baseline of a case too. */
static void read_as_baseline(const char *path)
{
    struct qw_error error = {0};
    char sha256[QW_SHA256_HEX];
    struct qw_json *baseline = qc_baseline_read(sha256, path, &error);
    assert(baseline ? !error.kind : error.kind == QW_ERROR_INPUT && error.message[0] && error.hint[0]);
    for (const struct qw_json *e = qw_json_first(qw_json_get(baseline, "cases")); e; e = qw_json_next(e)) {
        struct qw_json *document = qw_json_object(), *cases = qw_json_put(document, "cases", qw_json_array());
        struct qw_json *one = qw_json_add(cases, qw_json_copy(e));
        qw_json_put_text(one, "status", "FAIL");
        qw_json_put_text(one, "verdict", "v");
        qc_baseline_apply(one, e);
        assert(!strcmp(qw_json_get_text(one, "status", ""), "XFAIL"));
        struct qw_json *made = qc_baseline_make(document);
        assert(rp_check_as(made, RP_BASELINE, NULL, &error));
        qw_json_free(made);
        qw_json_free(document);
    }
    qw_json_free(baseline);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int fd = memfd_create("suite", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    char *path = qw_format("/proc/self/fd/%d", fd);
    read_as_suite(path);
    read_as_baseline(path);
    free(path);
    close(fd);
    return 0;
}
