/* Invariant: a `struct qw_json *` is a cJSON node; nothing outside this file sees that. */
#include "reference/base/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/json_scan.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

/* Debian 12 has 1.7.15.  Its known over-read (CVE-2023-53154, mended in 1.7.18) needs a text without its final NUL, and
 * every text that gets here has one and was scanned before; older releases were not looked at. */
#if CJSON_VERSION_MAJOR * 10000 + CJSON_VERSION_MINOR * 100 + CJSON_VERSION_PATCH < 10715
#error "cJSON 1.7.15 or later is needed"
#endif

/* cJSON's own allocations end as all others do: with memory, or with the process. */
static void *allocate(size_t size) { return qw_realloc(NULL, size, 1); }
__attribute__((constructor)) static void use_own_memory(void) { cJSON_InitHooks(&(cJSON_Hooks){allocate, free}); }

static const cJSON *in(const struct qw_json *node) { return (const cJSON *)node; }
static cJSON *out(struct qw_json *node) { return (cJSON *)node; }
static struct qw_json *wrap(cJSON *node) { return (struct qw_json *)node; }
static const struct qw_json *wrap_const(const cJSON *node) { return (const struct qw_json *)node; }

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The first key that stands twice among the children of an object, or NULL. */
static const char *key_twice(const cJSON *object)
{
    int count = cJSON_GetArraySize(object), filled = 0;
    const char **keys = QW_NEW_ARRAY(const char *, count), *found = NULL;
    for (const cJSON *child = object->child; child; child = child->next)
        keys[filled++] = child->string;
    qsort(keys, (size_t)count, sizeof *keys, by_text);
    for (int i = 1; i < count && !found; i++)
        if (!strcmp(keys[i - 1], keys[i]))
            found = keys[i];
    free(keys);
    return found;
}

/* … in one object of the tree.  Keys are compared after their escapes were resolved, so this needs the tree. */
static const char *duplicate_key(const cJSON *node)
{
    const char *found = cJSON_IsObject(node) ? key_twice(node) : NULL;
    for (const cJSON *child = node->child; child && !found; child = child->next)
        found = duplicate_key(child);
    return found;
}

struct qw_json *qw_json_parse_within(const char *bytes, size_t size, const struct qw_json_limits *limits, const char *place,
                                     struct qw_error *error)
{
    if (!qw_json_scan(bytes, size, limits, place, error))
        return NULL;
    char *copy = qw_calloc(size + 1, 1);
    memcpy(copy, bytes, size);
    cJSON *root = cJSON_Parse(copy);
    const char *twice = root ? duplicate_key(root) : NULL;
    if (!root)
        qw_fail(error, QW_ERROR_INPUT, place, "give a smaller document", "the JSON document does not fit into memory");
    if (twice) {
        qw_fail(error, QW_ERROR_INPUT, place, "keep one of them", "the key \"%.80s\" stands twice in one object", twice);
        cJSON_Delete(root);
        root = NULL;
    }
    free(copy);
    return wrap(root);
}

struct qw_json *qw_json_parse(const char *bytes, size_t size, const char *place, struct qw_error *error)
{
    static const struct qw_json_limits limits = {64, 1 << 24, false};
    return qw_json_parse_within(bytes, size, &limits, place, error);
}

void qw_json_free(struct qw_json *root) { cJSON_Delete(out(root)); }

struct qw_json *qw_json_copy(const struct qw_json *node) { return wrap(cJSON_Duplicate(in(node), 1)); }

struct qw_json *qw_json_object(void) { return wrap(cJSON_CreateObject()); }
struct qw_json *qw_json_array(void) { return wrap(cJSON_CreateArray()); }

/* The text with U+FFFD for every byte that belongs to no character, so that what is printed can be read; NULL where there
 * is no such byte. */
static char *repaired(const char *text)
{
    struct qw_text sound = {0};
    const char *end = text + strlen(text), *at = text;
    while (at < end && qw_utf8_length(at, end))
        at += qw_utf8_length(at, end);
    if (at == end)
        return NULL;
    for (at = text; at < end;) {
        int length = qw_utf8_length(at, end);
        qw_text_add_bytes(&sound, length ? at : "\xef\xbf\xbd", length ? (size_t)length : 3);
        at += length ? length : 1;
    }
    return qw_text_take(&sound);
}

static struct qw_json *text_node(const char *text)
{
    char *sound = text ? repaired(text) : NULL;
    cJSON *node = text ? cJSON_CreateString(sound ? sound : text) : cJSON_CreateNull();
    free(sound);
    return wrap(node);
}

struct qw_json *qw_json_put(struct qw_json *object, const char *key, struct qw_json *child)
{
    char *sound = repaired(key);
    cJSON_AddItemToObject(out(object), sound ? sound : key, out(child));
    free(sound);
    return child;
}

struct qw_json *qw_json_set(struct qw_json *object, const char *key, struct qw_json *child)
{
    if (!qw_json_get(object, key))
        return qw_json_put(object, key, child);
    cJSON_ReplaceItemInObjectCaseSensitive(out(object), key, out(child));
    return child;
}

struct qw_json *qw_json_add(struct qw_json *array, struct qw_json *child)
{
    cJSON_AddItemToArray(out(array), out(child));
    return child;
}

static struct qw_json *real_node(double number)
{
    if (isfinite(number))
        return wrap(cJSON_CreateNumber(number));
    return text_node(isnan(number) ? "nan" : number > 0 ? "inf" : "-inf");
}

void qw_json_put_text(struct qw_json *o, const char *key, const char *text) { qw_json_put(o, key, text_node(text)); }
void qw_json_set_text(struct qw_json *o, const char *key, const char *text) { qw_json_set(o, key, text_node(text)); }
void qw_json_set_int(struct qw_json *o, const char *key, int64_t n) { qw_json_set(o, key, real_node((double)n)); }
void qw_json_put_int(struct qw_json *o, const char *key, int64_t n) { qw_json_put(o, key, real_node((double)n)); }
void qw_json_put_real(struct qw_json *o, const char *key, double n) { qw_json_put(o, key, real_node(n)); }
void qw_json_put_bool(struct qw_json *o, const char *key, bool t) { qw_json_put(o, key, wrap(cJSON_CreateBool(t))); }
void qw_json_put_null(struct qw_json *o, const char *key) { qw_json_put(o, key, wrap(cJSON_CreateNull())); }
void qw_json_add_text(struct qw_json *a, const char *text) { qw_json_add(a, text_node(text)); }
void qw_json_add_int(struct qw_json *a, int64_t n) { qw_json_add(a, real_node((double)n)); }

const struct qw_json *qw_json_get(const struct qw_json *object, const char *key)
{
    return wrap_const(object ? cJSON_GetObjectItemCaseSensitive(in(object), key) : NULL);
}

const struct qw_json *qw_json_first(const struct qw_json *c) { return c ? wrap_const(in(c)->child) : NULL; }
const struct qw_json *qw_json_next(const struct qw_json *c) { return c ? wrap_const(in(c)->next) : NULL; }
int qw_json_size(const struct qw_json *c) { return c ? cJSON_GetArraySize(in(c)) : 0; }
const char *qw_json_key(const struct qw_json *c) { return c ? in(c)->string : NULL; }

const char *qw_json_text(const struct qw_json *node, const char *fallback)
{
    return cJSON_IsString(in(node)) ? in(node)->valuestring : fallback;
}

double qw_json_real(const struct qw_json *node, double fallback)
{
    if (cJSON_IsNumber(in(node)))
        return in(node)->valuedouble;
    const char *text = qw_json_text(node, "");
    if (!strcmp(text, "nan"))
        return (double)NAN;
    if (!strcmp(text, "inf"))
        return (double)INFINITY;
    return !strcmp(text, "-inf") ? -(double)INFINITY : fallback;
}

int64_t qw_json_int(const struct qw_json *node, int64_t fallback)
{
    if (!cJSON_IsNumber(in(node)))
        return fallback;
    double number = in(node)->valuedouble;
    return number == floor(number) && fabs(number) <= 0x1p53 ? (int64_t)number : fallback;
}

bool qw_json_bool(const struct qw_json *node, bool fallback)
{
    return cJSON_IsBool(in(node)) ? cJSON_IsTrue(in(node)) : fallback;
}

bool qw_json_is_null(const struct qw_json *node) { return !node || cJSON_IsNull(in(node)); }
bool qw_json_is_bool(const struct qw_json *node) { return cJSON_IsBool(in(node)); }
bool qw_json_is_text(const struct qw_json *node) { return cJSON_IsString(in(node)); }
bool qw_json_is_number(const struct qw_json *node) { return cJSON_IsNumber(in(node)); }
bool qw_json_is_object(const struct qw_json *node) { return cJSON_IsObject(in(node)); }
bool qw_json_is_array(const struct qw_json *node) { return cJSON_IsArray(in(node)); }

const char *qw_json_get_text(const struct qw_json *object, const char *key, const char *fallback)
{
    return qw_json_text(qw_json_get(object, key), fallback);
}

double qw_json_get_real(const struct qw_json *object, const char *key, double fallback)
{
    return qw_json_real(qw_json_get(object, key), fallback);
}

int64_t qw_json_get_int(const struct qw_json *object, const char *key, int64_t fallback)
{
    return qw_json_int(qw_json_get(object, key), fallback);
}

bool qw_json_get_bool(const struct qw_json *object, const char *key, bool fallback)
{
    return qw_json_bool(qw_json_get(object, key), fallback);
}

/* ---- printing ---- */

/* The shortest of 15, 16 and 17 digits that reads back as the same double; whole numbers up to 2^53 without exponent. */
static void print_number(char *out, size_t size, double number)
{
    if (fabs(number) <= 0x1p53 && number == floor(number)) {
        snprintf(out, size, "%.0f", number);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, number);
        if (strtod(out, NULL) == number)
            return;
    }
}

/* cJSON prints fifteen digits where they are near enough: numbers are handed to it as finished text instead. */
static void finish_numbers(cJSON *node)
{
    char text[32];
    if (cJSON_IsNumber(node)) {
        print_number(text, sizeof text, node->valuedouble);
        node->type = (node->type & ~0xff) | cJSON_Raw;
        node->valuestring = qw_strdup(text);
    }
    for (cJSON *child = node->child; child; child = child->next)
        finish_numbers(child);
}

char *qw_json_print(const struct qw_json *node, bool pretty)
{
    cJSON *finished = cJSON_Duplicate(in(node), 1);
    finish_numbers(finished);
    char *text = pretty ? cJSON_Print(finished) : cJSON_PrintUnformatted(finished);
    size_t length = strlen(text);
    char *line = qw_realloc(text, length + 2, 1);
    line[length] = '\n';
    line[length + 1] = 0;
    cJSON_Delete(finished);
    return line;
}
