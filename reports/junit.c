/* Invariant: the counts of a suite are those of its cases, the totals those of the suites; every text of the document passes
 * rp_escape_attribute or rp_escape_html, which leave no character that XML 1.0 cannot hold. */
#include "reports/junit.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"
#include "reports/details.h"
#include "reports/escape.h"
#include "reports/markup.h"
#include "reports/view.h"

enum { MOST_NAME = 500 }; /* bytes of a class name, and of a name */

/* ---- counting ---- */

struct counts {
    int tests, failures, errors, skipped;
    long long milliseconds;
};

/* In milliseconds, so that sums are exact; what is no time is none. */
static long long time_of(const struct qw_json *one)
{
    double seconds = qw_json_get_real(qw_json_get(one, "timing"), "seconds", 0);
    return seconds > 0 && seconds < 1e9 ? llround(1000 * seconds) : 0;
}

static void count(struct counts *counts, const struct qw_json *one)
{
    enum rp_outcome outcome = rp_case_status(one)->outcome;
    counts->tests++;
    counts->failures += outcome == RP_OUTCOME_FAILED || outcome == RP_OUTCOME_STALE;
    counts->errors += outcome == RP_OUTCOME_UNDECIDED;
    counts->skipped += outcome == RP_OUTCOME_SKIPPED || outcome == RP_OUTCOME_KNOWN;
    counts->milliseconds += time_of(one);
}

static void add_time(struct qw_text *out, long long milliseconds)
{
    qw_text_addf(out, " time=\"%lld.%03lld\"", milliseconds / 1000, milliseconds % 1000);
}

/* ---- names ---- */

struct name {
    struct qw_text class, name; /* before the last slash, with dots for slashes; behind it */
};

static void split(struct name *name, const struct qw_json *one)
{
    struct qw_text id = {0};
    rp_escape_line(&id, qw_json_get_text(one, "id", ""), MOST_NAME);
    const char *text = id.bytes ? id.bytes : "", *slash = strrchr(text, '/');
    for (const char *c = text; slash && c < slash; c++)
        qw_text_add_bytes(&name->class, *c == '/' ? "." : c, 1);
    qw_text_add(&name->class, name->class.length ? "" : "qconform");
    qw_text_add(&name->name, slash ? slash + 1 : text);
    qw_text_add(&name->name, name->name.length ? "" : "unnamed");
    qw_text_free(&id);
}

/* The names so far, each where its hash says or behind that; there are at least as many free places. */
struct names {
    char **kept;
    size_t room;
};

static size_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)hash;
}

/* Whether this pair of names is new; it is kept in `seen`.  Suites have no class. */
static bool is_new(struct names *seen, const char *class, const char *name)
{
    char *key = qw_format("%s %s", class, name);
    size_t at = hash_of(key) % seen->room;
    while (seen->kept[at] && strcmp(seen->kept[at], key) != 0)
        at = (at + 1) % seen->room;
    bool mine = !seen->kept[at];
    if (mine)
        seen->kept[at] = key;
    else
        free(key);
    return mine;
}

static void make_name(struct name *name, struct names *seen, const struct qw_json *one, int number)
{
    split(name, one);
    while (!is_new(seen, name->class.bytes, name->name.bytes))
        qw_text_addf(&name->name, " (case %d)", number);
}

static char *make_suite_name(struct names *seen, const char *suite, int number)
{
    struct qw_text name = {0};
    rp_escape_line(&name, *suite ? suite : "qconform", MOST_NAME);
    while (!is_new(seen, "", name.bytes))
        qw_text_addf(&name, " (suite %d)", number);
    return qw_text_take(&name);
}

static void forget(struct names *seen)
{
    for (size_t i = 0; i < seen->room; i++)
        free(seen->kept[i]);
    free(seen->kept);
}

/* ---- one case ---- */

/* The details, one a line. */
static void add_body(struct qw_text *out, const struct qw_json *one)
{
    struct qw_text body = {0};
    for (size_t i = 0; rp_detail_at(i); i++) {
        struct qw_text text = {0};
        if (rp_add_detail(&text, rp_detail_at(i), one))
            qw_text_addf(&body, "%s: %s\n", rp_detail_at(i)->label, text.bytes);
        qw_text_free(&text);
    }
    rp_escape_html(out, body.bytes);
    qw_text_free(&body);
}

/* <failure>, <error> or <skipped>; nothing for a pass. */
static void add_outcome(struct qw_text *out, const struct qw_json *one)
{
    static const char *const elements[] = {
        [RP_OUTCOME_FAILED] = "failure", [RP_OUTCOME_STALE] = "failure",   [RP_OUTCOME_UNDECIDED] = "error",
        [RP_OUTCOME_KNOWN] = "skipped",  [RP_OUTCOME_SKIPPED] = "skipped",
    };
    const struct rp_status *status = rp_case_status(one);
    const char *element = elements[status->outcome];
    struct qw_text type = {0};
    bool named = status->outcome == RP_OUTCOME_FAILED && qw_json_is_object(rp_case_cause(one));
    if (named)
        rp_add_cause_ids(&type, one);
    rp_markup(out, "      <%r", element);
    if (element[0] != 's')
        rp_markup(out, " type=\"%a\"", named ? type.bytes : status->word);
    rp_markup(out, " message=\"%a\">", qw_json_get_text(one, "verdict", status->meaning));
    add_body(out, one);
    rp_markup(out, "</%r>\n", element);
    qw_text_free(&type);
}

static void add_case(struct qw_text *out, const struct qw_json *one, struct names *seen, int number)
{
    struct name name = {0};
    make_name(&name, seen, one, number);
    rp_markup(out, "    <testcase classname=\"%a\" name=\"%a\"", name.class.bytes, name.name.bytes);
    add_time(out, time_of(one));
    if (rp_case_status(one)->outcome == RP_OUTCOME_PASSED) {
        qw_text_add(out, "/>\n");
    } else {
        qw_text_add(out, ">\n");
        add_outcome(out, one);
        qw_text_add(out, "    </testcase>\n");
    }
    qw_text_free(&name.class);
    qw_text_free(&name.name);
}

/* ---- suites ---- */

static const char *suite_of(const struct qw_json *one) { return qw_json_get_text(one, "suite", ""); }

static void add_property(struct qw_text *out, const char *name, const char *value)
{
    if (value && *value)
        rp_markup(out, "      <property name=\"%a\" value=\"%a\"/>\n", name, value);
}

static void add_properties(struct qw_text *out, const struct qw_json *result, const char *suite)
{
    const struct qw_json *row = qw_json_first(qw_json_get(qw_json_get(result, "run"), "suites"));
    while (row && strcmp(qw_json_get_text(row, "file", ""), suite) != 0)
        row = qw_json_next(row);
    qw_text_add(out, "    <properties>\n");
    add_property(out, "qconform", qw_json_get_text(qw_json_get(result, "tool"), "version", "-"));
    add_property(out, "title", qw_json_get_text(row, "title", NULL));
    add_property(out, "sha256", qw_json_get_text(row, "sha256", NULL));
    qw_text_add(out, "    </properties>\n");
}

/* "2026-01-01T00:00:00" as the schema wants it: the UTC time without its letter. */
static void add_timestamp(struct qw_text *out, const struct qw_json *result)
{
    const char *created = qw_json_get_text(result, "created", "");
    if (strlen(created) == 20 && strspn(created, "0123456789-T:") == 19)
        qw_text_addf(out, " timestamp=\"%.19s\"", created);
}

static void add_counts(struct qw_text *out, const struct counts *counts)
{
    qw_text_addf(out, " tests=\"%d\" failures=\"%d\" errors=\"%d\"", counts->tests, counts->failures, counts->errors);
}

static void add_suite(struct qw_text *out, const struct qw_json *result, const char *suite, const char *name, struct names *seen)
{
    struct counts counts = {0};
    const struct qw_json *cases = qw_json_get(result, "cases");
    int number = 0;
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        if (!strcmp(suite_of(c), suite))
            count(&counts, c);
    rp_markup(out, "  <testsuite name=\"%a\"", name);
    add_counts(out, &counts);
    qw_text_addf(out, " skipped=\"%d\"", counts.skipped);
    add_time(out, counts.milliseconds);
    add_timestamp(out, result);
    qw_text_add(out, ">\n");
    add_properties(out, result, suite);
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c)) {
        number++;
        if (!strcmp(suite_of(c), suite))
            add_case(out, c, seen, number);
    }
    qw_text_add(out, "  </testsuite>\n");
}

/* The suites that cases stand in, in the order of the cases; "" for those in none.  Free the array. */
static const char **list_suites(int *found, const struct qw_json *cases)
{
    const char **suites = QW_NEW_ARRAY(const char *, qw_json_size(cases) + 1);
    *found = 0;
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c)) {
        int at = *found;
        while (at > 0 && strcmp(suites[at - 1], suite_of(c)) != 0)
            at--;
        if (!at)
            suites[(*found)++] = suite_of(c);
    }
    if (!*found)
        suites[(*found)++] = "";
    return suites;
}

void rp_junit(struct qw_text *out, const struct qw_json *result)
{
    struct counts counts = {0};
    int found = 0;
    const struct qw_json *cases = qw_json_get(result, "cases");
    const char **suites = list_suites(&found, cases);
    struct names seen = {.room = 2 * (size_t)(qw_json_size(cases) + found)};
    seen.kept = QW_NEW_ARRAY(char *, seen.room);
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        count(&counts, c);
    qw_text_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"qconform\"");
    add_counts(out, &counts);
    add_time(out, counts.milliseconds);
    qw_text_add(out, ">\n");
    for (int i = 0; i < found; i++) {
        char *name = make_suite_name(&seen, suites[i], i + 1);
        add_suite(out, result, suites[i], name, &seen);
        free(name);
    }
    qw_text_add(out, "</testsuites>\n");
    forget(&seen);
    free(suites);
}
