/* dots_avx512vnni.h: many rows of activations times two groups of weights. 256 inputs of the groups
 * are unpacked to bytes once and stay in L1 while the rows pass by, eight at a time: each four
 * inputs of a row, spread once, meet both groups. Every number is rounded where the dot of a
 * single row rounds it, so a row's bits do not depend on its neighbours. */
#ifndef MN_KERN_DOTS_AVX512VNNI_H
#define MN_KERN_DOTS_AVX512VNNI_H

#include <string.h>
#include "kern/x86/dots_avx512.h"

enum {
    SPAN = 8,   /* blocks of 32 inputs that are unpacked at a time */
    CHUNK = 32, /* rows that meet them: these, their sums and the weights fill half of L1 */
    PAIR = 2,   /* groups */
    BEST = 8,   /* rows whose sums are in registers */
};

typedef struct rows {
    const int8_t *q;
    const float *scale;
    const int32_t *sum;
    size_t ld; /* bytes between rows of each */
    size_t n, k;
} rows;

typedef struct span {
    __m512i w[SPAN][8][PAIR];                /* four inputs of 16 outputs each, as bytes */
    __m512 d[2 * SPAN][PAIR], m[SPAN][PAIR]; /* factors of blocks; S: of 16 inputs */
    __m512 super_d[PAIR], super_m[PAIR];     /* K and S */
    size_t first, n;                         /* blocks */
} span;

/* What the rows of a chunk have come to. Side by side: at a distance of 4 KB a store to one would
 * hold up the load of the other. */
typedef struct totals {
    struct {
        __m512 sum[PAIR], least[PAIR];
    } row[CHUNK];
} totals;

MN__INLINE __m512i four_inputs(const int8_t *x)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    return _mm512_set1_epi32(word);
}

/* Row r of rows that are `ld` bytes apart. */
#define MN__ROW(base, r, ld) ((const void *)((const char *)(base) + (size_t)(r) * (ld)))

MN__INLINE rows rows_from(const rows *x, size_t at, size_t most)
{
    return (rows){MN__ROW(x->q, at, x->ld),
                  MN__ROW(x->scale, at, x->ld),
                  MN__ROW(x->sum, at, x->ld),
                  x->ld,
                  x->n - at < most ? x->n - at : most,
                  x->k};
}

/* Block i of a span. */
MN__INLINE void unpack(span *s, size_t i, const group g[PAIR], int bits, mn__dots_scale kind)
{
    const size_t b = s->first + i;
#pragma GCC unroll 2
    for (int h = 0; h < PAIR; h++) {
#pragma GCC unroll 8
        for (int t = 0; t < 8; t++) s->w[i][t][h] = bytes_at(&g[h], bits, b, t);
        if (kind == MN__DOTS_D || kind == MN__DOTS_DM) s->d[i][h] = halves(g[h].d + b * 32);
        if (kind == MN__DOTS_DM) s->m[i][h] = halves(g[h].m + b * 32);
        if (kind == MN__DOTS_K) {
            s->d[i][h] = small_unsigned(g[h].part + b * 16);
            s->m[i][h] = small_unsigned(g[h].part_m + b * 16);
        }
        if (kind == MN__DOTS_S) {
            s->d[2 * i][h] = small_signed(g[h].part + b * 32);
            s->d[2 * i + 1][h] = small_signed(g[h].part + b * 32 + 16);
        }
    }
}

MN__INLINE void unpack_super(span *s, const group g[PAIR], mn__dots_scale kind)
{
    for (int h = 0; h < PAIR; h++) {
        if (kind == MN__DOTS_K || kind == MN__DOTS_S)
            s->super_d[h] = halves(g[h].d + s->first / SPAN * 32);
        if (kind == MN__DOTS_K) s->super_m[h] = halves(g[h].m + s->first / SPAN * 32);
    }
}

/* sum += w times inputs 4*first .. 4*end-1 of n rows. */
MN__INLINE void multiply(__m512i sum[][PAIR], const __m512i w[][PAIR], const int8_t *q, size_t ld,
                         const int of[3])
{
    const int n = of[0], first = of[1], end = of[2];
#pragma GCC unroll 8
    for (int t = first; t < end; t++) {
        const __m512i w0 = w[t][0], w1 = w[t][1];
#pragma GCC unroll 8
        for (int r = 0; r < n; r++) {
            const __m512i x = four_inputs(q + (size_t)r * ld + 4 * t);
            sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], w0, x);
            sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], w1, x);
        }
    }
}

/* The scale of a block of a row, everywhere; and times the sum of the row's inputs. */
MN__INLINE __m512 scale_at(const rows *x, int r, size_t b)
{
    return _mm512_set1_ps(((const float *)MN__ROW(x->scale, r, x->ld))[b]);
}

MN__INLINE __m512i sum_at(const rows *x, int r, size_t b)
{
    return _mm512_set1_epi32(((const int32_t *)MN__ROW(x->sum, r, x->ld))[b]);
}

/* n rows, scales per 32. A sum of 32 inputs fits into the lower 16 bits of its word, which one
 * multiply-add of words takes off `zero` times. */
MN__INLINE void meet_per_32(totals *t, size_t at, const span *s, const rows *x, int zero,
                            mn__dots_scale kind, int n)
{
    const __m512i minus = _mm512_set1_epi32((uint16_t)-zero);
    __m512 total[BEST][PAIR], least[BEST][PAIR];
    for (int r = 0; r < n; r++)
        for (int h = 0; h < PAIR; h++) {
            total[r][h] = t->row[at + (size_t)r].sum[h];
            least[r][h] = t->row[at + (size_t)r].least[h];
        }
    for (size_t i = 0; i < s->n; i++) {
        const size_t b = s->first + i;
        __m512i sum[BEST][PAIR];
#pragma GCC unroll 8
        for (int r = 0; r < n; r++) sum[r][0] = sum[r][1] = _mm512_setzero_si512();
        multiply(sum, s->w[i], x->q + b * 32, x->ld, (const int[]){n, 0, 8});
#pragma GCC unroll 8
        for (int r = 0; r < n; r++) {
            const __m512 scale = scale_at(x, r, b);
            const __m512i inputs = sum_at(x, r, b);
            const __m512 most = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(inputs));
#pragma GCC unroll 2
            for (int h = 0; h < PAIR; h++) {
                if (kind == MN__DOTS_D) sum[r][h] = _mm512_dpwssd_epi32(sum[r][h], minus, inputs);
                total[r][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][h]),
                                              _mm512_mul_ps(s->d[i][h], scale), total[r][h]);
                if (kind == MN__DOTS_DM)
                    least[r][h] = _mm512_fmadd_ps(s->m[i][h], most, least[r][h]);
            }
        }
    }
    for (int r = 0; r < n; r++)
        for (int h = 0; h < PAIR; h++) {
            t->row[at + (size_t)r].sum[h] = total[r][h];
            t->row[at + (size_t)r].least[h] = least[r][h];
        }
}

MN__INLINE void meet_k(totals *t, size_t at, const span *s, const rows *x, int n)
{
    __m512 part[BEST][PAIR], least[BEST][PAIR];
    for (int r = 0; r < n; r++)
        for (int h = 0; h < PAIR; h++) part[r][h] = least[r][h] = _mm512_setzero_ps();
    for (size_t i = 0; i < SPAN; i++) {
        const size_t b = s->first + i;
        __m512i sum[BEST][PAIR];
#pragma GCC unroll 8
        for (int r = 0; r < n; r++) sum[r][0] = sum[r][1] = _mm512_setzero_si512();
        multiply(sum, s->w[i], x->q + b * 32, x->ld, (const int[]){n, 0, 8});
#pragma GCC unroll 8
        for (int r = 0; r < n; r++) {
            const __m512 scale = scale_at(x, r, b),
                         most = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum_at(x, r, b)));
#pragma GCC unroll 2
            for (int h = 0; h < PAIR; h++) {
                part[r][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][h]),
                                             _mm512_mul_ps(s->d[i][h], scale), part[r][h]);
                least[r][h] = _mm512_fmadd_ps(s->m[i][h], most, least[r][h]);
            }
        }
    }
    for (int r = 0; r < n; r++)
        for (int h = 0; h < PAIR; h++) {
            __m512 *total = &t->row[at + (size_t)r].sum[h];
            *total = _mm512_fmadd_ps(part[r][h], s->super_d[h], *total);
            *total = _mm512_fnmadd_ps(least[r][h], s->super_m[h], *total);
        }
}

/* -zero times the sums of each 16 of 256 inputs, every one in four words. */
MN__INLINE void offsets(int32_t *out, const int8_t *x, int zero)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const __m512i s = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8((char)zero),
                                              _mm512_load_si512(x + 64 * i));
        const __m512i two = _mm512_add_epi32(s, _mm512_shuffle_epi32(s, _MM_PERM_BADC));
        const __m512i four = _mm512_add_epi32(two, _mm512_shuffle_epi32(two, _MM_PERM_CDAB));
        _mm512_storeu_si512(out + 16 * i, _mm512_sub_epi32(_mm512_setzero_si512(), four));
    }
}

MN__INLINE void meet_s(totals *t, size_t at, const span *s, const rows *x, int zero, int n)
{
    __m512 part[BEST][PAIR];
    int32_t offset[BEST][8 * SPAN];
    for (int r = 0; r < n; r++) {
        part[r][0] = part[r][1] = _mm512_setzero_ps();
        offsets(offset[r], x->q + (size_t)r * x->ld + s->first * 32, zero);
    }
    for (size_t i = 0; i < SPAN; i++) {
        const size_t b = s->first + i;
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            __m512i sum[BEST][PAIR];
#pragma GCC unroll 8
            for (int r = 0; r < n; r++)
                sum[r][0] = sum[r][1] = _mm512_set1_epi32(offset[r][8 * i + 4 * (size_t)half]);
            multiply(sum, s->w[i], x->q + b * 32, x->ld, (const int[]){n, 4 * half, 4 * half + 4});
#pragma GCC unroll 8
            for (int r = 0; r < n; r++)
#pragma GCC unroll 2
                for (int h = 0; h < PAIR; h++)
                    part[r][h] = _mm512_fmadd_ps(
                        _mm512_cvtepi32_ps(sum[r][h]),
                        _mm512_mul_ps(s->d[2 * i + (size_t)half][h], scale_at(x, r, b)),
                        part[r][h]);
        }
    }
    for (int r = 0; r < n; r++)
        for (int h = 0; h < PAIR; h++) {
            __m512 *total = &t->row[at + (size_t)r].sum[h];
            *total = _mm512_fmadd_ps(part[r][h], s->super_d[h], *total);
        }
}

MN__INLINE void meet(totals *t, size_t at, const span *s, const rows *x, int zero,
                     mn__dots_scale kind, int n)
{
    const rows some = rows_from(x, at, BEST);
    if (kind == MN__DOTS_K)
        meet_k(t, at, s, &some, n);
    else if (kind == MN__DOTS_S)
        meet_s(t, at, s, &some, zero, n);
    else
        meet_per_32(t, at, s, &some, zero, kind, n);
}

/* All rows of a chunk meet a span; one function for all formats of a kind. */
#define MN__MEET_ALL(name, kind)                                                                  \
    static __attribute__((noinline)) void name(totals *t, const span *s, const rows *x, int zero) \
    {                                                                                             \
        size_t r = 0;                                                                             \
        for (; r + BEST <= x->n; r += BEST) meet(t, r, s, x, zero, kind, BEST);                   \
        for (; r + 4 <= x->n; r += 4) meet(t, r, s, x, zero, kind, 4);                            \
        for (; r < x->n; r++) meet(t, r, s, x, zero, kind, 1);                                    \
    }
MN__MEET_ALL(meet_all_d, MN__DOTS_D)
MN__MEET_ALL(meet_all_dm, MN__DOTS_DM)
MN__MEET_ALL(meet_all_k, MN__DOTS_K)
MN__MEET_ALL(meet_all_s, MN__DOTS_S)
#undef MN__MEET_ALL

MN__INLINE void meet_all(totals *t, const span *s, const rows *x, int zero, mn__dots_scale kind)
{
    switch (kind) {
    case MN__DOTS_D: meet_all_d(t, s, x, zero); break;
    case MN__DOTS_DM: meet_all_dm(t, s, x, zero); break;
    case MN__DOTS_K: meet_all_k(t, s, x, zero); break;
    case MN__DOTS_S: meet_all_s(t, s, x, zero); break;
    }
}

#endif
