/* Invariant: no byte of the input reaches the output unseen by the filter of its context. */
#include "reports/escape.h"

#include <string.h>

static bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

/* Length of the sequence that `lead` announces, 0 when it announces none. */
static size_t sequence_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if (lead >= 0xE0 && lead <= 0xEF)
        return 3;
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

static bool is_scalar(uint32_t code, size_t length)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    return code >= least[length] && code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
}

size_t rp_decode(uint32_t *code, const char *bytes)
{
    static const unsigned char mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *b = (const unsigned char *)bytes;
    size_t length = sequence_length(b[0]);
    *code = RP_CODE_INVALID;
    if (!length)
        return 1;
    uint32_t value = b[0] & mask[length];
    for (size_t i = 1; i < length; i++) {
        if (!is_continuation(b[i]))
            return 1;
        value = value << 6 | (b[i] & 0x3Fu);
    }
    if (!is_scalar(value, length))
        return 1;
    *code = value;
    return length;
}

static bool is_control(uint32_t code) { return code < 0x20 || (code >= 0x7F && code <= 0x9F); }

/* Characters that change how their neighbours look, or that nobody sees. */
static bool is_hidden(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0xAD, 0xAD},     {0x61C, 0x61C},   {0x180E, 0x180E}, {0x200B, 0x200B}, {0x200E, 0x200F},   {0x2028, 0x202E},
        {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xFFFE, 0xFFFF}, {0xE0000, 0xE007F},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return (code & 0xFFFE) == 0xFFFE;
}

static void spell(struct qw_text *out, uint32_t code)
{
    qw_text_addf(out, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
}

static const char *entity(uint32_t code)
{
    switch (code) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

/* False from the limit on, after saying what is left out.  A cut falls between two characters. */
static bool goes_on(struct qw_text *out, const char *start, const char *at)
{
    if (*at && (size_t)(at - start) >= RP_TEXT_LIMIT)
        qw_text_addf(out, "... (%zu more bytes)", strlen(at));
    return *at && (size_t)(at - start) < RP_TEXT_LIMIT;
}

static void escape_markup(struct qw_text *out, const char *text, bool keep_lines)
{
    uint32_t code;
    const char *start = text;
    for (size_t step; text && goes_on(out, start, text); text += step) {
        step = rp_decode(&code, text);
        const char *name = entity(code);
        if (code == RP_CODE_INVALID)
            qw_text_add(out, "\xEF\xBF\xBD");
        else if (name)
            qw_text_add(out, name);
        else if (keep_lines && (code == '\n' || code == '\t'))
            qw_text_add_bytes(out, text, 1);
        else if (is_control(code) || is_hidden(code))
            spell(out, code);
        else
            qw_text_add_bytes(out, text, step);
    }
}

void rp_escape_html(struct qw_text *out, const char *text) { escape_markup(out, text, true); }

void rp_escape_attribute(struct qw_text *out, const char *text) { escape_markup(out, text, false); }

static bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/* https://host, host of letters, digits, dots and hyphens, then a path, a query, a fragment or the end. */
static bool is_plain_https(const char *url)
{
    if (strncmp(url, "https://", 8) != 0 || !is_alphanumeric(url[8]))
        return false;
    const char *end = url + 8;
    while (is_alphanumeric(*end) || *end == '.' || *end == '-')
        end++;
    return *end == 0 || *end == '/' || *end == '?' || *end == '#';
}

bool rp_escape_url(struct qw_text *out, const char *url)
{
    enum { LONGEST = 2000 };
    if (!url || strlen(url) > LONGEST || !is_plain_https(url))
        return false;
    for (const char *c = url; *c; c++) {
        if (*c == '&')
            qw_text_add(out, "&amp;");
        else if (is_alphanumeric(*c) || strchr("-._~:/?#[]@!$()*+,;=%", *c))
            qw_text_add_bytes(out, c, 1);
        else
            qw_text_addf(out, "%%%02X", (unsigned)(unsigned char)*c);
    }
    return true;
}

/* What a CI system that reads along obeys: "::" where a line may begin, "##[" anywhere. */
static bool is_obeyed(const char *start, const char *at)
{
    bool first = at == start || at[-1] == ' ';
    return (first && !strncmp(at, "::", 2)) || !strncmp(at, "##[", 3);
}

static void escape_one(struct qw_text *out, const char *start, const char *text, size_t bytes, uint32_t code)
{
    if (code == RP_CODE_INVALID)
        spell(out, (unsigned char)*text);
    else if (code == '\n')
        qw_text_add(out, "\\n");
    else if (code == '\t')
        qw_text_add(out, "\\t");
    else if (is_control(code) || is_hidden(code) || is_obeyed(start, text))
        spell(out, code);
    else
        qw_text_add_bytes(out, text, bytes);
}

void rp_escape_terminal(struct qw_text *out, const char *text)
{
    uint32_t code;
    const char *start = text;
    for (size_t step; text && goes_on(out, start, text); text += step) {
        step = rp_decode(&code, text);
        escape_one(out, start, text, step, code);
    }
}

void rp_escape_line(struct qw_text *out, const char *text, size_t limit)
{
    uint32_t code;
    const char *start = text;
    size_t before = out->length;
    for (size_t step; text && *text && out->length - before < limit; text += step) {
        step = rp_decode(&code, text);
        escape_one(out, start, text, step, code);
    }
    if (text && *text)
        qw_text_addf(out, "... (%zu more bytes)", strlen(text));
}

static bool is_word(char c) { return is_alphanumeric(c) || c == '_' || (unsigned char)c >= 0x80; }

void rp_escape_markdown(struct qw_text *out, const char *text)
{
    struct qw_text shown = {0};
    rp_escape_terminal(&shown, text);
    const char *start = shown.bytes ? shown.bytes : "";
    for (const char *at = start; *at; at++) {
        bool notifies = *at == '@' && is_alphanumeric(at[1]) && (at == start || !is_word(at[-1]));
        if (strchr("\\`*_[]<>&|~#$", *at))
            qw_text_add(out, "\\");
        qw_text_add_bytes(out, notifies ? "`@`" : at, notifies ? 3 : 1);
    }
    qw_text_free(&shown);
}

/* Backquotes that stand in a row, at most. */
static size_t longest_quote(const char *text)
{
    size_t longest = 0;
    for (text = strchr(text, '`'); text; text = strchr(text, '`')) {
        size_t length = strspn(text, "`");
        longest = length > longest ? length : longest;
        text += length;
    }
    return longest;
}

static void add_quotes(struct qw_text *out, int count)
{
    for (int i = 0; i < count; i++)
        qw_text_add(out, "`");
}

void rp_escape_code(struct qw_text *out, const char *text)
{
    struct qw_text shown = {0};
    rp_escape_terminal(&shown, text);
    const char *at = shown.bytes ? shown.bytes : "";
    int quotes = (int)longest_quote(at) + 1;
    const char *pad = quotes > 1 || !at[strspn(at, " ")] || (at[0] == ' ' && at[strlen(at) - 1] == ' ') ? " " : "";
    add_quotes(out, quotes);
    qw_text_addf(out, "%s%s%s", pad, at, pad);
    add_quotes(out, quotes);
    qw_text_free(&shown);
}

static void escape_percent(struct qw_text *out, const char *text, const char *special)
{
    struct qw_text shown = {0};
    rp_escape_terminal(&shown, text);
    for (const char *at = shown.bytes ? shown.bytes : ""; *at; at++)
        if (strchr(special, *at))
            qw_text_addf(out, "%%%02X", (unsigned)(unsigned char)*at);
        else
            qw_text_add_bytes(out, at, 1);
    qw_text_free(&shown);
}

void rp_escape_command(struct qw_text *out, const char *text) { escape_percent(out, text, "%\r\n"); }

void rp_escape_property(struct qw_text *out, const char *text) { escape_percent(out, text, "%\r\n:,"); }

void rp_escape_csv(struct qw_text *out, const char *text)
{
    struct qw_text shown = {0};
    rp_escape_terminal(&shown, text);
    const char *at = shown.bytes ? shown.bytes : "";
    const char *guard = *at && strchr("=+-@", *at) ? "'" : "";
    if (!strpbrk(at, ",\"") && *at != ' ') {
        qw_text_addf(out, "%s%s", guard, at);
    } else {
        qw_text_addf(out, "\"%s", guard);
        for (; *at; at++)
            qw_text_add_bytes(out, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
        qw_text_add(out, "\"");
    }
    qw_text_free(&shown);
}

void rp_escape_id(struct qw_text *out, const char *text, size_t limit)
{
    size_t written = 0;
    bool gap = false;
    for (; text && *text && written + 2 <= limit; text++) {
        if (!is_alphanumeric(*text)) {
            gap = written > 0;
            continue;
        }
        if (gap)
            qw_text_add(out, "-");
        qw_text_add_bytes(out, text, 1);
        written += gap ? 2 : 1;
        gap = false;
    }
}
