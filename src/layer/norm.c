/* norm.c: to the norm that is meant. */
#include "layer/norm.h"

void mn__norm_init(mn__norm *l, mn__norm_kind kind, size_t width, double eps)
{
    *l = (mn__norm){.kind = kind};
    if (kind == MN__NORM_LAYER) {
        l->layer = (mn__layer_norm){.width = width, .eps = (mn__real)eps};
        return;
    }
    l->rms = (mn__rms_norm){.width = width, .eps = (mn__real)eps};
    l->rms.eps_outside = kind == MN__NORM_RMS_OUTSIDE;
}

void mn__norm_declare(mn__norm *l, mn__params *list, const char *prefix)
{
    if (l->kind == MN__NORM_LAYER)
        mn__layer_norm_declare(&l->layer, list, prefix);
    else
        mn__rms_norm_declare(&l->rms, list, prefix);
}

void mn__norm_forward(const mn__norm *l, const mn__env *env, size_t n, const mn__real *x,
                      mn__real *y, mn__norm_saved *saved)
{
    if (l->kind == MN__NORM_LAYER)
        mn__layer_norm_forward(&l->layer, env, n, x, y, saved ? &saved->layer : NULL);
    else
        mn__rms_norm_forward(&l->rms, env, n, x, y, saved ? &saved->rms : NULL);
}

void mn__norm_backward(const mn__norm *l, const mn__env *env, size_t n, const mn__norm_saved *saved,
                       const mn__real *dy, mn__real *dx)
{
    if (l->kind == MN__NORM_LAYER)
        mn__layer_norm_backward(&l->layer, env, n, &saved->layer, dy, dx);
    else
        mn__rms_norm_backward(&l->rms, env, n, &saved->rms, dy, dx);
}
