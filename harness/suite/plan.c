/* Invariant: the plan follows from the suites, the operands and the filter alone; shard and baseline change no case of it. */
#include "harness/suite/plan.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/suite/baseline.h"
#include "harness/suite/find.h"
#include "harness/worker/case.h"
#include "reference/base/guess.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

#define SUITES "suites" /* read where no suite is named */

/* A text fits itself, whatever characters it has that mean something in a glob. */
static bool fits(const char *glob, const char *text) { return !strcmp(glob, text) || fnmatch(glob, text, 0) == 0; }

/* ---- operands ---- */

static bool is_there(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static bool read_suites(struct qc_plan *plan, struct qw_json *globs, const struct qc_plan_wanted *wanted, struct qw_error *error)
{
    int named = 0;
    for (int i = 0; i < wanted->count; i++) {
        if (!is_there(wanted->operands[i]))
            qw_json_add_text(globs, wanted->operands[i]);
        else if (!qc_suites_read(&plan->suites, wanted->operands[i], error))
            return false;
        else
            named++;
    }
    if (named)
        return true;
    if (is_there(SUITES))
        return qc_suites_read(&plan->suites, SUITES, error);
    const char *glob = qw_json_text(qw_json_first(globs), NULL);
    char *near = glob ? qc_find_near(glob) : qw_strdup("");
    if (glob)
        qw_fail(error, QW_ERROR_INPUT, "", "name a suite file, or a folder that holds some: qconform run FOLDER [GLOB]",
                "there is no file or folder of that name%s, and no folder \"" SUITES "\" here in whose cases to look for it",
                near);
    else
        qw_fail(error, QW_ERROR_INPUT, "", "name a suite file, or a folder that holds some: qconform run FOLDER",
                "no suite is named, and there is no folder \"" SUITES "\" here");
    qw_error_in_file(error, glob ? glob : "");
    free(near);
    return false;
}

/* Every glob is there for something. */
static bool check_globs(const struct qc_plan *plan, const struct qw_json *globs, struct qw_error *error)
{
    for (const struct qw_json *g = qw_json_first(globs); g; g = qw_json_next(g)) {
        const char *glob = qw_json_text(g, "");
        struct qw_guess guess = qw_guess_for(glob);
        bool found = false;
        for (int i = 0; i < plan->suites.count && !found; i++) {
            found = fits(glob, plan->suites.cases[i].id);
            qw_guess_offer(&guess, plan->suites.cases[i].id);
        }
        if (found)
            continue;
        char *near = guess.best ? qw_strdup(qw_guess_text(&guess, "")) : qc_find_near(glob);
        qw_fail(error, QW_ERROR_INPUT, "",
                "qconform run --list prints the cases; quote a glob, so that the shell leaves it alone: 'prompt/*'",
                "there is no file or folder of that name, and it fits the id of no case%s", near);
        qw_error_in_file(error, glob);
        free(near);
        return false;
    }
    return true;
}

/* ---- baselines ---- */

/* A baseline is read once, whoever names it. */
struct baseline {
    const char *path;
    const struct qw_json *document; /* NULL: it cannot be read, which is a case by now */
};

static void read_baseline(struct qc_plan *plan, struct baseline *baseline, struct qw_json *told, const char *path)
{
    char sha256[QW_SHA256_HEX];
    struct qw_error error = {0};
    struct qw_json *document = qc_baseline_read(sha256, path, &error), *row;
    *baseline = (struct baseline){path, document};
    if (!document) {
        qc_suites_add_problem(&plan->suites, path, &error);
        return;
    }
    qw_json_add(plan->baselines, document);
    row = qw_json_add(told, qw_json_object());
    qw_json_put_text(row, "file", path);
    qw_json_put_text(row, "sha256", sha256);
    qw_json_put_int(row, "cases", qw_json_size(qw_json_get(document, "cases")));
}

static const struct baseline *find_baseline(const struct baseline *baselines, int count, const char *path)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(baselines[i].path, path))
            return &baselines[i];
    return NULL;
}

/* Which file's baseline it is: that of the command line, or the one that the case's suite names; NULL: none. */
static const char *baseline_of(const struct qc_plan *plan, int file, const char *wanted)
{
    if (wanted)
        return strcmp(wanted, "none") ? wanted : NULL;
    return file < 0 ? NULL : plan->suites.files[file].baseline;
}

static void expect(struct qc_plan *plan, const struct baseline *baselines, int count, const char *wanted)
{
    for (int i = 0; i < plan->suites.count; i++) {
        struct qc_suite_case *one = &plan->suites.cases[i];
        const char *path = baseline_of(plan, one->file, wanted);
        const struct baseline *baseline = path ? find_baseline(baselines, count, path) : NULL;
        one->expected = baseline ? qc_baseline_find(baseline->document, one->id) : NULL;
    }
}

/* Entries of a baseline that no case has, in one line: the first three with the nearest id. */
static void note_strays(struct qc_plan *plan, const struct baseline *baseline)
{
    struct qw_text names = {0};
    int strays = 0;
    for (const struct qw_json *e = qw_json_first(qw_json_get(baseline->document, "cases")); e; e = qw_json_next(e)) {
        const char *id = qw_json_get_text(e, "id", "");
        struct qw_guess guess = qw_guess_for(id);
        if (qc_suites_has(&plan->suites, id) || ++strays > 3)
            continue;
        for (int i = 0; i < plan->suites.count; i++)
            qw_guess_offer(&guess, plan->suites.cases[i].id);
        qw_text_addf(&names, "%s%s%s", names.length ? ", " : "", id, qw_guess_text(&guess, ""));
    }
    if (strays) {
        char *text = qw_format("%s has %s for which no suite here has a case: %s%s", baseline->path,
                               strays == 1 ? "an entry" : "entries", names.bytes, strays > 3 ? ", ..." : "");
        qw_json_add_text(plan->notices, text);
        free(text);
    }
    qw_text_free(&names);
}

static void read_baselines(struct qc_plan *plan, struct qw_json *told, const char *wanted)
{
    struct baseline *baselines = QW_NEW_ARRAY(struct baseline, plan->suites.file_count + 1);
    int count = 0;
    for (int file = wanted ? -1 : 0; file < (wanted ? 0 : plan->suites.file_count); file++) {
        const char *path = baseline_of(plan, file, wanted);
        if (path && !find_baseline(baselines, count, path))
            read_baseline(plan, &baselines[count++], told, path);
    }
    expect(plan, baselines, count, wanted);
    for (int i = 0; i < count; i++)
        note_strays(plan, &baselines[i]);
    free(baselines);
}

/* ---- the filter ---- */

static const char *const keys[] = {"id", "requirement", "source", "suite", "recording", "tag", "cause", NULL};
enum { ID, TAG = 5, CAUSE, KEYS }; /* places in that list */

/* The key of a term and where its glob begins; KEYS for a key that does not exist. */
static int key_of(const char **glob, const char *term)
{
    size_t length = strcspn(term, "=");
    *glob = term[length] ? term + length + 1 : term;
    if (!term[length])
        return ID;
    int key = 0;
    while (keys[key] && (strlen(keys[key]) != length || strncmp(keys[key], term, length) != 0))
        key++;
    return key;
}

static bool any_fits(const struct qc_suite_case *one, int key, const char *glob)
{
    const char *const texts[] = {one->id, one->requirement, one->source, one->suite, one->recording};
    bool found = key < TAG && texts[key] && fits(glob, texts[key]);
    for (int i = 0; key == TAG && i < one->tag_count && !found; i++)
        found = fits(glob, one->tags[i]);
    const struct qw_json *cause = key == CAUSE ? qw_json_first(qw_json_get(one->expected, "causes")) : NULL;
    for (; cause && !found; cause = qw_json_next(cause))
        found = fits(glob, qw_json_text(cause, ""));
    return found;
}

/* A block that cannot be understood has nothing but, at best, its id: it is not filtered away by what it lacks. */
static bool is_hidden(const struct qc_suite_case *one, int key)
{
    return one->problem.kind && !one->requirement && !(key == ID && one->named);
}

static bool holds(const struct qc_suite_case *one, const char *term)
{
    const char *glob;
    bool turned = *term == '!';
    int key = key_of(&glob, term + turned);
    return is_hidden(one, key) || any_fits(one, key, glob) != turned;
}

static bool check_term(const char *term, struct qw_error *error)
{
    static const char hint[] =
        "a filter has terms, separated by blanks, that must all hold: a glob on the id, or KEY=GLOB with one "
        "of the keys id requirement source suite recording tag cause; ! before a term turns it round; "
        "? stands for a blank in a text";
    const char *glob;
    int key = key_of(&glob, term + (*term == '!'));
    size_t length = strcspn(term + (*term == '!'), "=");
    char *name = qw_format("%.*s", (int)length, term + (*term == '!'));
    struct qw_guess guess = qw_guess_for(name);
    for (int i = 0; i < KEYS; i++)
        qw_guess_offer(&guess, keys[i]);
    if (key == KEYS)
        qw_fail(error, QW_ERROR_INPUT, term, hint, "there is no key \"%s\"%s", name, qw_guess_text(&guess, ""));
    else if (!*glob)
        qw_fail(error, QW_ERROR_INPUT, term, hint, "there is no glob");
    qw_error_in_file(error, "--filter");
    free(name);
    return !error->kind;
}

/* The terms of a filter, as an array of texts; NULL when one cannot be read. */
static struct qw_json *read_filter(const char *filter, struct qw_error *error)
{
    struct qw_json *terms = qw_json_array();
    char *copy = qw_strdup(filter ? filter : ""), *rest = copy;
    bool ok = true;
    for (char *term; ok && (term = strsep(&rest, " \t\n"));) {
        if (!*term)
            continue;
        ok = check_term(term, error);
        qw_json_add_text(terms, term);
    }
    free(copy);
    if (!ok)
        qw_json_free(terms);
    return ok ? terms : NULL;
}

/* ---- selecting ---- */

static bool is_selected(const struct qc_suite_case *one, const struct qw_json *globs, const struct qw_json *terms)
{
    bool chosen = !qw_json_first(globs) || is_hidden(one, ID);
    for (const struct qw_json *g = qw_json_first(globs); g && !chosen; g = qw_json_next(g))
        chosen = fits(qw_json_text(g, ""), one->id);
    for (const struct qw_json *t = qw_json_first(terms); t && chosen; t = qw_json_next(t))
        chosen = holds(one, qw_json_text(t, ""));
    return chosen;
}

static void select_cases(struct qc_plan *plan, const struct qw_json *globs, const struct qw_json *terms)
{
    struct qw_text text = {0};
    plan->cases = QW_NEW_ARRAY(struct qc_suite_case *, plan->suites.count);
    for (int i = 0; i < plan->suites.count; i++) {
        struct qc_suite_case *one = &plan->suites.cases[i];
        if (!is_selected(one, globs, terms))
            continue;
        plan->cases[plan->count++] = one;
        if (one->suite) /* what is no mistake of a baseline */
            qw_text_addf(&text, "%s %s\n", one->id, one->digest);
    }
    qw_sha256(plan->digest, text.bytes ? text.bytes : "", text.length);
    qw_text_free(&text);
}

static void describe(struct qc_plan *plan, struct qw_json *globs, struct qw_json *baselines, const char *filter)
{
    struct qw_json *run = plan->run = qw_json_object();
    qw_json_put(run, "suites", plan->suites.told ? qw_json_copy(plan->suites.told) : qw_json_array());
    qw_json_put(run, "baselines", baselines);
    qw_json_put(run, "globs", globs);
    qw_json_put_text(run, "filter", filter);
    if (plan->shards) {
        struct qw_json *shard = qw_json_put(run, "shard", qw_json_object());
        qw_json_put_int(shard, "index", plan->shard);
        qw_json_put_int(shard, "count", plan->shards);
    } else {
        qw_json_put_null(run, "shard");
    }
    qw_json_put_text(run, "digest", plan->digest);
    struct qw_json *ids = qw_json_put(run, "cases", qw_json_array());
    for (int i = 0; i < plan->count; i++)
        qw_json_add_text(ids, plan->cases[i]->id);
}

bool qc_plan_make(struct qc_plan *plan, const struct qc_plan_wanted *wanted, struct qw_error *error)
{
    struct qw_json *globs = qw_json_array(), *told = qw_json_array(), *terms = NULL;
    *plan = (struct qc_plan){.shard = wanted->shard, .shards = wanted->shards};
    plan->baselines = qw_json_array();
    plan->notices = qw_json_array();
    bool ok = (terms = read_filter(wanted->filter, error)) && read_suites(plan, globs, wanted, error) &&
              check_globs(plan, globs, error);
    if (ok) {
        read_baselines(plan, told, wanted->baseline);
        select_cases(plan, globs, terms);
        describe(plan, globs, told, wanted->filter);
    } else {
        qw_json_free(globs);
        qw_json_free(told);
    }
    qw_json_free(terms);
    return ok;
}

void qc_plan_clear(struct qc_plan *plan)
{
    free(plan->cases);
    qw_json_free(plan->baselines);
    qw_json_free(plan->notices);
    qw_json_free(plan->run);
    qc_suites_clear(&plan->suites);
    *plan = (struct qc_plan){0};
}

bool qc_plan_is_mine(const struct qc_plan *plan, int index) { return !plan->shards || index % plan->shards == plan->shard - 1; }

/* ---- what becomes of a case that is not judged ---- */

static struct qw_json *undecided(const struct qc_suite_case *one, const char *status, const struct qw_error *error)
{
    struct timespec now;
    struct qw_json *json = qc_case_undecided(one->id, one->recording ? one->recording : "", NULL, status, error);
    clock_gettime(CLOCK_MONOTONIC, &now);
    qc_case_put_seconds(json, &now);
    qc_plan_describe(json, one);
    return json;
}

struct qw_json *qc_plan_problem(const struct qc_suite_case *one) { return undecided(one, "ERROR", &one->problem); }

struct qw_json *qc_plan_not_run(const struct qc_suite_case *one, const char *why)
{
    struct qw_error error = {0};
    qw_fail(&error, QW_ERROR_INPUT, "", "", "%s", why);
    return undecided(one, "NOTRUN", &error);
}

void qc_plan_describe(struct qw_json *result, const struct qc_suite_case *one)
{
    qw_json_set_text(result, "suite", one->suite);
    qw_json_set_text(result, "requirement", one->requirement);
    qw_json_set_text(result, "source", one->source);
}
