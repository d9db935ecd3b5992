/* Invariant: main knows the table of verbs and nothing of what they do; no failed write of theirs ends in status 0. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

int cli_unknown_verb(const char *name)
{
    struct qw_guess guess = qw_guess_for(name);
    for (int i = 0; i < cli_verb_count(); i++)
        qw_guess_offer(&guess, cli_verb_at(i)->name);
    return cli_complain(QC_EXIT_USAGE, "there is no verb \"%s\"%s; see qconform help", name, qw_guess_text(&guess, ""));
}

/* "--help" and "--version" are the verbs of that name. */
static const char *verb_name(int argc, char **argv)
{
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return "help";
    return !strcmp(argv[1], "--version") ? "version" : argv[1];
}

/* A standard descriptor that the caller closed is opened so that using it fails as before: a file that is opened later
 * must not become standard output. */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static void pass(int signal) { (void)signal; }

/* A closed pipe and a file size limit are failures of write(), which its caller sees.  Handlers, not SIG_IGN: the
 * programs that are started from here keep the default. */
static void leave_failures_to_write(void)
{
    struct sigaction action = {.sa_handler = pass, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
}

/* `code`, unless what went through stdio could not be written. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    return errno == EPIPE
               ? QC_EXIT_OUTPUT
               : cli_complain(QC_EXIT_OUTPUT, "standard output cannot be written: %s; check that there is room", strerror(errno));
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    leave_failures_to_write();
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
    int code = options.help ? cli_help_on(verb) : verb->run(&options);
    return finish(argc < 2 ? QC_EXIT_USAGE : code);
}
