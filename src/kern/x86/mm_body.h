/* mm_body.h: products with a bf16 panel in f32 arithmetic; included once per width. */
#include "kern/x86/tile_body.h"

enum { MM_CHUNK = 256, MM_LD = MM_CHUNK + 16, MM_COLS = 2 * VF_N };

/* n_row <= VF_ROWS_2COL rows of a, channels [0, k) widened to scratch */
static void mm_widen(float *out, const mn_bf16 *a, size_t ld_a, size_t n_row, size_t k)
{
    for (size_t r = 0; r < n_row; r++) {
        size_t i = 0;
        for (; i + VF_N <= k; i += VF_N)
            vf_store(out + r * MM_LD + i, vf_load_bf16(a + r * ld_a + i));
        for (; i < k; i++) {
            uint32_t u = (uint32_t)a[r * ld_a + i] << 16;
            memcpy(out + r * MM_LD + i, &u, sizeof u);
        }
    }
}

static void mm_rows(float *c, size_t ld_c, int add, const mn_bf16 *a, size_t ld_a, size_t n_row,
                    const mn_bf16 *b, size_t k)
{
    float wide[VF_ROWS_2COL * MM_LD];
    for (size_t r = 0; r < n_row && k == 0 && !add; r++)
        memset(c + r * ld_c, 0, MN__MM_COLS * sizeof *c);
    for (size_t n; n_row; n_row -= n, a += n * ld_a, c += n * ld_c) {
        n = n_row < VF_ROWS_2COL ? n_row : VF_ROWS_2COL;
        for (size_t i = 0; i < k; i += MM_CHUNK) {
            size_t k_here = k - i < MM_CHUNK ? k - i : MM_CHUNK;
            mm_widen(wide, a + i, ld_a, n, k_here);
            for (size_t j = 0; j < MN__MM_COLS; j += MM_COLS) {
                const mn_bf16 *at = b + i * MN__MM_COLS + j * 2;
                struct tile_pair t = {{at, at + 2 * VF_N}, 2 * MN__MM_COLS, ahead_none};
                tile_pair_rows(2, c + j, ld_c, wide, MM_LD, n, &t, k_here, add || i > 0);
            }
        }
    }
}

void MN__ISA(mm_bf16)(float *c, const mn_bf16 *a, size_t ld_a, size_t n_row, const mn_bf16 *b,
                      size_t k)
{
    mm_rows(c, MN__MM_COLS, 0, a, ld_a, n_row, b, k);
}

void MN__ISA(mm_into_bf16)(float *c, size_t ld_c, int add, const mn_bf16 *a, size_t ld_a,
                           size_t n_row, const mn_bf16 *b, size_t k, const mn_bf16 *next)
{
    (void)next;
    mm_rows(c, ld_c, add, a, ld_a, n_row, b, k);
}

/* VF_N outputs by 2 VF_N inputs of a panel at a time: round to pairs, transpose, store. What w
 * lacks is zero. */
static void mm_pack_block(mn_bf16 *b, const float *w, size_t ld_w, size_t n_row, size_t k)
{
    vi r[VF_N];
    if (n_row >= VF_N && k >= 2 * VF_N)
        for (size_t j = 0; j < VF_N; j++)
            r[j] = vi_round_row(vf_load(w + j * ld_w), vf_load(w + j * ld_w + VF_N));
    else
        for (size_t j = 0; j < VF_N; j++) {
            float x[2 * VF_N] = {0};
            if (j < n_row) memcpy(x, w + j * ld_w, (k < 2 * VF_N ? k : 2 * VF_N) * sizeof *x);
            r[j] = vi_round_row(vf_load(x), vf_load(x + VF_N));
        }
    vi_transpose(r);
    for (size_t i = 0; i < VF_N; i++) vi_store(b + i * 2 * MN__MM_COLS, r[i]);
}

void MN__ISA(mm_pack_bf16)(mn_bf16 *b, const float *w, size_t ld_w, size_t n_row, size_t k,
                           size_t k_pad)
{
    for (size_t i = 0; i < k_pad; i += 2 * VF_N)
        for (size_t j = 0; j < MN__MM_COLS; j += VF_N) {
            size_t rows = n_row > j ? n_row - j : 0, left = k > i ? k - i : 0;
            const float *at = rows && left ? w + j * ld_w + i : w; /* no address outside w */
            mm_pack_block(b + i * MN__MM_COLS + j * 2, at, ld_w, rows, left);
        }
}
