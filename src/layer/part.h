/* part.h: small things that layers made of other layers need. */
#ifndef MN_LAYER_PART_H
#define MN_LAYER_PART_H

#include "layer/layer.h"

/* n zeros of the tape. */
mn__real *mn__take_zeros(const mn__env *env, size_t n);

/* silu(x) = x / (1 + exp(-x)) and its derivative. */
mn__real mn__sigmoid(mn__real x);
static inline mn__real mn__silu(mn__real x)
{
    return x * mn__sigmoid(x);
}
static inline mn__real mn__silu_slope(mn__real x)
{
    mn__real s = mn__sigmoid(x);
    return s * (1 + x * (1 - s));
}
/* gelu(x) = x (1 + erf(x / sqrt 2)) / 2 and its derivative. */
mn__real mn__gelu(mn__real x);
mn__real mn__gelu_slope(mn__real x);

#endif
