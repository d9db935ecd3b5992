/* Invariant: every row comes from the table that the program itself works with. */
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "harness/compare/coverage.h"
#include "harness/compare/items.h"
#include "reports/formats.h"
#include "reports/view.h"

static const struct cli_topic topics[] = {
#define TOPIC(name, kind, summary, function) {name, kind, summary, function},
#include "harness/cli/topics.def"
#undef TOPIC
};

int cli_topic_count(void) { return (int)(sizeof topics / sizeof *topics); }
const struct cli_topic *cli_topic_at(int index) { return &topics[index]; }

static struct qw_json *add_row(struct qw_json *rows, const char *id, const char *title)
{
    struct qw_json *row = qw_json_add(rows, qw_json_object());
    qw_json_put_text(row, "id", id);
    qw_json_put_text(row, "title", title);
    return row;
}

/* "[B, q, HD]: batch, tokens of this step, ..." */
static char *shape_in_words(const char *letters)
{
    static const struct {
        const char *letter, *words;
    } meaning[] = {{"B", "batch"},
                   {"q", "tokens of the step"},
                   {"S", "cache length"},
                   {"r", "logits rows"},
                   {"H", "query heads"},
                   {"K", "key/value heads"},
                   {"D", "head size"},
                   {"HD", "query heads x head size"},
                   {"3HD", "3 x query heads x head size"},
                   {"H", "query heads"},
                   {"K", "key/value heads"},
                   {"D", "head size"},
                   {"1", "one"},
                   {"KD", "key/value heads x head size"},
                   {"d", "hidden size"},
                   {"F", "feed-forward size"},
                   {"V", "vocabulary"}};
    struct qw_text out = {0};
    for (const char *word = letters; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        for (size_t i = 0; i < sizeof meaning / sizeof *meaning; i++)
            if (strlen(meaning[i].letter) == length && !strncmp(meaning[i].letter, word, length))
                qw_text_addf(&out, "%s%s", out.length ? ", " : "", meaning[i].words);
        word += length;
    }
    return qw_text_take(&out);
}

struct qw_json *cli_rows_sites(struct qw_text *why)
{
    static const char *const places[] = {"the call as a whole",   "the adapter, before the first step",
                                         "what a step is handed", "the cache that a step is handed",
                                         "before the blocks",     "in every block",
                                         "after the blocks",      "the cache after a step"};
    struct qw_json *rows = qw_json_array();
    (void)why;
    for (enum qw_site site = 0; site < QW_SITES; site++) {
        const struct qw_site_row *from = &qw_site_rows[site];
        char *shape = shape_in_words(from->shape);
        struct qw_json *row = add_row(rows, from->name, places[from->place]);
        qw_json_put_text(row, "party", qw_party_name(from->party));
        qw_json_put_text(row, "shape", shape[0] ? shape : NULL);
        qw_json_put_text(row, "bound",
                         !strcmp(from->sum, "0") ? "copied data: equal to the bit" : "a multiple of the noise floor");
        qw_json_put_text(row, "level", from->in_blocks ? "blocks" : "modules");
        free(shape);
    }
    return rows;
}

struct qw_json *cli_rows_kinds(struct qw_text *why)
{
    struct qw_json *rows = qw_json_array();
    (void)why;
    for (enum qc_kind kind = 1; kind < QC_KINDS; kind++)
        add_row(rows, qc_kind_name(kind), rp_kind_meaning(qc_kind_name(kind)));
    return rows;
}

struct qw_json *cli_rows_blind(struct qw_text *why)
{
    struct qw_json *rows = qw_json_array();
    (void)why;
    for (enum qc_blind blind = 0; blind < QC_BLINDS; blind++)
        add_row(rows, qc_blind_id(blind), rp_blind_meaning(qc_blind_id(blind)));
    return rows;
}

struct qw_json *cli_rows_consequences(struct qw_text *why)
{
    struct qw_json *rows = qw_json_array();
    (void)why;
    for (enum qc_says says = 0; says < QC_SAYS; says++)
        add_row(rows, qc_consequence_id(says), rp_says_meaning(qc_consequence_id(says)));
    return rows;
}

struct qw_json *cli_rows_statuses(struct qw_text *why)
{
    struct qw_json *rows = qw_json_array();
    (void)why;
    for (size_t i = 0; rp_status_at(i); i++)
        add_row(rows, rp_status_at(i)->word, rp_status_at(i)->meaning);
    return rows;
}

struct qw_json *cli_rows_exits(struct qw_text *why)
{
    struct qw_json *rows = qw_json_array();
    const char *name, *meaning;
    (void)why;
    for (int code = 0; code < 256; code++)
        if (qc_exit_words(&name, &meaning, code)) {
            char *id = qw_format("%d", code);
            qw_json_put_text(add_row(rows, id, meaning), "name", name);
            free(id);
        }
    return rows;
}

struct qw_json *cli_rows_formats(struct qw_text *why)
{
    struct qw_json *rows = qw_json_array();
    (void)why;
    for (size_t i = 0; i < rp_format_count(); i++) {
        struct qw_json *row = add_row(rows, rp_format_at(i)->name, rp_format_at(i)->summary);
        qw_json_put_text(row, "option", rp_format_at(i)->option);
        qw_json_put_text(row, "takes", rp_format_at(i)->value);
        qw_json_put_text(row, "suffix", rp_format_at(i)->suffix);
    }
    return rows;
}

struct qw_json *cli_rows_verbs(struct qw_text *why)
{
    struct qw_json *rows = qw_json_array();
    (void)why;
    for (int i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *verb = cli_verb_at(i);
        struct qw_json *row = add_row(rows, verb->name, verb->summary);
        qw_json_put_text(row, "takes", verb->synopsis);
    }
    return rows;
}

struct qw_json *cli_rows_variables(struct qw_text *why)
{
    struct qw_json *holder = qw_json_object();
    (void)why;
    cli_environment_put(holder);
    struct qw_json *rows = qw_json_copy(qw_json_get(holder, "environment"));
    qw_json_free(holder);
    return rows;
}
