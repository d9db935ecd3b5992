/* Invariant: an open input is a regular file or memory, and reads never wait for another process. */
#include "reference/base/input.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

#define FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static bool refuse(struct qw_error *error, const char *path, const char *hint, const char *why)
{
    qw_fail(error, QW_ERROR_INPUT, "", hint, "%s", why);
    qw_error_in_file(error, path);
    return false;
}

static bool refuse_open(struct qw_error *error, const char *path)
{
    if (errno == EXDEV || errno == ELOOP)
        return refuse(error, path, "put the file itself there, or name the folder where it lies",
                      "is a link that leads out of its folder, and a file's contents named it");
    char *why = qw_format("cannot be opened: %s", strerror(errno));
    refuse(error, path, "check the path", why);
    free(why);
    return false;
}

/* Takes over `fd` and `path`. */
static bool adopt(struct qw_input *input, int fd, char *path, struct qw_error *error)
{
    struct stat info;
    *input = (struct qw_input){.fd = fd, .path = path};
    if (fd < 0)
        return refuse_open(error, path);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return refuse(error, path, "give the path of a regular file", "not a regular file");
    input->size = (int64_t)info.st_size;
    input->changed = info.st_mtim;
    return true;
}

bool qw_input_open(struct qw_input *input, const char *path, struct qw_error *error)
{
    return adopt(input, open(path, FLAGS), qw_strdup(path), error);
}

/* Where links may lead: the folder, or the cached repository that it is a snapshot of.  `*inside` is the way from there
 * to the folder, "" or with its slash.  Both to be freed. */
static char *root_of(char **inside, const char *folder)
{
    char *real = realpath(folder, NULL);
    char *parent = qw_path_folder(real ? real : ""), *last = qw_strdup(qw_path_base(real ? real : ""));
    size_t length = strlen(parent);
    bool snapshot = length > 11 && !strcmp(parent + length - 11, "/snapshots/");
    *inside = snapshot ? qw_format("snapshots/%s/", last) : qw_strdup("");
    char *root = snapshot ? qw_format("%.*s", (int)(length - 10), parent) : qw_strdup(folder);
    free(real);
    free(parent);
    free(last);
    return root;
}

static int open_confined(int folder, const char *way, const char *name)
{
    struct open_how how = {.flags = FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    char *path = qw_format("%s%s", way, name);
    long fd = -1;
    for (int tries = 0; tries < 8 && fd < 0 && (tries == 0 || errno == EAGAIN || errno == EINTR); tries++)
        fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = openat(folder, path, FLAGS | O_NOFOLLOW);
    int reason = errno;
    free(path);
    errno = reason;
    return (int)fd;
}

bool qw_input_open_beneath(struct qw_input *input, const char *folder, const char *name, struct qw_error *error)
{
    *input = (struct qw_input){.fd = -1};
    if (!name[0] || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
        return qw_fail(error, QW_ERROR_INPUT, name, "a shard lies in the folder of its index", "\"%.80s\" is no plain file name",
                       name);
    char *way, *root = root_of(&way, folder);
    int anchor = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = anchor < 0 ? -1 : open_confined(anchor, way, name);
    int reason = errno;
    if (anchor >= 0)
        close(anchor);
    free(root);
    free(way);
    errno = reason;
    return adopt(input, fd, qw_format("%s/%s", folder, name), error);
}

struct qw_input qw_input_of_bytes(const char *bytes, size_t size)
{
    return (struct qw_input){.fd = -1, .size = (int64_t)size, .bytes = bytes};
}

static bool read_fully(char *out, int fd, int64_t from, size_t count)
{
    size_t done = 0;
    errno = 0;
    while (done < count) {
        ssize_t got = pread(fd, out + done, count - done, from + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

bool qw_input_read(void *out, const struct qw_input *input, int64_t from, size_t count, struct qw_error *error)
{
    errno = 0;
    bool inside = from >= 0 && from <= input->size && count <= (size_t)(input->size - from);
    if (inside && input->bytes)
        memcpy(out, input->bytes + from, count);
    else if (!inside || !read_fully(out, input->fd, from, count))
        return refuse(error, input->path ? input->path : "", "leave the file alone while it is read",
                      errno ? strerror(errno) : "ends before it should: it was cut short");
    return true;
}

bool qw_input_read_all(char **bytes, const struct qw_input *input, size_t budget, struct qw_error *error)
{
    if ((uint64_t)input->size > budget) {
        char *why = qw_format("%lld bytes are more than the %zu that are read here", (long long)input->size, budget);
        refuse(error, input->path ? input->path : "", "check that it is the file that was meant", why);
        free(why);
        return false;
    }
    *bytes = qw_calloc((size_t)input->size + 1, 1);
    if (qw_input_read(*bytes, input, 0, (size_t)input->size, error))
        return true;
    free(*bytes);
    *bytes = NULL;
    return false;
}

bool qw_input_unchanged(const struct qw_input *input, struct qw_error *error)
{
    struct stat info;
    if (input->bytes || (fstat(input->fd, &info) == 0 && info.st_size == input->size &&
                         info.st_mtim.tv_sec == input->changed.tv_sec && info.st_mtim.tv_nsec == input->changed.tv_nsec))
        return true;
    return refuse(error, input->path, "leave the file alone while it is read", "was changed while it was read");
}

void qw_input_close(struct qw_input *input)
{
    if (input->path && input->fd >= 0)
        close(input->fd);
    free(input->path);
    *input = (struct qw_input){.fd = -1};
}
