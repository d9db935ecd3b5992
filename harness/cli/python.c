/* Invariant: a command is read as Python and the kernel read it (python --help, execve(2)), or `why` says why not. */
#include "harness/cli/python.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reference/base/memory.h"

#define BLANKS " \t"

/* They start the program in processes of their own; `bare` is how they start any command. */
static const struct {
    const char *command, *module, *bare;
} launchers[] = {
    {"torchrun", "torch.distributed.run", "torchrun --no-python"},
    {"accelerate", "accelerate.commands.launch", "accelerate launch --no_python"},
    {"accelerate-launch", "accelerate.commands.launch", "accelerate launch --no_python"},
    {"deepspeed", "deepspeed.launcher.runner", "deepspeed --no_python"},
};

void cli_python_insert(struct cli_python *python, int index, const char *word)
{
    python->words = qw_realloc(python->words, (size_t)python->count + 2, sizeof *python->words);
    memmove(python->words + index + 1, python->words + index, (size_t)(python->count - index) * sizeof *python->words);
    python->words[index] = qw_strdup(word);
    python->words[++python->count] = NULL;
}

static void add(struct cli_python *python, const char *word) { cli_python_insert(python, python->count, word); }

void cli_python_clear(struct cli_python *python)
{
    for (int i = 0; i < python->count; i++)
        free(python->words[i]);
    free(python->words);
    *python = (struct cli_python){0};
}

static const char *name_of(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }

/* "python", "python3", "python3.13t", "pypy3" */
static bool is_python(const char *path)
{
    const char *name = name_of(path);
    size_t length = !strncmp(name, "python", 6) ? 6 : !strncmp(name, "pypy", 4) ? 4 : 0;
    return length && !name[length + strspn(name + length, "0123456789.tw")];
}

/* True, with `why`, for a launcher, which is named by its command or by its module; the other is NULL. */
static bool is_launcher(struct qw_text *why, const char *command, const char *module)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if ((command && !strcmp(name_of(command), launchers[i].command)) || (module && !strcmp(module, launchers[i].module))) {
            qw_text_addf(why,
                         "%s starts the program in other processes, of which a recorder around it sees nothing; put the recorder "
                         "inside: %s … sh -c 'qconform record -o run-${RANK:-0}.h5 -- python script.py …'",
                         command ? launchers[i].command : module, launchers[i].bare);
            return true;
        }
    return false;
}

/* ---- the words behind an interpreter ---- */

struct reader {
    struct cli_python *python;
    struct qw_text *why;
    char **words; /* what is left to read */
    int left;
};

static const char *next(struct reader *from) { return from->left > 0 ? (from->left--, *from->words++) : NULL; }

static void add_rest(struct reader *from)
{
    for (const char *word; (word = next(from));)
        add(from->python, word);
}

static void refuse_option(struct reader *from, const char *word)
{
    qw_text_addf(from->why, "with %s the interpreter runs no program; name a script, -m MODULE or -c CODE", word);
}

static void take_script(struct reader *from, const char *word)
{
    if (!word || !strcmp(word, "-")) {
        qw_text_addf(from->why, "%s reads its program from standard input, which cannot be recorded; %s", from->python->words[0],
                     "name a script, -m MODULE or -c CODE");
        return;
    }
    from->python->program = from->python->count;
    add(from->python, word);
    add_rest(from);
}

/* -m or -c and what follows; the value may stand in the same word. */
static void take_program(struct reader *from, char letter, const char *value)
{
    const char option[3] = {'-', letter, 0};
    if (!*value && !(value = next(from))) {
        refuse_option(from, option);
    } else if (letter != 'm' || !is_launcher(from->why, NULL, value)) {
        from->python->program = from->python->count;
        add(from->python, option);
        add(from->python, value);
        add_rest(from);
    }
}

/* A word of single-letter options, of which one may be the program. */
static void take_letters(struct reader *from, const char *word)
{
    size_t plain = strcspn(word, "hV?mcWX");
    char letter = word[plain], *before = qw_format("%.*s", (int)plain, word);
    if (letter && strchr("hV?", letter)) {
        refuse_option(from, word);
    } else if (letter && strchr("mc", letter)) {
        if (plain > 1)
            add(from->python, before);
        take_program(from, letter, word + plain + 1);
    } else {
        const char *value = letter && !word[plain + 1] ? next(from) : NULL;
        add(from->python, word);
        if (value)
            add(from->python, value);
    }
    free(before);
}

/* The interpreter's own options, then the program. */
static void take_words(struct reader *from)
{
    while (!from->python->program && !from->why->length) {
        const char *word = next(from);
        if (!word || word[0] != '-' || !word[1])
            take_script(from, word);
        else if (!strcmp(word, "--"))
            take_script(from, next(from));
        else if (!strcmp(word, "--check-hash-based-pycs") && from->left > 0)
            add(from->python, word), add(from->python, next(from));
        else if (word[1] == '-')
            refuse_option(from, word);
        else
            take_letters(from, word);
    }
}

/* ---- files that begin with the interpreter that they want ---- */

static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* As a shell looks for a command, and then in this folder; NULL when it is nowhere. */
static char *find_file(const char *name)
{
    const char *path = getenv("PATH");
    for (const char *folder = strchr(name, '/') ? NULL : path; folder; folder = *folder ? folder + 1 : NULL) {
        size_t length = strcspn(folder, ":");
        char *file = length ? qw_format("%.*s/%s", (int)length, folder, name) : qw_strdup(name);
        if (is_file(file) && access(file, X_OK) == 0)
            return file;
        free(file);
        folder += length;
    }
    return is_file(name) ? qw_strdup(name) : NULL;
}

/* "" for what cannot be read, or for NULL. */
static void read_head(char *head, size_t size, const char *path)
{
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t count = file < 0 ? 0 : read(file, head, size - 1);
    head[count > 0 ? count : 0] = 0;
    if (file >= 0)
        close(file);
}

/* The installers' way round interpreters with long paths: a shell that runs '''exec' /path/python "$0" "$@". */
static bool take_quoted(struct cli_python *python, const char *line)
{
    static const char begin[] = "'''exec' ";
    if (strncmp(line, begin, strlen(begin)) != 0)
        return false;
    line += strlen(begin);
    const char *quote = *line == '"' ? "\"" : *line == '\'' ? "'" : " ";
    line += *quote != ' ';
    char *path = qw_format("%.*s", (int)strcspn(line, quote), line);
    bool good = is_python(path);
    if (good)
        add(python, path);
    free(path);
    return good;
}

/* "#!/usr/bin/env -S python3 -u": the interpreter and its options. */
static bool take_first_line(struct cli_python *python, char *head)
{
    char *rest = head + strcspn(head, "\n"), *state = NULL;
    const char *second = *rest ? rest + 1 : rest;
    if (strncmp(head, "#!", 2) != 0)
        return false;
    *rest = 0;
    char *word = strtok_r(head + 2, BLANKS "\r", &state);
    if (word && !strcmp(name_of(word), "sh"))
        return take_quoted(python, second);
    if (word && !strcmp(name_of(word), "env"))
        do
            word = strtok_r(NULL, BLANKS "\r", &state);
        while (word && !strcmp(word, "-S"));
    if (!word || !is_python(word))
        return false;
    for (; word; word = strtok_r(NULL, BLANKS "\r", &state))
        add(python, word);
    return true;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);
    return length > end && !strcmp(name + length - end, suffix);
}

static void take_file(struct reader *from, const char *name)
{
    char head[4096], *file = find_file(name);
    read_head(head, sizeof head, file);
    bool good = take_first_line(from->python, head), python = has_suffix(name, ".py") || has_suffix(name, ".pyz");
    if (!file) {
        qw_text_addf(from->why, "there is no program %s%s; see that it is written right", name,
                     strchr(name, '/') ? "" : " in PATH nor in this folder");
    } else if (good || python) {
        if (!good)
            add(from->python, "python3");
        take_script(from, file);
    } else {
        qw_text_addf(from->why,
                     "%s is no Python program; write qconform record directly before the Python program that it starts: "
                     "%s … qconform record -- python script.py …",
                     name, name);
    }
    free(file);
}

bool cli_python_read(struct cli_python *python, struct qw_text *why, char **command, int count)
{
    struct reader from = {python, why, command, count};
    const char *first = next(&from);
    *python = (struct cli_python){0};
    if (!first)
        qw_text_add(why, "name the program to record, as you would start it: qconform record -- python script.py");
    else if (is_python(first))
        add(python, first), take_words(&from);
    else if (!is_launcher(why, first, NULL))
        take_file(&from, first);
    if (why->length)
        cli_python_clear(python);
    return !why->length;
}
