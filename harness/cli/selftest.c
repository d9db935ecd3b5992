/* Invariant: the exit code is a function of the outcomes alone. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "harness/diagnose/causes.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"

#define SECONDS_PER_RECORDING 600.0

/* How the rows of several recordings become one, worst first: what is wrong anywhere is wrong, what is named anywhere can be
 * named. */
static const struct {
    const char *outcome, *sign;
    bool wrong;
} ranks[] = {
    {"misnamed", "x", true}, {"missed", "x", true}, {"named", "+", false}, {"equivalent", "=", false}, {"blind", ".", false}};
#define RANKS (sizeof ranks / sizeof *ranks)

static size_t rank_of(const struct qw_json *planted)
{
    const char *outcome = qw_json_get_text(planted, "outcome", "");
    size_t rank = 0;
    while (rank + 1 < RANKS && strcmp(ranks[rank].outcome, outcome))
        rank++;
    return rank;
}

/* Of a relation: what is broken anywhere is broken, what holds anywhere holds. */
static size_t relation_rank(const struct qw_json *relation)
{
    const char *outcome = qw_json_get_text(relation, "outcome", "");
    return !strcmp(outcome, "broken") ? 0 : !strcmp(outcome, "holds") ? 1 : 2;
}

static void put_summary(struct qw_json *document)
{
    int count[RANKS] = {0};
    for (const struct qw_json *row = qw_json_first(qw_json_get(document, "planted")); row; row = qw_json_next(row))
        count[rank_of(row)]++;
    struct qw_json *summary = qw_json_put(document, "summary", qw_json_object());
    for (size_t i = 0; i < RANKS; i++)
        qw_json_put_int(summary, ranks[i].outcome, count[i]);
}

/* What a row is of: the id of a cause or a relation, the ids of a pair. */
static bool same_row(const struct qw_json *a, const struct qw_json *b)
{
    const struct qw_json *one = qw_json_first(qw_json_get(a, "ids")), *other = qw_json_first(qw_json_get(b, "ids"));
    for (; one && other && !strcmp(qw_json_text(one, ""), qw_json_text(other, "")); other = qw_json_next(other))
        one = qw_json_next(one);
    return !one && !other && !strcmp(qw_json_get_text(a, "id", ""), qw_json_get_text(b, "id", ""));
}

static const struct qw_json *row_like(const struct qw_json *rows, const struct qw_json *wanted)
{
    const struct qw_json *row = qw_json_first(rows);
    while (row && !same_row(row, wanted))
        row = qw_json_next(row);
    return row;
}

/* Rows under one key of several documents: of each the one of the least rank, with the recording that it is of. */
static void merge(struct qw_json *all, const char *key, struct qw_json **documents, int count,
                  size_t (*rank)(const struct qw_json *row))
{
    struct qw_json *rows = qw_json_put(all, key, qw_json_array());
    for (int first = 0; first < count; first++)
        for (const struct qw_json *row = qw_json_first(qw_json_get(documents[first], key)); row; row = qw_json_next(row)) {
            const struct qw_json *best = row;
            int of = first;
            if (row_like(rows, row))
                continue;
            for (int i = first + 1; i < count; i++) {
                const struct qw_json *next = row_like(qw_json_get(documents[i], key), row);
                if (!next || rank(next) >= rank(best))
                    continue;
                best = next;
                of = i;
            }
            qw_json_put_text(qw_json_add(rows, qw_json_copy(best)), "recording",
                             qw_json_get_text(documents[of], "recording", ""));
        }
}

/* The documents of several recordings as one, with themselves beside. */
static struct qw_json *merged(struct qw_json **documents, int count, const char *name)
{
    struct qw_json *all = qw_json_object();
    qw_json_put_text(all, "schema", "qconform-selftest/1");
    qw_json_put_text(all, "recording", name);
    merge(all, "planted", documents, count, rank_of);
    put_summary(all);
    if (qw_json_get(documents[0], "pairs"))
        merge(all, "pairs", documents, count, rank_of);
    merge(all, "relations", documents, count, relation_rank);
    struct qw_json *each = qw_json_put(all, "recordings", qw_json_array());
    for (int i = 0; i < count; i++)
        qw_json_add(each, qw_json_copy(documents[i]));
    return all;
}

/* ---- on the terminal ---- */

static void add_row(struct qw_text *out, const struct qw_json *row, bool verbose)
{
    const char *named = qw_json_get_text(row, "named", NULL), *reason = qw_json_get_text(row, "reason", NULL);
    size_t rank = rank_of(row);
    qw_text_addf(out, "%s %-32s %-11s %-32s", ranks[rank].sign, qw_json_get_text(row, "id", ""), ranks[rank].outcome,
                 named ? named : "");
    if (named)
        qw_text_addf(out, " %.4f", qw_json_get_real(row, "explained", 0));
    while (out->length && out->bytes[out->length - 1] == ' ')
        out->bytes[--out->length] = 0;
    qw_text_add(out, "\n");
    if (reason && (verbose || ranks[rank].wrong || !strcmp(ranks[rank].outcome, "equivalent")))
        qw_text_addf(out, "    %s\n", reason);
    for (const struct qw_json *value = qw_json_first(qw_json_get(row, "values")); value; value = qw_json_next(value)) {
        size_t of = rank_of(value);
        if (!verbose && !ranks[of].wrong)
            continue;
        qw_text_addf(out, "    %s ", ranks[of].sign);
        if (qw_json_get_text(value, "variant", NULL))
            qw_text_add(out, qw_json_get_text(value, "variant", ""));
        else
            qw_text_addf(out, "%g", qw_json_get_real(value, "parameter", 0));
        qw_text_addf(out, ": %s %s\n", ranks[of].outcome, qw_json_get_text(value, "named", ""));
    }
}

static void add_pairs(struct qw_text *out, const struct qw_json *pairs, bool only_wrong)
{
    if (pairs && !only_wrong)
        qw_text_addf(out, "\n  two at once%s\n", qw_json_first(pairs) ? "" : ": of no pair are both named here by themselves");
    for (const struct qw_json *row = qw_json_first(pairs); row; row = qw_json_next(row)) {
        const struct qw_json *id = qw_json_first(qw_json_get(row, "ids"));
        const char *reason = qw_json_get_text(row, "reason", NULL);
        size_t rank = rank_of(row);
        if (only_wrong && !ranks[rank].wrong)
            continue;
        qw_text_addf(out, "%s %s + %s: %s", ranks[rank].sign, qw_json_text(id, ""), qw_json_text(qw_json_next(id), ""),
                     ranks[rank].outcome);
        if (ranks[rank].wrong)
            for (const struct qw_json *named = qw_json_first(qw_json_get(row, "named")); named; named = qw_json_next(named))
                qw_text_addf(out, " %s", qw_json_text(named, ""));
        qw_text_addf(out, "%s%s\n", reason ? "\n    " : "", reason ? reason : "");
    }
}

static void add_relations(struct qw_text *out, const struct qw_json *relations, int verbosity)
{
    static const char *const signs[] = {"x", "+", "."};
    int apart = 0;
    if (relations && verbosity >= 0)
        qw_text_add(out, "\n  relations: two calls that must come to the same; error by noise floor\n");
    for (const struct qw_json *row = qw_json_first(relations); row; row = qw_json_next(row)) {
        size_t rank = relation_rank(row);
        apart += rank == 2;
        if (rank && verbosity < (rank == 2))
            continue;
        qw_text_addf(out, "%s %-72s", signs[rank], qw_json_get_text(row, "title", ""));
        if (rank < 2)
            qw_text_addf(out, " %.3g", qw_json_get_real(row, "ratio", 0));
        while (out->bytes[out->length - 1] == ' ')
            out->bytes[--out->length] = 0;
        const char *reason = qw_json_get_text(row, "reason", NULL);
        qw_text_addf(out, "%s%s\n", reason ? "\n    " : "", reason ? reason : "");
    }
    if (apart && !verbosity)
        qw_text_addf(out, ". %d not applicable here (-v says why)\n", apart);
}

static char *text_of(const struct qw_json *document, int verbosity)
{
    struct qw_text out = {0};
    const struct qw_json *summary = qw_json_get(document, "summary");
    qw_text_addf(&out, "%s\n  %-32s %-11s %-32s explained\n", qw_json_get_text(document, "recording", ""), "planted", "outcome",
                 "named");
    for (const struct qw_json *row = qw_json_first(qw_json_get(document, "planted")); row; row = qw_json_next(row))
        if (verbosity >= 0 || ranks[rank_of(row)].wrong)
            add_row(&out, row, verbosity > 0);
    add_pairs(&out, qw_json_get(document, "pairs"), verbosity < 0);
    add_relations(&out, qw_json_get(document, "relations"), verbosity);
    for (size_t i = 0; i < RANKS; i++)
        qw_text_addf(&out, "%s%lld %s", i ? ", " : "", (long long)qw_json_get_int(summary, ranks[i].outcome, 0),
                     ranks[i].outcome);
    qw_text_add(&out, "\n");
    return qw_text_take(&out);
}

/* ---- the verb ---- */

static bool is_selftest(const struct qw_json *answer)
{
    return !strcmp(qw_json_get_text(answer, "schema", ""), "qconform-selftest/1");
}

/* An answer that is a case: what could not be planted in, and why. */
static int refused(const struct qw_json *answer)
{
    const char *status = qw_json_get_text(answer, "status", "ERROR");
    enum qc_exit code = !strcmp(status, "SKIP")    ? QC_EXIT_NOTHING
                        : !strcmp(status, "ERROR") ? QC_EXIT_INPUT
                        : !strcmp(status, "FAIL")  ? QC_EXIT_DIVERGED
                                                   : QC_EXIT_INCONCLUSIVE;
    return cli_complain(code, "%s", qw_json_get_text(answer, "verdict", ""));
}

/* Whether any row is wrong: of the summary, of the pairs, of the relations. */
static bool is_wrong(const struct qw_json *document)
{
    bool wrong = false;
    for (const struct qw_json *row = qw_json_first(qw_json_get(document, "planted")); row; row = qw_json_next(row))
        wrong = wrong || ranks[rank_of(row)].wrong;
    for (const struct qw_json *row = qw_json_first(qw_json_get(document, "pairs")); row; row = qw_json_next(row))
        wrong = wrong || ranks[rank_of(row)].wrong;
    for (const struct qw_json *row = qw_json_first(qw_json_get(document, "relations")); row; row = qw_json_next(row))
        wrong = wrong || relation_rank(row) == 0;
    return wrong;
}

static int show(const struct qw_json *document, const struct cli_options *options)
{
    char *text = options->json ? NULL : text_of(document, options->verbosity);
    int code = options->json ? cli_print_json(document) : cli_print(text);
    free(text);
    return code ? code : is_wrong(document) ? QC_EXIT_DIVERGED : QC_EXIT_OK;
}

static int plant_in(char **paths, int count, const char *name, const struct cli_options *options)
{
    struct qc_task *tasks = QW_NEW_ARRAY(struct qc_task, count);
    struct qw_json **answers = QW_NEW_ARRAY(struct qw_json *, count);
    struct qc_workers workers = {.jobs = options->jobs, .seconds = SECONDS_PER_RECORDING};
    int code = QC_EXIT_OK;
    for (int i = 0; i < count; i++) {
        tasks[i] = qc_task_of("selftest", paths[i]);
        tasks[i].places = options->places;
        tasks[i].filter = options->filter;
        tasks[i].pairs = options->pairs;
    }
    cli_workers_run(answers, tasks, count, &workers, options);
    qw_json_free(workers.sandbox);
    for (int i = 0; i < count && !code; i++)
        code = is_selftest(answers[i]) ? 0 : refused(answers[i]);
    if (!code && count > 1) {
        struct qw_json *all = merged(answers, count, name);
        code = show(all, options);
        qw_json_free(all);
    } else if (!code) {
        code = show(answers[0], options);
    }
    for (int i = 0; i < count; i++)
        qw_json_free(answers[i]);
    free(answers);
    free(tasks);
    return code;
}

/* Without operands: the shipped recordings that their table names for it, in which together every cause can be planted. */
static int plant_in_shipped(const struct cli_options *options)
{
    struct qw_text why = {0};
    struct qw_json *rows = cli_rows_cases(&why);
    char **paths = QW_NEW_ARRAY(char *, qw_json_size(rows) + 1);
    int count = 0;
    for (const struct qw_json *row = qw_json_first(rows); row; row = qw_json_next(row))
        if (qw_json_get_bool(row, "selftest", false))
            paths[count++] = qw_strdup(qw_json_get_text(row, "file", ""));
    int code = count ? plant_in(paths, count, cli_fixtures(), options)
                     : cli_complain(QC_EXIT_NOTHING,
                                    "no recording to plant in%s%s; name one, or set QCONFORM_FIXTURES to the folder "
                                    "that holds recordings.json",
                                    why.length ? ": " : "", why.length ? why.bytes : "");
    for (int i = 0; i < count; i++)
        free(paths[i]);
    free(paths);
    qw_json_free(rows);
    qw_text_free(&why);
    return code;
}

int cli_selftest(const struct cli_options *options)
{
    int found = 0;
    for (int i = 0; options->filter && i < qc_cause_count(); i++)
        found += !fnmatch(options->filter, qc_cause_at(i)->id, 0);
    if (options->filter && !found)
        return cli_complain(QC_EXIT_NOTHING, "no cause has an id like \"%s\"; see qconform list causes", options->filter);
    return options->count ? plant_in(options->operand, options->count, "all", options) : plant_in_shipped(options);
}
