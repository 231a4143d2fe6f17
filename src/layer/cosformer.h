/* cosformer.h: causal attention with relu features and weights that fade with the distance. */
#ifndef MN_LAYER_COSFORMER_H
#define MN_LAYER_COSFORMER_H

#include "layer/prefix_sum.h"

typedef struct mn__cosformer {
    mn__heads heads;
    size_t context; /* M, where weights have faded to nothing: at least every sequence's length */
    mn__real floor; /* of denominators: 1e-6 */
} mn__cosformer;

typedef struct mn__cosformer_saved {
    mn__qkv in; /* borrowed */
    mn__prefix_saved sums;
} mn__cosformer_saved;

/* Values of a sequence's mn__carried. */
size_t mn__cosformer_state(const mn__cosformer *l);
/* y [rows][n_head * dim] */
void mn__cosformer_forward(const mn__cosformer *l, const mn__env *env, mn__shape s,
                           const mn__qkv *in, mn__real *y, mn__cosformer_saved *saved);
void mn__cosformer_backward(const mn__cosformer *l, const mn__env *env, mn__shape s,
                            const mn__cosformer_saved *saved, const mn__real *dy,
                            const mn__qkv_grad *out);

#endif
