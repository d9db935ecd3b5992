/* Invariant: a script completes what the tables say, so that a new verb, option or cause is completed without an edit. */
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"

/* ---- words ---- */

static void add_verbs(struct qw_text *out)
{
    for (int i = 0; i < cli_verb_count(); i++)
        qw_text_addf(out, "%s%s", i ? " " : "", cli_verb_at(i)->name);
}

static void add_options_of(struct qw_text *out, const struct cli_verb *verb)
{
    const char *before = "";
    for (int i = 0; i < cli_option_count(); i++)
        if (cli_option_at(i).group & verb->takes) {
            qw_text_addf(out, "%s--%s", before, cli_option_at(i).name);
            before = " ";
        }
}

static void add_alternatives(struct qw_text *out, const char *words)
{
    for (; *words; words++)
        qw_text_add_bytes(out, *words == '|' ? " " : words, 1);
}

/* Ids that can be explained, but for the cases, which depend on the folder. */
static void add_ids(struct qw_text *out)
{
    const char *before = "";
    for (int i = 0; i < cli_topic_count(); i++) {
        struct qw_text why = {0};
        if (!strcmp(cli_topic_at(i)->name, "cases"))
            continue;
        struct qw_json *rows = cli_topic_at(i)->rows(&why);
        for (const struct qw_json *row = qw_json_first(rows); row; row = qw_json_next(row), before = " ")
            qw_text_addf(out, "%s%s", before, qw_json_get_text(row, "id", ""));
        qw_json_free(rows);
        qw_text_free(&why);
    }
}

/* What may follow a verb; nothing where it takes files. */
static void add_operands(struct qw_text *out, const struct cli_verb *verb)
{
    if (!strcmp(verb->name, "list"))
        for (int i = 0; i < cli_topic_count(); i++)
            qw_text_addf(out, "%s%s", i ? " " : "", cli_topic_at(i)->name);
    if (!strcmp(verb->name, "explain"))
        add_ids(out);
    if (!strcmp(verb->name, "completion"))
        add_alternatives(out, verb->synopsis);
    if (!strcmp(verb->name, "help")) {
        add_verbs(out);
        qw_text_add(out, " environment");
    }
}

static bool is_choice(const struct cli_option *option) { return option->value && strchr(option->value, '|'); }

/* ---- bash ---- */

/* The body that bash runs, and zsh through its emulation of bash's completion. */
static void add_bash(struct qw_text *out)
{
    qw_text_add(out, "_qconform()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
                     "    COMPREPLY=()\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \"");
    add_verbs(out);
    qw_text_add(out, "\" -- \"$word\"))\n        return\n    fi\n    case $before in\n");
    for (int i = 0; i < cli_option_count(); i++) {
        struct cli_option option = cli_option_at(i);
        if (!is_choice(&option))
            continue;
        qw_text_addf(out, "    --%s) COMPREPLY=($(compgen -W \"", option.name);
        add_alternatives(out, option.value);
        qw_text_add(out, "\" -- \"$word\")); return ;;\n");
    }
    qw_text_add(out, "    esac\n    local options= operands=\n    case ${COMP_WORDS[1]} in\n");
    for (int i = 0; i < cli_verb_count(); i++) {
        qw_text_addf(out, "    %s) options=\"", cli_verb_at(i)->name);
        add_options_of(out, cli_verb_at(i));
        qw_text_add(out, "\" operands=\"");
        add_operands(out, cli_verb_at(i));
        qw_text_add(out, "\" ;;\n");
    }
    qw_text_add(out, "    esac\n    case $word in\n    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
                     "    *) if [ -n \"$operands\" ]; then COMPREPLY=($(compgen -W \"$operands\" -- \"$word\")); fi ;;\n"
                     "    esac\n}\ncomplete -o default -F _qconform qconform\n");
}

static void add_zsh(struct qw_text *out)
{
    qw_text_add(out, "#compdef qconform\nautoload -U +X bashcompinit && bashcompinit\n");
    add_bash(out);
}

/* ---- fish ---- */

/* A text in single quotes, as fish reads them. */
static void add_quoted(struct qw_text *out, const char *text)
{
    qw_text_add(out, "'");
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            qw_text_add(out, "\\");
        qw_text_add_bytes(out, text, 1);
    }
    qw_text_add(out, "'");
}

static void add_fish_options(struct qw_text *out, const struct cli_verb *verb)
{
    for (int i = 0; i < cli_option_count(); i++) {
        struct cli_option option = cli_option_at(i);
        if (!(option.group & verb->takes))
            continue;
        qw_text_addf(out, "complete -c qconform -n '__fish_seen_subcommand_from %s' -l %s", verb->name, option.name);
        if (option.code < 256)
            qw_text_addf(out, " -s %c", option.code);
        if (option.value && option.value[0] != '[') /* an optional value is never a word of its own */
            qw_text_add(out, " -r");
        if (is_choice(&option)) {
            qw_text_add(out, " -a '");
            add_alternatives(out, option.value);
            qw_text_add(out, "'");
        }
        qw_text_add(out, " -d ");
        add_quoted(out, option.help);
        qw_text_add(out, "\n");
    }
}

static void add_fish(struct qw_text *out)
{
    for (int i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *verb = cli_verb_at(i);
        struct qw_text operands = {0};
        qw_text_addf(out, "complete -c qconform -n __fish_use_subcommand -f -a %s -d ", verb->name);
        add_quoted(out, verb->summary);
        qw_text_add(out, "\n");
        add_operands(&operands, verb);
        if (operands.length)
            qw_text_addf(out, "complete -c qconform -n '__fish_seen_subcommand_from %s' -f -a '%s'\n", verb->name,
                         operands.bytes);
        qw_text_free(&operands);
        add_fish_options(out, verb);
    }
}

int cli_completion(const struct cli_options *options)
{
    static void (*const shells[])(struct qw_text *) = {add_bash, add_zsh, add_fish};
    int shell = options->count == 1 ? cli_choose("bash|zsh|fish", options->operand[0]) : -1;
    struct qw_text text = {0};
    if (shell < 0)
        return cli_complain(QC_EXIT_USAGE, "name one shell: bash, zsh or fish; see qconform help completion");
    shells[shell](&text);
    int code = cli_print(text.bytes);
    qw_text_free(&text);
    return code;
}
