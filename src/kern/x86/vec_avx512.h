/* vec_avx512.h: a small vocabulary over 16 floats, so that the bodies (*_body.h) are written once
 * for both widths. */
#ifndef MN_KERN_VEC_AVX512_H
#define MN_KERN_VEC_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kern/kern.h"

#define MN__ISA(name) mn__##name##_avx512
#define MN__INLINE    static inline __attribute__((always_inline, unused))

/* Lanes; rows of a register block by how many columns of vectors it has (tile_body.h). */
enum { VF_N = 16, VF_ROWS_4COL = 6, VF_ROWS_2COL = 8 };

typedef __m512 vf;
typedef __m512i vi;

MN__INLINE __mmask16 vf_mask(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}
MN__INLINE vf vf_load(const float *x)
{
    return _mm512_loadu_ps(x);
}
MN__INLINE void vf_store(float *x, vf a)
{
    _mm512_storeu_ps(x, a);
}
/* The first n lanes, the others zero (load) or left alone (store). */
MN__INLINE vf vf_load_n(const float *x, size_t n)
{
    return _mm512_maskz_loadu_ps(vf_mask(n), x);
}
MN__INLINE void vf_store_n(float *x, vf a, size_t n)
{
    _mm512_mask_storeu_ps(x, vf_mask(n), a);
}
/* Lanes [lo, hi), the others zero. */
MN__INLINE vf vf_keep(vf a, size_t lo, size_t hi)
{
    return _mm512_maskz_mov_ps(vf_mask(hi) & (__mmask16)~vf_mask(lo), a);
}
/* Lanes [lo, hi), the others -inf. */
MN__INLINE vf vf_keep_inf(vf a, size_t lo, size_t hi)
{
    return _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), vf_mask(hi) & (__mmask16)~vf_mask(lo), a);
}
MN__INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
MN__INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
MN__INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
MN__INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
MN__INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
/* a where a > b, else b: a NaN in a is passed over */
MN__INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
MN__INLINE vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}
MN__INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
MN__INLINE vf vf_fms(vf a, vf b, vf c)
{
    return _mm512_fmsub_ps(a, b, c);
}
MN__INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
MN__INLINE float vf_sum(vf a)
{
    return _mm512_reduce_add_ps(a);
}
MN__INLINE float vf_top(vf a)
{
    return _mm512_reduce_max_ps(a);
}
MN__INLINE vf vf_pick_negative(vf sign, vf neg, vf pos)
{
    return _mm512_mask_mov_ps(pos, _mm512_movepi32_mask(_mm512_castps_si512(sign)), neg);
}

/* 2 VF_N floats as pairs, taken apart and put together again */
MN__INLINE void vf_unzip(const float *x, vf *even, vf *odd)
{
    const vi i = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    vf a = vf_load(x), b = vf_load(x + 16);
    *even = _mm512_permutex2var_ps(a, i, b);
    *odd = _mm512_permutex2var_ps(a, _mm512_add_epi32(i, _mm512_set1_epi32(1)), b);
}
MN__INLINE void vf_zip(float *x, vf even, vf odd)
{
    const vi i = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    vf_store(x, _mm512_permutex2var_ps(even, i, odd));
    vf_store(x + 16, _mm512_permutex2var_ps(even, _mm512_add_epi32(i, _mm512_set1_epi32(8)), odd));
}

/* bf16 pairs in 32-bit lanes */
MN__INLINE vi vi_load(const void *x)
{
    return _mm512_loadu_si512(x);
}
MN__INLINE void vi_store(void *x, vi a)
{
    _mm512_storeu_si512(x, a);
}
MN__INLINE vf vf_pair_even(vi a)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(a, 16));
}
MN__INLINE vf vf_pair_odd(vi a)
{
    return _mm512_castsi512_ps(_mm512_and_si512(a, _mm512_set1_epi32((int)0xffff0000)));
}
/* The rounding of number_ref.h: the bf16 stands in the upper half of each lane, the lower half is
 * not cleared. */
MN__INLINE vi vi_round_high(vf x)
{
    vi u = _mm512_castps_si512(x);
    vi odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    vi r = _mm512_add_epi32(_mm512_add_epi32(u, odd), _mm512_set1_epi32(0x7fff));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x400000));
}
/* even in the low halves, odd in the high ones */
MN__INLINE vi vi_round_pair(vf even, vf odd)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(vi_round_high(even), 16),
                                   vi_round_high(odd));
}
/* a with one half of each lane replaced by the bf16 of x */
MN__INLINE vi vi_put_even(vi a, vf x)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(vi_round_high(x), 16), a);
}
MN__INLINE vi vi_put_odd(vi a, vf x)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaa, a, vi_round_high(x));
}
MN__INLINE void vf_store_bf16(mn_bf16 *out, vf x)
{
    _mm256_storeu_si256((void *)out,
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(vi_round_high(x), 16)));
}
/* 2 VF_N floats as bf16 in order, and back */
MN__INLINE vi vi_round_row(vf a, vf b)
{
    __m256i lo = _mm512_cvtepi32_epi16(_mm512_srli_epi32(vi_round_high(a), 16));
    __m256i hi = _mm512_cvtepi32_epi16(_mm512_srli_epi32(vi_round_high(b), 16));
    return _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1);
}
MN__INLINE void vi_widen_row(vi x, vf *a, vf *b)
{
    *a = _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(x)), 16));
    *b = _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(x, 1)), 16));
}
MN__INLINE vf vf_load_bf16(const mn_bf16 *x)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)x)), 16));
}
MN__INLINE vf vf_load_i8(const int8_t *x)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)x)));
}
MN__INLINE void vf_store_i8(int8_t *out, vf x)
{
    _mm_storeu_si128((void *)out, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
}

/* The same bits as the other type. */
MN__INLINE vi vi_of_vf(vf a)
{
    return _mm512_castps_si512(a);
}
MN__INLINE vf vf_of_vi(vi a)
{
    return _mm512_castsi512_ps(a);
}
/* Square root of x >= 0 within 2 ulp, 0 where x is below 1e-37: a table's answer, improved once. */
MN__INLINE vf vf_sqrt_fast(vf x)
{
    vf y = _mm512_rsqrt14_ps(_mm512_max_ps(_mm512_set1_ps(1e-37f), x)), s = vf_mul(x, y);
    return vf_fma(vf_mul(vf_set1(0.5f), y), vf_fnma(s, s, x), s);
}

/* e^x for x <= 88, within 1 ulp of what rounding x itself costs; -inf gives 0. Degree 6 on half a
 * binade, 2e-9. */
MN__INLINE vf vf_exp(vf x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-110.0f), x);
    vf n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
    vf r = vf_fnma(n, _mm512_set1_ps(0.693359375f), x);
    r = vf_fnma(n, _mm512_set1_ps(-2.12194440e-4f), r);
    vf p = _mm512_set1_ps(0.0013836742f);
    p = vf_fma(p, r, _mm512_set1_ps(0.0083748987f));
    p = vf_fma(p, r, _mm512_set1_ps(0.041668233f));
    p = vf_fma(p, r, _mm512_set1_ps(0.1666642f));
    p = vf_fma(p, r, _mm512_set1_ps(0.49999991f));
    p = vf_fma(p, r, _mm512_set1_ps(1.0f));
    p = vf_fma(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

/* 2^t within 3e-6, enough for a result that is rounded to bf16; -inf gives 0. scalef takes the
 * floor of its exponent. */
MN__INLINE vf vf_exp2_coarse(vf t)
{
    vf f = _mm512_reduce_ps(t, 9);
    vf p = _mm512_set1_ps(0.013534168f);
    p = vf_fma(p, f, _mm512_set1_ps(0.05201146f));
    p = vf_fma(p, f, _mm512_set1_ps(0.24144275f));
    p = vf_fma(p, f, _mm512_set1_ps(0.69300383f));
    p = vf_fma(p, f, _mm512_set1_ps(1.0000026f));
    return _mm512_scalef_ps(p, t);
}

/* Transpose 16 rows of 16 32-bit lanes, in place. */
MN__INLINE void vi_transpose(vi r[16])
{
    vi t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

#endif
