/* Arbitrary JSON as a result.  Invariant: every report can be made from any document, and none sends control bytes. */
#include <assert.h>
#include <stdlib.h>

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

static void render_terminal(const struct qw_json *document, int verbosity, int width)
{
    struct qw_text text = {0};
    struct rp_terminal_style style = {false, verbosity, width, NULL};
    rp_terminal(&text, document, &style);
    for (size_t i = 0; i < text.length; i++)
        assert((unsigned char)text.bytes[i] >= ' ' || text.bytes[i] == '\n');
    qw_text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct qw_error error = {0};
    struct qw_json *document = qw_json_parse((const char *)bytes, size, "result", &error);
    if (!document)
        return 0;
    render_terminal(document, (int)(size % 3) - 1, 40 + (int)size % 100);
    for (size_t i = 0; i < rp_format_count(); i++) {
        struct qw_text text = {0};
        rp_format_at(i)->render(&text, document);
        qw_text_free(&text);
    }
    qw_json_free(document);
    return 0;
}
