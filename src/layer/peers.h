/* peers.h: the ranks that train one model together, for the layers and the optimiser: swaps of
 * blocks, sums in the order of ranks, counts of bytes. One thread. */
#ifndef MN_LAYER_PEERS_H
#define MN_LAYER_PEERS_H

#include "mneme/train.h"

enum { MN__PEERS_MAX = 256 };

/* What is sent for; run.json says the same names. */
typedef enum mn__peers_kind {
    MN__PEERS_LOOK_UP,      /* forward: hits to the parts of tables, and sums back */
    MN__PEERS_LOOK_UP_BACK, /* backward: gradients of sums there, those of weights back */
    MN__PEERS_GRADIENTS,    /* of what all ranks hold */
    MN__PEERS_REST,         /* checkpoints, losses, whether to stop */
    MN__PEERS_KINDS,
} mn__peers_kind;

typedef struct mn__peers {
    mn_train_ranks ranks;            /* n at least 2 */
    uint64_t bytes[MN__PEERS_KINDS]; /* that this rank has sent to others */
    mn_status st;                    /* of the first swap that failed, with `why`: none after it */
    mn_diag why;
} mn__peers;

/* MN_EUSAGE: more ranks than MN__PEERS_MAX, a rank that is none of them, no swap. */
mn_status mn__peers_init(mn__peers *p, const mn_train_ranks *ranks, mn_diag *diag);
/* p->st, with its sentence. */
mn_status mn__peers_status(const mn__peers *p, mn_diag *diag);
/* ranks.swap, counted. */
void mn__peers_swap(mn__peers *p, mn__peers_kind kind, const mn_train_block *with);
/* `bytes` to each and from each: to rank q from out + q step (0: the same to all), from it to
 * in + q bytes. */
void mn__peers_swap_even(mn__peers *p, mn__peers_kind kind, const void *out, size_t step, void *in,
                         size_t bytes);
/* x [n] of all ranks, added in their order: the same bits everywhere. At most MN__PEERS_SUM. */
enum { MN__PEERS_SUM = 8 };
void mn__peers_sum(mn__peers *p, double *x, size_t n);

#endif
