/* atomic.c: files that appear whole or not at all. Everything goes to a temporary beside the
 * target; the rename at the end is what makes it the file, and syncing the folder is what makes
 * the rename survive a power cut. */
#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void release(mn__atomic *a)
{
    mn__free(a->path);
    mn__free(a->tmp);
    *a = (mn__atomic){0};
}

static char *temporary_name(const char *path)
{
    size_t bytes = strlen(path) + 32;
    char *tmp = mn__alloc(MN_MEM_OTHER, bytes);
    if (tmp) snprintf(tmp, bytes, "%s.tmp-%ld", path, (long)getpid());
    return tmp;
}

/* A process that was killed may have left a temporary of our number: replace it, and follow no
 * link in its place. */
static FILE *create(const char *tmp)
{
    int fd;
    if (unlink(tmp) != 0 && errno != ENOENT) return NULL;
    do {
        fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return NULL;
    FILE *file = fdopen(fd, "wb");
    if (!file) {
        close(fd);
        unlink(tmp);
    }
    return file;
}

mn_status mn__atomic_open(mn__atomic *out, const char *path, mn_diag *diag)
{
    mn_status st;
    struct stat info;
    mn__atomic a = {0};
    *out = a;
    if (!path[0]) return mn__fail(diag, MN_EINPUT, "the name of the file to write is empty");
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return mn__fail(diag, MN_EINPUT, "%s: not a regular file, so it cannot be replaced", path);
    a.path = mn__strdup(path);
    a.tmp = temporary_name(path);
    if (!a.path || !a.tmp) {
        st = mn__fail(diag, MN_ENOMEM, "%s: out of memory", path);
        goto done;
    }
    a.file = create(a.tmp);
    if (!a.file) {
        st = mn__fail(diag, MN_EIO, "%s: cannot create: %s", a.tmp, strerror(errno));
        goto done;
    }
    *out = a;
    return MN_OK;
done:
    release(&a);
    return st;
}

static int sync_retry(int fd)
{
    int failed;
    do {
        failed = fsync(fd);
    } while (failed && errno == EINTR);
    return failed;
}

/* Some file systems cannot sync a folder; the rename itself has been done by then, so that is no
 * failure. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    int fd;
    if (!slash) {
        fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } else {
        size_t n = slash == path ? 1 : (size_t)(slash - path);
        char *folder = mn__strdup(path);
        if (!folder) return;
        folder[n] = '\0';
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        mn__free(folder);
    }
    if (fd < 0) return;
    (void)sync_retry(fd);
    close(fd);
}

mn_status mn__atomic_commit(mn__atomic *a, mn_diag *diag)
{
    /* A short write sticks to the stream; its reason is lost, but flushing again usually meets
     * it once more. */
    errno = 0;
    bool written = !ferror(a->file);
    written = fflush(a->file) == 0 && written;
    written = written && sync_retry(fileno(a->file)) == 0;
    int reason = errno;
    if (fclose(a->file) != 0 && written) {
        reason = errno;
        written = false;
    }
    a->file = NULL;
    if (written && rename(a->tmp, a->path) != 0) {
        reason = errno;
        written = false;
    }
    if (!written) {
        mn_status st = mn__fail(diag, MN_EIO, "%s: cannot write: %s", a->path,
                                reason ? strerror(reason) : "an earlier write came up short");
        mn__atomic_abort(a);
        return st;
    }
    sync_folder(a->path);
    release(a);
    return MN_OK;
}

void mn__atomic_abort(mn__atomic *a)
{
    if (a->file) fclose(a->file);
    if (a->tmp) unlink(a->tmp);
    release(a);
}

mn_status mn__keep_previous(const char *path, mn_diag *diag)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s.1", path) >= (int)sizeof name)
        return mn__fail(diag, MN_ERANGE, "%s: too long a name for a checkpoint", path);
    if (access(path, F_OK)) return MN_OK;
    if (unlink(name) && errno != ENOENT)
        return mn__fail(diag, MN_EIO, "%s: cannot be replaced: %s", name, strerror(errno));
    if (link(path, name) && rename(path, name))
        return mn__fail(diag, MN_EIO, "%s: cannot be kept as %s: %s", path, name, strerror(errno));
    return MN_OK;
}
