/* mm_avx512bf16.c: product of rows with a bf16 panel by dpbf16. */
#include "kern/x86/tile_avx512bf16.h"
#include "kern/x86/x86.h"

void mn__mm_bf16_avx512bf16(float *c, const mn_bf16 *a, size_t ld_a, size_t n_row, const mn_bf16 *b,
                            size_t k)
{
    struct tile_dp t = {{b, b + 32}, 2 * MN__MM_COLS, ahead_none};
    tile_dp_rows(2, c, MN__MM_COLS, a, ld_a, n_row, &t, k / 2, 0);
}

void mn__mm_into_bf16_avx512bf16(float *c, size_t ld_c, int add, const mn_bf16 *a, size_t ld_a,
                                 size_t n_row, const mn_bf16 *b, size_t k, const mn_bf16 *next)
{
    (void)next;
    struct tile_dp t = {{b, b + 32}, 2 * MN__MM_COLS, ahead_none};
    tile_dp_rows(2, c, ld_c, a, ld_a, n_row, &t, k / 2, add);
}
