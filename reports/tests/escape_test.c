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

Test(escape, nothing_commands_a_ci_system_that_reads_along)
{
    expect(rp_escape_terminal, "::error::x", "\\x3a:error::x");
    expect(rp_escape_terminal, "at ::stop-commands::x", "at \\x3a:stop-commands::x");
    expect(rp_escape_terminal, "at::native::mul ##[error]x", "at::native::mul \\x23#[error]x");
    expect(rp_escape_command, "50 % of\r\n::x", "50 %25 of\\x0d\\n::x");
    expect(rp_escape_property, "a:b,c%", "a%3Ab%2Cc%25");
}

Test(escape, markdown_has_no_mark_of_the_text)
{
    expect(rp_escape_markdown, "*a* _b_ `c` [d](e) <f> g|h ~i~ #1 &lt; $j$ \\",
           "\\*a\\* \\_b\\_ \\`c\\` \\[d\\](e) \\<f\\> g\\|h \\~i\\~ \\#1 \\&lt; \\$j\\$ \\\\");
    expect(rp_escape_markdown, "a\n# b", "a\\\\n\\# b");
    expect(rp_escape_markdown, "@user, a@b and rotary_emb@1", "`@`user, a@b and rotary\\_emb@1");
    expect(rp_escape_code, "plain_text", "`plain_text`");
    expect(rp_escape_code, "a`b``c", "``` a`b``c ```");
    expect(rp_escape_code, "", "`  `");
}

Test(escape, long_line_is_cut_between_characters_and_says_so)
{
    struct qw_text out = {0};
    rp_escape_line(&out, "\xe4\xbb\xa4\xe4\xbb\xa4\xe4\xbb\xa4", 4);
    cr_expect_str_eq(out.bytes, "\xe4\xbb\xa4\xe4\xbb\xa4... (3 more bytes)");
    qw_text_free(&out);
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
