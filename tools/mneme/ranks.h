/* ranks.h: the processes of one run under mpirun; alone, one process with rank 0. */
#ifndef MNEME_RANKS_H
#define MNEME_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/train.h"

typedef struct ranks {
    int rank, n;
    void *state; /* NULL: alone */
    /* Of the meeting that ended the run: it took place, all had failed, with the same status; this
     * one had not. */
    bool met, alike, well;
} ranks;

/* MN_EUSAGE: started by mpirun, but built without MPI. */
mn_status ranks_begin(ranks *r, mn_diag *diag);
/* Until all are here, each with its status; MN_OK where all are well, else the gravest (all go on
 * with it), and those that still work get numbers beyond all. Does not wait where st is MN_ECANCEL,
 * nor when `stop` says so, which becomes that status. */
mn_status ranks_meet(ranks *r, mn_status st, bool (*stop)(void));
/* 0, 1, 2, ...: each number once over all ranks. From any thread. */
uint64_t ranks_claim(const ranks *r);
/* The next number is 0 again; one rank alone, while no other claims. */
void ranks_restart(const ranks *r);
uint64_t ranks_sum(const ranks *r, uint64_t x); /* over all ranks, everywhere */
/* x [n] becomes, everywhere, the bitwise or over all ranks, which all call it. */
void ranks_share(const ranks *r, uint64_t *x, size_t n);
/* mn_train_ranks.swap. Waits for all, however long one takes: MN_ENOMEM alone. */
mn_status ranks_swap(const ranks *r, const mn_train_block *with, mn_diag *diag);
/* How a run of several ranks failed. What all say one says, and who has not failed is silent.
 * goes_on: the same command takes the run up again. */
void ranks_tell_end(const ranks *r, mn_status st, bool goes_on, const mn_diag *diag);
/* Code 0 ends well. Under mpirun another does not return: the process exits with it, and where the
 * ranks have not agreed on that, the others are ended too. */
void ranks_end(ranks *r, int code);

#endif
