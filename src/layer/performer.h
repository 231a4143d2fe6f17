/* performer.h: causal attention by random features of the exponential (FAVOR+). */
#ifndef MN_LAYER_PERFORMER_H
#define MN_LAYER_PERFORMER_H

#include "layer/prefix_sum.h"

typedef struct mn__performer {
    mn__heads heads;
    size_t n_feature; /* mn__performer_features(dim) by default */
    mn__real eps;     /* added to features: 1e-6 */
    /* What keys' exponents are reduced by: a constant, or the largest of the whole sequence, as
     * published. The latter looks ahead, by way of eps. */
    bool key_max;
    mn__real key_shift;   /* the constant */
    mn__param projection; /* [n_feature][dim], state: drawn, not learnt */
} mn__performer;

typedef struct mn__performer_saved {
    mn__qkv in;        /* borrowed */
    mn__real *qf, *kf; /* features of queries and keys */
    mn__prefix_saved sums;
} mn__performer_saved;

/* Values of a sequence's mn__carried. */
size_t mn__performer_state(const mn__performer *l);
size_t mn__performer_features(size_t dim); /* floor(dim log dim), at least 1 */
void mn__performer_declare(mn__performer *l, mn__params *list, const char *prefix);
/* Draw the projection: orthogonal rows by `dim`, with the lengths of normal ones. `round` counts
 * redraws. */
void mn__performer_draw(mn__performer *l, uint64_t seed, uint64_t round);
/* y [rows][n_head * dim] */
void mn__performer_forward(const mn__performer *l, const mn__env *env, mn__shape s,
                           const mn__qkv *in, mn__real *y, mn__performer_saved *saved);
void mn__performer_backward(const mn__performer *l, const mn__env *env, mn__shape s,
                            const mn__performer_saved *saved, const mn__real *dy,
                            const mn__qkv_grad *out);

#endif
