/* tolerance.h: how far a kernel may be from the plain one, and why. EPS is the distance from 1 to
 * the next float; one rounding costs half of it. All tolerances have a floor: products and results
 * below FLT_MIN may be flushed to zero (dpbf16 and tiles always do), and at the sizes used here
 * such losses stay below TINY.
 *
 *   TOL_EXACT  equal bits.
 *   TOL_DOT    c * EPS * sum|x*y|. n sums in sequence err by n/2 EPS at worst, by about sqrt(n)/2
 * EPS when roundings are independent; four times that, plus the rounding of the result. A product
 * left out costs sum/n, far more. TOL_ULP    a few roundings of the result, and for exponentials
 * the rounding of the argument x, which turns into |x| EPS / 2 of the result; |x| is known from the
 * result itself, |ln p|. TOL_BF16   one rounding to bf16: 2^-8 of the value between neighbours,
 * after a polynomial good to 1e-5. */
#ifndef MN_TEST_KERN_TOLERANCE_H
#define MN_TEST_KERN_TOLERANCE_H

#include <float.h>
#include <math.h>
#include <stddef.h>

#define TINY 1e-30f

static inline float tol_dot(float sum_abs, size_t n)
{
    return ((float)(2 + 2 * sqrt((double)n))) * FLT_EPSILON * sum_abs + TINY;
}

static inline float tol_ulp(float value)
{
    return 4 * FLT_EPSILON * fabsf(value) + TINY;
}

static inline float tol_exp(float value)
{
    float x = value != 0 ? fabsf(logf(fabsf(value))) : 0;
    return (4 + 2 * x) * FLT_EPSILON * fabsf(value) + TINY;
}

static inline float tol_bf16(float value)
{
    return fabsf(value) * (1.0f / 128 + 1e-5f) + TINY;
}

#endif
