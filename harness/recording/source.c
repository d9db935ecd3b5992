/* Invariant: a file that does not open is told apart: no HDF5, cut off, being written, too new, damaged. */
#include "harness/recording/source.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGAIN "copy it again from where it was recorded"

bool qc_source_same(const struct qw_input *source, int descriptor, struct qw_error *error)
{
    struct stat ours, theirs;
    bool same = fstat(source->fd, &ours) == 0 && fstat(descriptor, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
                ours.st_ino == theirs.st_ino;
    return same || qw_fail(error, QW_ERROR_INPUT, "", "leave the file alone while it is read", "was changed while it was read");
}

/* ---- the superblock (HDF5 file format specification, II.A) ---- */

#define OLDEST_BLOCK 48 /* bytes up to and with the end-of-file address in every version */

/* Where the format keeps what is asked for here, by version of the superblock. */
static const struct {
    int address_size, flags, end;
} places[4] = {{13, -1, 40}, {13, -1, 44}, {9, -1, 28}, {9, 11, 28}};

/* The superblock starts at 0, or behind a user block of 512, 1024, … bytes.  The bytes got, or -1 when there is none. */
static ssize_t find_superblock(unsigned char block[64], const struct qw_input *source)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    for (off_t at = 0; at < source->size; at = at ? 2 * at : 512) {
        ssize_t got = pread(source->fd, block, 64, at);
        if (got >= 8 && !memcmp(block, signature, sizeof signature))
            return got;
    }
    return -1;
}

static uint64_t little_endian(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

bool qc_source_explain(const struct qw_input *source, struct qw_error *error)
{
    unsigned char block[64] = {0};
    ssize_t got = find_superblock(block, source);
    long long size = (long long)source->size;
    if (got < 0)
        return qw_fail(error, QW_ERROR_INPUT, "", "give a file that the recorder wrote", "%snot an HDF5 file",
                       size ? "" : "an empty file, ");
    if (got < OLDEST_BLOCK)
        return qw_fail(error, QW_ERROR_INPUT, "", AGAIN, "truncated: %lld bytes are less than the head of an HDF5 file", size);
    unsigned version = block[8];
    if (version > 3)
        return qw_fail(error, QW_ERROR_INPUT, "", "write it with h5py opened with libver=('earliest', 'v110'), or " AGAIN,
                       "written by an HDF5 newer than 1.10, or damaged: superblock version %u", version);
    uint64_t end = little_endian(block + places[version].end);
    if (block[places[version].address_size] == 8 && end > (uint64_t)size && end < (uint64_t)1 << 62)
        return qw_fail(error, QW_ERROR_INPUT, "", AGAIN, "truncated: %lld bytes of %llu", size, (unsigned long long)end);
    if (places[version].flags >= 0 && block[places[version].flags] & 1)
        return qw_fail(error, QW_ERROR_INPUT, "", "wait for the recording to end; record again if it was stopped",
                       "still marked as being written");
    return qw_fail(error, QW_ERROR_INPUT, "", AGAIN ", or write it with h5py opened with libver=('earliest', 'v110')",
                   "damaged, or written by an HDF5 newer than 1.10");
}
