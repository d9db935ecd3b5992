/* Invariant: one table describes every option: its group, its help, where its value goes. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/cli/cli.h"
#include "harness/suite/words.h"
#include "reports/formats.h"

enum {
    FIRST_FORMAT = 1000,
    FIRST_RECORDER = 2000,
    COLOR = 256,
    PROGRESS,
    JSON,
    MODEL,
    ADAPTER,
    STEPS,
    LAYERS,
    SITE,
    PRECISION,
    FLOOR,
    FILTER,
    PAIRS,
    OUT,
    SHARD,
    RESUME,
    BASELINE,
    WRITE_BASELINE,
    FAIL_FAST,
    TIMEOUT,
    DRY_RUN,
    LIST
};

static const struct cli_option rows[] = {
    {"quiet", NULL, "only the closing lines", 'q', CLI_COMMON},
    {"verbose", NULL, "evidence, sites and findings too", 'v', CLI_COMMON},
    {"help", NULL, "this text", 'h', CLI_COMMON},
    {"color", "auto|always|never", "colours (NO_COLOR is honoured)", COLOR, CLI_COMMON},
    {"progress", "auto|bar|plain|none", "progress on stderr; auto: a bar on a terminal, elsewhere run has a line a case",
     PROGRESS, CLI_COMMON},
    {"jobs", "N", "recordings judged at once", 'j', CLI_COMMON},
    {"json", NULL, "the document on stdout and nothing else", JSON, CLI_JSON},
    {"model", "DIR", "model folder, instead of what the recording says", MODEL, CLI_WEIGHTS},
    {"adapter", "DIR", "adapter folder, instead of what the recording says", ADAPTER, CLI_WEIGHTS},
    {"steps", "FROM-TO", "only these forward calls: 0-4, 2, 2-, -3", STEPS, CLI_SELECTION},
    {"layers", "FROM-TO", "only what lies in these blocks", LAYERS, CLI_SELECTION},
    {"site", "GLOB", "only sites of that name: 'self_attn.*'", SITE, CLI_SELECTION},
    {"precision", "auto|f32|f64", "arithmetic of the run; auto: the recorded dtype", PRECISION, CLI_SELECTION},
    {"floor", NULL, "rounding is no difference: up to the noise floor of the first recording", FLOOR, CLI_FLOOR},
    {"filter", "GLOB", "only such ids: 'prefix-*'; run: !TERM, KEY=GLOB (requirement source suite recording tag cause)", FILTER,
     CLI_PLANTS | CLI_SUITE},
    {"pairs", NULL, "plant two causes at once as well", PAIRS, CLI_PLANTS},
    {"out", "DIR", "folder for journal and result.json (default: qconform-out)", OUT, CLI_SUITE},
    {"shard", "I/N", "only the I-th of N parts, into DIR/shard-I-of-N; merge joins them", SHARD, CLI_SUITE},
    {"resume", NULL, "go on where the journal of an earlier run ends", RESUME, CLI_SUITE},
    {"baseline", "FILE", "failures that are known, instead of what the suites name; none: none", BASELINE, CLI_SUITE},
    {"write-baseline", "FILE", "write the failures of this run as a baseline", WRITE_BASELINE, CLI_SUITE},
    {"fail-fast", "[=N]", "stop at the first, or N-th, case that fails unexpectedly", FAIL_FAST, CLI_SUITE},
    {"timeout", "TIME", "how long a case may take: 500ms, 30s, 5m (default: 10m)", TIMEOUT, CLI_SUITE},
    {"dry-run", NULL, "check suites, baseline and recordings, say what would run, judge nothing", DRY_RUN, CLI_SUITE},
    {"list", NULL, "print the selected cases", LIST, CLI_SUITE},
    {"output", "FILE", "write there (- for stdout), in the format of the suffix", 'o', CLI_OUTPUT},
    {"output", "FILE", "the recording to write (default: run.h5)", 'o', CLI_RECORD},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* What the recorder reads itself (fixtures/recorder/qconform_recorder/__main__.py); a test holds the two against each other. */
static const struct {
    const char *name, *value, *help;
} recorder[] = {
    {"force", NULL, "replace the recording if it is there"},
    {"level", "shapes|stats|blocks|modules", "what is kept of each tensor (default: modules, every value)"},
    {"max-size", "SIZE", "the largest file to write: 500k, 20M, 2G; a larger run is refused before it begins"},
    {"logits-rows", "ROWS", "only these positions of the logits: -1 (the last), 0,5,6"},
    {"cache-rows", "all|appended", "appended: of a cache only what each step appended"},
    {"no-prompt-values", NULL, "with shapes and stats: of the trained virtual tokens only what they look like"},
    {"weights", NULL, "embed the weights"},
    {"no-weights", NULL, "leave the weights out"},
    {"model-dir", "DIR", "name this folder for the model's weights"},
    {"adapter-dir", "DIR", "name this folder for the adapter's weights"},
};
enum { RECORDER_ROWS = sizeof recorder / sizeof *recorder };
_Static_assert(RECORDER_ROWS <= CLI_MOST_RECORDER, "each has its place in cli_options");

int cli_option_count(void) { return ROWS + RECORDER_ROWS + (int)rp_format_count(); }

struct cli_option cli_option_at(int index)
{
    int own = index - ROWS, output = own - RECORDER_ROWS;
    if (own < 0)
        return rows[index];
    if (output < 0)
        return (struct cli_option){recorder[own].name, recorder[own].value, recorder[own].help, FIRST_RECORDER + own, CLI_RECORD};
    const struct rp_format *format = rp_format_at((size_t)output);
    return (struct cli_option){format->option + 2, format->value, format->summary, FIRST_FORMAT + output, CLI_FORMATS};
}

char *cli_recorder_word(const struct cli_options *options, int index)
{
    const char *value = options->recorder[index];
    return !value ? NULL : qw_format("--%s%s%s", recorder[index].name, recorder[index].value ? "=" : "", value);
}

static void collect_long_options(struct option *out)
{
    for (int i = 0; i < cli_option_count(); i++) {
        struct cli_option option = cli_option_at(i);
        int takes = !option.value ? no_argument : option.value[0] == '[' ? optional_argument : required_argument;
        out[i] = (struct option){option.name, takes, NULL, option.code};
    }
}

static unsigned groups_of(int code)
{
    unsigned groups = 0;
    for (int i = 0; i < cli_option_count(); i++)
        if (cli_option_at(i).code == code)
            groups |= cli_option_at(i).group;
    return groups;
}

int cli_choose(const char *words, const char *text)
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
    int choice = cli_choose("auto|always|never", text);
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool automatic = isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && !(term && !strcmp(term, "dumb"));
    options->color = choice == 0 ? automatic : choice == 1;
    return choice >= 0;
}

static bool read_progress(struct cli_options *options, const char *text)
{
    int choice = cli_choose("auto|bar|plain|none", text);
    options->progress = (enum cli_progress)choice; /* in that order */
    return choice >= 0;
}

bool cli_read_jobs(int *jobs, const char *text)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    *jobs = (int)number;
    return !errno && isdigit((unsigned char)text[0]) && !*end && number >= 1 && number <= 256;
}

static bool read_precision(struct cli_options *options, const char *text)
{
    static const char *const chosen[] = {NULL, "f32", "f64"};
    int choice = cli_choose("auto|f32|f64", text);
    options->selection.precision = choice > 0 && choice < (int)(sizeof chosen / sizeof *chosen) ? chosen[choice] : NULL;
    return choice >= 0;
}

static bool read_count(int *count, const char *text)
{
    char *end;
    long number = strtol(text ? text : "1", &end, 10);
    *count = (int)number;
    return !*end && number >= 1 && number <= 1000000 && (!text || isdigit((unsigned char)text[0]));
}

static bool take(struct cli_options *options, int code, char *value)
{
    if (code >= FIRST_RECORDER)
        return options->recorder[code - FIRST_RECORDER] = value ? value : "", true;
    if (code >= FIRST_FORMAT)
        return options->file[code - FIRST_FORMAT] = value ? value : "", true;
    switch (code) {
    case 'q': options->verbosity = -1; return true;
    case 'h': options->help = true; return true;
    case 'v': options->verbosity = 1; return true;
    case COLOR: return read_color(options, value);
    case PROGRESS: return read_progress(options, value);
    case 'j': return cli_read_jobs(&options->jobs, value);
    case JSON: options->json = true; return true;
    case MODEL: options->places.model = value; return true;
    case ADAPTER: options->places.adapter = value; return true;
    case STEPS: return qc_range_read(&options->selection.first_step, &options->selection.last_step, value);
    case LAYERS: return qc_range_read(&options->selection.first_layer, &options->selection.last_layer, value);
    case SITE: options->selection.site = value; return true;
    case PRECISION: return read_precision(options, value);
    case FILTER: options->filter = value; return true;
    case PAIRS: options->pairs = true; return true;
    case FLOOR: options->floor = true; return true;
    case OUT: options->run.out = value; return true;
    case SHARD: return qc_shard_read(&options->run.shard, &options->run.shards, value);
    case RESUME: options->run.resume = true; return true;
    case BASELINE: options->run.baseline = value; return true;
    case WRITE_BASELINE: options->run.write_baseline = value; return true;
    case FAIL_FAST: return read_count(&options->run.fail_fast, value);
    case TIMEOUT: return qc_duration_read(&options->run.timeout, value);
    case DRY_RUN: options->run.dry_run = true; return true;
    case LIST: options->run.list = true; return true;
    case 'o': options->output = value; return true;
    default: return false;
    }
}

static int default_jobs(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > 256 ? 256 : (int)online;
}

/* No such option: the nearest of those that the verb takes. */
static int unknown_option(const struct cli_verb *verb, const char *given)
{
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    struct qw_guess guess = qw_guess_for(name + strspn(name, "-"));
    for (int i = 0; i < cli_option_count(); i++)
        if (cli_option_at(i).group & verb->takes)
            qw_guess_offer(&guess, cli_option_at(i).name);
    return cli_complain(QC_EXIT_USAGE, "there is no option %s%s; see qconform help %s", name, qw_guess_text(&guess, "--"),
                        verb->name);
}

static bool read_option(struct cli_options *options, const struct cli_verb *verb, int code, const char *given)
{
    if (code == '?')
        return unknown_option(verb, given), false;
    if (code == ':')
        return cli_complain(QC_EXIT_USAGE, "%s needs a value; see qconform help %s", given, verb->name), false;
    if (!(groups_of(code) & verb->takes))
        return cli_complain(QC_EXIT_USAGE, "%s does not take %s; see qconform help %s", verb->name, given, verb->name), false;
    if (!take(options, code, optarg))
        return cli_complain(QC_EXIT_USAGE, "\"%s\" is no value for that option; see qconform help %s", optarg ? optarg : "",
                            verb->name),
               false;
    return true;
}

/* One document at most may stand on standard output. */
static bool settle_output(struct cli_options *options)
{
    int documents = options->json;
    for (size_t i = 0; i < rp_format_count(); i++)
        documents += options->file[i] && !strcmp(options->file[i], "-") && rp_format_at(i)->parts[0].place == RP_TO_FILE;
    options->taken = documents > 0;
    return documents <= 1 ||
           (cli_complain(QC_EXIT_USAGE, "only one document can be written to standard output (--json, or a format "
                                        "that goes to -); name files for the others"),
            false);
}

bool cli_options_read(struct cli_options *options, const struct cli_verb *verb, int argc, char **argv)
{
    struct option longs[ROWS + RECORDER_ROWS + CLI_MOST_FORMATS + 1] = {0};
    *options = (struct cli_options){
        .jobs = default_jobs(), .selection = qc_selection_all(), .run = {.out = "qconform-out"}, .argc = argc, .argv = argv};
    read_color(options, "auto");
    read_progress(options, "auto");
    if (!cli_environment_read(options))
        return false;
    collect_long_options(longs);
    optind = 2;
    opterr = 0;
    /* What stands behind a command is the command's. */
    const char *shorts = verb->takes & CLI_RECORD ? "+:qvhj:o:" : ":qvhj:o:";
    for (int code; argc > 1 && (code = getopt_long(argc, argv, shorts, longs, NULL)) != -1;)
        if (!read_option(options, verb, code, argv[optind - 1]))
            return false;
    options->operand = argv + (argc > 1 ? optind : 1);
    options->count = argc > 1 ? argc - optind : 0;
    return settle_output(options);
}
