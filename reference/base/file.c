/* Invariant: a file under its final name is complete; the first failing call decides. */
#include "reference/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reference/base/input.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

bool qw_file_read(char **bytes, size_t *size, const char *path, size_t budget, struct qw_error *error)
{
    struct qw_input input;
    bool ok = qw_input_open(&input, path, error) && qw_input_read_all(bytes, &input, budget, error);
    if (ok)
        *size = (size_t)input.size;
    qw_input_close(&input);
    return ok;
}

static bool write_fully(int fd, const char *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t put = write(fd, bytes + done, size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = ENOSPC;
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

/* On Linux the descriptor is gone after EINTR too, and what was written stays written. */
static bool close_checked(int fd) { return close(fd) == 0 || errno == EINTR; }

static bool sync_checked(int fd)
{
    int status;
    while ((status = fsync(fd)) != 0 && errno == EINTR)
        continue;
    return status == 0;
}

static bool write_in_place(const char *path, const char *bytes, size_t size)
{
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return false;
    bool ok = write_fully(fd, bytes, size);
    int reason = errno;
    bool closed = close_checked(fd);
    if (!ok)
        errno = reason;
    return ok && closed;
}

/* A new name survives a power cut only when its folder was written too; not every file system can, so no error. */
static void sync_folder(const char *folder)
{
    int fd = open(folder[0] ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        sync_checked(fd);
        close(fd);
    }
}

/* As for any other new file: what the user's mask leaves of rw-rw-rw-. */
static bool give_usual_mode(int fd)
{
    mode_t mask = umask(0);
    umask(mask);
    return fchmod(fd, 0666 & ~mask) == 0;
}

static bool replace(const char *path, char *temporary, const char *bytes, size_t size)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = give_usual_mode(fd) && write_fully(fd, bytes, size) && sync_checked(fd);
    int reason = errno;
    if (!close_checked(fd) && ok) {
        reason = errno;
        ok = false;
    }
    if (ok && rename(temporary, path) == 0)
        return true;
    if (ok)
        reason = errno;
    unlink(temporary);
    errno = reason;
    return false;
}

/* An interrupt waits until the temporary file has become the final one, or is gone. */
static bool write_and_rename(const char *path, const char *bytes, size_t size)
{
    char *target = realpath(path, NULL); /* a link stays, the file behind it is replaced */
    char *folder = qw_path_folder(target ? target : path);
    char *temporary = qw_format("%s.qconform.XXXXXX", folder);
    sigset_t interrupts, before;
    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    sigaddset(&interrupts, SIGTERM);
    sigaddset(&interrupts, SIGHUP);
    sigprocmask(SIG_BLOCK, &interrupts, &before);
    bool ok = replace(target ? target : path, temporary, bytes, size);
    int reason = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (ok)
        sync_folder(folder);
    free(temporary);
    free(folder);
    free(target);
    errno = reason;
    return ok;
}

/* "-", and every other name of the file that standard output goes to (/dev/stdout with > file). */
static bool is_standard_output(const char *path, const struct stat *info)
{
    struct stat standard;
    return !strcmp(path, "-") ||
           (info && fstat(STDOUT_FILENO, &standard) == 0 && standard.st_dev == info->st_dev && standard.st_ino == info->st_ino);
}

bool qw_file_write(const char *path, const char *bytes, size_t size, struct qw_error *error)
{
    struct stat info;
    bool there = stat(path, &info) == 0, regular = !there || S_ISREG(info.st_mode);
    bool ok = is_standard_output(path, there ? &info : NULL) ? write_in_place(NULL, bytes, size)
              : regular                                      ? write_and_rename(path, bytes, size)
                                                             : write_in_place(path, bytes, size);
    if (ok)
        return true;
    if (errno == EPIPE)
        return qw_fail(error, QW_ERROR_OUTPUT, "", "", "%s", "");
    qw_fail(error, QW_ERROR_OUTPUT, "", "check that the folder exists, may be written and has room", "cannot be written: %s",
            strerror(errno));
    qw_error_in_file(error, strcmp(path, "-") ? path : "standard output");
    return false;
}

/* A new folder's name is written to the one above it: a file that is synchronised in there must be found again. */
static bool make_one(const char *path)
{
    struct stat info;
    if (mkdir(path, 0777) == 0) {
        char *above = qw_path_folder(path);
        sync_folder(above);
        free(above);
        return true;
    }
    int reason = errno;
    bool there = stat(path, &info) == 0;
    errno = there ? ENOTDIR : reason;
    return there && S_ISDIR(info.st_mode);
}

bool qw_folder_make(const char *path, struct qw_error *error)
{
    char *part = qw_strdup(path);
    size_t end = strlen(part);
    while (end > 1 && part[end - 1] == '/')
        part[--end] = 0;
    bool ok = true;
    for (size_t i = 1; ok && i <= end; i++) {
        if (part[i] != '/' && i < end)
            continue;
        part[i] = 0;
        ok = make_one(part);
        part[i] = i < end ? '/' : 0;
    }
    free(part);
    if (ok)
        return true;
    qw_fail(error, QW_ERROR_OUTPUT, "", "check that the folder above it exists and may be written", "cannot be made: %s",
            strerror(errno));
    qw_error_in_file(error, path);
    return false;
}

const char *qw_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *qw_path_folder(const char *path) { return qw_format("%.*s", (int)(qw_path_base(path) - path), path); }

char *qw_path_join(const char *folder, const char *name)
{
    return name[0] == '/' ? qw_strdup(name) : qw_format("%s%s", folder, name);
}
