/* tile_amx.h: the step that all AMX products share. Tiles: 0-3 c as 2 x 2 blocks of 16 x 16, 4-5 rows of a, 6-7 columns of b. */
#ifndef MN_KERN_TILE_AMX_H
#define MN_KERN_TILE_AMX_H

#include <immintrin.h>
#include <string.h>
#include "kern/kern.h"

#define MN__INLINE static inline __attribute__((always_inline, unused))

/* Before tiles are loaded from memory that this file has written: GCC 12's _tile_loadd does not say that it reads memory, so the
 * stores could be moved behind it or dropped. */
#define MN__TILES_WRITTEN() __asm__ volatile("" : : : "memory")

/* Strides in bytes. Column block j of b starts at b[j]; sixteen pairs further down lies its next tile. */
struct tile_cols {
    const char *b[2];
    size_t ld;
};

MN__INLINE void c_zero(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

MN__INLINE void c_load(const float *c, size_t ld_c)
{
    MN__TILES_WRITTEN();
    _tile_loadd(0, c, ld_c * 4);
    _tile_loadd(1, c + 16, ld_c * 4);
    _tile_loadd(2, c + 16 * ld_c, ld_c * 4);
    _tile_loadd(3, c + 16 * ld_c + 16, ld_c * 4);
}

MN__INLINE void c_store(float *c, size_t ld_c)
{
    _tile_stored(0, c, ld_c * 4);
    _tile_stored(1, c + 16, ld_c * 4);
    _tile_stored(2, c + 16 * ld_c, ld_c * 4);
    _tile_stored(3, c + 16 * ld_c + 16, ld_c * 4);
}

/* c (32 x 32) += a (32 rows, n_step * 32 deep) * b. Rows of a are read once per block of b and would push b out of L1, so they
 * come by the streaming load: with b in L1 and a in L2 this is what lifts the product from 58% to 80% of peak. */
MN__INLINE void c_add(const mn_bf16 *a, size_t ld_a, struct tile_cols t, size_t n_step)
{
    const mn_bf16 *a1 = a + 16 * ld_a;
    MN__TILES_WRITTEN();
    for (size_t i = 0; i < n_step; i++) {
        _tile_loadd(6, t.b[0], t.ld);
        _tile_stream_loadd(4, a, ld_a * 2);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, t.b[1], t.ld);
        _tile_dpbf16ps(1, 4, 7);
        _tile_stream_loadd(5, a1, ld_a * 2);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        a += 32;
        a1 += 32;
        t.b[0] += 16 * t.ld;
        t.b[1] += 16 * t.ld;
    }
}

#endif
