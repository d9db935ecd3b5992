/* Invariant: the joined document of a run depends on what its parts say, not on how many they are, in which order they are
 * given, or whether some were joined before. */
#include "harness/suite/merge.h"

#include <stdlib.h>
#include <string.h>

#include "harness/compare/noise.h"
#include "harness/suite/merge_cases.h"
#include "harness/worker/case.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"
#include "reports/escape.h"

/* A place of the joined document, and the results that belong there. */
struct slot {
    const char *id;
    struct qc_merge_one *found;
    int count;
    int last; /* part that filled it last, -1: none did */
};

/* The way from an id to its place. */
struct sign {
    const char *id;
    int place;
};

struct joining {
    const struct qc_merge_part *parts;
    int count;
    struct slot *slots;
    int slot_count;
    struct sign *signs; /* one a slot, by id, then by place; of a run only */
    struct qw_error *error;
};

/* --- whether the parts fit together --- */

enum { MOST_SHARDS = 9999 };

/* Always false.  `why` may hold texts of the part. */
static bool refuse(struct joining *to, const struct qc_merge_part *part, const char *place, const char *hint, const char *why)
{
    struct qw_text shown = {0};
    rp_escape_terminal(&shown, why);
    qw_fail(to->error, QW_ERROR_INPUT, place, hint, "%s", shown.bytes);
    qw_error_in_file(to->error, part->path);
    qw_text_free(&shown);
    return false;
}

/* … "is of another kind" than the first part. */
static bool refuse_pair(struct joining *to, const struct qc_merge_part *part, const char *place, const char *hint,
                        const char *what)
{
    char *why = qw_format("%s than %s", what, to->parts[0].path);
    refuse(to, part, place, hint, why);
    free(why);
    return false;
}

static const struct qw_json *run_of(const struct qc_merge_part *part) { return qw_json_get(part->document, "run"); }

static bool fits_program(struct joining *to, const struct qc_merge_part *part)
{
    const char *version = qw_json_get_text(qw_json_get(part->document, "tool"), "version", "");
    double multiple = qw_json_get_real(qw_json_get(part->document, "noise"), "multiple", 0);
    bool same_version = !strcmp(version, QC_VERSION);
    bool same_bound = multiple >= QC_NOISE_MULTIPLE && multiple <= QC_NOISE_MULTIPLE;
    char *why = same_version ? qw_format("was judged with a bound of %g times the noise floor, and this program's is %g",
                                         multiple, (double)QC_NOISE_MULTIPLE)
                             : qw_format("was written by version %.40s of the program, and this is %s", version, QC_VERSION);
    if (!same_version || !same_bound)
        refuse(to, part, same_version ? "noise.multiple" : "tool.version", "run and merge all parts with the same program", why);
    free(why);
    return same_version && same_bound;
}

/* Whether two lists name the same files, whatever the paths to them. */
static bool same_files(const struct qw_json *a, const struct qw_json *b)
{
    const struct qw_json *x = qw_json_first(a), *y = qw_json_first(b);
    for (; x && y; x = qw_json_next(x), y = qw_json_next(y))
        if (strcmp(qw_json_get_text(x, "sha256", ""), qw_json_get_text(y, "sha256", "")) != 0)
            return false;
    return !x && !y;
}

static bool fits_run(struct joining *to, const struct qc_merge_part *part)
{
    const struct qw_json *first = run_of(&to->parts[0]), *run = run_of(part);
    if (!first != !run)
        return refuse_pair(to, part, "run", "merge the shards of one run, or results of diagnose, not both",
                           run ? "is of a run of suites, and so another kind of result"
                               : "is of no run of suites, and so another kind of result");
    if (!run)
        return true;
    const struct qw_json *shard = qw_json_get(run, "shard");
    if (qw_json_get_int(shard, "index", 1) > qw_json_get_int(shard, "count", 1) ||
        qw_json_get_int(shard, "count", 1) > MOST_SHARDS)
        return refuse(to, part, "run.shard", "give the file as run wrote it", "is a part that no run has");
    if (strcmp(qw_json_get_text(first, "digest", ""), qw_json_get_text(run, "digest", "")) != 0)
        return refuse_pair(to, part, "run.digest",
                           "merge the shards of one run: the same suites, globs, filter and time-out in every shard",
                           !same_files(qw_json_get(first, "suites"), qw_json_get(run, "suites")) ? "is of a run of other suites"
                           : qw_json_size(qw_json_get(first, "cases")) != qw_json_size(qw_json_get(run, "cases"))
                               ? "is of a run of other cases of these suites"
                               : "is of another run of these suites");
    if (!same_files(qw_json_get(first, "baselines"), qw_json_get(run, "baselines")))
        return refuse_pair(to, part, "run.baselines",
                           "run the shards again with the same --baseline (--resume judges nothing twice)",
                           "was held against another baseline");
    return true;
}

/* --- which case belongs where --- */

static int by_id(const void *a, const void *b)
{
    const struct sign *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order ? order : x->place - y->place;
}

static void make_slots(struct joining *to, const struct qw_json *ids)
{
    to->slots = QW_NEW_ARRAY(struct slot, qw_json_size(ids));
    to->signs = QW_NEW_ARRAY(struct sign, qw_json_size(ids));
    for (const struct qw_json *id = qw_json_first(ids); id; id = qw_json_next(id)) {
        to->signs[to->slot_count] = (struct sign){qw_json_text(id, ""), to->slot_count};
        to->slots[to->slot_count++] = (struct slot){.id = qw_json_text(id, ""), .last = -1};
    }
    qsort(to->signs, (size_t)to->slot_count, sizeof *to->signs, by_id);
}

/* The place of a case of part `number`: of that id, in that shard, not yet filled by that part; NULL when there is none. */
static struct slot *slot_for(struct joining *to, const char *id, const struct qw_json *shard, int number)
{
    int index = (int)qw_json_get_int(shard, "index", 1) - 1, count = (int)qw_json_get_int(shard, "count", 1);
    int low = 0, high = to->slot_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(to->signs[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < to->slot_count && !strcmp(to->signs[low].id, id); low++) {
        struct slot *slot = &to->slots[to->signs[low].place];
        if (to->signs[low].place % count == index && slot->last != number)
            return slot;
    }
    return NULL;
}

/* … of results without a run: that of the same case, or a new one. */
static struct slot *slot_of_like(struct joining *to, const struct qw_json *one)
{
    for (int i = 0; i < to->slot_count; i++)
        if (qc_merge_is_same_case(to->slots[i].found[0].result, one))
            return &to->slots[i];
    to->slots = qw_realloc(to->slots, (size_t)to->slot_count + 1, sizeof *to->slots);
    to->slots[to->slot_count] = (struct slot){.id = qw_json_get_text(one, "id", ""), .last = -1};
    return &to->slots[to->slot_count++];
}

static bool take_part(struct joining *to, int number)
{
    const struct qc_merge_part *part = &to->parts[number];
    const struct qw_json *run = run_of(part), *all = qw_json_get(part->document, "cases");
    for (const struct qw_json *one = qw_json_first(all); one; one = qw_json_next(one)) {
        const char *id = qw_json_get_text(one, "id", "");
        struct slot *slot = run ? slot_for(to, id, qw_json_get(run, "shard"), number) : slot_of_like(to, one);
        if (!slot) {
            char *why = qw_format("has the case \"%.200s\", which is none of this part of the run", id);
            refuse(to, part, "cases", "give the file as run wrote it", why);
            free(why);
            return false;
        }
        slot->last = number;
        slot->found = qw_realloc(slot->found, (size_t)slot->count + 1, sizeof *slot->found);
        slot->found[slot->count++] = (struct qc_merge_one){one, part->path};
    }
    return true;
}

/* --- what is not there --- */

/* In how many shards the run was cut, if all parts that are shards agree; else 0. */
static int shards_of(const struct joining *from)
{
    int shards = 0;
    for (int i = 0; i < from->count; i++) {
        int count = (int)qw_json_get_int(qw_json_get(run_of(&from->parts[i]), "shard"), "count", 0);
        if (count && shards && count != shards)
            return 0;
        shards = count ? count : shards;
    }
    return shards;
}

static bool has_shard(const struct joining *from, int shard)
{
    for (int i = 0; i < from->count; i++)
        if (qw_json_get_int(qw_json_get(run_of(&from->parts[i]), "shard"), "index", 0) == shard)
            return true;
    return false;
}

static struct qw_json *not_run(const struct joining *from, const struct slot *slot, int shard, int shards)
{
    struct qw_error error = {0};
    char *hint = shards ? qw_format("run that shard (qconform run ... --shard %d/%d --resume), and merge again", shard, shards)
                        : qw_format("run what is left (qconform run ... --resume), and merge again");
    if (shards)
        qw_fail(&error, QW_ERROR_INPUT, "", hint,
                has_shard(from, shard) ? "the result of shard %d of %d lacks this case"
                                       : "shard %d of %d is not among the results",
                shard, shards);
    else
        qw_fail(&error, QW_ERROR_INPUT, "", hint, "none of the results has this case");
    free(hint);
    struct qw_json *json = qc_case_undecided(slot->id, "", NULL, "NOTRUN", &error);
    struct qw_json *timing = qw_json_put(json, "timing", qw_json_object());
    qw_json_put_int(timing, "seconds", 0);
    return json;
}

/* "3 of 12 cases are NOTRUN: no result has them; missing of 4 shards: 2" */
static void notice_missing(struct qw_json *notices, const struct joining *from, const int *missing, int shards)
{
    struct qw_text text = {0};
    int cases = 0;
    for (int s = 0; s <= shards; s++) {
        cases += missing[s];
        if (s && missing[s])
            qw_text_addf(&text, "%s%d%s", text.length ? ", " : "", s, has_shard(from, s) ? " (in part)" : "");
    }
    char *which = qw_text_take(&text);
    if (cases)
        qw_text_addf(&text, "%d of %d cases are NOTRUN: no result has them", cases, from->slot_count);
    if (cases && *which)
        qw_text_addf(&text, "; missing of %d shards: %s", shards, which);
    if (cases)
        qw_json_add_text(notices, text.bytes);
    free(which);
    qw_text_free(&text);
}

/* --- the whole --- */

/* The joined case of each place; those that are missing are counted in `notices`. */
static struct qw_json **join(struct joining *from, struct qw_json *notices)
{
    int shards = shards_of(from);
    struct qw_json **cases = QW_NEW_ARRAY(struct qw_json *, from->slot_count);
    int *missing = QW_NEW_ARRAY(int, shards + 1);
    for (int i = 0; i < from->slot_count; i++) {
        int shard = shards ? i % shards + 1 : 0;
        missing[shard] += !from->slots[i].count;
        cases[i] = from->slots[i].count ? qc_merge_choose(from->slots[i].found, from->slots[i].count)
                                        : not_run(from, &from->slots[i], shard, shards);
    }
    notice_missing(notices, from, missing, shards);
    free(missing);
    return cases;
}

/* Fills the places; false with the error. */
static bool gather(struct joining *to)
{
    for (int i = 0; i < to->count; i++)
        if (!fits_program(to, &to->parts[i]) || !fits_run(to, &to->parts[i]))
            return false;
    if (run_of(&to->parts[0]))
        make_slots(to, qw_json_get(run_of(&to->parts[0]), "cases"));
    for (int i = 0; i < to->count; i++)
        if (!take_part(to, i))
            return false;
    for (int i = 0; i < to->slot_count; i++)
        if (!qc_merge_agree(to->slots[i].found, to->slots[i].count, to->error))
            return false;
    return true;
}

/* What is said of the run: that of one part, whichever comes first by its text, without its shard. */
static struct qw_json *joined_run(const struct joining *from)
{
    struct qw_json *best = NULL;
    char *best_text = NULL;
    for (int i = 0; i < from->count; i++) {
        struct qw_json *run = qw_json_copy(run_of(&from->parts[i]));
        qw_json_set_text(run, "shard", NULL);
        char *text = qw_json_print(run, false);
        if (!best || strcmp(text, best_text) < 0) {
            qw_json_free(best);
            free(best_text);
            best = run;
            best_text = text;
        } else {
            qw_json_free(run);
            free(text);
        }
    }
    free(best_text);
    return best;
}

struct qw_json *qc_merge(const struct qc_merge_part *parts, int count, const struct qc_document *about, struct qw_json *notices,
                         struct qw_error *error)
{
    struct joining joining = {.parts = parts, .count = count, .error = error};
    struct qw_json *document = NULL;
    if (gather(&joining)) {
        struct qw_json **cases = join(&joining, notices);
        struct qc_document whole = *about;
        whole.tool = qc_merge_tools(parts, count);
        whole.run = run_of(&parts[0]) ? joined_run(&joining) : NULL;
        document = qc_document_make(cases, joining.slot_count, &whole);
        free(cases);
    }
    for (int i = 0; i < joining.slot_count; i++)
        free(joining.slots[i].found);
    free(joining.slots);
    free(joining.signs);
    return document;
}
