/* causal_softmax.h: exact attention to what came before, in tiles: no matrix of positions by
 * positions is kept. */
#ifndef MN_LAYER_CAUSAL_SOFTMAX_H
#define MN_LAYER_CAUSAL_SOFTMAX_H

#include "layer/heads.h"

typedef struct mn__causal_softmax {
    mn__heads heads; /* scores are scaled by 1/sqrt(dim) */
} mn__causal_softmax;

typedef struct mn__causal_softmax_saved {
    mn__qkv in;        /* borrowed, and so is y */
    const mn__real *y; /* [rows][n_head * dim] */
    mn__real *lse; /* [n_seq][n_head][len]: log of the sum of exponentials of a query's scores */
} mn__causal_softmax_saved;

/* y [rows][n_head * dim]. */
void mn__causal_softmax_forward(const mn__causal_softmax *l, const mn__env *env, mn__shape s,
                                const mn__qkv *in, mn__real *y, mn__causal_softmax_saved *saved);
/* dy is laid out as y, gradients as what they belong to. */
void mn__causal_softmax_backward(const mn__causal_softmax *l, const mn__env *env, mn__shape s,
                                 const mn__causal_softmax_saved *saved, const mn__real *dy,
                                 const mn__qkv_grad *out);

#endif
