/* Invariant: one table says which variables there are; they are read once, before the flags. */
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"

extern char **environ;

static bool read_log(struct cli_options *options, const char *text)
{
    int choice = cli_choose("quiet|info|debug", text);
    options->verbosity = choice - 1;
    return choice >= 0;
}

static bool read_threads(struct cli_options *options, const char *text) { return cli_read_jobs(&options->jobs, text); }

static bool read_fixtures(struct cli_options *options, const char *text)
{
    (void)options;
    return text[0] != 0;
}

static const struct {
    const char *name, *values, *meaning;
    bool (*read)(struct cli_options *options, const char *text);
} variables[] = {
#define VARIABLE(name, values, meaning, read) {name, values, meaning, read},
#include "harness/cli/environment.def"
#undef VARIABLE
};
enum { VARIABLES = sizeof variables / sizeof *variables };

static bool is_known(const char *name)
{
    for (int i = 0; i < VARIABLES; i++)
        if (!strcmp(name, variables[i].name))
            return true;
    return false;
}

/* A misspelt variable would do nothing without a word. */
static void warn_of_unknown(void)
{
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, "QCONFORM_", strlen("QCONFORM_")))
            continue;
        char *name = qw_format("%.*s", (int)strcspn(*entry, "="), *entry);
        struct qw_guess guess = qw_guess_for(name);
        for (int i = 0; i < VARIABLES; i++)
            qw_guess_offer(&guess, variables[i].name);
        if (!is_known(name))
            cli_complain(QC_EXIT_OK, "the variable %s is not known and does nothing%s; see qconform help environment", name,
                         qw_guess_text(&guess, ""));
        free(name);
    }
}

bool cli_environment_read(struct cli_options *options)
{
    warn_of_unknown();
    for (int i = 0; i < VARIABLES; i++) {
        const char *text = getenv(variables[i].name);
        if (text && !variables[i].read(options, text))
            return cli_complain(QC_EXIT_USAGE, "%s=\"%s\" is no value for it (%s); see qconform help environment",
                                variables[i].name, text, variables[i].values),
                   false;
    }
    return true;
}

void cli_environment_describe(struct qw_text *out)
{
    for (int i = 0; i < VARIABLES; i++) {
        const char *text = getenv(variables[i].name);
        qw_text_addf(out, "%-20s %-18s %s%s%s\n", variables[i].name, variables[i].values, variables[i].meaning,
                     text ? "; now " : "", text ? text : "");
    }
}

void cli_environment_put(struct qw_json *document)
{
    struct qw_json *array = qw_json_put(document, "environment", qw_json_array());
    for (int i = 0; i < VARIABLES; i++) {
        struct qw_json *row = qw_json_add(array, qw_json_object());
        qw_json_put_text(row, "id", variables[i].name);
        qw_json_put_text(row, "title", variables[i].meaning);
        qw_json_put_text(row, "values", variables[i].values);
        qw_json_put_text(row, "value", getenv(variables[i].name));
    }
}

const char *cli_fixtures(void)
{
    const char *folder = getenv("QCONFORM_FIXTURES");
    return folder ? folder : "fixtures";
}
