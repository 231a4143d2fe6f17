/* rms_norm.h: rows scaled to a root mean square of one. */
#ifndef MN_LAYER_RMS_NORM_H
#define MN_LAYER_RMS_NORM_H

#include "layer/layer.h"

typedef struct mn__rms_norm {
    size_t width;
    mn__real eps;
    bool eps_outside; /* x / (sqrt(mean(x^2)) + eps), as MemoryFormer; else within the root */
    mn__param scale;  /* [width] */
} mn__rms_norm;

typedef struct mn__rms_norm_saved {
    const mn__real *x; /* borrowed */
    mn__real *rms;     /* [n]: what rows were divided by, without an eps outside */
} mn__rms_norm_saved;

void mn__rms_norm_declare(mn__rms_norm *l, mn__params *list, const char *prefix);
/* x, y [n][width]; y may be x at inference. */
void mn__rms_norm_forward(const mn__rms_norm *l, const mn__env *env, size_t n, const mn__real *x,
                          mn__real *y, mn__rms_norm_saved *saved);
void mn__rms_norm_backward(const mn__rms_norm *l, const mn__env *env, size_t n,
                           const mn__rms_norm_saved *saved, const mn__real *dy, mn__real *dx);

#endif
