/* Files: read-only mappings, atomic writing (temporary name, sync, rename), folders and paths. Knows no file format.
 *
 * A file under its final name is always whole: it is written as `.NAME.PID.tmp` beside the target, synced, renamed, and
 * then the folder is synced. What a killed process leaves behind is removed by the next writer of the same target. */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 16)
#define NAME_ROOM 200  /* of the target's name in the temporary one: the file system's limit is 255 bytes */
#define TEMP_TRIES 100 /* temporary names tried before giving up */

static fet_status fail_path(const char *what, const char *path, int error)
{
    return FET_FAIL(error == ENOMEM ? FET_E_NOMEM : FET_E_IO, "cannot %s %s: %s", what, fet__show(path),
                    strerror(error));
}

/* ---- mappings ---- */

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "it is a folder" : "it is not a regular file";
}

/* O_NONBLOCK: opening a pipe without a writer must not hang. */
fet_status fet__map_open(fet__map *out, const char *path)
{
    static const unsigned char nothing[1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    fet_status st = FET_OK;
    void *p;

    out->data = NULL;
    out->size = 0;
    if (fd < 0)
        return fail_path("read", path, errno);
    if (fstat(fd, &info) != 0) {
        st = fail_path("read", path, errno);
    } else if (!S_ISREG(info.st_mode)) {
        st = FET_FAIL(FET_E_IO, "cannot read %s: %s", fet__show(path), kind_of(info.st_mode));
    } else if (info.st_size == 0) {
        out->data = nothing;
    } else if ((p = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
        st = fail_path("read", path, errno);
    } else {
        out->data = p;
        out->size = (size_t)info.st_size;
    }
    close(fd);
    return st;
}

void fet__map_close(fet__map *m)
{
    if (m->size > 0)
        munmap((void *)(uintptr_t)m->data, m->size);
    m->data = NULL;
    m->size = 0;
}

/* ---- atomic writing ---- */

struct fet__outfile {
    char *shown; /* the path as the caller gave it, for messages */
    char *path;  /* the same with a symbolic link resolved: the link stays, its target is replaced */
    char *folder;
    char *temp;
    int fd;
    int error; /* errno of the first failed write; 0 while all is well */
    size_t used;
    char *buffer;
};

static void outfile_free(fet__outfile *f)
{
    if (!f)
        return;
    fet__free(f->shown);
    fet__free(f->path);
    fet__free(f->folder);
    fet__free(f->temp);
    fet__free(f->buffer);
    fet__free(f);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static char *folder_of(const char *path)
{
    const char *name = base_name(path);

    if (name == path)
        return fet__strdup(".");
    if (name == path + 1)
        return fet__strdup("/");
    return fet__strndup(path, (size_t)(name - path - 1));
}

/* Is `entry` a temporary file for `prefix` (".NAME.") of a process that is gone? A process in another container can
 * have a number that looks dead here, so the lock that every writer holds must be free as well. */
static bool is_left_behind(int folder, const char *entry, const char *prefix)
{
    size_t length = strlen(prefix);
    char *end;
    long pid;
    int fd;
    bool dead;

    if (strncmp(entry, prefix, length) != 0)
        return false;
    pid = strtol(entry + length, &end, 10);
    if (pid <= 0 || pid > INT_MAX || (strcmp(end, ".tmp") != 0 && *end != '-'))
        return false;
    if (*end == '-' && (strtol(end + 1, &end, 10) < 0 || strcmp(end, ".tmp") != 0))
        return false;
    if (kill((pid_t)pid, 0) == 0 || errno != ESRCH)
        return false;
    fd = openat(folder, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return dead;
}

/* Housekeeping only: a folder that cannot be listed, or a file that cannot be removed, does not stop the writing. */
static void remove_left_behind(const char *folder, const char *prefix)
{
    DIR *d = opendir(folder);
    const struct dirent *e;

    if (!d)
        return;
    while ((e = readdir(d)) != NULL)
        if (is_left_behind(dirfd(d), e->d_name, prefix))
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

/* Two writers of one target in this process get "-1", "-2", ... */
static fet_status create_temp(fet__outfile *f)
{
    char prefix[NAME_ROOM + 3];

    snprintf(prefix, sizeof prefix, ".%.*s.", NAME_ROOM, base_name(f->path));
    remove_left_behind(f->folder, prefix);
    for (int i = 0; i < TEMP_TRIES; i++) {
        char suffix[16] = "";

        if (i > 0)
            snprintf(suffix, sizeof suffix, "-%d", i);
        fet__free(f->temp);
        f->temp = fet__format("%s/%s%ld%s.tmp", f->folder, prefix, (long)getpid(), suffix);
        if (!f->temp)
            return FET_E_NOMEM;
        f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (f->fd >= 0) {
            flock(f->fd, LOCK_EX | LOCK_NB); /* file systems without locks rely on the process number alone */
            return FET_OK;
        }
        if (errno != EEXIST)
            break;
    }
    return fail_path("write", f->shown, errno);
}

/* Replacing a device or a pipe by a file would be a disaster (`--out /dev/null` as root), so only files are replaced. */
static fet_status check_target(fet__outfile *f, mode_t *mode)
{
    struct stat info;
    char *resolved;

    *mode = 0;
    if (!*base_name(f->path))
        return FET_FAIL(FET_E_IO, "cannot write %s: it does not name a file", fet__show(f->shown));
    if (stat(f->path, &info) != 0)
        return errno == ENOENT ? FET_OK : fail_path("write", f->shown, errno);
    if (!S_ISREG(info.st_mode))
        return FET_FAIL(FET_E_IO, "cannot write %s: %s", fet__show(f->shown), kind_of(info.st_mode));
    *mode = info.st_mode & 07777;
    resolved = realpath(f->path, NULL);
    if (!resolved)
        return fail_path("write", f->shown, errno);
    fet__free(f->path);
    f->path = fet__strdup(resolved);
    free(resolved); /* libc's, not ours */
    return f->path ? FET_OK : FET_E_NOMEM;
}

fet_status fet__outfile_open(fet__outfile **out, const char *path)
{
    fet__outfile *f;
    fet_status st;
    mode_t mode;

    *out = NULL;
    FET_TRY(FET_NEW(f, 1));
    f->fd = -1;
    f->shown = fet__strdup(path);
    f->path = fet__strdup(path);
    f->buffer = fet__alloc_raw(BUFFER_BYTES, 1);
    FET_TRY(f->shown && f->path && f->buffer ? FET_OK : FET_E_NOMEM);
    FET_TRY(check_target(f, &mode));
    f->folder = folder_of(f->path);
    FET_TRY(f->folder ? FET_OK : FET_E_NOMEM);
    FET_TRY(create_temp(f));
    if (mode && fchmod(f->fd, mode) != 0) { /* an existing file keeps its permissions */
        st = fail_path("write", path, errno);
        unlink(f->temp);
        close(f->fd);
        goto done;
    }
    *out = f;
    f = NULL;
done:
    outfile_free(f);
    return st;
}

static void write_all(fet__outfile *f, const char *data, size_t bytes)
{
    while (bytes > 0 && !f->error) {
        ssize_t n = write(f->fd, data, bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            f->error = errno;
            return;
        }
        data += n;
        bytes -= (size_t)n;
    }
}

static void flush(fet__outfile *f)
{
    write_all(f, f->buffer, f->used);
    f->used = 0;
}

void fet__outfile_write(fet__outfile *f, const void *data, size_t bytes)
{
    if (f->error || bytes == 0)
        return;
    if (bytes > BUFFER_BYTES - f->used)
        flush(f);
    if (bytes >= BUFFER_BYTES) {
        write_all(f, data, bytes);
        return;
    }
    memcpy(f->buffer + f->used, data, bytes);
    f->used += bytes;
}

void fet__outfile_printf(fet__outfile *f, const char *format, ...)
{
    char small[512];
    va_list ap;
    int length;

    va_start(ap, format);
    length = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (length < 0) {
        f->error = errno;
    } else if ((size_t)length < sizeof small) {
        fet__outfile_write(f, small, (size_t)length);
    } else {
        char *large = fet__alloc_raw((size_t)length + 1, 1);

        if (!large) {
            f->error = ENOMEM;
            return;
        }
        va_start(ap, format);
        vsnprintf(large, (size_t)length + 1, format, ap);
        va_end(ap);
        fet__outfile_write(f, large, (size_t)length);
        fet__free(large);
    }
}

/* Some file systems cannot sync a folder and say EINVAL or the like: then there is nothing more to do. */
static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = 0;

    if (fd < 0)
        return errno == EACCES ? 0 : errno; /* a folder may be writable and not readable */
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS)
        error = errno;
    close(fd);
    return error;
}

fet_status fet__outfile_commit(fet__outfile *f)
{
    fet_status st = FET_OK;
    int error;

    flush(f);
    error = f->error;
    if (!error && fsync(f->fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        error = errno;
    if (close(f->fd) != 0 && !error && errno != EINTR)
        error = errno;
    if (!error && rename(f->temp, f->path) != 0)
        error = errno;
    if (error)
        unlink(f->temp);
    else
        error = sync_folder(f->folder);
    if (error)
        st = fail_path("write", f->shown, error);
    outfile_free(f);
    return st;
}

void fet__outfile_abort(fet__outfile *f)
{
    if (!f)
        return;
    close(f->fd);
    unlink(f->temp);
    outfile_free(f);
}

fet_status fet__file_write_text(const char *path, const char *text)
{
    fet__outfile *f = NULL;
    fet_status st;

    FET_TRY(fet__outfile_open(&f, path));
    fet__outfile_printf(f, "%s\n", text);
    st = fet__outfile_commit(f);
done:
    return st;
}

fet_status fet__file_copy(const char *from, const char *to)
{
    fet__map map = {0};
    fet__outfile *f = NULL;
    fet_status st;

    FET_TRY(fet__map_open(&map, from));
    FET_TRY(fet__outfile_open(&f, to));
    fet__outfile_write(f, map.data, map.size);
    st = fet__outfile_commit(f);
done:
    fet__map_close(&map);
    return st;
}

/* ---- folders and paths ---- */

static fet_status make_one(const char *path)
{
    int error;

    if (mkdir(path, 0777) == 0)
        return FET_OK;
    error = errno;
    if (fet__is_folder(path)) /* also when mkdir said EACCES or EROFS for one that is there */
        return FET_OK;
    return fail_path("make folder", path, error);
}

fet_status fet__make_folder(const char *path)
{
    char *part = fet__strdup(path);
    fet_status st = FET_OK;

    if (!part)
        return FET_E_NOMEM;
    if (!*path)
        st = FET_FAIL(FET_E_IO, "cannot make folder: its path is empty");
    for (char *p = part + 1; st == FET_OK && *part && *p; p++)
        if (*p == '/' && p[-1] != '/') {
            *p = '\0';
            st = make_one(part);
            *p = '/';
        }
    if (st == FET_OK)
        st = make_one(part);
    fet__free(part);
    return st;
}

bool fet__file_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

bool fet__is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *fet__path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);

    if (length == 0 || *name == '/')
        return fet__strdup(name);
    return fet__format("%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fet_status add_name(char ***names, int *count, int *room, const char *name)
{
    if (*count == *room) {
        int more = *room ? *room * 2 : 64;
        char **grown = fet__realloc(*names, (size_t)*room, (size_t)more, sizeof **names);

        if (!grown)
            return FET_E_NOMEM;
        *names = grown;
        *room = more;
    }
    (*names)[*count] = fet__strdup(name);
    if (!(*names)[*count])
        return FET_E_NOMEM;
    ++*count;
    return FET_OK;
}

fet_status fet__list_folder(char ***out_names, int *out_count, const char *path)
{
    fet_status st = FET_OK;
    char **names = NULL;
    int count = 0, room = 0;
    const struct dirent *e;
    DIR *d = opendir(path);

    *out_names = NULL;
    *out_count = 0;
    if (!d)
        return fail_path("list", path, errno);
    while (errno = 0, (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            FET_TRY(add_name(&names, &count, &room, e->d_name));
    if (errno)
        st = fail_path("list", path, errno);
done:
    closedir(d);
    if (st != FET_OK) {
        fet__names_free(names, count);
        return st;
    }
    if (count > 1)
        qsort(names, (size_t)count, sizeof *names, by_bytes);
    *out_names = names;
    *out_count = count;
    return FET_OK;
}

void fet__names_free(char **names, int count)
{
    for (int i = 0; i < count; i++)
        fet__free(names[i]);
    fet__free(names);
}
