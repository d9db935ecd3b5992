/* Invariant: files first, then the terminal, so that the closing lines name only files that are there. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "harness/cli/cli.h"
#include "reference/base/file.h"
#include "reports/check.h"
#include "reports/formats.h"
#include "reports/terminal.h"

int cli_complain(enum qc_exit code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("qconform: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return (int)code;
}

int cli_complain_error(const struct qw_error *error)
{
    char words[2400];
    if (error->kind == QW_ERROR_OUTPUT && !error->message[0])
        return QC_EXIT_OUTPUT; /* a closed pipe ends quietly */
    qw_error_text(words, sizeof words, error);
    return cli_complain(error->kind == QW_ERROR_OUTPUT ? QC_EXIT_OUTPUT : QC_EXIT_INPUT, "%s", words);
}

int cli_print(const char *text)
{
    struct qw_error error = {0};
    return qw_file_write("-", text, strlen(text), &error) ? 0 : cli_complain_error(&error);
}

int cli_print_json(const struct qw_json *document)
{
    char *text = qw_json_print(document, true);
    int code = cli_print(text);
    free(text);
    return code;
}

#define MOST_OF_A_RESULT ((size_t)1 << 30)

struct qw_json *cli_read_result(const char *path, struct qw_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    struct qw_json *document = qw_file_read(&bytes, &size, path, MOST_OF_A_RESULT, error) ? qw_json_parse(bytes, size, "", error)
                                                                                          : NULL;
    free(bytes);
    if (document && !rp_check(document, error)) {
        qw_json_free(document);
        document = NULL;
    }
    qw_error_in_file(error, path);
    return document;
}

bool cli_choose_format(struct cli_options *options)
{
    size_t length = strlen(options->output);
    for (size_t i = 0; i < rp_format_count(); i++) {
        size_t suffix = strlen(rp_format_at(i)->suffix);
        if (length > suffix && !strcmp(options->output + length - suffix, rp_format_at(i)->suffix))
            return options->file[i] = options->output, true;
    }
    if (strcmp(options->output, "-") != 0)
        cli_complain(QC_EXIT_USAGE, "no format has the suffix of %s; see qconform list formats", options->output);
    return !strcmp(options->output, "-");
}

static int width_of_terminal(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col : 0;
}

static bool write_formats(struct qw_json *files, const struct qw_json *document, const struct cli_options *options)
{
    bool ok = true;
    for (size_t i = 0; i < rp_format_count(); i++) {
        struct qw_error error = {0};
        struct qw_text text = {0};
        if (!options->file[i])
            continue;
        rp_format_at(i)->render(&text, document);
        if (qw_file_write(options->file[i], text.bytes ? text.bytes : "", text.length, &error))
            qw_json_add_text(files, options->file[i]);
        else
            ok = (cli_complain_error(&error), false);
        qw_text_free(&text);
    }
    return ok;
}

static int show_terminal(const struct qw_json *document, const struct cli_options *options, const struct qw_json *files)
{
    struct qw_text text = {0};
    struct rp_terminal_style style = {options->color, options->verbosity, width_of_terminal(), files};
    rp_terminal(&text, document, &style);
    int code = cli_print(text.bytes ? text.bytes : "");
    qw_text_free(&text);
    return code;
}

int cli_show(const struct qw_json *document, const struct cli_options *options, enum qc_exit code)
{
    struct qw_json *files = options->written ? qw_json_copy(options->written) : qw_json_array();
    bool written = write_formats(files, document, options);
    int shown = options->json ? cli_print_json(document) : show_terminal(document, options, files);
    qw_json_free(files);
    return written && !shown ? (int)code : QC_EXIT_OUTPUT;
}
