/* rater.h: what evolution asks: how badly do candidates do on a prompt? */
#ifndef MN_EVOLVE_RATER_H
#define MN_EVOLVE_RATER_H

#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

typedef struct mn__rating {
    double loss;       /* lower is better; NAN: the candidate failed */
    double kept_share; /* of the tokens, NAN: not known */
} mn__rating;

typedef struct mn__rater {
    void *ctx;
    uint64_t n_item; /* prompts to draw from, of the stage it was made for */
    uint64_t rows;   /* what they are: a stage goes on with the same ones alone; 0: not known */
    /* Candidates x [n][n_param] on prompt `item` (< n_item). A worker number is one thread's at a
     * time. Results do not depend on worker, thread or on which candidates come together.
     * MN_ECANCEL: stopped; MN_ERANGE or MN_EBUDGET: this prompt cannot be (left out for all); all
     * else ends the run. */
    mn_status (*rate)(void *ctx, size_t worker, uint64_t item, const double *x, size_t n,
                      mn__rating *out, mn_diag *diag);
    void (*free)(void *ctx);
} mn__rater;

/* Makers of raters for a stage; the run owns what it gets. */
typedef struct mn__rater_maker {
    void *ctx;
    mn_status (*make)(void *ctx, size_t stage, const char *fidelity, mn__rater *out, mn_diag *diag);
} mn__rater_maker;

#endif
