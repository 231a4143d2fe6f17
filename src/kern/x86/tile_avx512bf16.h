/* tile_avx512bf16.h: blocks of R rows x C columns of 16 in registers, c[R][C] (+)= a[R][k] *
 * b[k][C], by the dot product of bf16 pairs. R and C are constants wherever they are used, so that
 * the accumulators become registers. */
#ifndef MN_KERN_TILE_AVX512BF16_H
#define MN_KERN_TILE_AVX512BF16_H

#include <immintrin.h>
#include <string.h>
#include "kern/x86/ahead.h"

#define MN__INLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define MN__UNROLL _Pragma("unroll")
#else
#define MN__UNROLL _Pragma("GCC unroll 16")
#endif

enum { DP_ROWS_4COL = 6, DP_ROWS_2COL = 12, DP_ROWS_MAX = 12 };

/* Columns of b: column j starts at b[j], its next pair lies ld elements further. With each of its
 * vectors as many bytes of stream j of `ahead` are asked for. */
struct tile_dp {
    const mn_bf16 *b[4];
    size_t ld;
    struct ahead ahead;
};

typedef __m512 dp_acc[DP_ROWS_MAX][4];

MN__INLINE __m512 dp_pair(__m512 acc, const char *a, __m512i b)
{
    int32_t pair;
    memcpy(&pair, a, sizeof pair);
    return _mm512_dpbf16_ps(acc, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)b);
}

MN__INLINE void tile_dp_block(int R, int C, float *c, size_t ld_c, const mn_bf16 *a, size_t ld_a,
                              const struct tile_dp *t, size_t n_pair, int keep)
{
    dp_acc acc;
    /* four rows per pointer: a row is one addressing mode (base, ld, 2 ld, 3 ld) and nothing spills
     */
    const char *base[3] = {(const char *)a, (const char *)(a + 4 * ld_a),
                           (const char *)(a + 8 * ld_a)};
    size_t ld = ld_a * sizeof *a, ld3 = 3 * ld;
    MN__UNROLL
    for (int r = 0; r < R; r++) MN__UNROLL
    for (int j = 0; j < C; j++)
        acc[r][j] = keep ? _mm512_loadu_ps(c + (size_t)r * ld_c + j * 16) : _mm512_setzero_ps();
    for (size_t i = 0; i < n_pair; i++) {
        __m512i b[4];
        MN__UNROLL
        for (int j = 0; j < C; j++) {
            b[j] = _mm512_loadu_si512(t->b[j] + i * t->ld);
            if (t->ahead.at[j]) _mm_prefetch(t->ahead.at[j] + i * sizeof(__m512), _MM_HINT_T0);
        }
        MN__UNROLL
        for (int r = 0; r < R; r++) MN__UNROLL
        for (int j = 0; j < C; j++)
            acc[r][j] =
                dp_pair(acc[r][j], base[r / 4] + (r % 4 == 3 ? ld3 : (size_t)(r % 4) * ld), b[j]);
        MN__UNROLL
        for (int g = 0; g < 3; g++) base[g] += 4;
    }
    MN__UNROLL
    for (int r = 0; r < R; r++) MN__UNROLL
    for (int j = 0; j < C; j++) _mm512_storeu_ps(c + (size_t)r * ld_c + j * 16, acc[r][j]);
}

/* Rows that one block takes of n that are left. */
MN__INLINE size_t dp_take(int C, size_t n)
{
    size_t top = C == 4 ? DP_ROWS_4COL : DP_ROWS_2COL;
    return n >= top ? top : n >= 8 ? 8 : n >= 6 ? 6 : n >= 4 ? 4 : n;
}

#define MN__DP_CASE(R, C, top)                                                \
    case R:                                                                   \
        if (R <= top) tile_dp_block(R, C, c, ld_c, a, ld_a, t, n_pair, keep); \
        break;
#define MN__DP_ROWS(C, top)                                                 \
    __attribute__((noinline, unused)) static void tile_dp_rows_##C(         \
        float *c, size_t ld_c, const mn_bf16 *a, size_t ld_a, size_t n_row, \
        const struct tile_dp *t, size_t n_pair, int keep)                   \
    {                                                                       \
        for (size_t n; n_row; n_row -= n, a += n * ld_a, c += n * ld_c) {   \
            n = dp_take(C, n_row);                                          \
            switch (n) {                                                    \
                MN__DP_CASE(1, C, top)                                      \
                MN__DP_CASE(2, C, top)                                      \
                MN__DP_CASE(3, C, top)                                      \
                MN__DP_CASE(4, C, top)                                      \
                MN__DP_CASE(6, C, top)                                      \
                MN__DP_CASE(8, C, top)                                      \
                MN__DP_CASE(12, C, top)                                     \
            }                                                               \
        }                                                                   \
    }
MN__DP_ROWS(1, DP_ROWS_2COL)
MN__DP_ROWS(2, DP_ROWS_2COL)
MN__DP_ROWS(4, DP_ROWS_4COL)

/* Any number of rows by C columns. */
MN__INLINE void tile_dp_rows(int C, float *c, size_t ld_c, const mn_bf16 *a, size_t ld_a,
                             size_t n_row, const struct tile_dp *t, size_t n_pair, int keep)
{
    if (C == 4)
        tile_dp_rows_4(c, ld_c, a, ld_a, n_row, t, n_pair, keep);
    else if (C == 2)
        tile_dp_rows_2(c, ld_c, a, ld_a, n_row, t, n_pair, keep);
    else
        tile_dp_rows_1(c, ld_c, a, ld_a, n_row, t, n_pair, keep);
}

#endif
