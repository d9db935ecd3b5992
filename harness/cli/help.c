/* Invariant: every line comes from a table of the program. */
#include <stdio.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "harness/compare/noise.h"

static void add_options(struct qw_text *out, unsigned takes)
{
    for (int i = 0; i < cli_option_count(); i++) {
        struct cli_option option = cli_option_at(i);
        char left[80], brief[8] = "    ";
        if (!(option.group & takes))
            continue;
        if (option.code < 256)
            snprintf(brief, sizeof brief, "-%c, ", option.code);
        snprintf(left, sizeof left, "%s--%s%s%s", brief, option.name, option.value && option.value[0] != '[' ? " " : "",
                 option.value ? option.value : "");
        qw_text_addf(out, "  %-36s %s\n", left, option.help);
    }
}

static int print_and_free(struct qw_text *text)
{
    int code = cli_print(text->bytes);
    qw_text_free(text);
    return code;
}

int cli_help_on(const struct cli_verb *verb)
{
    struct qw_text text = {0};
    qw_text_addf(&text, "qconform %s%s%s\n  %s\n\noptions:\n", verb->name, verb->synopsis[0] ? " " : "", verb->synopsis,
                 verb->summary);
    add_options(&text, verb->takes);
    qw_text_add(&text, "\nexamples:\n");
    for (const char *line = verb->examples; *line; line += strspn(line, "\n")) {
        qw_text_addf(&text, "  %.*s\n", (int)strcspn(line, "\n"), line);
        line += strcspn(line, "\n");
    }
    return print_and_free(&text);
}

static int help_on_environment(void)
{
    struct qw_text text = {0};
    qw_text_add(&text, "A flag wins over the environment; NO_COLOR, TERM and SOURCE_DATE_EPOCH are honoured.\n\n");
    cli_environment_describe(&text);
    return print_and_free(&text);
}

int cli_help(const struct cli_options *options)
{
    const struct cli_verb *verb = options->count ? cli_verb_find(options->operand[0]) : NULL;
    struct qw_text text = {0};
    const char *name, *meaning;
    if (verb)
        return cli_help_on(verb);
    if (options->count && !strcmp(options->operand[0], "environment"))
        return help_on_environment();
    if (options->count)
        return cli_unknown_verb(options->operand[0]);
    qw_text_addf(&text, "qconform %s: finds out why a prompt-tuned Qwen model does not do what it was trained to do\n\n",
                 QC_VERSION);
    for (int i = 0; i < cli_verb_count(); i++)
        qw_text_addf(&text, "  %-10s %-18s %s\n", cli_verb_at(i)->name, cli_verb_at(i)->synopsis, cli_verb_at(i)->summary);
    qw_text_add(&text, "\nexit status:\n");
    for (int code = 0; code < 256; code++)
        if (qc_exit_words(&name, &meaning, code))
            qw_text_addf(&text, "  %3d  %s\n", code, meaning);
    qw_text_add(&text, "\nTo begin: qconform diagnose run.h5 --html report.html\n");
    return print_and_free(&text);
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
