/* Invariant: every line comes from a table of the program. */
#include <stdio.h>

#include "harness/cli/cli.h"
#include "harness/compare/noise.h"

static const struct {
    int code;
    const char *meaning;
} exits[] = {{0, "everything that was judged conforms"},
             {1, "at least one case fails"},
             {2, "bad verb, option or combination"},
             {3, "an input could not be read or violates its format"},
             {4, "nothing was selected, or nothing was comparable"},
             {5, "no failure seen, but a case ended as ERROR, TIMEOUT or CRASH"},
             {70, "a bug in the program"},
             {74, "a requested output could not be written"}};

static int help_on_verb(const struct cli_verb *verb)
{
    printf("qconform %s %s\n  %s\n\noptions:\n", verb->name, verb->synopsis, verb->summary);
    cli_options_help(verb->takes);
    return 0;
}

int cli_help(const struct cli_options *options)
{
    const struct cli_verb *verb = options->count ? cli_verb_find(options->operand[0]) : NULL;
    if (verb)
        return help_on_verb(verb);
    if (options->count)
        return cli_complain(QC_EXIT_USAGE, "there is no verb \"%s\"; see qconform help", options->operand[0]);
    printf("qconform %s: finds out why a prompt-tuned Qwen model does not do what it was trained to do\n\n", QC_VERSION);
    for (int i = 0; i < cli_verb_count(); i++)
        printf("  %-10s %-14s %s\n", cli_verb_at(i)->name, cli_verb_at(i)->synopsis, cli_verb_at(i)->summary);
    printf("\nexit status:\n");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        printf("  %3d  %s\n", exits[i].code, exits[i].meaning);
    printf("\nTo begin: qconform diagnose run.h5 --html report.html\n");
    return 0;
}

int cli_version(const struct cli_options *options)
{
    if (!options->json)
        return printf("qconform %s\n", QC_VERSION) > 0 ? 0 : QC_EXIT_OUTPUT;
    struct qw_json *document = qw_json_object();
    qw_json_put_text(document, "schema", "qconform-version/1");
    qw_json_put_text(document, "name", "qconform");
    qw_json_put_text(document, "version", QC_VERSION);
    qw_json_put_text(document, "result_schema", "qconform-result/1");
    qw_json_put_int(document, "recording_version", 1);
    qw_json_put_real(document, "noise_multiple", QC_NOISE_MULTIPLE);
    int code = cli_print_json(document);
    qw_json_free(document);
    return code;
}
