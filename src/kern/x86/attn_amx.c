/* attn_amx.c: scores and weighted values in tiles, 32 rows at a time. */
#include "kern/x86/tile_amx.h"
#include "kern/x86/x86.h"

enum {
    ROWS = 32,
    FEW_ROWS = 8,  /* up to here a pass is bound by memory, and dpbf16 wastes no rows */
    D_MAX = 512,   /* widest head that is copied on the stack for the last rows */
};

/* Scores of 32 rows with 32 tokens, and with the last 16. */
static void qk_two(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, const mn_bf16 *k, size_t d)
{
    struct tile_cols t = {{(const char *)k, (const char *)(k + 16 * d)}, 64};
    c_zero();
    c_add(q, ld_q, t, d / 32);
    c_store(s, ld_s);
}

static void qk_one(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, const mn_bf16 *k, size_t d)
{
    MN__TILES_WRITTEN();
    _tile_zero(0);
    _tile_zero(2);
    for (size_t i = 0; i < d; i += 32) {
        _tile_loadd(6, k + i * 16, 64);
        _tile_loadd(4, q + i, ld_q * 2);
        _tile_loadd(5, q + 16 * ld_q + i, ld_q * 2);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
    }
    _tile_stored(0, s, ld_s * 4);
    _tile_stored(2, s + 16 * ld_s, ld_s * 4);
}

/* d = 64: all of q's tiles stay in registers, so that only K is loaded. */
static void qk_page_64(float *s, size_t ld_s, const mn_bf16 *k, size_t n_block)
{
    for (size_t j = 0; j < n_block; j++, k += 16 * 64, s += 16) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_loadd(6, k, 64);
        _tile_dpbf16ps(0, 2, 6);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, k + 512, 64);
        _tile_dpbf16ps(0, 3, 7);
        _tile_dpbf16ps(1, 5, 7);
        _tile_stored(0, s, ld_s * 4);
        _tile_stored(1, s + 16 * ld_s, ld_s * 4);
    }
}

static void qk_rows(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, const void *const *page, size_t n_tok,
                    size_t d)
{
    if (d == 64) {
        MN__TILES_WRITTEN();
        _tile_loadd(2, q, ld_q * 2);
        _tile_loadd(3, q + 32, ld_q * 2);
        _tile_loadd(4, q + 16 * ld_q, ld_q * 2);
        _tile_loadd(5, q + 16 * ld_q + 32, ld_q * 2);
    }
    for (size_t t = 0; t < n_tok; t += MN__PAGE_TOKENS) {
        const mn_bf16 *k = page[t / MN__PAGE_TOKENS];
        size_t left = n_tok - t, n_block = left < MN__PAGE_TOKENS ? (left + 15) / 16 : 4, j = 0;
        if (d == 64) {
            qk_page_64(s + t, ld_s, k, n_block);
            continue;
        }
        for (; j + 2 <= n_block; j += 2)
            qk_two(s + t + j * 16, ld_s, q, ld_q, k + j * 16 * d, d);
        if (j < n_block)
            qk_one(s + t + j * 16, ld_s, q, ld_q, k + j * 16 * d, d);
    }
}

/* Fewer than 32 rows: a padded copy of q, and scores of one page at a time that are copied out. */
static void qk_last_rows(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, size_t n_row, const void *const *page,
                         size_t n_tok, size_t d)
{
    mn_bf16 copy[ROWS * D_MAX] __attribute__((aligned(64)));
    float out[ROWS * MN__PAGE_TOKENS] __attribute__((aligned(64)));
    for (size_t r = 0; r < n_row; r++)
        memcpy(copy + r * d, q + r * ld_q, d * sizeof *q);
    memset(copy + n_row * d, 0, (ROWS - n_row) * d * sizeof *q);
    for (size_t t = 0; t < n_tok; t += MN__PAGE_TOKENS) {
        size_t n = n_tok - t < MN__PAGE_TOKENS ? n_tok - t : MN__PAGE_TOKENS;
        qk_rows(out, MN__PAGE_TOKENS, copy, d, page + t / MN__PAGE_TOKENS, n, d);
        for (size_t r = 0; r < n_row; r++)
            memcpy(s + r * ld_s + t, out + r * MN__PAGE_TOKENS, n * sizeof *s);
    }
}

void mn__qk_bf16_amx(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, size_t n_row, const void *const *page,
                     size_t n_tok, size_t d)
{
    size_t r = 0;
    if (d % 32 == 0 && d <= D_MAX) {
        for (; r + ROWS <= n_row; r += ROWS)
            qk_rows(s + r * ld_s, ld_s, q + r * ld_q, ld_q, page, n_tok, d);
        if (n_row - r > FEW_ROWS) {
            qk_last_rows(s + r * ld_s, ld_s, q + r * ld_q, ld_q, n_row - r, page, n_tok, d);
            return;
        }
    }
    if (r < n_row)
        mn__qk_bf16_avx512bf16(s + r * ld_s, ld_s, q + r * ld_q, ld_q, n_row - r, page, n_tok, d);
}

/* Channels [c, c+32) of the last n < 32 tokens of V, the rest zero: their slots may hold anything. */
static void pv_copy_tail(mn_bf16 *copy, const mn_bf16 *v, size_t n, size_t d)
{
    for (size_t i = 0; i < 16; i++)
        for (size_t half = 0; half < 2; half++) {
            __mmask32 keep = 2 * i + 1 < n ? 0xffffffff : 2 * i < n ? 0x55555555 : 0;
            _mm512_store_si512(copy + i * 64 + half * 32, _mm512_maskz_loadu_epi16(keep, v + i * 2 * d + half * 32));
        }
}

/* o, 32 rows and 32 channels (v is at the first of them), += p * V */
static void pv_block(float *o, size_t ld_o, const mn_bf16 *p, size_t ld_p, const void *const *page, size_t n_tok,
                     size_t c, size_t d)
{
    c_load(o, ld_o);
    for (size_t t = 0; t < n_tok; t += MN__PAGE_TOKENS) {
        const mn_bf16 *v = (const mn_bf16 *)page[t / MN__PAGE_TOKENS] + MN__PAGE_TOKENS * d + c * 2;
        size_t n = n_tok - t < MN__PAGE_TOKENS ? n_tok - t : MN__PAGE_TOKENS, whole = n / 32 * 32;
        struct tile_cols cols = {{(const char *)v, (const char *)(v + 32)}, d * 4};
        c_add(p + t, ld_p, cols, whole / 32);
        if (whole < n) {
            mn_bf16 copy[16 * 64] __attribute__((aligned(64)));
            struct tile_cols tail = {{(const char *)copy, (const char *)(copy + 32)}, 128};
            pv_copy_tail(copy, v + whole * d, n - whole, d);
            c_add(p + t + whole, ld_p, tail, 1);
        }
    }
    c_store(o, ld_o);
}

static void scale_rows(float *o, size_t ld_o, const float *corr, size_t n_row, size_t d)
{
    for (size_t r = 0; r < n_row; r++)
        for (size_t c = 0; c < d; c += 16)
            _mm512_storeu_ps(o + r * ld_o + c, _mm512_mul_ps(_mm512_loadu_ps(o + r * ld_o + c), _mm512_set1_ps(corr[r])));
}

/* Fewer than 32 rows: p and o are copied, page by page and 32 channels at a time. */
static void pv_last_rows(float *o, size_t ld_o, const mn_bf16 *p, size_t ld_p, size_t n_row, const void *const *page,
                         size_t n_tok, size_t d)
{
    mn_bf16 copy[ROWS * MN__PAGE_TOKENS] __attribute__((aligned(64)));
    float out[ROWS * D_MAX] __attribute__((aligned(64)));
    for (size_t r = 0; r < n_row; r++)
        memcpy(out + r * d, o + r * ld_o, d * sizeof *o);
    memset(out + n_row * d, 0, (ROWS - n_row) * d * sizeof *o);
    memset(copy + n_row * MN__PAGE_TOKENS, 0, (ROWS - n_row) * MN__PAGE_TOKENS * sizeof *copy);
    for (size_t t = 0; t < n_tok; t += MN__PAGE_TOKENS) {
        size_t n = n_tok - t < MN__PAGE_TOKENS ? n_tok - t : MN__PAGE_TOKENS, n_pad = (n + 31) / 32 * 32;
        for (size_t r = 0; r < n_row; r++)
            memcpy(copy + r * MN__PAGE_TOKENS, p + r * ld_p + t, n_pad * sizeof *p);
        for (size_t c = 0; c < d; c += 32)
            pv_block(out + c, d, copy, MN__PAGE_TOKENS, page + t / MN__PAGE_TOKENS, n, c, d);
    }
    for (size_t r = 0; r < n_row; r++)
        memcpy(o + r * ld_o, out + r * d, d * sizeof *o);
}

void mn__pv_bf16_amx(float *o, size_t ld_o, const float *corr, const mn_bf16 *p, size_t ld_p, size_t n_row,
                     const void *const *page, size_t n_tok, size_t d)
{
    size_t r = 0;
    if (d % 32 == 0 && d <= D_MAX) {
        size_t take = n_row % ROWS > FEW_ROWS ? n_row : n_row / ROWS * ROWS;
        scale_rows(o, ld_o, corr, take, d);
        for (; r + ROWS <= take; r += ROWS)
            for (size_t c = 0; c < d; c += 32)
                pv_block(o + r * ld_o + c, ld_o, p + r * ld_p, ld_p, page, n_tok, c, d);
        if (r < take)
            pv_last_rows(o + r * ld_o, ld_o, p + r * ld_p, ld_p, take - r, page, n_tok, d);
        r = take;
    }
    if (r < n_row)
        mn__pv_bf16_avx512bf16(o + r * ld_o, ld_o, corr + r, p + r * ld_p, ld_p, n_row - r, page, n_tok, d);
}
