/* unlike.c: how little each key, or value, is like its lane's others. Ref: arXiv 2504.15364.
 *
 *   u[i] = x[i]/|x[i]|, a = mean of u over the lane's slots now;  out[i] = -cos(x[i], a)
 *
 * All 0 where a is no direction: keys that cancel out, or a NaN among them. Two readings of the
 * lane, some 6 n D multiply-adds. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "policy/policy_kind.h"

enum { LANES = 16 }; /* sums side by side, which compilers turn into vectors */
#define TINY 1e-30f  /* a row of zeros stays so */

/* Rows [i, i + n) of the lane, each of length sqrt(d). */
static size_t even_rows(const mn__score_view *v, bool values, size_t i, float *x)
{
    const size_t d = v->cache->shape.head_dim,
                 n = v->n - i < MN__PAGE_TOKENS ? v->n - i : MN__PAGE_TOKENS;
    mn__lane_read(v->cache, mn__cache_lane(v->cache, v->layer, v->head), i, n, values ? NULL : x,
                  values ? x : NULL);
    for (size_t j = 0; j < n; j++) v->cache->kern->rms_norm(x + j * d, x + j * d, NULL, d, TINY);
    return n;
}

static float dot(const float *x, const float *y, size_t d)
{
    float part[LANES] = {0}, sum = 0;
    size_t c = 0;
    for (; c + LANES <= d; c += LANES)
        for (size_t k = 0; k < LANES; k++) part[k] += x[c + k] * y[c + k];
    for (; c < d; c++) sum += x[c] * y[c];
    for (size_t k = 0; k < LANES; k++) sum += part[k];
    return sum;
}

size_t mn__unlike_floats(const mn__cache_shape *shape)
{
    return (MN__PAGE_TOKENS + 1) * mn__pad16(shape->head_dim);
}

void mn__unlike(const mn__score_view *v, bool values, float *scratch, float *out, size_t ld)
{
    const size_t d = v->cache->shape.head_dim;
    float *x = scratch, *anchor = x + MN__PAGE_TOKENS * mn__pad16(d);
    memset(anchor, 0, d * sizeof *anchor);
    for (size_t i = 0; i < v->n; i += MN__PAGE_TOKENS) {
        const size_t n = even_rows(v, values, i, x);
        v->cache->kern->colsum(anchor, x, d, NULL, n, d);
    }
    const float length = sqrtf(dot(anchor, anchor, d) * (float)d);
    const bool has_direction = length > 0 && length <= FLT_MAX;
    for (size_t i = 0; i < v->n; i += MN__PAGE_TOKENS) {
        const size_t n = even_rows(v, values, i, x);
        for (size_t j = 0; j < n; j++)
            out[(i + j) * ld] = has_direction ? -dot(x + j * d, anchor, d) / length : 0;
    }
}
