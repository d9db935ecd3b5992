/* Invariant: rules are values; healthy ones depend on the two versions alone. */
#include "reference/rules.h"

#include <limits.h>
#include <string.h>

/* Reads the digits at `*text`; what is too large for an int becomes the largest. */
static bool read_number(int *number, const char **text)
{
    const char *begin = *text;
    for (*number = 0; **text >= '0' && **text <= '9'; ++*text)
        if (__builtin_mul_overflow(*number, 10, number) || __builtin_add_overflow(*number, **text - '0', number))
            *number = INT_MAX;
    return *text > begin;
}

bool qw_version_read(struct qw_version *version, const char *text)
{
    *version = (struct qw_version){0};
    int read = 0;
    while (read < 3 && read_number(&version->number[read], &text)) {
        read++;
        if (*text++ != '.')
            break;
    }
    return read > 0;
}

int qw_version_compare(struct qw_version a, struct qw_version b)
{
    for (int i = 0; i < 3; i++)
        if (a.number[i] != b.number[i])
            return a.number[i] < b.number[i] ? -1 : 1;
    return 0;
}

static bool at_least(struct qw_version version, const char *bound)
{
    struct qw_version from;
    qw_version_read(&from, bound);
    return qw_version_compare(version, from) >= 0;
}

struct qw_rules qw_rules_healthy(struct qw_setting setting)
{
    struct qw_rules healthy = {0}, *rules = &healthy;
    bool half = setting.half, eager = setting.eager, cuda = setting.cuda, first = setting.family == QW_FAMILY_QWEN;
#define ERA(transformers_from, peft_from, assignment)                                                                            \
    if (at_least(setting.transformers, transformers_from) && at_least(setting.peft, peft_from))                                  \
        assignment;
#include "reference/eras.def"
#undef ERA
    return healthy;
}

bool qw_rules_widen(const struct qw_rules *rules) { return rules->sums != QW_F64; }

int64_t qw_rows_appended(const struct qw_rules *rules, int64_t queries) { return rules->append_twice ? 2 * queries : queries; }

struct qw_setting qw_setting_newest(void) { return (struct qw_setting){.transformers = {{5, 23, 0}}, .peft = {{0, 21, 2}}}; }

static const struct {
    const char *id;
    enum qw_party party;
} deviations[QW_DEVIATIONS] = {
#define DEVIATION(symbol, id, party, assignment) {id, QW_##party},
#include "reference/deviations.def"
#undef DEVIATION
};

const char *qw_deviation_id(enum qw_deviation deviation) { return deviations[deviation].id; }
enum qw_party qw_deviation_party(enum qw_deviation deviation) { return deviations[deviation].party; }

static const struct {
    enum qw_deviation deviation;
    struct qw_value value;
} values[] = {
#define DEVIATION(symbol, id, party, assignment)
#define VALUE(symbol, number, words) {QW_DEVIATION_##symbol, {number, words}},
#include "reference/deviations.def"
#undef DEVIATION
};

const struct qw_value *qw_deviation_value(enum qw_deviation deviation, int index)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i].deviation == deviation && index-- == 0)
            return &values[i].value;
    return NULL;
}

int qw_deviation_values(enum qw_deviation deviation)
{
    int count = 0;
    while (qw_deviation_value(deviation, count))
        count++;
    return count;
}

/* What becomes of the short mask is the versions' own way, or an engine's: not to look at it. */
static void leave_mask_short(struct qw_rules *rules, bool ignored)
{
    rules->extend_mask = false;
    if (ignored)
        rules->short_mask = rules->short_mask_past = rules->uncached_mask = QW_SHORT_IGNORED;
}

void qw_deviation_apply_value(struct qw_rules *rules, enum qw_deviation deviation, double value)
{
    switch (deviation) {
#define DEVIATION(symbol, id, party, assignment)                                                                                 \
    case QW_DEVIATION_##symbol:                                                                                                  \
        assignment;                                                                                                              \
        break;
#include "reference/deviations.def"
#undef DEVIATION
    case QW_DEVIATIONS: break;
    }
}

void qw_deviation_apply(struct qw_rules *rules, enum qw_deviation deviation)
{
    const struct qw_value *first = qw_deviation_value(deviation, 0);
    qw_deviation_apply_value(rules, deviation, first ? first->number : 0);
}
