/* folder.c: folders that are to be there. */
#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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
