/* Invariant: this process becomes the Python that was asked for; streams, signals and exit status are the program's own. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/cli/cli.h"
#include "harness/cli/python.h"
#include "reports/view.h"

/* Where the recorder lies, seen from the program: as installed; in the source tree; there, in a build of another kind. */
static const char *const places[] = {"../share/qconform/recorder", "../fixtures/recorder", "../../fixtures/recorder"};

char *cli_recorder_find(void)
{
    char self[PATH_MAX], found[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = 0;
    char *name = strrchr(self, '/');
    for (size_t i = 0; name && i < sizeof places / sizeof *places; i++) {
        char *main = qw_format("%.*s/%s/qconform_recorder/__main__.py", (int)(name - self), self, places[i]);
        char *folder = realpath(main, found);
        free(main);
        if (folder) {
            *strrchr(folder, '/') = 0;
            return qw_format("%s", folder);
        }
    }
    return NULL;
}

static int insert(struct cli_python *python, int at, const char *word)
{
    cli_python_insert(python, at, word);
    return at + 1;
}

/* Between the interpreter and the program: the recorder and its options. */
static void insert_recorder(struct cli_python *python, const char *recorder, const struct cli_options *options)
{
    int at = recorder ? insert(python, python->program, recorder)
                      : insert(python, insert(python, python->program, "-m"), "qconform_recorder");
    for (int i = 0; i < CLI_MOST_RECORDER; i++) {
        char *word = cli_recorder_word(options, i);
        at = word ? insert(python, at, word) : at;
        free(word);
    }
    char *out = options->output ? qw_format("--out=%s", options->output) : NULL;
    if (out)
        insert(python, at, out);
    free(out);
}

static void say_command(char *const *words)
{
    struct qw_text text = {0};
    for (; *words; words++) {
        qw_text_add(&text, text.length ? " " : "");
        rp_add_word(&text, *words);
    }
    fprintf(stderr, "qconform: starting %s\n", text.bytes);
    qw_text_free(&text);
}

int cli_record(const struct cli_options *options)
{
    struct cli_python python;
    struct qw_text why = {0};
    if (!cli_python_read(&python, &why, options->operand, options->count)) {
        int code = cli_complain(QC_EXIT_USAGE, "%s; see qconform help record", why.bytes);
        qw_text_free(&why);
        return code;
    }
    char *recorder = cli_recorder_find();
    if (!recorder)
        cli_complain(QC_EXIT_OK, "there is no recorder beside this program; that of the Python environment is taken");
    insert_recorder(&python, recorder, options);
    free(recorder);
    if (options->verbosity > 0)
        say_command(python.words);
    execvp(python.words[0], python.words);
    int code = cli_complain(QC_EXIT_USAGE, "%s cannot be started: %s; name the Python of your environment, as env/bin/python",
                            python.words[0], strerror(errno));
    cli_python_clear(&python);
    return code;
}
