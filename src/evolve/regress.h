/* regress.h: a warm start: a NAMM's network fitted by gradients to attention that came later, lane
 * by lane. Loss: cross-entropy between softmax(score) over the tokens that may be dropped and the
 * share of the target that each of them has. Optimiser: AdamW (arXiv 1711.05101) without decay. */
#ifndef MN_EVOLVE_REGRESS_H
#define MN_EVOLVE_REGRESS_H

#include "policy/namm.h"

/* One lane of one prompt, as a policy met it. Borrowed. */
typedef struct mn__lane_sample {
    size_t n;            /* tokens, the oldest first */
    size_t begin, end;   /* those that may be dropped */
    const float *x;      /* [n][E] as the network reads them */
    const float *target; /* [n] what a token was worth later, not below 0 */
} mn__lane_sample;

typedef struct mn__regress_params {
    size_t n_step, n_warmup, batch; /* batch: lanes a step */
    double rate, clip;              /* of the gradient's norm; 0: none */
    uint64_t seed;                  /* of the order of lanes */
    int n_thread;
    bool (*stop)(void *ctx);
    void (*progress)(size_t step, double loss, void *ctx);
    void *ctx;
} mn__regress_params;
/* 150 steps of 96 lanes, rate 3e-3 after 20 steps, clipped at 1. */
void mn__regress_params_default(mn__regress_params *p);

/* param [mn__namm_net_params] is where it starts and what comes out; *loss (or NULL) the mean of
 * the last steps. The same result for any number of threads. MN_EINPUT: no lane has a target;
 * MN_ECANCEL, MN_ENOMEM. */
mn_status mn__regress(const mn__namm_net *net, const mn__lane_sample *lane, size_t n_lane,
                      const mn__regress_params *params, float *param, double *loss, mn_diag *diag);

#endif
