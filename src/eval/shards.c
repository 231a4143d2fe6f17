/* shards.c: the store of a run and the files of its other processes (shards.h). */
#include "eval/shards.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/file.h"
#include "eval/store.h"

enum { NAME_BYTES = 32 };

static void shard_path(const mn__shards *s, int rank, char path[MN__SHARD_PATH])
{
    snprintf(path, MN__SHARD_PATH, "%.*s.rank-%d.sqlite", (int)strlen(s->store) - 7, s->store,
             rank);
}

mn_status mn__shards_init(mn__shards *out, const char *dir, int rank, mn_diag *diag)
{
    *out = (mn__shards){.dir = dir, .rank = rank};
    if (!dir || !*dir) return mn__fail(diag, MN_EUSAGE, "a folder for the records wanted");
    int n = snprintf(out->store, sizeof out->store, "%s/results.sqlite", dir);
    if (n < 0 || n >= MN__SHARD_PATH - NAME_BYTES)
        return mn__fail(diag, MN_EUSAGE, "a folder's path of less than %d bytes wanted",
                        MN__SHARD_PATH - 2 * NAME_BYTES);
    if (rank == 0)
        memcpy(out->own, out->store, sizeof out->own);
    else
        shard_path(out, rank, out->own);
    return MN_OK;
}

static mn_status gather_one(mn__store *store, const char *path, char conflict[512], mn_diag *diag)
{
    mn_status st;
    mn__store *shard = NULL;
    mn__store_merged merged;
    MN_TRY(mn__store_open(&shard, path, MN_STORE_WRITE, diag)); /* it may have died before */
    mn__store_close(shard);
    MN_TRY(mn__store_merge(store, path, &merged, diag));
    if (merged.n_conflict && !*conflict) memcpy(conflict, merged.conflict, sizeof merged.conflict);
    if (unlink(path)) MN_TRY(mn__fail(diag, MN_EIO, "%s: %s", path, strerror(errno)));
done:
    return st;
}

mn_status mn__shards_gather(const mn__shards *s, char conflict[512], mn_diag *diag)
{
    mn_status st;
    mn__store *store = NULL;
    char path[MN__SHARD_PATH];
    *conflict = '\0';
    MN_TRY(mn__folder_make(s->dir, diag));
    MN_TRY(mn__store_open(&store, s->store, MN_STORE_WRITE, diag));
    for (int rank = 1; rank < MN__SHARD_MAX_RANK; rank++) {
        shard_path(s, rank, path);
        if (access(path, F_OK) == 0) MN_TRY(gather_one(store, path, conflict, diag));
    }
done:
    mn__store_close(store);
    return st;
}

mn_status mn__shards_begin(const mn__shards *s, mn_diag *diag)
{
    mn_status st;
    mn__store *own = NULL;
    mn__store_merged merged;
    MN_TRY(mn__store_open(&own, s->own, MN_STORE_WRITE, diag));
    MN_TRY(mn__store_merge(own, s->store, &merged, diag));
done:
    mn__store_close(own);
    return st;
}
