/* A command line that starts a Python program, taken apart into the interpreter
 * with its own options and the program with its arguments. */
#ifndef CLI_PYTHON_H
#define CLI_PYTHON_H

#include <stdbool.h>

#include "reference/base/text.h"

struct cli_python {
    char **words; /* NULL-terminated */
    int count;
    int program; /* where it begins: the path of a script, "-m" and a module, or "-c" and code */
};

/* Reads `python -u script.py …`, `env/bin/python3.11 -m package.module …`, `script.py …`, and anything else that begins
 * with a file whose first line names Python, looked for as a shell would and then in this folder.  False with `why`, in
 * words: no such file, no Python, nothing to run, or a launcher of further processes.  Release with cli_python_clear. */
bool cli_python_read(struct cli_python *python, struct qw_text *why, char **command, int count);
void cli_python_clear(struct cli_python *python);

/* Puts a word before the word at `index`. */
void cli_python_insert(struct cli_python *python, int index, const char *word);

#endif
