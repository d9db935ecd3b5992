/* Invariant: specifications are constants of the program, so a letter without a meaning is a mistake of ours. */
#include "reference/letters.h"

#include <ctype.h>

struct qw_letters qw_letters_of(const struct qw_config *config)
{
    struct qw_letters letters = {0};
    letters.value['L'] = config->layers;
    letters.value['H'] = config->heads;
    letters.value['K'] = config->kv_heads;
    letters.value['D'] = config->head_size;
    letters.value['d'] = config->hidden;
    letters.value['F'] = config->ffn;
    letters.value['V'] = config->vocab;
    return letters;
}

static const char *read_extent(int64_t *out, const char *spec, const struct qw_letters *letters)
{
    *out = 1;
    for (; *spec && *spec != ' '; spec++)
        *out *= isdigit((unsigned char)*spec) ? *spec - '0' : letters->value[(unsigned char)*spec];
    return spec;
}

int64_t qw_extent_from_letters(const char *spec, const struct qw_letters *letters)
{
    int64_t extent;
    read_extent(&extent, spec, letters);
    return extent;
}

struct qw_shape qw_shape_from_letters(const char *spec, const struct qw_letters *letters)
{
    struct qw_shape shape = {0};
    while (*spec) {
        if (*spec == ' ')
            spec++;
        else
            spec = read_extent(&shape.dim[shape.rank++], spec, letters);
    }
    return shape;
}
