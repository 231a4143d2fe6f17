/* norm.h: any of the norms, behind one face. */
#ifndef MN_LAYER_NORM_H
#define MN_LAYER_NORM_H

#include "layer/layer_norm.h"
#include "layer/rms_norm.h"

typedef enum mn__norm_kind {
    MN__NORM_RMS,
    MN__NORM_RMS_OUTSIDE, /* eps outside the root: MemoryFormer */
    MN__NORM_LAYER,
} mn__norm_kind;

typedef struct mn__norm {
    mn__norm_kind kind;
    union {
        mn__rms_norm rms;
        mn__layer_norm layer;
    };
} mn__norm;

typedef union mn__norm_saved {
    mn__rms_norm_saved rms;
    mn__layer_norm_saved layer;
} mn__norm_saved;

void mn__norm_init(mn__norm *l, mn__norm_kind kind, size_t width, double eps);
void mn__norm_declare(mn__norm *l, mn__params *list, const char *prefix);
void mn__norm_forward(const mn__norm *l, const mn__env *env, size_t n, const mn__real *x,
                      mn__real *y, mn__norm_saved *saved);
void mn__norm_backward(const mn__norm *l, const mn__env *env, size_t n, const mn__norm_saved *saved,
                       const mn__real *dy, mn__real *dx);

#endif
