/* Invariant: widths are counted on the escaped text, so what is counted is what is printed. */
#include "reports/columns.h"

#include <stdlib.h>
#include <string.h>

#include "reports/escape.h"

static bool is_combining(uint32_t code)
{
    return (code >= 0x300 && code <= 0x36F) || (code >= 0xFE00 && code <= 0xFE0F) || code == 0x200C || code == 0x200D;
}

size_t rp_columns(const char *text)
{
    size_t columns = 0;
    uint32_t code;
    for (; *text; text += rp_decode(&code, text), columns += !is_combining(code))
        ;
    return columns;
}

static char *escaped(const char *text)
{
    struct qw_text copy = {0};
    rp_escape_terminal(&copy, text);
    return qw_text_take(&copy);
}

static void add_blanks(struct qw_text *out, size_t count)
{
    for (; count; count--)
        qw_text_add(out, " ");
}

/* One word; a new line before it when it does not fit behind `*column`. */
static void add_word(struct qw_text *out, const char *word, size_t *column, size_t width)
{
    size_t size = rp_columns(word);
    if (*column > RP_LABEL_WIDTH && *column + 1 + size > width) {
        qw_text_add(out, "\n");
        add_blanks(out, RP_LABEL_WIDTH);
        *column = RP_LABEL_WIDTH;
    } else if (*column > RP_LABEL_WIDTH) {
        qw_text_add(out, " ");
        ++*column;
    }
    qw_text_add(out, word);
    *column += size;
}

void rp_add_paragraph(struct qw_text *out, const char *label, const char *text, int width)
{
    char *copy = escaped(text), *rest = copy;
    size_t column = RP_LABEL_WIDTH;
    qw_text_addf(out, "%-*s", RP_LABEL_WIDTH, label);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        add_word(out, word, &column, (size_t)width);
    qw_text_add(out, "\n");
    free(copy);
}

/* Bytes of the first `columns` columns of `text`. */
static size_t bytes_of(const char *text, size_t columns)
{
    const char *at = text;
    uint32_t code;
    for (; *at && columns; columns--)
        at += rp_decode(&code, at);
    return (size_t)(at - text);
}

void rp_add_cell(struct qw_text *out, const char *text, size_t width)
{
    char *copy = escaped(text);
    size_t columns = rp_columns(copy);
    if (columns <= width) {
        qw_text_add(out, copy);
        add_blanks(out, width - columns);
    } else {
        size_t head = width > 11 ? (width - 3) / 3 : 0, tail = width - 3 - head;
        qw_text_add_bytes(out, copy, bytes_of(copy, head));
        qw_text_add(out, "...");
        qw_text_add(out, copy + bytes_of(copy, columns - tail));
    }
    free(copy);
}
