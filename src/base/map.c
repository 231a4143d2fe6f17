/* map.c: regular files mapped for reading, shared with every other process that maps them. */
#include "base/diag.h"
#include "base/file.h"
#include "base/heap_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_for_reading(const char *path)
{
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* refuse a pipe, do not wait for it */
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static mn_status check_kind(const struct stat *info, const char *path, mn_diag *diag)
{
    if (S_ISDIR(info->st_mode))
        return mn__fail(diag, MN_EINPUT, "%s: a file wanted, a directory found", path);
    if (!S_ISREG(info->st_mode)) return mn__fail(diag, MN_EINPUT, "%s: not a regular file", path);
    if (info->st_size <= 0) return mn__fail(diag, MN_EINPUT, "%s: the file is empty", path);
    if ((uintmax_t)info->st_size > SIZE_MAX)
        return mn__fail(diag, MN_ERANGE, "%s: too large to map", path);
    return MN_OK;
}

mn_status mn__map_open(mn__map *out, const char *path, mn_diag *diag)
{
    mn_status st;
    struct stat info;
    *out = (mn__map){0};
    int fd = open_for_reading(path);
    if (fd < 0) return mn__fail(diag, MN_EIO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0) {
        st = mn__fail(diag, MN_EIO, "%s: cannot look up its size: %s", path, strerror(errno));
        goto done;
    }
    MN_TRY(check_kind(&info, path, diag));
    size_t size = (size_t)info.st_size;
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        st = mn__fail(diag, MN_EIO, "%s: cannot map %zu bytes: %s", path, size, strerror(errno));
        goto done;
    }
    mn__ledger_map(size);
    *out = (mn__map){data, size};
done:
    close(fd);
    return st;
}

void mn__map_close(mn__map *m)
{
    if (m->data) {
        munmap((void *)(uintptr_t)m->data, m->size);
        mn__ledger_unmap(m->size);
    }
    *m = (mn__map){0};
}
