/* The command line: a table of verbs, one parser of options, one file per verb. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "harness/worker/document.h"
#include "harness/worker/task.h"
#include "reference/base/error.h"
#include "reference/base/guess.h"
#include "reference/base/json.h"
#include "reference/base/text.h"

#define CLI_MOST_FORMATS     16
#define CLI_MOST_RECORDER    16
#define CLI_SECONDS_PER_CASE 600.0

enum cli_progress { CLI_PROGRESS_AUTO, CLI_PROGRESS_BAR, CLI_PROGRESS_PLAIN, CLI_PROGRESS_NONE };

/* Groups of options; a verb says which it takes. */
enum cli_takes {
    CLI_COMMON = 1,
    CLI_JSON = 2,
    CLI_FORMATS = 4,
    CLI_WEIGHTS = 8,
    CLI_OUTPUT = 16,
    CLI_SELECTION = 32,
    CLI_FLOOR = 64,
    CLI_PLANTS = 128,
    CLI_SUITE = 256,
    CLI_RECORD = 512
};

/* What `run` is asked beside the suites. */
struct cli_run {
    const char *out;            /* --out */
    int shard, shards;          /* --shard, from 1; 0: all */
    bool resume;                /* --resume */
    const char *baseline;       /* --baseline; NULL: those that the suites name; "none": none */
    const char *write_baseline; /* --write-baseline */
    int fail_fast;              /* --fail-fast: cases that may fail unexpectedly before the rest is given up; 0: all */
    double timeout;             /* --timeout, seconds; 0: not given */
    bool dry_run, list;         /* --dry-run, --list */
};

struct cli_options {
    int verbosity; /* -1, 0, 1 */
    bool help;     /* --help: on the verb, instead of running it */
    bool color;
    enum cli_progress progress;
    int jobs;
    bool json;
    const char *output;            /* -o */
    struct qc_places places;       /* --model, --adapter */
    struct qc_selection selection; /* --steps, --layers, --site, --precision */
    bool floor;                    /* --floor */
    const char *filter;            /* --filter */
    bool pairs;                    /* --pairs */
    struct cli_run run;
    const char *recorder[CLI_MOST_RECORDER]; /* what cli_recorder_word gives; NULL: not given */
    const struct qw_json *written;           /* files that the verb has written itself, for the closing lines; NULL: none */
    /* By format of reports/formats.def: the value, "" where it takes none; NULL: not asked for. */
    const char *file[CLI_MOST_FORMATS];
    bool taken; /* standard output holds a document: --json, or a format that goes to "-" */
    int count;  /* operands */
    char **operand;
    int argc; /* the whole command line */
    char **argv;
};

struct cli_verb {
    const char *name;
    int (*run)(const struct cli_options *options);
    const char *synopsis, *summary;
    unsigned takes;
    const char *examples; /* command lines, one a line */
};

/* An option, as the help and the completions show it. */
struct cli_option {
    const char *name, *value, *help; /* "jobs", "N" or "auto|always|never" or "[=N]" or NULL, one line */
    int code;                        /* the short form where below 256 */
    unsigned group;                  /* of enum cli_takes */
};

int cli_verb_count(void);
const struct cli_verb *cli_verb_at(int index);
const struct cli_verb *cli_verb_find(const char *name); /* NULL when unknown */

#define VERB(name, function, synopsis, summary, takes, examples) int function(const struct cli_options *options);
#include "harness/cli/verbs.def"
#undef VERB

/* Parses what follows the verb; false after a message on stderr (exit 2). */
bool cli_options_read(struct cli_options *options, const struct cli_verb *verb, int argc, char **argv);
/* Every option, the output formats too; a verb has those whose group it takes. */
int cli_option_count(void);
struct cli_option cli_option_at(int index);
/* The index-th option that `record` passes on to the recorder, below CLI_MOST_RECORDER: "--level=shapes", "--force", or NULL
 * when it was not given.  Free with free(). */
char *cli_recorder_word(const struct cli_options *options, int index);

/* The variables of harness/cli/environment.def.  `read` applies them (a flag that comes later wins) and warns of unknown
 * QCONFORM_* ones; false after a message on stderr for a bad value (exit 2). */
bool cli_environment_read(struct cli_options *options);
/* Adds one line a variable: name, value, meaning; or an array "environment" of the same. */
void cli_environment_describe(struct qw_text *out);
void cli_environment_put(struct qw_json *document);
/* The folder of fixtures: QCONFORM_FIXTURES, else "fixtures". */
const char *cli_fixtures(void);

/* "A number from 1 to 256"; false for anything else. */
bool cli_read_jobs(int *jobs, const char *text);
/* Index of `text` in a list of words separated by '|', or -1. */
int cli_choose(const char *words, const char *text);

/* What `list` lists and `explain` explains: rows are objects with at least "id" and "title" (harness/cli/topics.def). */
struct cli_topic {
    const char *name, *kind, *summary;            /* "causes", "cause", one line */
    struct qw_json *(*rows)(struct qw_text *why); /* an array; `why` says what was not found, if anything */
};
int cli_topic_count(void);
const struct cli_topic *cli_topic_at(int index);

#define TOPIC(name, kind, summary, function) struct qw_json *function(struct qw_text *why);
#include "harness/cli/topics.def"
#undef TOPIC

/* Prints the help on a verb. */
int cli_help_on(const struct cli_verb *verb);

/* Says that there is no such verb, with the nearest; gives QC_EXIT_USAGE. */
int cli_unknown_verb(const char *name);

/* The folder of the recorder's Python package beside this program, which Python can be started on; NULL when there is none.
 * Free with free(). */
char *cli_recorder_find(void);

/* "qconform: …" on stderr, one line whatever the arguments hold; gives `code`. */
int cli_complain(enum qc_exit code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_complain_error(const struct qw_error *error);

/* Text on stdout; 0, or QC_EXIT_OUTPUT after a message. */
int cli_print(const char *text);
int cli_print_json(const struct qw_json *document);
/* Columns of the terminal that stdout is; 0: it is none. */
int cli_terminal_width(void);

/* Runs the tasks (harness/worker/worker.h) and, unless it is to be quiet, says on stderr what does not confine the workers. */
void cli_workers_run(struct qw_json **answers, const struct qc_task *tasks, int count, struct qc_workers *workers,
                     const struct cli_options *options);

/* Reads a result document and checks it; NULL with the error.  Free with qw_json_free. */
struct qw_json *cli_read_result(const char *path, struct qw_error *error);
/* -o FILE is the option of the format that has the file's suffix, -o - is none; false after a message (exit 2). */
bool cli_choose_format(struct cli_options *options);

/* Writes the formats that were asked for and shows the document on the terminal (or as JSON); a format that is written to
 * standard output stands there alone.  Gives `code`, or QC_EXIT_OUTPUT when something could not be written. */
int cli_show(const struct qw_json *document, const struct cli_options *options, enum qc_exit code);

#endif
