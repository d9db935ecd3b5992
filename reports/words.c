/* Invariant: a word without an entry gets "", so that new words of the document never break a report. */
#include <string.h>

#include "reports/view.h"

struct entry {
    const char *word, *meaning;
};

static const char *look_up(const struct entry *table, size_t count, const char *word)
{
    for (size_t i = 0; word && i < count; i++)
        if (!strcmp(table[i].word, word))
            return table[i].meaning;
    return "";
}

#define LOOK_UP(table, word) look_up(table, sizeof(table) / sizeof *(table), word)

/* `between` is said of two recordings, neither of which is the healthy one; NULL: as `meaning`. */
static const struct {
    const char *word;
    char letter; /* in the error map; 0: its ratio stands there */
    const char *meaning, *between;
} kinds[] = {
    {"missing", 'M', "the healthy run has it, the recording does not", "only A has it"},
    {"extra", 'E', "the recording has it, the healthy run does not", "only B has it"},
    {"rank", 'R', "the number of axes differs", NULL},
    {"shape", 'S', "the size along an axis differs", NULL},
    {"dtype", 'D', "the data type differs", NULL},
    {"layout", 'L', "the same data with its axes in another order", NULL},
    {"cache-type", 'T', "another kind of cache object", NULL},
    {"cache-length", 'C', "the cache holds another number of tokens", NULL},
    {"mask-length", 'A', "the attention mask covers another number of tokens", NULL},
    {"position", 'P', "the tokens stand at other positions", NULL},
    {"nonfinite", 'N', "NaN or infinity where numbers belong", "NaN or infinity in one of them"},
    {"value", 0, "the numbers differ by more than rounding can explain", "the numbers differ"},
    {"raised", 'X', "the run stopped with an exception", NULL},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static const struct entry blind_spots[] = {
#define BLIND(symbol, id, sentence) {id, sentence},
#include "reports/blind.def"
#undef BLIND
};

static const struct entry consequences[] = {
#define SAYS(symbol, id, words) {id, words},
#include "reports/consequences.def"
#undef SAYS
};

static size_t find_kind(const char *kind)
{
    size_t i = 0;
    while (i < KINDS && (!kind || strcmp(kinds[i].word, kind) != 0))
        i++;
    return i;
}

const char *rp_kind_meaning(const char *kind)
{
    size_t i = find_kind(kind);
    return i == KINDS ? "" : kinds[i].meaning;
}

const char *rp_kind_between(const char *kind)
{
    size_t i = find_kind(kind);
    return i < KINDS && kinds[i].between ? kinds[i].between : rp_kind_meaning(kind);
}

char rp_kind_letter(const char *kind)
{
    size_t i = find_kind(kind);
    if (i == KINDS)
        return 'O';
    return kinds[i].letter;
}

const char *rp_letter_kind(char letter)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].letter == letter)
            return kinds[i].word;
    return "other";
}

const char *rp_blind_meaning(const char *id) { return LOOK_UP(blind_spots, id); }

const char *rp_says_meaning(const char *id) { return LOOK_UP(consequences, id); }

const char *rp_confidence_meaning(const struct qw_json *cause)
{
    static const struct entry levels[] = {
        {"high", "it reproduces the record almost completely, and no other known cause comes near"},
        {"medium", "it reproduces most of the record, or its known signature matches these versions"},
        {"low", "the best match that was found; it leaves a good part open, so read it as a hypothesis"},
    };
    if (!rp_is_named(cause))
        return "no known cause reproduces this divergence";
    return LOOK_UP(levels, qw_json_get_text(cause, "confidence", NULL));
}

const char *rp_party_title(const struct qw_json *party)
{
    static const struct entry titles[] = {
        {"protocol", "PEFT's part: what is handed over"},
        {"model", "Qwen's part: embedding to logits"},
        {"cache", "The cache's part: what is kept"},
    };
    const char *name = qw_json_get_text(party, "name", "");
    const char *title = LOOK_UP(titles, name);
    return qw_json_get_text(party, "title", *title ? title : name);
}
