/* A frame is taken whole or not at all. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/worker/frame.h"

#define PAYLOAD "{\"answer\":{\"status\":\"PASS\"}}"
enum { SIZE = 12 + sizeof PAYLOAD - 1 };

static void make_frame(char bytes[SIZE])
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert(qc_frame_write(ends[1], PAYLOAD));
    cr_assert_eq(read(ends[0], bytes, SIZE), SIZE);
    close(ends[0]);
    close(ends[1]);
}

Test(frame, what_was_written_reads_back)
{
    char bytes[SIZE];
    make_frame(bytes);
    struct qw_json *json = qc_frame_parse(bytes, SIZE);
    cr_assert_not_null(json);
    cr_expect_str_eq(qw_json_get_text(qw_json_get(json, "answer"), "status", ""), "PASS");
    qw_json_free(json);
}

Test(frame, every_cut_is_refused_but_may_still_become_a_frame)
{
    char bytes[SIZE];
    make_frame(bytes);
    for (size_t size = 0; size < SIZE; size++) {
        cr_expect_null(qc_frame_parse(bytes, size), "%zu bytes", size);
        cr_expect(qc_frame_possible(bytes, size, 1000), "%zu bytes", size);
    }
}

Test(frame, every_flipped_bit_is_refused)
{
    char bytes[SIZE];
    make_frame(bytes);
    for (int bit = 0; bit < 8 * SIZE; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        cr_expect_null(qc_frame_parse(bytes, SIZE), "bit %d", bit);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
}

Test(frame, bytes_after_a_frame_and_lengths_beyond_the_bound_are_impossible)
{
    char bytes[SIZE + 1] = {0};
    make_frame(bytes);
    cr_expect(qc_frame_possible(bytes, SIZE, SIZE - 12));
    cr_expect_not(qc_frame_possible(bytes, SIZE, SIZE - 13));
    cr_expect_not(qc_frame_possible(bytes, SIZE + 1, 1000));
    cr_expect_null(qc_frame_parse(bytes, SIZE + 1));
    cr_expect_not(qc_frame_possible("QX", 2, 1000));
    cr_expect_not(qc_frame_possible("XCF1\1\0\0\0\0\0\0\0", 12, 1000));
}

Test(frame, a_pipe_without_reader_is_reported)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    cr_expect_not(qc_frame_write(ends[1], PAYLOAD));
}
