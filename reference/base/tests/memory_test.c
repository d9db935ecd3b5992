/* Memory: never NULL, always zeroed, and a size that cannot be had ends the process. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reference/base/memory.h"

Test(memory, calloc_zeroes_and_serves_empty_requests)
{
    unsigned char *block = qw_calloc(1000, 3);
    for (int i = 0; i < 3000; i++)
        cr_assert_eq(block[i], 0);
    void *empty = qw_calloc(0, 8), *hollow = qw_calloc(8, 0);
    cr_assert_not_null(empty);
    cr_assert_not_null(hollow);
    free(block);
    free(empty);
    free(hollow);
}

Test(memory, realloc_keeps_what_was_there)
{
    int *numbers = qw_realloc(NULL, 3, sizeof *numbers);
    for (int i = 0; i < 3; i++)
        numbers[i] = 10 + i;
    numbers = qw_realloc(numbers, 30000, sizeof *numbers);
    cr_assert(numbers[0] == 10 && numbers[1] == 11 && numbers[2] == 12);
    numbers = qw_realloc(numbers, 0, sizeof *numbers);
    cr_assert_not_null(numbers);
    free(numbers);
}

Test(memory, copies_are_independent)
{
    char text[] = "prefix";
    char *copy = qw_strdup(text);
    text[0] = 'X';
    cr_assert_str_eq(copy, "prefix");
    cr_assert_null(qw_strdup(NULL));
    const int16_t numbers[] = {1, -2, 3};
    int16_t *same = qw_memdup(numbers, 3, sizeof *numbers);
    cr_assert_arr_eq(same, numbers, sizeof numbers);
    void *nothing = qw_memdup(NULL, 0, 4);
    cr_assert_not_null(nothing);
    free(copy);
    free(same);
    free(nothing);
}

Test(memory, product_that_overflows_ends_the_process, .init = cr_redirect_stderr, .exit_code = 70)
{
    volatile size_t half = SIZE_MAX / 2;
    free(qw_realloc(NULL, half, 4));
}

#ifndef __SANITIZE_ADDRESS__ /* its allocator ends the process by itself */
Test(memory, more_than_there_is_ends_the_process, .init = cr_redirect_stderr, .exit_code = 70)
{
    volatile size_t most = SIZE_MAX / 4;
    free(qw_realloc(NULL, most, 2));
}
#endif
