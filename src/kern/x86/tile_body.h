/* tile_body.h: blocks of R rows x C vector columns held in registers, c[R][C] (+)= a[R][k] *
 * b[k][C]. Everything that multiplies below AVX512-BF16 is made of these. The includer has chosen
 * the vector width (vec_*.h). R and C are constants wherever they are used, so that the
 * accumulators become registers. */
#ifndef MN_KERN_TILE_BODY_H
#define MN_KERN_TILE_BODY_H

#ifdef __clang__
#define MN__UNROLL _Pragma("unroll")
#else
#define MN__UNROLL _Pragma("GCC unroll 16")
#endif

#include "kern/x86/ahead.h"

/* Columns of b: column j starts at b[j], its next step lies ld elements further. With each of its
 * vectors as many bytes of stream j of `ahead` are asked for. */
struct tile_f32 {
    const float *b[4];
    size_t ld;
    struct ahead ahead;
};
struct tile_pair {
    const mn_bf16 *b[4];
    size_t ld;
    struct ahead ahead;
};

typedef vf tile_acc[VF_ROWS_2COL][4];

MN__INLINE void acc_load(int R, int C, tile_acc acc, const float *c, size_t ld_c, int keep)
{
    MN__UNROLL
    for (int r = 0; r < R; r++) MN__UNROLL
    for (int j = 0; j < C; j++)
        acc[r][j] = keep ? vf_load(c + (size_t)r * ld_c + j * VF_N) : vf_set1(0);
}

MN__INLINE void acc_store(int R, int C, tile_acc acc, float *c, size_t ld_c)
{
    MN__UNROLL
    for (int r = 0; r < R; r++) MN__UNROLL
    for (int j = 0; j < C; j++) vf_store(c + (size_t)r * ld_c + j * VF_N, acc[r][j]);
}

/* Four rows per pointer, so that a row is one addressing mode (base, ld, 2 ld, 3 ld) and nothing
 * spills. */
struct tile_a {
    const float *base[3];
    size_t ld, ld3;
};

MN__INLINE struct tile_a tile_a_make(const float *a, size_t ld)
{
    struct tile_a t = {{a, a + 4 * ld, a + 8 * ld}, ld, 3 * ld};
    return t;
}

MN__INLINE void acc_step(int R, int C, tile_acc acc, struct tile_a *a, const vf *b)
{
    MN__UNROLL
    for (int r = 0; r < R; r++) {
        vf x = vf_set1(a->base[r / 4][r % 4 == 3 ? a->ld3 : (size_t)(r % 4) * a->ld]);
        MN__UNROLL
        for (int j = 0; j < C; j++) acc[r][j] = vf_fma(x, b[j], acc[r][j]);
    }
    MN__UNROLL
    for (int g = 0; g < 3; g++) a->base[g]++;
}

MN__INLINE void tile_f32_block(int R, int C, float *c, size_t ld_c, const float *a, size_t ld_a,
                               const struct tile_f32 *t, size_t k, int keep)
{
    tile_acc acc;
    struct tile_a rows = tile_a_make(a, ld_a);
    acc_load(R, C, acc, c, ld_c, keep);
    for (size_t i = 0; i < k; i++) {
        vf b[4];
        MN__UNROLL
        for (int j = 0; j < C; j++) {
            b[j] = vf_load(t->b[j] + i * t->ld);
            if (t->ahead.at[j]) _mm_prefetch(t->ahead.at[j] + i * sizeof(vf), _MM_HINT_T0);
        }
        acc_step(R, C, acc, &rows, b);
    }
    acc_store(R, C, acc, c, ld_c);
}

/* The same with b in bf16 pairs, a already widened; k is even. Even, then odd, so that a widened
 * column is one register. */
MN__INLINE void tile_pair_block(int R, int C, float *c, size_t ld_c, const float *a, size_t ld_a,
                                const struct tile_pair *t, size_t k, int keep)
{
    tile_acc acc;
    struct tile_a rows = tile_a_make(a, ld_a);
    acc_load(R, C, acc, c, ld_c, keep);
    for (size_t i = 0; i < k / 2; i++) {
        vf b[4];
        MN__UNROLL
        for (int j = 0; j < C; j++) {
            b[j] = vf_pair_even(vi_load(t->b[j] + i * t->ld));
            if (t->ahead.at[j]) _mm_prefetch(t->ahead.at[j] + i * sizeof(vf), _MM_HINT_T0);
        }
        acc_step(R, C, acc, &rows, b);
        MN__UNROLL
        for (int j = 0; j < C; j++) b[j] = vf_pair_odd(vi_load(t->b[j] + i * t->ld));
        acc_step(R, C, acc, &rows, b);
    }
    acc_store(R, C, acc, c, ld_c);
}

/* Rows that one block takes of n that are left. */
MN__INLINE size_t tile_take(int C, size_t n)
{
    size_t top = C == 4 ? VF_ROWS_4COL : VF_ROWS_2COL;
    return n >= top ? top : n >= 8 ? 8 : n >= 6 ? 6 : n >= 4 ? 4 : n;
}

/* Any number of rows by C columns of vectors: a block for each size that tile_take gives, what the
 * registers cannot hold being left out when C and the width are constants. */
#define MN__TILE_CASE(name, R, C, top)                                  \
    case R:                                                             \
        if (R <= top) name##_block(R, C, c, ld_c, a, ld_a, t, k, keep); \
        break;
#define MN__TILE_ROWS(name, C, top)                                                             \
    __attribute__((noinline, unused)) static void name##_rows_##C(                              \
        float *c, size_t ld_c, const float *a, size_t ld_a, size_t n_row, const struct name *t, \
        size_t k, int keep)                                                                     \
    {                                                                                           \
        for (size_t n; n_row; n_row -= n, a += n * ld_a, c += n * ld_c) {                       \
            n = tile_take(C, n_row);                                                            \
            switch (n) {                                                                        \
                MN__TILE_CASE(name, 1, C, top)                                                  \
                MN__TILE_CASE(name, 2, C, top)                                                  \
                MN__TILE_CASE(name, 3, C, top)                                                  \
                MN__TILE_CASE(name, 4, C, top)                                                  \
                MN__TILE_CASE(name, 6, C, top)                                                  \
                MN__TILE_CASE(name, 8, C, top)                                                  \
                MN__TILE_CASE(name, 12, C, top)                                                 \
            }                                                                                   \
        }                                                                                       \
    }
#define MN__TILE_ALL(name)                                                                 \
    MN__TILE_ROWS(name, 1, VF_ROWS_2COL)                                                   \
    MN__TILE_ROWS(name, 2, VF_ROWS_2COL)                                                   \
    MN__TILE_ROWS(name, 4, VF_ROWS_4COL)                                                   \
    MN__INLINE void name##_rows(int C, float *c, size_t ld_c, const float *a, size_t ld_a, \
                                size_t n_row, const struct name *t, size_t k, int keep)    \
    {                                                                                      \
        if (C == 4)                                                                        \
            name##_rows_4(c, ld_c, a, ld_a, n_row, t, k, keep);                            \
        else if (C == 2)                                                                   \
            name##_rows_2(c, ld_c, a, ld_a, n_row, t, k, keep);                            \
        else                                                                               \
            name##_rows_1(c, ld_c, a, ld_a, n_row, t, k, keep);                            \
    }
MN__TILE_ALL(tile_f32)
MN__TILE_ALL(tile_pair)

#endif
