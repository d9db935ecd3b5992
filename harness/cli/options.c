/* Invariant: one table describes every option: its group, its help, where its value goes. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/cli/cli.h"
#include "reports/formats.h"

enum { FIRST_FORMAT = 1000, COLOR = 256, PROGRESS, JSON, MODEL, ADAPTER };

static const struct {
    const char *name, *value, *help;
    int code;
    unsigned group;
} rows[] = {
    {"quiet", NULL, "only the closing lines", 'q', CLI_COMMON},
    {"verbose", NULL, "evidence, sites and findings too", 'v', CLI_COMMON},
    {"color", "auto|always|never", "colours (NO_COLOR is honoured)", COLOR, CLI_COMMON},
    {"progress", "auto|bar|plain|none", "progress on stderr", PROGRESS, CLI_COMMON},
    {"jobs", "N", "recordings judged at once", 'j', CLI_COMMON},
    {"json", NULL, "the document on stdout and nothing else", JSON, CLI_JSON},
    {"model", "DIR", "model folder, instead of what the recording says", MODEL, CLI_WEIGHTS},
    {"adapter", "DIR", "adapter folder, instead of what the recording says", ADAPTER, CLI_WEIGHTS},
    {"output", "FILE|-", "write there, in the format of the suffix", 'o', CLI_OUTPUT},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void collect_long_options(struct option *out)
{
    for (int i = 0; i < ROWS; i++)
        out[i] = (struct option){rows[i].name, rows[i].value ? required_argument : no_argument, NULL, rows[i].code};
    for (size_t i = 0; i < rp_format_count(); i++)
        out[ROWS + i] = (struct option){rp_format_at(i)->option + 2, required_argument, NULL, FIRST_FORMAT + (int)i};
}

static unsigned group_of(int code)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].code == code)
            return rows[i].group;
    return code >= FIRST_FORMAT ? CLI_FORMATS : 0;
}

/* Index of `text` in a list of words separated by '|', or -1. */
static int choose(const char *words, const char *text)
{
    int index = 0;
    for (const char *word = words; *word; index++) {
        size_t length = strcspn(word, "|");
        if (strlen(text) == length && !strncmp(word, text, length))
            return index;
        word += length + (word[length] == '|');
    }
    return -1;
}

static bool read_color(struct cli_options *options, const char *text)
{
    int choice = choose("auto|always|never", text);
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool automatic = isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && !(term && !strcmp(term, "dumb"));
    options->color = choice == 0 ? automatic : choice == 1;
    return choice >= 0;
}

static bool read_progress(struct cli_options *options, const char *text)
{
    static const enum cli_progress chosen[] = {CLI_PROGRESS_NONE, CLI_PROGRESS_BAR, CLI_PROGRESS_PLAIN, CLI_PROGRESS_NONE};
    int choice = choose("auto|bar|plain|none", text);
    options->progress = choice == 0 ? (isatty(STDERR_FILENO) ? CLI_PROGRESS_BAR : CLI_PROGRESS_NONE) : choice > 0 ? chosen[choice] : CLI_PROGRESS_NONE;
    return choice >= 0;
}

static bool read_jobs(struct cli_options *options, const char *text)
{
    char *end;
    errno = 0;
    long jobs = strtol(text, &end, 10);
    options->jobs = (int)jobs;
    return !errno && isdigit((unsigned char)text[0]) && !*end && jobs >= 1 && jobs <= 256;
}

static bool take(struct cli_options *options, int code, char *value)
{
    if (code >= FIRST_FORMAT)
        return options->file[code - FIRST_FORMAT] = value, true;
    switch (code) {
    case 'q': options->verbosity = -1; return true;
    case 'v': options->verbosity = 1; return true;
    case COLOR: return read_color(options, value);
    case PROGRESS: return read_progress(options, value);
    case 'j': return read_jobs(options, value);
    case JSON: options->json = true; return true;
    case MODEL: options->model = value; return true;
    case ADAPTER: options->adapter = value; return true;
    case 'o': options->output = value; return true;
    default: return false;
    }
}

static int default_jobs(void)
{
    const char *threads = getenv("QCONFORM_THREADS");
    struct cli_options probe;
    if (threads && read_jobs(&probe, threads))
        return probe.jobs;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > 256 ? 256 : (int)online;
}

bool cli_options_read(struct cli_options *options, const struct cli_verb *verb, int argc, char **argv)
{
    struct option longs[ROWS + CLI_MOST_FORMATS + 1] = {0};
    *options = (struct cli_options){.jobs = default_jobs(), .argc = argc, .argv = argv};
    read_color(options, "auto");
    read_progress(options, "auto");
    collect_long_options(longs);
    optind = 2;
    opterr = 0;
    for (int code; argc > 1 && (code = getopt_long(argc, argv, ":qvj:o:", longs, NULL)) != -1;) {
        const char *given = argv[optind - 1];
        if (code == ':' || code == '?')
            return cli_complain(QC_EXIT_USAGE, code == ':' ? "%s needs a value; see qconform help %s"
                                                          : "there is no option %s; see qconform help %s", given, verb->name), false;
        if (!(group_of(code) & verb->takes))
            return cli_complain(QC_EXIT_USAGE, "%s does not take %s; see qconform help %s", verb->name, given, verb->name), false;
        if (!take(options, code, optarg))
            return cli_complain(QC_EXIT_USAGE, "\"%s\" is no value for that option; see qconform help %s", optarg, verb->name), false;
    }
    options->operand = argv + (argc > 1 ? optind : 1);
    options->count = argc > 1 ? argc - optind : 0;
    return true;
}

void cli_options_help(unsigned takes)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].group & takes) {
            char left[80];
            bool has_short = rows[i].code < 256;
            snprintf(left, sizeof left, "%s%c%s--%s%s%s", has_short ? "-" : "  ", has_short ? rows[i].code : ' ', has_short ? ", " : " ",
                     rows[i].name, rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
            printf("  %-36s %s\n", left, rows[i].help);
        }
    for (size_t i = 0; takes & CLI_FORMATS && i < rp_format_count(); i++) {
        char left[80];
        snprintf(left, sizeof left, "    %s FILE", rp_format_at(i)->option);
        printf("  %-36s %s\n", left, rp_format_at(i)->summary);
    }
}
