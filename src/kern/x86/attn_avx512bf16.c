/* attn_avx512bf16.c: scores and weighted values by dpbf16. Pages are walked outermost, so that each
 * is read once; with few rows (decode) that runs at the speed of memory, with many (prefill) a
 * page's columns stay in L1 for all of them. */
#include "kern/ref/ref.h"
#include "kern/x86/tile_avx512bf16.h"
#include "kern/x86/x86.h"

enum { FEW_ROWS = 8 };

/* All four columns for few rows, two for many. */
static int dp_cols(size_t n_row, size_t n_col)
{
    return n_col >= 4 && n_row <= DP_ROWS_4COL ? 4 : n_col >= 2 ? 2 : 1;
}

void mn__qk_bf16_avx512bf16(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, size_t n_row,
                            const void *const *page, size_t n_tok, size_t d,
                            const void *const *then)
{
    size_t n_page = (n_tok + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS,
           part = MN__PAGE_TOKENS * d * sizeof(mn_bf16);
    for (size_t i = 0; i < n_page; i++) {
        const mn_bf16 *k = page[i];
        size_t left = n_tok - i * MN__PAGE_TOKENS,
               n_block = left < MN__PAGE_TOKENS ? (left + 15) / 16 : 4;
        struct tile_dp t = {.ld = 32};
        if (n_row <= FEW_ROWS) t.ahead = ahead_of(page, i, n_page, 0, part, then);
        int C;
        for (size_t j = 0; j < n_block; j += (size_t)C) {
            C = dp_cols(n_row, n_block - j);
            for (int x = 0; x < C; x++) t.b[x] = k + (j + (size_t)x) * 16 * d;
            tile_dp_rows(C, s + i * MN__PAGE_TOKENS + j * 16, ld_s, q, ld_q, n_row, &t, d / 2, 0);
            ahead_pass(&t.ahead, d / 2 * 64);
        }
    }
}

/* The last token of an odd number: its partner's slot may hold anything, so it is blanked. */
static void pv_odd_token(float *o, size_t ld_o, const mn_bf16 *p, size_t ld_p, size_t n_row,
                         const mn_bf16 *v, size_t d)
{
    for (size_t c = 0; c < d; c += 16) {
        mn_bf16 pair[32];
        struct tile_dp t = {{pair}, 32, ahead_none};
        _mm512_storeu_si512(pair, _mm512_maskz_loadu_epi16(0x55555555, v + c * 2));
        tile_dp_rows(1, o + c, ld_o, p, ld_p, n_row, &t, 1, 1);
    }
}

void mn__pv_bf16_avx512bf16(float *o, size_t ld_o, const float *corr, const mn_bf16 *p, size_t ld_p,
                            size_t n_row, const void *const *page, size_t n_tok, size_t d,
                            const void *const *then)
{
    if (d % 16) {
        mn__pv_bf16_ref(o, ld_o, corr, p, ld_p, n_row, page, n_tok, d, then);
        return;
    }
    for (size_t r = 0; r < n_row; r++)
        for (size_t c = 0; c < d && corr[r] != 1; c += 16)
            _mm512_storeu_ps(o + r * ld_o + c, _mm512_mul_ps(_mm512_loadu_ps(o + r * ld_o + c),
                                                             _mm512_set1_ps(corr[r])));
    size_t n_page = (n_tok + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS,
           part = MN__PAGE_TOKENS * d * sizeof(mn_bf16);
    for (size_t i = 0; i < n_page; i++) {
        const mn_bf16 *v = (const mn_bf16 *)page[i] + MN__PAGE_TOKENS * d,
                      *pi = p + i * MN__PAGE_TOKENS;
        size_t left = n_tok - i * MN__PAGE_TOKENS,
               n_here = left < MN__PAGE_TOKENS ? left : MN__PAGE_TOKENS;
        struct tile_dp t = {.ld = 2 * d};
        if (n_row <= FEW_ROWS) t.ahead = ahead_of(page, i, n_page, part, part, then);
        int C;
        for (size_t c = 0; c < d; c += (size_t)C * 16) {
            C = dp_cols(n_row, (d - c) / 16);
            for (int x = 0; x < C; x++) t.b[x] = v + (c + (size_t)x * 16) * 2;
            tile_dp_rows(C, o + c, ld_o, pi, ld_p, n_row, &t, n_here / 2, 1);
            ahead_pass(&t.ahead, n_here / 2 * 64);
        }
        if (n_here % 2)
            pv_odd_token(o, ld_o, pi + n_here - 1, ld_p, n_row, v + (n_here - 1) * d, d);
    }
}
