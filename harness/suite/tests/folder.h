/* A folder with suites, baselines and files that stand for recordings, which a test works in. */
#ifndef QC_SUITE_TESTS_FOLDER_H
#define QC_SUITE_TESTS_FOLDER_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reference/base/file.h"
#include "reference/base/text.h"

/* Goes into a new folder.  Each test is a process of its own, so that nobody else is moved. */
static inline char *folder_enter(void)
{
    char *folder = qw_format("%s", "/tmp/qconform-suites-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    return folder;
}

static inline void folder_leave(char *folder)
{
    char *command = qw_format("chmod -R u+rwx %s && rm -r %s", folder, folder);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(system(command), 0);
    free(command);
    free(folder);
}

/* Writes a file and the folders that it lies in. */
static inline void folder_put(const char *path, const char *text)
{
    struct qw_error error = {0};
    char *part = qw_format("%s", path);
    for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(part, 0777);
        *slash = '/';
    }
    cr_assert(qw_file_write(path, text, strlen(text), &error), "%s", error.message);
    free(part);
}

/* A suite of these blocks. */
static inline void folder_put_suite(const char *path, const char *top, const char *blocks)
{
    char *text = qw_format("{\"schema\": \"qconform-suite/1\", \"title\": \"t\", %s \"cases\": [%s]}", top, blocks);
    folder_put(path, text);
    free(text);
}

/* A sound block of that id, with more fields. */
#define BLOCK(id, more) "{\"id\": \"" id "\", \"requirement\": \"r\", \"source\": \"s\", \"recording\": \"x.h5\"" more "}"

#endif
