/* join.h: what ranks of a training make into one: gradients of what all of them hold, and tables of
 * which each holds some columns. */
#ifndef MN_TRAIN_JOIN_H
#define MN_TRAIN_JOIN_H

#include "layer/peers.h"
#include "train/adamw.h"

typedef struct mn__join {
    mn__peers *peers; /* borrowed */
    size_t room;      /* values of run and in: of a whole row at least */
    mn__real *run, *in;
    uint8_t *hit; /* [ranks][rows of the longest table]; NULL: none is updated by rows */
} mn__join;

/* For an optimiser that is there. MN_ENOMEM. */
mn_status mn__join_init(mn__join *out, const mn__adamw *o, mn__peers *peers, mn_diag *diag);
void mn__join_fini(mn__join *j); /* one of zeros is fine */
/* Gradients become the sums over all ranks, added in their order: the same bits everywhere. Rows
 * that any rank has read count as read on all. Tables that are split have theirs already. */
void mn__join_gradients(mn__join *j, const mn__adamw *o);

/* A flat array of weights or moments, as it would be if nothing were split: to whole
 * [mn__params_whole] on rank 0, NULL elsewhere. MN_ENOMEM, and what a swap says. */
mn_status mn__join_whole(const mn__params *list, mn__peers *peers, const mn__real *x,
                         mn__real *whole, mn_diag *diag);
/* What is held here of such an array. */
void mn__join_part(const mn__params *list, const mn__real *whole, mn__real *x);

#endif
