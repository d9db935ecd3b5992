/* Invariant: only %r and the template itself are copied without escaping. */
#include "reports/markup.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "reports/escape.h"

static void add_argument(struct qw_text *out, char directive, va_list *arguments)
{
    switch (directive) {
    case 't': rp_escape_html(out, va_arg(*arguments, const char *)); break;
    case 'a': rp_escape_attribute(out, va_arg(*arguments, const char *)); break;
    case 'r': qw_text_add(out, va_arg(*arguments, const char *)); break;
    case 'd': qw_text_addf(out, "%d", va_arg(*arguments, int)); break;
    case '%': qw_text_add(out, "%"); break;
    default: assert(0 && "rp_markup knows no such directive");
    }
}

void rp_markup(struct qw_text *out, const char *template, ...)
{
    va_list arguments;
    va_start(arguments, template);
    for (const char *at = template; *at;) {
        size_t plain = strcspn(at, "%");
        qw_text_add_bytes(out, at, plain);
        at += plain;
        if (*at) {
            add_argument(out, at[1], &arguments);
            at += 2;
        }
    }
    va_end(arguments);
}

void rp_add_link(struct qw_text *out, const char *url)
{
    struct qw_text address = {0};
    if (rp_escape_url(&address, url))
        rp_markup(out, "<a href=\"%r\" rel=\"noopener noreferrer\">%t</a>", address.bytes, url);
    else
        rp_markup(out, "%t", url);
    qw_text_free(&address);
}
