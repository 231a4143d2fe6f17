/* part.c: small things that layers made of other layers need. */
#include "layer/part.h"

#include <string.h>

mn__real *mn__take_zeros(const mn__env *env, size_t n)
{
    mn__real *x = mn__take_reals(env, n);
    if (!mn__env_is_dry(env)) memset(x, 0, n * sizeof *x);
    return x;
}

/* No exponent of a large number: it would be infinite, and its product with zero none. */
mn__real mn__sigmoid(mn__real x)
{
    mn__real e = mn__exp(-mn__fabs(x));
    return (x < 0 ? e : (mn__real)1) / (1 + e);
}

static const mn__real inv_sqrt2 = (mn__real)0.70710678118654752440,
                      inv_sqrt_2pi = (mn__real)0.39894228040143267794;

mn__real mn__gelu(mn__real x)
{
    return x * (1 + mn__erf(x * inv_sqrt2)) / 2;
}

mn__real mn__gelu_slope(mn__real x)
{
    return (1 + mn__erf(x * inv_sqrt2)) / 2 + x * inv_sqrt_2pi * mn__exp(-x * x / 2);
}
