/* batch.h: rows of tokens to learn from, drawn from shards. Windows of len + 1 tokens lie side by
 * side, the last token of one being the first of the next, so that each token is predicted once an
 * epoch (those of a shard's last window, if it is short, never). Each epoch has an order of its
 * own, which follows from seed and epoch alone. Where a run stands is its step and nothing else. */
#ifndef MN_TRAIN_BATCH_H
#define MN_TRAIN_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "mneme/status.h"
#include "train/shard.h"

typedef struct mn__batch_params {
    const mn__shard
        *shard; /* [n_shard] borrowed; the order of shards is part of the order of rows */
    size_t n_shard;
    size_t len;   /* tokens that a row predicts */
    size_t n_row; /* of one step, over all ranks: a multiple of n_rank */
    uint64_t seed;
    size_t rank, n_rank; /* n_rank 0: one alone */
    /* Of the windows in the order of shards those alone that lie behind this share of them, and in
     * front of that one; end 0: to the last. */
    double begin, end;
} mn__batch_params;

typedef struct mn__batches {
    mn__batch_params p;
    uint64_t *first;   /* [n_shard + 1] number of each shard's first window */
    uint64_t from;     /* the first window that is drawn */
    uint64_t n_window; /* of an epoch */
    size_t n_own;      /* rows of this rank */
} mn__batches;

/* MN_EUSAGE: sizes of 0, rows that do not divide; MN_EINPUT: shards of several tokenizers, none
 * with len + 1 tokens; MN_ENOMEM. Immutable then. */
mn_status mn__batches_init(mn__batches *out, const mn__batch_params *params, mn_diag *diag);
void mn__batches_fini(mn__batches *b);

/* Rows of this rank at a step: out [n_own][len + 1]. Row r of all of step s is number
 * s n_row + r of an endless sequence of epochs; ranks take runs of rows in their order. */
void mn__batches_read(const mn__batches *b, uint64_t step, int32_t *out);

/* Row `row` of a step, in [0, n_row): out [len + 1]. */
void mn__batches_row(const mn__batches *b, uint64_t step, uint64_t row, int32_t *out);

/* Place `i` of n (i < n) in the order of an epoch: for each epoch a permutation of [0, n). */
uint64_t mn__batch_order(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t i);

#endif
