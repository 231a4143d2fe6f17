/* folder.c: folders that are to be there, and those that one process works in. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/heap.h"

mn_status mn__folder_make(const char *path, mn_diag *diag)
{
    mn_status st = MN_OK;
    char *part = mn__strdup(path);
    if (!part) return mn__fail(diag, MN_ENOMEM, "no memory for the path of a folder");
    for (char *at = part; *at && st == MN_OK; at++) {
        const char next = at[1];
        if (next != '/' && next != '\0') continue;
        at[1] = '\0';
        if (mkdir(part, 0777) && errno != EEXIST)
            st = mn__fail(diag, MN_EIO, "cannot make the folder %s: %s", part, strerror(errno));
        at[1] = next;
    }
    mn__free(part);
    return st;
}

/* "NAME.tmp-123" as mn__atomic names what it writes, NAME beginning with one of ours. */
static bool is_unfinished(const char *name, const char *const *ours)
{
    const char *end = strstr(name, ".tmp-");
    if (!end || !end[5] || end[5 + strspn(end + 5, "0123456789")]) return false;
    for (; *ours; ours++)
        if (!strncmp(name, *ours, strlen(*ours))) return true;
    return false;
}

static void remove_unfinished(const char *dir, const char *const *ours)
{
    DIR *folder = opendir(dir);
    if (!folder) return;
    for (struct dirent *e = readdir(folder); e; e = readdir(folder))
        if (is_unfinished(e->d_name, ours))
            (void)unlinkat(dirfd(folder), e->d_name, 0); /* no more than clutter */
    closedir(folder);
}

mn_status mn__folder_hold(int *fd, const char *dir, const char *does, const char *const *ours,
                          mn_diag *diag)
{
    *fd = -1;
    if (!dir || !*dir || strlen(dir) > MN__FOLDER_NAME)
        return mn__fail(diag, MN_EUSAGE, "a folder for the run wanted, of at most %d bytes",
                        MN__FOLDER_NAME);
    const mn_status st = mn__folder_make(dir, diag);
    if (st != MN_OK) return st;
    int open_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (open_fd < 0) return mn__fail(diag, MN_EIO, "%s: a folder wanted: %s", dir, strerror(errno));
    if (flock(open_fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        close(open_fd);
        return mn__fail(diag, MN_EFAIL, "%s: another process %s there", dir, does);
    }
    remove_unfinished(dir, ours);
    *fd = open_fd;
    return MN_OK;
}

void mn__folder_release(int fd)
{
    if (fd >= 0) close(fd);
}
