/* Arbitrary JSON as a result.  Invariant: every report can be made from any document, and none sends control bytes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "reports/formats.h"
#include "reports/terminal.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Without gnuplot: it is the same page, sooner. */
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    return setenv("PATH", "/nonexistent", 1);
}

static void check_bytes(const struct qw_text *text)
{
    for (size_t i = 0; i < text->length; i++)
        assert((unsigned char)text->bytes[i] >= ' ' || strchr("\n\r\t", text->bytes[i]));
}

static void render_terminal(const struct qw_json *document, int verbosity, int width)
{
    struct qw_text text = {0};
    struct rp_terminal_style style = {false, verbosity, width, NULL};
    rp_terminal(&text, document, &style);
    check_bytes(&text);
    qw_text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qw_error error = {0};
    struct qw_json *document = qw_json_parse((const char *)bytes, size, "result", &error);
    if (!document)
        return 0;
    render_terminal(document, (int)(size % 3) - 1, 40 + (int)size % 100);
    for (size_t i = 0; i < rp_format_count(); i++)
        for (struct rp_output output = {0}; rp_output_next(&output, rp_format_at(i), document);)
            check_bytes(&output.text);
    qw_json_free(document);
    return 0;
}
