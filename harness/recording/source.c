/* Invariant: one descriptor from the digest to the last look; a file that is no longer what was opened is refused. */
#include "harness/recording/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define AGAIN "copy it again from where it was recorded"

bool qc_source_open(struct qc_source *source, const char *path, struct qw_error *error)
{
    *source = (struct qc_source){.path = path, .descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (source->descriptor < 0)
        return qw_fail(error, QW_ERROR_INPUT, "", "check the path and its permissions", "cannot be opened: %s", strerror(errno));
    if (fstat(source->descriptor, &source->info) == 0 && S_ISREG(source->info.st_mode))
        return true;
    qc_source_close(source);
    return qw_fail(error, QW_ERROR_INPUT, "", "give the path of a regular file", "not a regular file");
}

void qc_source_close(struct qc_source *source)
{
    if (source->descriptor >= 0)
        close(source->descriptor);
    source->descriptor = -1;
}

static bool changed(struct qw_error *error)
{
    return qw_fail(error, QW_ERROR_INPUT, "", "wait until it is whole, or read a copy of it",
                   "was changed while it was read");
}

bool qc_source_same(const struct qc_source *source, int descriptor, struct qw_error *error)
{
    struct stat info;
    bool same = fstat(descriptor, &info) == 0 && info.st_dev == source->info.st_dev && info.st_ino == source->info.st_ino;
    return same || changed(error);
}

bool qc_source_unchanged(const struct qc_source *source, struct qw_error *error)
{
    struct stat now;
    const struct stat *then = &source->info;
    bool same = fstat(source->descriptor, &now) == 0 && now.st_size == then->st_size &&
                now.st_mtim.tv_sec == then->st_mtim.tv_sec && now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;
    return same || changed(error);
}

/* ---- the superblock (HDF5 file format specification, II.A) ---- */

#define OLDEST_BLOCK 48 /* bytes up to and with the end-of-file address in every version */

/* Where the format keeps what is asked for here, by version of the superblock. */
static const struct {
    int address_size, flags, end;
} places[4] = {{13, -1, 40}, {13, -1, 44}, {9, -1, 28}, {9, 11, 28}};

/* The superblock starts at 0, or behind a user block of 512, 1024, … bytes.  The bytes got, or -1 when there is none. */
static ssize_t find_superblock(unsigned char block[64], const struct qc_source *source)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    for (off_t at = 0; at < source->info.st_size; at = at ? 2 * at : 512) {
        ssize_t got = pread(source->descriptor, block, 64, at);
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

bool qc_source_explain(const struct qc_source *source, struct qw_error *error)
{
    unsigned char block[64] = {0};
    ssize_t got = find_superblock(block, source);
    long long size = (long long)source->info.st_size;
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
