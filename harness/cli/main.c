/* Invariant: main knows the table of verbs and nothing of what they do. */
#include <string.h>

#include "harness/cli/cli.h"
#include "harness/worker/worker.h"
#include "reference/model/arith.h"

static const struct cli_verb verbs[] = {
#define VERB(name, function, synopsis, summary, takes, examples) {name, function, synopsis, summary, takes, examples},
#include "harness/cli/verbs.def"
#undef VERB
};

int cli_verb_count(void) { return (int)(sizeof verbs / sizeof *verbs); }
const struct cli_verb *cli_verb_at(int index) { return &verbs[index]; }

const struct cli_verb *cli_verb_find(const char *name)
{
    for (int i = 0; i < cli_verb_count(); i++)
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

/* "--help" and "--version" are the verbs of that name. */
static const char *verb_name(int argc, char **argv)
{
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return "help";
    return !strcmp(argv[1], "--version") ? "version" : argv[1];
}

int main(int argc, char **argv)
{
    if (!qw_arith_is_ieee())
        return cli_complain(QC_EXIT_INTERNAL, "floating-point arithmetic of this process does not follow IEEE 754 "
                                              "(flush-to-zero or a fast-math library); no verdict could be trusted");
    if (argc > 2 && !strcmp(argv[1], "worker"))
        return qc_worker_main(argc - 2, argv + 2);
    const struct cli_verb *verb = cli_verb_find(verb_name(argc, argv));
    if (!verb)
        return cli_unknown_verb(argv[1]);
    struct cli_options options;
    if (!cli_options_read(&options, verb, argc, argv))
        return QC_EXIT_USAGE;
    int code = verb->run(&options);
    if (argc < 2)
        return QC_EXIT_USAGE;
    return code;
}
