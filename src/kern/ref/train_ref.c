/* train_ref.c: what training alone needs: gradients of gates and of softmax, a step of AdamW. */
#include <math.h>
#include "kern/ref/ref.h"

void mn__silu_mul_back_ref(float *da, float *dg, const float *dh, const float *a, const float *g,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double d = dh[i], x = g[i], sigmoid = 1 / (1 + exp(-x)), silu = x * sigmoid;
        dg[i] = (float)(d * a[i] * (sigmoid + silu * (1 - sigmoid)));
        da[i] = (float)(d * silu);
    }
}

void mn__softmax_back_ref(float *s, float *d, size_t ld, size_t n_row, size_t n_tok,
                          const int32_t *hi, float scale, const float *lse, const float *delta)
{
    for (size_t r = 0; r < n_row; r++, s += ld, d += ld)
        for (size_t j = 0; j < n_tok; j++) {
            const double p =
                hi[r] > 0 && j < (size_t)hi[r] ? exp((double)s[j] * scale - lse[r]) : 0;
            d[j] = p > 0 ? (float)(p * ((double)d[j] - delta[r]) * scale) : 0;
            s[j] = (float)p;
        }
}

void mn__adamw_ref(float *w, float *m, float *v, float *g, size_t n, const float *step)
{
    const double keep = step[0], rate = step[1], b1 = step[2], b2 = step[3], c1 = step[4],
                 c2 = step[5], eps = step[6], scale = step[7];
    for (size_t i = 0; i < n; i++) {
        const double x = g ? g[i] * scale : 0;
        m[i] = (float)(b1 * m[i] + (1 - b1) * x);
        v[i] = (float)(b2 * v[i] + (1 - b2) * x * x);
        w[i] = (float)(w[i] * keep - rate * (m[i] / c1) / (sqrt(v[i] / c2) + eps));
        if (g) g[i] = 0;
    }
}
