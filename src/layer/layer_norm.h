/* layer_norm.h: rows centred and scaled to a variance of one. */
#ifndef MN_LAYER_LAYER_NORM_H
#define MN_LAYER_LAYER_NORM_H

#include "layer/layer.h"

typedef struct mn__layer_norm {
    size_t width;
    mn__real eps;    /* within the root */
    mn__param scale; /* [width] */
    mn__param bias;  /* [width] */
} mn__layer_norm;

typedef struct mn__layer_norm_saved {
    const mn__real *x; /* borrowed */
    mn__real *mean;    /* [n] */
    mn__real *inv;     /* [n]: 1 / sqrt(variance + eps) */
} mn__layer_norm_saved;

void mn__layer_norm_declare(mn__layer_norm *l, mn__params *list, const char *prefix);
/* x, y [n][width]; y may be x at inference. */
void mn__layer_norm_forward(const mn__layer_norm *l, const mn__env *env, size_t n,
                            const mn__real *x, mn__real *y, mn__layer_norm_saved *saved);
void mn__layer_norm_backward(const mn__layer_norm *l, const mn__env *env, size_t n,
                             const mn__layer_norm_saved *saved, const mn__real *dy, mn__real *dx);

#endif
