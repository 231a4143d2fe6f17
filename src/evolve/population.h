/* population.h: candidates on prompts, by workers and processes that take what comes next. The
 * answers are a matrix that is summed in one order, whoever filled it. */
#ifndef MN_EVOLVE_POPULATION_H
#define MN_EVOLVE_POPULATION_H

#include "evolve/rater.h"
#include "mneme/evolve.h"

enum { MN__WORKER_MAX = 1024 };

/* Who works, and whom they tell. The functions are those of mn_evolve_params. */
typedef struct mn__population {
    const mn_evolve_ranks *ranks;
    size_t n_worker; /* 1 to MN__WORKER_MAX threads of this process */
    void (*tick)(void *ctx, uint64_t done, uint64_t total);
    void (*note)(void *ctx, const char *sentence);
    bool (*stop)(void *ctx);
    void *ctx;
} mn__population;

/* A question: the same on all ranks. */
typedef struct mn__round {
    const mn__rater *rater;
    const uint64_t *item; /* [n_item] prompts */
    size_t n_item;
    const double *x; /* [n][n_param] candidates */
    size_t n, n_param;
    size_t n_block;     /* 1 to n: parts of the candidates that are handed out one by one */
    mn__rating *rating; /* out [n_item][n] */
    bool *left;         /* out [n_item]: this prompt cannot be, its ratings are void */
} mn__round;

/* Parts that keep all workers busy to the end. */
size_t mn__population_blocks(size_t n_item, size_t n, size_t n_worker);

/* Fill rating and left, on every rank with all of it. MN_ECANCEL: stopped, or a rater was;
 * MN_ENOMEM; what a rater or `share` returned. A failure leaves the other ranks waiting. */
mn_status mn__population_rate(const mn__population *p, const mn__round *r, mn_diag *diag);

/* What a share kept costs beyond its target, to be added to a loss:
 *   max(0, kept / target - 1);   0 where there is no target (0) or the share is not known (NAN)
 * A candidate that keeps twice the target pays 1. Below it nothing is gained: there the loss alone
 * says how little is too little. */
double mn__population_excess(double kept, double target);

/* One number per candidate over the prompts that are not left out: loss [n], NAN where any of them
 * is; kept [n], mean of those that are known, NAN for none. room [n_item]. Returns how many prompts
 * counted; 0: loss and kept are NAN. */
size_t mn__population_losses(const mn__round *r, mn_evolve_statistic s, double *loss, double *kept,
                             double *room);

#endif
