/* Invariant: texts of the catalogue are printed in words; recordings are found, never assumed. */
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "harness/diagnose/causes.h"
#include "reference/base/file.h"

#define BUDGET ((size_t)16 << 20)

/* ---- the shipped recordings ---- */

/* The table `name` of the folder of fixtures; NULL with a reason in `why`. */
static struct qw_json *read_table(const char *name, struct qw_text *why)
{
    char *bytes = NULL, *path = qw_format("%s/%s", cli_fixtures(), name), words[2400];
    size_t size = 0;
    struct qw_error error = {0};
    struct qw_json *table = qw_file_read(&bytes, &size, path, BUDGET, &error) ? qw_json_parse(bytes, size, "", &error) : NULL;
    qw_error_in_file(&error, path);
    qw_error_text(words, sizeof words, &error);
    if (!table)
        qw_text_addf(why, "%s%s", why->length ? "; " : "", words);
    free(bytes);
    free(path);
    return table;
}

static void add_cases(struct qw_json *rows, const char *table_name, const char *folder, struct qw_text *why)
{
    struct qw_json *table = read_table(table_name, why);
    for (const struct qw_json *r = qw_json_first(qw_json_get(table, "recordings")); r; r = qw_json_next(r)) {
        const struct qw_json *expected = qw_json_get(r, "expected");
        const char *status = qw_json_get_text(expected, "status", "?"), *cause = qw_json_get_text(expected, "cause", NULL);
        struct qw_json *row = qw_json_add(rows, qw_json_object());
        char *path = qw_format("%s/%s/%s", cli_fixtures(), folder, qw_json_get_text(r, "file", "?"));
        char *title = qw_format("%s%s%s", status, cause ? " " : "", cause ? cause : "");
        qw_json_put_text(row, "id", qw_json_get_text(r, "file", "?"));
        qw_json_put_text(row, "title", title);
        qw_json_put_text(row, "status", status);
        qw_json_put_text(row, "cause", cause);
        qw_json_put_text(row, "file", path);
        qw_json_put_text(row, "shows", qw_json_get_text(r, "shows", NULL));
        qw_json_put_text(row, "source", qw_json_get_text(r, "source", NULL));
        if (qw_json_get_bool(r, "selftest", false))
            qw_json_put_bool(row, "selftest", true);
        free(path);
        free(title);
    }
    qw_json_free(table);
}

struct qw_json *cli_rows_cases(struct qw_text *why)
{
    struct qw_json *rows = qw_json_array();
    add_cases(rows, "recordings.json", "recordings", why);
    add_cases(rows, "foreign.json", "foreign", why);
    return rows;
}

/* ---- causes ---- */

static void add_bounds(struct qw_text *out, const char *library, const char *from, const char *below)
{
    qw_text_addf(out, "%s%s", out->length ? " with " : "", library);
    if (from[0])
        qw_text_addf(out, " from %s", from);
    if (below[0])
        qw_text_addf(out, " below %s", below);
    if (!from[0] && !below[0])
        qw_text_add(out, " of any version");
}

static void put_known(struct qw_json *row, const char *id)
{
    struct qw_json *known = qw_json_put(row, "known_bad", qw_json_array());
    for (int i = 0; qc_known_at(i); i++) {
        const struct qc_known_row *from = qc_known_at(i);
        struct qw_text text = {0};
        if (strcmp(from->id, id))
            continue;
        struct qw_json *out = qw_json_add(known, qw_json_object());
        qw_json_put_text(out, "transformers_from", from->transformers_from);
        qw_json_put_text(out, "transformers_below", from->transformers_below);
        qw_json_put_text(out, "peft_from", from->peft_from);
        qw_json_put_text(out, "peft_below", from->peft_below);
        qw_json_put_text(out, "peft_type", from->peft_type);
        qw_json_put_text(out, "fixed_in", from->fixed_in);
        add_bounds(&text, "transformers", from->transformers_from, from->transformers_below);
        add_bounds(&text, "peft", from->peft_from, from->peft_below);
        qw_text_addf(&text, "%s%s: %s%s", from->peft_type[0] ? ", " : "", from->peft_type,
                     from->fixed_in[0] ? "fixed in " : "no release of either is known to cure it", from->fixed_in);
        qw_json_put_text(out, "text", text.bytes);
        qw_text_free(&text);
    }
}

static void put_signatures(struct qw_json *row, const struct qc_cause_row *cause)
{
    struct qw_json *signatures = qw_json_put(row, "signature", qw_json_array());
    for (int i = 0; qc_signature_at(i); i++) {
        const struct qc_signature_row *from = qc_signature_at(i);
        if (strcmp(from->id, cause->id))
            continue;
        char *message = qc_cause_text(from->message, cause, NULL);
        char *text = qw_format("%s: \"…%s…\"%s%s", from->exception, message, from->traceback[0] ? " raised in " : "",
                               from->traceback);
        struct qw_json *out = qw_json_add(signatures, qw_json_object());
        qw_json_put_text(out, "exception", from->exception);
        qw_json_put_text(out, "message", message);
        qw_json_put_text(out, "traceback", from->traceback);
        qw_json_put_text(out, "text", text);
        free(message);
        free(text);
    }
}

static void put_upstream(struct qw_json *row, const char *addresses)
{
    struct qw_json *upstream = qw_json_put(row, "upstream", qw_json_array());
    for (size_t length; *addresses; addresses += length + strspn(addresses + length, " ")) {
        length = strcspn(addresses, " ");
        char *one = qw_format("%.*s", (int)length, addresses);
        qw_json_add_text(upstream, one);
        free(one);
    }
}

/* Where a diagnosis of it points, and what proves it. */
static void put_evidence(struct qw_json *row, const struct qc_cause_row *cause)
{
    enum qw_deviation deviation;
    bool deviates = qc_cause_deviation(&deviation, cause);
    const char *party = qw_party_name(qc_cause_party(cause));
    bool raises = qc_cause_raise(cause) != NULL;
    qw_json_put_text(row, "party", party);
    qw_json_put_text(row, "deviation", deviates ? qw_deviation_id(deviation) : NULL);
    char *text = qw_format("a report that finds the %s at fault, because %s%s%s%s", party,
                           deviates ? "the reference reproduces what differs when it is played with the deviation " : "",
                           deviates ? qw_deviation_id(deviation) : "", deviates && raises ? ", or because " : "",
                           raises ? "the run raised the exception below" : "");
    qw_json_put_text(row, "look_for", deviates || raises ? text : NULL);
    free(text);
}

/* What was tried against it, and the verdict that the recording of it gets. */
static void put_remedies(struct qw_json *row, const char *id)
{
    struct qw_json *measured = qw_json_put(row, "measured", qw_json_array());
    for (int i = 0; qc_remedy_at(i); i++) {
        const struct qc_remedy_row *from = qc_remedy_at(i);
        bool cures = !strcmp(from->verdict, "PASS");
        if (strcmp(from->id, id))
            continue;
        char *text = qw_format("%s (transformers %s with peft %s): %s%s. See %s", from->what, from->transformers, from->peft,
                               cures ? "PASS, a cure" : "no cure, FAIL ", cures ? "" : from->verdict, from->recording);
        struct qw_json *out = qw_json_add(measured, qw_json_object());
        qw_json_put_text(out, "what", from->what);
        qw_json_put_text(out, "transformers", from->transformers);
        qw_json_put_text(out, "peft", from->peft);
        qw_json_put_text(out, "status", cures ? "PASS" : "FAIL");
        qw_json_put_text(out, "cause", cures ? NULL : from->verdict);
        qw_json_put_text(out, "recording", from->recording);
        qw_json_put_text(out, "text", text);
        free(text);
    }
}

static void put_recordings(struct qw_json *row, const char *id, const struct qw_json *cases)
{
    struct qw_json *recordings = qw_json_put(row, "recordings", qw_json_array());
    for (const struct qw_json *c = qw_json_first(cases); c; c = qw_json_next(c))
        if (!strcmp(qw_json_get_text(c, "cause", ""), id))
            qw_json_add_text(recordings, qw_json_get_text(c, "file", ""));
}

struct qw_json *cli_rows_causes(struct qw_text *why)
{
    struct qw_text missing = {0};
    struct qw_json *rows = qw_json_array(), *cases = cli_rows_cases(&missing);
    (void)why;
    for (int i = 0; i < qc_cause_count(); i++) {
        const struct qc_cause_row *cause = qc_cause_at(i);
        struct qw_json *row = qw_json_add(rows, qw_json_object());
        char *mechanism = qc_cause_text(cause->mechanism, cause, NULL), *remedy = qc_cause_text(cause->remedy, cause, NULL);
        qw_json_put_text(row, "id", cause->id);
        qw_json_put_text(row, "title", cause->title);
        qw_json_put_text(row, "mechanism", mechanism);
        put_evidence(row, cause);
        put_signatures(row, cause);
        put_known(row, cause->id);
        qw_json_put_text(row, "remedy", remedy);
        put_remedies(row, cause->id);
        put_upstream(row, cause->upstream);
        put_recordings(row, cause->id, cases);
        free(mechanism);
        free(remedy);
    }
    qw_text_free(&missing);
    qw_json_free(cases);
    return rows;
}
