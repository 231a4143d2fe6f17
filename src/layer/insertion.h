/* insertion.h: where memory layers stand between the blocks of a model: the grammar of
 * `mem_insert_way`. */
#ifndef MN_LAYER_INSERTION_H
#define MN_LAYER_INSERTION_H

#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

enum { MN__INSERTIONS_MAX = 256 };

/* One memory: it reads what block `from`'s feed-forward reads (after its norm), and its output is
 * added to the residual stream after block `to`; from == to: beside that block's feed-forward. */
typedef struct mn__insertion {
    uint32_t from, to;
} mn__insertion;

typedef struct mn__insertions {
    size_t n;
    mn__insertion at[MN__INSERTIONS_MAX]; /* in the text's order, which numbers the memories */
} mn__insertions;

/* `no_mem`, `full` (a memory beside every block) or pairs `i:j` joined by `/`, blocks counted from
 * 0, i <= j < n_block. Pairs may overlap: every memory waits with its own output until its block is
 * done (the published code keeps one output only and loses the others). MN_EINPUT or MN_ERANGE with
 * a sentence; *out is untouched then. Ref: arXiv 2411.12364, skip-layer insertion. */
mn_status mn__insertions_parse(const char *text, size_t n_block, mn__insertions *out,
                               mn_diag *diag);

#endif
