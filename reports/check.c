/* Invariant: a keyword of the schema is either applied here or listed as one that says nothing about a document, so that
 * no rule is passed over in silence. */
#include "reports/check.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/text.h"
#include "reports/escape.h"

/* The way from the root to a node. */
struct frame {
    const struct frame *up;
    const char *key; /* NULL in a list */
    int index;
};

struct check {
    const struct qw_json *definitions;
    struct qw_error *error; /* NULL: only the answer is wanted */
};

#define HINT "give a file that --json-out wrote, unchanged"

static bool conforms(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at);

/* --- what is wrong --- */

static void add_path(struct qw_text *out, const struct frame *at)
{
    if (!at)
        return;
    add_path(out, at->up);
    if (!at->key)
        qw_text_addf(out, "[%d]", at->index);
    else
        qw_text_addf(out, "%s%s", out->length ? "." : "", at->key);
}

static const char *type_of(const struct qw_json *node)
{
    return qw_json_is_object(node)   ? "object"
           : qw_json_is_array(node)  ? "array"
           : qw_json_is_text(node)   ? "string"
           : qw_json_is_number(node) ? "number"
           : qw_json_is_null(node)   ? "null"
                                     : "boolean";
}

static const char *type_words(const char *type)
{
    static const char *const words[][2] = {{"object", "an object"}, {"array", "a list"},           {"string", "a text"},
                                           {"number", "a number"},  {"integer", "a whole number"}, {"boolean", "true or false"},
                                           {"null", "null"}};
    size_t i = 0;
    while (strcmp(words[i][0], type) != 0)
        i++;
    return words[i][1];
}

/* "the text \"odd\"", "the number 7", "a list": what stands at a place. */
static void describe(struct qw_text *out, const struct qw_json *node)
{
    if (qw_json_is_text(node))
        qw_text_addf(out, "the text \"%.60s%s\"", qw_json_text(node, ""), strlen(qw_json_text(node, "")) > 60 ? "..." : "");
    else if (qw_json_is_number(node))
        qw_text_addf(out, "the number %.9g", qw_json_real(node, 0));
    else
        qw_text_add(out, type_words(type_of(node)));
}

/* Always false; `due` says what should stand there. */
static bool complain(const struct check *check, const struct frame *at, const struct qw_json *node, const char *due)
{
    struct qw_text path = {0}, what = {0}, shown_path = {0}, shown = {0};
    if (!check->error)
        return false;
    add_path(&path, at);
    describe(&what, node);
    rp_escape_terminal(&shown_path, path.bytes);
    rp_escape_terminal(&shown, what.bytes);
    qw_fail(check->error, QW_ERROR_INPUT, shown_path.bytes ? shown_path.bytes : "", HINT, "holds %s where %s is due", shown.bytes,
            due);
    qw_text_free(&path);
    qw_text_free(&what);
    qw_text_free(&shown_path);
    qw_text_free(&shown);
    return false;
}

/* --- the keywords --- */

static bool is_of_type(const struct qw_json *node, const char *type)
{
    double number = qw_json_is_number(node) ? qw_json_real(node, NAN) : NAN;
    if (!strcmp(type, "integer"))
        return isfinite(number) && !(floor(number) < number);
    return node && !strcmp(type_of(node), type);
}

static bool check_type(const struct check *check, const struct qw_json *types, const struct qw_json *node, const struct frame *at)
{
    if (qw_json_is_text(types))
        return is_of_type(node, qw_json_text(types, "")) || complain(check, at, node, type_words(qw_json_text(types, "")));
    for (const struct qw_json *t = qw_json_first(types); t; t = qw_json_next(t))
        if (is_of_type(node, qw_json_text(t, "")))
            return true;
    struct qw_text due = {0};
    for (const struct qw_json *t = qw_json_first(types); t; t = qw_json_next(t))
        qw_text_addf(&due, "%s%s", due.length ? " or " : "", type_words(qw_json_text(t, "")));
    complain(check, at, node, due.bytes);
    qw_text_free(&due);
    return false;
}

static bool is_same(const struct qw_json *a, const struct qw_json *b)
{
    if (qw_json_is_text(a) && qw_json_is_text(b))
        return !strcmp(qw_json_text(a, ""), qw_json_text(b, ""));
    return qw_json_is_null(a) && qw_json_is_null(b);
}

static bool check_enum(const struct check *check, const struct qw_json *words, const struct qw_json *node, const struct frame *at)
{
    for (const struct qw_json *w = qw_json_first(words); w; w = qw_json_next(w))
        if (is_same(w, node))
            return true;
    struct qw_text due = {0};
    for (const struct qw_json *w = qw_json_first(words); w; w = qw_json_next(w))
        qw_text_addf(&due, "%s%s", due.length ? ", " : "one of ", qw_json_text(w, "null"));
    complain(check, at, node, due.bytes);
    qw_text_free(&due);
    return false;
}

static bool check_const(const struct check *check, const struct qw_json *word, const struct qw_json *node, const struct frame *at)
{
    return is_same(word, node) || complain(check, at, node, qw_json_text(word, "null"));
}

static bool check_limit(const struct check *check, const struct qw_json *rule, const char *keyword, const struct qw_json *node,
                        const struct frame *at)
{
    double limit = qw_json_real(rule, NAN), value = qw_json_is_number(node) ? qw_json_real(node, NAN) : NAN;
    char due[64];
    bool least = !strcmp(keyword, "minimum"), above = !strcmp(keyword, "exclusiveMinimum");
    snprintf(due, sizeof due, "a number %s %.9g", above ? "above" : least ? "from" : "up to", limit);
    bool fits = isnan(value) || (above ? value > limit : least ? value >= limit : value <= limit);
    return fits || complain(check, at, node, due);
}

static bool check_length(const struct check *check, const struct qw_json *rule, const char *keyword, const struct qw_json *node,
                         const struct frame *at)
{
    double limit = qw_json_real(rule, 0);
    bool of_text = !strcmp(keyword, "minLength"), most = !strcmp(keyword, "maxItems");
    if (of_text ? !qw_json_is_text(node) : !qw_json_is_array(node))
        return true;
    double length = of_text ? (double)strlen(qw_json_text(node, "")) : qw_json_size(node);
    bool fits = most ? length <= limit : length >= limit;
    return fits || complain(check, at, node, of_text ? "a longer text" : most ? "a shorter list" : "a longer list");
}

static bool check_required(const struct check *check, const struct qw_json *keys, const struct qw_json *node,
                           const struct frame *at)
{
    struct qw_text path = {0};
    const struct qw_json *key = qw_json_first(keys);
    while (key && (!qw_json_is_object(node) || qw_json_get(node, qw_json_text(key, ""))))
        key = qw_json_next(key);
    if (key && check->error) {
        add_path(&path, at);
        qw_fail(check->error, QW_ERROR_INPUT, path.bytes ? path.bytes : "", HINT, "lacks the field %s", qw_json_text(key, ""));
    }
    qw_text_free(&path);
    return !key;
}

/* The fields that the schema knows, or with `any` all of an object whose fields it does not name. */
static bool check_fields(const struct check *check, const struct qw_json *rules, bool any, const struct qw_json *node,
                         const struct frame *at)
{
    for (const struct qw_json *f = qw_json_first(qw_json_is_object(node) ? node : NULL); f; f = qw_json_next(f)) {
        const struct qw_json *rule = any ? rules : qw_json_get(rules, qw_json_key(f));
        struct frame below = {at, qw_json_key(f), 0};
        if (rule && !conforms(check, rule, f, &below))
            return false;
    }
    return true;
}

static bool check_items(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at)
{
    struct frame below = {at, NULL, 0};
    for (const struct qw_json *n = qw_json_first(qw_json_is_array(node) ? node : NULL); n; n = qw_json_next(n), below.index++)
        if (!conforms(check, rule, n, &below))
            return false;
    return true;
}

static const struct qw_json *resolve(const struct check *check, const struct qw_json *rule)
{
    const char *name = qw_json_get_text(rule, "$ref", NULL);
    return name ? resolve(check, qw_json_get(check->definitions, strrchr(name, '/') + 1)) : rule;
}

/* The complaint is that of the alternative which the node's type was meant for. */
static bool check_any(const struct check *check, const struct qw_json *rules, const struct qw_json *node, const struct frame *at)
{
    const struct check silent = {check->definitions, NULL};
    const struct qw_json *meant = NULL;
    for (const struct qw_json *r = qw_json_first(rules); r; r = qw_json_next(r)) {
        if (conforms(&silent, r, node, at))
            return true;
        const struct qw_json *type = qw_json_get(resolve(check, r), "type");
        bool null = !strcmp(qw_json_text(type, ""), "null");
        if (!meant || !null)
            meant = r;
    }
    return conforms(check, meant, node, at);
}

static bool check_keyword(const struct check *check, const struct qw_json *keyword, const struct qw_json *node,
                          const struct frame *at)
{
    static const char *const silent[] = {"$schema", "$defs", "title", "description", "pattern"};
    const char *name = qw_json_key(keyword);
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        if (!strcmp(name, silent[i]))
            return true;
    if (!strcmp(name, "type"))
        return check_type(check, keyword, node, at);
    if (!strcmp(name, "enum"))
        return check_enum(check, keyword, node, at);
    if (!strcmp(name, "const"))
        return check_const(check, keyword, node, at);
    if (!strcmp(name, "minLength") || !strcmp(name, "minItems") || !strcmp(name, "maxItems"))
        return check_length(check, keyword, name, node, at);
    if (!strcmp(name, "minimum") || !strcmp(name, "maximum") || !strcmp(name, "exclusiveMinimum"))
        return check_limit(check, keyword, name, node, at);
    if (!strcmp(name, "required"))
        return check_required(check, keyword, node, at);
    if (!strcmp(name, "properties") || !strcmp(name, "additionalProperties"))
        return check_fields(check, keyword, !strcmp(name, "additionalProperties"), node, at);
    if (!strcmp(name, "items"))
        return check_items(check, keyword, node, at);
    assert(!strcmp(name, "anyOf"));
    return check_any(check, keyword, node, at);
}

static bool conforms(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at)
{
    for (const struct qw_json *k = qw_json_first(resolve(check, rule)); k; k = qw_json_next(k))
        if (!check_keyword(check, k, node, at))
            return false;
    return true;
}

/* --- the document --- */

/* Another version or another document is told apart from a damaged one. */
static bool check_name(const struct qw_json *document, struct qw_error *error)
{
    static const char family[] = "qconform-result/";
    const char *name = qw_json_get_text(document, "schema", NULL);
    struct qw_text shown = {0};
    rp_escape_terminal(&shown, name);
    if (!name)
        qw_fail(error, QW_ERROR_INPUT, "schema", HINT, "not a result of schema qconform-result/1: it names no schema");
    else if (!strncmp(name, family, strlen(family)) && strcmp(name, "qconform-result/1") != 0)
        qw_fail(error, QW_ERROR_INPUT, "schema", "render it with the version of qconform that wrote it",
                "is %.80s; this program reads qconform-result/1", shown.bytes);
    else if (strcmp(name, "qconform-result/1") != 0)
        qw_fail(error, QW_ERROR_INPUT, "schema", HINT, "not a result of schema qconform-result/1 but \"%.80s\"",
                shown.bytes ? shown.bytes : "");
    qw_text_free(&shown);
    return name && !strcmp(name, "qconform-result/1");
}

bool rp_check(const struct qw_json *document, struct qw_error *error)
{
    size_t size;
    const char *bytes = rp_schema_text("qconform-result/1", &size);
    struct qw_error broken = {0};
    if (!check_name(document, error))
        return false;
    struct qw_json *schema = qw_json_parse(bytes, size, "", &broken);
    assert(schema);
    const struct check check = {qw_json_get(schema, "$defs"), error};
    bool fits = conforms(&check, schema, document, NULL);
    qw_json_free(schema);
    return fits;
}
