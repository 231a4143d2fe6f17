/* mm_amx.c: product of rows with a bf16 panel in tiles. */
#include "kern/x86/tile_amx.h"
#include "kern/x86/x86.h"

enum {
    ROWS = MN__MM_ROWS,
    COLS = MN__MM_COLS,
    K_BLOCK = 576, /* deep part of a panel that stays in L1 (36 KB) while all rows pass by */
    K_COPY = 256,  /* deep part of the last rows that is copied at a time */
};

static struct tile_cols panel_cols(const mn_bf16 *b, size_t i)
{
    struct tile_cols t = {{(const char *)(b + i * COLS), (const char *)(b + i * COLS + 32)},
                          COLS * 4};
    return t;
}

/* Fewer than 32 rows: a zero-padded copy of a, piece by piece, and a c of its own; the tiles hold
 * the sums throughout. */
static void mm_last_rows(float *c, size_t ld_c, int add, const mn_bf16 *a, size_t ld_a,
                         size_t n_row, const mn_bf16 *b, size_t k)
{
    mn_bf16 copy[ROWS * K_COPY] __attribute__((aligned(64)));
    float out[ROWS * COLS] __attribute__((aligned(64)));
    memset(copy + n_row * K_COPY, 0, (ROWS - n_row) * K_COPY * sizeof *copy);
    c_zero();
    for (size_t i = 0; i < k; i += K_COPY) {
        size_t n = k - i < K_COPY ? k - i : K_COPY;
        for (size_t r = 0; r < n_row; r++)
            memcpy(copy + r * K_COPY, a + r * ld_a + i, n * sizeof *copy);
        struct tile_cols t = panel_cols(b, i);
        c_add(copy, K_COPY, &t, n / 32, STREAM_NONE, NULL);
    }
    c_store(out, COLS);
    for (size_t r = 0; r < n_row; r++)
        for (size_t j = 0; j < COLS; j++)
            c[r * ld_c + j] = add ? c[r * ld_c + j] + out[r * COLS + j] : out[r * COLS + j];
}

MN__INLINE void mm_tiles(float *c, size_t ld_c, int add, const mn_bf16 *a, size_t ld_a,
                         size_t n_row, const mn_bf16 *b, size_t k, const mn_bf16 *next)
{
    size_t whole = n_row / ROWS * ROWS;
    /* Deeper than L1 and several blocks of rows: equal parts of k, c carried between them in
     * memory. */
    size_t n_part = whole > ROWS ? (k + K_BLOCK - 1) / K_BLOCK : 1;
    size_t k_part = (k / 32 + n_part - 1) / n_part * 32;
    for (size_t i = 0; i < k; i += k_part) {
        size_t n = k - i < k_part ? k - i : k_part;
        struct tile_cols t = panel_cols(b, i);
        struct tile_then then = {next ? (const char *)(next + i * COLS) : NULL,
                                 n * COLS * sizeof *next / 64};
        for (size_t r = 0; r < whole; r += ROWS) {
            if (i == 0 && !add)
                c_zero();
            else
                c_load(c + r * ld_c, ld_c);
            c_add(a + r * ld_a + i, ld_a, &t, n / 32, STREAM_A, next ? &then : NULL);
            c_store(c + r * ld_c, ld_c);
        }
    }
    if (whole < n_row)
        mm_last_rows(c + whole * ld_c, ld_c, add, a + whole * ld_a, ld_a, n_row - whole, b, k);
}

void mn__mm_into_bf16_amx(float *c, size_t ld_c, int add, const mn_bf16 *a, size_t ld_a,
                          size_t n_row, const mn_bf16 *b, size_t k, const mn_bf16 *next)
{
    if (k % 32 || k == 0)
        mn__mm_into_bf16_avx512(c, ld_c, add, a, ld_a, n_row, b, k, next);
    else if (next)
        mm_tiles(c, ld_c, add, a, ld_a, n_row, b, k, next);
    else
        mm_tiles(c, ld_c, add, a, ld_a, n_row, b, k, NULL);
}

void mn__mm_bf16_amx(float *c, const mn_bf16 *a, size_t ld_a, size_t n_row, const mn_bf16 *b,
                     size_t k)
{
    mn__mm_into_bf16_amx(c, COLS, 0, a, ld_a, n_row, b, k, NULL);
}
