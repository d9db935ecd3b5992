/* Invariant: the bytes are those of the schemas at the time of the build (the Makefile knows the dependency). */
#include "reports/check.h"

#include <assert.h>
#include <string.h>

#define TAKE_IN(name, file)                                                                                                      \
    __asm__(".pushsection .rodata\n"                                                                                             \
            "rp_schema_" name ": .incbin \"" file "\"\n"                                                                         \
            "rp_schema_" name "_end: .byte 0\n"                                                                                  \
            ".popsection\n")

TAKE_IN("result", "reports/result.schema.json");
TAKE_IN("suite", "suites/suite.schema.json");
TAKE_IN("baseline", "suites/baseline.schema.json");

extern const char rp_schema_result[], rp_schema_result_end[], rp_schema_suite[], rp_schema_suite_end[], rp_schema_baseline[],
    rp_schema_baseline_end[];

const char *rp_schema_text(const char *name, size_t *size)
{
    static const struct {
        const char *name, *from, *to;
    } schemas[] = {{"qconform-result/1", rp_schema_result, rp_schema_result_end},
                   {"qconform-suite/1", rp_schema_suite, rp_schema_suite_end},
                   {"qconform-baseline/1", rp_schema_baseline, rp_schema_baseline_end}};
    size_t i = 0;
    while (i < sizeof schemas / sizeof *schemas && strcmp(schemas[i].name, name) != 0)
        i++;
    assert(i < sizeof schemas / sizeof *schemas);
    *size = (size_t)(schemas[i].to - schemas[i].from);
    return schemas[i].from;
}
