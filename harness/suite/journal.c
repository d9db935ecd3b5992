/* Invariant: what is not on the disk does not count, and what another program or another plan wrote is not mixed in. */
#include "harness/suite/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "harness/suite/lines.h"
#include "harness/worker/document.h"
#include "reference/base/file.h"
#include "reference/base/memory.h"
#include "reference/base/text.h"

#define SCHEMA "qconform-journal/1"

/* A recording as the file system knows it. */
struct stamp {
    int64_t size;     /* -1: it is not there */
    char changed[48]; /* seconds and nanoseconds, as text: no double holds them */
};

struct entry {
    char *id;
    bool ended;
    struct stamp stamp;
    double limit;
    off_t from; /* where its "end" line lies */
    size_t length;
};

struct qc_journal {
    int fd;
    char *path;
    int64_t next; /* seq of the next line */
    off_t whole;  /* where the last whole line ends */
    struct entry *entries;
    int count, room;
    bool broken;            /* a line was lost */
    int64_t cases, process; /* how many cases it is for; who wrote it last, and where */
    char *host;
    struct qw_json *workers, *notices;
};

static void stamp_of(struct stamp *stamp, const char *path)
{
    struct stat info;
    *stamp = (struct stamp){.size = -1};
    if (stat(path, &info) != 0)
        return;
    stamp->size = info.st_size;
    snprintf(stamp->changed, sizeof stamp->changed, "%lld.%09ld", (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

static struct entry *entry_find(const struct qc_journal *journal, const char *id)
{
    for (int i = 0; i < journal->count; i++)
        if (!strcmp(journal->entries[i].id, id))
            return &journal->entries[i];
    return NULL;
}

static struct entry *entry_for(struct qc_journal *journal, const char *id)
{
    struct entry *entry = entry_find(journal, id);
    if (entry)
        return entry;
    if (journal->count == journal->room) {
        journal->room = 2 * journal->room + 16;
        journal->entries = qw_realloc(journal->entries, (size_t)journal->room, sizeof *journal->entries);
    }
    journal->entries[journal->count] = (struct entry){.id = qw_strdup(id)};
    return &journal->entries[journal->count++];
}

static void notice(struct qc_journal *journal, char *text)
{
    qw_json_add_text(journal->notices, text);
    free(text);
}

/* ---- reading ---- */

static void take_writer(struct qc_journal *journal, const struct qw_json *line)
{
    journal->process = qw_json_get_int(line, "process", 0);
    free(journal->host);
    journal->host = qw_strdup(qw_json_get_text(line, "host", ""));
}

static void take_end(struct qc_journal *journal, const struct qw_json *line, off_t from, size_t length)
{
    struct entry *entry = entry_for(journal, qw_json_get_text(line, "id", ""));
    entry->ended = true;
    entry->stamp.size = qw_json_get_int(line, "size", -1);
    snprintf(entry->stamp.changed, sizeof entry->stamp.changed, "%s", qw_json_get_text(line, "changed", ""));
    entry->limit = qw_json_get_real(line, "limit", 0);
    entry->from = from;
    entry->length = length;
}

static void take_line(struct qc_journal *journal, const struct qw_json *line, off_t from, size_t length)
{
    const char *kind = qw_json_get_text(line, "kind", "");
    if (!strcmp(kind, "begin"))
        journal->cases = qw_json_get_int(line, "cases", 0);
    if (!strcmp(kind, "begin") || !strcmp(kind, "resume"))
        take_writer(journal, line);
    if (!strcmp(kind, "start"))
        entry_for(journal, qw_json_get_text(line, "id", ""))->ended = false;
    if (!strcmp(kind, "end"))
        take_end(journal, line, from, length);
    if (!strcmp(kind, "workers")) {
        qw_json_free(journal->workers);
        journal->workers = qw_json_copy(line);
    }
}

static const char *own_sha256(void)
{
    static char program[QW_SHA256_HEX];
    struct qw_error error = {0};
    if (!program[0])
        qw_sha256_file(program, "/proc/self/exe", &error);
    return program;
}

/* The first line of a journal of this program and plan. */
static struct qw_json *begin_line(const struct qc_plan *plan)
{
    char shard[40];
    snprintf(shard, sizeof shard, "%d/%d", plan->shard, plan->shards);
    struct qw_json *line = qw_json_object();
    qw_json_put_text(line, "kind", "begin");
    qw_json_put_text(line, "schema", SCHEMA);
    qw_json_put_text(line, "version", QC_VERSION);
    qw_json_put_text(line, "program", own_sha256());
    qw_json_put_text(line, "plan", plan->digest);
    qw_json_put_text(line, "shard", plan->shards ? shard : NULL);
    return line;
}

static bool agree(const struct qw_json *line, const struct qw_json *wanted, const char *key)
{
    return !strcmp(qw_json_get_text(line, key, ""), qw_json_get_text(wanted, key, ""));
}

static bool check_begin(const struct qw_json *line, const struct qc_plan *plan, struct qw_error *error)
{
    static const struct {
        const char *key, *words, *hint;
    } bound[] = {
        {"kind", "does not begin as a journal does", "give another --out, or leave out --resume to begin anew"},
        {"schema", "is a journal of another format", "leave out --resume to begin anew"},
        {"version", "was written by another version of qconform", "go on with that one, or leave out --resume to begin anew"},
        {"program", "was written by another build of qconform", "go on with that one, or leave out --resume to begin anew"},
        {"plan", "belongs to another run: the suites, the selection or what a case asks for have changed since",
         "give the same suites, globs and --filter, or leave out --resume to begin anew"},
        {"shard", "belongs to another shard", "give the same --shard, or leave out --resume to begin anew"},
    };
    struct qw_json *wanted = begin_line(plan);
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof bound / sizeof *bound; i++)
        if (!agree(line, wanted, bound[i].key))
            ok = qw_fail(error, QW_ERROR_INPUT, "", bound[i].hint, "%s", bound[i].words);
    qw_json_free(wanted);
    return ok;
}

static bool damaged(int number, struct qw_error *error)
{
    return qw_fail(error, QW_ERROR_INPUT, "",
                   "what was judged cannot be told apart from what was not: leave out --resume to begin anew",
                   "is damaged at line %d, before its end", number);
}

/* Takes every whole line.  A broken one ends them; another whole one behind it is damage.  `plan` NULL: whoever wrote it. */
static bool read_lines(struct qc_journal *journal, FILE *file, const struct qc_plan *plan, struct qw_error *error)
{
    char *bytes = NULL;
    size_t room = 0;
    int number = 0, broken = 0;
    bool ok = true;
    for (ssize_t length; ok && (length = getline(&bytes, &room, file)) > 0;) {
        struct qw_json *line = qc_line_parse(bytes, (size_t)length);
        number++;
        if (!line && !broken)
            broken = number;
        else if (line && (broken || qw_json_get_int(line, "seq", -1) != journal->next))
            ok = damaged(broken ? broken : number, error);
        else if (line && plan && !journal->next)
            ok = check_begin(line, plan, error);
        if (ok && line && !broken) {
            take_line(journal, line, journal->whole, (size_t)length);
            journal->whole += length;
            journal->next++;
        }
        qw_json_free(line);
    }
    if (ok && ferror(file))
        ok = qw_fail(error, QW_ERROR_INPUT, "", "", "cannot be read: %s", strerror(errno));
    free(bytes);
    return ok;
}

static bool read_journal(struct qc_journal *journal, const struct qc_plan *plan, struct qw_error *error)
{
    int fd = dup(journal->fd);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        if (fd >= 0)
            close(fd);
        return qw_fail(error, QW_ERROR_INPUT, "", "", "cannot be read: %s", strerror(errno));
    }
    rewind(file);
    bool ok = read_lines(journal, file, plan, error);
    fclose(file);
    return ok;
}

static int judged_of(const struct qc_journal *journal)
{
    int judged = 0;
    for (int i = 0; i < journal->count; i++)
        judged += journal->entries[i].ended;
    return judged;
}

static void forget(struct qc_journal *journal)
{
    for (int i = 0; i < journal->count; i++)
        free(journal->entries[i].id);
    qw_json_free(journal->workers);
    journal->workers = NULL;
    journal->count = 0;
    journal->next = 0;
    journal->whole = 0;
}

/* ---- writing ---- */

/* Takes `line`.  Behind one that was lost none is written: what comes after it would not be whole. */
static bool append(struct qc_journal *journal, struct qw_json *line, struct qw_error *error)
{
    qw_json_put_int(line, "seq", journal->next);
    if (journal->broken)
        qw_fail(error, QW_ERROR_OUTPUT, "", "make room, then go on with --resume", "ended, because a line could not be written");
    size_t length = journal->broken ? 0 : qc_line_append(journal->fd, line, error);
    qw_json_free(line);
    qw_error_in_file(error, journal->path);
    journal->broken = !length;
    journal->next += length > 0;
    journal->whole += (off_t)length;
    return length > 0;
}

static bool append_writer(struct qc_journal *journal, struct qw_json *line, struct qw_error *error)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    qw_json_put_int(line, "process", getpid());
    qw_json_put_text(line, "host", host);
    return append(journal, line, error);
}

static bool begin(struct qc_journal *journal, const struct qc_plan *plan, struct qw_error *error)
{
    int cases = 0;
    for (int i = 0; i < plan->count; i++)
        cases += qc_plan_is_mine(plan, i) && plan->cases[i]->problem.kind == QW_ERROR_NONE;
    struct qw_json *line = begin_line(plan);
    qw_json_put_int(line, "cases", cases);
    return append_writer(journal, line, error);
}

static void notice_under_way(struct qc_journal *journal)
{
    struct qw_text ids = {0};
    for (int i = 0; i < journal->count; i++)
        if (!journal->entries[i].ended)
            qw_text_addf(&ids, "%s%s", ids.length ? ", " : "", journal->entries[i].id);
    if (ids.length)
        notice(journal, qw_format("the run before ended while it judged %s", ids.bytes));
    qw_text_free(&ids);
}

static bool go_on(struct qc_journal *journal, const struct qc_plan *plan, struct qw_error *error)
{
    struct stat info;
    if (!read_journal(journal, plan, error))
        return false;
    if (!journal->next)
        return qc_lines_cut(journal->fd, 0, error) && begin(journal, plan, error);
    if (fstat(journal->fd, &info) == 0 && info.st_size > journal->whole) {
        notice(journal, qw_format("%s: its last line was cut short, and is dropped", journal->path));
        if (!qc_lines_cut(journal->fd, journal->whole, error))
            return false;
    }
    notice_under_way(journal);
    struct qw_json *line = qw_json_object();
    qw_json_put_text(line, "kind", "resume");
    return append_writer(journal, line, error);
}

static bool begin_anew(struct qc_journal *journal, const struct qc_plan *plan, struct qw_error *error)
{
    struct qw_error ignored = {0};
    read_journal(journal, NULL, &ignored);
    int judged = judged_of(journal);
    if (judged && judged < journal->cases)
        notice(journal, qw_format("%s: an unfinished run (%d of %lld cases judged) is replaced; --resume would have gone on "
                                  "with it",
                                  journal->path, judged, (long long)journal->cases));
    forget(journal);
    return qc_lines_cut(journal->fd, 0, error) && begin(journal, plan, error);
}

/* ---- opening ---- */

static bool refuse_second(struct qc_journal *journal, struct qw_error *error)
{
    struct qw_error ignored = {0};
    read_journal(journal, NULL, &ignored);
    char *who = journal->process ? qw_format(" (process %lld on %s)", (long long)journal->process, journal->host) : NULL;
    qw_fail(error, QW_ERROR_OUTPUT, "", "wait for it, or give another --out", "another run is at work there%s", who ? who : "");
    free(who);
    return false;
}

/* A lock that ends with this process, however it ends, and that no worker inherits.  But a process that is about to become
 * a worker holds it for an instant longer than a run that was killed: so one that is taken is tried for a second. */
static bool lock(struct qc_journal *journal, struct qw_error *error)
{
    const struct timespec instant = {.tv_nsec = 20000000};
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int reason = EAGAIN;
    for (int tries = 0; tries < 50 && (reason == EAGAIN || reason == EACCES); tries++) {
        if (fcntl(journal->fd, F_OFD_SETLK, &whole) == 0)
            return true;
        reason = errno;
        nanosleep(&instant, NULL);
    }
    if (reason == EAGAIN || reason == EACCES)
        return refuse_second(journal, error);
    notice(journal, qw_format("%s: this file system has no locks (%s): see to it that no second run writes there", journal->path,
                              strerror(reason)));
    return true;
}

static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd); /* not every file system can */
    close(fd);
}

static bool open_file(struct qc_journal *journal, int flags, struct qw_error *error)
{
    struct stat info;
    journal->fd = open(journal->path, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    if (journal->fd < 0)
        return qw_fail(error, QW_ERROR_OUTPUT, "", "check that the folder may be written, or give another --out",
                       "cannot be opened: %s", strerror(errno));
    if (fstat(journal->fd, &info) != 0 || !S_ISREG(info.st_mode))
        return qw_fail(error, QW_ERROR_OUTPUT, "", "give another --out", "is no regular file");
    return true;
}

static struct qc_journal *journal_of(const char *folder)
{
    struct qc_journal *journal = QW_NEW(struct qc_journal);
    journal->fd = -1;
    journal->path = qw_format("%s/journal.jsonl", folder);
    journal->notices = qw_json_array();
    return journal;
}

struct qc_journal *qc_journal_open(const char *folder, const struct qc_plan *plan, bool resume, struct qw_error *error)
{
    if (!qw_folder_make(folder, error))
        return NULL;
    struct qc_journal *journal = journal_of(folder);
    bool ok = open_file(journal, O_RDWR | O_CREAT | O_APPEND, error) && lock(journal, error) &&
              (resume ? go_on(journal, plan, error) : begin_anew(journal, plan, error));
    if (ok) {
        sync_folder(folder);
        return journal;
    }
    qw_error_in_file(error, journal->path);
    qc_journal_close(journal);
    return NULL;
}

void qc_journal_close(struct qc_journal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    forget(journal);
    qw_json_free(journal->notices);
    free(journal->entries);
    free(journal->host);
    free(journal->path);
    free(journal);
}

/* ---- what is there ---- */

/* What an earlier run gave still holds. */
static bool holds(bool *changed, const struct entry *entry, const struct qc_suite_case *one)
{
    struct stamp now;
    *changed = false;
    if (!entry || !entry->ended)
        return false;
    stamp_of(&now, one->recording);
    *changed = now.size != entry->stamp.size || strcmp(now.changed, entry->stamp.changed) != 0;
    return !*changed;
}

static bool ran_out_of_another_limit(const struct qw_json *result, const struct entry *entry, const struct qc_suite_case *one)
{
    return !strcmp(qw_json_get_text(result, "status", ""), "TIMEOUT") && (entry->limit > one->limit || entry->limit < one->limit);
}

static struct qw_json *find(struct qc_journal *journal, const struct qc_suite_case *one, bool tell)
{
    bool changed;
    const struct entry *entry = entry_find(journal, one->id);
    if (!holds(&changed, entry, one)) {
        if (changed && tell)
            notice(journal, qw_format("%s: has changed since it was judged, and is judged again", one->recording));
        return NULL;
    }
    struct qw_json *line = qc_line_read(journal->fd, entry->from, entry->length), *result = NULL;
    if (line && !ran_out_of_another_limit(qw_json_get(line, "case"), entry, one))
        result = qw_json_copy(qw_json_get(line, "case"));
    qw_json_free(line);
    return result;
}

struct qw_json *qc_journal_find(struct qc_journal *journal, const struct qc_suite_case *one) { return find(journal, one, true); }

bool qc_journal_peek(int *judged, const char *folder, const struct qc_plan *plan, struct qw_error *error)
{
    struct qc_journal *journal = journal_of(folder);
    bool there = access(journal->path, F_OK) == 0, ok = true;
    *judged = 0;
    if (there)
        ok = open_file(journal, O_RDONLY, error) && read_journal(journal, plan, error);
    for (int i = 0; there && ok && i < plan->count; i++) {
        const struct qc_suite_case *one = plan->cases[i];
        if (!qc_plan_is_mine(plan, i) || one->problem.kind != QW_ERROR_NONE)
            continue;
        struct qw_json *result = find(journal, one, false);
        *judged += result != NULL;
        qw_json_free(result);
    }
    qw_error_in_file(error, journal->path);
    qc_journal_close(journal);
    return ok;
}

const struct qw_json *qc_journal_workers(const struct qc_journal *journal) { return journal->workers; }
const struct qw_json *qc_journal_notices(const struct qc_journal *journal) { return journal->notices; }

/* ---- appending ---- */

static struct qw_json *line_of(const char *kind, const char *id)
{
    struct qw_json *line = qw_json_object();
    qw_json_put_text(line, "kind", kind);
    if (id)
        qw_json_put_text(line, "id", id);
    return line;
}

bool qc_journal_start(struct qc_journal *journal, const struct qc_suite_case *one, struct qw_error *error)
{
    struct entry *entry = entry_for(journal, one->id);
    entry->ended = false;
    entry->limit = one->limit;
    stamp_of(&entry->stamp, one->recording);
    return append(journal, line_of("start", one->id), error);
}

bool qc_journal_end(struct qc_journal *journal, const struct qc_suite_case *one, const struct qw_json *result,
                    struct qw_error *error)
{
    const struct entry *entry = entry_for(journal, one->id);
    struct qw_json *line = line_of("end", one->id);
    qw_json_put_int(line, "size", entry->stamp.size);
    qw_json_put_text(line, "changed", entry->stamp.changed);
    qw_json_put_real(line, "limit", entry->limit);
    qw_json_put(line, "case", qw_json_copy(result));
    return append(journal, line, error);
}

bool qc_journal_told(struct qc_journal *journal, const char *core, const struct qw_json *sandbox, struct qw_error *error)
{
    struct qw_json *line = line_of("workers", NULL);
    qw_json_put_text(line, "blas_core", core);
    if (sandbox)
        qw_json_put(line, "sandbox", qw_json_copy(sandbox));
    return append(journal, line, error);
}
