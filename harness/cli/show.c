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
#include "reports/escape.h"
#include "reports/formats.h"
#include "reports/terminal.h"

int cli_complain(enum qc_exit code, const char *format, ...)
{
    char words[4096];
    struct qw_text line = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    qw_text_add(&line, "qconform: ");
    rp_escape_terminal(&line, words);
    fprintf(stderr, "%s\n", line.bytes);
    qw_text_free(&line);
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

/* What was written so far. */
struct written {
    struct qw_json *files; /* for the closing lines */
    struct qw_text log;    /* what goes behind the report */
    char *inside;          /* the last file in a folder, the one to open; NULL: none */
};

/* One file of the folder, which is made where it is not there. */
static bool write_inside(struct written *written, const char *folder, const struct rp_output *output, struct qw_error *error)
{
    const struct qw_text *text = &output->text;
    mkdir(folder, 0777); /* where it cannot be made, its file cannot be written */
    free(written->inside);
    written->inside = qw_format("%s/%s", folder, output->name.bytes);
    return qw_file_write(written->inside, text->bytes ? text->bytes : "", text->length, error);
}

static bool write_output(struct written *written, const char *value, const struct rp_output *output, struct qw_error *error)
{
    switch (output->place) {
    case RP_TO_FILE: return write_named(written->files, value, &output->text, error);
    case RP_TO_FOLDER: return write_inside(written, value, output, error);
    case RP_TO_SUMMARY: return write_summary(written->files, &output->text, error);
    case RP_TO_LOG: return qw_text_add(&written->log, output->text.bytes ? output->text.bytes : ""), true;
    case RP_TO_NOTHING: break;
    }
    return true;
}

/* Ends at the first part that cannot be written. */
static bool write_format(struct written *written, const struct rp_format *format, const char *value,
                         const struct qw_json *document)
{
    struct rp_output output = {0};
    struct qw_error error = {0};
    bool ok = true;
    while (ok && rp_output_next(&output, format, document))
        ok = write_output(written, value, &output, &error);
    rp_output_clear(&output);
    if (!ok)
        cli_complain_error(&error);
    else if (written->inside)
        qw_json_add_text(written->files, written->inside);
    free(written->inside);
    written->inside = NULL;
    return ok;
}

static bool write_formats(struct written *written, const struct qw_json *document, const struct cli_options *options)
{
    bool ok = true;
    for (size_t i = 0; i < rp_format_count(); i++)
        if (options->file[i])
            ok = write_format(written, rp_format_at(i), options->file[i], document) && ok;
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
    struct written written = {.files = options->written ? qw_json_copy(options->written) : qw_json_array()};
    bool ok = write_formats(&written, document, options);
    int shown = options->json ? cli_print_json(document) : options->taken ? 0 : show_terminal(document, options, written.files);
    int logged = show_log(&written.log, options->taken || options->json);
    qw_json_free(written.files);
    qw_text_free(&written.log);
    return ok && !shown && !logged ? (int)code : QC_EXIT_OUTPUT;
}
