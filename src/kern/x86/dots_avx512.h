/* dots_avx512.h: how packed weights (kern/dots.h) are read, 16 rows a register. */
#ifndef MN_KERN_DOTS_AVX512_H
#define MN_KERN_DOTS_AVX512_H

#include <immintrin.h>
#include "kern/dots.h"

/* The bits of a format are constants only where all is one function. */
#define MN__INLINE static inline __attribute__((always_inline))

typedef struct group {
    const uint8_t *q, *high, *part, *part_m, *d, *m;
} group;

MN__INLINE group open_group(const void *w, int bits, mn__dots_scale kind, size_t k)
{
    const mn__dots_planes p = mn__dots_layout(bits, kind, k);
    const uint8_t *base = w;
    return (group){base + p.q,      base + p.high, base + p.part,
                   base + p.part_m, base + p.d,    base + p.m};
}

/* (a & mask_a) | (b & mask_b) for masks that complement each other is a choice of bits. */
MN__INLINE __m512i choose(__m512i mask, __m512i a, __m512i b)
{
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

/* Bytes of inputs 4t .. 4t+3 of block b. */
MN__INLINE __m512i bytes_at(const group *g, int bits, size_t b, int t)
{
    const __m512i low = _mm512_set1_epi8(15);
    if (bits == 8) return _mm512_load_si512(g->q + (b * 8 + (size_t)t) * 64);
    __m512i pair = _mm512_load_si512(g->q + (b * 4 + (size_t)t % 4) * 64);
    if (t >= 4) pair = _mm512_srli_epi16(pair, 4);
    if (bits == 4) return _mm512_and_si512(pair, low);
    __m512i high = _mm512_load_si512(g->high + (bits == 5 ? b : b * 2 + (size_t)t / 4) * 64);
    const int from = bits == 5 ? t : t % 4 * 2;
    high = from < 4 ? _mm512_slli_epi16(high, (unsigned)(4 - from))
                    : _mm512_srli_epi16(high, (unsigned)(from - 4));
    return choose(low, pair, _mm512_and_si512(high, _mm512_set1_epi8(bits == 5 ? 16 : 48)));
}

MN__INLINE __m512 halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const void *)p));
}

MN__INLINE __m512 small_unsigned(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_load_si128((const void *)p)));
}

MN__INLINE __m512 small_signed(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128((const void *)p)));
}

#endif
