/* attn_ref.c: the parts of attention over a block of cached tokens. */
#include <math.h>
#include "kern/ref/number_ref.h"
#include "kern/ref/ref.h"

void mn__qk_bf16_ref(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, size_t n_row,
                     const void *const *page, size_t n_tok, size_t d, const void *const *then)
{
    (void)then;
    for (size_t r = 0; r < n_row; r++)
        for (size_t t = 0; t < n_tok; t++) {
            const mn_bf16 *k = (const mn_bf16 *)page[t / 64] + t % 64 / 16 * 16 * d + t % 16 * 2;
            double sum = 0;
            for (size_t c = 0; c < d; c++)
                sum +=
                    (double)mn__bf16_widen(q[r * ld_q + c]) * mn__bf16_widen(k[c / 2 * 32 + c % 2]);
            s[r * ld_s + t] = (float)sum;
        }
}

void mn__qk_f32_ref(float *s, size_t ld_s, const float *q, size_t ld_q, size_t n_row,
                    const void *const *page, size_t n_tok, size_t d, const void *const *then)
{
    (void)then;
    for (size_t r = 0; r < n_row; r++)
        for (size_t t = 0; t < n_tok; t++) {
            const float *k = (const float *)page[t / 64] + t % 64 / 16 * 16 * d + t % 16;
            double sum = 0;
            for (size_t c = 0; c < d; c++) sum += (double)q[r * ld_q + c] * k[c * 16];
            s[r * ld_s + t] = (float)sum;
        }
}

/* Take row s[lo, hi) into the running maximum m and say by what the old sum shrinks; false: the row
 * has seen nothing yet. */
static int softmax_row_max(const float *s, size_t lo, size_t hi, float scale, float *m,
                           double *corr)
{
    float top = -INFINITY, old = *m;
    for (size_t t = lo; t < hi; t++) {
        float x = s[t] * scale;
        if (x > top) top = x;
    }
    if (top > old + MN__SOFTMAX_SLACK) *m = top;
    *corr = *m == old ? 1.0 : exp((double)old - *m);
    return *m > -INFINITY;
}

static size_t clip(int32_t x, size_t n)
{
    return x < 0 ? 0 : (size_t)x < n ? (size_t)x : n;
}

void mn__softmax_bf16_ref(mn_bf16 *p, size_t ld_p, const float *s, size_t ld_s, size_t n_row,
                          size_t n_tok, const int32_t *lo, const int32_t *hi, float scale, float *m,
                          float *l, float *corr)
{
    size_t n_pad = (n_tok + 31) / 32 * 32;
    for (size_t r = 0; r < n_row; r++) {
        size_t t0 = clip(lo[r], n_tok), t1 = clip(hi[r], n_tok);
        double shrink, sum = 0;
        int seen = softmax_row_max(s + r * ld_s, t0, t1, scale, m + r, &shrink);
        for (size_t t = 0; t < n_pad; t++) {
            double x = seen && t >= t0 && t < t1 ? exp((double)s[r * ld_s + t] * scale - m[r]) : 0;
            p[r * ld_p + t] = mn__bf16_round((float)x);
            sum += x;
        }
        l[r] = (float)(l[r] * shrink + sum);
        corr[r] = (float)shrink;
    }
}

void mn__softmax_f32_ref(float *p, size_t ld_p, const float *s, size_t ld_s, size_t n_row,
                         size_t n_tok, const int32_t *lo, const int32_t *hi, float scale, float *m,
                         float *l, float *corr)
{
    size_t n_pad = (n_tok + 31) / 32 * 32;
    for (size_t r = 0; r < n_row; r++) {
        size_t t0 = clip(lo[r], n_tok), t1 = clip(hi[r], n_tok);
        double shrink, sum = 0;
        int seen = softmax_row_max(s + r * ld_s, t0, t1, scale, m + r, &shrink);
        for (size_t t = 0; t < n_pad; t++) {
            double x = seen && t >= t0 && t < t1 ? exp((double)s[r * ld_s + t] * scale - m[r]) : 0;
            p[r * ld_p + t] = (float)x;
            sum += x;
        }
        l[r] = (float)(l[r] * shrink + sum);
        corr[r] = (float)shrink;
    }
}

void mn__pv_bf16_ref(float *o, size_t ld_o, const float *corr, const mn_bf16 *p, size_t ld_p,
                     size_t n_row, const void *const *page, size_t n_tok, size_t d,
                     const void *const *then)
{
    (void)then;
    for (size_t r = 0; r < n_row; r++)
        for (size_t c = 0; c < d; c++) {
            double sum = (double)o[r * ld_o + c] * corr[r];
            for (size_t t = 0; t < n_tok; t++) {
                const mn_bf16 *v =
                    (const mn_bf16 *)page[t / 64] + 64 * d + t % 64 / 2 * 2 * d + t % 2;
                sum += (double)mn__bf16_widen(p[r * ld_p + t]) * mn__bf16_widen(v[c * 2]);
            }
            o[r * ld_o + c] = (float)sum;
        }
}

void mn__pv_f32_ref(float *o, size_t ld_o, const float *corr, const float *p, size_t ld_p,
                    size_t n_row, const void *const *page, size_t n_tok, size_t d,
                    const void *const *then)
{
    (void)then;
    for (size_t r = 0; r < n_row; r++)
        for (size_t c = 0; c < d; c++) {
            double sum = (double)o[r * ld_o + c] * corr[r];
            for (size_t t = 0; t < n_tok; t++)
                sum += (double)p[r * ld_p + t] *
                       ((const float *)page[t / 64])[64 * d + t % 64 * d + c];
            o[r * ld_o + c] = (float)sum;
        }
}

void mn__probs_ref(float *s, size_t ld_s, size_t n_row, size_t n_tok, const int32_t *lo,
                   const int32_t *hi, float scale, const float *lse)
{
    for (size_t r = 0; r < n_row; r++) {
        size_t t0 = clip(lo[r], n_tok), t1 = clip(hi[r], n_tok);
        for (size_t t = 0; t < n_tok; t++) {
            float *x = s + r * ld_s + t;
            *x = t >= t0 && t < t1 ? (float)exp((double)*x * scale - lse[r]) : 0;
        }
    }
}

void mn__colsum_ref(float *out, const float *p, size_t ld_p, const float *w, size_t n_row,
                    size_t n_tok)
{
    for (size_t t = 0; t < n_tok; t++) {
        double sum = out[t];
        for (size_t r = 0; r < n_row; r++) sum += (w ? w[r] : 1.0) * p[r * ld_p + t];
        out[t] = (float)sum;
    }
}
