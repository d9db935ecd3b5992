/* Invariant: a report says what the document says; the verdict is not taken again. */
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "reference/base/file.h"
#include "reports/check.h"
#include "reports/formats.h"

#define BUDGET ((size_t)1 << 30)

static struct qw_json *read_document(const char *path, struct qw_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    struct qw_json *document = qw_file_read(&bytes, &size, path, BUDGET, error) ? qw_json_parse(bytes, size, "", error) : NULL;
    free(bytes);
    if (document && !rp_check(document, error)) {
        qw_json_free(document);
        document = NULL;
    }
    qw_error_in_file(error, path);
    return document;
}

/* -o FILE is the option of the format that has the file's suffix. */
static bool choose_format(struct cli_options *options)
{
    const struct rp_format *format = rp_format_of_file(options->output);
    if (format)
        options->file[format - rp_format_at(0)] = options->output;
    return format || !strcmp(options->output, "-");
}

int cli_report(const struct cli_options *given)
{
    struct cli_options options = *given;
    struct qw_error error = {0};
    if (options.count != 1)
        return cli_complain(QC_EXIT_USAGE, "name one result; see qconform help report");
    if (options.output && !choose_format(&options))
        return cli_complain(QC_EXIT_USAGE, "no format has the suffix of %s; see qconform help report", options.output);
    struct qw_json *document = read_document(options.operand[0], &error);
    if (!document)
        return cli_complain_error(&error);
    int code = cli_show(document, &options, QC_EXIT_OK);
    qw_json_free(document);
    return code;
}
