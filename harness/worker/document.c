/* Invariant: the exit code is a function of the statuses alone. */
#include "harness/worker/document.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/compare/noise.h"
#include "reference/base/text.h"
#include "reference/model/arith.h"

static const char *const statuses[] = {"PASS",  "FAIL",    "ERROR",   "SKIP",  "XFAIL",
                                       "XPASS", "CHANGED", "TIMEOUT", "CRASH", "NOTRUN"};
enum { PASS, FAIL, ERROR, SKIP, XFAIL, XPASS, CHANGED, TIMEOUT, CRASH, NOTRUN, STATUSES };

static const struct {
    int code;
    const char *name, *meaning;
} exits[] = {
#define EXIT(id, code, name, meaning) {code, name, meaning},
#include "harness/worker/exits.def"
#undef EXIT
};

bool qc_exit_words(const char **name, const char **meaning, int code)
{
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        if (exits[i].code == code) {
            *name = exits[i].name;
            *meaning = exits[i].meaning;
            return true;
        }
    return false;
}

/* `unearned`: cases with an ERROR that were read and judged, and of which too little was compared. */
static enum qc_exit exit_of(const int count[STATUSES], int unearned)
{
    int decided = count[PASS] + count[XFAIL] + count[XPASS];
    int lost = count[ERROR] + count[TIMEOUT] + count[CRASH] + count[NOTRUN];
    if (count[FAIL] + count[CHANGED])
        return QC_EXIT_DIVERGED;
    if (lost && lost == count[ERROR] && !unearned && !decided)
        return QC_EXIT_INPUT;
    if (lost)
        return QC_EXIT_INCONCLUSIVE;
    if (count[XPASS])
        return QC_EXIT_UNEXPECTED_PASS;
    return decided ? QC_EXIT_OK : QC_EXIT_NOTHING;
}

struct qw_json *qc_document_tool(const struct qc_workers *workers)
{
    struct qw_json *tool = qw_json_object();
    qw_json_put_text(tool, "name", "qconform");
    qw_json_put_text(tool, "version", QC_VERSION);
    qw_json_put_text(tool, "blas", qw_blas_version());
    qw_json_put_text(tool, "blas_core", workers->core[0] ? workers->core : qw_blas_core());
    qw_json_put_int(tool, "threads", workers->jobs);
    if (workers->sandbox)
        qw_json_put(tool, "sandbox", qw_json_copy(workers->sandbox));
    else
        qw_json_put_null(tool, "sandbox");
    return tool;
}

static void put_noise(struct qw_json *document)
{
    struct qw_json *noise = qw_json_put(document, "noise", qw_json_object());
    qw_json_put_real(noise, "multiple", QC_NOISE_MULTIPLE);
    qw_json_put_text(
        noise, "basis",
        "floor = max |play in the record's arithmetic - play in float64| + u sqrt(n) rms, over the site's tensor and "
        "several plays that differ in their roundings alone; "
        "u is the unit roundoff of the dtype, n the products that one element sums in it (1 for bfloat16 and float16, which "
        "round once, behind float32 sums); copied data has floor 0");
}

static void put_exit(struct qw_json *document, enum qc_exit code)
{
    struct qw_json *json = qw_json_put(document, "exit", qw_json_object());
    qw_json_put_int(json, "code", code);
    const char *name = NULL, *meaning = NULL;
    qc_exit_words(&name, &meaning, (int)code);
    qw_json_put_text(json, "name", name);
}

char *qc_timestamp(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t seconds = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm parts;
    char text[64];
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return qw_format("%s", text);
}

struct qw_json *qc_document_make(struct qw_json **cases, int count, const struct qc_document *about)
{
    struct qw_json *document = qw_json_object();
    int found[STATUSES] = {0}, unearned = 0;
    char *created = qc_timestamp();
    qw_json_put_text(document, "schema", "qconform-result/1");
    qw_json_put_text(document, "created", created);
    free(created);
    qw_json_put(document, "tool", about->tool);
    struct qw_json *command = qw_json_put(document, "command", qw_json_array());
    for (int i = 0; i < about->argc; i++)
        qw_json_add_text(command, i ? about->argv[i] : "qconform");
    put_noise(document);
    if (about->run)
        qw_json_put(document, "run", about->run);
    struct qw_json *array = qw_json_put(document, "cases", qw_json_array());
    for (int i = 0; i < count; i++) {
        qw_json_add(array, cases[i]);
        for (int s = 0; s < STATUSES; s++)
            found[s] += !strcmp(statuses[s], qw_json_get_text(cases[i], "status", ""));
        unearned += !qw_json_get_bool(qw_json_get(cases[i], "coverage"), "earned", true);
    }
    struct qw_json *summary = qw_json_put(document, "summary", qw_json_object());
    for (int s = 0; s < STATUSES; s++)
        qw_json_put_int(summary, statuses[s], found[s]);
    put_exit(document, about->ended ? about->ended : exit_of(found, unearned));
    return document;
}

enum qc_exit qc_document_exit(const struct qw_json *document)
{
    return (enum qc_exit)qw_json_get_int(qw_json_get(document, "exit"), "code", QC_EXIT_INTERNAL);
}
