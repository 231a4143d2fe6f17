/* ranks.h: the processes of one run under mpirun; alone, one process with rank 0. */
#ifndef MNEME_RANKS_H
#define MNEME_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

typedef struct ranks {
    int rank, n;
    void *state; /* NULL: alone */
} ranks;

/* MN_EUSAGE: started by mpirun, but built without MPI. */
mn_status ranks_begin(ranks *r, mn_diag *diag);
void ranks_wait(const ranks *r); /* until all are here */
/* 0, 1, 2, ...: each number once over all ranks. From any thread. */
uint64_t ranks_claim(const ranks *r);
/* The next number is 0 again; one rank alone, while no other claims. */
void ranks_restart(const ranks *r);
uint64_t ranks_sum(const ranks *r, uint64_t x); /* over all ranks, everywhere */
/* x [n] becomes, everywhere, the bitwise or over all ranks, which all call it. */
void ranks_share(const ranks *r, uint64_t *x, size_t n);
/* One of several ranks failed: which, why, and that the run goes on where it stopped. */
void ranks_tell_end(const ranks *r, mn_status st, const mn_diag *diag);
/* failed: the other ranks are ended too, and this call does not return. */
void ranks_end(ranks *r, bool failed);

#endif
