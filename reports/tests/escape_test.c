/* Escaping: each context lets nothing through that means something there. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "reports/escape.h"

static void expect(void (*escape)(struct qw_text *, const char *), const char *text, const char *wanted)
{
    struct qw_text out = {0};
    escape(&out, text);
    char *got = qw_text_take(&out);
    cr_expect_str_eq(got, wanted);
    free(got);
}

Test(escape, html_entities_controls_and_broken_bytes)
{
    expect(rp_escape_html, "a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#39;");
    expect(rp_escape_html, "x\n\ty\x1b[0m\x7f", "x\n\ty\\x1b[0m\\x7f");
    expect(rp_escape_html, "\xff\xc3", "\xEF\xBF\xBD\xEF\xBF\xBD");
    expect(rp_escape_html, "\xe2\x80\xae", "\\u202e");
    expect(rp_escape_html, "\xe4\xbb\xa4", "\xe4\xbb\xa4");
    expect(rp_escape_html, NULL, "");
}

Test(escape, attribute_has_no_line_feed) { expect(rp_escape_attribute, "a\"b\nc", "a&quot;b\\x0ac"); }

Test(escape, terminal_spells_out_what_steers_it)
{
    expect(rp_escape_terminal, "\x1b[31m\a\r\n\t\x7f", "\\x1b[31m\\x07\\x0d\\n\\t\\x7f");
    expect(rp_escape_terminal,
           "\xc2\x9b"
           "31m",
           "\\x9b31m");
    expect(rp_escape_terminal, "\xff\xed\xa0\x80", "\\xff\\xed\\xa0\\x80");
    expect(rp_escape_terminal, "<b>&", "<b>&");
}

static void expect_url(const char *url, const char *wanted)
{
    struct qw_text out = {0};
    bool linked = rp_escape_url(&out, url);
    char *got = qw_text_take(&out);
    cr_expect_eq(linked, *wanted != 0, "%s", url);
    cr_expect_str_eq(got, wanted);
    free(got);
}

Test(escape, only_plain_https_is_linked)
{
    expect_url("https://github.com/QwenLM/Qwen3/issues/882", "https://github.com/QwenLM/Qwen3/issues/882");
    expect_url("https://a.org/?q=1&r=\"><script>", "https://a.org/?q=1&amp;r=%22%3E%3Cscript%3E");
    expect_url("https://a.org/\xff\n", "https://a.org/%FF%0A");
    expect_url("http://a.org/", "");
    expect_url("javascript:alert(1)", "");
    expect_url("https://user@evil.org/", "");
    expect_url("https://", "");
    expect_url("https:///x", "");
    expect_url(NULL, "");
}

Test(escape, id_is_short_and_plain)
{
    struct qw_text out = {0};
    rp_escape_id(&out, "--qwen2/prompt tuning\"<>4.44", 18);
    char *got = qw_text_take(&out);
    cr_expect(strlen(got) <= 18);
    cr_expect_eq(strspn(got, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(got));
    cr_expect(!strncmp(got, "qwen2-prompt", 12), "%s", got);
    free(got);
}

/* Every two-byte string: whatever comes in, what comes out is valid UTF-8 without markup. */
Test(escape, all_pairs_of_bytes)
{
    for (int pair = 0x100; pair < 0x10000; pair++) {
        char text[3] = {(char)(pair >> 8), (char)(pair & 0xFF), 0};
        struct qw_text out = {0};
        uint32_t code = 0;
        rp_escape_html(&out, text);
        for (const char *at = out.bytes; *at; at += rp_decode(&code, at)) {
            rp_decode(&code, at);
            cr_assert(code != RP_CODE_INVALID && (code >= 0x20 || code == '\n' || code == '\t'), "%04x", (unsigned)pair);
        }
        cr_assert(!strpbrk(out.bytes, "<>\"'"), "%04x", (unsigned)pair);
        qw_text_free(&out);
    }
}
