/* shards.h: the files that the processes of a run write. Rank 0 writes the store itself, each other
 * rank a file of its own beside it, which becomes part of the store. */
#ifndef MN_EVAL_SHARDS_H
#define MN_EVAL_SHARDS_H

#include "mneme/status.h"

enum { MN__SHARD_PATH = 1024, MN__SHARD_MAX_RANK = 4096 };

typedef struct mn__shards {
    const char *dir; /* borrowed */
    int rank;
    char store[MN__SHARD_PATH]; /* DIR/results.sqlite */
    char own[MN__SHARD_PATH];   /* what this rank writes */
} mn__shards;

/* Paths alone: nothing is looked at or made. MN_EUSAGE: no folder, or too long a path. */
mn_status mn__shards_init(mn__shards *out, const char *dir, int rank, mn_diag *diag);
/* Rank 0: make the folder, with those above it, and the store where they are not there, and what
 * other ranks wrote, also those of a run that was cut short, part of it. *conflict: "", or the
 * first record that two files tell differently. MN_EIO, or what store.h says. */
mn_status mn__shards_gather(const mn__shards *s, char conflict[512], mn_diag *diag);
/* Another rank: its file begins as the store stands, so that nothing is done twice. */
mn_status mn__shards_begin(const mn__shards *s, mn_diag *diag);

#endif
