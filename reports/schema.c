/* Invariant: the bytes are those of result.schema.json at the time of the build (the Makefile knows the dependency). */
#include "reports/check.h"

__asm__(".pushsection .rodata\n"
        "rp_schema_start: .incbin \"reports/result.schema.json\"\n"
        "rp_schema_end: .byte 0\n"
        ".popsection\n");

extern const char rp_schema_start[], rp_schema_end[];

const char *rp_schema_text(size_t *size)
{
    *size = (size_t)(rp_schema_end - rp_schema_start);
    return rp_schema_start;
}
