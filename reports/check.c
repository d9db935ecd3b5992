/* Invariant: a keyword of the schema is either applied here or listed as one that says nothing about a document, so that
 * no rule is passed over in silence. */
#include "reports/check.h"

#include <assert.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/guess.h"
#include "reference/base/text.h"
#include "reports/escape.h"

/* The way from the root to a node. */
struct frame {
    const struct frame *up;
    const char *key; /* NULL in a list */
    int index;
    const struct qw_json *rule; /* as it stands there; its description says more than that of the definition it refers to */
};

/* A kind of document, in words. */
struct kind {
    const char *schema, *name;
    const char *hint; /* at every fault; NULL: what the schema says of the field */
    const char *other_version;
};

struct check {
    const struct kind *kind;
    const struct qw_json *definitions;
    const char *without;    /* definition that is passed over; NULL: none */
    const char *place;      /* of the root in its document; "" for a whole document */
    struct qw_error *error; /* NULL: only the answer is wanted */
};

static const struct kind kinds[] = {
    {RP_RESULT, "result", "give a file that --json-out wrote, unchanged", "render it with the version of qconform that wrote it"},
    {RP_SUITE, "suite", NULL, "run it with a version of qconform that knows it"},
    {RP_BASELINE, "baseline", NULL, "use a version of qconform that knows it, or write it anew with --write-baseline"},
};

static bool conforms(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at);

/* --- what is wrong --- */

static void add_path(struct qw_text *out, const struct check *check, const struct frame *at)
{
    if (!at) {
        qw_text_add(out, check->place);
        return;
    }
    add_path(out, check, at->up);
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

/* Always false.  The hint is that of the kind of document, else `advice`. */
static bool refuse(const struct check *check, const struct frame *at, const char *advice, const char *what)
{
    struct qw_text path = {0}, place = {0}, message = {0};
    if (!check->error)
        return false;
    add_path(&path, check, at);
    rp_escape_terminal(&place, path.bytes);
    rp_escape_terminal(&message, what);
    qw_fail(check->error, QW_ERROR_INPUT, place.bytes ? place.bytes : "", check->kind->hint ? check->kind->hint : advice, "%s",
            message.bytes);
    qw_text_free(&path);
    qw_text_free(&place);
    qw_text_free(&message);
    return false;
}

/* … with what the schema says of the field, "requirement: what a conforming run does, in one sentence". */
static bool refuse_field(const struct check *check, const struct frame *at, const char *key, const struct qw_json *rule,
                         const char *what)
{
    char *advice = qw_format("%s%s%s", key ? key : "", key ? ": " : "", qw_json_get_text(rule, "description", ""));
    refuse(check, at, advice, what);
    free(advice);
    return false;
}

/* … of the field that the place lies in. */
static bool refuse_here(const struct check *check, const struct frame *at, const struct qw_json *rule, const char *what)
{
    const struct frame *field = at;
    while (field && !field->key)
        field = field->up;
    bool told = field && qw_json_get(field->rule, "description");
    return refuse_field(check, at, field ? field->key : NULL, told ? field->rule : rule, what);
}

/* Always false; `due` says what should stand there. */
static bool complain(const struct check *check, const struct frame *at, const struct qw_json *rule, const struct qw_json *node,
                     const char *due)
{
    struct qw_text what = {0};
    qw_text_add(&what, "holds ");
    describe(&what, node);
    qw_text_addf(&what, " where %s is due", due);
    refuse_here(check, at, rule, what.bytes);
    qw_text_free(&what);
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

static bool check_type(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at)
{
    const struct qw_json *types = qw_json_get(rule, "type");
    if (qw_json_is_text(types))
        return is_of_type(node, qw_json_text(types, "")) || complain(check, at, rule, node, type_words(qw_json_text(types, "")));
    for (const struct qw_json *t = qw_json_first(types); t; t = qw_json_next(t))
        if (is_of_type(node, qw_json_text(t, "")))
            return true;
    struct qw_text due = {0};
    for (const struct qw_json *t = qw_json_first(types); t; t = qw_json_next(t))
        qw_text_addf(&due, "%s%s", due.length ? " or " : "", type_words(qw_json_text(t, "")));
    complain(check, at, rule, node, due.bytes);
    qw_text_free(&due);
    return false;
}

static bool is_same(const struct qw_json *a, const struct qw_json *b)
{
    if (qw_json_is_text(a) && qw_json_is_text(b))
        return !strcmp(qw_json_text(a, ""), qw_json_text(b, ""));
    return qw_json_is_null(a) && qw_json_is_null(b);
}

static bool check_enum(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at)
{
    const struct qw_json *words = qw_json_get(rule, "enum");
    struct qw_text due = {0};
    for (const struct qw_json *w = qw_json_first(words); w; w = qw_json_next(w))
        if (is_same(w, node))
            return true;
    for (const struct qw_json *w = qw_json_first(words); w; w = qw_json_next(w))
        qw_text_addf(&due, "%s%s", due.length ? ", " : "one of ", qw_json_text(w, "null"));
    complain(check, at, rule, node, due.bytes);
    qw_text_free(&due);
    return false;
}

static bool check_const(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at)
{
    const struct qw_json *word = qw_json_get(rule, "const");
    return is_same(word, node) || complain(check, at, rule, node, qw_json_text(word, "null"));
}

static bool check_limit(const struct check *check, const struct qw_json *rule, const char *keyword, const struct qw_json *node,
                        const struct frame *at)
{
    double limit = qw_json_get_real(rule, keyword, NAN), value = qw_json_is_number(node) ? qw_json_real(node, NAN) : NAN;
    char due[64];
    bool least = !strcmp(keyword, "minimum"), above = !strcmp(keyword, "exclusiveMinimum");
    snprintf(due, sizeof due, "a number %s %.9g", above ? "above" : least ? "from" : "up to", limit);
    bool fits = isnan(value) || (above ? value > limit : least ? value >= limit : value <= limit);
    return fits || complain(check, at, rule, node, due);
}

/* Characters of a text, as the standard counts them. */
static double length_of(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return (double)count;
}

static bool check_length(const struct check *check, const struct qw_json *rule, const char *keyword, const struct qw_json *node,
                         const struct frame *at)
{
    double limit = qw_json_get_real(rule, keyword, 0);
    bool of_text = strstr(keyword, "Length"), most = !strncmp(keyword, "max", 3);
    if (of_text ? !qw_json_is_text(node) : !qw_json_is_array(node))
        return true;
    double length = of_text ? length_of(qw_json_text(node, "")) : qw_json_size(node);
    char due[80];
    const char *unit = of_text ? (limit > 1 ? "characters" : "character") : limit > 1 ? "entries" : "entry";
    snprintf(due, sizeof due, "a %s %s (at %s %.0f %s)", most ? "shorter" : "longer", of_text ? "text" : "list",
             most ? "most" : "least", limit, unit);
    bool fits = most ? length <= limit : length >= limit;
    return fits || complain(check, at, rule, node, due);
}

/* The first control character of a text; 0: it has none. */
static int control_in(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return *text;
    return 0;
}

/* Our patterns are read alike by ECMA 262 and as POSIX extended expressions; what they keep out is said in words. */
static bool check_pattern(const struct check *check, const struct qw_json *rule, const struct qw_json *node,
                          const struct frame *at)
{
    const char *pattern = qw_json_get_text(rule, "pattern", ""), *text = qw_json_text(node, NULL);
    regex_t expression;
    if (!text)
        return true;
    int failed = regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB);
    assert(!failed);
    (void)failed;
    bool fits = regexec(&expression, text, 0, NULL, 0) == 0;
    regfree(&expression);
    if (fits || !check->error)
        return fits;
    char *what = control_in(text)
                     ? qw_format("holds the control character U+%04X; one line of plain text is due", control_in(text))
                     : qw_format("holds the text \"%.200s\", which does not fit %s", text, pattern);
    refuse_here(check, at, rule, what);
    free(what);
    return false;
}

/* "a, b, c" */
static void add_keys(struct qw_text *out, const struct qw_json *object)
{
    for (const struct qw_json *f = qw_json_first(object); f; f = qw_json_next(f))
        qw_text_addf(out, "%s%s", out->length ? ", " : "", qw_json_key(f));
}

/* No field but those that the rule names, where it says so. */
static bool check_closed(const struct check *check, const struct qw_json *rule, const struct qw_json *node,
                         const struct frame *at)
{
    const struct qw_json *known = qw_json_get(rule, "properties"), *field = NULL;
    if (!qw_json_is_object(node) || qw_json_bool(qw_json_get(rule, "additionalProperties"), true))
        return true;
    for (field = qw_json_first(node); field && qw_json_get(known, qw_json_key(field));)
        field = qw_json_next(field);
    if (!field || !check->error)
        return !field;
    struct qw_guess guess = qw_guess_for(qw_json_key(field));
    for (const struct qw_json *f = qw_json_first(known); f; f = qw_json_next(f))
        if (!qw_json_get(node, qw_json_key(f)))
            qw_guess_offer(&guess, qw_json_key(f));
    struct qw_text keys = {0};
    add_keys(&keys, known);
    char *what = qw_format("has a field \"%.80s\", which has no meaning here%s", qw_json_key(field), qw_guess_text(&guess, ""));
    char *hint = qw_format("the fields are %s", keys.bytes);
    refuse(check, at, hint, what);
    qw_text_free(&keys);
    free(what);
    free(hint);
    return false;
}

/* The required fields that an object lacks, "id, source"; `first` is the first one, NULL when it has them all. */
static void add_missing(struct qw_text *out, const char **first, int *count, const struct qw_json *rule,
                        const struct qw_json *node)
{
    for (const struct qw_json *k = qw_json_first(qw_json_get(rule, "required")); k; k = qw_json_next(k)) {
        const char *key = qw_json_text(k, "");
        if (qw_json_get(node, key))
            continue;
        qw_text_addf(out, "%s%s", *first ? ", " : "", key);
        *first = *first ? *first : key;
        ++*count;
    }
}

/* A field under a wrong name is named before the one that it was meant for is missed. */
static bool check_required(const struct check *check, const struct qw_json *rule, const struct qw_json *node,
                           const struct frame *at)
{
    struct qw_text missing = {0};
    const char *first = NULL;
    int count = 0;
    if (qw_json_is_object(node))
        add_missing(&missing, &first, &count, rule, node);
    if (first && check_closed(check, rule, node, at)) {
        char *what = qw_format("lacks the field%s %s", count > 1 ? "s" : "", missing.bytes);
        refuse_field(check, at, first, qw_json_get(qw_json_get(rule, "properties"), first), what);
        free(what);
    }
    qw_text_free(&missing);
    return !first;
}

/* The fields that the schema knows, or with `any` all of an object whose fields it does not name. */
static bool check_fields(const struct check *check, const struct qw_json *rules, bool any, const struct qw_json *node,
                         const struct frame *at)
{
    for (const struct qw_json *f = qw_json_first(qw_json_is_object(node) ? node : NULL); f; f = qw_json_next(f)) {
        const struct qw_json *rule = any ? rules : qw_json_get(rules, qw_json_key(f));
        struct frame below = {at, qw_json_key(f), 0, rule};
        if (rule && !conforms(check, rule, f, &below))
            return false;
    }
    return true;
}

static bool check_others(const struct check *check, const struct qw_json *rule, const struct qw_json *node,
                         const struct frame *at)
{
    const struct qw_json *others = qw_json_get(rule, "additionalProperties");
    return qw_json_is_bool(others) ? check_closed(check, rule, node, at) : check_fields(check, others, true, node, at);
}

static bool check_items(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at)
{
    struct frame below = {at, NULL, 0, rule};
    for (const struct qw_json *n = qw_json_first(qw_json_is_array(node) ? node : NULL); n; n = qw_json_next(n), below.index++)
        if (!conforms(check, rule, n, &below))
            return false;
    return true;
}

static const struct qw_json *resolve(const struct check *check, const struct qw_json *rule)
{
    const char *name = qw_json_get_text(rule, "$ref", NULL), *last = name ? strrchr(name, '/') + 1 : NULL;
    if (!name)
        return rule;
    return check->without && !strcmp(last, check->without) ? NULL : resolve(check, qw_json_get(check->definitions, last));
}

/* The complaint is that of the alternative which the node's type was meant for. */
static bool check_any(const struct check *check, const struct qw_json *rules, const struct qw_json *node, const struct frame *at)
{
    struct check silent = *check;
    const struct qw_json *meant = NULL;
    silent.error = NULL;
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

static bool is_one_of(const char *word, const char *const words[])
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words;
}

static bool check_keyword(const struct check *check, const struct qw_json *rule, const struct qw_json *keyword,
                          const struct qw_json *node, const struct frame *at)
{
    static const char *const silent[] = {"$schema", "$defs", "title", "description", NULL};
    static const char *const lengths[] = {"minLength", "maxLength", "minItems", "maxItems", NULL};
    static const char *const limits[] = {"minimum", "maximum", "exclusiveMinimum", NULL};
    static const struct {
        const char *name;
        bool (*check)(const struct check *, const struct qw_json *, const struct qw_json *, const struct frame *);
    } whole[] = {{"type", check_type},       {"enum", check_enum},         {"const", check_const},
                 {"pattern", check_pattern}, {"required", check_required}, {"additionalProperties", check_others}};
    const char *name = qw_json_key(keyword);
    if (is_one_of(name, silent))
        return true;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (!strcmp(name, whole[i].name))
            return whole[i].check(check, rule, node, at);
    if (is_one_of(name, lengths))
        return check_length(check, rule, name, node, at);
    if (is_one_of(name, limits))
        return check_limit(check, rule, name, node, at);
    if (!strcmp(name, "properties"))
        return check_fields(check, keyword, false, node, at);
    if (!strcmp(name, "items"))
        return check_items(check, keyword, node, at);
    assert(!strcmp(name, "anyOf"));
    return check_any(check, keyword, node, at);
}

static bool conforms(const struct check *check, const struct qw_json *rule, const struct qw_json *node, const struct frame *at)
{
    const struct qw_json *meant = resolve(check, rule);
    for (const struct qw_json *k = qw_json_first(meant); k; k = qw_json_next(k))
        if (!check_keyword(check, meant, k, node, at))
            return false;
    return true;
}

/* --- the document --- */

static const struct kind *kind_of(const char *schema)
{
    size_t i = 0;
    while (strcmp(kinds[i].schema, schema) != 0)
        i++;
    return &kinds[i];
}

/* Another version or another document is told apart from a damaged one. */
static bool check_name(const struct qw_json *document, const struct kind *kind, struct qw_error *error)
{
    const char *name = qw_json_get_text(document, "schema", NULL);
    size_t family = (size_t)(strchr(kind->schema, '/') + 1 - kind->schema);
    struct qw_text shown = {0};
    char *begin = qw_format("a %s begins {\"schema\": \"%s\", ...", kind->name, kind->schema);
    const char *hint = kind->hint ? kind->hint : begin;
    bool same = name && !strcmp(name, kind->schema);
    rp_escape_terminal(&shown, name);
    if (!name)
        qw_fail(error, QW_ERROR_INPUT, "schema", hint, "not a %s of schema %s: it names no schema", kind->name, kind->schema);
    else if (!same && !strncmp(name, kind->schema, family))
        qw_fail(error, QW_ERROR_INPUT, "schema", kind->other_version, "is %.80s; this program reads %s", shown.bytes,
                kind->schema);
    else if (!same)
        qw_fail(error, QW_ERROR_INPUT, "schema", hint, "not a %s of schema %s but \"%.80s\"", kind->name, kind->schema,
                shown.bytes ? shown.bytes : "");
    qw_text_free(&shown);
    free(begin);
    return same;
}

/* Read once and kept: a suite is checked block by block. */
static const struct qw_json *rules_of(const struct kind *kind)
{
    static struct qw_json *read[sizeof kinds / sizeof *kinds];
    struct qw_json **rules = &read[kind - kinds];
    struct qw_error broken = {0};
    size_t size;
    const char *bytes = rp_schema_text(kind->schema, &size);
    if (!*rules)
        *rules = qw_json_parse(bytes, size, "", &broken);
    assert(*rules);
    return *rules;
}

bool rp_check_as(const struct qw_json *document, const char *schema, const char *without, struct qw_error *error)
{
    const struct kind *kind = kind_of(schema);
    if (!check_name(document, kind, error))
        return false;
    const struct qw_json *rules = rules_of(kind);
    const struct check check = {kind, qw_json_get(rules, "$defs"), without, "", error};
    return conforms(&check, rules, document, NULL);
}

bool rp_check_part(const struct qw_json *node, const char *schema, const char *definition, const char *place,
                   struct qw_error *error)
{
    const struct kind *kind = kind_of(schema);
    const struct qw_json *definitions = qw_json_get(rules_of(kind), "$defs");
    const struct check check = {kind, definitions, NULL, place, error};
    return conforms(&check, qw_json_get(definitions, definition), node, NULL);
}

bool rp_check(const struct qw_json *document, struct qw_error *error) { return rp_check_as(document, RP_RESULT, NULL, error); }
