/* Invariant: nothing is judged, written or opened here; what is said follows from the plan. */
#include "harness/cli/run_show.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/suite/baseline.h"
#include "reports/columns.h"
#include "reports/escape.h"
#include "reports/view.h"

#define WIDTH 100

/* The next case of this shard from `index` on; NULL behind the last. */
static const struct qc_suite_case *next_mine(const struct qc_plan *plan, int *index)
{
    while (*index < plan->count && !qc_plan_is_mine(plan, *index))
        ++*index;
    return *index < plan->count ? plan->cases[(*index)++] : NULL;
}

static char *problem_of(const struct qc_suite_case *one)
{
    char words[2400];
    qw_error_text(words, sizeof words, &one->problem);
    return qw_format("%s", words);
}

struct counts {
    int cases, problems, expected;
    int64_t bytes;
};

static struct counts count(const struct qc_plan *plan)
{
    const struct qc_suite_case *one;
    struct counts counts = {0};
    for (int at = 0; (one = next_mine(plan, &at));) {
        counts.cases++;
        counts.problems += one->problem.kind != QW_ERROR_NONE;
        counts.expected += !one->problem.kind && one->expected;
        counts.bytes += one->problem.kind ? 0 : one->bytes;
    }
    return counts;
}

static int code_of(const struct counts *counts)
{
    return !counts->cases ? QC_EXIT_NOTHING : counts->problems ? QC_EXIT_INPUT : QC_EXIT_OK;
}

/* "1 case", "2 cases" */
static void add_count(struct qw_text *out, int count, const char *what)
{
    qw_text_addf(out, "%d %s%s", count, what, count == 1 ? "" : "s");
}

static void add_size(struct qw_text *out, int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        size /= 1024;
    qw_text_addf(out, "%.*f %s", unit && size < 100 ? 1 : 0, size, units[unit]);
}

/* ---- --list ---- */

static struct qw_json *row_of(const struct qc_suite_case *one)
{
    struct qw_json *row = qw_json_object(), *tags;
    qw_json_put_text(row, "id", one->id);
    qw_json_put_text(row, "title", one->requirement);
    qw_json_put_text(row, "source", one->source);
    qw_json_put_text(row, "suite", one->suite);
    qw_json_put_text(row, "recording", one->recording);
    qw_json_put_int(row, "bytes", one->bytes);
    tags = qw_json_put(row, "tags", qw_json_array());
    for (int i = 0; i < one->tag_count; i++)
        qw_json_add_text(tags, one->tags[i]);
    char *expected = one->expected ? qc_baseline_words(one->expected) : NULL;
    char *problem = one->problem.kind ? problem_of(one) : NULL;
    qw_json_put_text(row, "expected", expected);
    qw_json_put_text(row, "problem", problem);
    free(expected);
    free(problem);
    return row;
}

static struct qw_json *rows_of(const struct qc_plan *plan)
{
    struct qw_json *rows = qw_json_array();
    const struct qc_suite_case *one;
    for (int at = 0; (one = next_mine(plan, &at));)
        qw_json_add(rows, row_of(one));
    return rows;
}

/* Id and requirement, or why it cannot be judged: one line, cut at its end to `width` columns unless that is 0. */
static void add_line(struct qw_text *out, const struct qc_suite_case *one, size_t widest, size_t width)
{
    struct qw_text line = {0};
    char *problem = one->problem.kind ? problem_of(one) : NULL;
    rp_escape_terminal(&line, one->id);
    size_t taken = rp_columns(line.bytes);
    qw_text_addf(&line, "%*s  %s", taken < widest ? (int)(widest - taken) : 0, "", problem ? "ERROR  " : "");
    rp_escape_terminal(&line, problem ? problem : one->requirement);
    if (width && rp_columns(line.bytes) > width) {
        size_t bytes = 0, columns = 0;
        uint32_t code;
        for (; columns + 3 < width; columns++)
            bytes += rp_decode(&code, line.bytes + bytes);
        qw_text_addf(out, "%.*s...\n", (int)bytes, line.bytes);
    } else {
        qw_text_addf(out, "%s\n", line.bytes);
    }
    qw_text_free(&line);
    free(problem);
}

static void add_block(struct qw_text *out, const struct qc_suite_case *one, int width)
{
    struct qw_text size = {0};
    char *expected = one->expected ? qc_baseline_words(one->expected) : NULL;
    char *problem = one->problem.kind ? problem_of(one) : NULL;
    add_size(&size, one->bytes);
    char *recording = qw_format("%s, %s", one->recording ? one->recording : "", size.bytes);
    char *selection = qc_selection_text(&one->selection);
    struct {
        const char *label, *text;
    } const lines[] = {{"requirement", one->requirement},
                       {"source", one->source},
                       {"recording", one->bytes ? recording : one->recording},
                       {"suite", one->suite},
                       {"only", *selection ? selection : NULL},
                       {"expected", expected},
                       {"problem", problem}};
    rp_escape_terminal(out, one->id);
    qw_text_add(out, "\n");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (lines[i].text)
            rp_add_paragraph(out, lines[i].label, lines[i].text, width);
    qw_text_free(&size);
    free(selection);
    free(recording);
    free(expected);
    free(problem);
}

/* How wide the ids are, within reason. */
static size_t widest_id(const struct qc_plan *plan)
{
    enum { MOST = 60 };
    const struct qc_suite_case *one;
    size_t widest = 0;
    for (int at = 0; (one = next_mine(plan, &at));) {
        size_t columns = rp_columns(one->id);
        widest = columns > widest ? columns : widest;
    }
    return widest < MOST ? widest : MOST;
}

static int complain_of_nothing(void)
{
    return cli_complain(QC_EXIT_NOTHING,
                        "no case is selected; loosen --filter, the globs or --shard: qconform run --list without "
                        "them prints all cases");
}

static int print_lines(const struct qc_plan *plan, const struct cli_options *options)
{
    struct qw_text text = {0};
    const struct qc_suite_case *one;
    size_t widest = widest_id(plan), width = (size_t)cli_terminal_width();
    for (int at = 0; (one = next_mine(plan, &at));) {
        if (options->verbosity > 0)
            add_block(&text, one, width ? (int)width : WIDTH);
        else
            add_line(&text, one, widest, width);
    }
    int code = cli_print(text.bytes ? text.bytes : "");
    qw_text_free(&text);
    return code;
}

int cli_run_list(const struct qc_plan *plan, const struct cli_options *options)
{
    struct counts counts = count(plan);
    int shown;
    if (options->json) {
        struct qw_json *document = qw_json_object();
        qw_json_put_text(document, "schema", "qconform-list/1");
        qw_json_put_text(document, "topic", "suite");
        qw_json_put(document, "rows", rows_of(plan));
        shown = cli_print_json(document);
        qw_json_free(document);
    } else {
        shown = print_lines(plan, options);
    }
    if (!shown && !counts.cases)
        return complain_of_nothing();
    return shown ? shown : code_of(&counts);
}

/* ---- --dry-run ---- */

/* Each suite file with what it is about and how many cases it has; then the baselines. */
static void add_files(struct qw_text *out, const struct qw_json *files, const char *label, const char *what)
{
    for (const struct qw_json *f = qw_json_first(files); f; f = qw_json_next(f)) {
        struct qw_text line = {0};
        const char *title = qw_json_get_text(f, "title", NULL);
        qw_text_addf(&line, "%s: %s%s", qw_json_get_text(f, "file", ""), title ? title : "", title ? ", " : "");
        add_count(&line, (int)qw_json_get_int(f, "cases", 0), what);
        rp_add_paragraph(out, label, line.bytes, WIDTH);
        qw_text_free(&line);
        label = "";
    }
}

static void add_extent(struct qw_text *out, const struct qc_plan *plan, const struct counts *counts,
                       const struct cli_options *options, int judged_already)
{
    struct qw_text line = {0};
    add_count(&line, counts->cases, "case");
    if (plan->shards)
        qw_text_addf(&line, " of %d (shard %d of %d)", plan->count, plan->shard, plan->shards);
    qw_text_add(&line, ", recordings of ");
    add_size(&line, counts->bytes);
    qw_text_addf(&line, ", %d at a time", options->jobs);
    if (judged_already)
        qw_text_addf(&line, "; %d of them are judged already, as the journal says", judged_already);
    rp_add_paragraph(out, "judged", line.bytes, WIDTH);
    qw_text_free(&line);
}

/* The causes of an entry, "a and b". */
static char *causes_of(const struct qw_json *entry)
{
    struct qw_text out = {0};
    for (const struct qw_json *c = qw_json_first(qw_json_get(entry, "causes")); c; c = qw_json_next(c))
        qw_text_addf(&out, "%s%s", out.length ? " and " : "", qw_json_text(c, ""));
    return qw_text_take(&out);
}

static void add_each_expected(struct qw_text *out, const struct qc_plan *plan)
{
    const struct qc_suite_case *one;
    const char *label = "expected";
    for (int at = 0; (one = next_mine(plan, &at));) {
        if (!one->expected || one->problem.kind)
            continue;
        char *words = qc_baseline_words(one->expected), *line = qw_format("%s: %s", one->id, words);
        rp_add_paragraph(out, label, line, WIDTH);
        label = "";
        free(words);
        free(line);
    }
}

/* "5 failures: a (3), b and c (2)", in the order in which they come. */
static void add_expected(struct qw_text *out, const struct qc_plan *plan, int expected)
{
    struct qw_json *seen = qw_json_object();
    const struct qc_suite_case *one;
    struct qw_text line = {0};
    for (int at = 0; (one = next_mine(plan, &at));) {
        char *causes = one->expected && !one->problem.kind ? causes_of(one->expected) : NULL;
        if (causes)
            qw_json_set_int(seen, causes, 1 + qw_json_get_int(seen, causes, 0));
        free(causes);
    }
    add_count(&line, expected, "failure");
    for (const struct qw_json *s = qw_json_first(seen); s; s = qw_json_next(s))
        qw_text_addf(&line, "%s%s (%d)", s == qw_json_first(seen) ? ": " : ", ", qw_json_key(s), (int)qw_json_int(s, 0));
    rp_add_paragraph(out, "expected", line.bytes, WIDTH);
    qw_text_free(&line);
    qw_json_free(seen);
}

static void add_problems(struct qw_text *out, const struct qc_plan *plan)
{
    const struct qc_suite_case *one;
    for (int at = 0; (one = next_mine(plan, &at));) {
        if (!one->problem.kind)
            continue;
        char *words = problem_of(one), *line = qw_format("%s: %s", one->id, words);
        rp_add_paragraph(out, "problem", one->named ? line : words, WIDTH);
        free(words);
        free(line);
    }
}

/* The option, or a beginning of it. */
static bool is_dry_run(const char *word)
{
    size_t length = strlen(word);
    return length > 2 && !strncmp(word, "--dry-run", length);
}

static void add_closing(struct qw_text *out, const struct counts *counts, const struct cli_options *options)
{
    struct qw_text next = {0};
    add_count(out, counts->cases, "case");
    qw_text_addf(out, ": %d to pass, %d expected to fail, %d with a problem\n",
                 counts->cases - counts->expected - counts->problems, counts->expected, counts->problems);
    if (counts->problems)
        qw_text_add(out, "ERROR  What has a problem cannot be judged and ends as ERROR; the others are judged all the same.\n");
    else
        qw_text_add(out, "OK  Suites, baselines and the names of recordings are sound; nothing was judged.\n");
    qw_text_add(out, counts->problems ? "next   mend the problems above, then: qconform" : "next   qconform");
    for (int i = 1; i < options->argc; i++)
        if (!is_dry_run(options->argv[i])) {
            qw_text_add(&next, " ");
            rp_add_word(&next, options->argv[i]);
        }
    rp_escape_terminal(out, next.bytes);
    qw_text_add(out, "\n");
    qw_text_free(&next);
}

static int print_plan(const struct qc_plan *plan, int judged_already)
{
    struct qw_json *document = qw_json_object();
    qw_json_put_text(document, "schema", "qconform-plan/1");
    qw_json_put(document, "run", qw_json_copy(plan->run));
    qw_json_put_int(document, "judged_already", judged_already);
    qw_json_put(document, "rows", rows_of(plan));
    int code = cli_print_json(document);
    qw_json_free(document);
    return code;
}

static int print_words(const struct qc_plan *plan, const struct counts *counts, const struct cli_options *options,
                       int judged_already)
{
    struct qw_text text = {0};
    if (options->verbosity >= 0) {
        add_files(&text, qw_json_get(plan->run, "suites"), "suites", "case");
        add_files(&text, qw_json_get(plan->run, "baselines"), "baselines", "known failure");
        add_extent(&text, plan, counts, options, judged_already);
        if (counts->expected && options->verbosity > 0)
            add_each_expected(&text, plan);
        else if (counts->expected)
            add_expected(&text, plan, counts->expected);
        qw_text_add(&text, "\n");
    }
    add_problems(&text, plan);
    add_closing(&text, counts, options);
    int code = cli_print(text.bytes);
    qw_text_free(&text);
    return code;
}

int cli_run_dry(const struct qc_plan *plan, const struct cli_options *options, int judged_already)
{
    struct counts counts = count(plan);
    int shown = 0;
    if (options->json)
        shown = print_plan(plan, judged_already);
    else if (counts.cases)
        shown = print_words(plan, &counts, options, judged_already);
    if (!shown && !counts.cases)
        return complain_of_nothing();
    return shown ? shown : code_of(&counts);
}
