/* Invariant: a file under its final name is complete; the first failing call decides. */
#include "reference/base/file.h"

#include <errno.h>
#include <fcntl.h>
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
        if (put < 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

static bool write_in_place(const char *path, const char *bytes, size_t size)
{
    int fd = strcmp(path, "-") ? open(path, O_WRONLY | O_CLOEXEC) : dup(STDOUT_FILENO);
    if (fd < 0)
        return false;
    bool ok = write_fully(fd, bytes, size);
    return close(fd) == 0 && ok;
}

static void sync_folder(const char *path)
{
    char *folder = qw_path_folder(path);
    int fd = open(folder[0] ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

static bool write_and_rename(const char *path, const char *bytes, size_t size)
{
    char *folder = qw_path_folder(path);
    char *temporary = qw_format("%s.%s.XXXXXX", folder, qw_path_base(path));
    int fd = mkostemp(temporary, O_CLOEXEC);
    bool ok = fd >= 0 && fchmod(fd, 0644) == 0 && write_fully(fd, bytes, size) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    ok = ok && rename(temporary, path) == 0;
    int reason = errno;
    if (!ok && fd >= 0)
        unlink(temporary);
    if (ok)
        sync_folder(path);
    free(temporary);
    free(folder);
    errno = reason;
    return ok;
}

bool qw_file_write(const char *path, const char *bytes, size_t size, struct qw_error *error)
{
    struct stat info;
    bool special = !strcmp(path, "-") || (stat(path, &info) == 0 && !S_ISREG(info.st_mode));
    if (special ? write_in_place(path, bytes, size) : write_and_rename(path, bytes, size))
        return true;
    qw_fail(error, QW_ERROR_OUTPUT, "", "check that the folder exists, may be written and has room", "cannot be written: %s",
            strerror(errno));
    qw_error_in_file(error, path);
    return false;
}

const char *qw_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *qw_path_folder(const char *path)
{
    return qw_format("%.*s", (int)(qw_path_base(path) - path), path);
}

char *qw_path_join(const char *folder, const char *name)
{
    return name[0] == '/' ? qw_strdup(name) : qw_format("%s%s", folder, name);
}
