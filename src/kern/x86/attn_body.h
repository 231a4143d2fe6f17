/* attn_body.h: scores and weighted values in f32 arithmetic; included once per width. A page's K
 * columns of VF_N tokens, or V columns of VF_N channels, feed the register blocks of tile_body.h.
 * Pages are walked outermost, so that each is read once. */
#include "kern/ref/ref.h"
#include "kern/x86/tile_body.h"

/* Widest row of q that is widened on the stack; larger heads than any model's go to the plain
 * kernel. */
enum { ATTN_D_MAX = 1024, ATTN_ROWS = 8, PAGE_COLS = MN__PAGE_TOKENS / VF_N };

static void attn_widen(float *out, size_t ld_out, const mn_bf16 *x, size_t ld_x, size_t n_row,
                       size_t n)
{
    for (size_t r = 0; r < n_row; r++) {
        size_t i = 0;
        for (; i + VF_N <= n; i += VF_N)
            vf_store(out + r * ld_out + i, vf_load_bf16(x + r * ld_x + i));
        for (; i < n; i++) {
            uint32_t u = (uint32_t)x[r * ld_x + i] << 16;
            memcpy(out + r * ld_out + i, &u, sizeof u);
        }
    }
}

/* Columns of vectors that a block of rows is given: all four registers deep for few rows, two for
 * many. */
static int attn_cols(size_t n_row, size_t n_col)
{
    return n_col >= 4 && n_row <= VF_ROWS_4COL ? 4 : n_col >= 2 ? 2 : 1;
}

/* Start of token column j (of VF_N tokens) in K, whose blocks of 16 tokens hold w elements per
 * token and step. */
static size_t key_col(size_t j, size_t d, size_t w)
{
    return j * VF_N / 16 * 16 * d + j * VF_N % 16 * w;
}

static void qk_pair_page(float *s, size_t ld_s, const float *q, size_t n_row, const mn_bf16 *k,
                         size_t n_col, size_t d, struct ahead next)
{
    int C;
    for (size_t j = 0; j < n_col; j += (size_t)C) {
        struct tile_pair t = {.ld = 32, .ahead = next};
        C = attn_cols(n_row, n_col - j);
        for (int i = 0; i < C; i++) t.b[i] = k + key_col(j + (size_t)i, d, 2);
        tile_pair_rows(C, s + j * VF_N, ld_s, q, d, n_row, &t, d, 0);
        ahead_pass(&next, d / 2 * sizeof(vf));
    }
}

void MN__ISA(qk_bf16)(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, size_t n_row,
                      const void *const *page, size_t n_tok, size_t d, const void *const *then)
{
    float wide[ATTN_ROWS * ATTN_D_MAX];
    if (d > ATTN_D_MAX) {
        mn__qk_bf16_ref(s, ld_s, q, ld_q, n_row, page, n_tok, d, then);
        return;
    }
    size_t n_page = (n_tok + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS,
           part = MN__PAGE_TOKENS * d * sizeof(mn_bf16);
    for (size_t n; n_row; n_row -= n, s += n * ld_s, q += n * ld_q) {
        n = n_row < ATTN_ROWS ? n_row : ATTN_ROWS;
        attn_widen(wide, d, q, ld_q, n, d);
        for (size_t i = 0; i < n_page; i++) {
            size_t left = n_tok - i * MN__PAGE_TOKENS;
            size_t n_col = left >= MN__PAGE_TOKENS ? PAGE_COLS : (left + 15) / 16 * (16 / VF_N);
            qk_pair_page(s + i * MN__PAGE_TOKENS, ld_s, wide, n, page[i], n_col, d,
                         n_row <= ATTN_ROWS ? ahead_of(page, i, n_page, 0, part, then)
                                            : ahead_none);
        }
    }
}

void MN__ISA(qk_f32)(float *s, size_t ld_s, const float *q, size_t ld_q, size_t n_row,
                     const void *const *page, size_t n_tok, size_t d, const void *const *then)
{
    size_t n_page = (n_tok + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS,
           part = MN__PAGE_TOKENS * d * sizeof(float);
    for (size_t i = 0; i < n_page; i++) {
        size_t left = n_tok - i * MN__PAGE_TOKENS;
        size_t n_col = left >= MN__PAGE_TOKENS ? PAGE_COLS : (left + 15) / 16 * (16 / VF_N);
        struct tile_f32 t = {.ld = 16};
        if (n_row <= ATTN_ROWS) t.ahead = ahead_of(page, i, n_page, 0, part, then);
        int C;
        for (size_t j = 0; j < n_col; j += (size_t)C) {
            C = attn_cols(n_row, n_col - j);
            for (int x = 0; x < C; x++)
                t.b[x] = (const float *)page[i] + key_col(j + (size_t)x, d, 1);
            tile_f32_rows(C, s + i * MN__PAGE_TOKENS + j * VF_N, ld_s, q, ld_q, n_row, &t, d, 0);
            ahead_pass(&t.ahead, d * sizeof(vf));
        }
    }
}

static void scale_rows(float *o, size_t ld_o, const float *corr, size_t n_row, size_t d)
{
    for (size_t r = 0; r < n_row; r++)
        for (size_t c = 0; c < d && corr[r] != 1; c += VF_N)
            vf_store(o + r * ld_o + c, vf_mul(vf_load(o + r * ld_o + c), vf_set1(corr[r])));
}

/* The last token of an odd number: its partner's slot may hold anything, so its values are
 * multiplied on their own. */
static void pv_odd_token(float *o, size_t ld_o, const mn_bf16 *p, size_t ld_p, size_t n_row,
                         const mn_bf16 *v, size_t d)
{
    for (size_t r = 0; r < n_row; r++) {
        uint32_t u = (uint32_t)p[r * ld_p] << 16;
        float x;
        memcpy(&x, &u, sizeof x);
        for (size_t c = 0; c < d; c += VF_N) {
            float *at = o + r * ld_o + c;
            vf_store(at, vf_fma(vf_set1(x), vf_pair_even(vi_load(v + c * 2)), vf_load(at)));
        }
    }
}

void MN__ISA(pv_bf16)(float *o, size_t ld_o, const float *corr, const mn_bf16 *p, size_t ld_p,
                      size_t n_row, const void *const *page, size_t n_tok, size_t d,
                      const void *const *then)
{
    float wide[ATTN_ROWS * MN__PAGE_TOKENS];
    if (d % 16) {
        mn__pv_bf16_ref(o, ld_o, corr, p, ld_p, n_row, page, n_tok, d, then);
        return;
    }
    scale_rows(o, ld_o, corr, n_row, d);
    size_t n_page = (n_tok + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS,
           part = MN__PAGE_TOKENS * d * sizeof(mn_bf16);
    for (size_t i = 0; i < n_page; i++) {
        const mn_bf16 *v = (const mn_bf16 *)page[i] + MN__PAGE_TOKENS * d,
                      *pi = p + i * MN__PAGE_TOKENS;
        size_t left = n_tok - i * MN__PAGE_TOKENS,
               n_here = left < MN__PAGE_TOKENS ? left : MN__PAGE_TOKENS;
        for (size_t r = 0, n; r < n_row; r += n) {
            n = n_row - r < ATTN_ROWS ? n_row - r : ATTN_ROWS;
            attn_widen(wide, MN__PAGE_TOKENS, pi + r * ld_p, ld_p, n, n_here);
            struct ahead next =
                n_row <= ATTN_ROWS ? ahead_of(page, i, n_page, part, part, then) : ahead_none;
            int C;
            for (size_t c = 0; c < d; c += (size_t)C * VF_N) {
                struct tile_pair t = {.ld = 2 * d, .ahead = next};
                C = attn_cols(n, (d - c) / VF_N);
                for (int x = 0; x < C; x++) t.b[x] = v + (c + (size_t)x * VF_N) * 2;
                tile_pair_rows(C, o + r * ld_o + c, ld_o, wide, MN__PAGE_TOKENS, n, &t,
                               n_here / 2 * 2, 1);
                ahead_pass(&next, n_here / 2 * sizeof(vf));
            }
        }
        if (n_here % 2)
            pv_odd_token(o, ld_o, pi + n_here - 1, ld_p, n_row, v + (n_here - 1) * d, d);
    }
}

void MN__ISA(pv_f32)(float *o, size_t ld_o, const float *corr, const float *p, size_t ld_p,
                     size_t n_row, const void *const *page, size_t n_tok, size_t d,
                     const void *const *then)
{
    if (d % 16) {
        mn__pv_f32_ref(o, ld_o, corr, p, ld_p, n_row, page, n_tok, d, then);
        return;
    }
    scale_rows(o, ld_o, corr, n_row, d);
    size_t n_page = (n_tok + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS,
           part = MN__PAGE_TOKENS * d * sizeof(float);
    for (size_t i = 0; i < n_page; i++) {
        const float *v = (const float *)page[i] + MN__PAGE_TOKENS * d,
                    *pi = p + i * MN__PAGE_TOKENS;
        size_t left = n_tok - i * MN__PAGE_TOKENS,
               n_here = left < MN__PAGE_TOKENS ? left : MN__PAGE_TOKENS;
        struct ahead next =
            n_row <= ATTN_ROWS ? ahead_of(page, i, n_page, part, part, then) : ahead_none;
        int C;
        for (size_t c = 0; c < d; c += (size_t)C * VF_N) {
            struct tile_f32 t = {.ld = d, .ahead = next};
            C = attn_cols(n_row, (d - c) / VF_N);
            for (int x = 0; x < C; x++) t.b[x] = v + c + (size_t)x * VF_N;
            tile_f32_rows(C, o + c, ld_o, pi, ld_p, n_row, &t, n_here, 1);
            ahead_pass(&next, n_here * sizeof(vf));
        }
    }
}
