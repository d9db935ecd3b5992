/* Invariant: an embedded drawing refers to nothing outside itself, and no two prefixes share an id. */
#include "reports/svg.h"

#include <stdlib.h>
#include <string.h>

#include "reports/escape.h"

/* What is replaced in the body; a NULL value stands for "as it is, then the prefix". */
static const struct {
    const char *from, *to;
} replacements[] = {
    {"id='", NULL},
    {"id=\"", NULL},
    {"href='#", NULL},
    {"href=\"#", NULL},
    {"url(#", NULL},
    {"'black'", "'currentColor'"},
    {"\"black\"", "\"currentColor\""},
    {"rgb(  0, 114, 178)", "var(--series-1)"},
    {"rgb(213,  94,   0)", "var(--series-2)"},
    {"rgb(204, 121, 167)", "var(--series-3)"},
    {"rgb(127, 127, 127)", "var(--muted)"},
    {"rgb(  0,   0,   0)", "currentColor"},
    {"rgb(0,114,178)", "var(--series-1)"},
    {"rgb(213,94,0)", "var(--series-2)"},
    {"rgb(204,121,167)", "var(--series-3)"},
    {"rgb(127,127,127)", "var(--muted)"},
    {"rgb(0,0,0)", "currentColor"},
};
#define REPLACEMENT_COUNT (sizeof replacements / sizeof *replacements)

static bool is_drawing(const char *svg)
{
    static const char *const refused[] = {"<script",  "<foreignObject", "<!ENTITY",   "<image",      "<a ",     " onload",
                                          " onclick", "javascript:",    "href='http", "href=\"http", "href='/", "href=\"/"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcasestr(svg, refused[i]))
            return false;
    return true;
}

/* The value of the root's viewBox into `out`; false when it holds anything but digits, dots and blanks. */
static bool add_view_box(struct qw_text *out, const char *root)
{
    const char *box = strstr(root, "viewBox=\"");
    if (!box)
        return false;
    box += strlen("viewBox=\"");
    size_t length = strspn(box, "0123456789. ");
    qw_text_add_bytes(out, box, length);
    return length && box[length] == '"';
}

/* Appends the body from `at` up to `end`, replacing as it goes. */
static void add_body(struct qw_text *out, const char *at, const char *end, const char *prefix)
{
    while (at < end) {
        size_t i = 0;
        while (i < REPLACEMENT_COUNT && strncmp(at, replacements[i].from, strlen(replacements[i].from)) != 0)
            i++;
        if (i == REPLACEMENT_COUNT) {
            qw_text_add_bytes(out, at++, 1);
            continue;
        }
        qw_text_add(out, replacements[i].to ? replacements[i].to : replacements[i].from);
        if (!replacements[i].to)
            qw_text_addf(out, "%s-", prefix);
        at += strlen(replacements[i].from);
    }
}

static void add_root(struct qw_text *out, const char *box, const struct rp_plot_label *label)
{
    qw_text_addf(out,
                 "<svg viewBox=\"%s\" xmlns=\"http://www.w3.org/2000/svg\" "
                 "xmlns:xlink=\"http://www.w3.org/1999/xlink\" role=\"img\" aria-labelledby=\"%s-title\" "
                 "aria-describedby=\"%s-desc\">\n<title id=\"%s-title\">",
                 box, label->id, label->id, label->id);
    rp_escape_html(out, label->title);
    qw_text_addf(out, "</title>\n<desc id=\"%s-desc\">", label->id);
    rp_escape_html(out, label->description);
    qw_text_add(out, "</desc>\n");
}

bool rp_svg_embed(struct qw_text *out, const char *svg, const struct rp_plot_label *label)
{
    struct qw_text box = {0};
    const char *root = strstr(svg, "<svg");
    const char *body = root ? strstr(root, "<g id=\"gnuplot_canvas\"") : NULL;
    const char *end = body ? strstr(body, "</svg>") : NULL;
    bool fit = end && is_drawing(root) && add_view_box(&box, root);
    if (fit) {
        add_root(out, box.bytes, label);
        add_body(out, body, end, label->id);
        qw_text_add(out, "</svg>\n");
    }
    qw_text_free(&box);
    return fit;
}
