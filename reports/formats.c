/* Invariant: the table is exactly formats.def. */
#include "reports/formats.h"

#include <stdlib.h>
#include <string.h>

#include "reports/csv.h"
#include "reports/github.h"
#include "reports/html.h"
#include "reports/junit.h"
#include "reports/markdown.h"
#include "reports/tap.h"

static const struct rp_format formats[] = {
#define RP_FORMAT(name, option, value, suffix, summary, ...) {name, option, value, suffix, summary, {__VA_ARGS__}},
#include "reports/formats.def"
#undef RP_FORMAT
};

size_t rp_format_count(void) { return sizeof formats / sizeof *formats; }

const struct rp_format *rp_format_at(size_t index) { return index < rp_format_count() ? &formats[index] : NULL; }

const struct rp_format *rp_format_find(const char *name)
{
    for (size_t i = 0; i < rp_format_count(); i++)
        if (!strcmp(name, formats[i].name) || !strcmp(name, formats[i].option))
            return &formats[i];
    return NULL;
}

const struct rp_format *rp_format_of_file(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < rp_format_count(); i++) {
        size_t suffix = formats[i].suffix ? strlen(formats[i].suffix) : length;
        if (length > suffix && !strcmp(path + length - suffix, formats[i].suffix))
            return &formats[i];
    }
    return NULL;
}

void rp_output_clear(struct rp_output *output)
{
    qw_text_free(&output->name);
    qw_text_free(&output->text);
}

bool rp_output_next(struct rp_output *output, const struct rp_format *format, const struct qw_json *result)
{
    rp_output_clear(output);
    for (; output->part < RP_MOST_PARTS; output->part++, output->file = 0) {
        const struct rp_part *part = &format->parts[output->part];
        output->place = part->place;
        if (part->render_file && part->render_file(&output->name, &output->text, result, output->file++))
            return true;
        if (part->render) {
            part->render(&output->text, result);
            output->part++;
            return true;
        }
    }
    return false;
}

void rp_json(struct qw_text *out, const struct qw_json *result)
{
    char *text = qw_json_print(result, true);
    qw_text_add(out, text);
    free(text);
}
