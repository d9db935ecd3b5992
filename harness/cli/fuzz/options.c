/* Arbitrary words, one a line, as a command line.  Invariant: options that were accepted are within their ranges. */
#include <assert.h>
#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "reference/base/text.h"

enum { MOST = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = qw_format("%.*s", (int)size, (const char *)bytes);
    char program[] = "qconform", *words[MOST + 2] = {program}, *rest = text;
    int count = 1;
    optind = 0; /* getopt stands where the last input ended; the program reads one command line only */
    (void)getopt(count, words, "");
    for (char *word; count <= MOST && (word = strsep(&rest, "\n"));)
        words[count++] = word;
    const struct cli_verb *verb = cli_verb_find(words[1]);
    struct cli_options options;
    if (verb && cli_options_read(&options, verb, count, words)) {
        assert(options.jobs >= 1 && options.jobs <= 256);
        assert(options.count >= 0 && options.operand + options.count == words + count);
    }
    free(text);
    return 0;
}
