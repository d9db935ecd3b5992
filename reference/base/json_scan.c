/* Invariant: `at` never passes `end`, and stands at the offending byte once `why` is set. */
#include "reference/base/json_scan.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>

#define LONGEST_NUMBER 60   /* characters; a double needs no more than 24 */
#define DEEPEST        1000 /* what the parser behind can do */

struct scan {
    const char *begin, *at, *end;
    const struct qw_json_limits *limits;
    int depth;
    int64_t nodes;
    const char *why; /* NULL as long as it is JSON */
};

static bool stop(struct scan *scan, const char *why)
{
    if (!scan->why)
        scan->why = why;
    return false;
}

static bool is_next(const struct scan *scan, char wanted) { return scan->at < scan->end && *scan->at == wanted; }

static bool take(struct scan *scan, char wanted)
{
    bool found = is_next(scan, wanted);
    scan->at += found;
    return found;
}

static void skip_space(struct scan *scan)
{
    while (is_next(scan, ' ') || is_next(scan, '\n') || is_next(scan, '\t') || is_next(scan, '\r'))
        scan->at++;
}

/* ---- strings ---- */

/* The well-formed sequences beyond ASCII (Unicode standard, table 3-7): no overlong forms, no surrogates, nothing beyond
 * 10FFFF. */
static const struct {
    unsigned char first, last, second_from, second_to;
    int length;
} sequences[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
    {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

int qw_utf8_length(const char *at, const char *end)
{
    const unsigned char *byte = (const unsigned char *)at;
    if (byte[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        if (byte[0] < sequences[i].first || byte[0] > sequences[i].last)
            continue;
        if (end - at < sequences[i].length)
            return 0;
        bool fits = byte[1] >= sequences[i].second_from && byte[1] <= sequences[i].second_to;
        for (int k = 2; k < sequences[i].length; k++)
            fits = fits && (byte[k] & 0xc0) == 0x80;
        return fits ? sequences[i].length : 0;
    }
    return 0;
}

/* The four hex digits behind "\u", or -1. */
static int code_unit(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        static const char digits[] = "00112233445566778899aAbBcCdDeEfF";
        const char *found = memchr(digits, at[i], sizeof digits - 1);
        if (!found)
            return -1;
        value = 16 * value + (int)(found - digits) / 2;
    }
    return value;
}

static bool scan_escape(struct scan *scan)
{
    int unit = code_unit(scan->at, scan->end);
    if (scan->end - scan->at >= 2 && scan->at[1] && strchr("\"\\/bfnrt", scan->at[1])) {
        scan->at += 2;
        return true;
    }
    if (unit < 0)
        return stop(scan, "no such escape");
    if (unit == 0)
        return stop(scan, "\\u0000 would cut the text short");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return stop(scan, "the second half of a surrogate pair without its first");
    if (unit >= 0xd800 && unit <= 0xdbff) {
        int second = code_unit(scan->at + 6, scan->end);
        if (second < 0xdc00 || second > 0xdfff)
            return stop(scan, "the first half of a surrogate pair without its second");
        scan->at += 6;
    }
    scan->at += 6;
    return true;
}

static bool scan_string(struct scan *scan)
{
    if (!take(scan, '"'))
        return stop(scan, "a key in double quotes must stand here");
    while (scan->at < scan->end && *scan->at != '"') {
        if (*scan->at == '\\') {
            if (!scan_escape(scan))
                return false;
            continue;
        }
        int length = qw_utf8_length(scan->at, scan->end);
        if (!length || (unsigned char)*scan->at < 0x20)
            return stop(scan, length ? "a control character must be escaped" : "the bytes are no UTF-8");
        scan->at += length;
    }
    return take(scan, '"') || stop(scan, "the text is not closed");
}

/* ---- numbers and words ---- */

static bool skip_digits(struct scan *scan)
{
    const char *from = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > from;
}

static bool has_exponent(const char *from, size_t length) { return memchr(from, 'e', length) || memchr(from, 'E', length); }

/* Without an exponent sixty characters hold nothing that is too large. */
static bool is_finite(const char *from, size_t length)
{
    char copy[LONGEST_NUMBER + 1];
    if (!has_exponent(from, length))
        return true;
    memcpy(copy, from, length);
    copy[length] = 0;
    return isfinite(strtod(copy, NULL));
}

static bool scan_number(struct scan *scan)
{
    const char *from = scan->at;
    take(scan, '-');
    if (take(scan, '0')) {
        if (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
            return stop(scan, "a number does not begin with 0");
    } else if (!skip_digits(scan)) {
        return stop(scan, "a digit must stand here");
    }
    if (take(scan, '.') && !skip_digits(scan))
        return stop(scan, "a digit must follow the point");
    if (take(scan, 'e') || take(scan, 'E')) {
        (void)(take(scan, '+') || take(scan, '-'));
        if (!skip_digits(scan))
            return stop(scan, "a digit must stand in the exponent");
    }
    size_t length = (size_t)(scan->at - from);
    bool count = *from != '-' && !memchr(from, '.', length) && !has_exponent(from, length);
    if (scan->limits->counts && !count)
        stop(scan, "only whole numbers, written as digits, stand here");
    else if (length > LONGEST_NUMBER || !is_finite(from, length))
        stop(scan, "the number is too large or has too many digits");
    if (scan->why)
        scan->at = from;
    return !scan->why;
}

static bool scan_word(struct scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(scan->end - scan->at) >= length && !memcmp(scan->at, words[i], length)) {
            scan->at += length;
            return true;
        }
    }
    return stop(scan, "a value must stand here");
}

/* ---- containers ---- */

static bool scan_value(struct scan *scan);

static bool scan_member(struct scan *scan, bool keyed)
{
    skip_space(scan);
    if (keyed) {
        if (!scan_string(scan))
            return false;
        skip_space(scan);
        if (!take(scan, ':'))
            return stop(scan, "a colon must follow the key");
    }
    if (!scan_value(scan))
        return false;
    skip_space(scan);
    return true;
}

static bool scan_container(struct scan *scan, char close)
{
    if (++scan->depth > scan->limits->depth)
        return stop(scan, "the nesting is deeper than is read here");
    scan->at++;
    skip_space(scan);
    if (!take(scan, close)) {
        do {
            if (!scan_member(scan, close == '}'))
                return false;
        } while (take(scan, ','));
        if (!take(scan, close))
            return stop(scan, close == '}' ? "a comma or } must stand here" : "a comma or ] must stand here");
    }
    scan->depth--;
    return true;
}

static bool scan_value(struct scan *scan)
{
    skip_space(scan);
    if (++scan->nodes > scan->limits->nodes)
        return stop(scan, "there are more values than are read here");
    if (scan->at == scan->end)
        return stop(scan, "a value must stand here, and the text ends");
    if (is_next(scan, '{'))
        return scan_container(scan, '}');
    if (is_next(scan, '['))
        return scan_container(scan, ']');
    if (is_next(scan, '"'))
        return scan_string(scan);
    if (is_next(scan, '-') || (*scan->at >= '0' && *scan->at <= '9'))
        return scan_number(scan);
    return scan_word(scan);
}

/* ---- the whole ---- */

static bool fail_at(const struct scan *scan, const char *place, struct qw_error *error)
{
    int64_t line = 1;
    const char *start = scan->begin;
    for (const char *at = scan->begin; at < scan->at; at++)
        if (*at == '\n') {
            line++;
            start = at + 1;
        }
    ptrdiff_t column = scan->at - start + 1;
    return qw_fail(error, QW_ERROR_INPUT, place, "it must be one JSON document (RFC 8259), in UTF-8",
                   "not valid JSON at line %lld, column %td: %s", (long long)line, column, scan->why);
}

bool qw_json_scan(const char *bytes, size_t size, const struct qw_json_limits *limits, const char *place, struct qw_error *error)
{
    assert(limits->depth <= DEEPEST);
    struct scan scan = {.begin = bytes, .at = bytes, .end = bytes + size, .limits = limits};
    if (size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3))
        stop(&scan, "a byte order mark stands before the document");
    else if (scan_value(&scan)) {
        skip_space(&scan);
        if (scan.at < scan.end)
            stop(&scan, "something stands after the document");
    }
    return !scan.why || fail_at(&scan, place, error);
}
