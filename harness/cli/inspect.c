/* Invariant: what is printed is the worker's document, rendered. */
#include <string.h>

#include "harness/cli/cli.h"
#include "reference/base/text.h"

#define SECONDS 600.0

static void add_shape(struct qw_text *out, const struct qw_json *shape)
{
    qw_text_add(out, "[");
    for (const struct qw_json *extent = qw_json_first(shape); extent; extent = qw_json_next(extent))
        qw_text_addf(out, "%s%lld", extent == qw_json_first(shape) ? "" : ", ", (long long)qw_json_int(extent, 0));
    qw_text_add(out, "]");
}

/* Text of a stranger's file: control characters are shown, not sent. */
static void add_safe(struct qw_text *out, const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 32 || *text == 127)
            qw_text_addf(out, "\\x%02x", (unsigned char)*text);
        else
            qw_text_add_bytes(out, text, 1);
}

static void add_field(struct qw_text *out, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    qw_text_addf(out, "  %-14s ", name);
    add_safe(out, value);
    qw_text_add(out, "\n");
}

#define SHOWN_ROWS 8

static void add_rows(struct qw_text *out, const struct qw_json *rows)
{
    int count = qw_json_size(rows), shown = 0;
    if (!rows)
        return;
    qw_text_addf(out, "  %d row%s kept%s", count, count == 1 ? "" : "s", count ? ":" : "");
    for (const struct qw_json *row = qw_json_first(rows); row && shown < SHOWN_ROWS; row = qw_json_next(row), shown++)
        qw_text_addf(out, " %lld", (long long)qw_json_int(row, 0));
    if (shown < count)
        qw_text_add(out, " …");
}

static void add_statistics(struct qw_text *out, const struct qw_json *statistics)
{
    static const char *const reals[] = {"min", "max", "mean", "rms"}, *const counts[] = {"nan", "inf", "zero"};
    if (!statistics)
        return;
    for (int i = 0; i < 4; i++)
        qw_text_addf(out, "  %s %.6g", reals[i], qw_json_get_real(statistics, reals[i], 0));
    for (int i = 0; i < 3; i++)
        qw_text_addf(out, "  %s %lld", counts[i], (long long)qw_json_get_int(statistics, counts[i], 0));
}

static void add_tensors(struct qw_text *out, const struct qw_json *tensors, const char *indent)
{
    for (const struct qw_json *entry = qw_json_first(tensors); entry; entry = qw_json_next(entry)) {
        qw_text_add(out, indent);
        if (qw_json_get(entry, "layer"))
            qw_text_addf(out, "layer %lld ", (long long)qw_json_get_int(entry, "layer", 0));
        add_safe(out, qw_json_get_text(entry, "name", ""));
        qw_text_addf(out, "  %s ", qw_json_get_text(entry, "dtype", ""));
        add_shape(out, qw_json_get(entry, "shape"));
        add_rows(out, qw_json_get(entry, "rows"));
        if (qw_json_get(entry, "from"))
            qw_text_addf(out, "  positions below %lld are the step before's", (long long)qw_json_get_int(entry, "from", 0));
        add_statistics(out, qw_json_get(entry, "statistics"));
        bool data = qw_json_get_bool(entry, "data", true);
        qw_text_add(out, data ? "\n" : qw_json_get(entry, "statistics") ? "  statistics only\n" : "  structure only\n");
    }
}

static void add_weights(struct qw_text *out, const struct qw_json *owner, bool verbose)
{
    int count = qw_json_size(qw_json_get(owner, "weights"));
    add_field(out, "weights in", qw_json_get_text(owner, "weights_folder", NULL));
    qw_text_addf(out, "  %-14s %d tensor%s embedded\n", "weights", count, count == 1 ? "" : "s");
    if (verbose)
        add_tensors(out, qw_json_get(owner, "weights"), "    ");
}

static void add_cache(struct qw_text *out, const char *name, const struct qw_json *cache, bool verbose)
{
    if (qw_json_is_null(cache))
        return;
    qw_text_addf(out, "    %-14s ", name);
    add_safe(out, qw_json_get_text(cache, "type", ""));
    qw_text_addf(out, ", length %lld, %lld layers\n", (long long)qw_json_get_int(cache, "length", -1),
                 (long long)qw_json_get_int(cache, "layers", 0));
    if (verbose)
        add_tensors(out, qw_json_get(cache, "tensors"), "      ");
}

static void add_steps(struct qw_text *out, const struct qw_json *steps, bool verbose)
{
    qw_text_addf(out, "steps: %d calls of the base model\n", qw_json_size(steps));
    for (const struct qw_json *step = qw_json_first(steps); step; step = qw_json_next(step)) {
        qw_text_addf(out, "  step %lld%s\n", (long long)qw_json_get_int(step, "step", 0),
                     qw_json_get_bool(step, "raised", false) ? " (raised)" : "");
        add_tensors(out, qw_json_get(step, "received"), "    received ");
        add_cache(out, "cache before", qw_json_get(step, "cache_before"), verbose);
        add_cache(out, "cache after", qw_json_get(step, "cache_after"), verbose);
        qw_text_addf(out, "    %d taps\n", qw_json_size(qw_json_get(step, "taps")));
        if (verbose)
            add_tensors(out, qw_json_get(step, "taps"), "      ");
    }
}

static void add_document(struct qw_text *out, const struct qw_json *document, bool verbose)
{
    const struct qw_json *call = qw_json_get(document, "call"), *health = qw_json_get(document, "health");
    const struct qw_json *model = qw_json_get(document, "model"), *adapter = qw_json_get(document, "adapter");
    qw_text_addf(out, "recording: ");
    add_safe(out, qw_json_get_text(document, "recording", ""));
    qw_text_addf(out, "\n  %-14s %lld\n", "bytes", (long long)qw_json_get_int(document, "bytes", 0));
    add_field(out, "level", qw_json_get_text(document, "level", ""));
    add_field(out, "producer", qw_json_get_text(document, "producer", ""));
    add_field(out, "created", qw_json_get_text(document, "created", ""));
    add_field(out, "sha256", qw_json_get_text(document, "recording_sha256", ""));
    qw_text_add(out, "environment:\n");
    for (const struct qw_json *entry = qw_json_first(qw_json_get(document, "environment")); entry; entry = qw_json_next(entry))
        add_field(out, qw_json_key(entry), qw_json_text(entry, ""));
    qw_text_add(out, "model:\n");
    add_field(out, "class", qw_json_get_text(model, "class", ""));
    add_field(out, "dtype", qw_json_get_text(model, "dtype", ""));
    add_weights(out, model, verbose);
    qw_text_add(out, qw_json_is_null(adapter) ? "adapter: none\n" : "adapter:\n");
    if (!qw_json_is_null(adapter)) {
        add_field(out, "type", qw_json_get_text(adapter, "peft_type", ""));
        add_weights(out, adapter, verbose);
        add_tensors(out, qw_json_get(adapter, "handed_over"), "  handed over    ");
    }
    qw_text_add(out, "call:\n");
    add_field(out, "kind", qw_json_get_text(call, "kind", ""));
    add_field(out, "outcome", qw_json_get_text(call, "outcome", ""));
    add_field(out, "raised", qw_json_get_text(call, "exception_type", NULL));
    add_field(out, "message", qw_json_get_text(call, "exception_message", NULL));
    add_field(out, "raised at", qw_json_get_text(call, "raised_at", NULL));
    add_tensors(out, qw_json_get(call, "tensors"), "  ");
    add_steps(out, qw_json_get(document, "steps"), verbose);
    qw_text_add(out, "health: readable; ");
    add_safe(out, qw_json_get_bool(health, "judged", false) ? "diagnose judges it" : qw_json_get_text(health, "reason", ""));
    qw_text_add(out, "\n");
}

int cli_inspect(const struct cli_options *options)
{
    if (options->count != 1)
        return cli_complain(QC_EXIT_USAGE, "name one recording; see qconform help inspect");
    struct qc_task task = qc_task_of("inspect", options->operand[0]);
    struct qw_json *document = NULL;
    struct qc_workers workers = {.jobs = 1, .seconds = SECONDS};
    cli_workers_run(&document, &task, 1, &workers, options);
    qw_json_free(workers.sandbox);
    bool readable = qw_json_is_object(qw_json_get(document, "health"));
    const char *status = qw_json_get_text(document, "status", "");
    int code = readable ? QC_EXIT_OK : !strcmp(status, "ERROR") ? QC_EXIT_INPUT : QC_EXIT_INCONCLUSIVE;
    struct qw_text text = {0};
    if (readable)
        add_document(&text, document, options->verbosity > 0);
    if (!readable)
        cli_complain((enum qc_exit)code, "%s", qw_json_get_text(document, "verdict", ""));
    int shown = options->json ? cli_print_json(document) : readable ? cli_print(text.bytes) : 0;
    qw_text_free(&text);
    qw_json_free(document);
    return shown ? shown : code;
}
