/* page_ref.c: rows into the pages of the cache and back. The three at_ functions are the layout of
 * kern.h, written once. */
#include <math.h>
#include "kern/ref/number_ref.h"
#include "kern/ref/ref.h"

/* Index of (token, channel) in K by pairs of channels, in K by single channels, and in V by pairs
 * of tokens. */
static size_t at_key_pair(size_t t, size_t c, size_t d)
{
    return t / 16 * 16 * d + (c / 2 * 16 + t % 16) * 2 + c % 2;
}

static size_t at_key_f32(size_t t, size_t c, size_t d)
{
    return t / 16 * 16 * d + c * 16 + t % 16;
}

static size_t at_value_pair(size_t t, size_t c, size_t d)
{
    return t / 2 * 2 * d + c * 2 + t % 2;
}

void mn__page_put_bf16_ref(void *page, size_t slot, const float *k, size_t ld_k, const float *v,
                           size_t ld_v, size_t n, size_t d)
{
    mn_bf16 *pk = page, *pv = pk + MN__PAGE_TOKENS * d;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < d; c++) {
            pk[at_key_pair(slot + i, c, d)] = mn__bf16_round(k[i * ld_k + c]);
            pv[at_value_pair(slot + i, c, d)] = mn__bf16_round(v[i * ld_v + c]);
        }
}

void mn__page_put_f32_ref(void *page, size_t slot, const float *k, size_t ld_k, const float *v,
                          size_t ld_v, size_t n, size_t d)
{
    float *pk = page, *pv = pk + MN__PAGE_TOKENS * d;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < d; c++) {
            pk[at_key_f32(slot + i, c, d)] = k[i * ld_k + c];
            pv[(slot + i) * d + c] = v[i * ld_v + c];
        }
}

static float row_max_abs(const float *x, size_t n)
{
    float m = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > m) m = fabsf(x[i]);
    return m;
}

void mn__page_put_q8_ref(void *page, float *scale_k, float *scale_v, size_t slot, const float *k,
                         size_t ld_k, const float *v, size_t ld_v, size_t n, size_t d)
{
    int8_t *pk = page, *pv = pk + MN__PAGE_TOKENS * d;
    for (size_t i = 0; i < n; i++) {
        float max_k = row_max_abs(k + i * ld_k, d), max_v = row_max_abs(v + i * ld_v, d);
        float inv_k = mn__q8_inverse(max_k), inv_v = mn__q8_inverse(max_v);
        scale_k[i] = max_k / 127.0f;
        scale_v[i] = max_v / 127.0f;
        for (size_t c = 0; c < d; c++) {
            pk[at_key_pair(slot + i, c, d)] = mn__q8_round(k[i * ld_k + c], inv_k);
            pv[at_value_pair(slot + i, c, d)] = mn__q8_round(v[i * ld_v + c], inv_v);
        }
    }
}

void mn__page_widen_q8_ref(void *bf16_page, const void *q8_page, const float *scale_k,
                           const float *scale_v, size_t d)
{
    mn_bf16 *ok = bf16_page, *ov = ok + MN__PAGE_TOKENS * d;
    const int8_t *ik = q8_page, *iv = ik + MN__PAGE_TOKENS * d;
    for (size_t t = 0; t < MN__PAGE_TOKENS; t++)
        for (size_t c = 0; c < d; c++) {
            size_t at_k = at_key_pair(t, c, d), at_v = at_value_pair(t, c, d);
            ok[at_k] = mn__bf16_round((float)ik[at_k] * scale_k[t]);
            ov[at_v] = mn__bf16_round((float)iv[at_v] * scale_v[t]);
        }
}

void mn__page_get_bf16_ref(float *k, float *v, const void *page, size_t slot, size_t n, size_t d)
{
    const mn_bf16 *pk = page, *pv = pk + MN__PAGE_TOKENS * d;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < d; c++) {
            if (k) k[i * d + c] = mn__bf16_widen(pk[at_key_pair(slot + i, c, d)]);
            if (v) v[i * d + c] = mn__bf16_widen(pv[at_value_pair(slot + i, c, d)]);
        }
}

void mn__page_get_f32_ref(float *k, float *v, const void *page, size_t slot, size_t n, size_t d)
{
    const float *pk = page, *pv = pk + MN__PAGE_TOKENS * d;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < d; c++) {
            if (k) k[i * d + c] = pk[at_key_f32(slot + i, c, d)];
            if (v) v[i * d + c] = pv[(slot + i) * d + c];
        }
}
