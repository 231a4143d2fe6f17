/* prefix_sum.h: causal attention without a softmax: weights are products of features, so that what
 * came before is one matrix that grows (Performer, cosFormer). */
#ifndef MN_LAYER_PREFIX_SUM_H
#define MN_LAYER_PREFIX_SUM_H

#include "layer/heads.h"

typedef struct mn__prefix_sum {
    mn__heads heads;
    size_t n_feature;
    mn__real floor; /* of denominators; 0: none */
} mn__prefix_sum;

/* Features of queries [n_seq][n_head][len][n_feature], of keys [n_seq][n_kv][len][n_feature], and
 * values in rows of ld. */
typedef struct mn__prefix_in {
    const mn__real *q, *k, *v;
    size_t ld;
    mn__real *state; /* of one sequence: the sums so far, read and brought forward (inference);
                      * NULL: none, and none are given back */
} mn__prefix_in;
/* Gradients, laid out alike. */
typedef struct mn__prefix_grad {
    mn__real *q, *k, *v;
} mn__prefix_grad;

typedef struct mn__prefix_saved {
    mn__prefix_in in;  /* borrowed, and so is y */
    const mn__real *y; /* [rows][n_head * dim] */
    mn__real *below;   /* [n_seq][n_head][len]: denominators, before the floor */
} mn__prefix_saved;

/* Of one sequence: [n_kv][n_feature][dim + 1]. */
static inline size_t mn__prefix_sum_state(const mn__prefix_sum *l)
{
    return l->heads.n_kv * l->n_feature * (l->heads.dim + 1);
}

void mn__prefix_sum_forward(const mn__prefix_sum *l, const mn__env *env, mn__shape s,
                            const mn__prefix_in *in, mn__real *y, mn__prefix_saved *saved);
void mn__prefix_sum_backward(const mn__prefix_sum *l, const mn__env *env, mn__shape s,
                             const mn__prefix_saved *saved, const mn__real *dy,
                             const mn__prefix_grad *out);

#endif
