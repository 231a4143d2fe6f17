/* page_body.h: rows into pages and back; included once per width. K's blocks are transposed in
 * registers, VF_N tokens by VF_N pairs of channels (or single channels) at a time; what does not
 * fill such a block is moved one by one. */
#include "kern/ref/number_ref.h"
#include "kern/ref/ref.h"

enum { PAGE_PAIR = 2 * VF_N }; /* channels of one transposed block of pairs */

/* VF_N rows of x, channels [0, 2 VF_N), as bf16 pairs down the columns of k. */
static void put_key_pairs(mn_bf16 *k, const float *x, size_t ld)
{
    vi r[VF_N];
    for (size_t t = 0; t < VF_N; t++)
        r[t] = vi_round_row(vf_load(x + t * ld), vf_load(x + t * ld + VF_N));
    vi_transpose(r);
    for (size_t c = 0; c < VF_N; c++) vi_store(k + c * 32, r[c]);
}

/* Channels [c, d) of one row down a column, a pair at a time. */
static void put_key_row(mn_bf16 *at, const float *x, size_t c, size_t d)
{
    for (; c + PAGE_PAIR <= d; c += PAGE_PAIR) {
        mn_bf16 h[PAGE_PAIR];
        vi_store(h, vi_round_row(vf_load(x + c), vf_load(x + c + VF_N)));
        for (size_t i = 0; i < VF_N; i++) memcpy(at + (c / 2 + i) * 32, h + 2 * i, 2 * sizeof *h);
    }
    for (; c < d; c++) at[c / 2 * 32 + c % 2] = mn__bf16_round(x[c]);
}

static void put_key_bf16(mn_bf16 *page, size_t slot, const float *k, size_t ld, size_t n, size_t d)
{
    size_t i = 0;
    while (i < n) {
        mn_bf16 *at = page + (slot + i) / 16 * 16 * d + (slot + i) % 16 * 2;
        size_t whole = (slot + i) % VF_N == 0 && n - i >= VF_N, c = 0, n_tok = whole ? VF_N : 1;
        if (whole)
            for (; c + PAGE_PAIR <= d; c += PAGE_PAIR)
                put_key_pairs(at + c * 16, k + i * ld + c, ld);
        for (size_t t = 0; t < n_tok; t++) put_key_row(at + t * 2, k + (i + t) * ld, c, d);
        i += n_tok;
    }
}

/* One row into its half of the pairs. */
static void put_value_row(mn_bf16 *at, size_t odd, const float *v, size_t d)
{
    size_t c = 0;
    for (; c + VF_N <= d; c += VF_N) {
        vi old = vi_load(at + c * 2);
        vi_store(at + c * 2,
                 odd ? vi_put_odd(old, vf_load(v + c)) : vi_put_even(old, vf_load(v + c)));
    }
    for (; c < d; c++) at[c * 2 + odd] = mn__bf16_round(v[c]);
}

static void put_value_two(mn_bf16 *at, const float *v, size_t ld, size_t d)
{
    size_t c = 0;
    for (; c + VF_N <= d; c += VF_N)
        vi_store(at + c * 2, vi_round_pair(vf_load(v + c), vf_load(v + ld + c)));
    for (; c < d; c++) {
        at[c * 2] = mn__bf16_round(v[c]);
        at[c * 2 + 1] = mn__bf16_round(v[ld + c]);
    }
}

static void put_value_bf16(mn_bf16 *page, size_t slot, const float *v, size_t ld, size_t n,
                           size_t d)
{
    for (size_t i = 0; i < n;) {
        size_t odd = (slot + i) % 2, two = !odd && n - i >= 2;
        mn_bf16 *at = page + (slot + i) / 2 * 2 * d;
        if (two)
            put_value_two(at, v + i * ld, ld, d);
        else
            put_value_row(at, odd, v + i * ld, d);
        i += 1 + two;
    }
}

void MN__ISA(page_put_bf16)(void *page, size_t slot, const float *k, size_t ld_k, const float *v,
                            size_t ld_v, size_t n, size_t d)
{
    put_key_bf16(page, slot, k, ld_k, n, d);
    put_value_bf16((mn_bf16 *)page + MN__PAGE_TOKENS * d, slot, v, ld_v, n, d);
}

/* VF_N rows of x, channels [0, VF_N), transposed. */
static void transpose_f32(float *out, size_t ld_out, const float *x, size_t ld)
{
    vi r[VF_N];
    for (size_t t = 0; t < VF_N; t++) r[t] = vi_load(x + t * ld);
    vi_transpose(r);
    for (size_t c = 0; c < VF_N; c++) vi_store(out + c * ld_out, r[c]);
}

void MN__ISA(page_put_f32)(void *page, size_t slot, const float *k, size_t ld_k, const float *v,
                           size_t ld_v, size_t n, size_t d)
{
    float *pk = page, *pv = pk + (MN__PAGE_TOKENS + slot) * d;
    for (size_t i = 0, n_tok; i < n; i += n_tok) {
        float *at = pk + (slot + i) / 16 * 16 * d + (slot + i) % 16;
        size_t whole = (slot + i) % VF_N == 0 && n - i >= VF_N, c = 0;
        n_tok = whole ? VF_N : 1;
        if (whole)
            for (; c + VF_N <= d; c += VF_N) transpose_f32(at + c * 16, 16, k + i * ld_k + c, ld_k);
        for (size_t t = 0; t < n_tok; t++)
            for (size_t x = c; x < d; x++) at[t + x * 16] = k[(i + t) * ld_k + x];
    }
    for (size_t i = 0; i < n; i++) memcpy(pv + i * d, v + i * ld_v, d * sizeof *v);
}

/* A row rounded to 8 bits; returns its scale. */
static float row_q8(int8_t *out, const float *x, size_t d)
{
    vf top = vf_set1(0);
    size_t c = 0;
    for (; c + VF_N <= d; c += VF_N) top = vf_max(vf_abs(vf_load(x + c)), top);
    float max = vf_top(top);
    for (; c < d; c++) max = fabsf(x[c]) > max ? fabsf(x[c]) : max;
    float inv = mn__q8_inverse(max);
    for (c = 0; c + VF_N <= d; c += VF_N)
        vf_store_i8(out + c, vf_mul(vf_load(x + c), vf_set1(inv)));
    for (; c < d; c++) out[c] = mn__q8_round(x[c], inv);
    return max / 127.0f;
}

enum { Q8_D_MAX = 1024 };

void MN__ISA(page_put_q8)(void *page, float *scale_k, float *scale_v, size_t slot, const float *k,
                          size_t ld_k, const float *v, size_t ld_v, size_t n, size_t d)
{
    int8_t row[Q8_D_MAX], *pk = page, *pv = pk + MN__PAGE_TOKENS * d;
    if (d > Q8_D_MAX) {
        mn__page_put_q8_ref(page, scale_k, scale_v, slot, k, ld_k, v, ld_v, n, d);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t t = slot + i;
        scale_k[i] = row_q8(row, k + i * ld_k, d);
        for (size_t c = 0; c < d; c += 2)
            memcpy(pk + t / 16 * 16 * d + (c / 2 * 16 + t % 16) * 2, row + c, 2);
        scale_v[i] = row_q8(row, v + i * ld_v, d);
        for (size_t c = 0; c < d; c++) pv[t / 2 * 2 * d + c * 2 + t % 2] = row[c];
    }
}

MN__INLINE void widen_row(mn_bf16 *out, const int8_t *x, vf scale_a, vf scale_b)
{
    vi_store(out,
             vi_round_row(vf_mul(vf_load_i8(x), scale_a), vf_mul(vf_load_i8(x + VF_N), scale_b)));
}

void MN__ISA(page_widen_q8)(void *bf16_page, const void *q8_page, const float *scale_k,
                            const float *scale_v, size_t d)
{
    mn_bf16 *ok = bf16_page, *ov = ok + MN__PAGE_TOKENS * d;
    const int8_t *ik = q8_page, *iv = ik + MN__PAGE_TOKENS * d;
    for (size_t b = 0; b < MN__PAGE_TOKENS / 16; b++) {
        float twice[32]; /* a block's scales as they meet its pairs of channels */
        for (size_t t = 0; t < 32; t++) twice[t] = scale_k[b * 16 + t / 2];
        for (size_t i = b * 16 * d; i < (b + 1) * 16 * d; i += PAGE_PAIR)
            widen_row(ok + i, ik + i, vf_load(twice + i % 32), vf_load(twice + i % 32 + VF_N));
    }
    for (size_t t = 0; t < MN__PAGE_TOKENS; t += 2) {
        float both[VF_N];
        for (size_t j = 0; j < VF_N; j++) both[j] = scale_v[t + j % 2];
        vf scale = vf_load(both);
        size_t i = t * d, end = (t + 2) * d;
        for (; i + PAGE_PAIR <= end; i += PAGE_PAIR) widen_row(ov + i, iv + i, scale, scale);
        for (; i < end; i++) ov[i] = mn__bf16_round((float)iv[i] * both[i % 2]);
    }
}

/* The way back of put_key_pairs: a column of pairs becomes VF_N pairs of channels of a row. */
static void get_key_pairs(float *k, size_t ld, const mn_bf16 *at)
{
    vi r[VF_N];
    for (size_t c = 0; c < VF_N; c++) r[c] = vi_load(at + c * 32);
    vi_transpose(r);
    for (size_t t = 0; t < VF_N; t++) {
        vf a, b;
        vi_widen_row(r[t], &a, &b);
        vf_store(k + t * ld, a);
        vf_store(k + t * ld + VF_N, b);
    }
}

static void get_key_bf16(float *k, const mn_bf16 *page, size_t slot, size_t n, size_t d)
{
    for (size_t i = 0, n_tok; i < n; i += n_tok) {
        const mn_bf16 *at = page + (slot + i) / 16 * 16 * d + (slot + i) % 16 * 2;
        size_t whole = (slot + i) % VF_N == 0 && n - i >= VF_N, c = 0;
        n_tok = whole ? VF_N : 1;
        if (whole)
            for (; c + PAGE_PAIR <= d; c += PAGE_PAIR) get_key_pairs(k + i * d + c, d, at + c * 16);
        for (size_t t = 0; t < n_tok; t++)
            for (size_t x = c; x < d; x++)
                k[(i + t) * d + x] = mn__bf16_widen(at[t * 2 + x / 2 * 32 + x % 2]);
    }
}

void MN__ISA(page_get_bf16)(float *k, float *v, const void *page, size_t slot, size_t n, size_t d)
{
    const mn_bf16 *pv = (const mn_bf16 *)page + MN__PAGE_TOKENS * d;
    if (k) get_key_bf16(k, page, slot, n, d);
    for (size_t i = 0; v && i < n; i++) {
        const mn_bf16 *at = pv + (slot + i) / 2 * 2 * d;
        int odd = (slot + i) % 2;
        size_t c = 0;
        for (; c + VF_N <= d; c += VF_N)
            vf_store(v + i * d + c,
                     odd ? vf_pair_odd(vi_load(at + c * 2)) : vf_pair_even(vi_load(at + c * 2)));
        for (; c < d; c++) v[i * d + c] = mn__bf16_widen(at[c * 2 + (size_t)odd]);
    }
}

void MN__ISA(page_get_f32)(float *k, float *v, const void *page, size_t slot, size_t n, size_t d)
{
    const float *pk = page, *pv = pk + (MN__PAGE_TOKENS + slot) * d;
    for (size_t i = 0, n_tok; k && i < n; i += n_tok) {
        const float *at = pk + (slot + i) / 16 * 16 * d + (slot + i) % 16;
        size_t whole = (slot + i) % VF_N == 0 && n - i >= VF_N, c = 0;
        n_tok = whole ? VF_N : 1;
        if (whole)
            for (; c + VF_N <= d; c += VF_N) transpose_f32(k + i * d + c, d, at + c * 16, 16);
        for (size_t t = 0; t < n_tok; t++)
            for (size_t x = c; x < d; x++) k[(i + t) * d + x] = at[t + x * 16];
    }
    if (v) memcpy(v, pv, n * d * sizeof *v);
}
