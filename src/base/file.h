/* file.h: files mapped for reading, files that are either wholly written or not at all, folders. */
#ifndef MN_BASE_FILE_H
#define MN_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "mneme/status.h"

typedef struct mn__map {
    const uint8_t *data;
    size_t size;
} mn__map;
/* Map a regular file read-only and shared (counted under WEIGHTS). A directory, an empty or
 * vanished file: MN_EINPUT or MN_EIO with its name. */
mn_status mn__map_open(mn__map *out, const char *path, mn_diag *diag);
void mn__map_close(mn__map *m);

/* Write to PATH.tmp-PID in the same folder, sync, rename: at every moment the old or the new file
 * stands there whole. */
typedef struct mn__atomic {
    FILE *file;
    char *path, *tmp;
} mn__atomic;
mn_status mn__atomic_open(mn__atomic *out, const char *path, mn_diag *diag);
mn_status mn__atomic_commit(
    mn__atomic *a,
    mn_diag *diag); /* flush, fsync, rename, fsync folder; on failure the temporary is removed */
void mn__atomic_abort(mn__atomic *a); /* also fine after commit */

/* The file that stands there gets a second name, PATH.1, in the place of what had it, so that what
 * is then written to PATH leaves the one before whole. Where links are impossible it is renamed.
 * Nothing where there is no file. MN_EIO, MN_ERANGE: too long a name. */
mn_status mn__keep_previous(const char *path, mn_diag *diag);

/* Make a folder, and those above it, where they are not there. MN_EIO names the one that cannot be;
 * a file of the name is found by whoever opens what lies in it. */
mn_status mn__folder_make(const char *path, mn_diag *diag);

/* A folder that one process works in: made when absent (mn__folder_make), open, and locked where
 * its file system can. What a killed process was writing there (files of mn__atomic) under a name
 * that begins with one of `ours` (ends with NULL) is removed. MN_EFAIL: another process has it,
 * `does` says what it does there ("evolves"); MN_EIO; MN_EUSAGE: no name, or too long a one. */
enum { MN__FOLDER_NAME = 4096 - 64 }; /* what files in it still have a name under */
mn_status mn__folder_hold(int *fd, const char *dir, const char *does, const char *const *ours,
                          mn_diag *diag);
void mn__folder_release(int fd); /* -1 is fine */

uint64_t mn__hash64(const void *data, size_t n,
                    uint64_t seed); /* XXH64 (libxxhash): checksums of sessions */

#endif
