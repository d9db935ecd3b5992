/* The short texts that the command line and suite files share. */
#ifndef QC_SUITE_WORDS_H
#define QC_SUITE_WORDS_H

#include <stdbool.h>

/* "0-4", "2", "2-", "-3": both ends inclusive, a missing last one is INT_MAX; a number has at most six digits. */
bool qc_range_read(int *first, int *last, const char *text);

/* "500ms", "30s", "5m", "1.5h", or a bare number of seconds: above 0, at most a week. */
bool qc_duration_read(double *seconds, const char *text);

/* "2/4": the second of four; both from 1, at most 9999. */
bool qc_shard_read(int *index, int *count, const char *text);

#endif
