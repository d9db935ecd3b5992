/* The command line: a table of verbs, one parser of options, one file per verb. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "harness/worker/document.h"
#include "reference/base/error.h"
#include "reference/base/json.h"

#define CLI_MOST_FORMATS 16

enum cli_progress { CLI_PROGRESS_NONE, CLI_PROGRESS_PLAIN, CLI_PROGRESS_BAR };

/* Groups of options; a verb says which it takes. */
enum cli_takes { CLI_COMMON = 1, CLI_JSON = 2, CLI_FORMATS = 4, CLI_WEIGHTS = 8, CLI_OUTPUT = 16 };

struct cli_options {
    int verbosity; /* -1, 0, 1 */
    bool color;
    enum cli_progress progress;
    int jobs;
    bool json;
    const char *output;                   /* -o */
    const char *model, *adapter;          /* --model, --adapter */
    const char *file[CLI_MOST_FORMATS];   /* by format of reports/formats.def; NULL: not asked for */
    int count;                            /* operands */
    char **operand;
    int argc; /* the whole command line */
    char **argv;
};

struct cli_verb {
    const char *name;
    int (*run)(const struct cli_options *options);
    const char *synopsis, *summary;
    unsigned takes;
};

int cli_verb_count(void);
const struct cli_verb *cli_verb_at(int index);
const struct cli_verb *cli_verb_find(const char *name); /* NULL when unknown */

#define VERB(name, function, synopsis, summary, takes) int function(const struct cli_options *options);
#include "harness/cli/verbs.def"
#undef VERB

/* Parses what follows the verb; false after a message on stderr (exit 2). */
bool cli_options_read(struct cli_options *options, const struct cli_verb *verb, int argc, char **argv);
/* Prints the options that a verb takes. */
void cli_options_help(unsigned takes);

/* "qconform: …" on stderr; gives `code`. */
int cli_complain(enum qc_exit code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_complain_error(const struct qw_error *error);

/* Text on stdout; 0, or QC_EXIT_OUTPUT after a message. */
int cli_print(const char *text);
int cli_print_json(const struct qw_json *document);

/* Runs the tasks (harness/worker/worker.h) and, unless it is to be quiet, says on stderr what does not confine the workers. */
void cli_workers_run(struct qw_json **answers, const struct qc_task *tasks, int count, struct qc_workers *workers,
                     const struct cli_options *options);

/* Writes the formats that were asked for and shows the document on the terminal (or as JSON).  Gives `code`, or
 * QC_EXIT_OUTPUT when something could not be written. */
int cli_show(const struct qw_json *document, const struct cli_options *options, enum qc_exit code);

#endif
