/* panel_avx512bf16.c: packed weights to panels of bf16 products: prefill needs no other copy of
 * them, and no row of the file. */
#include "kern/x86/dots_avx512.h"
#include "kern/x86/x86.h"

typedef struct scales {
    __m512 d, m; /* a value is whole * d + m */
} scales;

/* Of inputs 16h .. 16h+15 of block b, for 16 rows. */
MN__INLINE scales scales_at(const group *g, mn__dots_scale kind, int zero, size_t b, size_t h)
{
    const size_t at = (kind == MN__DOTS_K || kind == MN__DOTS_S ? b / 8 : b) * 32;
    scales s = {halves(g->d + at), _mm512_setzero_ps()};
    if (kind == MN__DOTS_K) {
        s.d = _mm512_mul_ps(s.d, small_unsigned(g->part + b * 16));
        s.m = _mm512_mul_ps(_mm512_sub_ps(s.m, halves(g->m + at)),
                            small_unsigned(g->part_m + b * 16));
    } else if (kind == MN__DOTS_S) {
        s.d = _mm512_mul_ps(s.d, small_signed(g->part + (b * 2 + h) * 16));
    } else if (kind == MN__DOTS_DM) {
        s.m = halves(g->m + at);
    }
    if (zero) s.m = _mm512_mul_ps(s.d, _mm512_set1_ps((float)-zero));
    return s;
}

MN__INLINE __m512 value(__m512i whole, const scales *s)
{
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), s->d, s->m);
}

/* Inputs c and c+1 of 16 rows, side by side in each row's place. */
MN__INLINE void put_pair(mn_bf16 *out, __m512 even, __m512 odd)
{
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(order, both));
}

MN__INLINE void panel16(mn_bf16 *out, const void *w, size_t k, int bits, int zero,
                        mn__dots_scale kind)
{
    const group g = open_group(w, bits, kind, k);
    const __m512i byte = _mm512_set1_epi32(255);
    for (size_t b = 0; b < k / MN__DOTS_BLOCK; b++)
#pragma GCC unroll 8
        for (int t = 0; t < 8; t++, out += 2 * 2 * MN__MM_COLS) {
            const scales s = scales_at(&g, kind, zero, b, (size_t)t / 4);
            const __m512i four = bytes_at(&g, bits, b, t);
            put_pair(out, value(_mm512_and_si512(four, byte), &s),
                     value(_mm512_and_si512(_mm512_srli_epi32(four, 8), byte), &s));
            put_pair(out + 2 * MN__MM_COLS,
                     value(_mm512_and_si512(_mm512_srli_epi32(four, 16), byte), &s),
                     value(_mm512_srli_epi32(four, 24), &s));
        }
}

#define X(name, type, bits, zero, kind)                                         \
    void mn__panel16_##name##_avx512bf16(mn_bf16 *out, const void *w, size_t k) \
    {                                                                           \
        panel16(out, w, k, bits, zero, kind);                                   \
    }
MN__DOTS_MAP(X)
#undef X
