/* vec_avx2.h: the vocabulary of vec_avx512.h over 8 floats. */
#ifndef MN_KERN_VEC_AVX2_H
#define MN_KERN_VEC_AVX2_H

#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kern/kern.h"

#define MN__ISA(name) mn__##name##_avx2
#define MN__INLINE    static inline __attribute__((always_inline, unused))

enum { VF_N = 8, VF_ROWS_4COL = 3, VF_ROWS_2COL = 6 };

typedef __m256 vf;
typedef __m256i vi;

MN__INLINE vi vf_mask(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n < 8 ? n : 8)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
MN__INLINE vf vf_load(const float *x)
{
    return _mm256_loadu_ps(x);
}
MN__INLINE void vf_store(float *x, vf a)
{
    _mm256_storeu_ps(x, a);
}
MN__INLINE vf vf_load_n(const float *x, size_t n)
{
    return _mm256_maskload_ps(x, vf_mask(n));
}
MN__INLINE void vf_store_n(float *x, vf a, size_t n)
{
    _mm256_maskstore_ps(x, vf_mask(n), a);
}
MN__INLINE vf vf_keep(vf a, size_t lo, size_t hi)
{
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_andnot_si256(vf_mask(lo), vf_mask(hi))));
}
MN__INLINE vf vf_keep_inf(vf a, size_t lo, size_t hi)
{
    vi m = _mm256_andnot_si256(vf_mask(lo), vf_mask(hi));
    return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), a, _mm256_castsi256_ps(m));
}
MN__INLINE vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}
MN__INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
MN__INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
MN__INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
MN__INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
MN__INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
MN__INLINE vf vf_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
MN__INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
MN__INLINE vf vf_fms(vf a, vf b, vf c)
{
    return _mm256_fmsub_ps(a, b, c);
}
MN__INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
MN__INLINE float vf_sum(vf a)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
MN__INLINE float vf_top(vf a)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
MN__INLINE vf vf_pick_negative(vf sign, vf neg, vf pos)
{
    return _mm256_blendv_ps(pos, neg, sign);
}

MN__INLINE void vf_unzip(const float *x, vf *even, vf *odd)
{
    vf a = vf_load(x), b = vf_load(x + 8);
    vf lo = _mm256_permute2f128_ps(a, b, 0x20), hi = _mm256_permute2f128_ps(a, b, 0x31);
    *even = _mm256_shuffle_ps(lo, hi, 0x88);
    *odd = _mm256_shuffle_ps(lo, hi, 0xdd);
}
MN__INLINE void vf_zip(float *x, vf even, vf odd)
{
    vf lo = _mm256_unpacklo_ps(even, odd), hi = _mm256_unpackhi_ps(even, odd);
    vf_store(x, _mm256_permute2f128_ps(lo, hi, 0x20));
    vf_store(x + 8, _mm256_permute2f128_ps(lo, hi, 0x31));
}

MN__INLINE vi vi_load(const void *x)
{
    return _mm256_loadu_si256(x);
}
MN__INLINE void vi_store(void *x, vi a)
{
    _mm256_storeu_si256(x, a);
}
MN__INLINE vf vf_pair_even(vi a)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(a, 16));
}
MN__INLINE vf vf_pair_odd(vi a)
{
    return _mm256_castsi256_ps(_mm256_and_si256(a, _mm256_set1_epi32((int)0xffff0000)));
}
MN__INLINE vi vi_round_high(vf x)
{
    vi u = _mm256_castps_si256(x);
    vi odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    vi r = _mm256_add_epi32(_mm256_add_epi32(u, odd), _mm256_set1_epi32(0x7fff));
    vi quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    vf nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_blendv_epi8(r, quiet, _mm256_castps_si256(nan));
}
MN__INLINE vi vi_round_pair(vf even, vf odd)
{
    return _mm256_blend_epi16(_mm256_srli_epi32(vi_round_high(even), 16), vi_round_high(odd), 0xaa);
}
MN__INLINE vi vi_put_even(vi a, vf x)
{
    return _mm256_blend_epi16(_mm256_srli_epi32(vi_round_high(x), 16), a, 0xaa);
}
MN__INLINE vi vi_put_odd(vi a, vf x)
{
    return _mm256_blend_epi16(a, vi_round_high(x), 0xaa);
}
MN__INLINE void vf_store_bf16(mn_bf16 *out, vf x)
{
    vi r = _mm256_srli_epi32(vi_round_high(x), 16);
    _mm_storeu_si128((void *)out,
                     _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1)));
}
MN__INLINE vi vi_round_row(vf a, vf b)
{
    vi lo = _mm256_srli_epi32(vi_round_high(a), 16), hi = _mm256_srli_epi32(vi_round_high(b), 16);
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xd8);
}
MN__INLINE void vi_widen_row(vi x, vf *a, vf *b)
{
    *a = _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(x)), 16));
    *b = _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm256_extracti128_si256(x, 1)), 16));
}
MN__INLINE vf vf_load_bf16(const mn_bf16 *x)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)x)), 16));
}
MN__INLINE vf vf_load_i8(const int8_t *x)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)x)));
}
MN__INLINE void vf_store_i8(int8_t *out, vf x)
{
    vi w = _mm256_cvtps_epi32(x);
    __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
    _mm_storel_epi64((void *)out, _mm_packs_epi16(h, h));
}

MN__INLINE vi vi_of_vf(vf a)
{
    return _mm256_castps_si256(a);
}
MN__INLINE vf vf_of_vi(vi a)
{
    return _mm256_castsi256_ps(a);
}
/* As in vec_avx512.h; this table knows 12 bits, so that 2 ulp take the same one step. */
MN__INLINE vf vf_sqrt_fast(vf x)
{
    vf y = _mm256_rsqrt_ps(_mm256_max_ps(_mm256_set1_ps(1e-37f), x)), s = vf_mul(x, y);
    return vf_fma(vf_mul(vf_set1(0.5f), y), vf_fnma(s, s, x), s);
}

/* 2^n for whole n in [-127, 127]; -127 gives 0, which is where the clamps below send -inf */
MN__INLINE vf vf_pow2(vf n)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

/* As in vec_avx512.h, but what would be denormal is 0. */
MN__INLINE vf vf_exp(vf x)
{
    x = _mm256_max_ps(_mm256_set1_ps(-88.0f), x);
    vf n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                           _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    vf r = vf_fnma(n, _mm256_set1_ps(0.693359375f), x);
    r = vf_fnma(n, _mm256_set1_ps(-2.12194440e-4f), r);
    vf p = _mm256_set1_ps(0.0013836742f);
    p = vf_fma(p, r, _mm256_set1_ps(0.0083748987f));
    p = vf_fma(p, r, _mm256_set1_ps(0.041668233f));
    p = vf_fma(p, r, _mm256_set1_ps(0.1666642f));
    p = vf_fma(p, r, _mm256_set1_ps(0.49999991f));
    p = vf_fma(p, r, _mm256_set1_ps(1.0f));
    p = vf_fma(p, r, _mm256_set1_ps(1.0f));
    return _mm256_mul_ps(p, vf_pow2(n));
}

MN__INLINE vf vf_exp2_coarse(vf t)
{
    t = _mm256_max_ps(_mm256_set1_ps(-127.0f), t);
    vf n = _mm256_floor_ps(t), f = _mm256_sub_ps(t, n);
    vf p = _mm256_set1_ps(0.013534168f);
    p = vf_fma(p, f, _mm256_set1_ps(0.05201146f));
    p = vf_fma(p, f, _mm256_set1_ps(0.24144275f));
    p = vf_fma(p, f, _mm256_set1_ps(0.69300383f));
    p = vf_fma(p, f, _mm256_set1_ps(1.0000026f));
    return _mm256_mul_ps(p, vf_pow2(n));
}

/* Transpose 8 rows of 8 32-bit lanes, in place. */
MN__INLINE void vi_transpose(vi r[8])
{
    vi t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x31);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

#endif
