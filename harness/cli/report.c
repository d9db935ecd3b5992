/* Invariant: a report says what the document says; the verdict is not taken again. */
#include "harness/cli/cli.h"

int cli_report(const struct cli_options *given)
{
    struct cli_options options = *given;
    struct qw_error error = {0};
    if (options.count != 1)
        return cli_complain(QC_EXIT_USAGE, "name one result; see qconform help report");
    if (options.output && !cli_choose_format(&options))
        return QC_EXIT_USAGE;
    struct qw_json *document = cli_read_result(options.operand[0], &error);
    if (!document)
        return cli_complain_error(&error);
    int code = cli_show(document, &options, QC_EXIT_OK);
    qw_json_free(document);
    return code;
}
