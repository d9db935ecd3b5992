/* Invariant: files first, then the terminal, so that the closing lines name only files that are there. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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
    const struct rp_format *format = rp_format_of_file(options->output);
    bool known = format || !strcmp(options->output, "-");
    if (format)
        options->file[format - rp_format_at(0)] = options->output;
    if (!known)
        cli_complain(QC_EXIT_USAGE, "no format has the suffix of %s; see qconform list formats", options->output);
    return known;
}

int cli_terminal_width(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col : 0;
}

/* ---- the parts of a format, by where they go ---- */

static bool write_named(struct qw_json *files, const char *path, const struct qw_text *text, struct qw_error *error)
{
    if (!qw_file_write(path, text->bytes ? text->bytes : "", text->length, error))
        return false;
    if (strcmp(path, "-") != 0)
        qw_json_add_text(files, path);
    return true;
}

/* Behind what is there.  GitHub takes nothing of a summary above 1 MiB, so what would not fit is left out. */
static bool write_summary(struct qw_json *files, const struct qw_text *text, struct qw_error *error)
{
    enum { MOST = 1 << 20 };
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    struct qw_text whole = {0};
    struct stat info;
    char *before = NULL;
    size_t size = 0;
    if (!path || !*path)
        return true;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && !qw_file_read(&before, &size, path, MOST, error))
        return qw_error_in_file(error, path), error->kind = QW_ERROR_OUTPUT, false;
    if (before)
        qw_text_add_bytes(&whole, before, size);
    free(before);
    qw_text_add_bytes(&whole, text->bytes ? text->bytes : "", text->length);
    bool ok = whole.length <= MOST ? write_named(files, path, &whole, error)
                                   : qw_fail(error, QW_ERROR_OUTPUT, "", "write it from a step of its own, with qconform report",
                                             "the summary of this step would be above 1 MiB");
    qw_error_in_file(error, path);
    qw_text_free(&whole);
    return ok;
}

static bool write_output(struct qw_json *files, struct qw_text *log, const char *value, const struct rp_output *output,
                         struct qw_error *error)
{
    switch (output->place) {
    case RP_TO_FILE: return write_named(files, value, &output->text, error);
    case RP_TO_SUMMARY: return write_summary(files, &output->text, error);
    case RP_TO_LOG: return qw_text_add(log, output->text.bytes ? output->text.bytes : ""), true;
    case RP_TO_FOLDER:
    case RP_TO_NOTHING: break;
    }
    return true;
}

static bool write_formats(struct qw_json *files, struct qw_text *log, const struct qw_json *document,
                          const struct cli_options *options)
{
    bool ok = true;
    for (size_t i = 0; i < rp_format_count(); i++) {
        struct rp_output output = {0};
        while (options->file[i] && rp_output_next(&output, rp_format_at(i), document)) {
            struct qw_error error = {0};
            if (!write_output(files, log, options->file[i], &output, &error))
                ok = (cli_complain_error(&error), false);
        }
    }
    return ok;
}

static int show_terminal(const struct qw_json *document, const struct cli_options *options, const struct qw_json *files)
{
    struct qw_text text = {0};
    struct rp_terminal_style style = {options->color, options->verbosity, cli_terminal_width(), files};
    rp_terminal(&text, document, &style);
    int code = cli_print(text.bytes ? text.bytes : "");
    qw_text_free(&text);
    return code;
}

/* What CI systems read along, behind the report; on stderr where standard output holds a document. */
static int show_log(const struct qw_text *log, bool taken)
{
    if (!log->length)
        return 0;
    return taken ? fputs(log->bytes, stderr) < 0 : cli_print(log->bytes);
}

int cli_show(const struct qw_json *document, const struct cli_options *options, enum qc_exit code)
{
    struct qw_json *files = options->written ? qw_json_copy(options->written) : qw_json_array();
    struct qw_text log = {0};
    bool written = write_formats(files, &log, document, options);
    int shown = options->json ? cli_print_json(document) : options->taken ? 0 : show_terminal(document, options, files);
    int logged = show_log(&log, options->taken || options->json);
    qw_json_free(files);
    qw_text_free(&log);
    return written && !shown && !logged ? (int)code : QC_EXIT_OUTPUT;
}
